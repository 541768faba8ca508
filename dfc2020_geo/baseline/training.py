"""``scripts/train.py``: training by the flags of the 2020 baseline."""

import argparse
import math
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.fabric.utilities.seed import max_seed_value

from ..cli.stages import LandCoverCLI, SaveConfig
from ..datasets import PatchesNotFoundError
from ..io.atomic import make_directory
from .arguments import ARGUMENTS, BAND_FLAGS, MODELS, OUT_STRIDES, VALIDATION_ROOTS
from .config import fit_config
from .pickles import write_arguments

_HOLDOUT = 'sen12ms_holdout'

#: The smallest value of each number.
_LOWEST = {
    **dict.fromkeys(('val_freq', 'save_freq', 'log_freq', 'batch_size'), 1),
    **dict.fromkeys(('workers', 'lr', 'momentum', 'weight_decay'), 0),
    'max_epochs': 1,
}

#: Arguments that the U-Net has no use for.
_DEEPLAB_ONLY = ('pretrained_backbone', 'out_stride', 'momentum')

_TEXT = 'Train a network of the 2020 baseline by its flags.'
_EPILOG = (
    'To resume a run, or to change what has no flag here: dfc2020-geo fit --config '
    'LOG_DIR/EXPERIMENT_NAME/fit.yaml --ckpt_path CHECKPOINT.'
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the baseline's flags.

    Returns:
        The parser, with the baseline's defaults.
    """
    parser = argparse.ArgumentParser('train.py', description=_TEXT, epilog=_EPILOG)
    add = partial(_add, parser)
    add('experiment_name', 'name of the run, and of its folder in LOG_DIR')
    add('val_freq', 'optimisation steps from one validation to the next', int)
    add('save_freq', 'optimisation steps from one checkpoint to the next', int)
    add('log_freq', 'optimisation steps from one set of pictures to the next', int)
    add('seed', 'seed of everything random, deterministic algorithms', int)
    for flag, name in BAND_FLAGS.items():
        add(flag, f'read the bands of {name}')
    add('no_savanna', 'leave out class Savanna')
    add('lr', 'learning rate (of the backbone; the head learns 10 times faster)', float)
    add('momentum', 'momentum, for deeplab only', float)
    add('weight_decay', 'weight decay', float)
    add('batch_size', 'patches in a batch', int)
    add('workers', 'processes that load patches', int)
    add('max_epochs', 'passes over the training set', int)
    add('model', 'network', choices=tuple(MODELS))
    add('pretrained_backbone', 'begin with weights from ImageNet, for deeplab only')
    add('out_stride', 'output stride, for deeplab only', int, choices=OUT_STRIDES)
    path = os.path.expanduser
    add('data_dir_train', 'directory of SEN12MS', path)
    add('dataset_val', 'set for validation', choices=tuple(VALIDATION_ROOTS))
    add('data_dir_val', 'directory of that set, for the holdout DATA_DIR_TRAIN', path)
    where = (
        "directory for logs and checkpoints (the baseline's description says runs/id)"
    )
    add('log_dir', where, path)
    return parser


def _add(
    parser: argparse.ArgumentParser, name: str, text: str, kind: Any = str, **more: Any
) -> None:
    """Add a flag with the baseline's default."""
    default = ARGUMENTS[name]
    is_switch = default is False
    more |= (
        {'action': 'store_true'} if is_switch else {'type': kind, 'default': default}
    )
    parser.add_argument(f'--{name}', help=f'{text} (default: {default})', **more)


def main(args: Sequence[str]) -> LandCoverCLI:
    """Train a network as the baseline's train.py does, and print how to resume.

    Beside the checkpoints in ``LOG_DIR/EXPERIMENT_NAME/checkpoints`` stands
    ``args.pkl``; ``LOG_DIR/EXPERIMENT_NAME/fit.yaml`` has the settings for
    ``dfc2020-geo fit``.

    Args:
        args: Command line without the program.

    Returns:
        The command that trained.

    Raises:
        DatasetNotFoundError: If the data are not where they should be.
        FileExistsError: If there are checkpoints of another run.
        ValueError: If flags contradict each other.
    """
    given = vars(build_parser().parse_args(args))
    folder = Path(given['log_dir']) / given['experiment_name']
    checkpoints = folder / 'checkpoints'
    values = ARGUMENTS | given
    values |= {'use_gpu': torch.cuda.is_available(), 'checkpoint_dir': str(checkpoints)}
    check_arguments(values)
    config = fit_config(values)
    _check_place(checkpoints)
    for remark in describe_ignored(values):
        print(remark)
    write_arguments(make_directory(checkpoints) / 'args.pkl', values)
    cli = _fit(config, values['dataset_val'])
    _say_how_to_resume(cli, folder)
    return cli


def check_arguments(values: dict[str, Any]) -> None:
    """Refuse arguments that contradict each other, before anything is done.

    Args:
        values: Every argument of the baseline by name.

    Raises:
        ValueError: If a number is out of range, a directory is not said or not there,
            or DeepLabv3+ shall learn from batches of one.
    """
    _check_numbers(values)
    if values['model'] == 'deeplab' and values['batch_size'] == 1:
        raise ValueError(
            'Expected --batch_size 2 or more for deeplab, which normalises over the '
            'batch, got 1.'
        )
    if values['data_dir_train'] is None:
        raise ValueError(
            'Expected --data_dir_train, the directory of SEN12MS, got none.'
        )
    if values['dataset_val'] != _HOLDOUT and values['data_dir_val'] is None:
        raise ValueError(
            f'Expected --data_dir_val, the directory of {values["dataset_val"]}, got '
            f'none; add it, or validate with --dataset_val {_HOLDOUT}.'
        )
    for name in ('data_dir_train', 'data_dir_val'):
        if values[name] is not None and not Path(values[name]).is_dir():
            raise ValueError(
                f'Expected --{name} to be a directory, got {values[name]}.'
            )


def _check_numbers(values: dict[str, Any]) -> None:
    for name, lowest in _LOWEST.items():
        if not lowest <= values[name] < math.inf:
            raise ValueError(f'Expected --{name} from {lowest}, got {values[name]}.')
    seed = values['seed']
    if seed is not None and not 0 <= seed <= max_seed_value:
        raise ValueError(f'Expected --seed from 0 to {max_seed_value}, got {seed}.')


def describe_ignored(values: dict[str, Any]) -> Iterator[str]:
    """Describe ignored arguments, and the default of a missing root.

    Args:
        values: Every argument of the baseline by name.

    Yields:
        A line for each.
    """
    if values['model'] == 'unet':
        for name in _DEEPLAB_ONLY:
            if values[name] != ARGUMENTS[name]:
                yield f'Ignored --{name}: it is for --model deeplab only.'
    if values['data_dir_val'] is None:
        yield f'No --data_dir_val: validating in {values["data_dir_train"]}.'


def _check_place(checkpoints: Path) -> None:
    found = sorted(checkpoints.glob('*.pth'), key=lambda p: (len(p.name), p.name))
    if found:
        raise FileExistsError(
            f'Expected no checkpoints yet, got {len(found)} in {checkpoints}; choose '
            'another --experiment_name or --log_dir, or resume that run: '
            f'{_command(checkpoints.parent / "fit.yaml", found[-1])}'
        )


def _fit(config: dict[str, Any], dataset_val: str) -> LandCoverCLI:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'train.yaml'
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding='utf-8')
        try:
            return LandCoverCLI(['fit', '--config', str(path)])
        except PatchesNotFoundError as error:
            raise PatchesNotFoundError(
                f'{error.__cause__} (--data_dir_train is the root for training, '
                f'--data_dir_val the one of {dataset_val}.)'
            ) from error


def _say_how_to_resume(cli: LandCoverCLI, folder: Path) -> None:
    callbacks: list[Any] = vars(cli.trainer)['callbacks']
    saved = next(c.config_filename for c in callbacks if isinstance(c, SaveConfig))
    checkpoint: Any = cli.trainer.checkpoint_callback
    last = os.path.relpath(checkpoint.best_model_path)
    print(f'To resume: {_command(folder / saved, last)} --trainer.max_epochs N')


def _command(config: Path, checkpoint: Path | str) -> str:
    """Return the shell command that resumes a run."""
    flags = ('--config', str(config), '--ckpt_path', str(checkpoint))
    return shlex.join(['dfc2020-geo', 'fit', *flags])
