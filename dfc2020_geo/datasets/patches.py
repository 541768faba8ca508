"""What the datasets of patches share: reading, selecting, naming."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset
from torchgeo.datasets.utils import Sample

from ..bands import BANDS, FILE_BANDS, RGB_BANDS, Sensor, select_bands
from ..classes import Source, get_scheme
from ..rasters import fill_image, read_stored, require_real
from ..tiffs import Pixels
from .index import rename
from .pairing import PatchFiles
from .plotting import DrawsSamples

Transform = Callable[[Sample], Sample]


class PatchesNotFoundError(DatasetNotFoundError):
    """Raised when a root lacks patches, or files of patches."""

    def __init__(self, message: str) -> None:
        """Initialize the error.

        Args:
            message: What was expected, what was found and what to do.
        """
        FileNotFoundError.__init__(self, message)


class PatchDataset(DrawsSamples, NonGeoDataset):
    """Patches of Sentinel-1 and Sentinel-2, with or without labels.

    A sample has an 'image' of shape ``(C, H, W)``, float32 in the units of the files
    (reflectance x 10 000; sigma nought in dB), its channels in the order of
    :data:`~dfc2020_geo.bands.BANDS`; and, where there are labels, a 'mask' of shape
    ``(H, W)``, int64 class indices, :data:`~dfc2020_geo.classes.IGNORE_INDEX` where
    there is no class.

    Attributes:
        splits: Names of the parts of the data.
        root: Folder of the data.
        split: The part that this is.
        bands: The bands of 'image', in channel order.
        scheme: The classes of 'mask'.
        transforms: What a sample goes through last.
        files: The files of each patch.
        note: What scores on this split must say, if anything.
    """

    splits: ClassVar[tuple[str, ...]]
    all_bands = tuple(BANDS)
    rgb_bands = RGB_BANDS

    _source: ClassVar[Source]  # legend of the labels, if there are any
    _label_bands: ClassVar[int]  # number of bands in a label's file
    _prediction: ClassVar[str]  # what a class map's name has in place of s2

    def __init__(
        self,
        root: Path | str,
        split: str,
        bands: Sequence[str],
        scheme: str,
        transforms: Transform | None,
    ) -> None:
        """Initialize a new PatchDataset instance.

        Args:
            root: Folder of the data.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme.
            transforms: A function that takes a sample and returns a changed version.

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
        self.root = Path(root).expanduser()
        self.split = split
        self.bands = select_bands(bands)
        self.scheme = get_scheme(scheme)
        self.transforms = transforms
        self._read = read_stored
        self.note = ''
        self.classes = tuple(self.scheme.labels)
        colors = [land_cover.color for land_cover in self.scheme.classes]
        self.cmap = ListedColormap(np.divide(colors, 255), name=scheme)
        try:
            self.files = tuple(self._index())
        except FileNotFoundError as error:
            raise PatchesNotFoundError(str(error)) from None

    @abstractmethod
    def _index(self) -> Iterable[PatchFiles]:
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
        files = self.files[index]
        images = {getattr(files, s): self._read_bands(files, s) for s in self._sensors}
        labels = {}
        if files.label is not None:
            labels[files.label] = self._read(files.label, [1], self._label_bands).values
        stored = {path: pixels.values for path, pixels in images.items()}
        height, width = _common_size(stored | labels)
        image = np.empty((len(self.bands), height, width), np.float32)
        channels = np.cumsum([len(values) for values in stored.values()])[:-1]
        for part, pixels in zip(
            np.split(image, channels), images.values(), strict=True
        ):
            fill_image(part, pixels)
        sample: Sample = {'image': torch.from_numpy(image)}
        for path, codes in labels.items():
            sample['mask'] = self._encode(codes[0], path)
        return sample if self.transforms is None else self.transforms(sample)

    def _read_bands(self, files: PatchFiles, sensor: Sensor) -> Pixels:
        path = getattr(files, sensor)
        indexes = [band.file_index for band in self.bands if band.sensor == sensor]
        pixels = self._read(path, indexes, FILE_BANDS[sensor])
        require_real(path, pixels)
        return pixels

    def _encode(self, codes: np.ndarray, path: Path) -> Tensor:
        try:
            indices = self.scheme.encode(codes, self._source)
        except ValueError as error:
            raise RuntimeError(
                f'{path}: {error} Replace this file or take the patch out.'
            ) from None
        return torch.from_numpy(indices).long()

    def select(self, indices: Iterable[int]) -> Self:
        """Keep some patches.

        Args:
            indices: Positions of the patches to keep, in the wanted order.

        Returns:
            A copy of this dataset with these patches only.
        """
        selected = copy.copy(self)
        selected.files = tuple(self.files[index] for index in indices)
        return selected

    def prediction_id(self, index: int) -> str:
        """Name the class map of a patch, as the 2020 baseline does.

        Args:
            index: Position of the patch.

        Returns:
            Its id with ``_dfc_``, ``_lc_`` or ``_pred_`` in place of ``_s2_``.
        """
        return rename(self.files[index].id, 's2', self._prediction)


def _common_size(rasters: Mapping[Path, np.ndarray]) -> tuple[int, int]:
    """Return the height and width that arrays of shape ``(..., H, W)`` share."""
    sizes = {path: raster.shape[-2:] for path, raster in rasters.items()}
    if len(set(sizes.values())) > 1:
        found = ' and '.join(f'{h} x {w} of {path}' for path, (h, w) in sizes.items())
        raise RuntimeError(
            f'Expected files of one patch to have the same height and width, got '
            f'{found}.'
        )
    return next(iter(sizes.values()))
