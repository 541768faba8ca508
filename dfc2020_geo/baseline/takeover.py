"""A trainer in the state of an imported training, for a checkpoint that ``fit`` writes."""

import logging
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer

from ..cli.help import shorten
from ..cli.stages import LandCoverCLI
from .agreement import check_weights, describe_difference
from .states import TrainingState

#: Nothing is trained, watched or written while a state of training is taken over.
_IDLE: dict[str, Any] = {
    'seed_everything': False,
    'trainer': {
        'accelerator': 'cpu',
        'callbacks': None,
        'deterministic': None,
        'devices': 1,
        'enable_checkpointing': False,
        'enable_model_summary': False,
        'enable_progress_bar': False,
        'limit_train_batches': 0,
        'logger': False,
    },
}


class _TakeOver(LandCoverCLI):
    """The command ``fit``, which takes over a training in place of training."""

    def __init__(self, config: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            args = ['fit']
            for name, settings in {'fit': config, 'idle': _IDLE}.items():
                path = Path(folder) / f'{name}.yaml'
                path.write_text(yaml.safe_dump(settings), encoding='utf-8')
                args.append(f'--config={path}')
            super().__init__(args)

    def fit(self, model: LightningModule, **kwargs: Any) -> None:
        """Set up training without a batch to train on."""
        self.trainer.fit(model, train_dataloaders=[])

    def after_fit(self) -> None:
        """Say nothing: no training ended."""


def take_over(
    config: dict[str, Any],
    state: TrainingState,
    config_file: Path | str,
    checkpoint_file: Path | str,
) -> tuple[Trainer, list[str]]:
    """Bring a network, its optimiser and the count of steps to where they were.

    Args:
        config: Settings of ``dfc2020-geo fit``.
        state: Where the training was.
        config_file: What the settings were read from, for messages.
        checkpoint_file: What the state was read from, for messages.

    Returns:
        A trainer that can save a checkpoint, and what it could not restore, in
        sentences.

    Raises:
        ValueError: If a setting is of no use, or the weights are of another network.
    """
    try:
        with _without_noise():
            cli = _TakeOver(config)
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ValueError(
            f'Expected arguments of the baseline, got {config_file}: '
            f'{shorten(str(error))}'
        ) from error
    network: Any = cli.model.model
    check_weights(state.weights, network.state_dict(), checkpoint_file)
    network.load_state_dict(state.weights)
    remark = _restore_optimizer(cli.trainer.optimizers[0], state.optimizer)
    _set_step(cli.trainer, state.step)
    return cli.trainer, [remark] if remark else []


def _restore_optimizer(
    optimizer: Optimizer, state: dict[str, Any] | None
) -> str | None:
    if state is None:
        return None
    if difference := describe_difference(state, optimizer):
        return (
            'The state of the optimiser is not of the one that the arguments describe '
            f'({difference}): training begins a new one.'
        )
    ours = optimizer.state_dict()['param_groups']
    # torch has come to know more options since; they keep their defaults.
    groups = [o | t for o, t in zip(ours, state['param_groups'], strict=True)]
    optimizer.load_state_dict({**state, 'param_groups': groups})
    return None


def _set_step(trainer: Trainer, step: int) -> None:
    """Let a trainer count on from a step, at the beginning of an epoch."""
    loop = trainer.fit_loop.epoch_loop
    optimizer_steps = loop.automatic_optimization.optim_progress.optimizer.step.total
    batches: Any = loop.batch_progress.total
    optimizer_steps.ready = optimizer_steps.completed = step
    batches.ready = batches.started = batches.processed = batches.completed = step
    loop._batches_that_stepped = step


@contextmanager
def _without_noise() -> Generator[None]:
    """Leave out what Lightning says of training: there is none."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', PossibleUserWarning)
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(before)
