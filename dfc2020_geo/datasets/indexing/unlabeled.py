"""The layout of a directory of images without labels."""

from collections.abc import Sequence

from ...bands import Sensor
from .layout import not_found
from .names import FileNames, group_names
from .pairing import pair, require_twins
from .table import PatchTable
from .trees import Tree


def index_unlabeled(tree: Tree, sensors: Sequence[Sensor]) -> PatchTable:
    """Find the patches of a directory of images.

    Files of the two sensors belong together if they have the same name, but for the
    extension and for ``_s1_`` in place of ``_s2_``.

    Args:
        tree: Has a folder ``s1`` or ``s2`` of GeoTIFFs for each sensor.
        sensors: The sensors whose images are needed; only their folders are read.

    Returns:
        Patches without labels, sorted by the names of their Sentinel-2 files.

    Raises:
        FileNotFoundError: If a folder or a twin is missing.
        RuntimeError: If two files have the same name but for the extension.
    """
    file_names = find_unlabeled(tree, sensors)
    if len({names.kind for names in file_names}) < len(sensors):
        expected = ' and '.join(f'{sensor}/' for sensor in sensors)
        raise not_found(tree, f'GeoTIFFs in {expected}')
    patches, incomplete = pair(tree.root, file_names, sensors)
    require_twins(tree.root, incomplete, sensors)
    return patches


def find_unlabeled(
    tree: Tree, sensors: Sequence[Sensor] = ('s2', 's1')
) -> list[FileNames]:
    """Find all images of a directory without labels.

    Args:
        tree: Where to look.
        sensors: The sensors whose folders are read.

    Returns:
        The files; none if it is no such directory.
    """
    folders = tree.scan('')[0]
    return [
        names
        for sensor in sensors
        for folder in folders
        if folder.lower() == sensor
        for names in group_names(sensor, folder, tree.scan(folder)[1])
    ]
