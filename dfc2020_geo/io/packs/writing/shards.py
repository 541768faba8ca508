"""Writing a shard: a piece of work that depends on nothing but its files."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ...atomic import UNFINISHED as PART
from ...atomic import replacing
from ...rasters import read_grid, read_stored, require_real
from ...tiffs import Pixels
from ..codecs import FORMATS, encode_band
from ..manifest import SHARDS, UNFINISHED, Kind, Stored, band_bytes, shard_name
from ..shards import TensorWriter, digest_file
from .shard_records import Job, Row, ShardRecord, write_record
from .source import SourceFile

#: Narrower types to try, by the type of a source; the images that a network reads have
#: 32 bits, and codes of classes have 8.
_NARROWER = {
    'float64': 'float32',
    **dict.fromkeys(('int32', 'int64', 'uint32', 'uint64'), 'uint8'),
}
_MAX_BAND = 1 << 32


def write_shard(job: Job) -> None:
    """Write a shard, and then the record that says what is in it.

    Args:
        job: What to write.

    Raises:
        OSError: If it cannot be written.
        RuntimeError: If a source is damaged, or changes meanwhile.
    """
    names = [file.path for file in job.files]
    with replacing(job.out / shard_name(job.number)) as unfinished:
        with TensorWriter(unfinished, names) as writer:
            rows = [_add(job, file, writer) for file in job.files]
            writer.finish({'format': job.format, 'encoding': FORMATS[job.format]})
        stored = Stored(unfinished.stat().st_size, digest_file(unfinished))
    write_record(job, ShardRecord(stored, rows))


def _add(job: Job, file: SourceFile, writer: TensorWriter) -> Row:
    path = job.root / file.path
    grid = read_grid(path)
    pixels = _read(path)
    if file.has_changed(job.root):
        raise RuntimeError(
            f'Expected the source to stay as it is while it is packed, got a change of '
            f'{path}; run the same command again when it does not change any more.'
        )
    values = _narrow(pixels)
    kind = Kind(
        *values.shape,
        values.dtype.name,
        pixels.values.dtype.name,
        None if pixels.nodata is None else repr(float(pixels.nodata)),
        _name_crs(None if grid.crs is None else grid.crs.to_wkt()),
    )
    if band_bytes(kind) >= _MAX_BAND:
        raise RuntimeError(f'Expected bands of less than 4 GiB, got {path}.')
    bands = [encode_band(band, job.format) for band in values]
    sizes = [band.size for band in bands]
    whole = sum(sizes) == values.nbytes and not FORMATS[job.format]
    if whole:
        start = writer.add(values.dtype, values.shape, [b.data for b in bands])
    else:
        start = writer.add(np.dtype('uint8'), [sum(sizes)], [b.data for b in bands])
    sums = [xxhash.xxh3_64_intdigest(band) for band in bands]
    return Row(kind, start, list(grid.transform[:6]), sizes, sums)


@lru_cache
def _name_crs(wkt: str | None) -> str | None:
    """Name a coordinate reference system in short, where that says the same."""
    if wkt is None:
        return None
    name = CRS.from_wkt(wkt).to_string()
    return name if CRS.from_string(name).to_wkt() == wkt else wkt


def _read(path: Path) -> Pixels:
    """Read all bands of a raster."""
    count = read_stored(path, [1]).num_bands
    pixels = read_stored(path, range(1, count + 1), count)
    require_real(path, pixels)
    return pixels


def _narrow(pixels: Pixels) -> np.ndarray:
    """Store values in a narrower type where each one is the same number in it."""
    values = pixels.values
    name = _NARROWER.get(values.dtype.name)
    if name is None:
        return values
    with np.errstate(over='ignore', invalid='ignore'):
        narrow = values.astype(name)
        nodata = pixels.nodata
        same = nodata is None or np.isnan(nodata)
        same = same or float(narrow.dtype.type(nodata)) == nodata
    equal = np.array_equal(narrow, values, equal_nan=values.dtype.kind == 'f')
    return narrow if same and equal else values


def remove_leftovers(out: Path, num_shards: int) -> None:
    """Remove what a killed process left, and shards that a pack has no more.

    Args:
        out: The pack.
        num_shards: Number of its shards.
    """
    names = {Path(shard_name(number)).name for number in range(num_shards)}
    for path in (out / SHARDS).iterdir():
        if path.name not in names:
            path.unlink()
    for path in (out / UNFINISHED).glob(f'*{PART}'):
        path.unlink()
