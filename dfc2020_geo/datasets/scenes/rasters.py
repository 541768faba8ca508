"""What rasters of whole scenes share: indexed by coordinates, read as they are."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyproj
import torch
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.io import DatasetReader
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, GeoDataset, RasterDataset
from torchgeo.datasets.utils import GeoSlice, Sample

from ...io.grid import RasterGrid
from ...io.rasters import SCENE_SUFFIXES, open_raster
from ..plotting import DrawsSamples
from .joined import JoinedScenes
from .warping import read_on_grid

Transform = Callable[[Sample], Sample]
Paths = Path | str | Iterable[Path | str]


class SceneRasters(DrawsSamples, RasterDataset):
    """Rasters that keep their grid: read as stored, resampled only where they must be.

    torchgeo's own would warp files of several CRS to that of the first, move those
    that lie between the pixels asked for, and fill with 0 what no file covers, which is
    the brightest value of Sentinel-1 and the code of a class.
    """

    _unset: ClassVar[float | None] = 0  # no data where a file declares none

    def __init__(
        self,
        paths: Paths,
        crs: pyproj.CRS | None,
        res: float | tuple[float, float] | None,
        bands: Sequence[str] | None,
        transforms: Transform | None,
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
        with open_raster(path) as raster:
            if raster.crs is None or raster.transform.is_identity:
                raise RuntimeError(
                    f'Expected a georeferenced raster, got {path} without a CRS or '
                    'transform; georeference it first.'
                )
            if others := {t for t in raster.dtypes if np.dtype(t).kind not in 'iuf'}:
                raise RuntimeError(
                    f'Expected real numbers, got {others} in {path}; for Sentinel-1 '
                    'take sigma nought in dB, not single-look complex.'
                )
            self._find_bands(raster)
            return raster.crs

    @abstractmethod
    def _find_bands(self, raster: DatasetReader) -> list[int]:
        """Return the positions of the bands to read, counted from 1."""

    @abstractmethod
    def _finish(self, values: np.ndarray, path: str) -> dict[str, Tensor]:
        """Turn what was read of the files, NaN without data, into a sample."""

    def _compute_affine_warp_grid(
        self, crs: Any, transform: Affine, width: int, height: int, dst_crs: Any
    ) -> tuple[Affine, int, int, bool]:
        """Keep the grid of a raster that needs no other."""
        grid = RasterGrid(crs, transform, height, width)
        if crs == dst_crs and grid.is_north_up:
            return transform, width, height, False
        return super()._compute_affine_warp_grid(crs, transform, width, height, dst_crs)

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Read a rectangle.

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
        times: Any = self.index.index
        files = self.index[(times.left <= t.stop) & (times.right >= t.start)]
        files = files.cx[x.start : x.stop, y.start : y.stop]
        if files.empty:
            raise IndexError(f'Expected a place in {self.bounds}, got {index}.')
        transform = Affine(x.step, 0, x.start, 0, -y.step, y.stop)
        sample: Sample = {
            'bounds': self._slice_to_tensor((x, y, t)),
            'transform': torch.tensor(tuple(transform), dtype=torch.float64),
        }
        height, width = (round((s.stop - s.start) / s.step) for s in (y, x))
        pixels = RasterGrid(CRS.from_user_input(self.crs), transform, height, width)
        sample |= self._read(files.filepath, pixels)
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, paths: Iterable[str], pixels: RasterGrid) -> dict[str, Tensor]:
        """Read files; where they overlap, the first with data counts."""
        values, path = None, ''
        for path in paths:
            with open_raster(path) as raster:
                indexes = self._find_bands(raster)
                new = read_on_grid(
                    raster, indexes, pixels, self.resampling, self._unset
                )
            if values is None:
                values = new
            else:
                values = np.where(np.isnan(values).all(axis=0), new, values)
            if not np.isnan(values).all(axis=0).any():
                break
        assert values is not None, 'there is a file'
        return self._finish(values, path)

    def _slice_to_tensor(self, index: GeoSlice) -> Tensor:
        x, y, t = self._disambiguate_slice(index)
        times = (t.start.timestamp(), t.stop.timestamp(), t.step)
        numbers = (x.start, x.stop, x.step, y.start, y.stop, y.step, *times)
        return torch.tensor([float(number) for number in numbers], dtype=torch.float64)

    def __and__(self, other: GeoDataset) -> JoinedScenes:
        """Join these rasters with others of the same place.

        Args:
            other: Images or labels, of torchgeo as well.
        """
        return JoinedScenes(self, other)


def _locate(path: Path | str) -> Path | str:
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
                f'Expected scenes of one CRS, got {found[first]} of {first} and '
                f'{found[path]} of {path}; make a dataset of each, or give a crs to '
                'warp all of them to.'
            )
