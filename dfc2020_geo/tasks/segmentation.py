"""The task: a network of named bands and classes, with its loss and scores."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn import functional
from torchgeo.tasks import SemanticSegmentation
from torchvision.models._api import WeightsEnum

from ..bands import DEFAULT_BANDS, NanPolicy
from ..classes import IGNORE_INDEX, get_scheme
from ..metrics import SegmentationScores
from ..models import NETWORKS, build_network, explain_missing
from ..models.contract import (
    BASELINE_FACTS,
    CONTRACT_KEY,
    TORCHGEO_FACTS,
    data_contract,
    find_conflict,
    read_checkpoint,
)
from .acceleration import SWITCHES, arrange, checkpoint_activations
from .checkpoints import ContractInCheckpoint
from .losses import build_loss
from .training import TrainingTask
from .voting import VotingTask

Batch = dict[str, Tensor]


class LandCoverSegmentation(
    ContractInCheckpoint, TrainingTask, VotingTask, SemanticSegmentation
):
    """Semantic segmentation whose input and output are named, not counted.

    What the bands of the input are and what the classes of the output mean is saved
    with the weights, so a checkpoint alone says what it reads and what it predicts.
    Networks, backbones and pretrained weights are those of torchgeo, beside the two
    networks of the 2020 baseline. Images of any height and width are padded to what the
    network takes, and the logits are cut back (``dpt`` alone takes the one size that its
    backbone was made for).

    torchgeo's default of minimising ``val_loss`` is replaced: the best checkpoint is
    the one of the highest ``val_AA``.
    """

    monitor = 'val_AA'
    mode: Literal['min', 'max'] = 'max'

    def __init__(
        self,
        bands: Sequence[str] | str = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        nan: NanPolicy = 'lowest',
        model: Literal[
            'unet',
            'deeplabv3+',
            'fcn',
            'upernet',
            'segformer',
            'dpt',
            'baseline-unet',
            'baseline-deeplabv3+',
        ] = 'unet',
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
            ValueError: If a name is unknown, there is not one weight per class, or a
                network has no blocks for *activation_checkpointing*.
        """
        self.scheme = get_scheme(scheme)
        if class_weights is not None and len(class_weights) != len(self.scheme):
            raise ValueError(
                f'Expected a class weight for each of {self.scheme.labels}, '
                f'got {len(class_weights)}.'
            )
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.members = []
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
        self._apply_switches()

    def _apply_switches(self) -> None:
        if self.hparams['activation_checkpointing']:
            checkpoint_activations(self.model)
        if self.hparams['channels_last']:
            self.model.to(memory_format=torch.channels_last)
        if self.hparams['compile']:
            # In place: the names of the weights stay.
            self.model.compile()

    @property
    def contract(self) -> dict[str, Any]:
        """The facts that a checkpoint of this task fixes."""
        is_baseline = self.hparams['model'] in NETWORKS
        names = BASELINE_FACTS if is_baseline else TORCHGEO_FACTS
        return self.facts | {name: self.hparams[name] for name in names}

    def configure_models(self) -> None:
        """Initialize the network."""
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
        with explain_missing(self.weights):
            if self.hparams['model'] in NETWORKS:
                self._configure_ours()
            else:
                self._configure_theirs()

    def _configure_ours(self) -> None:
        arguments = inspect.signature(build_network).parameters
        settings: dict[str, Any] = {**self.hparams, 'weights': self.weights}
        self.model = build_network(**{name: settings[name] for name in arguments})

    def _configure_theirs(self) -> None:
        """Have torchgeo initialize one of its networks, and mend what it says."""
        try:
            super().configure_models()
        except (KeyError, RuntimeError) as error:
            # smp answers an unknown backbone with a KeyError, timm with its own.
            if 'encoder name' in str(error) or 'Unknown model' in str(error):
                raise ValueError(
                    f"Expected a backbone of smp, or of timm with 'tu-' before its "
                    f"name, got '{self.hparams['backbone']}'."
                ) from error
            raise
        if not hasattr(self, 'model'):
            known = get_args(
                inspect.signature(type(self)).parameters['model'].annotation
            )
            raise ValueError(
                f"Expected model to be one of {known}, got '{self.hparams['model']}'."
            )

    def configure_losses(self) -> None:
        """Initialize the loss."""
        self.criterion = build_loss(self.hparams['loss'], self.hparams['class_weights'])

    def configure_metrics(self) -> None:
        """Initialize one confusion matrix for each stage that is scored."""
        for stage in ('val', 'test'):
            scores = SegmentationScores(
                len(self.scheme), self.scheme.labels, prefix=f'{stage}_'
            )
            setattr(self, f'{stage}_metrics', scores)

    def setup(self, stage: str) -> None:
        """Compare the facts of this task with those of the datamodule."""
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
        self.members = [self._load_member(path) for path in self.hparams['ensemble']]

    def on_train_batch_start(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Refuse a batch that its datamodule has not prepared.

        Args:
            batch: What a step is to be given, of any stage.
            batch_idx: Position of the batch in the epoch.
            dataloader_idx: Position of its dataloader.

        Raises:
            ValueError: If it has no 'image'.
        """
        if 'image' not in batch:
            raise ValueError(
                f"Expected batches with 'image', got {sorted(batch)}: patches as they "
                'are stored, which their datamodule joins and scales; hand it to the '
                'trainer (datamodule=...) instead of its loaders.'
            )

    on_validation_batch_start = on_test_batch_start = on_train_batch_start
    on_predict_batch_start = on_train_batch_start

    def _load_member(self, path: str) -> 'LandCoverSegmentation':
        theirs = read_checkpoint(path)[CONTRACT_KEY]
        if conflict := find_conflict(self.facts, theirs):
            name, value, other = conflict
            raise ValueError(
                f'Expected an ensemble of the same {name}, got {value} and, in {path}, '
                f'{other}.'
            )
        switches = {name: self.hparams[name] for name in SWITCHES}
        member = LandCoverSegmentation.load_from_checkpoint(
            path, map_location='cpu', weights_only=True, **switches
        )
        return member.eval()

    def compute_logits(self, x: Tensor) -> Tensor:
        """Pad images to what the network takes, and cut its answer back.

        Args:
            x: Scaled images of shape ``(B, C, H, W)``.

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
