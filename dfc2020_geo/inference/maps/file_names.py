"""What the files of a map are called."""

from collections.abc import Sequence
from pathlib import Path

from ...io.rasters import SIDECAR
from .layers import CLASSES, TITLES, Layer


def check_output(output: Path | str) -> Path:
    """Check that a path can be a map's.

    Args:
        output: Where the map shall be.

    Returns:
        The path.

    Raises:
        ValueError: If its name is no GeoTIFF's, or a directory is there.
    """
    path = Path(output)
    if path.suffix.lower() not in ('.tif', '.tiff') or path.is_dir():
        raise ValueError(
            f'Expected the name of a GeoTIFF (.tif) for the map, got {path}; choose '
            'another output.'
        )
    return path


def layer_path(output: Path | str, name: str) -> Path:
    """Return where a layer of a map is.

    Args:
        output: Where the map is.
        name: Name of the layer.

    Returns:
        The map itself for its classes, ``NAME.probabilities.tif`` beside it and the
        like for others.
    """
    path = Path(output)
    return path if name == CLASSES else path.with_suffix(f'.{name}{path.suffix}')


def layer_paths(output: Path | str, layers: Sequence[Layer]) -> dict[Layer, Path]:
    """Return where each layer of a map is, the map itself at the end."""
    ordered = sorted(layers, key=lambda layer: layer.name == CLASSES)
    return {layer: layer_path(output, layer.name) for layer in ordered}


def item_path(output: Path | str) -> Path:
    """Return where the STAC item of a map is."""
    return Path(output).with_suffix('.json')


def style_path(raster: Path | str) -> Path:
    """Return where QGIS looks for the style of a raster."""
    return Path(raster).with_suffix('.qml')


def polygons_path(output: Path | str) -> Path:
    """Return where the polygons of a map are."""
    return Path(output).with_suffix('.gpkg')


def sidecar_path(raster: Path | str) -> Path:
    """Return where GDAL looks for what a raster cannot hold."""
    return Path(f'{raster}{SIDECAR}')


def list_outputs(output: Path | str) -> list[Path]:
    """List every file that a map can consist of, the map itself first."""
    rasters = [layer_path(output, name) for name in TITLES]
    beside = [path for r in rasters for path in (sidecar_path(r), style_path(r))]
    return [*rasters, *beside, item_path(output), polygons_path(output)]


def find_outputs(output: Path | str) -> list[Path]:
    """Find what is there of a map, the map itself first."""
    return [path for path in list_outputs(output) if path.exists()]
