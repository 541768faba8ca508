"""Writing the scores of a stage."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from ..atomic import make_directory
from ..reports import format_table, write_scores


class ScoreWriter(Callback):
    """Write the scores of ``validate`` and ``test``, and print them as a table.

    ``NAME.json`` and ``NAME.csv`` hold every score, ``NAME_confusion.csv`` and
    ``NAME_confusion.png`` the confusion matrix; NAME is the set's.
    """

    def __init__(
        self, output_dir: Path | str | None = None, overwrite: bool = False
    ) -> None:
        """Initialize a new ScoreWriter instance.

        Args:
            output_dir: Directory for the files; by default the run's log directory.
            overwrite: Whether files of another run may be replaced.
        """
        self.output_dir = None if output_dir is None else Path(output_dir).expanduser()
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
        if stage not in ('validate', 'test'):
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

    def _directory(self, trainer: Trainer) -> Path | str:
        # Every process must ask for log_dir, since it is sent from the first to all.
        return self.output_dir or trainer.log_dir or trainer.default_root_dir

    def _write(self, trainer: Trainer, scores: Any, limit: float) -> None:
        self.summary = scores.summary()
        directory = self._directory(trainer)
        if not trainer.is_global_zero:
            return
        name = _set_name(trainer)
        notes = [_note(trainer), '' if limit == 1.0 else f'{limit} batches only.']
        note = ' '.join(filter(None, notes))
        self.paths = write_scores(directory, name, self.summary, note)
        trainer.print(format_table(self.summary, name, note))
        for path in self.paths:
            trainer.print(f'Wrote {path}')


def _split(trainer: Trainer) -> str:
    return 'test' if trainer.state.fn == TrainerFn.TESTING else 'val'


def _set_name(trainer: Trainer) -> str:
    """Return the name of the set that serves the stage, or of the stage."""
    split = _split(trainer)
    return getattr(getattr(trainer, 'datamodule', None), 'sets', {}).get(split, split)


def _note(trainer: Trainer) -> str:
    datamodule = getattr(trainer, 'datamodule', None)
    return getattr(getattr(datamodule, f'{_split(trainer)}_dataset', None), 'note', '')
