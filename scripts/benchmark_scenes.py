"""Time and memory of mapping a scene, beside reading it whole.

Both ways read the same files, run the same network on the same tiles, average logits
with the same weights and write the labels; only the streaming one is this package's.
Each runs in a process of its own, with the same settings of malloc. Prints a table,
and writes the figures as JSON if asked to:

    python scripts/benchmark_scenes.py --sides 2048 4096 8192 --json figures.json
    python scripts/benchmark_scenes.py --sides 2048 --network unet
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from lightning.pytorch import Trainer
from rasterio.windows import Window

from dfc2020_geo.inference import SceneMapWriter
from dfc2020_geo.inference.datamodule import SceneDataModule
from dfc2020_geo.samplers.tiling import Axis
from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.transforms import ScaleBands

BANDS = ['s2', 's1']
TILING: dict[str, Any] = {'size': 512, 'overlap': 64, 'blending': 'cosine'}
BATCH_SIZE = 2
#: Keep freed blocks, so that big arrays do not cost page faults each time.
TUNED = {
    'MALLOC_MMAP_THRESHOLD_': '4294967296',
    'MALLOC_TRIM_THRESHOLD_': '17179869184',
}


def write_scene(folder: Path, side: int) -> None:
    """Write tiled, uncompressed Sentinel-2 (13 bands) and Sentinel-1 (2 bands)."""
    generator = np.random.default_rng(0)
    for name, count, low, high, dtype in (
        ('s2', 13, 200, 6000, np.uint16),
        ('s1', 2, -20, -5, np.float32),
    ):
        profile = {
            'driver': 'GTiff', 'count': count, 'height': side, 'width': side,
            'dtype': dtype, 'tiled': True, 'blockxsize': 512, 'blockysize': 512,
            'crs': 'EPSG:32633', 'transform': rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
        }  # fmt: skip
        with rasterio.open(folder / f'{name}.tif', 'w', **profile) as raster:
            for row in range(0, side, 512):
                rows = min(512, side - row)
                coarse = generator.uniform(low, high, (count, 1, side // 16))
                block = np.repeat(coarse, 16, axis=2) * np.ones((1, rows, 1))
                block = np.pad(
                    block, ((0, 0), (0, 0), (0, side - block.shape[2])), 'edge'
                )
                block += generator.normal(0, (high - low) / 50, (1, rows, side))
                if name == 's1':
                    block[1] -= 7
                window = Window(0, row, side, rows)  # ty: ignore[too-many-positional-arguments]
                raster.write(
                    block.clip(-30 if name == 's1' else 1).astype(dtype), window=window
                )


def make_task(network: str) -> LandCoverSegmentation:
    """Make a network: one convolution 1 x 1, or a U-Net on a ResNet-18."""
    torch.manual_seed(0)
    task = LandCoverSegmentation(BANDS, model='unet', backbone='resnet18')
    if network == 'tiny':
        task.model = torch.nn.Conv2d(15, len(task.scheme), kernel_size=1)
    return task.eval()


def stream(folder: Path, task: LandCoverSegmentation) -> np.ndarray | None:
    """Map the scene with this package."""
    data = SceneDataModule(
        folder / 's2.tif',
        folder / 's1.tif',
        bands=BANDS,
        batch_size=BATCH_SIZE,
        **TILING,
    )
    writer = SceneMapWriter(folder / 'stream.tif', overwrite=True)
    trainer = Trainer(
        logger=False, callbacks=[writer], enable_progress_bar=False, devices=1
    )
    trainer.predict(task, datamodule=data, return_predictions=False)


@torch.inference_mode()
def naive(folder: Path, task: LandCoverSegmentation) -> None:
    """Read the scene whole, and average logits of its full size."""
    image = None
    for channels, name in ((slice(0, 13), 's2'), (slice(13, 15), 's1')):
        with rasterio.open(folder / f'{name}.tif') as raster:
            profile = raster.profile
            if image is None:
                image = np.empty((15, raster.height, raster.width), np.float32)
            raster.read(out=image[channels])
    assert image is not None
    image = ScaleBands(BANDS).scale_(torch.from_numpy(image))
    rows, columns = (Axis(n, **TILING) for n in image.shape[1:])
    total = torch.zeros(len(task.scheme), *image.shape[1:])
    places = [(i, j) for i in range(len(rows.spans)) for j in range(len(columns.spans))]
    for start in range(0, len(places), BATCH_SIZE):
        chosen = places[start : start + BATCH_SIZE]
        tiles = [
            image[:, rows.spans[i].start : rows.spans[i].stop,
                  columns.spans[j].start : columns.spans[j].stop]
            for i, j in chosen
        ]  # fmt: skip
        for (i, j), logits in zip(chosen, task(torch.stack(tiles)), strict=True):
            high, wide = rows.supports[i], columns.supports[j]
            weights = np.outer(rows.weights(i), columns.weights(j))
            inside = logits[
                :, high.within(rows.spans[i]), wide.within(columns.spans[j])
            ]
            total[:, high.start : high.stop, wide.start : wide.stop] += (
                inside * torch.from_numpy(weights)
            )
    labels = task.scheme.decode(total.argmax(dim=0).byte().numpy())
    profile |= {'count': 1, 'dtype': 'uint8', 'nodata': 0, 'compress': 'deflate'}
    with rasterio.open(folder / 'naive.tif', 'w', **profile) as raster:
        raster.write(labels, 1)


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB (Linux).

    Not getrusage: that counts what the process was before it began with this program.
    """
    status = Path('/proc/self/status').read_text()
    (line,) = (line for line in status.splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) / 1024


def run(folder: Path, way: str, network: str) -> dict[str, Any]:
    """Run one way in this process, and say what it took."""
    task = make_task(network)
    network_seconds = watch(task.model)
    base = peak_memory()
    start = time.perf_counter()
    {'stream': stream, 'naive': naive}[way](folder, task)
    seconds = time.perf_counter() - start
    peak = peak_memory() - base
    with rasterio.open(folder / f'{way}.tif') as raster:
        labels = hashlib.sha256(raster.read(1).tobytes()).hexdigest()
    return {
        'seconds': seconds,
        'network_seconds': sum(network_seconds),
        'mebibytes': peak,
        'labels': labels,
    }


def watch(network: torch.nn.Module) -> list[float]:
    """Measure the time of each forward pass of a network, on the CPU."""
    times: list[float] = []
    network.register_forward_pre_hook(lambda *_: times.append(-time.perf_counter()))

    def add(*_: Any) -> None:
        times[-1] += time.perf_counter()

    network.register_forward_hook(add)
    return times


def compare(side: int, network: str, folder: Path) -> list[dict[str, Any]]:
    """Run both ways, with malloc as it is and tuned, each in its own process."""
    figures = []
    for malloc, settings in (('default', {}), ('tuned', TUNED)):
        for way in ('naive', 'stream'):
            command = [sys.executable, __file__, '--run', way, '--network', network,
                       '--folder', str(folder)]  # fmt: skip
            made = subprocess.run(command, env=os.environ | settings, check=True,
                                  capture_output=True, text=True)  # fmt: skip
            taken = json.loads(made.stdout.splitlines()[-1])
            figures.append({'side': side, 'malloc': malloc, 'way': way} | taken)
            print(_row(figures[-1]), flush=True)
    return figures


def _row(f: dict[str, Any]) -> str:
    return (
        f'{f["side"]:6} {f["malloc"]:8} {f["way"]:7} {f["seconds"]:8.1f} s '
        f'(network {f["network_seconds"]:7.1f} s) '
        f'{f["mebibytes"]:8.0f} MiB  labels {f["labels"][:12]}'
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sides', type=int, nargs='+', default=[2048, 4096, 8192])
    parser.add_argument('--network', choices=['tiny', 'unet'], default='tiny')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--run', choices=['stream', 'naive'], help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.folder, options.run, options.network)))
        return
    figures = []
    for side in options.sides:
        with tempfile.TemporaryDirectory() as folder:
            write_scene(Path(folder), side)
            os.sync()  # so that the system is not still writing meanwhile
            figures += compare(side, options.network, Path(folder))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
