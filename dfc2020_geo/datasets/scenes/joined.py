"""Images and labels of the same ground as one dataset."""

from typing import Any

import torch
from rasterio import Affine
from shapely import affinity
from torch import Tensor
from torchgeo.datasets import GeoDataset, IntersectionDataset, RasterDataset
from torchgeo.datasets.utils import GeoSlice, Sample

from ...bands import BANDS
from ...classes import IGNORE_INDEX
from ...io.grid import RasterGrid, count_from
from ...io.nodata import complete_pixels
from ..plotting import DrawsSamples
from .files import DatasetFiles


class JoinedScenes(DrawsSamples, IntersectionDataset):
    """Images of one or more sensors, and perhaps labels, of the same ground.

    A sample has an 'image' with its channels in the order of
    :data:`~dfc2020_geo.bands.BANDS`, whatever the order of the datasets, and a 'mask'
    that is ignored where one of the sensors has no data. Rasters, those of torchgeo's
    ``Sentinel2`` and ``Sentinel1`` as well, are read as ``map`` reads them, on the
    pixels of the first dataset: a rectangle that lies between them is moved to the
    nearest. Times are not compared.

    Attributes:
        leaves: The datasets that are joined.
        bands: Names of the channels.
        notes: What a user should be told: which offset was read where, which level.
        grid: The pixels of the first file of the first dataset.
    """

    def __init__(
        self, dataset1: GeoDataset, dataset2: GeoDataset, s2_offset: float | None = None
    ) -> None:
        """Join two datasets.

        Args:
            dataset1: Images or labels, whose CRS and pixels count.
            dataset2: Others; they are read in that CRS from now on.
            s2_offset: What is added to the stored numbers of Sentinel-2, where they are
                not those of no data: -1000 since processing baseline 04.00; None for
                what metadata and names say of each file's product, 0 if that is
                nothing.

        Raises:
            RuntimeError: If they do not overlap.
            TypeError: If one of them is not geospatial.
            ValueError: If one names no bands, a band is in two of them, several hold
                labels, or the first one is turned against its CRS.
        """
        _count_alike(dataset1, dataset2)
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
        self.s2_offset = s2_offset
        self._order = [names.index(name) for name in self.bands]
        self._readers = [
            DatasetFiles(leaf, s2_offset) if _has_rasters(leaf) else None
            for leaf in self.leaves
        ]
        readers = filter(None, self._readers)
        self.notes = tuple(dict.fromkeys(n for r in readers for n in r.describe()))
        self.grid = _require_upright(self._readers[0] or DatasetFiles(self.leaves[0]))

    def __and__(self, other: GeoDataset) -> 'JoinedScenes':
        """Join these scenes with more images, or with labels.

        Args:
            other: Images or labels, of torchgeo as well.
        """
        return JoinedScenes(self, other, self.s2_offset)

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Read a rectangle.

        Args:
            index: ``[xmin:xmax, ymin:ymax]``, coordinates of the CRS.

        Returns:
            'image' of shape ``(C, H, W)``, float32, Sentinel-2 in reflectance x 10 000
            and Sentinel-1 in dB, NaN where a file has no data; 'mask' of shape
            ``(H, W)``, int64; as far as the datasets have them; 'bounds' and
            'transform' as torchgeo has them, in float64.

        Raises:
            IndexError: If no dataset has anything there.
            RuntimeError: If a file is damaged; the message names it.
        """
        x, y, _ = self._disambiguate_slice(index)
        grid, rows, columns = self._snap(x, y)
        a, _, c, _, e, f = grid.transform[:6]
        x = slice(c + columns.start * a, c + columns.stop * a, a)
        y = slice(f + rows.stop * e, f + rows.start * e, -e)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        sample: Sample = {}
        images, masks, valid = [], [], torch.ones(shape, dtype=torch.bool)
        for leaf, reader in zip(self.leaves, self._readers, strict=True):
            if reader is None:
                read, known = _read_other(leaf, x, y, shape)
            else:
                times = leaf._disambiguate_slice((x, y))[2]
                read, known = reader.sample(x, y, times, grid, rows, columns)
            sample = sample or dict(read)
            valid &= known
            if names := _bands(leaf):
                images.append(_image(read, names, shape))
            else:
                masks.append(read.get('mask', torch.full(shape, IGNORE_INDEX)))
        if not sample:
            raise IndexError(
                f'Expected a slice within the bounds {self.bounds}, got {index}.'
            )
        if images:
            sample['image'] = torch.cat(images)[self._order]
        for mask in masks:  # one at the most
            sample['mask'] = mask.where(valid, IGNORE_INDEX)
        return sample if self.transforms is None else self.transforms(sample)

    @property
    def rasters(self) -> list[DatasetFiles]:
        """The rasters of the datasets that have some."""
        return [reader for reader in self._readers if reader is not None]

    def _snap(self, x: slice, y: slice) -> tuple[RasterGrid, slice, slice]:
        """Move a rectangle to whole pixels of the first dataset.

        Returns:
            The grid, of pixels as large as asked for, and the rows and columns of it.
        """
        grid, (c, f) = self.grid, (self.grid.transform.c, self.grid.transform.f)
        left, top = round((x.start - c) / x.step), round((f - y.stop) / y.step)
        width, height = (round((s.stop - s.start) / s.step) for s in (x, y))
        if (x.step, y.step) != (grid.transform.a, -grid.transform.e):
            grid = RasterGrid(
                grid.crs,
                Affine(x.step, 0, c, 0, -y.step, f),
                top + height,
                left + width,
            )
        return grid, slice(top, top + height), slice(left, left + width)


def _count_alike(dataset: GeoDataset, other: GeoDataset) -> None:
    """Count the longitudes of a dataset's index as another dataset does."""
    if not dataset.crs.is_geographic or other.crs != dataset.crs:
        return
    left, _, right, _ = dataset.index.total_bounds
    leaves: dict[int, Any] = {id(d): d for d in (other, *_leaves(other))}
    for each in leaves.values():
        turns = [
            float(count_from(box.centroid.x, (left + right) / 2) - box.centroid.x)
            for box in each.index.geometry
        ]
        if any(turns):
            boxes = zip(each.index.geometry, turns, strict=True)
            moved = [affinity.translate(box, turn) for box, turn in boxes]
            each.index = each.index.set_geometry(moved, crs=dataset.crs)


def _has_rasters(leaf: Any) -> bool:
    """Tell whether a dataset can be read by the reader of ``map``."""
    if not isinstance(leaf, RasterDataset) or leaf.time_series:
        return False
    if hasattr(leaf, 'find_bands'):  # ours
        return True
    is_own = type(leaf).__getitem__ is RasterDataset.__getitem__
    return is_own and bool(_bands(leaf))


def _require_upright(files: DatasetFiles) -> RasterGrid:
    path = files.dataset.index.filepath.iloc[0]
    own = files.header(path).grid
    if own.crs == files.grid.crs and not own.transform.is_rectilinear:
        raise ValueError(
            f'Expected the first image of a scene not to be turned, got {path}, '
            'whose rows do not run east; warp it first, for example with gdalwarp.'
        )
    return files.grid


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


def _read_other(
    leaf: GeoDataset, x: slice, y: slice, shape: tuple[int, ...]
) -> tuple[Sample, Tensor]:
    """Read what a dataset gives that has no files of its own to read."""
    valid = torch.ones(shape, dtype=torch.bool)
    try:
        read = leaf[x, y]
    except IndexError:  # it has nothing there
        return {}, ~valid if _bands(leaf) else valid
    if names := _bands(leaf):
        image = _image(read, names, shape).numpy()
        sensors = [BANDS[name].sensor for name in names]
        for sensor in {*sensors}:
            channels = [i for i, other in enumerate(sensors) if other == sensor]
            valid &= torch.from_numpy(complete_pixels(image[channels]))
    return read, valid


def _image(read: Sample, names: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    image = read.get('image', torch.full((len(names), *shape), torch.nan))
    if len(image) != len(names):
        raise ValueError(
            f'Expected a channel for each of {names}, got {len(image)}; transform '
            'samples after they are joined.'
        )
    return image
