"""Outputs of earlier runs, moved out of the way of the next one."""

import json
from itertools import count
from pathlib import Path

from ..io.run_record import RECORD_NAME

#: Name of the folder for scores beside the class maps.
SCORES = 'scores'


def set_aside(directory: Path | str) -> Path | None:
    """Move the outputs of the run that a directory has a record of, and say so.

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
