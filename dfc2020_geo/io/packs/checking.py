"""Finding out whether a pack is what was written."""

from collections.abc import Callable, Iterator

from .manifest import Stored, damaged
from .reader import Pack
from .remote import fetch
from .shards import find_fault


def find_damage(
    pack: Pack, report: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[str]:
    """Read every byte of a pack.

    Args:
        pack: The pack.
        report: Is told how many bytes of how many were read.

    Yields:
        What is wrong, with the shard, the raster and the band.
    """
    files, done = pack.manifest.files, 0
    first = len(files) - len(pack.manifest.shards)
    for number, (name, stored) in enumerate(files.items(), -first):
        yield from _compare(pack, name, stored, number)
        done += stored.size
        report(done, pack.manifest.num_bytes)


def _compare(pack: Pack, name: str, stored: Stored, shard: int) -> Iterator[str]:
    """Yield what is wrong with a file; *shard* is negative if it is none."""
    path = pack.root / name
    try:
        if pack.url is not None:
            fetch(pack.url, pack.root, name, stored)
        fault = find_fault(path, stored)
        if fault == 'wrong checksum':
            bands = [*_damaged_bands(pack, shard)] if shard >= 0 else []
            yield from bands or [damaged(path, fault, pack.url)]
        elif fault:
            yield damaged(path, f'{fault}{_holds(pack, shard)}', pack.url)
    except (OSError, RuntimeError) as error:
        yield damaged(path, str(error), pack.url)


def _holds(pack: Pack, shard: int) -> str:
    paths = [*pack.in_shard(shard)] if shard >= 0 else []
    return f'; it holds {len(paths)} rasters, the first is {paths[0]}' if paths else ''


def _damaged_bands(pack: Pack, shard: int) -> Iterator[str]:
    """Yield which bands of a shard are not what was packed."""
    pack = Pack(pack.root, pack.manifest, pack.url)  # which has not checked any
    for path in pack.in_shard(shard):
        for index in range(1, pack.kind(path).num_bands + 1):
            try:
                pack.read_stored(path, [index])
            except RuntimeError as error:
                yield str(error)
