"""The layout of a directory of images without labels."""

from collections.abc import Sequence
from pathlib import Path

from ..bands import Sensor
from .index import Raster, not_found, patch_name, scan
from .pairing import PatchFiles, pair, require_twins


def index_unlabeled(root: Path, sensors: Sequence[Sensor]) -> list[PatchFiles]:
    """Find the patches of a directory of images.

    Files of the two sensors belong together if they have the same name, but for the
    extension and for ``_s1_`` in place of ``_s2_``.

    Args:
        root: Folder with a folder ``s1`` or ``s2`` of GeoTIFFs for each sensor.
        sensors: The sensors whose images are needed; only their folders are read.

    Returns:
        Patches without labels, sorted by the names of their Sentinel-2 files.

    Raises:
        FileNotFoundError: If a folder or a twin is missing.
        RuntimeError: If two files have the same name but for the extension.
    """
    folders = scan(root)[0] if root.is_dir() else []
    rasters = [
        Raster(
            sensor,
            patch_name(Path(name).stem, sensor),
            f'{root.as_posix()}/{folder}/{name}',
        )
        for sensor in sensors
        for folder in folders
        if folder.lower() == sensor
        for name in scan(root / folder)[1]
    ]
    if len({raster.kind for raster in rasters}) < len(sensors):
        expected = ' and '.join(f'{sensor}/' for sensor in sensors)
        raise not_found(root, f'GeoTIFFs in {expected}')
    patches, incomplete = pair(rasters, sensors)
    require_twins(root, incomplete, sensors)
    return patches
