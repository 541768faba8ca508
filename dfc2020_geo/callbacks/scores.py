"""Callback that writes the scores of validate, test and predict."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..datasets import PatchDataset
from ..io.atomic import make_directory
from ..metrics import SegmentationScores
from ..metrics.reports import format_table, write_scores


class ScoreWriter(Callback):
    """Write the scores of ``validate`` and ``test``, and print them as a table.

    ``NAME.json`` and ``NAME.csv`` hold every score, ``NAME_confusion.csv`` and
    ``NAME_confusion.png`` the confusion matrix; NAME is the named set, such as
    ``dfc2020_test``. With *predictions* ``predict`` is scored as well, in the same pass
    that writes its class maps: a pixel without data there counts as wrong.

    Attributes:
        summary: Scores of the last stage, as
            :meth:`~dfc2020_geo.metrics.SegmentationScores.summary` returns them.
        paths: Files of the last stage.
    """

    def __init__(
        self,
        output_dir: Path | str | None = None,
        overwrite: bool = False,
        predictions: bool = False,
    ) -> None:
        """Initialize a new ScoreWriter instance.

        Args:
            output_dir: Directory for the files; by default the run's log directory.
            overwrite: Whether files of another run may be replaced.
            predictions: Whether to score the predictions of ``predict`` as well; its
                set must be labelled.
        """
        self.output_dir = None if output_dir is None else Path(output_dir).expanduser()
        self.overwrite = overwrite
        self.predictions = predictions
        self.metrics: SegmentationScores | None = None
        self.summary: dict[str, Any] = {}
        self.paths: list[Path] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output directory.

        Raises:
            FileExistsError: If scores of the same name exist.
            OSError: If the directory cannot be written to.
            ValueError: If predictions are to be scored on a set without labels.
        """
        if stage == 'predict' and self.predictions:
            self.metrics = _score_everything(getattr(trainer, 'datamodule', None))
        elif stage not in ('validate', 'test'):
            return
        directory = self._directory(trainer)
        if not trainer.is_global_zero:
            return
        path = make_directory(directory) / f'{_set_name(trainer)}.json'
        if path.exists() and not self.overwrite:
            raise FileExistsError(
                f'Expected no scores yet, got {path}; choose another '
                '--scores.output_dir or set --scores.overwrite true.'
            )

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Write the scores, unless this is a validation during training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module.val_metrics, trainer.limit_val_batches)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the scores."""
        self._write(trainer, pl_module.test_metrics, trainer.limit_test_batches)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the pixels of one batch."""
        if self.metrics is not None:
            scores = self.metrics.to(pl_module.device)
            scores.update(outputs['prediction'], batch['mask'])

    def on_predict_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Write the scores of the predictions."""
        if self.metrics is not None:
            self._write(trainer, self.metrics, trainer.limit_predict_batches)
            self.metrics = None

    def _directory(self, trainer: Trainer) -> Path | str:
        # Every process must read log_dir, since it is broadcast from the first.
        return self.output_dir or trainer.log_dir or trainer.default_root_dir

    def _write(self, trainer: Trainer, scores: Any, limit: float) -> None:
        self.summary = scores.summary()
        unread = _count_unread(trainer)
        if unread:
            self.summary['unread'] = unread
        directory = self._directory(trainer)
        if not trainer.is_global_zero:
            return
        name = _set_name(trainer)
        is_whole = isinstance(limit, float) and limit == 1
        notes = [
            _note(trainer),
            '' if is_whole else f'{limit} batches only.',
            f'{unread} patches could not be read and are left out.' if unread else '',
        ]
        note = ' '.join(filter(None, notes))
        self.paths = write_scores(directory, name, self.summary, note)
        trainer.print(format_table(self.summary, name, note))
        for path in self.paths:
            trainer.print(f'Wrote {path}')


def _score_everything(datamodule: Any) -> SegmentationScores:
    """Predict every patch, also those whose class maps exist, and score them."""
    dataset = getattr(datamodule, 'predict_dataset', None)
    if not isinstance(dataset, PatchDataset) or dataset.files[0].label is None:
        name = getattr(datamodule, 'sets', {}).get('predict', type(dataset).__name__)
        raise ValueError(
            f"Expected a labelled set to score predictions on, got '{name}'; name "
            'another with --data.predict, or leave --scores.predictions out.'
        )
    select_pending = datamodule.select_pending
    if select_pending is not None:

        def keep_all(dataset: PatchDataset) -> PatchDataset:
            select_pending(dataset)
            return dataset

        datamodule.select_pending = keep_all
    return SegmentationScores(len(dataset.scheme), dataset.scheme.labels)


def _split(trainer: Trainer) -> str:
    splits = {TrainerFn.TESTING: 'test', TrainerFn.PREDICTING: 'predict'}
    return splits.get(trainer.state.fn, 'val')


def _set_name(trainer: Trainer) -> str:
    """Return the named set of the stage, or the name of the stage."""
    split = _split(trainer)
    return getattr(getattr(trainer, 'datamodule', None), 'sets', {}).get(split, split)


def _count_unread(trainer: Trainer) -> int:
    """Count the patches of the stage that no process could read."""
    datamodule = getattr(trainer, 'datamodule', None)
    own = float(len(getattr(datamodule, 'unread', {}).get(_split(trainer), ())))
    total: Any = trainer.strategy.reduce(
        torch.tensor(own, device=trainer.strategy.root_device), reduce_op='sum'
    )
    return int(total)


def _note(trainer: Trainer) -> str:
    datamodule = getattr(trainer, 'datamodule', None)
    return getattr(getattr(datamodule, f'{_split(trainer)}_dataset', None), 'note', '')
