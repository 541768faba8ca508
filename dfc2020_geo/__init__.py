"""Land cover mapping from Sentinel-1 and Sentinel-2, as an extension of torchgeo."""

import logging
import os
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

__version__ = '0.1.0'

#: Variables by which another installation of PROJ or GDAL names its data, and a file
#: that must be in the folder.
_DATA = {'PROJ_DATA': 'proj.db', 'PROJ_LIB': 'proj.db', 'GDAL_DATA': 'gdalvrt.xsd'}


def _leave_foreign_data() -> None:
    """Leave out data of another PROJ or GDAL that rasterio's own cannot read.

    A wheel of rasterio brings its own. QGIS, PostGIS and conda set these variables for
    all programs, and each CRS would be unknown.
    """
    if os.environ.keys().isdisjoint(_DATA) or not (spec := find_spec('rasterio')):
        return
    package = Path((spec.submodule_search_locations or [''])[0])
    for name, file in _DATA.items():
        given = os.environ.get(name)
        own = package / f'{name[:4].lower()}_data' / file
        if given and own.is_file() and not _suits(Path(given) / file, own):
            del os.environ[name]
            logging.getLogger(__name__).warning(
                '%s=%s is of another installation and not used.', name, given
            )


def _suits(given: Path, own: Path) -> bool:
    """Tell whether data of another installation have the form that ours have."""
    if own.suffix != '.db':
        return given.is_file()
    (major, minor), (own_major, own_minor) = _layout(given), _layout(own)
    return major == own_major and minor >= own_minor


def _layout(database: Path) -> tuple[int, int]:
    """Read the version of the form of PROJ's database; -1 where there is none."""
    import sqlite3  # which few programs need

    query = "SELECT key, value FROM metadata WHERE key LIKE 'DATABASE.LAYOUT.%'"
    try:
        uri = f'{database.absolute().as_uri()}?mode=ro'
        with closing(sqlite3.connect(uri, uri=True)) as file:
            rows = dict(file.execute(query))
        found = {key.rpartition('.')[2]: int(text) for key, text in rows.items()}
        return found['MAJOR'], found['MINOR']
    except (sqlite3.Error, KeyError, ValueError):
        return -1, -1


_leave_foreign_data()
