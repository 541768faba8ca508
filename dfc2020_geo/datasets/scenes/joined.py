"""Images and labels of the same place as one dataset."""

from typing import Any

import torch
from rasterio import Affine
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from torch import Tensor
from torchgeo.datasets import GeoDataset, IntersectionDataset
from torchgeo.datasets.utils import GeoSlice, Sample

from ...bands import BANDS, Sensor
from ...classes import IGNORE_INDEX
from ...io.grid import RasterGrid
from ...io.nodata import valid_pixels
from ...io.rasters import grid_of, open_raster
from ..plotting import DrawsSamples


class JoinedScenes(DrawsSamples, IntersectionDataset):
    """Images of one or more sensors, and perhaps labels, of the same place.

    A sample has an 'image' with its channels in the order of
    :data:`~dfc2020_geo.bands.BANDS`, whatever the order of the datasets, and a 'mask'
    that is ignored where one of the sensors has no data. Everything is read on the
    pixels of the first dataset: a rectangle that lies between them is moved to the
    nearest. Times are not compared.

    Attributes:
        leaves: The datasets that are joined; torchgeo's ``Sentinel2`` and
            ``Sentinel1`` as well.
        bands: Names of the channels.
        pixels: The pixels of the first file of the first dataset.
    """

    def __init__(self, dataset1: GeoDataset, dataset2: GeoDataset) -> None:
        """Join two datasets.

        Args:
            dataset1: Images or labels, whose CRS and pixels count.
            dataset2: Others; they are read in that CRS from now on.

        Raises:
            RuntimeError: If they have no place in common.
            TypeError: If one of them is not geospatial.
            ValueError: If one names no bands, a band is in two of them, several hold
                labels, or the first one is turned against its CRS.
        """
        super().__init__(dataset1, dataset2, spatial_only=True)
        self.leaves = [leaf for d in (dataset1, dataset2) for leaf in _leaves(d)]
        names = [name for leaf in self.leaves for name in _bands(leaf)]
        if unknown := [name for name in names if name not in BANDS]:
            raise ValueError(f'Expected bands of {tuple(BANDS)}, got {unknown}.')
        if len({*names}) < len(names):
            raise ValueError(f'Expected each band once, got {names}.')
        labels = [leaf for leaf in self.leaves if not _bands(leaf)]
        if len(labels) > 1:
            raise ValueError(
                f'Expected labels once, got {len(labels)} datasets of them.'
            )
        self.scheme = getattr([*labels, self][0], 'scheme', self.scheme)
        self.bands = tuple(name for name in BANDS if name in names)
        self._order = [names.index(name) for name in self.bands]
        self.pixels = _find_pixels(self.leaves[0])

    def __and__(self, other: GeoDataset) -> 'JoinedScenes':
        """Join these scenes with more images, or with labels.

        Args:
            other: Images or labels, of torchgeo as well.
        """
        return JoinedScenes(self, other)

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Read a rectangle.

        Args:
            index: ``[xmin:xmax, ymin:ymax]``, coordinates of the CRS.

        Returns:
            'image', 'mask', 'bounds' and 'transform', as far as the datasets have them;
            those of the first one.

        Raises:
            IndexError: If no dataset has anything there.
        """
        x, y = self._snap(index)
        samples = [_read(leaf, x, y) for leaf in self.leaves]
        if not any(samples):
            raise IndexError(f'Expected a place in {self.bounds}, got {index}.')
        sample = dict(next(filter(None, samples)))
        shape = tuple(round((s.stop - s.start) / s.step) for s in (y, x))
        images, valid = [], torch.ones(shape, dtype=torch.bool)
        for leaf, read in zip(self.leaves, samples, strict=True):
            if names := _bands(leaf):
                images.append(_image(read, names, shape))
                for channels in _by_sensor(images[-1], names):
                    valid &= valid_pixels(channels[None])[0]
            else:
                sample['mask'] = read.get('mask', torch.full(shape, IGNORE_INDEX))
        if images:
            sample['image'] = torch.cat(images)[self._order]
        if 'mask' in sample:
            sample['mask'] = sample['mask'].where(valid, IGNORE_INDEX)
        return sample if self.transforms is None else self.transforms(sample)

    def _snap(self, index: GeoSlice) -> tuple[slice, slice]:
        """Move a rectangle to whole pixels of the first dataset."""
        x, y, _ = self._disambiguate_slice(index)
        c, f = self.pixels.transform.c, self.pixels.transform.f
        left, top = round((x.start - c) / x.step), round((f - y.stop) / y.step)
        width, height = (round((s.stop - s.start) / s.step) for s in (x, y))
        return (
            slice(c + left * x.step, c + (left + width) * x.step, x.step),
            slice(f - (top + height) * y.step, f - top * y.step, y.step),
        )


def _leaves(dataset: Any) -> list[Any]:
    if isinstance(dataset, IntersectionDataset):
        return [leaf for inner in dataset.datasets for leaf in _leaves(inner)]
    return [dataset]


def _bands(leaf: Any) -> tuple[str, ...]:
    """Return the names of a dataset's channels; none if it holds labels."""
    if not getattr(leaf, 'is_image', True):
        return ()
    if names := getattr(leaf, 'bands', None):
        return tuple(names)
    raise ValueError(
        f'Expected images whose bands are named, got {type(leaf).__name__} without '
        'bands.'
    )


def _read(leaf: GeoDataset, x: slice, y: slice) -> Sample:
    try:
        return leaf[x, y]
    except IndexError:
        return {}  # it has nothing there


def _image(read: Sample, names: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    image = read.get('image', torch.full((len(names), *shape), torch.nan))
    if len(image) != len(names):
        raise ValueError(
            f'Expected a channel for each of {names}, got {len(image)}; transform '
            'samples after they are joined.'
        )
    return image


def _by_sensor(image: Tensor, names: tuple[str, ...]) -> list[Tensor]:
    sensors: dict[Sensor, list[int]] = {}
    for channel, name in enumerate(names):
        sensors.setdefault(BANDS[name].sensor, []).append(channel)
    return [image[channels] for channels in sensors.values()]


def _find_pixels(leaf: Any) -> RasterGrid:
    """Find the pixels of a dataset's first file, in the dataset's CRS and res."""
    crs, (xres, yres) = CRS.from_user_input(leaf.crs), leaf.res
    left, bottom, right, top = leaf.index.total_bounds
    path = leaf.index.filepath.iloc[0]
    with open_raster(path) as raster:
        grid = grid_of(raster)
        if grid.crs == crs and grid.is_north_up:
            left, bottom, right, top = raster.bounds
        elif grid.crs == crs and not grid.transform.is_rectilinear:
            raise ValueError(
                f'Expected the first image of a scene not to be turned, got {path}, '
                'whose rows do not run east; warp it first, for example with gdalwarp.'
            )
    transform = Affine(xres, 0, left, 0, -yres, top)
    height, width = round((top - bottom) / yres), round((right - left) / xres)
    return RasterGrid(crs, transform, height, width)
