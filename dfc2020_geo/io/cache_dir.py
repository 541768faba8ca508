"""Where to keep what can be made anew: folders that may be deleted at any time."""

import os
from pathlib import Path

#: Environment variable that names the folder; ``0`` means that nothing is kept.
CACHE_VARIABLE = 'DFC2020_GEO_CACHE'


def cache_folder() -> Path | None:
    """Name the folder of everything that this package keeps between runs.

    Returns:
        What :data:`CACHE_VARIABLE` says, else ``dfc2020-geo`` in ``$XDG_CACHE_HOME`` or
        in ``~/.cache``. None if nothing shall be kept, or there is no home.
    """
    chosen = os.environ.get(CACHE_VARIABLE, '')
    if chosen:
        return None if chosen == '0' else Path(chosen).expanduser()
    try:
        # A relative one is to be ignored (XDG Base Directory Specification).
        shared = Path(os.environ.get('XDG_CACHE_HOME', ''))
        shared = shared if shared.is_absolute() else Path.home() / '.cache'
    except RuntimeError:  # containers run as users without a home
        return None
    return shared / 'dfc2020-geo'
