"""Time of loading patches of SEN12MS, beside the 2020 baseline's way and torchgeo's.

Writes a tree in the true layout for each way of storing GeoTIFFs, with as many files in a
folder as SEN12MS has, and loads each patch with 10 bands of Sentinel-2, both of
Sentinel-1 and the label. All ways take turns in one process on one thread; a ratio is the
median over the rounds. Not ours: the baseline's loader, written anew from what it does
(open, read the needed bands, clip, scale and cast each sample), torchgeo's `SEN12MS`,
`gdal`, which reads what `stored` reads with rasterio alone, by the options that make GDAL
fastest on patches, and `limit`, which reads the files as bytes and makes nothing of them.
Ours are `stored`, what
batches are made of, put into the same arrays again and again as the datamodule's loader
does; `sample`, what the dataset gives; and `scaled`, a sample scaled at once, which makes
it the same work as the baseline's. Before that, every patch is compared with what rasterio
reads and the baseline makes of it. Times are CPU time, so that a busy machine
counts less; files are in memory. All of it is done with malloc as it is and with freed
blocks kept, each in a process of its own:

    python scripts/benchmark_loading.py --patches 32 --rounds 9 --json loading.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning
from torchgeo.datasets import SEN12MS

from dfc2020_geo.bands import select_bands
from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.transforms import ScaleBands

SIDE = 256
FOLDER_SIZE = 700
BANDS = ['s2-10m', 's2-20m', 's1']
SEASONS = ('ROIs1158_spring', 'ROIs1868_summer', 'ROIs1970_fall', 'ROIs2017_winter')
FILES = {'s2': (13, 'uint16'), 's1': (2, 'float32'), 'lc': (4, 'uint8')}
#: Ways of compression; 2 at the end: with the predictor of the type.
COMPRESSIONS = ('none', 'deflate', 'deflate2', 'lzw')
INTERLEAVES = ('band', 'pixel')
#: Keep freed blocks, so that big arrays do not cost page faults each time.
TUNED = {
    'MALLOC_MMAP_THRESHOLD_': '4294967296',
    'MALLOC_TRIM_THRESHOLD_': '17179869184',
}

Load = Callable[[int], Any]


def write_tree(root: Path, num_patches: int, compress: str, interleave: str) -> None:
    """Write one scene of patches, links that fill its folders, and the lists."""
    for season in SEASONS:
        (root / season).mkdir()
    names = []
    for number in range(max(num_patches, FOLDER_SIZE)):
        names.append(f'{SEASONS[0]}_s2_1_p{number}.tif')
        for kind in FILES:
            path = _path(root, names[-1], kind)
            path.parent.mkdir(exist_ok=True)
            if number < num_patches:
                write_file(path, kind, number, compress, interleave)
            else:
                os.link(_path(root, names[number % num_patches], kind), path)
    for name in ('train_list.txt', 'test_list.txt'):
        (root / name).write_text('\n'.join(names[:num_patches]) + '\n')


def _path(root: Path, name: str, kind: str) -> Path:
    return root / SEASONS[0] / f'{kind}_1' / name.replace('_s2_', f'_{kind}_')


def write_file(
    path: Path, kind: str, seed: int, compress: str, interleave: str
) -> None:
    """Write waves and noise, in the range of each kind of file."""
    count, dtype = FILES[kind]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    wave = (np.sin(columns / 17 + seed) + np.cos(rows / 23) + 2) / 4
    bands = wave * np.linspace(0.8, 1, count)[:, None, None]
    noise = np.random.default_rng(seed).normal(0, 0.01, bands.shape)
    scaled = {
        's2': (bands + noise) * 3000 + 500,
        's1': (bands + noise) * 20 - 25,
        'lc': bands * 16 + 1,
    }
    transform = rasterio.Affine(10, 0, 5e5 + 2560 * seed, 0, -10, 5e6)
    options = {'compress': compress.rstrip('2')}
    if compress.endswith('2'):
        options |= {'predictor': 3 if dtype == 'float32' else 2}
    with rasterio.open(
        path, 'w', driver='GTiff', count=count, height=SIDE, width=SIDE, dtype=dtype,
        crs='EPSG:32633', transform=transform, interleave=interleave, **options,
    ) as raster:  # fmt: skip
        raster.write(scaled[kind].astype(dtype))


def baseline(root: Path) -> Load:
    """Load as the baseline does: one full open for each file, all work per sample."""
    patches = SEN12MSPatches(root, bands=BANDS)
    indexes = {
        sensor: [b.file_index for b in select_bands(BANDS) if b.sensor == sensor]
        for sensor in ('s2', 's1')
    }
    codes = np.array([0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10])

    def load(index: int) -> dict[str, np.ndarray]:
        files = patches.files[index]
        with rasterio.open(files.s2) as raster:
            s2 = raster.read(indexes['s2']).astype(np.float32)
        s2 = np.clip(s2, 0, 10_000) / 10_000
        with rasterio.open(files.s1) as raster:
            s1 = raster.read(indexes['s1']).astype(np.float32)
        s1 = np.clip(np.nan_to_num(s1), -25, 0) / 25 + 1
        with rasterio.open(files.label) as raster:
            label = np.take(codes, raster.read(1)) - 1
        label[label == -1] = 255
        image = np.concatenate([s2, s1]).astype(np.float32)
        return {'image': image, 'label': label.astype(np.int64)}

    return load


#: What makes GDAL fastest on patches: it looks for nothing beside a file, nor for its
#: georeferencing.
GDAL_OPTIONS = {
    'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR',
    'GDAL_GEOREF_SOURCES': 'NONE',
    'GDAL_PAM_ENABLED': 'NO',
}


def gdal(root: Path) -> Load:
    """Load what batches are made of with GDAL alone, to the same place each time."""
    patches = SEN12MSPatches(root, bands=BANDS)
    wanted = {
        sensor: [b.file_index for b in patches.bands if b.sensor == sensor]
        for sensor in ('s2', 's1')
    }
    place = {
        name: np.empty_like(values) for name, values in patches.read_raw(0).items()
    }

    def load(index: int) -> dict[str, np.ndarray]:
        files = patches.files[index]
        with rasterio.Env(**GDAL_OPTIONS):
            for sensor, indexes in wanted.items():
                with rasterio.open(getattr(files, sensor)) as raster:
                    raster.read(indexes, out=place[sensor])
            with rasterio.open(files.label) as raster:
                codes = raster.read(1, out=place['mask'])
        patches.scheme.encode(codes, 'igbp', codes)
        return place

    return load


def stored(root: Path) -> Load:
    """Load what batches are made of, to the same place each time."""
    patches = SEN12MSPatches(root, bands=BANDS)
    place: dict[str, np.ndarray] = {}

    def load(index: int) -> dict[str, np.ndarray]:
        place.update(patches.read_raw(index, place))
        return place

    return load


def sample(root: Path) -> Load:
    """Load samples."""
    return SEN12MSPatches(root, bands=BANDS).__getitem__


def scaled(root: Path) -> Load:
    """Load samples, and scale each as the datamodule does with a batch."""
    patches, scale = SEN12MSPatches(root, bands=BANDS), ScaleBands(BANDS)
    return lambda index: scale.scale_(patches[index]['image'])


def torchgeo(root: Path) -> Load:
    """Load with torchgeo."""
    names = [band.name for band in select_bands(BANDS)]
    return SEN12MS(str(root), 'train', bands=names, checksum=False).__getitem__


def limit(root: Path) -> Load:
    """Read the three files of a patch as bytes."""
    patches = SEN12MSPatches(root, bands=BANDS)

    def load(index: int) -> int:
        files = patches.files[index]
        paths = [path for path in (files.s2, files.s1, files.label) if path is not None]
        return sum(len(path.read_bytes()) for path in paths)

    return load


WAYS = (baseline, torchgeo, gdal, stored, sample, scaled, limit)


def check(root: Path, num_patches: int) -> None:
    """Compare every patch with what rasterio reads and the baseline makes of it."""
    patches, old = SEN12MSPatches(root, bands=BANDS), baseline(root)
    store, scale, plain = stored(root), scaled(root), gdal(root)
    for index in range(num_patches):
        files, arrays, ready = patches.files[index], store(index), old(index)
        read = {}
        for sensor in ('s2', 's1'):
            with rasterio.open(getattr(files, sensor)) as raster:
                wanted = [b.file_index for b in patches.bands if b.sensor == sensor]
                read[sensor] = raster.read(wanted)
        image = np.concatenate([array.astype(np.float32) for array in read.values()])
        expected = read | {'mask': ready['label']}
        same = {
            'sample': np.array_equal(patches[index]['image'], image),
            'mask': np.array_equal(patches[index]['mask'], ready['label']),
            'scaled': np.array_equal(scale(index), ready['image']),
        } | {key: np.array_equal(arrays[key], expected[key]) for key in expected}
        for key, values in plain(index).items():
            same[f'gdal {key}'] = np.array_equal(values, expected[key])
        if not all(same.values()):
            raise SystemExit(f'Expected equal pixels, got {same} of {files.id}.')


def measure(root: Path, num_patches: int, rounds: int) -> list[dict[str, Any]]:
    """Time all ways in turn, and relate them to the baseline's within each round."""
    loads = {way.__name__: way(root) for way in WAYS}
    times: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(rounds + 1):
        for name, load in loads.items():
            start = time.process_time()
            for index in range(num_patches):
                load(index)
            times[name].append((time.process_time() - start) / num_patches * 1000)
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


def main() -> None:
    """Run the benchmark, in a process for each way of storing and each malloc."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--patches', type=int, default=32)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--compressions', nargs='+', default=COMPRESSIONS)
    parser.add_argument('--interleaves', nargs='+', default=INTERLEAVES)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--root', type=Path, help='measure this tree alone, as JSON')
    options = parser.parse_args()
    if options.root:
        torch.set_num_threads(1)
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        check(options.root, options.patches)
        print(json.dumps(measure(options.root, options.patches, options.rounds)))
        return
    figures = []
    print(f'{"compress":10}{"interleave":12}{"malloc":9}{"way":10}{"ms":>8}    ratio')
    for compress, interleave in product(options.compressions, options.interleaves):
        with tempfile.TemporaryDirectory() as folder:
            write_tree(Path(folder), options.patches, compress, interleave)
            stored_as = {'compress': compress, 'interleave': interleave}
            for malloc, settings in (('default', {}), ('tuned', TUNED)):
                for figure in run(Path(folder), options, settings):
                    figures.append(stored_as | {'malloc': malloc} | figure)
                    print(
                        f'{compress:10}{interleave:12}{malloc:9}{figure["way"]:10}'
                        f'{figure["milliseconds"]:8.2f}{figure["ratio"]:7.2f} x',
                        flush=True,
                    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def run(
    root: Path, options: argparse.Namespace, settings: dict[str, str]
) -> list[dict[str, Any]]:
    """Measure a tree in a process with these settings of malloc."""
    environ = {key: value for key, value in os.environ.items() if key not in TUNED}
    command = [
        sys.executable, __file__, f'--root={root}',
        f'--patches={options.patches}', f'--rounds={options.rounds}',
    ]  # fmt: skip
    done = subprocess.run(
        command, env=environ | settings, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


if __name__ == '__main__':
    main()
