"""Writing images, class maps and probabilities as GeoTIFFs."""

import json
import uuid
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)

from ...classes import ClassScheme
from ..atomic import write_bytes
from ..grid import RasterGrid
from .reading import SIDECAR, read_grid


def write_image(
    path: Path | str,
    image: np.ndarray,
    crs: str = 'EPSG:4326',
    transform: Affine = Affine.identity(),  # noqa: B008 (immutable)
) -> None:
    """Write bands as an uncompressed GeoTIFF of their own type, without nodata.

    Args:
        path: File to write; its folder must exist.
        image: Array of shape ``(bands, H, W)``.
        crs: Coordinate reference system.
        transform: From pixels to coordinates; the identity, as in DFC2020, if the
            georeferencing is stripped.
    """
    count, height, width = image.shape
    with MemoryFile() as memory:
        with create_raster(
            memory.name,
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=image.dtype,
            crs=crs,
            transform=transform,
        ) as raster:
            raster.write(image)
        write_bytes(path, memory.getbuffer())


@contextmanager
def create_raster(path: Path | str, **profile: Any) -> Generator[DatasetWriter]:
    """Open a new raster for writing.

    Args:
        path: File to write; its folder must exist.
        **profile: Format, size, type and georeferencing, as for ``rasterio.open``.

    Yields:
        The open raster.
    """
    with _quiet(), rasterio.open(path, 'w', **profile) as raster:
        yield raster


def write_class_map(
    path: Path | str,
    codes: np.ndarray,
    like: Path | str | RasterGrid,
    scheme: ClassScheme,
) -> None:
    """Write a GeoTIFF of class codes that opens with its colours and class names.

    The palette is in the file, the class names are its ``classes`` tag (JSON, name by
    code) and, in the ``.aux.xml`` beside it, the category names that GDAL and QGIS
    show. A file appears under its name only when it is complete.

    Args:
        path: File to write; its folder must exist.
        codes: Codes of the scheme's legend, of shape ``(H, W)``, uint8.
        like: Raster of the same size, or its grid, whose CRS and transform the map
            takes.
        scheme: The classes of the map; its legend gives palette, names and nodata.

    Raises:
        RuntimeError: If *like* has another size or cannot be read.
    """
    profile = _profile(codes[None], like) | {'nodata': scheme.legend.nodata}
    with MemoryFile() as memory:
        with _quiet(), memory.open(**profile) as raster:
            raster.write(codes, 1)
            describe_classes(raster, scheme)
        _write_copy(with_categories(memory.name, scheme), path)


def describe_classes(raster: DatasetWriter, scheme: ClassScheme) -> None:
    """Put the palette and the class names into a raster of class codes.

    Args:
        raster: Raster of one band, open for writing.
        scheme: The scheme whose legend the codes follow.
    """
    raster.write_colormap(1, scheme.legend.palette)
    raster.update_tags(classes=json.dumps(scheme.legend.names))


def write_probabilities(
    path: Path | str,
    probabilities: np.ndarray,
    labels: Sequence[str],
    like: Path | str | RasterGrid,
) -> None:
    """Write class probabilities as a GeoTIFF with one named band per class.

    Args:
        path: File to write; its folder must exist.
        probabilities: Array of shape ``(num_classes, H, W)``, float, NaN without data.
        labels: Name of each class.
        like: Raster of the same size, or its grid, whose CRS and transform the file
            takes.
    """
    shares = probabilities.astype(np.float32)
    profile = _profile(shares, like) | {'nodata': np.nan}
    with MemoryFile() as memory:
        with _quiet(), memory.open(**profile) as raster:
            raster.write(shares)
            raster.descriptions = tuple(labels)
        _write_copy(memory.name, path)


def _profile(image: np.ndarray, like: Path | str | RasterGrid) -> dict[str, object]:
    grid = like if isinstance(like, RasterGrid) else read_grid(like)
    if grid.shape != image.shape[1:]:
        raise RuntimeError(
            f'Expected a map of {grid.shape} pixels like {like}, got {image.shape[1:]}.'
        )
    count, height, width = image.shape
    return {
        'driver': 'GTiff',
        'count': count,
        'height': height,
        'width': width,
        'dtype': image.dtype,
        'crs': grid.crs,
        'transform': grid.transform,
        'compress': 'deflate',
    }


@contextmanager
def _quiet() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        yield


def with_categories(source: str, scheme: ClassScheme) -> str:
    """Describe a class map as a VRT that adds category names, which rasterio cannot.

    Args:
        source: Name of a raster that :func:`describe_classes` has described.
        scheme: The scheme whose legend the codes follow.

    Returns:
        The text of the VRT, which GDAL takes for a file name.
    """
    with MemoryFile(ext='.vrt') as memory:
        copy(source, memory.name, driver='VRT')
        text = memory.read().decode()
    names = scheme.legend.names
    items = ''.join(
        f'<Category>{escape(names.get(code, ""))}</Category>'
        for code in range(max(names) + 1)
    )
    names_xml = f'<CategoryNames>{items}</CategoryNames>'
    return text.replace('<ColorTable>', f'{names_xml}<ColorTable>', 1)


def _write_copy(source: str, path: Path | str) -> None:
    """Write a copy of a raster after its sidecar, both made in memory.

    So Python writes their bytes: GDAL loses what fails when a file is closed.
    """
    names: dict[str, str] = {'dirname': uuid.uuid4().hex, 'filename': 'copy.tif'}
    beside = names | {'filename': f'copy.tif{SIDECAR}'}
    with MemoryFile(**names) as raster, MemoryFile(**beside) as sidecar:
        with _quiet():
            copy(source, raster.name, driver='GTiff', compress='deflate')
        if content := bytes(sidecar.getbuffer()):
            write_bytes(f'{path}{SIDECAR}', content)
        write_bytes(path, raster.getbuffer())
