"""Headers of the rasters of scenes, and rasters that stay open."""

import os
import threading
import weakref
from dataclasses import dataclass, field

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.env import set_gdal_config
from rasterio.io import DatasetReader

from ...bands import FILE_BANDS
from ..addresses import hide_secrets
from ..grid import RasterGrid
from ..rasters import grid_of, open_handle, open_raster


@dataclass(frozen=True)
class RasterHeader:
    """What the header of a raster says.

    Attributes:
        path: Where it is, for people and records: without the secrets of an address.
        grid: Its size, CRS and geotransform.
        descriptions: Description of each band that holds an image.
        dtypes: Type of the values of each of these bands.
        nodata: Value that each of these bands declares as no data.
        masked: Whether it has a mask of its pixels without data.
        masked_bands: Positions of the bands that have a mask of their own.
        address: What GDAL opens.
        alpha: Position of the band that is 0 where there are no data, if there is one.
        has_gcps: Whether it has ground control points in place of a transform.
        scales: What each of these bands declares that numbers are multiplied with.
        offsets: What it declares to be added then.
        parts: The files that it is made of, as GDAL opens them.
        block_rows: Number of rows that GDAL reads together.
        is_plain: Whether its pixels are stored without compression.
        is_tiled: Whether they are stored in tiles.
    """

    path: str
    grid: RasterGrid
    descriptions: tuple[str | None, ...]
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    masked: bool
    alpha: int | None
    has_gcps: bool
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    parts: tuple[str, ...] = field(default=(), repr=False)
    block_rows: int = 1
    is_plain: bool = False
    is_tiled: bool = False
    masked_bands: tuple[int, ...] = ()
    address: str = field(default='', repr=False)

    @property
    def count(self) -> int:
        """Number of bands that hold an image."""
        return len(self.descriptions)

    @property
    def is_scaled(self) -> bool:
        """Whether it declares a scale or an offset of its values."""
        return {*self.scales, 1.0} != {1.0} or {*self.offsets, 0.0} != {0.0}

    def estimate_blocks(self, num_rows: int) -> int:
        """Return the bytes of the blocks that some rows across the raster touch.

        Args:
            num_rows: Number of rows, wherever they begin.

        Returns:
            Number of bytes, uncompressed.
        """
        num_blocks = -(-num_rows // self.block_rows) + 1
        rows = min(num_blocks * self.block_rows, self.grid.height)
        return rows * self.grid.width * sum(np.dtype(t).itemsize for t in self.dtypes)

    def describe(self) -> str:
        """Say what is known of its bands, for messages.

        Returns:
            One line of text.
        """
        named = [text or 'no name' for text in self.descriptions]
        names = ', '.join(named) if any(self.descriptions) else 'without descriptions'
        return f'{self.count} band{"s" * (self.count != 1)} ({names}) in {self.path}'


def limit_cache(size: int) -> None:
    """Set how much GDAL keeps of what it has read, in this process.

    Args:
        size: Number of bytes. By itself, GDAL takes a twentieth of the memory of the
            machine; what the environment says counts more than either.
    """
    if 'GDAL_CACHEMAX' not in os.environ:
        set_gdal_config('GDAL_CACHEMAX', size)


#: Pixels on the longer side of a scene, at most, unless more are asked for: 2000 km of
#: 10 m. Memory grows with the width.
MAX_SCENE_SIZE = 200_000


def read_header(path: str, max_size: float = MAX_SCENE_SIZE) -> RasterHeader:
    """Read the header of a raster.

    Args:
        path: What GDAL opens.
        max_size: Most pixels on a side. One that claims more may be damaged, and is
            refused before memory is asked for.

    Returns:
        What it says.

    Raises:
        RuntimeError: If the raster cannot be opened, is too large, has no bands or holds
            complex numbers; the message names it.
    """
    with open_raster(path) as raster:
        plain = hide_secrets(path)
        if max(raster.shape) > max_size:
            height, width = raster.shape
            raise RuntimeError(
                f'Expected a scene of at most {max_size} pixels a side, got {height} x '
                f'{width} in {plain}; its header may be damaged: cut it with '
                'gdal_translate, or allow such scenes with --data.max_scene_size '
                f'{max(raster.shape)} (max_scene_size).'
            )
        if raster.count == 0:
            raise RuntimeError(
                f'Expected a raster with bands, got {plain} without any; name one of '
                f'its parts: {", ".join(raster.subdatasets) or "it has none"}.'
            )
        if any('complex' in dtype for dtype in raster.dtypes):
            raise RuntimeError(
                f'Expected real numbers, got {raster.dtypes[0]} in {plain}; a single '
                'look complex product must be detected and calibrated to sigma nought '
                'first.'
            )
        return _header(path, raster)


def _header(path: str, raster: DatasetReader) -> RasterHeader:
    alpha = _has_alpha(raster)
    count = raster.count - alpha
    return RasterHeader(
        path=hide_secrets(path),
        grid=grid_of(raster),
        descriptions=raster.descriptions[:count],
        dtypes=raster.dtypes[:count],
        nodata=raster.nodatavals[:count],
        masked=raster.mask_flag_enums[0] == [MaskFlags.per_dataset],
        # GDAL says of such a band that none of its flags applies.
        masked_bands=tuple(
            i for i, flags in enumerate(raster.mask_flag_enums[:count], 1) if not flags
        ),
        alpha=raster.count if alpha else None,
        has_gcps=bool(raster.gcps[0]),
        scales=raster.scales[:count],
        offsets=raster.offsets[:count],
        parts=tuple(raster.files),
        block_rows=raster.block_shapes[0][0],
        is_plain=raster.driver == 'GTiff' and raster.compression is None,
        is_tiled=raster.block_shapes[0][1] < raster.width,
        address=path,
    )


def _has_alpha(raster: DatasetReader) -> bool:
    """Tell whether the last band says where there are data."""
    if raster.colorinterp[-1] != ColorInterp.alpha:
        return False
    *others, last = raster.descriptions
    if others and all(others) and not last:
        return True
    # Two or 13 bands are the image itself, whatever the last one is taken for.
    counts = FILE_BANDS.values()
    return raster.count not in counts and raster.count - 1 in (1, *counts)


@dataclass(repr=False, eq=False)
class Handles:
    """Open rasters: each process and each thread opens its own, once.

    A copy of it, in another process or not, starts with none.

    Attributes:
        limit: Number of rasters that a thread has open; of more, the one not read for
            the longest time is closed.
    """

    limit: int = 512
    _rasters: dict[tuple[int, int, str], DatasetReader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have them closed before Python ends, where rasterio cannot do it any more."""
        weakref.finalize(self, _close, self._rasters)

    def get(self, file: RasterHeader, view: str | None = None) -> DatasetReader:
        """Return an open raster that nobody else reads from.

        Args:
            file: The raster.
            view: What GDAL opens instead: a virtual raster, as text.

        Returns:
            The raster; hand it back when the window is read.
        """
        path = view or file.address
        owner = (os.getpid(), threading.get_ident())
        raster = self._rasters.pop((*owner, path), None)
        if raster is None:
            own = [key for key in [*self._rasters] if key[:2] == owner]
            if len(own) >= self.limit:
                self._rasters.pop(own[0]).close()
            is_direct = path == file.address and file.is_plain and file.is_tiled
            raster = open_handle(path, is_direct)
        self._rasters[*owner, path] = raster
        return raster

    def close(self) -> None:
        """Close what this process opened."""
        _close(self._rasters)

    def __reduce__(self) -> tuple[type['Handles'], tuple[int]]:
        """Leave the open rasters behind."""
        return Handles, (self.limit,)


def _close(rasters: dict[tuple[int, int, str], DatasetReader]) -> None:
    """Close what this process opened."""
    for key in [key for key in rasters if key[0] == os.getpid()]:
        rasters.pop(key).close()
