"""The verb ``pack``."""

import os
import re
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from time import monotonic

from ..io.packs import find_damage, open_pack
from ..io.packs.codecs import FORMATS
from ..io.packs.writing.pack import Packed, pack_tree
from ..io.rasters import MAX_PATCH_SIZE
from .usage import UsageError, VerbParser

_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9}
_SIZE = re.compile(r'(?P<number>\d+(\.\d+)?) *(?P<unit>[KMG]?)B?', re.IGNORECASE)

_DESCRIPTION = """\
Put the GeoTIFFs of a data set, in any layout, into a few large files that are read many
times faster: all bands and labels, to the bit. Give the pack as root of the data set. A
run that was stopped is resumed when it is started again."""

#: How many damaged bands are told of one by one.
_MAX_TOLD = 20

_MEGABYTE = 1e6

#: Seconds between two lines of progress where the output is no terminal.
_INTERVAL = 30


def run_pack(args: list[str]) -> None:
    """Make a pack, or verify one.

    Args:
        args: Command line from the verb on.

    Raises:
        RuntimeError: If the pack is damaged.
        UsageError: If the command line is not understood.
    """
    chosen = _parser(args[0]).parse_args(args[1:])
    if chosen.verify is not None:
        if chosen.root or chosen.out:
            raise UsageError(
                'Expected --verify PACK alone, got --root or --out as well.'
            )
        _verify(chosen.verify)
    elif chosen.root is None or chosen.out is None:
        raise UsageError('Expected --root and --out, or --verify PACK, got neither.')
    else:
        size = _parse_size(chosen.shard_size)
        if chosen.workers < 1:
            raise UsageError(f'Expected --workers from 1, got {chosen.workers}.')
        root, out = chosen.root.expanduser(), chosen.out.expanduser()
        report = ByteProgress('Packed')
        packed = pack_tree(
            root,
            out,
            chosen.format,
            size,
            chosen.workers,
            report,
            chosen.overwrite,
            chosen.max_patch_size,
        )
        _tell(packed, chosen.format, out)


def _parser(verb: str) -> VerbParser:
    parser = VerbParser(verb, description=_DESCRIPTION)
    add = parser.add_argument
    add('--root', type=_folder, help='folder of the data set')
    add('--out', type=_folder, help='folder of the pack')
    text = 'fast: as in memory; compact: smaller, and slower to read (default: fast)'
    add('--format', choices=[*FORMATS], default='fast', help=text)
    text = 'about how much of the data set is in one file (default: 256MB)'
    add('--shard_size', default='256MB', help=text)
    text = 'processes that read and write (default: one for each core, up to 4)'
    add('--workers', type=int, default=min(4, os.cpu_count() or 1), help=text)
    text = f'most pixels on a side of a patch (default: {MAX_PATCH_SIZE})'
    add('--max_patch_size', type=int, default=MAX_PATCH_SIZE, help=text)
    text = 'replace a pack of another source or with other settings'
    add('--overwrite', action='store_true', help=text)
    text = 'read a pack, folder or URL, and say what is not as it was packed'
    add('--verify', metavar='PACK', help=text)
    return parser


def _folder(name: str) -> Path:
    if not name:
        raise ArgumentTypeError("expected a folder, got ''; . is the one you are in")
    return Path(name)


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = match and float(match['number']) * _UNITS[match['unit'].upper()]
    if not size or size < 1:
        raise UsageError(f"Expected shard_size as in 256MB or 2GB, got '{text}'.")
    return int(size)


def _verify(root: str) -> None:
    pack = open_pack(root)
    if pack is None:
        raise ValueError(f'Expected a pack that dfc2020-geo pack has made, got {root}.')
    found = [*find_damage(pack, ByteProgress('Read'))]
    if found:
        told = '\n'.join(f'  {line}' for line in found[:_MAX_TOLD])
        more = len(found) - _MAX_TOLD
        rest = f'\n  and {more} more' if more > 0 else ''
        raise RuntimeError(f'{len(found)} parts of {root} are damaged:\n{told}{rest}')
    manifest = pack.manifest
    shards = f'{n} shards' if (n := len(manifest.shards)) > 1 else 'one shard'
    print(
        f'{root} is as it was packed: {manifest.source["files"]} files in {shards}, '
        f'{manifest.num_bytes / 1e6:,.1f} MB.'
    )


def _tell(packed: Packed, name: str, out: Path) -> None:
    if packed.num_left_out:
        print(
            f'Left out {packed.num_left_out} files that are neither GeoTIFFs nor lists '
            '(.txt, .csv).'
        )
    if packed.closed:
        print(f'Left out folders that may not be listed: {", ".join(packed.closed)}.')
    if packed.pack_bytes > packed.source_bytes:
        advice = (
            'the source is compressed, which format compact is as well, or its files '
            'are small'
            if name == 'fast'
            else 'its files are compressed better than format compact can, or small'
        )
        print(f'The pack is larger than its source: {advice}.')
    share = packed.pack_bytes / packed.source_bytes
    print(
        f'{"Packed" if packed.is_new else "Already packed:"} {packed.num_files} files: '
        f'{packed.source_bytes / 1e6:,.1f} MB before, {packed.pack_bytes / 1e6:,.1f} MB '
        f'after ({share:.0%}), {name}, in {out}.'
    )


class ByteProgress:
    """Progress on the standard error: amount, rate, time left."""

    def __init__(self, what: str) -> None:
        """Initialize a new ByteProgress instance.

        Args:
            what: What is done, for example ``'Packed'``.
        """
        self._what = what
        self._begin: tuple[float, int] | None = None
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Print the progress, now and then.

        Args:
            done: Bytes that are done.
            total: Bytes in all.
        """
        now = monotonic()
        if self._begin is None:
            # What was done before says nothing of how fast this is.
            self._begin, self._last = (now, done), now
        is_last = done >= total
        if sys.stderr.isatty():
            line = f'\r{self._line(now, done, total)}'
            print(line, end='\n' if is_last else '', file=sys.stderr, flush=True)
        elif now - self._last >= _INTERVAL:
            self._last = now
            print(self._line(now, done, total), file=sys.stderr, flush=True)

    def _line(self, now: float, done: int, total: int) -> str:
        start, before = self._begin or (now, done)
        text = f'{self._what} {done / _MEGABYTE:,.0f} of {total / _MEGABYTE:,.0f} MB'
        if now <= start or done <= before:
            return text
        rate = (done - before) / (now - start)
        minutes, seconds = divmod(round((total - done) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        left = f'{hours}:{minutes:02}:{seconds:02}'
        return f'{text}, {rate / _MEGABYTE:,.0f} MB/s, {left} left '
