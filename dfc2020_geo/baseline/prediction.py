"""``scripts/predict.py``: class maps and scores by the flags of the 2020 baseline."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..callbacks import ScoreWriter
from ..cli.stages import LandCoverCLI
from ..datasets import PatchesNotFoundError
from ..models.contract import (
    CONTRACT_KEY,
    data_contract,
    find_conflict,
    read_checkpoint,
)
from .arguments import network_settings
from .checkpoints import import_checkpoint
from .earlier import set_aside
from .pickles import read_arguments
from .prediction_flags import CONFIG, parse_flags, translate_flags


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
