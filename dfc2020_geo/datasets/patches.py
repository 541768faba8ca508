"""Base class of the patch datasets: samples in file units, selection, class map names."""

import copy
import logging
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset
from torchgeo.datasets.utils import Sample

from ..bands import BANDS, RGB_BANDS, Sensor, select_bands
from ..classes import LegendName, get_scheme
from ..io.grid import RasterGrid
from ..io.packs import open_pack
from ..io.rasters import MAX_PATCH_SIZE, fill_image, read_grid
from ..io.scenes.products import describe_product
from ..io.tiffs import RawBands
from ..io.value_checks import CheckMode, Fills, SensorSample, SetSample
from .indexing.names import rename
from .indexing.packed import PackTree
from .indexing.table import PatchTable
from .indexing.trees import FolderTree, ReducedTree
from .plotting import DrawsSamples
from .reading import (
    WHOLE_S2,
    PackReader,
    TreeReader,
    WantedBands,
    judge_order,
    other_sizes,
    store_bands,
    want_bands,
)

logger = logging.getLogger(__name__)

#: Patches whose values are compared with the order of bands.
_NUM_JUDGED = 8

#: Pixels of a patch that a sample for a check has, about.
_MOST_PIXELS = 8192

SampleTransform = Callable[[Sample], Sample]


class PatchesNotFoundError(DatasetNotFoundError):
    """Raised when a root lacks patches, or files of patches."""

    def __init__(self, message: str) -> None:
        """Initialize the error.

        Args:
            message: What was expected, what was found and what to do.
        """
        FileNotFoundError.__init__(self, message)


class PatchDataset(DrawsSamples, NonGeoDataset):
    """Base class of datasets of Sentinel-1 and Sentinel-2 patches.

    A sample has an 'image' of shape ``(C, H, W)``, float32 in file units (reflectance
    x 10 000; sigma nought in dB), channels in the order of
    :data:`~dfc2020_geo.bands.BANDS`; and, if the dataset is labelled, a 'mask' of shape
    ``(H, W)``, int64 class indices, :data:`~dfc2020_geo.classes.IGNORE_INDEX` where
    there is no class.

    To add a dataset, derive from this class: name its splits, legend and files (see
    CONTRIBUTING.md).

    Attributes:
        splits: Names of the splits.
        root: Root of the dataset.
        split: Name of the split.
        bands: Bands of 'image', in channel order.
        scheme: Class scheme of 'mask'.
        transforms: Transforms of samples.
        files: Files of each patch.
        note: Caveat about scores on this split, or an empty string.
        check: What values do that contradict the order of bands: ``'error'`` refuses
            them, ``'warn'`` warns.
        max_patch_size: Most pixels on a side of a patch; set it before one is read.
        fills: Undeclared numbers that are read as no data, by sensor.
    """

    splits: ClassVar[tuple[str, ...]]
    all_bands = tuple(BANDS)
    rgb_bands = RGB_BANDS
    max_patch_size: int = MAX_PATCH_SIZE

    _legend: ClassVar[LegendName]  # legend of the labels, if there are any
    _label_bands: ClassVar[int] = 0  # number of bands in a label's file
    _prediction: ClassVar[str]  # what a class map's name has in place of s2

    def __init__(
        self,
        root: Path | str,
        split: str,
        bands: Sequence[str],
        scheme: str,
        transforms: SampleTransform | None,
        skip_list: Path | str | None = None,
    ) -> None:
        """Initialize a new PatchDataset instance.

        Args:
            root: Folder of the data, or a pack of it: a folder or a URL.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme.
            transforms: A function that takes a sample and returns a changed version.
            skip_list: File that lists files to leave out, as ``dfc2020-geo check``
                writes it.

        Raises:
            DatasetNotFoundError: If *root* lacks patches, or files of patches.
            RuntimeError: If a list in *root* is not understood, or a file is there
                twice.
            ValueError: If *split*, *bands* or *scheme* is unknown.
        """
        if split not in self.splits:
            raise ValueError(
                f"Expected split to be one of {self.splits}, got '{split}'."
            )
        self.split = split
        self.bands = select_bands(bands)
        self.scheme = get_scheme(scheme)
        self.transforms = transforms
        self._last_reader: TreeReader | PackReader | None = None
        self.note = ''
        self.fills: Fills = {}
        self.check: CheckMode = 'error'
        self._is_ordered = False
        self.classes = tuple(self.scheme.labels)
        colors = [land_cover.color for land_cover in self.scheme.classes]
        self.cmap = ListedColormap(np.divide(colors, 255), name=scheme)
        if not str(root).strip():
            raise PatchesNotFoundError(
                "Expected the root of the data, got an empty name (''); give a folder, "
                'or . for the one you are in.'
            )
        try:
            self._pack = open_pack(root)
            self.root = self._pack.root if self._pack else Path(root).expanduser()
            self._tree = PackTree(self._pack) if self._pack else FolderTree(self.root)
            if skip_list is not None:
                self._tree = ReducedTree(self._tree, skip_list)
            self.files = self._index()
        except FileNotFoundError as error:
            raise PatchesNotFoundError(str(error)) from None

    @abstractmethod
    def _index(self) -> PatchTable:
        """Find the files of the split's patches."""

    @property
    def _sensors(self) -> tuple[Sensor, ...]:
        return tuple(dict.fromkeys(band.sensor for band in self.bands))

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Load one patch.

        Args:
            index: Position of the patch, counted from the end if negative.

        Returns:
            'image' and, where there are labels, 'mask', as the class describes them.

        Raises:
            IndexError: If there is no such patch.
            RuntimeError: If a file is damaged, has another number of bands or another
                size than its twin, or codes that its legend lacks; the message names
                it.
        """
        bands, codes = self._read_patch(index, {})
        height, width = next(iter(bands.values())).values.shape[1:]
        image = np.empty((len(self.bands), height, width), np.float32)
        channels = np.cumsum([len(pixels.values) for pixels in bands.values()])[:-1]
        parts = np.split(image, channels)
        for part, (sensor, pixels) in zip(parts, bands.items(), strict=True):
            fill_image(part, pixels, self.fills.get(sensor, ()))
        sample: Sample = {'image': torch.from_numpy(image)}
        if codes is not None:
            sample['mask'] = torch.from_numpy(self._encode(index, codes)).long()
        return sample if self.transforms is None else self.transforms(sample)

    def read_raw(
        self, index: int, out: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Load one patch in the types of its files, before any transform.

        Args:
            index: Position of the patch, counted from the end if negative.
            out: Where what is returned goes, by the same names, as far as shapes and
                types fit; the rest may hold anything then.

        Returns:
            's2' and 's1' of shape ``(C, H, W)``, as far as *bands* need them: uint16
            and float32, or float32 where a file's numbers do not fit. Scaled, they are
            the same bits as a sample's 'image'; 0 in uint16 may be no data. And where
            there are labels 'mask' of shape ``(H, W)``, uint8 class indices.

        Raises:
            IndexError: If there is no such patch.
            RuntimeError: As for a sample.
        """
        out = out or {}
        bands, codes = self._read_patch(index, out)
        stored: dict[str, np.ndarray] = {
            sensor: store_bands(
                sensor, pixels, out.get(sensor), self.fills.get(sensor, ())
            )
            for sensor, pixels in bands.items()
        }
        if codes is not None:
            stored['mask'] = self._encode(index, codes, out.get('mask'))
        return stored

    @property
    def _reader(self) -> TreeReader | PackReader:
        """What reads the files: another one in copies that have others."""
        reader = self._last_reader
        if reader is None or reader.files is not self.files:
            wanted = want_bands(self.bands, self._label_bands)
            reader = self._last_reader = self._make_reader(wanted)
        return reader

    def _make_reader(self, wanted: WantedBands) -> TreeReader | PackReader:
        if self._pack:
            return PackReader(self._pack, self.files, wanted)
        return TreeReader(self.files, wanted, self.max_patch_size)

    def _read_patch(
        self, index: int, out: Mapping[str, np.ndarray]
    ) -> tuple[dict[Sensor, RawBands], np.ndarray | None]:
        """Read the bands of each sensor and, where there are labels, their codes."""
        if not self._is_ordered:
            self.require_order()
        if 'mask' in out:
            out = {**out, 'label': out['mask'][None]}
        found = self._reader.read(index, out)
        if len({pixels.values.shape[-2:] for pixels in found.values()}) > 1:
            raise other_sizes(self.files[index], found)
        bands = {sensor: found[sensor] for sensor in self._sensors}
        return bands, found['label'].values[0] if 'label' in found else None

    def _encode(
        self, index: int, codes: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        if out is None or (out.shape, out.dtype) != (codes.shape, np.uint8):
            out = codes if codes.dtype == np.uint8 else None
        try:
            return self.scheme.encode(codes, self._legend, out)
        except ValueError as error:
            raise RuntimeError(
                f'{self.files[index].label}: {error} Replace this file or take the '
                'patch out.'
            ) from None

    def sample(self, num_patches: int = 24, skips: bool = False) -> SetSample:
        """Read some pixels of some patches, as they are stored, for a check.

        Args:
            num_patches: The most patches to read; they are spread over the set, or lie
                together where each part of it would have to be fetched first.
            skips: Whether to leave patches out that cannot be read.

        Returns:
            The pixels.

        Raises:
            RuntimeError: As for a sample.
        """
        positions = range(len(self))[:: max(len(self) // num_patches, 1)][:num_patches]
        if self._pack is not None and self._pack.url is not None:
            positions = range(len(self))[:num_patches]
        images: dict[Sensor, list[np.ndarray]] = {}
        undeclared: dict[Sensor, list[float]] = {}
        codes: Counter[float] = Counter()
        for index in positions:
            try:
                bands, labels = self._read_patch(index, {})
            except (RuntimeError, OSError):
                if not skips:
                    raise
                continue
            for sensor, pixels in bands.items():
                _, height, width = pixels.values.shape
                step = math.ceil(math.sqrt(height * width / _MOST_PIXELS))
                values = pixels.values[:, ::step, ::step]
                image = values.astype(np.result_type(values.dtype, np.float32))
                if pixels.nodata is None or not np.isnan(pixels.nodata):
                    undeclared.setdefault(sensor, []).append(np.isnan(image).mean())
                fill_image(image, RawBands(values, pixels.nodata, pixels.num_bands))
                images.setdefault(sensor, []).append(image.reshape(len(image), -1))
            if labels is not None:
                numbers, counts = np.unique(labels, return_counts=True)
                codes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        return SetSample(
            tuple(
                SensorSample(
                    bands=tuple(b.name for b in self.bands if b.sensor == sensor),
                    values=np.concatenate(parts, axis=1),
                    undeclared=float(np.mean(undeclared.get(sensor, [0]))),
                )
                for sensor, parts in images.items()
            ),
            codes,
            getattr(self, '_legend', None),
            f'{len(positions)} of {len(self)} patches',
        )

    def require_order(self) -> None:
        """Check once that bands without descriptions are in the order of SEN12MS.

        The values of some patches are looked at.

        Raises:
            RuntimeError: If they contradict it; a warning where *check* is ``'warn'``.
        """
        if self._is_ordered or 's2' not in self._sensors or self.check == 'off':
            return
        self._is_ordered = True
        self._tell_product()
        num_patches = 1 if self._pack and self._pack.url else _NUM_JUDGED
        text = judge_order(self._make_reader({'s2': WHOLE_S2}), num_patches)
        if not text:
            return
        if self.check == 'error':
            raise RuntimeError(text)
        logger.warning(text)

    def _tell_product(self) -> None:
        """Warn of what metadata or names say of a product, as it is not applied."""
        path = self.files[0].s2 if len(self) else None
        product = None if path is None or self._pack else describe_product([str(path)])
        if product is not None and product.offsets:
            logger.warning(
                'Expected reflectance x 10 000 in %s, got patches of processing baseline '
                '%s by %s, to which 1000 is added. Patches are read as they are: '
                'subtract it, or map the scene with dfc2020-geo map.',
                path,
                product.baseline,
                product.path,
            )
        if product is not None and product.level == 'L2A':
            logger.warning(
                'Expected Level-1C, as SEN12MS and DFC2020 are, in %s, got Level-2A by '
                '%s, reflectance at the surface.',
                path,
                product.path,
            )

    def select(self, indices: Iterable[int]) -> Self:
        """Keep some patches.

        Args:
            indices: Positions of the patches to keep, in the wanted order.

        Returns:
            A copy of this dataset with these patches only.
        """
        selected = copy.copy(self)
        selected.files = self.files.select(indices)
        return selected

    def grid(self, index: int) -> RasterGrid:
        """Say where on Earth a patch lies.

        Args:
            index: Position of the patch.

        Returns:
            Size, CRS and transform of its image.

        Raises:
            RuntimeError: If the image cannot be read; the message names it.
        """
        path = self.files[index].image
        return self._pack.grid(path) if self._pack else read_grid(path)

    def prediction_id(self, index: int) -> str:
        """Name the class map of a patch, as the 2020 baseline does.

        Args:
            index: Position of the patch.

        Returns:
            Its id with ``_dfc_``, ``_lc_`` or ``_pred_`` in place of ``_s2_``.
        """
        return rename(self.files[index].id, 's2', self._prediction)
