"""Small trees of rasters with numbers that differ everywhere, and what is in a pack."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

KINDS = {'s2': (13, 'uint16'), 's1': (2, 'float32'), 'lc': (4, 'uint8')}


def write(
    path: Path, values: np.ndarray, sidecar: str | None = None, **profile: Any
) -> Path:
    """Write a raster, its folders and perhaps its ``.aux.xml``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        'driver': 'GTiff',
        'dtype': values.dtype,
        'count': values.shape[0],
        'height': values.shape[1],
        'width': values.shape[2],
        'crs': 'EPSG:32633',
        'transform': from_origin(500_000.25, 5_000_000, 10, 10),
        **profile,
    }
    with rasterio.open(path, 'w', **profile) as raster:
        raster.write(values)
    if sidecar:
        Path(f'{path}.aux.xml').write_text(sidecar)
    return path


def write_sen12ms(
    root: Path, num: int = 4, side: int = 24, seed: int = 0, **profile: Any
) -> Path:
    """Write random patches of a scene of spring, and one of summer to hold out."""
    rng = np.random.default_rng(seed)
    for number in range(num):
        season = 'ROIs1868_summer' if number == 1 else 'ROIs1158_spring'
        for kind, (count, dtype) in KINDS.items():
            name = f'{season}/{kind}_1/{season}_{kind}_1_p{number}.tif'
            values = rng.integers(1, 17, (count, side, side)).astype(dtype)
            write(root / name, values, **profile)
    (root / 'SEN12MS_holdOutScenes.txt').write_text('ROIs1868_summer/s1_1\n')
    return root


def content(folder: Path) -> dict[str, bytes]:
    """Return all files in and below a folder."""
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rasters(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob('*.tif'))
