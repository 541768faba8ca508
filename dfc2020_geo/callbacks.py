"""Callbacks that write what a stage produced: class maps, previews and scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from .atomic import make_directory, replacing
from .classes import IGNORE_INDEX
from .datasets import PatchDataset
from .previews import render_image
from .rasters import write_class_map, write_probabilities
from .records import begin_record, finish_record, hash_weights
from .reports import format_table, write_scores

Prediction = dict[str, Tensor | None]


class _PatchWriter(BasePredictionWriter):
    """Write a file for each predicted patch; go on where a killed run stopped.

    Beside the files stands a record of the run: outputs of a finished run, of another
    checkpoint or of other settings are not mixed with new ones.
    """

    #: What the files are, for people.
    what: str

    def __init__(
        self, output_dir: Path | str, overwrite: bool, suffixes: Sequence[str]
    ) -> None:
        super().__init__(write_interval='batch')
        self.output_dir = Path(output_dir)
        self.overwrite = overwrite
        self.suffixes = suffixes
        self.remaining: set[str] | None = None

    def options(self) -> dict[str, Any]:
        """What decides the content of the files, beside the network and the set."""
        return {}

    def names(self, dataset: PatchDataset) -> list[str]:
        """The names of the patches to write, without suffix."""
        return [dataset.prediction_id(i) for i in range(len(dataset))]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output directory, and leave out the patches that are done.

        Raises:
            FileExistsError: If outputs of another run are there.
            OSError: If the directory cannot be written to.
        """
        datamodule: Any = getattr(trainer, 'datamodule', None)
        if stage != 'predict' or datamodule is None:
            return
        dataset = _patches(datamodule.predict_dataset)
        self._begin(trainer, pl_module, dataset)
        callbacks: list[Callback] = vars(trainer)['callbacks']
        writers = [c for c in callbacks if isinstance(c, _PatchWriter)]
        if all(writer.remaining is not None for writer in writers):
            needed = set().union(*(w.remaining for w in writers if w.remaining))
            names = [dataset.prediction_id(i) for i in range(len(dataset))]
            left = [i for i, name in enumerate(names) if name in needed]
            # An empty set cannot be predicted, so the last patch is done once more.
            datamodule.predict_dataset = dataset.select(left or [len(names) - 1])

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the output directory, if the set was not known before."""
        if self.remaining is None:
            self._begin(trainer, pl_module, _predicted(trainer))

    def _begin(
        self, trainer: Trainer, pl_module: LightningModule, dataset: PatchDataset
    ) -> None:
        names = self.names(dataset)
        output_dir = self.output_dir.resolve()
        if any(output_dir == files.image.parent.resolve() for files in dataset.files):
            raise ValueError(
                f'Expected an output_dir of its own, got that of the images: '
                f'{self.output_dir}.'
            )
        settings = {
            'weights': hash_weights(pl_module),
            'set': f'{type(dataset).__name__} {dataset.split}',
            'root': str(Path(dataset.root).resolve()),
            'contract': getattr(pl_module, 'contract', None),
            'options': self.options(),
        }
        left: list[str] = []
        if trainer.is_global_zero:
            outputs = [f'{name}{suffix}' for name in names for suffix in self.suffixes]
            left = begin_record(self.output_dir, settings, outputs, self.overwrite)
        missing = set(trainer.strategy.broadcast(left))
        self.remaining = {
            name
            for name in names
            if any(f'{name}{s}' in missing for s in self.suffixes)
        }

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
        results = {k: v.cpu().numpy() for k, v in prediction.items() if v is not None}
        for position, index in enumerate(batch_indices or ()):
            result = {key: values[position] for key, values in results.items()}
            if dataset.prediction_id(index) in (self.remaining or ()):
                self.write(dataset, index, result)

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Write the file of one patch."""
        raise NotImplementedError

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that every patch is written."""
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            finish_record(self.output_dir)
        trainer.print(f'Wrote {self.what} to {self.output_dir}')
        self.remaining = None


class ClassMapWriter(_PatchWriter):
    """Write each predicted patch as a GeoTIFF of DFC2020 codes.

    It takes the patch's CRS and transform, holds the palette and the class names, and
    is called like the Sentinel-2 file with ``_s2_`` replaced by ``_dfc_`` (DFC2020),
    ``_lc_`` (SEN12MS) or ``_pred_`` (others), as in the 2020 baseline.
    """

    what = 'class maps'

    def __init__(
        self,
        output_dir: Path | str = 'predictions',
        probabilities: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Initialize a new ClassMapWriter instance.

        Args:
            output_dir: Directory for the class maps.
            probabilities: Whether to write ``NAME.probabilities.tif`` as well, one
                float32 band per class.
            overwrite: Whether outputs of a finished or another run may be replaced.
        """
        suffixes = ('.tif', '.probabilities.tif') if probabilities else ('.tif',)
        super().__init__(output_dir, overwrite, suffixes)
        self.probabilities = probabilities

    def options(self) -> dict[str, Any]:
        """What decides the content of the files, beside the network and the set."""
        return {'probabilities': self.probabilities}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output directory, and ask the task for what is to be written."""
        if stage == 'predict' and self.probabilities:
            setattr(pl_module, 'return_probabilities', True)  # noqa: B010 (a task's)
        super().setup(trainer, pl_module, stage)

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Write the class map of one patch, after its probabilities."""
        like = dataset.files[index].image
        name = dataset.prediction_id(index)
        if self.probabilities:
            shares = result['probabilities'].astype(np.float32)
            shares[:, result['prediction'] == IGNORE_INDEX] = np.nan
            labels = dataset.scheme.labels
            path = self.output_dir / f'{name}.probabilities.tif'
            write_probabilities(path, shares, labels, like)
        codes = dataset.scheme.decode(result['prediction'])
        write_class_map(self.output_dir / f'{name}.tif', codes, like)


class PreviewWriter(_PatchWriter):
    """Write a picture of each predicted patch: input, prediction, truth, legend."""

    what = 'previews'

    def __init__(
        self,
        output_dir: Path | str = 'previews',
        overwrite: bool = False,
        max_previews: int | None = 100,
    ) -> None:
        """Initialize a new PreviewWriter instance.

        Args:
            output_dir: Directory for the pictures.
            overwrite: Whether outputs of a finished or another run may be replaced.
            max_previews: Number of patches that get a picture, the first ones; all
                of them if None.
        """
        super().__init__(output_dir, overwrite, ('.png',))
        self.max_previews = max_previews

    def names(self, dataset: PatchDataset) -> list[str]:
        """The names of the patches to draw, without suffix.

        None, if the bands that the network reads make no picture.
        """
        try:
            render_image(np.zeros((len(dataset.bands), 1, 1)), dataset.bands)
        except RGBBandsMissingError:
            rank_zero_info('No previews: the bands make no picture.')
            return []
        return super().names(dataset)[: self.max_previews]

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Draw one patch."""
        name = dataset.prediction_id(index)
        prediction = torch.from_numpy(result['prediction'])
        sample = dataset[index] | {'prediction': prediction}
        figure = dataset.plot(sample, suptitle=name)
        with replacing(self.output_dir / f'{name}.png') as path:
            figure.savefig(path, format='png', dpi=100, bbox_inches='tight')


class ScoreWriter(Callback):
    """Write the scores of ``validate`` and ``test``, and print them as a table.

    ``NAME.json`` and ``NAME.csv`` hold every score and the confusion matrix,
    ``NAME.png`` shows the matrix; NAME is the set's.
    """

    def __init__(
        self, output_dir: Path | str | None = None, overwrite: bool = False
    ) -> None:
        """Initialize a new ScoreWriter instance.

        Args:
            output_dir: Directory for the files; by default the run's log directory.
            overwrite: Whether files of another run may be replaced.
        """
        self.output_dir = output_dir
        self.overwrite = overwrite
        #: What the last run wrote, and where.
        self.summary: dict[str, Any] = {}
        self.paths: list[Path] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output directory.

        Raises:
            FileExistsError: If scores of the same name are there.
            OSError: If the directory cannot be written to.
        """
        if stage not in ('validate', 'test') or not trainer.is_global_zero:
            return
        directory = self._directory(trainer)
        path = make_directory(directory) / f'{_set_name(trainer)}.json'
        if path.exists() and not self.overwrite:
            raise FileExistsError(
                f'Expected no scores yet, got {path}; choose another output_dir or '
                'set overwrite.'
            )

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Write the scores, unless this is a validation during training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module.val_metrics)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores."""
        self._write(trainer, pl_module.test_metrics)

    def _directory(self, trainer: Trainer) -> Path | str:
        return self.output_dir or trainer.log_dir or trainer.default_root_dir

    def _write(self, trainer: Trainer, scores: Any) -> None:
        self.summary = scores.summary()
        directory = self._directory(trainer)
        if not trainer.is_global_zero:
            return
        name, note = _set_name(trainer), _note(trainer)
        self.paths = write_scores(directory, name, self.summary, note)
        trainer.print(format_table(self.summary, name, note))
        for path in self.paths:
            trainer.print(f'Wrote {path}')


def _patches(dataset: Any) -> PatchDataset:
    if not isinstance(dataset, PatchDataset):
        raise TypeError(
            'Expected one of the patch datasets of dfc2020_geo to write predictions '
            f'for, got {type(dataset).__name__}.'
        )
    return dataset


def _predicted(trainer: Trainer) -> PatchDataset:
    return _patches(getattr(trainer.predict_dataloaders, 'dataset', None))


def _set_name(trainer: Trainer) -> str:
    """The name of the set that serves the stage, or of the stage."""
    split = 'test' if trainer.state.fn == TrainerFn.TESTING else 'val'
    return getattr(getattr(trainer, 'datamodule', None), 'sets', {}).get(split, split)


def _note(trainer: Trainer) -> str:
    split = 'test' if trainer.state.fn == TrainerFn.TESTING else 'val'
    datamodule = getattr(trainer, 'datamodule', None)
    return getattr(getattr(datamodule, f'{split}_dataset', None), 'note', '')
