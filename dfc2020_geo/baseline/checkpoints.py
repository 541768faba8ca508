"""Import and export of checkpoints of the 2020 baseline."""

import logging
import shlex
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import instantiate_module
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer

from ..cli.help import shorten
from ..cli.stages import LandCoverCLI
from ..io.atomic import make_directory, replacing
from ..models.contract import CONTRACT_KEY, SHARED_FACTS, read_checkpoint
from ..tasks import LandCoverSegmentation
from .agreement import check_weights, describe_difference
from .arguments import ARGUMENTS, baseline_arguments, network_settings
from .config import fit_config
from .pickles import read_arguments, write_arguments
from .states import TrainingState, network_weights, read_state, write_state

#: Where an imported checkpoint keeps the arguments that came with it.
ARGUMENTS_KEY = 'dfc2020_baseline_arguments'


@dataclass(frozen=True, slots=True)
class Conversion:
    """Outcome of an import or export of a checkpoint.

    Attributes:
        network: ``bands``, ``scheme``, ``nan``, ``model`` and ``output_stride``.
        step: Number of optimisation steps of the training.
        files: What was written.
        remarks: What was missing, replaced or differs, in sentences.
    """

    network: dict[str, Any]
    step: int
    files: tuple[Path, Path]
    remarks: tuple[str, ...]


def import_checkpoint(
    config_file: Path | str,
    checkpoint_file: Path | str,
    out: Path | str,
    overwrite: bool = False,
) -> Conversion:
    """Import a checkpoint of the baseline: a checkpoint and a config of this package.

    Nothing in the files is run. The network has made as many optimisation steps as
    ``step`` says; the config trains it on, for as many epochs as the arguments say.

    Args:
        config_file: ``args.pkl`` of the baseline.
        checkpoint_file: ``checkpoint_step_N.pth`` that belongs to it.
        out: Where the checkpoint shall be, a name that ends in ``.ckpt``; the config
            stands beside it and ends in ``.yaml``.
        overwrite: Whether they may replace other files.

    Returns:
        What was read and written.

    Raises:
        FileExistsError: If there are such files, unless *overwrite*.
        FileNotFoundError: If there is nothing to read.
        TypeError: If the checkpoint is no dict.
        ValueError: If a file is not what it should be, or the two do not belong
            together.
    """
    out = Path(out)
    if out.suffix != '.ckpt':
        raise ValueError(f'Expected a name that ends in .ckpt, got {out}.')
    files = out, out.with_suffix('.yaml')
    _check_free(files, overwrite)
    arguments = read_arguments(config_file)
    config, network = _read_settings(arguments, config_file)
    state = read_state(checkpoint_file)
    trainer, remarks = take_over(config, state, config_file, checkpoint_file)
    callbacks: list[Callback] = vars(trainer)['callbacks']
    callbacks.append(_KeepArguments(arguments))
    make_directory(out.parent)
    with replacing(files[0]) as checkpoint, replacing(files[1]) as text:
        trainer.save_checkpoint(checkpoint, weights_only=False)
        content = _describe(config | {'ckpt_path': str(out)}, files[1], state.step)
        text.write_text(content, encoding='utf-8')
    return Conversion(network, state.step, files, (*state.remarks, *remarks))


def export_checkpoint(
    ckpt_path: Path | str, out_dir: Path | str, overwrite: bool = False
) -> Conversion:
    """Export a checkpoint of this package to the baseline's files.

    Args:
        ckpt_path: Checkpoint with a network of the baseline.
        out_dir: Directory for ``checkpoint_step_N.pth`` and ``args.pkl``.
        overwrite: Whether they may replace other files.

    Returns:
        What was read and written.

    Raises:
        FileExistsError: If there are such files, unless *overwrite*.
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the baseline has no such network.
    """
    checkpoint = read_checkpoint(ckpt_path)
    facts, step = checkpoint[CONTRACT_KEY], checkpoint['global_step']
    arguments = _arguments_of(checkpoint, ckpt_path)
    weights = network_weights(checkpoint['state_dict'])
    optimizer, remarks = _optimizer_of(checkpoint, arguments)
    if facts['nan'] != 'baseline':
        remarks.append(
            f"The network was trained with nan='{facts['nan']}'; the baseline scales "
            "NaN its own way (nan='baseline'), so its maps differ where there is NaN."
        )
    files = Path(out_dir) / f'checkpoint_step_{step}.pth', Path(out_dir) / 'args.pkl'
    _check_free(files, overwrite)
    make_directory(out_dir)
    with replacing(files[0]) as unfinished:
        write_state(unfinished, TrainingState(weights, step, optimizer))
        write_arguments(files[1], arguments)
    return Conversion(network_settings(arguments), step, files, tuple(remarks))


class _KeepArguments(Callback):
    """Keep the baseline's arguments in a checkpoint: not all are settings here."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[ARGUMENTS_KEY] = self.arguments


def _read_settings(
    arguments: Mapping[str, Any], path: Path | str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the config and the network that the baseline's arguments stand for."""
    try:
        config, network = fit_config(arguments), network_settings(arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{error} (These are the arguments in {path}.)') from error
    # The trained weights come from the checkpoint: nothing else is to be loaded.
    config['model']['init_args']['weights'] = None
    return config, network


def _describe(config: dict[str, Any], path: Path, step: int) -> str:
    """Format a config as YAML below a header with its purpose and command."""
    command = ' '.join(f'dfc2020-geo fit --config {shlex.quote(str(path))}'.split())
    return (
        f'# Trains a network of the 2020 baseline on, after {step} steps.\n'
        f'# {command}\n'
        '# The directories are those of its arguments; flags and edits change them.\n'
        f'{yaml.safe_dump(config, sort_keys=False)}'
    )


def _arguments_of(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Return the baseline's arguments for a checkpoint: those it came with, if any."""
    if ARGUMENTS_KEY in checkpoint:
        return ARGUMENTS | checkpoint[ARGUMENTS_KEY]
    parameters = checkpoint['hyper_parameters']
    optimizer = dict((parameters.get('optimizer') or {}).get('init_args', {}))
    optimizer.pop('lr', None)
    try:
        return baseline_arguments(parameters | optimizer | checkpoint[CONTRACT_KEY])
    except ValueError as error:
        raise ValueError(f'{error} ({path} cannot be exported.)') from error


def _optimizer_of(
    checkpoint: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the state of a checkpoint's optimiser, or of a new one, with remarks."""
    config, network = _read_settings(arguments, 'args.pkl')
    shared = {name: network[name] for name in SHARED_FACTS}
    model = config['model']
    settings = {'_class_path': model['class_path'], **shared, **model['init_args']}
    task = instantiate_module(LandCoverSegmentation, settings)
    expected = task.configure_optimizers()['optimizer']
    states = checkpoint.get('optimizer_states') or [None]
    if states[0] is None:
        reason = 'The checkpoint has no state of the optimiser'
    elif difference := describe_difference(states[0], expected):
        reason = f"It was not trained with the baseline's optimiser ({difference})"
    else:
        return states[0], []
    return expected.state_dict(), [f'{reason}: the file has a new one.']


def _check_free(files: tuple[Path, Path], overwrite: bool) -> None:
    for path in files:
        if path.is_dir() or (path.exists() and not overwrite):
            raise FileExistsError(
                f'Expected no file yet, got {path}; choose another place, or add '
                '--overwrite.'
            )


#: Settings of a trainer that trains, logs and writes nothing: state is restored.
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
    """The stage ``fit``, set up to restore a training without a step of it."""

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
    """Restore the weights, optimiser state and step count of a training.

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
    """Set the step count of a trainer, at the beginning of an epoch."""
    loop = trainer.fit_loop.epoch_loop
    optimizer_steps = loop.automatic_optimization.optim_progress.optimizer.step.total
    batches: Any = loop.batch_progress.total
    optimizer_steps.ready = optimizer_steps.completed = step
    batches.ready = batches.started = batches.processed = batches.completed = step
    loop._batches_that_stepped = step


@contextmanager
def _without_noise() -> Generator[None]:
    """Silence Lightning's remarks on training: there is none."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', PossibleUserWarning)
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(before)
