"""Time and size of packed patches of SEN12MS, beside the 2020 baseline's way.

Writes a tree in the true layout for each way of storing GeoTIFFs, with as many files in a
folder as SEN12MS has, packs it in both formats, and loads each patch with 10 bands of
Sentinel-2, both of Sentinel-1 and the label: `stored` is what batches are made of, in
memory that is used again, `fresh` the same in new memory, `sample` is float32; `first` is
`stored` by a process that has not read the patches before, which compares checksums. The pictures are what `dfc2020_geo.synthetic` draws. All ways take
turns in one process on one thread, patches and ways in an order that is drawn anew each
round; a ratio is
the median over the rounds. The baseline's loader is written anew from what it does; `limit`
copies as many bytes out of one large file, and makes nothing of them. Each value that the
packs give is compared with the tree's first. Times are CPU time; files are in
memory. Run it with the settings of malloc that you train with:

    python scripts/benchmark_packs.py --patches 32 --rounds 9 --json figures.json
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning

from dfc2020_geo.bands import select_bands
from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.synthetic import write_sen12ms

FOLDER_SIZE = 700
BANDS = ('s2-10m', 's2-20m', 's1')
INDEXES = {
    sensor: [band.file_index for band in select_bands(BANDS) if band.sensor == sensor]
    for sensor in ('s2', 's1')
}
# The baseline cannot encode 255, which is no class; here it can.
CODES = np.zeros(256, np.int64)
CODES[:18] = 0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10
STORAGE = tuple(product(('none', 'deflate', 'deflate2'), ('band', 'pixel')))
MALLOC = ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')

Load = Callable[[int], Any]


def write_tree(
    source: Path, root: Path, num_patches: int, compress: str, interleave: str
) -> None:
    """Write patches of one scene as GDAL does, and links that fill its folders."""
    for path in sorted(source.rglob('*.tif')):
        with rasterio.open(path) as raster:
            profile, values = raster.profile, raster.read()
        profile |= {'interleave': interleave, 'compress': compress.rstrip('2')}
        if compress.endswith('2'):
            profile |= {'predictor': 3 if values.dtype.kind == 'f' else 2}
        season, kind, *_ = path.stem.rsplit('_', 3)
        folder = root / season / f'{kind}_1'
        folder.mkdir(parents=True, exist_ok=True)
        number = len([*folder.iterdir()])
        target = folder / f'{season}_{kind}_1_p{number}.tif'
        if number < num_patches:
            for name in ('tiled', 'blockxsize', 'blockysize'):
                profile.pop(name, None)
            with rasterio.open(target, 'w', **profile) as raster:
                raster.write(values)
    (root / 'SEN12MS_holdOutScenes.txt').write_text('ROIs1158_spring/s1_2\n')


def fill_folders(root: Path) -> None:
    """Make the folders as long as those of SEN12MS; nothing reads the links."""
    for folder in root.glob('*/*'):
        path = next(folder.iterdir())
        for number in range(FOLDER_SIZE - len([*folder.iterdir()])):
            os.link(path, folder / f'{path.stem}_{number}.link')


def baseline(root: Path) -> Load:
    """Load as the baseline does: one full open for each file, all work per sample."""
    patches = [*SEN12MSPatches(root, bands=BANDS).files]

    def load(index: int) -> dict[str, np.ndarray]:
        files = patches[index]
        with rasterio.open(files.s2) as raster:
            s2 = raster.read(INDEXES['s2']).astype(np.float32)
        s2 = np.clip(s2, 0, 10_000) / 10_000
        with rasterio.open(files.s1) as raster:
            s1 = raster.read(INDEXES['s1']).astype(np.float32)
        s1 = np.clip(np.nan_to_num(s1), -25, 0) / 25 + 1
        with rasterio.open(files.label) as raster:
            label = np.take(CODES, raster.read(1)) - 1
        label[label == -1] = 255
        image = np.concatenate([s2, s1]).astype(np.float32)
        return {'image': image, 'label': label.astype(np.int64)}

    return load


def _memory(patches: SEN12MSPatches) -> dict[str, np.ndarray]:
    """Make memory as batches do: torch begins it where copying is fast."""
    first = patches.read_raw(0)
    return {k: torch.from_numpy(v).clone().numpy() for k, v in first.items()}


def stored(root: Path) -> Load:
    """Load what batches are made of, into memory that is used again."""
    patches = SEN12MSPatches(root, bands=BANDS)
    out = _memory(patches)
    return lambda index: patches.read_raw(index, out)


def unread(root: Path) -> Load:
    """Load as :func:`stored` does, but what was not read before."""
    patches = SEN12MSPatches(root, bands=BANDS)
    out = _memory(SEN12MSPatches(root, bands=BANDS))
    return lambda index: patches.read_raw(index, out)


def fresh(root: Path) -> Load:
    """Load what batches are made of into memory of its own."""
    return SEN12MSPatches(root, bands=BANDS).read_raw


def sample(root: Path) -> Load:
    """Load public samples."""
    return SEN12MSPatches(root, bands=BANDS).__getitem__


def limit(root: Path, folder: Path) -> Load:
    """Copy as many bytes as a sample has from one large file."""
    patches = SEN12MSPatches(root, bands=BANDS)
    size = sum(values.nbytes for values in patches.read_raw(0).values())
    path = folder / 'bytes'
    path.write_bytes(os.urandom(size * len(patches)))
    number = os.open(path, os.O_RDONLY)
    out = torch.empty(size, dtype=torch.uint8).numpy()
    return lambda index: os.preadv(number, [out], index * size)


def require_equal(tree: Path, packs: Sequence[Path]) -> None:
    """Compare each sample of the packs with the tree's."""
    expected = SEN12MSPatches(tree, bands=BANDS)
    for pack in packs:
        found = SEN12MSPatches(pack, bands=BANDS)
        if len(found) != len(expected):
            raise RuntimeError(f'Expected {len(expected)} patches, got {len(found)}.')
        for one, other in zip(expected, found, strict=True):
            for key, values in one.items():
                if values.numpy().tobytes() != other[key].numpy().tobytes():
                    raise RuntimeError(f'Expected equal samples, got another {key}.')


def _keep(load: Load) -> Load:
    return load


def measure(
    loads: Mapping[str, Callable[[], Load]], num: int, rounds: int
) -> list[dict[str, Any]]:
    """Time all ways in turn, and relate them to the baseline's within each round."""
    times: dict[str, list[float]] = {name: [] for name in loads}
    rng = np.random.default_rng(0)
    for _ in range(rounds + 1):
        order = rng.permutation(num).tolist()
        for name in rng.permutation([*loads]).tolist():
            load = loads[name]()
            start = time.process_time()
            for index in order:
                load(index)
            times[name].append((time.process_time() - start) / num * 1000)
    return [
        {
            'way': name,
            'milliseconds': median(taken[1:]),  # the first round warms up
            'ratio': median(
                b / t for b, t in zip(times['baseline'][1:], taken[1:], strict=True)
            ),
        }
        for name, taken in times.items()
    ]


def compare(
    folder: Path, source: Path, num: int, rounds: int, stored_as: tuple[str, str]
) -> list[dict[str, Any]]:
    """Pack one tree in both formats and compare."""
    tree = folder / 'tree'
    write_tree(source, tree, num, *stored_as)
    packed = {
        name: pack_tree(tree, folder / name, name) for name in ('fast', 'compact')
    }
    require_equal(tree, [folder / name for name in packed])
    fill_folders(tree)
    loads = {'baseline': baseline(tree)}
    for name, load in product(packed, (stored, fresh, sample)):
        loads[f'{name} {load.__name__}'] = load(folder / name)
    loads['limit'] = limit(folder / 'fast', folder)
    first = {f'{name} first': partial(unread, folder / name) for name in packed}
    figures = measure(
        {k: partial(_keep, v) for k, v in loads.items()} | first, num, rounds
    )
    for figure in figures:
        name = figure['way'].split()[0]
        if name in packed:
            sizes = packed[name]
            figure |= {'source': sizes.source_bytes, 'pack': sizes.pack_bytes}
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--patches', type=int, default=32)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore', NotGeoreferencedWarning)
    malloc = {name: os.environ.get(name, 'default') for name in MALLOC}
    print(', '.join(f'{name}={value}' for name, value in malloc.items()))
    results = []
    with tempfile.TemporaryDirectory() as source:
        write_sen12ms(
            source,
            size=options.size,
            seasons=['ROIs1158_spring'],
            scenes_per_season=4,
            patches_per_scene=max(2, -(-options.patches // 4)),
        )
        for stored_as in STORAGE:
            with tempfile.TemporaryDirectory() as folder:
                arguments = options.patches, options.rounds, stored_as
                for figure in compare(Path(folder), Path(source), *arguments):
                    compress, interleave = stored_as
                    about = {'compress': compress, 'interleave': interleave}
                    results.append(about | figure | malloc)
                    print(_line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _line(figure: dict[str, Any]) -> str:
    size = ''
    if 'pack' in figure:
        size = f'  {figure["pack"] / figure["source"]:6.1%} of the source'
    return (
        f'{figure["compress"]:8} {figure["interleave"]:6} {figure["way"]:15} '
        f'{figure["milliseconds"]:7.2f} ms  {figure["ratio"]:6.2f} x{size}'
    )


if __name__ == '__main__':
    main()
