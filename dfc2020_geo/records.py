"""The record beside a run's outputs: whose they are, and whether it came to its end."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from .atomic import UNFINISHED, make_directory, write_json

#: Name of the record in a directory of outputs.
RECORD_NAME = 'run.json'


def hash_weights(network: nn.Module) -> str:
    """Hash the weights of a network, wherever they came from.

    Args:
        network: Network whose state is hashed, names and values.

    Returns:
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def begin_record(
    directory: Path | str,
    settings: dict[str, Any],
    outputs: Sequence[str],
    overwrite: bool = False,
) -> list[str]:
    """Begin or continue a run whose outputs go to one directory.

    Args:
        directory: Where the outputs go; it is made if there is none.
        settings: Plain values that decide what the outputs are.
        outputs: Names of the files that the run shall write, each atomically.
        overwrite: Whether outputs of a finished run or of other settings may go.

    Returns:
        The outputs that are still to be written.

    Raises:
        FileExistsError: If outputs are there that another or a finished run wrote.
        OSError: If the directory cannot be written to.
    """
    directory = make_directory(directory)
    for name in outputs:
        (directory / f'{name}{UNFINISHED}').unlink(missing_ok=True)
    record = _read(directory / RECORD_NAME)
    settings = json.loads(json.dumps(settings))
    there = {name for name in outputs if (directory / name).exists()}
    if record and not record['finished'] and record['settings'] == settings:
        return [name for name in outputs if name not in there]
    if (record or there) and not overwrite:
        raise FileExistsError(
            f'Expected an empty output directory, got {directory} with '
            f'{_describe(record, settings)}; choose another output_dir or set '
            'overwrite.'
        )
    for name in there.union(record['outputs'] if record else ()):
        (directory / Path(name).name).unlink(missing_ok=True)
    new = {'finished': False, 'settings': settings, 'outputs': list(outputs)}
    write_json(directory / RECORD_NAME, new)
    return list(outputs)


def finish_record(directory: Path | str) -> None:
    """Note that the run whose outputs lie in a directory came to its end.

    Args:
        directory: Where :func:`begin_record` began it.
    """
    path = Path(directory) / RECORD_NAME
    record = _read(path)
    assert record is not None, 'begin_record writes it'
    write_json(path, record | {'finished': True})


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else None


def _describe(record: dict[str, Any] | None, settings: dict[str, Any]) -> str:
    """Say whose the outputs of a directory are."""
    if record is None:
        return 'files of the same names'
    before = record['settings']
    if names := [name for name in settings if settings[name] != before.get(name)]:
        return f'the outputs of a run with other {" and ".join(names)}'
    return 'the outputs of the same run, finished'
