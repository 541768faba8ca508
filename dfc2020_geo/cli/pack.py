"""The verb ``pack``."""

import argparse
import os
import re
from pathlib import Path

from ..io.packs import find_damage, open_pack
from ..io.packs.codecs import FORMATS
from ..io.packs.writing.pack import Packed, pack_tree
from .progress import Progress

_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9}
_SIZE = re.compile(r'(?P<number>\d+(\.\d+)?) *(?P<unit>[KMG]?)B?', re.IGNORECASE)

#: How many damaged bands are told of one by one.
_MAX_TOLD = 20


def run_pack(args: list[str]) -> None:
    """Make a pack, or verify one.

    Args:
        args: Command line from the verb on.

    Raises:
        RuntimeError: If the pack is damaged.
        ValueError: If the command line is not understood.
    """
    chosen = _parser(args[0]).parse_args(args[1:])
    if chosen.verify is not None:
        if chosen.root or chosen.out:
            raise ValueError(
                'Expected --verify PACK alone, got --root or --out as well.'
            )
        _verify(chosen.verify)
    elif chosen.root is None or chosen.out is None:
        raise ValueError('Expected --root and --out, or --verify PACK, got neither.')
    else:
        size = _parse_size(chosen.shard_size)
        root, out = chosen.root.expanduser(), chosen.out.expanduser()
        report = Progress('Packed')
        packed = pack_tree(root, out, chosen.format, size, chosen.workers, report)
        _tell(packed, chosen.format, out)


def _parser(verb: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f'dfc2020-geo {verb}',
        description=(
            'Put the GeoTIFFs of a data set, in any layout, into a few large files that '
            'are read many times faster: all bands and labels, to the bit. Give the '
            'pack as root of the data set. A run that was stopped goes on when it is '
            'started again.'
        ),
        allow_abbrev=False,
    )
    parser.add_argument('--root', type=Path, help='folder of the data set')
    parser.add_argument('--out', type=Path, help='folder of the pack')
    parser.add_argument(
        '--format',
        choices=[*FORMATS],
        default='fast',
        help='fast: as in memory; compact: smaller, and slower to read (default: fast)',
    )
    parser.add_argument(
        '--shard_size',
        default='256MB',
        help='about how much of the data set is in one file (default: 256MB)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=min(4, os.cpu_count() or 1),
        help='processes that read and write (default: one for each core, up to 4)',
    )
    parser.add_argument(
        '--verify',
        metavar='PACK',
        help='read a pack, folder or URL, and say what is not as it was packed',
    )
    return parser


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = match and float(match['number']) * _UNITS[match['unit'].upper()]
    if not size or size < 1:
        raise ValueError(f"Expected shard_size as in 256MB or 2GB, got '{text}'.")
    return int(size)


def _verify(root: str) -> None:
    pack = open_pack(root)
    if pack is None:
        raise ValueError(f'Expected a pack that dfc2020-geo pack has made, got {root}.')
    found = [*find_damage(pack, Progress('Read'))]
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
