"""Patches delivered to the training in a second, beside the 2020 baseline's loader.

Writes SEN12MS in its layout, uncompressed and compressed, packs it, and loads shuffled
batches with 10 bands of Sentinel-2, both of Sentinel-1 and the label. The baseline's
loader is torch's, with two processes, over its way of reading (benchmark_loading.py
tells it). Ours are `threads` and `processes` with a number of workers, as the datamodule
makes them; `prepared` with the joining and scaling of each batch on the CPU, which the
baseline does in its workers. All ways take turns within a round, with their workers
running and the files in memory; a ratio is the median over the rounds, of packs to the
baseline's loader on the tree they were made of. All of it is done once with malloc as
it is and once with freed blocks kept, each in a process of its own:

    python scripts/benchmark_delivery.py --json delivery.json
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_loading import BANDS, baseline, write_tree
from rasterio.errors import NotGeoreferencedWarning
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datasets import SEN12MSPatches

TREES = {'tree': 'none', 'deflate': 'deflate'}
PACKS = {'pack': ('tree', 'fast'), 'compact': ('deflate', 'compact')}
WAYS = [('threads', 0), ('threads', 1), ('threads', 2), ('processes', 2)]
#: Keep freed blocks, so that big arrays do not cost page faults each time.
TUNED = {
    'MALLOC_MMAP_THRESHOLD_': '4294967296',
    'MALLOC_TRIM_THRESHOLD_': '17179869184',
}

Deliver = Callable[[], Any]


class BaselineSet(Dataset[dict[str, np.ndarray]]):
    """The baseline's samples, made in worker processes."""

    def __init__(self, root: Path, num_patches: int) -> None:
        """Initialize a new BaselineSet instance."""
        self.load, self.num_patches = baseline(root), num_patches

    def __len__(self) -> int:
        """Return the number of patches."""
        return self.num_patches

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Load one patch."""
        return self.load(index)


def shuffle(options: argparse.Namespace) -> list[int]:
    """Draw the patches of an epoch."""
    rng = np.random.default_rng(0)
    return rng.integers(options.patches, size=options.samples).tolist()


def deliver_baseline(root: Path, options: argparse.Namespace) -> Deliver:
    """Load as the baseline does."""
    loader = DataLoader(
        BaselineSet(root, options.patches), options.batch_size, num_workers=2,
        sampler=shuffle(options), persistent_workers=True,
    )  # fmt: skip
    return lambda: exhaust(loader)


def deliver(
    root: Path, options: argparse.Namespace, workers: Any, number: int, prepared: bool
) -> Deliver:
    """Load as our datamodule does."""
    data = LandCoverDataModule(
        bands=BANDS, batch_size=options.batch_size, num_workers=number, workers=workers
    )  # fmt: skip
    patches = SEN12MSPatches(root, bands=BANDS)
    loader = data.load(patches, sampler=shuffle(options))
    if prepared:
        return lambda: exhaust(map(data.aug, loader))
    return lambda: exhaust(loader)


def exhaust(batches: Iterable[dict[str, Tensor]]) -> None:
    """Take the batches of an epoch as they come."""
    for batch in batches:
        del batch


def rate(ways: dict[str, Deliver], options: argparse.Namespace) -> dict[str, Any]:
    """Count samples a second by all ways in turn, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:  # the first round starts the workers
                rates[name].append(options.samples / (time.perf_counter() - start))
    return rates


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all sets with the malloc that this process has."""
    malloc = 'tuned' if TUNED.items() <= os.environ.items() else 'default'
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        sources = build(Path(folder), options.patches)
        for name, source in sources.items():
            if name not in options.sets:
                continue
            root, ways = Path(folder) / name, {}
            ways['baseline processes 2'] = deliver_baseline(source, options)
            for workers, number in WAYS:
                for prepared in (False, True):
                    way = f'{workers} {number}{" prepared" * prepared}'
                    ways[way] = deliver(root, options, workers, number, prepared)
            rates = rate(ways, options)
            slow = rates['baseline processes 2']
            for way, fast in rates.items():
                ratio = statistics.median(
                    f / s for f, s in zip(fast, slow, strict=True)
                )
                each = statistics.median(fast)
                figures.append({'set': name, 'malloc': malloc, 'way': way,
                                'samples_per_second': each, 'ratio': ratio})  # fmt: skip
                line = f'{name:8} {malloc:8} {way:24} {each:8.0f} / s {ratio:7.2f} x'
                print(line, file=sys.stderr, flush=True)
    return figures


def build(folder: Path, num_patches: int) -> dict[str, Path]:
    """Write the sets; return for each the tree that the baseline reads."""
    for name, compress in TREES.items():
        (folder / name).mkdir()
        write_tree(folder / name, num_patches, compress, 'band')
    for name, (source, kind) in PACKS.items():
        some = folder / f'{name}_source'
        few = partial(_fillers, num_patches)
        shutil.copytree(folder / source, some, ignore=few, copy_function=os.link)
        command = [sys.executable, '-m', 'dfc2020_geo', 'pack', f'--format={kind}']
        paths = [f'--root={some}', f'--out={folder / name}']
        subprocess.run([*command, *paths], check=True, stdout=sys.stderr)
    sources = {name: folder / source for name, (source, _) in PACKS.items()}
    return {name: folder / name for name in TREES} | sources


def _fillers(num_patches: int, folder: str, names: list[str]) -> set[str]:
    """Name the links that make a folder as full as a true one."""
    numbers = ((name, name.rpartition('_p')[2].removesuffix('.tif')) for name in names)
    return {name for name, n in numbers if n.isdigit() and int(n) >= num_patches}


def main() -> None:
    """Run the benchmark, in a process for each malloc."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--patches', type=int, default=64)
    parser.add_argument('--samples', type=int, default=512)
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--sets', nargs='+', default=[*TREES, *PACKS])
    parser.add_argument('--json', type=Path)
    parser.add_argument('--one', action='store_true', help='this malloc alone')
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(1)
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        print(json.dumps(measure(options)))
        return
    figures = []
    for extra in ({}, TUNED):
        run = subprocess.run(
            [sys.executable, *sys.argv, '--one'], env=os.environ | extra,
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        figures += json.loads(run.stdout)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
