"""CPU time of what surrounds a network's step, beside others' ways of doing it.

Scores, flips and quarter turns, and scaling, of one batch and on one thread; the
scaling of floats, and of stored patches whose sensors are joined on the way. The ways
take turns within a round; a ratio is the median over the rounds. All of it is done once
with malloc as it is and once with freed blocks kept, each in a process of its own.
Prints a table, and writes the figures as JSON if asked to:

    python scripts/benchmark_steps.py --json steps.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torchgeo.tasks import SemanticSegmentation

from dfc2020_geo.bands import DEFAULT_BANDS, select_bands
from dfc2020_geo.classes import IGNORE_INDEX
from dfc2020_geo.metrics import SegmentationScores
from dfc2020_geo.transforms import RandomD4, ScaleBands, value_ranges

Ways = dict[str, Callable[[], Any]]

NUM_CLASSES = 10
SIDE = 256
#: Bytes for each pixel of the default bands and the mask.
BYTES = {
    'float32 and int64 as in 2020': 12 * 4 + 8,
    'as stored (uint16, float32, uint8)': 10 * 2 + 2 * 4 + 1,
}
#: Keep freed blocks, so that big arrays do not cost page faults each time.
TUNED = {
    'MALLOC_MMAP_THRESHOLD_': '4294967296',
    'MALLOC_TRIM_THRESHOLD_': '17179869184',
}


def score_ways(batch_size: int) -> Ways:
    """From logits to counts, or to whatever torchgeo makes of them in a step."""
    logits = torch.randn(batch_size, NUM_CLASSES, SIDE, SIDE)
    mask = logits.max(dim=1).indices
    wrong = torch.rand(mask.shape) < 0.3
    mask[wrong] = torch.randint(NUM_CLASSES, mask.shape)[wrong]
    mask[torch.rand(mask.shape) < 0.05] = IGNORE_INDEX
    theirs = SemanticSegmentation(
        'unet', 'resnet18', num_classes=NUM_CLASSES, ignore_index=IGNORE_INDEX
    ).train_metrics

    def count() -> SegmentationScores:
        scores = SegmentationScores(NUM_CLASSES)
        scores.update(logits, mask)
        return scores

    scores = count()
    assert np.array_equal(scores.confusion[:, :-1], count_as_in_2020(logits, mask))
    accuracy = theirs(logits, mask)['train_OverallAccuracy'].item()
    assert abs(scores.compute()['OA'].item() - accuracy) < 1e-5
    return {
        'ours': count,
        'baseline (scikit-learn)': lambda: count_as_in_2020(logits, mask),
        "torchgeo's collection": lambda: theirs(logits, mask),
    }


def count_as_in_2020(logits: Tensor, mask: Tensor) -> np.ndarray:
    """Count as the 2020 baseline's description has it: image by image, in numpy."""
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    predictions = logits.max(dim=1).indices.numpy()
    for prediction, target in zip(predictions, mask.numpy(), strict=True):
        valid = target != IGNORE_INDEX
        counts += confusion_matrix(
            target[valid], prediction[valid], labels=np.arange(NUM_CLASSES)
        )
    return counts


def turn_ways(batch_size: int) -> Ways:
    """Flips and quarter turns of images and their masks."""
    bands = len(select_bands(DEFAULT_BANDS))
    image = torch.rand(batch_size, bands, SIDE, SIDE)
    mask = torch.randint(NUM_CLASSES, (batch_size, 1, SIDE, SIDE)).float()

    def sequence(*operations: Any) -> Callable[[], Any]:
        augment = K.AugmentationSequential(*operations, data_keys=['input', 'mask'])
        return lambda: augment(image, mask)

    return {
        'ours': sequence(RandomD4()),
        'kornia': sequence(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomRotation90(times=(0, 3), p=1),
        ),
    }


def scale_ways(batch_size: int) -> Ways:
    """Scaling images one by one in place, or the batch to a new one."""
    bands = len(select_bands(DEFAULT_BANDS))
    image = torch.randn(batch_size, bands, SIDE, SIDE) * 3000
    buffer = image.clone()
    scaling = ScaleBands(DEFAULT_BANDS)

    def in_place() -> None:
        for one in buffer:
            scaling.scale_(one)

    in_place()
    assert torch.equal(buffer, scaling(image))
    return {
        'ours (in place)': in_place,
        'to a new batch': lambda: scaling.apply_transform(image, {}, scaling.flags),
    }


def join_ways(batch_size: int) -> Ways:
    """From patches as they are stored to the batch that a network reads."""
    rng = np.random.default_rng(0)
    counts = Counter(band.sensor for band in select_bands(DEFAULT_BANDS))
    low, high = value_ranges(DEFAULT_BANDS)
    s2 = rng.integers(0, 12_000, (batch_size, counts['s2'], SIDE, SIDE), np.uint16)
    s1 = rng.uniform(-30, 5, (batch_size, counts['s1'], SIDE, SIDE)).astype(np.float32)
    parts = [torch.from_numpy(s2), torch.from_numpy(s1)]
    scaling, normalize = ScaleBands(DEFAULT_BANDS), K.Normalize(low, high - low)

    def as_in_2020() -> Tensor:
        images = (prepare_as_in_2020(*arrays) for arrays in zip(s2, s1, strict=True))
        return torch.stack([torch.from_numpy(image) for image in images])

    def in_plain_torch() -> Tensor:
        first, second = (part.float() for part in parts)
        scaled = second.nan_to_num(-25).clamp(-25, 0) / 25 + 1
        return torch.cat([first.clamp(0, 10_000) / 10_000, scaled], dim=1)

    assert torch.equal(scaling.join(parts), as_in_2020())
    assert torch.equal(scaling.join(parts), in_plain_torch())
    return {
        'ours (in one pass)': lambda: scaling.join(parts),
        'baseline (each patch)': as_in_2020,
        'plain torch': in_plain_torch,
        "kornia's Normalize": lambda: normalize(
            torch.cat([p.float() for p in parts], 1)
        ),
    }


def prepare_as_in_2020(s2: np.ndarray, s1: np.ndarray) -> np.ndarray:
    """Clip, scale and cast a patch as the 2020 baseline's description has it."""
    reflectance = np.clip(s2.astype(np.float32), 0, 10_000) / 10_000
    backscatter = np.clip(np.nan_to_num(s1.astype(np.float32)), -25, 0) / 25 + 1
    return np.concatenate([reflectance, backscatter]).astype(np.float32)


TASKS: dict[str, Callable[[int], Ways]] = {
    'logits to scores': score_ways,
    'flips and turns': turn_ways,
    'scaling': scale_ways,
    'joining, scaling': join_ways,
}


def measure(ways: Ways, rounds: int) -> dict[str, dict[str, float]]:
    """Measure CPU time, and how many times that of the first way it is."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    ours = next(iter(seconds.values()))
    return {
        name: {
            'milliseconds': 1000 * statistics.median(taken),
            'ratio': statistics.median(x / y for x, y in zip(taken, ours, strict=True)),
        }
        for name, taken in seconds.items()
    }


def run(batch_size: int, rounds: int) -> dict[str, Any]:
    """Measure everything in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return {
        task: measure(make_ways(batch_size), rounds)
        for task, make_ways in TASKS.items()
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch_size', type=int, default=16)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--run', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.batch_size, options.rounds)))
        return
    figures = []
    print(f'{"malloc":9}{"what":18}{"way":26}{"ms":>9}  times ours')
    for malloc, settings in (('default', {}), ('tuned', TUNED)):
        command = [sys.executable, __file__, '--run',
                   f'--batch_size={options.batch_size}',
                   f'--rounds={options.rounds}']  # fmt: skip
        env = os.environ | {'OMP_NUM_THREADS': '1'} | settings
        made = subprocess.run(
            command, env=env, check=True, stdout=subprocess.PIPE, text=True
        )
        for task, ways in json.loads(made.stdout.splitlines()[-1]).items():
            for way, taken in ways.items():
                figures.append({'malloc': malloc, 'what': task, 'way': way} | taken)
                print(
                    f'{malloc:9}{task:18}{way:26}{taken["milliseconds"]:9.1f}'
                    f'{taken["ratio"]:10.1f} x',
                    flush=True,
                )
    for what, sizes in BYTES.items():
        print(f'{what}: {sizes * SIDE**2 / 1e6:.2f} MB for each patch')
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
