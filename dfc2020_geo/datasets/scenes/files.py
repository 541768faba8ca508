"""The rasters of a dataset, read window by window with the reader of ``map``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from torch import Tensor
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import Sample

from ...bands import BANDS, Band, Sensor, select_bands
from ...io.addresses import hide_secrets
from ...io.grid import RasterGrid
from ...io.scenes import sample_pixels, sample_scene, take_fills
from ...io.scenes.headers import Handles, RasterHeader, read_header
from ...io.scenes.opening import gather_images, open_bands, read_files
from ...io.scenes.reading import Scene
from ...io.scenes.report import describe_offset
from ...io.scenes.sensor_images import BandFile
from ...io.value_checks import Fills, SensorSample

#: How each sensor is brought to another grid, as in SEN12MS and by ``map``.
RESAMPLING: Mapping[Sensor, str] = {'s2': 'nearest', 's1': 'bilinear'}

#: Pixels by which a rectangle may lie beside those of a grid.
_TOLERANCE = 0.01

#: Files whose offset was checked: one file can be in many datasets.
_judged: set[str] = set()

#: Number of rasters that a process keeps open for a dataset.
_MOST_OPEN = 64


def describe_slice(x: slice, y: slice, times: slice) -> Sample:
    """Return the 'bounds' and 'transform' of a rectangle, in float64.

    Args:
        x: From left to right, in units of the CRS, its step the res
        y: From bottom to top
        times: First and last time

    Returns:
        ``'bounds'`` of shape ``(9,)`` and ``'transform'`` of shape ``(9,)``, as
        torchgeo has them.
    """
    moments = (times.start.timestamp(), times.stop.timestamp(), times.step)
    numbers = (x.start, x.stop, x.step, y.start, y.stop, y.step, *moments)
    transform = Affine(x.step, 0, x.start, 0, -y.step, y.stop)
    return {
        'bounds': torch.tensor([float(n) for n in numbers], dtype=torch.float64),
        'transform': torch.tensor(tuple(transform), dtype=torch.float64),
    }


class DatasetFiles:
    """Reads the files of a dataset, ours or one of torchgeo's own with named bands.

    Attributes:
        dataset: The dataset.
        s2_offset: What is added to the stored numbers of Sentinel-2; None for what is
            known of the product of each file.
    """

    def __init__(self, dataset: RasterDataset, s2_offset: float | None = None) -> None:
        """Initialize a new DatasetFiles instance.

        Args:
            dataset: The dataset.
            s2_offset: What is added to the stored numbers of Sentinel-2; None for what
                is known of the product of each file.
        """
        self.dataset, self.s2_offset = dataset, s2_offset
        self._fills: Fills = {}
        self._headers: dict[str, RasterHeader] = {}
        self._scenes: dict[str, Scene] = {}
        self._handles = Handles(_MOST_OPEN)
        self._grid: tuple[Any, Any, RasterGrid] | None = None

    def take_fills(self, fills: Fills) -> None:
        """Read numbers as no data that no file declares.

        Args:
            fills: The numbers, by sensor.
        """
        self._fills = fills
        self._scenes.clear()

    def sample_files(self, num_files: int) -> Iterator[SensorSample | np.ndarray]:
        """Read some pixels of some files, for a check.

        Args:
            num_files: The most files to read.

        Yields:
            Of each file the stored numbers, or the codes of labels.

        Raises:
            RuntimeError: If a file cannot be read; the message names it.
        """
        paths = list(self.dataset.index.filepath)
        for path in paths[:: max(len(paths) // num_files, 1)][:num_files]:
            scene = self._open_anew(path, self._own_grid(path))
            if self.dataset.is_image:
                yield from sample_scene(scene)
            else:
                codes = sample_pixels(scene)[0]
                nodata = self.header(path).nodata[0]
                is_known = ~np.isnan(codes)
                if nodata is not None:
                    is_known &= codes != np.float32(nodata)
                yield codes[is_known]

    def _own_grid(self, path: str) -> RasterGrid:
        bands = self._bands(path) if self.dataset.is_image else {}
        files = [band.file for band in bands.values()] or [self.header(path)]
        return min(files, key=lambda file: file.grid.pixel_area).grid

    @property
    def grid(self) -> RasterGrid:
        """The pixels of the first file, north up, in the CRS and res of the dataset."""
        crs, res = self.dataset.crs, self.dataset.res
        if self._grid is None or self._grid[0] is not crs or self._grid[1] != res:
            self._grid = (crs, res, self._find_grid(CRS.from_user_input(crs), res))
        return self._grid[2]

    def _find_grid(self, crs: CRS, res: tuple[float, float]) -> RasterGrid:
        left, bottom, right, top = self.dataset.index.total_bounds
        grid = self.header(self.dataset.index.filepath.iloc[0]).grid
        if grid.crs == crs and grid.is_north_up:
            left, top = grid.transform @ (0, 0)
            right, bottom = grid.transform @ (grid.width, grid.height)
        transform = Affine(res[0], 0, left, 0, -res[1], top)
        height, width = round((top - bottom) / res[1]), round((right - left) / res[0])
        return RasterGrid(crs, transform, height, width)

    def header(self, path: str) -> RasterHeader:
        """Return the header of a file, read once.

        Args:
            path: The file.

        Returns:
            The header.

        Raises:
            RuntimeError: If it cannot be read; the message names it.
        """
        if path not in self._headers:
            self._headers[path] = read_header(path)
        return self._headers[path]

    def describe(self) -> Iterator[str]:
        """Check which offset is added to files of Sentinel-2, and say it.

        Yields:
            Lines to print, for each file; none if the dataset holds no Sentinel-2.

        Raises:
            RuntimeError: If the numbers of a file contradict the offset that its name
                says.
        """
        for path in self.dataset.index.filepath if self.dataset.is_image else ():
            bands = self._bands(path)
            if any(band.sensor == 's2' for band in bands):
                images = gather_images(bands, 's2', self.s2_offset)
                if path not in _judged:
                    images.judge_offset()
                    _judged.add(path)
                yield from describe_offset(images)

    def find(self, x: slice, y: slice, times: slice) -> list[str]:
        """Find the files that lie in a rectangle.

        Args:
            x: From left to right, in units of the CRS.
            y: From bottom to top.
            times: First and last time.

        Returns:
            Their paths.
        """
        index = self.dataset.index
        periods: Any = index.index
        files = index[(periods.left <= times.stop) & (periods.right >= times.start)]
        return list(files.cx[x.start : x.stop, y.start : y.stop].filepath)

    def align(self, x: slice, y: slice) -> tuple[RasterGrid, slice, slice]:
        """Turn a rectangle into rows and columns of a grid.

        Args:
            x: From left to right, in units of the CRS, with the size of a pixel.
            y: The same from bottom to top.

        Returns:
            The grid of the dataset, or one of its own if the rectangle lies between the
            pixels of that; its rows and its columns.
        """
        height, width = (round((s.stop - s.start) / s.step) for s in (y, x))
        grid, transform = self.grid, Affine(x.step, 0, x.start, 0, -y.step, y.stop)
        left, top = ~grid.transform @ (x.start, y.stop)
        row, column = round(top), round(left)
        is_equal = (x.step, -y.step) == (grid.transform.a, grid.transform.e)
        if is_equal and max(abs(top - row), abs(left - column)) <= _TOLERANCE:
            return grid, slice(row, row + height), slice(column, column + width)
        grid = RasterGrid(grid.crs, transform, height, width)
        return grid, slice(0, height), slice(0, width)

    def sample(
        self,
        x: slice,
        y: slice,
        times: slice,
        grid: RasterGrid,
        rows: slice,
        columns: slice,
    ) -> tuple[Sample, Tensor]:
        """Read what the dataset has in a rectangle, with its own transforms.

        Args:
            x: From left to right, in units of the CRS.
            y: From bottom to top.
            times: First and last time.
            grid: The grid that the rectangle is read on.
            rows: Its rows in the grid.
            columns: Its columns.

        Returns:
            A sample, empty if no file is there, and where images have data, of shape
            ``(H, W)``, bool.
        """
        paths = self.find(x, y, times)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if not paths:
            return {}, torch.full(shape, not self.dataset.is_image)
        image, valid = self.read(paths, grid, rows, columns)
        sample = describe_slice(x, y, times)
        if self.dataset.is_image:
            order = [name for name in BANDS if name in self.dataset.bands]
            channels = [order.index(name) for name in self.dataset.bands]
            sample['image'] = torch.from_numpy(image[channels])
        else:
            labels: Any = self.dataset
            sample |= labels.to_mask(image[0], paths)
            valid = np.ones(shape, bool)
        transforms = self.dataset.transforms
        sample = sample if transforms is None else transforms(sample)
        return sample, torch.from_numpy(valid)

    def read(
        self, paths: Iterable[str], grid: RasterGrid, rows: slice, columns: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a window; where files overlap, the first with data counts.

        Args:
            paths: The files, of which there is one at least.
            grid: A grid.
            rows: Its rows; they may lie outside it.
            columns: Its columns.

        Returns:
            The image, of shape ``(C, H, W)``, float32, channels in the order of
            :data:`~dfc2020_geo.bands.BANDS`, NaN where no file has a number; and where
            there are data, of shape ``(H, W)``, bool.

        Raises:
            RuntimeError: If a file cannot be read; the message names it.
        """
        first, *others = paths
        image, valid = self._read(first, grid, rows, columns)
        for path in others:
            if valid.all():
                break
            new, known = self._read(path, grid, rows, columns)
            taken = ~valid & (known | np.isnan(image).all(axis=0))
            np.copyto(image, new, where=taken)
            valid |= known
        return image, valid

    def _read(
        self, path: str, grid: RasterGrid, rows: slice, columns: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        image, valid = self._open(path, grid).read_window(rows, columns)
        if self.dataset.is_image:
            return image, valid
        nodata = self.header(path).nodata[0]
        if nodata is not None:
            image[image == np.float32(nodata)] = np.nan
        return image, ~np.isnan(image[0])

    def _open(self, path: str, grid: RasterGrid) -> Scene:
        scene = self._scenes.get(path)
        if scene is None or scene.grid is not grid:
            scene = self._scenes[path] = self._open_anew(path, grid)
        return scene

    def _open_anew(self, path: str, grid: RasterGrid) -> Scene:
        if not self.dataset.is_image:
            band, how = BandFile(self.header(path), 1), self.dataset.resampling.name
            readers = tuple(read_files([band], grid, how, fill=None))
            name = hide_secrets(path)
            return Scene(name, grid, ('labels',), (), readers, (), (), self._handles)
        resampling = RESAMPLING
        if hasattr(self.dataset, 'find_bands'):  # ours
            resampling = dict.fromkeys(RESAMPLING, self.dataset.resampling.name)
        found = self._bands(path)
        scene = open_bands(found, grid, resampling, self.s2_offset, self._handles)
        return take_fills(scene, self._fills)

    def _bands(self, path: str) -> dict[Band, BandFile]:
        """Find the file of each band, in channel order."""
        dataset: Any = self.dataset
        if hasattr(dataset, 'find_bands'):  # ours
            return dataset.find_bands(self.header(path))
        found = {}
        for name in dataset.bands:
            if dataset.separate_files:
                file = self.header(dataset._update_filepath(name, path))
                found[BANDS[name]] = BandFile(file, 1)
            else:
                index = dataset.all_bands.index(name) + 1
                found[BANDS[name]] = BandFile(self.header(path), index)
        return {band: found[band] for band in select_bands(found)}
