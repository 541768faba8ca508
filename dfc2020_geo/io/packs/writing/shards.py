"""Writing shards: pieces of work that depend on nothing but their files."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import xxhash
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)

from ....bands import FILE_BANDS
from ...atomic import replacing
from ...rasters import read_grid, read_raw, require_real
from ...run_record import FileStamp, FinishedFile, RunRecord
from ...tiffs import RawBands
from ..codecs import FORMATS, encode_band
from ..manifest import MAX_BAND, SHARDS, RasterProfile, shard_name
from ..tensors import TensorWriter
from .plan import SourceFile, digest_files

#: Narrower types to try, by the type of a source; the images that a network reads have
#: 32 bits, and codes of classes have 8.
_NARROWER = {
    'float64': 'float32',
    **dict.fromkeys(('int32', 'int64', 'uint32', 'uint64'), 'uint8'),
}


@dataclass(frozen=True)
class ShardJob:
    """A shard to write.

    Attributes:
        number: Its position.
        root: The tree that is packed.
        run: The record of the run, in the folder of the pack.
        format: Format of the pack.
        files: The rasters, in order.
        max_patch_size: Most pixels on a side of one.
    """

    number: int
    root: Path
    run: RunRecord
    format: str
    files: list[SourceFile]
    max_patch_size: int


@dataclass(frozen=True)
class RasterRow:
    """What the table says of one raster.

    Attributes:
        profile: What it has in common with others.
        start: Where it begins in the shard.
        transform: Its geotransform.
        sizes: Bytes of each band in the shard.
        sums: Checksum of those.
    """

    profile: RasterProfile
    start: int
    transform: list[float]
    sizes: list[int]
    sums: list[int]


@dataclass(frozen=True)
class ShardRecord:
    """What is in a finished shard: its file, and its rasters in order."""

    stored: FileStamp
    rows: list[RasterRow]


def read_records(
    jobs: Iterable[ShardJob], files: Mapping[str, FinishedFile]
) -> dict[int, ShardRecord]:
    """Read what is in the shards that are finished.

    Args:
        jobs: The shards.
        files: The finished files of the run, by name.

    Returns:
        Records by the numbers of the shards, of the same files alone.
    """
    records = {}
    for job in jobs:
        file = files.get(shard_name(job.number))
        if file is None or file.content['files'] != digest_files(job.files):
            continue
        rows = [
            RasterRow(RasterProfile(*profile), *rest)
            for profile, *rest in file.content['rows']
        ]
        records[job.number] = ShardRecord(file.stamp, rows)
    return records


def write_shard(job: ShardJob) -> None:
    """Write a shard, and note in the record what is in it.

    Args:
        job: What to write.

    Raises:
        OSError: If it cannot be written.
        RuntimeError: If a source is damaged, or changes meanwhile.
    """
    names = [file.path for file in job.files]
    with replacing(job.run.directory / shard_name(job.number)) as unfinished:
        with TensorWriter(unfinished, names) as writer:
            rows = [_add(job, file, writer) for file in job.files]
            writer.finish({'format': job.format, 'encoding': FORMATS[job.format]})
        stamp = FileStamp.of(unfinished)
    noted = [[r.profile, r.start, r.transform, r.sizes, r.sums] for r in rows]
    content = {'files': digest_files(job.files), 'rows': noted}
    job.run.note(shard_name(job.number), content, stamp)


def _add(job: ShardJob, file: SourceFile, writer: TensorWriter) -> RasterRow:
    path = job.root / file.path
    grid = read_grid(path)
    pixels = _read(path, job.max_patch_size)
    if file.has_changed(job.root):
        raise RuntimeError(
            f'Expected the source to stay as it is while it is packed, got a change of '
            f'{path}; run the same command again when it does not change any more.'
        )
    values = _narrow(pixels)
    profile = RasterProfile(
        *values.shape,
        values.dtype.name,
        pixels.values.dtype.name,
        None if pixels.nodata is None else repr(float(pixels.nodata)),
        _name_crs(None if grid.crs is None else grid.crs.to_wkt()),
    )
    if profile.band_bytes > MAX_BAND:
        raise RuntimeError(
            f'Expected bands of less than 4 GiB, got {profile.band_bytes} in {path}.'
        )
    bands = [encode_band(band, job.format) for band in values]
    sizes = [band.size for band in bands]
    whole = sum(sizes) == values.nbytes and not FORMATS[job.format]
    if whole:
        start = writer.add(values.dtype, values.shape, [b.data for b in bands])
    else:
        start = writer.add(np.dtype('uint8'), [sum(sizes)], [b.data for b in bands])
    sums = [xxhash.xxh3_64_intdigest(band) for band in bands]
    return RasterRow(profile, start, list(grid.transform[:6]), sizes, sums)


@lru_cache
def _name_crs(wkt: str | None) -> str | None:
    """Name a coordinate reference system in short, where that says the same."""
    if wkt is None:
        return None
    name = CRS.from_wkt(wkt).to_string()
    return name if CRS.from_string(name).to_wkt() == wkt else wkt


def _read(path: Path, max_size: int) -> RawBands:
    """Read all bands of a raster."""
    count = read_raw(path, [1], max_size=max_size).num_bands
    # Packs have no descriptions: bands that are described come to their usual places.
    sensors = [sensor for sensor, number in FILE_BANDS.items() if number == count]
    sensor = sensors[0] if sensors else None
    pixels = read_raw(
        path, range(1, count + 1), count, max_size=max_size, sensor=sensor
    )
    require_real(path, pixels)
    return pixels


def _narrow(pixels: RawBands) -> np.ndarray:
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


def run_jobs(jobs: list[ShardJob], workers: int) -> Iterator[ShardJob]:
    """Write shards.

    Args:
        jobs: The shards.
        workers: Number of processes; up to 1 stands for this one.

    Yields:
        Each job when it is done.

    Raises:
        RuntimeError: If a worker died.
    """
    if workers <= 1:
        for job in jobs:
            write_shard(job)
            yield job
        return
    # Not by fork: GDAL may be at work in a thread of this process.
    with ProcessPoolExecutor(workers, get_context('spawn'), _end_with_parent) as pool:
        try:
            yield from _distribute(jobs, pool, workers)
        except BrokenProcessPool as error:
            raise RuntimeError(
                'Expected all workers to finish, got one that was killed, perhaps for '
                'want of memory. Run the same command again, with fewer --workers or '
                'a new pack of a smaller --shard_size: it goes on where it stopped.'
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for ever."""
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _distribute(
    jobs: list[ShardJob], pool: ProcessPoolExecutor, workers: int
) -> Iterator[ShardJob]:
    waiting = iter(jobs)
    running: dict[Future[None], ShardJob] = {}
    while True:
        # A few at a time: what waits has been sent to the workers already.
        for job in waiting:
            running[pool.submit(write_shard, job)] = job
            if len(running) > workers:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            future.result()
            yield job
