"""Base class of raster datasets of whole scenes, indexed by coordinates."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.transform import from_origin
from rasterio.warp import transform as transform_points
from torchgeo.datasets import DatasetNotFoundError, GeoDataset, RasterDataset
from torchgeo.datasets.utils import GeoSlice, Sample

from ...bands import Band
from ...io.addresses import hide_secrets, is_address
from ...io.grid import RasterGrid, count_from
from ...io.rasters import SCENE_SUFFIXES
from ...io.scenes.headers import RasterHeader, read_header
from ...io.scenes.opening import require_georeference
from ...io.scenes.sensor_images import BandFile
from ..patches import SampleTransform
from ..plotting import DrawsSamples
from .files import DatasetFiles
from .joined import JoinedScenes

Paths = Path | str | Iterable[Path | str]


class SceneRasters(DrawsSamples, RasterDataset):
    """Rasters that keep their grid, read as ``map`` reads them.

    Values are as stored, resampled only where they must be; masks, alpha bands and
    declared no data count. What has no data is NaN, or ignored in labels.

    torchgeo's own would warp files of several CRS to that of the first, move those
    that lie between the pixels asked for, and fill with 0 what no file covers, which is
    the brightest value of Sentinel-1 and the code of a class.
    """

    def __init__(
        self,
        paths: Paths,
        crs: pyproj.CRS | None,
        res: float | tuple[float, float] | None,
        bands: Sequence[str] | None,
        transforms: SampleTransform | None,
    ) -> None:
        """Initialize a new SceneRasters instance.

        Args:
            paths: Files, or folders to search.
            crs: CRS to read in; by default that of the files.
            res: Pixel size to read in, in units of the CRS; by default that of the
                first file.
            bands: Names of the bands to read.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            FileNotFoundError: If a path does not exist, or there are no rasters.
            RuntimeError: If a file cannot be read or has other bands.
            ValueError: If files have several CRS and none is given.
        """
        named = [paths] if isinstance(paths, str | Path) else paths
        self.paths = self._named = [_locate(path) for path in named]
        if not self.files:
            raise DatasetNotFoundError(self)
        self._reader = DatasetFiles(self)
        found = {path: self._check(path) for path in self.files}
        if crs is None:
            _require_one_crs(found)
        super().__init__(self._named, crs, res, bands, transforms)

    @property
    def files(self) -> list[str]:
        """The rasters: those named, and those in the folders that are."""
        named = {str(path) for path in self._named}
        return [
            path
            for path in super().files
            if path in named
            or (
                path.lower().endswith(SCENE_SUFFIXES)
                and not Path(path).name.startswith('.')
            )
        ]

    def _check(self, path: str) -> CRS:
        """Return the CRS of a file that can be read from."""
        header = self._reader.header(path)
        require_georeference(header)
        self.find_bands(header)
        return header.grid.crs

    @abstractmethod
    def find_bands(self, file: RasterHeader) -> dict[Band, BandFile]:
        """Find the bands to read in a file, in channel order.

        Args:
            file: Header of the file.

        Returns:
            The position of each band; none for labels.

        Raises:
            RuntimeError: If a band is missing; the message names the file.
        """

    def _compute_affine_warp_grid(
        self, crs: Any, transform: Affine, width: int, height: int, dst_crs: Any
    ) -> tuple[Affine, int, int, bool]:
        """Keep the grid of a raster that needs no other."""
        grid = RasterGrid(crs, transform, height, width)
        if crs == dst_crs and grid.is_north_up:
            return transform, width, height, False
        if CRS.from_user_input(dst_crs).is_geographic:
            # Across 180 degrees, GDAL's own proposal would go around the Earth.
            return _plan_degrees(grid, dst_crs)
        return super()._compute_affine_warp_grid(crs, transform, width, height, dst_crs)

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Read a rectangle, with the reader of ``map``.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]``, coordinates of the
                CRS.

        Returns:
            'image' of shape ``(C, H, W)``, float32 in the units of the files, NaN
            where there is no data, or 'mask' of shape ``(H, W)``, int64; with 'bounds'
            and 'transform' as torchgeo has them, in float64.

        Raises:
            IndexError: If no file is there.
            RuntimeError: If a file is damaged; the message names it.
        """
        x, y, t = self._disambiguate_slice(index)
        sample, _ = self._reader.sample(x, y, t, *self._reader.align(x, y))
        if not sample:
            raise IndexError(
                f'Expected a slice within the bounds {self.bounds}, got {index}.'
            )
        return sample

    def __and__(self, other: GeoDataset) -> JoinedScenes:
        """Join these rasters with others of the same ground.

        Args:
            other: Images or labels, of torchgeo as well.
        """
        return JoinedScenes(self, other)


def _plan_degrees(grid: RasterGrid, crs: Any) -> tuple[Affine, int, int, bool]:
    """Return the pixels in degrees that hold a raster, as many as it has."""
    ring = grid.outline()['coordinates'][0]
    x, y = map(np.asarray, transform_points(grid.crs, crs, *zip(*ring, strict=True)))
    x = count_from(x, x[0])
    size = (np.ptp(x) / grid.width, np.ptp(y) / grid.height)
    return from_origin(x.min(), y.max(), *size), grid.width, grid.height, True


def _locate(path: Path | str) -> Path | str:
    if is_address(path):
        # torchgeo looks for plain addresses among the files of this machine.
        virtual = str(path).startswith('/vsi') or '://' not in str(path)
        path = str(path) if virtual else f'/vsicurl/{path}'
        read_header(path)
    if str(path).startswith('/vsi'):
        return path
    local = Path(path).expanduser()
    if not local.exists():
        raise FileNotFoundError(
            f'Expected a file or folder of rasters, got nothing at {path}; correct its '
            'name, or leave it out.'
        )
    return local


def _require_one_crs(found: dict[str, CRS]) -> None:
    first, *others = found
    for path in others:
        if found[path] != found[first]:
            raise ValueError(
                f'Expected scenes of one CRS, got {found[first]} of '
                f'{hide_secrets(first)} and {found[path]} of {hide_secrets(path)}; make a dataset of each, or give a crs to '
                'warp all of them to.'
            )
