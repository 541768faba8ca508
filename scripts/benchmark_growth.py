"""Time and memory of finding, packing and loading patches, against their number.

Trees in SEN12MS's layout are made of a few small files that are linked under many
names: what grows is the number of patches, not their pixels. Each task runs in a
process of its own, and its memory is the most that it had above its imports. Prints a table and
draws it; what is linear is a line of slope 1:

    python scripts/benchmark_growth.py --patches 1000 10000 100000 --plot growth.png
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from dfc2020_geo.io.rasters import write_image

SEASON = 'ROIs1158_spring'
#: Patches in a scene, about as many as SEN12MS has.
IN_A_SCENE = 700
SIDE = 16
KINDS = {'s2': (13, np.uint16), 's1': (2, np.float32), 'lc': (4, np.uint8)}


def write_tree(root: Path, num_patches: int) -> None:
    """Link small patches under the names of SEN12MS; ten more are held out."""
    root.mkdir()
    generator = np.random.default_rng(0)
    starts = [0, *range(10, num_patches + 10, IN_A_SCENE), num_patches + 10]
    for kind, (count, dtype) in KINDS.items():
        for scene, (start, stop) in enumerate(pairwise(starts), 1):
            folder = root / SEASON / f'{kind}_{scene}'
            folder.mkdir(parents=True)
            # A file of its own for each scene, as a file takes 65 000 links at most.
            first = folder / f'{SEASON}_{kind}_{scene}_p{start}.tif'
            write_image(
                first, generator.integers(1, 11, (count, SIDE, SIDE)).astype(dtype)
            )
            for i in range(start + 1, stop):
                os.link(first, folder / f'{SEASON}_{kind}_{scene}_p{i}.tif')
    (root / 'SEN12MS_holdOutScenes.txt').write_text(f'{SEASON}/s1_1\n')


def index(root: Path) -> int:
    """Find the patches of a tree or a pack."""
    from dfc2020_geo.datasets import SEN12MSPatches

    return len(SEN12MSPatches(root, 'train'))


def pack(root: Path) -> int:
    """Pack a tree."""
    from dfc2020_geo.main import main

    main(['pack', '--root', str(root), '--out', f'{root}_packed'])
    return 0


def epoch(root: Path) -> int:
    """Load every patch of a training set once, with two threads."""
    from dfc2020_geo.datamodules import LandCoverDataModule

    data = LandCoverDataModule(
        val='sen12ms_holdout',
        sen12ms_root=root,
        batch_size=64,
        num_workers=2,
        check='off',  # of noise
    )
    data.setup('fit')
    return sum(len(batch['mask']) for batch in data.train_dataloader())


#: Each task: what it does, and to what: the tree or the pack made of it.
TASKS: dict[str, tuple[Callable[[Path], int], str]] = {
    'index': (index, ''),
    'pack': (pack, ''),
    'index of the pack': (index, '_packed'),
    'epoch': (epoch, ''),
    'epoch of the pack': (epoch, '_packed'),
}


def own_memory() -> float:
    """Return the memory that belongs to this process alone, in MiB (Linux).

    Files that are mapped are not counted: the system keeps them while nothing else
    needs the memory.
    """
    status = Path('/proc/self/status').read_text()
    (line,) = (line for line in status.splitlines() if line.startswith('RssAnon'))
    return int(line.split()[1]) / 1024


class PeakMemory(threading.Thread):
    """Looks at the memory of this process 50 times a second, and keeps the most."""

    def __init__(self) -> None:
        """Initialize a new PeakMemory instance."""
        super().__init__(daemon=True)
        self.base, self.most = own_memory(), 0.0
        self.has_ended = threading.Event()

    def run(self) -> None:
        """Look until the task has ended, and once more."""
        while True:
            has_ended = self.has_ended.wait(0.02)
            self.most = max(self.most, own_memory() - self.base)
            if has_ended:
                return


def run(task: str, root: Path) -> dict[str, float]:
    """Run a task in this process."""
    do, suffix = TASKS[task]
    import dfc2020_geo.datamodules  # noqa: F401 (not counted)

    memory, start = PeakMemory(), time.perf_counter()
    memory.start()
    do(Path(f'{root}{suffix}'))
    seconds = time.perf_counter() - start
    memory.has_ended.set()
    memory.join()
    return {'seconds': seconds, 'mebibytes': memory.most}


def measure(num_patches: int, folder: Path) -> list[dict[str, Any]]:
    """Run every task on a tree of some patches."""
    root = folder / f'tree_{num_patches}'
    write_tree(root, num_patches)
    figures = []
    env = os.environ | {'OMP_NUM_THREADS': '1'}
    for task in TASKS:
        command = [sys.executable, __file__, '--run', task, '--root', str(root)]
        made = subprocess.run(
            command, env=env, check=True, stdout=subprocess.PIPE, text=True
        )
        taken = json.loads(made.stdout.splitlines()[-1])
        figures.append({'patches': num_patches, 'task': task} | taken)
        print(
            f'{num_patches:8} {task:18} {taken["seconds"]:9.3f} s '
            f'{1e6 * taken["seconds"] / num_patches:9.1f} us per patch '
            f'{taken["mebibytes"]:7.0f} MiB',
            flush=True,
        )
    return figures


def draw(figures: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against the number of patches."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    for panel, key, label in zip(
        panels, ('seconds', 'mebibytes'), ('seconds', 'MiB above imports'), strict=True
    ):
        for task in TASKS:
            points = [f for f in figures if f['task'] == task]
            panel.plot(
                [f['patches'] for f in points],
                [max(f[key], 1e-3) for f in points],
                marker='o',
                label=task,
            )
        panel.set(xscale='log', yscale='log', xlabel='patches', ylabel=label)
        panel.grid(alpha=0.3)
    panels[1].legend(loc='center left', bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--patches', type=int, nargs='+', default=[1000, 10_000])
    parser.add_argument('--json', type=Path)
    parser.add_argument('--plot', type=Path)
    parser.add_argument('--run', choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument('--root', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run, options.root)))
        return
    figures = []
    for num_patches in options.patches:
        with tempfile.TemporaryDirectory() as folder:
            figures += measure(num_patches, Path(folder))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    if options.plot:
        draw(figures, options.plot)


if __name__ == '__main__':
    main()
