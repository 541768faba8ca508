"""Readers of patches, from files or from a pack, in the dtypes of the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bands import FILE_BANDS, Band, Sensor
from ..io.packs import Pack
from ..io.rasters import MAX_PATCH_SIZE, fill_image, read_raw, require_real
from ..io.scenes.evidence import contradict_order, describe_contradiction
from ..io.tiffs import RawBands
from .indexing.files import PatchFiles
from .indexing.names import FileKind
from .indexing.table import PatchTable

#: Of each kind of file that is read: positions of bands, counted from 1, and how many it
#: must have.
type WantedBands = Mapping[FileKind, tuple[tuple[int, ...], int]]

#: In place of a raster's row: not looked for yet, and none.
_UNKNOWN, _NONE = -1, -2

#: All bands of Sentinel-2, as a reader wants them.
WHOLE_S2 = (tuple(range(1, FILE_BANDS['s2'] + 1)), FILE_BANDS['s2'])

#: Pixels of a patch whose values are compared with the order of bands.
_JUDGED_PIXELS = 4096

_ORDER_ADVICE = (
    'Describe the bands in the files, which counts, or bring them to that order'
)

#: Types whose numbers fit uint16, the type of Sentinel-2.
_NARROW = (np.dtype(np.uint8), np.dtype(np.uint16))


def want_bands(bands: Sequence[Band], num_label_bands: int) -> WantedBands:
    """Say what is read of a patch: bands of its images, and its label.

    Args:
        bands: The bands of the images, in channel order.
        num_label_bands: Number of bands in the label's file; the first one is read.

    Returns:
        The sensors in channel order, then the label.
    """
    wanted: dict[FileKind, tuple[tuple[int, ...], int]] = {}
    for band in bands:
        indexes, num_bands = wanted.get(band.sensor, ((), FILE_BANDS[band.sensor]))
        wanted[band.sensor] = (*indexes, band.file_index), num_bands
    return wanted | {'label': ((1,), num_label_bands)}


def _sensor(kind: FileKind) -> Sensor | None:
    return next((sensor for sensor in FILE_BANDS if sensor == kind), None)


@dataclass
class TreeReader:
    """Reads the GeoTIFFs of patches.

    Attributes:
        files: The files of each patch.
        wanted: What is read of them.
        max_size: Most pixels on a side of a patch.
    """

    files: PatchTable
    wanted: WantedBands
    max_size: int = MAX_PATCH_SIZE

    def read(
        self, index: int, out: Mapping[Any, np.ndarray]
    ) -> dict[FileKind, RawBands]:
        """Read the files of a patch.

        Args:
            index: Position of the patch, counted from the end if negative.
            out: Arrays to read into, as far as they fit, by raster.

        Returns:
            Bands in the types that they are stored in, of the rasters that there are.

        Raises:
            IndexError: If there is no such patch.
            RuntimeError: If a file cannot be read, or is another one than is wanted.
        """
        files, found = self.files[index], {}
        for kind, (indexes, num_bands) in self.wanted.items():
            path = getattr(files, kind)
            if path is not None:
                found[kind] = read_raw(
                    path,
                    indexes,
                    num_bands,
                    out.get(kind),
                    self.max_size,
                    _sensor(kind),
                )
                if kind != 'label':
                    require_real(path, found[kind])
        return found


class PackReader:
    """Reads rasters of a pack, and remembers where they are."""

    def __init__(self, pack: Pack, files: PatchTable, wanted: WantedBands) -> None:
        """Initialize a new PackReader instance.

        Args:
            pack: The pack.
            files: The files of each patch.
            wanted: What is read of them.
        """
        self.files, self.wanted, self._pack = files, wanted, pack
        self._rows = np.full((len(files), len(wanted)), _UNKNOWN, np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy to another process without what is soon found again."""
        return PackReader, (self._pack, self.files, self.wanted)

    def read(
        self, index: int, out: Mapping[Any, np.ndarray]
    ) -> dict[FileKind, RawBands]:
        """Read the files of a patch; packs hold none but real numbers.

        Args:
            index: Position of the patch, counted from the end if negative.
            out: Arrays to read into, as far as they fit, by raster.

        Returns:
            Bands in the types that they are stored in, of the rasters that there are.

        Raises:
            IndexError: If there is no such patch.
            RuntimeError: If a raster cannot be read, or is another one than is wanted.
        """
        rows = self._rows[index].tolist()
        if _UNKNOWN in rows:
            rows = self._find(index)
        rasters, wanted = [], []
        for row, (kind, (indexes, num_bands)) in zip(
            rows, self.wanted.items(), strict=True
        ):
            if row != _NONE:
                rasters.append(kind)
                wanted.append((row, indexes, num_bands, out.get(kind)))
        return dict(zip(rasters, self._pack.read_rows(wanted), strict=True))

    def _find(self, index: int) -> list[int]:
        """Find the rows of a patch in the table of the pack."""
        files = self.files[index]
        paths = [getattr(files, kind) for kind in self.wanted]
        rows = [_NONE if p is None else self._pack.find(p) for p in paths]
        self._rows[index] = rows
        return rows


def judge_order(reader: TreeReader | PackReader, num_patches: int) -> str:
    """Say what speaks against the order of SEN12MS in bands without descriptions.

    Args:
        reader: Reads all bands of Sentinel-2.
        num_patches: The most patches to read, spread over the set.

    Returns:
        What the values contradict, and what to do; empty if they do not.
    """
    parts, every = [], max(len(reader.files) // num_patches, 1)
    for index in range(len(reader.files))[::every][:num_patches]:
        try:
            pixels = reader.read(index, {})['s2']
        except (OSError, RuntimeError):  # whoever reads this patch is told
            continue
        if not pixels.is_named:
            bands = pixels.values.reshape(len(pixels.values), -1)
            parts.append(bands[:, :: max(bands.shape[1] // _JUDGED_PIXELS, 1)])
    numbers = np.concatenate(parts, axis=1, dtype=float) if parts else np.empty((0, 0))
    if not (reasons := contradict_order(numbers)):
        return ''
    where = f'{reader.files[0].s2} and others'
    return describe_contradiction(where, numbers, reasons, _ORDER_ADVICE)


def store_bands(
    sensor: Sensor,
    pixels: RawBands,
    out: np.ndarray | None = None,
    fills: Sequence[float] = (),
) -> np.ndarray:
    """Keep bands in the smallest type that scaling turns into the same bits.

    Args:
        sensor: The sensor of the bands.
        pixels: The bands as they were read. They may be changed.
        out: Where they go, if shape and type fit.
        fills: Numbers without data that the file does not declare.

    Returns:
        Array of shape ``(bands, H, W)``: uint16 for Sentinel-2 whose file holds uint8
        or uint16, with 0 where the file declares no data, which is what NaN is scaled
        to; else float32, with NaN there.
    """
    values = pixels.values
    if sensor != 's2' or values.dtype not in _NARROW:
        image = _place(values, np.dtype(np.float32), out)
        fill_image(image, pixels, fills)
        return image
    stored = _place(values, np.dtype(np.uint16), out)
    if stored is not values:
        np.copyto(stored, values)
    if pixels.nodata:
        stored[stored == pixels.nodata] = 0
    for number in fills:
        stored[stored == number] = 0
    return stored


def _place(values: np.ndarray, dtype: np.dtype, out: np.ndarray | None) -> np.ndarray:
    if out is not None and (out.shape, out.dtype) == (values.shape, dtype):
        return out
    return values if values.dtype == dtype else np.empty(values.shape, dtype)


def other_sizes(files: PatchFiles, found: Mapping[FileKind, RawBands]) -> RuntimeError:
    """Say that the files of a patch differ in height or width.

    Args:
        files: The files of the patch.
        found: What was read of them.

    Returns:
        An error to raise, which names them.
    """
    sizes = {getattr(files, k): pixels.values.shape[-2:] for k, pixels in found.items()}
    listed = ' and '.join(f'{h} x {w} of {path}' for path, (h, w) in sizes.items())
    return RuntimeError(
        f'Expected files of one patch to have the same height and width, got {listed}.'
    )
