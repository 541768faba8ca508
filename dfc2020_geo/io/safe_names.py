"""Names of files that come as data: relative, normal and inside their folder."""

import posixpath
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

#: Control characters and ends of lines; and what turns the direction of a text, so that
#: a name is shown as another one.
_CONTROL = ('Cc', 'Zl', 'Zp')
_TURNING = re.compile('[\u202a-\u202e\u2066-\u2069]')

#: Bytes that file systems allow in one part of a path.
_MAX_PART = 255


def find_name_fault(name: object) -> str | None:
    """Say why a name must not be joined to a folder.

    Args:
        name: What a manifest, a list, a table or an archive has for a name: a path with
            ``/``, relative to a folder.

    Returns:
        What is wrong with it, None if it is the normal name of a path inside the folder,
        on every system and also once percent escapes are decoded.
    """
    if not isinstance(name, str):
        return f'{type(name).__name__}, not text'
    while (fault := _find_fault(name)) is None and name != (plain := unquote(name)):
        name = plain
    return fault


def _find_fault(name: str) -> str | None:
    categories = {unicodedata.category(character) for character in name}
    if 'Cs' in categories:
        return 'bytes that are no text'
    if not categories.isdisjoint(_CONTROL):
        return 'control characters'
    if _TURNING.search(name):
        return 'characters that turn its direction'
    if '\\' in name or '::' in name:
        return 'a backslash' if '\\' in name else '"::"'
    if name.startswith(('/', '~')) or re.match('[A-Za-z]:', name):
        return 'a path that is not relative'
    parts = name.split('/')
    if '..' in parts or name != posixpath.normpath(name) or name == '.':
        return 'a path that is not normal, or leads out'
    if max(len(part.encode()) for part in parts) > _MAX_PART:
        return f'a part of more than {_MAX_PART} bytes'
    return None


def leads_out(root: Path, name: str) -> bool:
    """Tell whether links lead from a name below a folder to somewhere else.

    Args:
        root: The folder, which may be a link itself.
        name: A name below it, for which :func:`find_name_fault` finds nothing.

    Returns:
        Whether the file, as it is opened, is outside of the folder.
    """
    return not (root / name).resolve().is_relative_to(root.resolve())
