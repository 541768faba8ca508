"""Base class of writers of predicted patches: planning, resumption, one writer."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ..bands import FILE_BANDS
from ..datamodules.loading.raw_batches import RawPatchDataset
from ..datamodules.loading.skipping import SkippingPatches
from ..datasets import PatchDataset
from ..io.atomic import make_directory
from ..io.run_record import RunRecord
from ..metrics.argmax import best_class
from ..models.contract import Weights, describe_network, find_conflict

Prediction = dict[str, Tensor | None]


class PatchWriter(BasePredictionWriter):
    """Write files for each predicted patch; a run that was stopped is resumed.

    Beside the files stands the record of the run: outputs of a finished run, of another
    checkpoint or of other settings are not mixed with new ones. Nothing is replaced
    before every writer has agreed and the network is loaded.
    """

    #: What the files are, for people, and what each one's name ends in.
    what: str
    suffixes: Sequence[str]

    def __init__(self, output_dir: Path | str, overwrite: bool) -> None:
        """Initialize a new PatchWriter instance.

        Args:
            output_dir: Directory for the files.
            overwrite: Whether outputs of a finished or another run may be replaced.
        """
        super().__init__(write_interval='batch')
        self.output_dir = Path(output_dir).expanduser()
        self.overwrite = overwrite
        self.record: RunRecord | None = None
        self.remaining: set[str] | None = None
        self._weights: Weights = {}

    def options(self) -> dict[str, Any]:
        """Return the settings that decide the content of the files.

        Those of the network and of the set are recorded anyway.

        Returns:
            Plain values by name.
        """
        return {}

    def names(self, dataset: PatchDataset) -> list[str]:
        """Return the file names of the patches to write, without suffix.

        Args:
            dataset: Dataset that is predicted.

        Returns:
            Names in the order of the dataset.
        """
        return [dataset.prediction_id(i) for i in range(len(dataset))]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check where the outputs go, and have the patches that are done left out.

        Raises:
            OSError: If the directory cannot be written to.
            TypeError: If the dataset is none of this package's.
            ValueError: If the outputs would replace inputs or each other, or the
                network is of other bands or classes than the dataset.
        """
        # A checkpoint is loaded into these tensors; a precision makes others of them.
        self._weights = pl_module.state_dict() if stage == 'predict' else {}
        datamodule: Any = getattr(trainer, 'datamodule', None)
        if stage != 'predict' or datamodule is None:
            return
        make_directory(self.output_dir)
        self._check(pl_module, _patches(datamodule.predict_dataset))
        # Not now: the weights of a checkpoint, whose run the outputs in the directory
        # may be, are loaded after this and before the loader is made.
        datamodule.select_pending = partial(_select_pending, trainer, pl_module)

    def plan(
        self, trainer: Trainer, pl_module: LightningModule, dataset: PatchDataset
    ) -> None:
        """Plan the files to write, without changing anything.

        Args:
            trainer: The trainer
            pl_module: The task, with its weights loaded
            dataset: Dataset that is predicted.

        Raises:
            FileExistsError: If outputs of another run are there, or another process
                writes them.
        """
        names = self.names(dataset)
        settings = {
            **describe_network(trainer, pl_module, self._weights),
            'set': f'{type(dataset).__name__} {dataset.split}',
            'root': str(Path(dataset.root).resolve()),
            'options': self.options(),
        }
        if dataset.fills:
            fills = {s: [f'{n:.9g}' for n in own] for s, own in dataset.fills.items()}
            settings['fills'] = fills
        outputs = [f'{name}{suffix}' for name in names for suffix in self.suffixes]
        self.record = RunRecord(self.output_dir, settings, outputs)
        checks = getattr(getattr(trainer, 'datamodule', None), 'checks', None)
        for found in checks.results.values() if checks else ():
            self.record.findings += found['findings']
        pending: list[str] = []
        if trainer.is_global_zero:
            self.record.lock()
            pending = self.record.find_pending(self.overwrite)
        left = set(trainer.strategy.broadcast(pending))
        self.remaining = {
            name for name in names if any(f'{name}{s}' in left for s in self.suffixes)
        }

    def _check(self, pl_module: LightningModule, dataset: PatchDataset) -> None:
        """Check that the outputs replace neither inputs nor each other, and mean one."""
        ids = Counter(self.names(dataset))
        if twice := [name for name, count in ids.items() if count > 1]:
            raise ValueError(
                f'Expected a name for each class map, got {twice[0]} for '
                f'{ids[twice[0]]} patches of {dataset.root}; rename their files.'
            )
        inputs = {folder.resolve() for folder in dataset.files.folders}
        # Of a sensor that the network does not read, too.
        inputs |= {path.with_name(sensor) for path in inputs for sensor in FILE_BANDS}
        if self.output_dir.resolve() in inputs:
            raise ValueError(
                f'Expected an output_dir of its own, got a folder of the data: '
                f'{self.output_dir}.'
            )
        of_data = {
            'scheme': dataset.scheme.name,
            'bands': [band.name for band in dataset.bands],
        }
        if conflict := find_conflict(getattr(pl_module, 'contract', {}), of_data):
            name, value, other = conflict
            raise ValueError(
                f"Expected a dataset of the network's {name} {value}, got {other}."
            )

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin: only now is anything replaced."""
        if self.remaining is None:
            dataset = _predicted(trainer)
            self._check(pl_module, dataset)
            self.plan(trainer, pl_module, dataset)
        if trainer.is_global_zero:
            self._planned.begin()
        self._weights = {}
        trainer.strategy.barrier()

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Prediction,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the files of one batch."""
        dataset = _predicted(trainer)
        results = _to_arrays(prediction)
        assert batch_indices is not None, 'a prediction writer is given them'
        datamodule: Any = getattr(trainer, 'datamodule', None)
        unread = getattr(datamodule, 'unread', {}).get('predict', ())
        for position, index in enumerate(batch_indices):
            name = dataset.prediction_id(index)
            if index not in unread and name in (self.remaining or ()):
                result = {key: values[position] for key, values in results.items()}
                self.write(dataset, index, result)
                for suffix in self.suffixes:
                    self._planned.note(f'{name}{suffix}')

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Write the files of one patch.

        Args:
            dataset: Dataset that is predicted
            index: Position of the patch
            result: ``'prediction'`` of shape ``(H, W)``, uint8 class indices, and
                what else the task returned.

        Raises:
            NotImplementedError: If the class does not override this.
        """
        raise NotImplementedError

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note whether everything is written."""
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            missing = self._planned.finish()
            some = f', all but {missing} files' if missing else ''
            trainer.print(f'Wrote {self.what} to {self.output_dir}{some}')
        self._forget()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let other processes write into the directory."""
        self._forget()

    def _forget(self) -> None:
        if self.record is not None:
            self.record.unlock()
        self.record = self.remaining = None

    @property
    def _planned(self) -> RunRecord:
        assert self.record is not None, 'plan makes it'
        return self.record


def _select_pending(
    trainer: Trainer, pl_module: LightningModule, dataset: PatchDataset
) -> PatchDataset:
    """Keep the patches that some writer has still to write."""
    callbacks: list[Callback] = vars(trainer)['callbacks']
    writers = [c for c in callbacks if isinstance(c, PatchWriter)]
    if len({writer.output_dir.resolve() for writer in writers}) < len(writers):
        raise ValueError(
            f'Expected an output_dir for each of '
            f'{" and ".join(writer.what for writer in writers)}, got one: '
            f'{writers[0].output_dir}.'
        )
    for writer in writers:
        writer.plan(trainer, pl_module, dataset)
    needed = set().union(*(writer.remaining or () for writer in writers))
    names = [dataset.prediction_id(i) for i in range(len(dataset))]
    left = [i for i, name in enumerate(names) if name in needed]
    # An empty set cannot be predicted, so the last patch is done once more.
    return dataset.select(left or [len(names) - 1])


def _to_arrays(prediction: Prediction) -> dict[str, np.ndarray]:
    """Bring a batch's prediction to the host; torchgeo's tasks give shares alone."""
    tensors = {k: v for k, v in prediction.items() if v is not None}
    if 'prediction' not in tensors:
        tensors['prediction'] = best_class(tensors['probabilities'], dim=1)
    return {key: value.cpu().numpy() for key, value in tensors.items()}


def _patches(dataset: Any) -> PatchDataset:
    if not isinstance(dataset, PatchDataset):
        raise TypeError(
            'Expected one of the patch datasets of dfc2020_geo to write predictions '
            f'for, got {type(dataset).__name__}.'
        )
    return dataset


def _predicted(trainer: Trainer) -> PatchDataset:
    loaders = trainer.predict_dataloaders
    dataset = getattr(loaders, 'dataset', loaders)
    while isinstance(dataset, RawPatchDataset | SkippingPatches):
        dataset = dataset.dataset
    return _patches(dataset)
