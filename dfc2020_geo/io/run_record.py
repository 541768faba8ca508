"""The record beside a run's outputs: whose they are, and whether it came to its end."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import UNFINISHED, make_directory, write_json

#: Name of the record in a directory of outputs.
RECORD_NAME = 'run.json'


def hash_weights(weights: Mapping[str, Tensor]) -> str:
    """Hash the weights of a network.

    Args:
        weights: Tensors by name, as a state dict has them, in any order.

    Returns:
        SHA-256 of names and values, hexadecimal. Fractions count in single precision,
        as networks are made, whatever type they are kept in.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        values = weights[name].detach().cpu().contiguous().reshape(-1)
        if values.is_floating_point():
            values = values.float()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def missing_outputs(
    directory: Path | str,
    settings: dict[str, Any],
    outputs: Sequence[str],
    overwrite: bool = False,
) -> list[str]:
    """Find out what a run has still to write, without changing anything there.

    Args:
        directory: Where the outputs go; it is made if there is none.
        settings: Plain values that decide what the outputs are.
        outputs: Names of the files that the run shall write, each atomically.
        overwrite: Whether outputs of a finished run or of other settings may go.

    Returns:
        The outputs that are not there; all of them, if those there will go.

    Raises:
        FileExistsError: If outputs are there that another or a finished run wrote.
        OSError: If the directory cannot be written to.
        ValueError: If there is a file in the record's place that is none.
    """
    directory = make_directory(directory)
    record = _read(directory)
    if _continues(record, settings):
        return [name for name in outputs if not (directory / name).exists()]
    names = {*outputs, *(record['outputs'] if record else ())}
    if any((directory / name).exists() for name in names) and not overwrite:
        raise FileExistsError(
            f'Expected an empty output directory, got {directory} with '
            f'{_describe(record, settings)}; choose another output_dir or set '
            'overwrite.'
        )
    return list(outputs)


def begin_record(
    directory: Path | str, settings: dict[str, Any], outputs: Sequence[str]
) -> None:
    """Begin or continue a run, after :func:`missing_outputs` had no objection.

    Outputs of another or a finished run are removed.

    Args:
        directory: Where the outputs go.
        settings: Plain values that decide what the outputs are.
        outputs: Names of the files that the run shall write.
    """
    directory = Path(directory)
    record = _read(directory)
    for name in outputs:
        (directory / f'{name}{UNFINISHED}').unlink(missing_ok=True)
    if _continues(record, settings):
        return
    for name in {*outputs, *(record['outputs'] if record else ())}:
        (directory / Path(name).name).unlink(missing_ok=True)
    new = {'finished': False, 'settings': settings, 'outputs': list(outputs)}
    write_json(directory / RECORD_NAME, new)


def finish_record(directory: Path | str) -> int:
    """Note that a run came to its end, if all of its outputs are there.

    Args:
        directory: Where :func:`begin_record` began it.

    Returns:
        The number of outputs that are missing.
    """
    directory = Path(directory)
    record = _read(directory)
    assert record is not None, 'begin_record writes it'
    missing = sum(not (directory / name).exists() for name in record['outputs'])
    write_json(directory / RECORD_NAME, record | {'finished': not missing})
    return missing


def _read(directory: Path) -> dict[str, Any] | None:
    path = directory / RECORD_NAME
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        return {name: record[name] for name in ('finished', 'settings', 'outputs')}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'Expected the record of a run, got something else in {path}; remove it '
            'or choose another output_dir.'
        ) from error


def _continues(record: dict[str, Any] | None, settings: dict[str, Any]) -> bool:
    same = json.loads(json.dumps(settings))
    return bool(record) and not record['finished'] and record['settings'] == same


def _describe(record: dict[str, Any] | None, settings: dict[str, Any]) -> str:
    """Say whose the outputs of a directory are."""
    if record is None:
        return 'files of the same names'
    before, now = record['settings'], json.loads(json.dumps(settings))
    if names := [name for name in now if now[name] != before.get(name)]:
        return f'the outputs of a run with other {" and ".join(names)}'
    return 'the outputs of the same run, finished'
