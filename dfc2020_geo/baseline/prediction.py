"""``scripts/predict.py``: class maps and scores by the flags of the 2020 baseline."""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ..callbacks import ScoreWriter
from ..cli.stages import LandCoverCLI
from ..datamodules.named_sets import SETS
from ..datasets import PatchesNotFoundError
from ..io.run_record import RECORD_NAME
from ..models.contract import (
    CONTRACT_KEY,
    data_contract,
    find_conflict,
    read_checkpoint,
)
from .arguments import network_settings
from .checkpoints import import_checkpoint
from .pickles import read_arguments

#: Name of the folder for scores beside the class maps.
SCORES = 'scores'


def set_aside(directory: Path | str) -> Path | None:
    """Move the outputs of an earlier run to a folder of their own.

    Args:
        directory: Where a run wrote its outputs.

    Returns:
        The new folder in *directory* that they are in now, None without a record.
    """
    directory = Path(directory).expanduser()
    record = directory / RECORD_NAME
    if not record.exists():
        return None
    outputs = json.loads(record.read_text(encoding='utf-8'))['outputs']
    folders = (directory / f'earlier-{number}' for number in count(1))
    target = next(folder for folder in folders if not folder.exists())
    target.mkdir()
    for name in (*outputs, SCORES, RECORD_NAME):
        source = directory / Path(name).name
        # The folder for scores is made before anything is found to be in the way.
        if source.is_file() or (source.is_dir() and any(source.iterdir())):
            source.rename(target / source.name)
    print(f'Moved the outputs of an earlier run to {target}')
    return target


#: The set that each kind of data is here.
DATASETS = {
    'sen12ms_holdout': 'sen12ms_holdout',
    'dfc2020_val': 'dfc2020_val',
    'dfc2020_test': 'dfc2020_test',
    'tiff_dir': 'unlabeled',
    'TIFFdir': 'unlabeled',
}

#: The baseline's own flags. argparse takes the beginning of a flag for the whole one.
_FLAGS = (
    '--help', '--config_file', '--checkpoint_file', '--score', '--batch_size',
    '--workers', '--dataset', '--data_dir', '--out_dir', '--preview_dir',
)  # fmt: skip

#: Where the arguments of a checkpoint of the baseline are, unless named.
CONFIG = './args.pkl'

_TEXT = 'Write class maps, and score them, by the flags of the 2020 baseline.'
_DATASET = 'sen12ms_holdout'


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the baseline's flags, and of ``--overwrite``.

    Returns:
        The parser, with the baseline's defaults.
    """
    parser = argparse.ArgumentParser('predict.py', description=_TEXT)
    add = parser.add_argument
    path = os.path.expanduser
    text = f'args.pkl of the checkpoint (default: {CONFIG}); a checkpoint of this'
    add('--config', type=path, help=f'{text} package can do without')
    add('--config_file', type=path, help='the same')
    text = 'checkpoint of the baseline or of this package (default: %(default)s)'
    add('--checkpoint_file', type=path, default='./checkpoint.pth', help=text)
    add('--score', action='store_true', help='score the class maps; needs labels')
    text = '(default: %(default)s)'
    add('--batch_size', type=int, default=32, help=f'patches in a batch {text}')
    workers = f'processes that load patches {text}'
    add('--workers', type=int, default=4, help=workers)
    sets = tuple(DATASETS)
    add('--dataset', choices=sets, help=f'kind of data (default: {_DATASET})')
    add('--dataset_val', choices=sets, help='the same')
    add('--data_dir', type=path, help='directory of the data')
    out_dir = f'directory for the class maps {text}'
    add('--out_dir', type=path, default='./results', help=out_dir)
    text = 'directory for pictures; none are drawn without it'
    add('--preview_dir', type=path, help=text)
    overwrite = 'replace the outputs of earlier runs, which are moved away otherwise'
    add('--overwrite', action='store_true', help=overwrite)
    return parser


def parse_flags(args: Sequence[str]) -> argparse.Namespace:
    """Parse a command line, and refuse contradicting flags.

    Args:
        args: Command line without the program.

    Returns:
        The flags of :func:`build_parser`; ``dataset`` and ``config`` are what is given
        under either of their spellings, the latter None if it is not.

    Raises:
        ValueError: If flags contradict each other, or a number is out of range.
    """
    given = build_parser().parse_args([complete_flag(argument) for argument in args])
    dataset = _either(given, 'dataset', 'dataset_val', DATASETS.__getitem__)
    given.dataset = dataset or _DATASET
    given.config = _either(given, 'config', 'config_file', Path)
    _check(given)
    return given


def complete_flag(argument: str) -> str:
    """Complete an abbreviated flag of the baseline.

    argparse does so by itself, unless a flag of ours begins the same.

    Args:
        argument: An argument of the command line, with or without ``=VALUE``.

    Returns:
        The argument; with the whole flag if it is the beginning of one of the baseline.
    """
    start, *value = argument.split('=', 1)
    found = [flag for flag in _FLAGS if flag.startswith(start)]
    if len(found) != 1 or len(start) < 3 or start == '--config':
        return argument
    return '='.join([*found, *value])


def _either(
    given: argparse.Namespace, one: str, other: str, meaning: Callable[[str], Any]
) -> str | None:
    """Return the value of a flag with two spellings."""
    values = {f'--{name}': getattr(given, name) for name in (one, other)}
    values = {flag: value for flag, value in values.items() if value is not None}
    if len({meaning(value) for value in values.values()}) > 1:
        both = ' and '.join(f'{flag} {value}' for flag, value in values.items())
        raise ValueError(
            f'Expected --{one} or --{other}, which mean the same, got {both}.'
        )
    return next(iter(values.values()), None)


def _check(given: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, before anything is done."""
    if given.score and not SETS[DATASETS[given.dataset]].is_labelled:
        raise ValueError(
            f'Expected a labelled dataset for --score, got {given.dataset}; leave --score '
            'out, or take another dataset.'
        )
    if given.batch_size < 1 or given.workers < 0:
        raise ValueError(
            f'Expected --batch_size from 1 and --workers from 0, got '
            f'{given.batch_size} and {given.workers}.'
        )
    if given.data_dir is None:
        raise ValueError(
            f'Expected --data_dir, the directory of {given.dataset}, got none.'
        )
    if not Path(given.data_dir).is_dir():
        raise ValueError(
            f'Expected --data_dir to be a directory, got {given.data_dir}.'
        )


def translate_flags(given: argparse.Namespace) -> list[str]:
    """Translate the flags to those of ``dfc2020-geo predict``.

    Args:
        given: From :func:`parse_flags`.

    Returns:
        Flags with their values, ``--NAME=VALUE``.
    """
    name = DATASETS[given.dataset]
    settings = {
        'data.predict': name,
        f'data.{SETS[name].data}_root': given.data_dir,
        'data.batch_size': given.batch_size,
        'data.num_workers': given.workers,
        'data.check': 'warn',
        'trainer.devices': 1,
        'class_maps.output_dir': given.out_dir,
        'previews.max_previews': 0 if given.preview_dir is None else 'null',
        'scores.predictions': given.score,
        'scores.output_dir': Path(given.out_dir) / SCORES,
    }
    if given.preview_dir is not None:
        settings['previews.output_dir'] = given.preview_dir
    for writer in ('class_maps', 'previews', 'scores'):
        settings[f'{writer}.overwrite'] = given.overwrite
    return [f'--{key}={value}' for key, value in settings.items()]


def main(args: Sequence[str]) -> LandCoverCLI:
    """Predict as the baseline's predict.py does, and print scores if asked for.

    A checkpoint of the baseline is imported on the way. One of this package says
    itself what it reads; an ``args.pkl`` that is named beside it must agree.

    Class maps of an earlier run are moved into a folder of their own in the same
    directory, or replaced with ``--overwrite``; an interrupted run is resumed.

    Args:
        args: Command line without the program.

    Returns:
        The command that predicted.

    Raises:
        DatasetNotFoundError: If the data are not where they should be.
        FileExistsError: If files in the output directory belong to no known run.
        ValueError: If flags contradict each other.
    """
    given = parse_flags(args)
    path = Path(given.checkpoint_file)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _find_checkpoint(path, given.config, folder)
        command = ['predict', f'--ckpt_path={checkpoint}', *translate_flags(given)]
        cli = _predict(command, given)
    if given.score:
        _print_scores(cli)
    return cli


def _find_checkpoint(path: Path, config: str | None, folder: str) -> Path:
    """Return a checkpoint of this package, imported into a folder if need be."""
    try:
        contract = read_checkpoint(path)[CONTRACT_KEY]
    except ValueError:
        imported = Path(folder) / 'imported.ckpt'
        import_checkpoint(config or CONFIG, path, imported)
        return imported
    if config is not None:
        settings = network_settings(read_arguments(config))
        facts = {name: settings[name] for name in ('model', 'output_stride')}
        facts |= data_contract(*(settings[n] for n in ('bands', 'scheme', 'nan')))
        if conflict := find_conflict(facts, contract):
            name, value, other = conflict
            raise ValueError(
                f'Expected {name}={other} as in the checkpoint {path}, got {value} in '
                f'{config}; leave --config out, or take the args.pkl of the checkpoint.'
            )
    return path


def _predict(command: Sequence[str], given: argparse.Namespace) -> LandCoverCLI:
    """Predict; if outputs of an earlier run are in the way, after moving those."""
    try:
        return LandCoverCLI(command)
    except PatchesNotFoundError as error:
        raise PatchesNotFoundError(
            f'{error.__cause__} (This is {given.dataset}: --data_dir is its root, '
            '--dataset names another kind of data.)'
        ) from error
    except FileExistsError as error:
        folders = [folder for folder in (given.out_dir, given.preview_dir) if folder]
        moved = [set_aside(folder) for folder in folders]
        if not any(moved):
            raise FileExistsError(
                f'Expected no files of another program in {given.out_dir}, got some '
                f'of the same names; choose another --out_dir or add --overwrite.'
            ) from error
    return LandCoverCLI(command)


def _print_scores(cli: LandCoverCLI) -> None:
    """Print the baseline's two scores as it does, at full precision."""
    callbacks: list[Any] = vars(cli.trainer)['callbacks']
    writer = next(c for c in callbacks if isinstance(c, ScoreWriter))
    for title, name in (('AA', 'AA'), ('mIoU', 'mIoU_all')):
        score = writer.summary['scores'][name]
        print(f'{title}\t', 'nan' if score is None else score)
