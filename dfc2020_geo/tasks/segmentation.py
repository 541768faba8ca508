"""The task: a network of named bands and classes, with its loss and scores."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchgeo.datasets.utils import Sample
from torchgeo.tasks import SemanticSegmentation
from torchvision.models._api import WeightsEnum

from ..bands import DEFAULT_BANDS, NanPolicy
from ..classes import IGNORE_INDEX, get_scheme
from ..io.nodata import valid_pixels
from ..metrics import SegmentationScores
from ..metrics.argmax import best_class
from ..models import NETWORKS, build_network, explain_refusals, network_settings
from ..models.contract import (
    CONTRACT_KEY,
    data_contract,
    find_conflict,
    read_checkpoint,
)
from ..transforms.prepare import PrepareBatch, as_batch
from ..transforms.scaling import warn_unscaled
from .acceleration import (
    SWITCHES,
    LossWatch,
    arrange,
    checkpoint_activations,
    show_loss,
)
from .checkpoints import check_task, record_task, restore_task
from .ensemble import average_probabilities
from .losses import build_loss
from .optimizers import check_rates, explain_options, parameter_groups, require_periods
from .trust import MAKERS


class LandCoverSegmentation(SemanticSegmentation):
    """Semantic segmentation whose input and output are named, not counted.

    What the bands of the input are and what the classes of the output mean is saved
    with the weights, so a checkpoint alone says what it reads and what it predicts.
    Networks, backbones and pretrained weights are those of torchgeo, beside the two
    networks of the 2020 baseline. Images of any height and width are padded to what the
    network takes, and the logits are cut back (``dpt`` alone takes the one size that its
    backbone was made for).

    torchgeo's default of minimising ``val_loss`` is replaced: the best checkpoint is
    the one of the highest ``val_AA``.

    >>> task = LandCoverSegmentation(['s2-10m', 's1'], model='fcn').eval()
    >>> task.facts['bands']
    ['B02', 'B03', 'B04', 'B08', 'VV', 'VH']
    >>> image = torch.rand(1, 6, 64, 64)  # scaled, as ScaleBands does
    >>> task.predict_step({'image': image}, 0)['prediction'].shape
    torch.Size([1, 64, 64])
    """

    monitor = 'val_AA'
    mode: Literal['min', 'max'] = 'max'

    #: Whether :meth:`predict_step` returns probabilities as well; callbacks that need
    #: them set it.
    return_probabilities = False

    #: Whether :meth:`predict_step` returns logits and leaves the rest to a callback,
    #: which sets it.
    return_logits = False

    #: Scores of before training was stopped, until they are restored, and whether
    #: schedulers have not looked at those of the last epoch yet.
    _resumed: tuple[dict[str, float], bool] = {}, False

    #: Whether the first batch was looked at, for values that nothing has scaled.
    _is_range_checked = False

    def __init__(
        self,
        bands: Sequence[str] | str = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        nan: NanPolicy = 'lowest',
        model: str = 'unet',
        backbone: str = 'resnet50',
        weights: WeightsEnum | bool | str | None = None,
        num_filters: int = 3,
        output_stride: int = 16,
        loss: Literal['ce', 'jaccard', 'focal', 'dice'] = 'ce',
        class_weights: Sequence[float] | None = None,
        lr: float = 1e-3,
        backbone_lr: float | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal['epoch', 'step'] = 'epoch',
        patience: int = 10,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        tta: bool = False,
        ensemble: Sequence[str] = (),
        compile: bool = False,
        channels_last: bool = False,
        activation_checkpointing: bool = False,
    ) -> None:
        """Initialize a new LandCoverSegmentation instance.

        Args:
            bands: Bands that the network reads, as names of bands or band sets.
            scheme: Name of the class scheme that it predicts.
            nan: What NaN becomes in scaling, see
                :class:`~dfc2020_geo.transforms.ScaleBands`.
            model: Name of the network, torchgeo's or one of
                :data:`~dfc2020_geo.models.NETWORKS`.
            backbone: Name of the timm or smp backbone, for networks of torchgeo only.
            weights: Initial weights of the backbone, as in torchgeo: a weight enum or
                its name, True for ImageNet, None for random ones, or a file.
            num_filters: Number of filters, for ``model='fcn'`` only.
            output_stride: How much smaller than the input the features of the backbone
                are, 8 or 16, for ``model='baseline-deeplabv3+'`` only.
            loss: Name of the loss. Each leaves ignored pixels out and is 0 for a
                batch that has no others.
            class_weights: Weight of each class of the scheme, with ``loss='ce'`` only.
            lr: Learning rate.
            backbone_lr: Learning rate of the backbone, if not *lr*.
            optimizer: Makes the optimiser of the parameter groups, which hold the
                learning rates; AdamW if None.
            lr_scheduler: Makes the scheduler of the optimiser;
                :class:`~torch.optim.lr_scheduler.ReduceLROnPlateau` if None.
            lr_interval: Whether the scheduler steps each epoch or each batch.
            patience: Epochs without a better :attr:`monitor` before the default
                scheduler lowers the rate.
            freeze_backbone: Train the decoder and head alone.
            freeze_decoder: Train the head (and backbone) alone.
            tta: Outside training, average the probabilities of the 8 flips and quarter
                turns of each image.
            ensemble: Outside training, average the probabilities with those of these
                checkpoints, of the same bands, class scheme and *nan*.
            compile: Let torch.compile translate the network, which takes a minute
                when the first batch comes. This and the next two belong to a machine:
                they change no weight and no checkpoint keeps them.
            channels_last: Let the values of a pixel lie together in memory, as
                convolutions with tensor cores have it.
            activation_checkpointing: Keep less of each block of the network for
                backward, and compute it a second time: less memory, longer steps.

        Raises:
            ValueError: If a name is unknown, a number makes no sense, there is not one
                weight per class, or a network has no blocks for
                *activation_checkpointing*.
        """
        check_rates(lr, backbone_lr, patience)
        self.scheme = get_scheme(scheme)
        if class_weights is not None and len(class_weights) != len(self.scheme):
            raise ValueError(
                f'Expected a class weight for each of {self.scheme.labels}, '
                f'got {len(class_weights)}.'
            )
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self._losses = LossWatch()
        # No submodules: they are neither trained nor saved with this network.
        self.members: list[LandCoverSegmentation] = []
        self.facts = data_contract(bands, scheme, nan)
        super().__init__(
            model=model,  # ty: ignore[invalid-argument-type] (or one of ours)
            backbone=backbone,
            weights=weights,
            num_filters=num_filters,
            lr=lr,
            patience=patience,
            freeze_backbone=freeze_backbone,
            freeze_decoder=freeze_decoder,
        )
        if activation_checkpointing:
            checkpoint_activations(self.model)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if compile:
            # In place: the names of the weights stay.
            self.model.compile()

    @property
    def contract(self) -> dict[str, Any]:
        """The facts that a checkpoint of this task fixes, as plain values by name."""
        model = self.hparams['model']
        settings = {name: self.hparams[name] for name in network_settings(model)}
        return self.facts | {'model': model} | settings

    def configure_models(self) -> None:
        """Initialize the network.

        Raises:
            OSError: If weights of the backbone are not there and cannot be fetched.
            ValueError: If a network, a backbone or weights are unknown or do not fit.
        """
        # LightningCLI records the arguments of this class only, so what the base
        # class reads of its own is set here, from the facts.
        self.hparams.update(
            task='multiclass',
            in_channels=len(self.facts['bands']),
            num_classes=len(self.scheme),
            num_labels=None,
            labels=self.scheme.labels,
            ignore_index=IGNORE_INDEX,
        )
        name = self.hparams['model']
        settings = {key: self.hparams[key] for key in network_settings(name)}
        for key in ('num_filters', 'output_stride'):
            number = self.hparams[key]
            if not isinstance(number, int) or number < 1:
                raise ValueError(f'Expected {key} to be a number from 1, got {number}.')
        with explain_refusals(self.hparams['backbone'], self.weights):
            if name not in NETWORKS:
                super().configure_models()
                return
            self.model = build_network(
                name,
                self.hparams['in_channels'],
                self.hparams['num_classes'],
                settings,
                self.weights,
                self.hparams['freeze_backbone'],
                self.hparams['freeze_decoder'],
            )

    def configure_losses(self) -> None:
        """Initialize the loss.

        Raises:
            ValueError: If there is no such loss, or it takes no class weights.
        """
        self.criterion = build_loss(self.hparams['loss'], self.hparams['class_weights'])

    def configure_metrics(self) -> None:
        """Initialize one confusion matrix for each stage that is scored."""
        for stage in ('val', 'test'):
            scores = SegmentationScores(
                len(self.scheme), self.scheme.labels, prefix=f'{stage}_'
            )
            setattr(self, f'{stage}_metrics', scores)

    def configure_optimizers(self) -> Any:
        """Initialize the optimiser and the learning rate scheduler.

        Returns:
            Lightning's dict of both. The optimiser has one group of parameters, or two
            with the backbone's first.

        Raises:
            ValueError: If *backbone_lr* is given for a network without a backbone, or
                the optimiser or the schedule does not take its options.
        """
        groups = parameter_groups(
            self.model, self.hparams['lr'], self.hparams['backbone_lr']
        )
        with explain_options():
            optimizer = (self.optimizer or AdamW)(groups)
            if self.lr_scheduler is None:
                scheduler: Any = ReduceLROnPlateau(
                    optimizer, mode=self.mode, patience=self.hparams['patience']
                )
            else:
                scheduler = self.lr_scheduler(optimizer)
            require_periods(scheduler)
        plan = {
            'scheduler': scheduler,
            'interval': self.hparams['lr_interval'],
            'monitor': getattr(scheduler, 'monitor', self.monitor),
            # Training without validation is fine: the rate stays as it is.
            'strict': False,
        }
        return {'optimizer': optimizer, 'lr_scheduler': plan}

    def setup(self, stage: str) -> None:
        """Compare the facts with those of the datamodule, and load the ensemble.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            ValueError: If the data are others than the network was made for, or an
                ensemble is to be trained or has members of other bands or classes.
        """
        theirs = getattr(getattr(self.trainer, 'datamodule', None), 'contract', {})
        if conflict := find_conflict(self.contract, theirs):
            name, value, other = conflict
            raise ValueError(
                f'Expected the same {name} under model and data, '
                f'got model.{name}={value} and data.{name}={other}.'
            )
        if stage == 'fit' and self.hparams['ensemble']:
            raise ValueError(
                f'Expected to train one network, got the ensemble '
                f'{self.hparams["ensemble"]}; leave it out.'
            )
        self._load_members()

    def _load_members(self) -> None:
        self.members = [self._load_member(path) for path in self.hparams['ensemble']]

    def _load_member(self, path: str) -> 'LandCoverSegmentation':
        checkpoint = read_checkpoint(path)
        if conflict := find_conflict(self.facts, checkpoint[CONTRACT_KEY]):
            name, value, other = conflict
            raise ValueError(
                f'Expected an ensemble of the same {name}, got {value} and, in {path}, '
                f'{other}.'
            )
        switches = {name: self.hparams[name] for name in SWITCHES}
        # It is not trained here, by whatever optimiser.
        others: dict[str, Any] = dict.fromkeys(MAKERS) | switches
        return restore_task(
            LandCoverSegmentation, checkpoint, path, (), **others
        ).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images of any size.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``, float.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``; outside training, the logarithms
            of the average probabilities, if there is test-time augmentation or an
            ensemble.
        """
        if not (self._is_range_checked or torch.compiler.is_compiling()):
            self._is_range_checked = True
            warn_unscaled(x)
        if self.training or not self._is_averaging:
            return self.compute_logits(x)
        return self.average(x)[0]

    def compute_logits(self, x: Tensor) -> Tensor:
        """Compute the logits of this network alone, of images of any size.

        Images are padded to a multiple of what the network takes, by repeating their
        last row and column; the logits are cut back.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``, float.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.
        """
        height, width = x.shape[-2:]
        stride = 1
        if getattr(self.model, 'requires_divisible_input_shape', True):
            stride = getattr(getattr(self.model, 'encoder', None), 'output_stride', 1)
        padding = (0, -width % stride, 0, -height % stride)
        if any(padding):
            x = functional.pad(x, padding, mode='replicate')
        if self.hparams['compile'] or self.hparams['channels_last']:
            x = arrange(x, self.hparams['channels_last'])
        logits = self.model(x)
        # Backward of a cut copies, even of one that cuts nothing.
        return logits[..., :height, :width] if any(padding) else logits

    @property
    def _is_averaging(self) -> bool:
        return bool(self.hparams['tta'] or self.members)

    def average(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Average the probabilities of the ensemble and of test-time augmentation.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``, float.

        Returns:
            Logarithms of the average probabilities, ``(B, num_classes, H, W)``, and
            the disagreement: the fraction of predictions of another class than theirs,
            ``(B, H, W)``.
        """
        # Lightning has moved and rounded this network, but not those.
        weight = next(self.parameters(), x)
        members = [member.to(x.device, weight.dtype) for member in self.members]
        networks = [task.compute_logits for task in (self, *members)]
        return average_probabilities(networks, x, self.hparams['tta'])

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        """Refuse a batch that its datamodule has not prepared, and count the epoch.

        Args:
            batch: Tensors by name.
            batch_idx: Position of the batch in the epoch.

        Raises:
            ValueError: If it has no ``'image'``.
        """
        self.on_predict_batch_start(batch, batch_idx)
        # Lightning does not count the epoch that follows a checkpoint of the last step
        # of another one; a run resumed a second time would train a step too many.
        epochs = self.trainer.fit_loop.epoch_progress
        if epochs.current.ready == epochs.current.completed:
            epochs.increment_ready()
            epochs.increment_started()

    def on_predict_batch_start(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Refuse a batch that its datamodule has not prepared.

        Args:
            batch: Tensors by name.
            batch_idx: Position of the batch in the set.
            dataloader_idx: Position of its dataloader.

        Raises:
            ValueError: If it has no ``'image'``.
        """
        if 'image' not in batch:
            raise ValueError(
                f"Expected batches with 'image', got {sorted(batch)}: patches as they "
                'are stored, which their datamodule joins and scales; hand it to the '
                'trainer (datamodule=...) instead of its loaders.'
            )

    on_validation_batch_start = on_test_batch_start = on_predict_batch_start

    def training_step(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss, and no scores.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)``, scaled, and ``'mask'`` of
                shape ``(B, H, W)``, int64 class indices.
            batch_idx: Position of the batch in the epoch.
            dataloader_idx: Position of its dataloader.

        Returns:
            The loss, a scalar.

        Raises:
            RuntimeError: If a loss is no number; the message names the patches.
            ValueError: If batch normalisation cannot do with a batch of one.
        """
        batch_size = len(batch['image'])
        try:
            logits = self(batch['image'])
        except ValueError as error:
            if 'more than 1 value per channel' in str(error):
                raise ValueError(
                    f'Expected training batches of two or more patches for a network '
                    f'that pools to one pixel, got {batch_size}; add patches, or set '
                    f'--data.batch_size to 2 or more.'
                ) from error
            raise
        loss = self.criterion(logits, batch['mask'])
        self.log('train_loss', loss, batch_size=batch_size)
        if self._trainer is not None:
            show_loss(self._trainer, loss)
            self._require_finite(self._losses.note(batch_idx, loss))
        return loss

    def _require_finite(self, found: tuple[int, float] | None) -> None:
        """Stop if the loss of a batch is no number."""
        if found is None:
            return
        position, loss = found
        names: list[str] = []
        datamodule = getattr(self.trainer, 'datamodule', None)
        if name_batch := getattr(datamodule, 'name_batch', None):
            names = name_batch(position)
        of = f' of the patches {", ".join(names)}' if names else ''
        raise RuntimeError(
            f'Expected a finite loss, got {loss} in batch {position} of epoch '
            f'{self.current_epoch}{of}; look at their values, or lower --model.lr.'
        )

    def predict_step(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Predict the classes of a batch.

        Args:
            batch: ``'image'`` of shape ``(B, C, H, W)``, scaled, and perhaps
                ``'valid'`` of shape ``(B, H, W)``, False where there is no data.
            batch_idx: Position of the batch in the epoch.
            dataloader_idx: Position of its dataloader.

        Returns:
            torchgeo's ``'bounds'``, ``'transform'`` and ``'probabilities'`` of shape
            ``(B, num_classes, H, W)``, None unless :attr:`return_probabilities`, and
            ``'prediction'`` of shape ``(B, H, W)``, uint8 class indices,
            :data:`~dfc2020_geo.classes.IGNORE_INDEX` without data. With
            :attr:`return_logits` alone ``'logits'`` and ``'disagreement'``, as
            :meth:`average` gives them, the latter None for one network without
            test-time augmentation.
        """
        if self.return_logits:
            if self._is_averaging:
                logits, disagreement = self.average(batch['image'])
                return {'logits': logits, 'disagreement': disagreement}
            return {'logits': self(batch['image']), 'disagreement': None}
        logits = self(batch['image'])
        prediction = best_class(logits, dim=1)
        probabilities = None
        if self.return_probabilities:
            probabilities = logits.float().softmax(dim=1)
        if 'valid' in batch:
            prediction = prediction.where(batch['valid'], IGNORE_INDEX)
        return {
            'prediction': prediction,
            'probabilities': probabilities,
            'bounds': batch.get('bounds'),
            'transform': batch.get('transform'),
        }

    @torch.no_grad()
    def predict_image(self, image: Tensor | np.ndarray | Sample) -> dict[str, Tensor]:
        """Predict the classes of an image that nothing has scaled yet.

        All that a trainer does in prediction, for one image or a few: scaling, padding,
        and averaging where the task has ``tta`` or an ``ensemble``. The image is
        predicted in one piece; for whole scenes see
        :func:`dfc2020_geo.inference.map_scene`.

        Args:
            image: Image of shape ``(C, H, W)`` or images of shape ``(B, C, H, W)``, in
                file units (reflectance x 10 000, sigma nought in dB), of any real type,
                with the bands of ``facts['bands']`` in that order; or a sample or batch
                of a dataset or datamodule that has it.

        Returns:
            ``'prediction'`` of shape ``(H, W)``, uint8 class indices,
            :data:`~dfc2020_geo.classes.IGNORE_INDEX` without data (unless *nan* is
            ``'baseline'``), and ``'probabilities'`` of shape ``(num_classes, H, W)``,
            float32; both on the task's device, and with ``B`` before where there was.

        Raises:
            ValueError: If the image has other bands, or another shape.

        Examples:
            >>> task = LandCoverSegmentation(['s2-10m', 's1'], model='fcn')
            >>> image = torch.rand(6, 50, 70) * 3000
            >>> predicted = task.predict_image(image)
            >>> predicted['prediction'].shape, predicted['probabilities'].shape
            (torch.Size([50, 70]), torch.Size([10, 50, 70]))
        """
        if self.hparams['ensemble'] and not self.members:
            self._load_members()
        batch, is_one = as_batch(image, self.facts['bands'])
        batch = {name: part.to(self.device) for name, part in batch.items()}
        scaled = PrepareBatch(self.facts['bands'], self.facts['nan'])(batch)['image']
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            logits = self(scaled.to(next(self.parameters()).dtype)).float()
        finally:
            for module in training:
                module.training = True
        prediction = best_class(logits, dim=1)
        if self.facts['nan'] != 'baseline':
            valid = valid_pixels(*batch.values())
            prediction = prediction.where(valid, IGNORE_INDEX)
        probabilities = logits.softmax(dim=1)
        if is_one:
            prediction, probabilities = prediction[0], probabilities[0]
        return {'prediction': prediction, 'probabilities': probabilities}

    @classmethod
    def load_from_checkpoint(  # ty: ignore[incompatible-method-override] (fewer ways)
        cls,
        checkpoint_path: Path | str,
        map_location: torch.device | str = 'cpu',
        weights_only: Literal[True] = True,
        trust: Collection[str] = (),
        **kwargs: Any,
    ) -> Self:
        """Load a task; a checkpoint is plain values and tensors, nothing in it is run.

        Args:
            checkpoint_path: File that a Trainer saved.
            map_location: Device of the weights.
            weights_only: Tensors and plain values only; there is no other way.
            trust: Dotted names of classes that the checkpoint may have imported and
                called, beside tasks, optimisers and schedules that are imported already.
            kwargs: Arguments that differ from those in the checkpoint.

        Returns:
            The task, of the class that the checkpoint names if that is a subclass.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no checkpoint of this class, or does not fit.
        """
        if not weights_only:
            raise ValueError('Expected weights_only=True, got False; leave it out.')
        checkpoint = read_checkpoint(checkpoint_path)
        task = restore_task(cls, checkpoint, checkpoint_path, trust, **kwargs)
        return task.to(map_location)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the arguments of this class alone, as plain values, and the facts.

        Args:
            checkpoint: What Lightning is about to save; changed in place.

        Raises:
            RuntimeError: If the loss of a batch before was no number.
        """
        self._require_finite(self._losses.look(is_waiting=True))
        record_task(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another network, and another optimiser for resuming.

        Args:
            checkpoint: What Lightning has read.

        Raises:
            ValueError: If a fact, a weight, or, in training, an option of the optimiser
                or its schedule is another than this task's; or if a newer version of
                this package wrote the checkpoint.
        """
        try:
            self._resumed = check_task(self, checkpoint)
        except ValueError as error:
            if self._trainer is None or not self._trainer.ckpt_path:
                raise
            raise ValueError(f'{error} (This is {self._trainer.ckpt_path}.)') from error

    def on_train_start(self) -> None:
        """Restore the scores that a scheduler may still ask for.

        One that watches a score looks at it when an epoch ends, and its validation may
        have been before training was stopped; Lightning forgets it.
        """
        scores, is_due = self._resumed
        self.trainer.callback_metrics.update(
            {name: torch.tensor(score) for name, score in scores.items()}
        )
        if is_due:
            self._update_schedulers()
        self._resumed = {}, False

    def on_train_epoch_end(self) -> None:
        """Let schedulers look at the scores of an epoch that was resumed.

        Lightning leaves that out, for it has no scores of before.
        """
        self._require_finite(self._losses.look(is_waiting=True))
        if self.trainer.fit_loop.restarting and self.trainer.is_last_batch:
            self._update_schedulers()

    def _update_schedulers(self) -> None:
        loop = self.trainer.fit_loop.epoch_loop
        loop.update_lr_schedulers('epoch', update_plateau_schedulers=True)
