"""Time of finding the patches of SEN12MS, beside the 2020 baseline's way and torchgeo's.

Writes trees of empty files in SEN12MS's layout, and finds the patches of both splits. All
ways take turns in one process; a ratio is the median over the rounds. Not ours: the
baseline's index, written anew from what it does (for each split: glob all Sentinel-2
files, keep those of its scenes, name their siblings, sort dicts); the same with one glob
for both splits, `one glob`; and torchgeo's `SEN12MS`, which reads a list of names and
looks at no file. Ours lists the folders of all three kinds and checks that no file lacks
its siblings. Times are CPU time, so that a busy machine counts less; folders are in memory. `pickle` is what goes to each
worker that is spawned, per patch.

    python scripts/benchmark_index.py --patches 1000 20000 180662 --json figures.json
"""

import argparse
import glob
import json
import os
import pickle
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from torchgeo.datasets import SEN12MS

from dfc2020_geo.datasets.indexing.sen12ms import index_sen12ms
from dfc2020_geo.datasets.indexing.trees import FolderTree

SEASONS = ('ROIs1158_spring', 'ROIs1868_summer', 'ROIs1970_fall', 'ROIs2017_winter')
KINDS = ('s1', 's2', 'lc')
SCENE_SIZE = 720
HOLDOUT = 'SEN12MS_holdOutScenes.txt'

Find = Callable[[Path], Any]


def write_tree(root: Path, num_patches: int) -> None:
    """Write empty files, in the order of no list, and the lists of the splits."""
    names, held_out = [], []
    for start in range(0, num_patches, SCENE_SIZE):
        scene, season = divmod(start // SCENE_SIZE, len(SEASONS))
        numbers = list(range(start, min(start + SCENE_SIZE, num_patches)))
        random.Random(start).shuffle(numbers)
        stem = f'{SEASONS[season]}_{{}}_{scene + 1}_p{{}}.tif'
        for kind in KINDS:
            folder = root / SEASONS[season] / f'{kind}_{scene + 1}'
            folder.mkdir(parents=True)
            for number in numbers:
                os.close(os.open(folder / stem.format(kind, number), os.O_CREAT))
        names += [stem.format('s2', number) for number in numbers]
        if not start or scene % 8 == 1:
            held_out.append(f'{SEASONS[season]}/s1_{scene + 1}')
    for season in SEASONS:
        (root / season).mkdir(exist_ok=True)
    (root / HOLDOUT).write_text('\n'.join(held_out) + '\n')
    for name in ('train_list.txt', 'test_list.txt'):
        (root / name).write_text('\n'.join(names) + '\n')


def baseline(root: Path, num_globs: int = 2) -> list[list[dict[str, str]]]:
    """Find patches as the baseline does, one split after the other."""
    scenes = {s.replace('s1_', 's2_') for s in (root / HOLDOUT).read_text().split()}
    splits, paths = [], []
    for is_holdout in (False, True):
        if len(splits) < num_globs:
            paths = glob.glob(os.path.join(root, '*', 's2_*', '*.tif'))
        samples = []
        for path in paths:
            if ('/'.join(path.split(os.sep)[-3:-1]) in scenes) != is_holdout:
                continue
            folder, name = os.path.split(path)
            sample = {'s2': path, 'id': name}
            for kind in ('s1', 'lc'):
                beside = folder.replace('/s2_', f'/{kind}_')
                sample[kind] = f'{beside}/{name.replace("_s2_", f"_{kind}_")}'
            samples.append(sample)
        splits.append(sorted(samples, key=lambda sample: sample['id']))
    return splits


def torchgeo(root: Path) -> list[SEN12MS]:
    """Find patches as torchgeo does: by its lists, and not at all on the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return [SEN12MS(root, split, checksum=False) for split in ('train', 'test')]


def ours(root: Path) -> Any:
    """Find patches with this package."""
    tree = FolderTree(root)
    return [index_sen12ms(tree, split, ('s2', 's1')) for split in ('train', 'holdout')]


def measure(root: Path, rounds: int) -> dict[str, Any]:
    """Let all ways take turns, and check that they find the same patches."""
    ways: dict[str, Find] = {
        'baseline': baseline,
        'one glob': lambda root: baseline(root, 1),
        'torchgeo': torchgeo,
        'ours': ours,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for _ in range(rounds + 1):
        for name, find in ways.items():
            found[name] = None
            begin = time.process_time()
            found[name] = find(root)
            times[name].append(time.process_time() - begin)
    check(found['baseline'], found['ours'])
    size = sum(map(len, found['ours']))
    rows = {
        name: {
            'ms': 1000 * median(own[1:]),
            'ratio': median(b / o for b, o in zip(times['baseline'], own, strict=True)),
            'us per patch': 1e6 * median(own[1:]) / size,
        }
        for name, own in times.items()
    }
    for name in ('baseline', 'ours'):
        rows[name]['pickle'] = sum(len(pickle.dumps(f)) for f in found[name]) / size
    return rows


def check(plain: list[Any], tables: list[Any]) -> None:
    """Check that both found the same files in the same order."""
    for samples, table in zip(plain, tables, strict=True):
        for sample, files in zip(samples, table, strict=True):
            paths = [str(p) for p in (files.s2, files.s1, files.label)]
            assert paths == [sample[kind] for kind in ('s2', 's1', 'lc')]


def main() -> None:
    """Measure trees of each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--patches', type=int, nargs='+', default=[20_000, 180_662])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--json', type=Path, help='also write the figures there')
    chosen = parser.parse_args()
    figures = {}
    for num_patches in chosen.patches:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / 'sen12ms'
            write_tree(root, num_patches)
            rows = measure(root, chosen.rounds)
        figures[num_patches] = rows
        print(f'\n{num_patches} patches\n')
        print('| way | ms | ratio | us per patch | pickle, bytes per patch |')
        print('|---|---|---|---|---|')
        for name, row in rows.items():
            size = f'{row["pickle"]:.1f}' if 'pickle' in row else ''
            print(
                f'| {name} | {row["ms"]:.2f} | {row["ratio"]:.2f} | '
                f'{row["us per patch"]:.3f} | {size} |'
            )
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + '\n')


if __name__ == '__main__':
    main()
