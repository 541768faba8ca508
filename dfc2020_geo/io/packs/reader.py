"""Reading rasters of a pack, as if its source was there."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ..rasters import require_bands
from ..tiffs import Pixels, fits
from .bands import Plan, plan_reading, read_run
from .codecs import FORMATS
from .contents import Contents
from .manifest import MANIFEST, UNFINISHED, Manifest, shard_name
from .opened import OpenShards, Taken
from .remote import find_url, local_path, open_mirror

#: A raster's row in the table; positions of bands, counted from 1; how many it must
#: have, if that is known; where they go, if it fits.
type Wanted = tuple[int, Sequence[int], int | None, np.ndarray | None]


def open_pack(root: Path | str) -> 'Pack | None':
    """Open a pack, if there is one.

    Args:
        root: A folder, or a URL that fsspec understands, such as ``s3://bucket/pack``.

    Returns:
        The pack; None if *root* is another folder.

    Raises:
        FileNotFoundError: If there is none at a URL, or if one is not finished.
        RuntimeError: If it is damaged, or cannot be fetched.
    """
    url = find_url(root)
    if url is not None:
        return Pack(*open_mirror(url), url)
    root = local_path(root)
    if (root / MANIFEST).is_file():
        return Pack(root, Manifest.read(root))
    if (root / UNFINISHED).is_dir():
        raise FileNotFoundError(
            f'Expected a finished pack, got one that was begun in {root}. Run the same '
            'dfc2020-geo pack again: it goes on where it stopped.'
        )
    return None


class Pack(Contents):
    """The rasters of a pack, by the paths that they had in their source.

    Threads and processes may read at the same time.
    """

    def __init__(self, root: Path, manifest: Manifest, url: str | None = None) -> None:
        """Initialize a new Pack instance.

        Args:
            root: The pack; or the folder that keeps what is fetched of it.
            manifest: Its manifest.
            url: Where its files are fetched from, if they are.

        Raises:
            RuntimeError: If it is damaged.
        """
        super().__init__(root, manifest, url)
        self._shards = OpenShards(root, manifest, url, self._table.num_bands)
        self._plain = not FORMATS[manifest.format]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy to another process: it opens the same files."""
        return _open_again, (self.root, self.url, self.manifest.index.digest)

    def read_stored(
        self,
        path: Path | str,
        indexes: Sequence[int],
        num_bands: int | None = None,
        out: np.ndarray | None = None,
    ) -> Pixels:
        """Read some bands of a raster, and what its source declared as no data.

        Args:
            path: The raster: *root* and its path in the source.
            indexes: Positions of the bands, counted from 1.
            num_bands: Number of bands that it must have, if that is known.
            out: Array to read into, if it has the shape and the type of what is read.

        Returns:
            The bands in the type of the pack; the source may have had a wider one.

        Raises:
            RuntimeError: If the raster is missing, has another number of bands or is
                not what was packed; the message names it, and the shard.
        """
        return self.read_rows([(self.find(path), indexes, num_bands, out)])[0]

    def read_rows(self, wanted: Iterable[Wanted]) -> list[Pixels]:
        """Read some bands of rasters that :meth:`find` has found.

        Args:
            wanted: For each its row, and what :meth:`read_stored` is told.

        Returns:
            As :meth:`read_stored`.

        Raises:
            RuntimeError: As :meth:`read_stored`.
        """
        taken: dict[int, Taken] = {}
        return [self._read(*each, taken) for each in wanted]

    def _read(
        self,
        row: int,
        indexes: Sequence[int],
        num_bands: int | None,
        out: np.ndarray | None,
        taken: dict[int, Taken],
    ) -> Pixels:
        kind = self.kind_at(row)
        if num_bands != kind.num_bands:
            require_bands(self.path(row), kind.num_bands, indexes, num_bands)
        plan = plan_reading(kind, tuple(indexes))
        if out is None or not fits(out, plan.shape, plan.dtype):
            out = np.empty(plan.shape, plan.dtype)
        number = self._table.columns['shard'].item(row)
        if number not in taken:
            taken[number] = self._take(number, row)
        self._fill(out, row, plan, taken[number])
        return Pixels(out, plan.nodata, kind.num_bands)

    def _take(self, number: int, row: int) -> Taken:
        shards = self._shards
        return shards.take(number) or shards.open(number, self.path(row))

    def _fill(self, values: np.ndarray, row: int, plan: Plan, taken: Taken) -> None:
        shard, checked = taken
        columns = self._table.columns
        start, first = columns['start'].item(row), columns['first'].item(row)
        known = plan.are_set(checked, first)
        if known and self._plain and shard.copy(start, values, plan.pieces):
            return
        for target, source, count in plan.runs:
            bands = slice(first + source, first + source + count)
            sizes = columns['size'][first : bands.stop].tolist()
            places = [*accumulate(sizes, initial=start)][source:]
            sums = None if known else columns['sum'][bands].tolist()
            try:
                wrong = read_run(shard, places, values[target : target + count], sums)
                fault = 'wrong checksum'
            except OSError as error:
                wrong, fault = 0, error.strerror
            if wrong is not None:
                name = shard_name(columns['shard'].item(row))
                band = f'band {source + wrong + 1} of {self.path(row)}'
                raise self.damaged(name, f'{fault} of {band}')
            checked[bands] = b'\1' * count


def _open_again(root: Path, url: str | None, digest: str) -> Pack:
    manifest = Manifest.read(root)
    if manifest.index.digest != digest:
        raise RuntimeError(
            f'Expected the pack {root} as it was when it was opened, got another one '
            'that was made meanwhile; start again.'
        )
    return Pack(root, manifest, url)
