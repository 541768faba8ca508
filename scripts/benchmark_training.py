"""What a step of training costs, beside a bare PyTorch loop, and with each switch.

The same network, optimiser and batches, in memory and on one thread. After each step of
the Trainer comes one of the loop that one would write by hand, so that both see the same
machine; a ratio is the median over such pairs, of CPU time. `task` is
`Trainer.fit` with its defaults (a logger, a progress bar) on scaled batches; `datamodule`
makes them of patches as they are stored, and marks pixels without data. The weights of
both are compared with the loop's at the end, bit by bit. Then the switches of the task;
memory is the peak of a process of its own, above what it had before the first step.
`fixed` is the same with next to no network: milliseconds that stay when an accelerator
makes a step shorter. At the end Lightning's own profile:

    python scripts/benchmark_training.py --json training.json
"""

import argparse
import contextlib
import copy
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import SimpleProfiler
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from dfc2020_geo.bands import DEFAULT_BANDS, select_bands
from dfc2020_geo.classes import IGNORE_INDEX, get_scheme
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.tasks import LandCoverSegmentation
from dfc2020_geo.transforms.prepare import PrepareBatch

Batch = dict[str, Tensor]

NETWORK = {'model': 'unet', 'backbone': 'resnet18'}
NO_NETWORK = {'model': 'fcn', 'num_filters': 1}
SWITCHES = ('channels_last', 'activation_checkpointing', 'compile')
#: Steps that are not timed: they allocate, and compile.
WARM_UP = 2


class Batches(Dataset[Batch]):
    """The same two batches over and over."""

    def __init__(self, batch_size: int, side: int) -> None:
        """Make batches as patches are stored."""
        rng = np.random.default_rng(0)
        bands = Counter(band.sensor for band in select_bands(DEFAULT_BANDS))
        classes = len(get_scheme('dfc2020'))

        def make() -> Batch:
            s2, s1 = ((batch_size, bands[x], side, side) for x in ('s2', 's1'))
            shape = (batch_size, side, side)
            arrays = {
                's2': rng.integers(1, 10_000, s2, dtype=np.uint16),
                's1': rng.uniform(-25, 0, s1).astype(np.float32),
                'mask': rng.integers(classes, size=shape, dtype=np.uint8),
            }
            return {key: torch.from_numpy(array) for key, array in arrays.items()}

        self.is_scaled = False
        self.batches = [make(), make()]

    def scale(self) -> 'Batches':
        """Return the batches as the datamodule hands them on."""
        scaled, prepare = copy.copy(self), PrepareBatch(DEFAULT_BANDS)
        scaled.is_scaled = True
        scaled.batches = [prepare(batch) for batch in self.batches]
        return scaled

    def __len__(self) -> int:
        """Return more than are taken."""
        return 100_000

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, as a whole."""
        return self.batches[index % 2]


class InMemory(LandCoverDataModule):
    """The datamodule with batches in memory."""

    batches: Batches

    def setup(self, stage: str) -> None:
        """Set up nothing."""

    def train_dataloader(self) -> Any:
        """Load the batches."""
        return DataLoader(self.batches, batch_size=None)


class Turns(Callback):
    """Take a step by hand after each of the Trainer's, and time both."""

    def __init__(self, step: Callable[[], None]) -> None:
        """Initialize a new Turns instance.

        Args:
            step: Takes a step by hand.
        """
        self.step = step
        self.seconds: list[float] = []
        self.by_hand: list[float] = []
        self._start = 0.0

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Note when a step was done, and take the other."""
        end = time.process_time()
        self.seconds.append(end - self._start)
        self.step()
        self._start = time.process_time()
        self.by_hand.append(self._start - end)

    def pairs(self) -> list[tuple[float, float]]:
        """Return the seconds of both, without the first steps."""
        return [*zip(self.seconds, self.by_hand, strict=True)][WARM_UP:]


def make_task(network: dict[str, Any], **switches: bool) -> LandCoverSegmentation:
    """Make a task with the weights that all ways begin with."""
    torch.manual_seed(0)
    return LandCoverSegmentation(**network | switches)


def by_hand(network: nn.Module, batches: Batches) -> Callable[[], None]:
    """Return what takes a step as one would write it."""
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=1e-3)
    loader = iter(DataLoader(batches, batch_size=None))

    def step() -> None:
        batch = next(loader)
        optimizer.zero_grad()
        logits = network(batch['image'])
        total = functional.cross_entropy(
            logits, batch['mask'], ignore_index=IGNORE_INDEX, reduction='sum'
        )
        loss = total / (batch['mask'] != IGNORE_INDEX).sum()
        loss.backward()
        optimizer.step()

    return step


def measure(
    network: dict[str, Any], batches: Batches, steps: int, rounds: int, **switches: bool
) -> dict[str, float]:
    """Let a task and the loop take turns with the same batches, anew in each round."""
    scaled = batches if batches.is_scaled else batches.scale()
    pairs = []
    for _ in range(rounds):
        # Where in memory things come to lie makes a few per cent.
        task, bare = make_task(network, **switches), make_task(network).model
        turns = Turns(by_hand(bare, scaled))
        with quiet():
            train(task, batches, steps + WARM_UP, callbacks=[turns])
        if not {'compile', 'channels_last'} & {*switches}:
            check_equal(task.model, bare)
        pairs += turns.pairs()
        del task, bare, turns
        gc.collect()  # a trainer and its task refer to each other
    return {
        'milliseconds': 1000 * statistics.median(ours for ours, _ in pairs),
        'bare': 1000 * statistics.median(theirs for _, theirs in pairs),
        'ratio': statistics.median(ours / theirs for ours, theirs in pairs),
    }


def train(
    task: LandCoverSegmentation, batches: Batches, steps: int, **settings: Any
) -> None:
    """Take steps with the Trainer's defaults; the datamodule scales what is not."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator='cpu',
            max_steps=steps,
            logger=CSVLogger(folder),
            enable_checkpointing=False,
            enable_model_summary=False,
            limit_val_batches=0,
            **settings,
        )
        if batches.is_scaled:
            trainer.fit(task, DataLoader(batches, batch_size=None))
            return
        data = InMemory(num_workers=0)
        data.batches = batches
        trainer.fit(task, datamodule=data)


def check_equal(one: nn.Module, other: nn.Module) -> None:
    """Make sure that both have learned the same."""
    values, others = one.state_dict().values(), other.state_dict().values()
    if not all(map(torch.equal, values, others)):
        raise ValueError('Expected the weights of the loop by hand, got others.')


def profile(batch_size: int, side: int, steps: int) -> dict[str, float]:
    """Return the fraction of each of Lightning's actions in the epoch."""
    profiler = SimpleProfiler()
    with quiet():
        train(make_task(NETWORK), Batches(batch_size, side), steps, profiler=profiler)
    taken = {name: sum(d) for name, d in profiler.recorded_durations.items()}
    whole = taken.pop('run_training_epoch')
    fractions = {name: seconds / whole for name, seconds in taken.items()}
    order = sorted(fractions, key=fractions.__getitem__, reverse=True)
    inside = [n for n in order if 'setup' not in n and 'teardown' not in n]
    return {name: fractions[name] for name in inside if fractions[name] >= 1e-4}


def peak_memory(switch: str, batch_size: int, side: int) -> float:
    """Return the MiB that steps take in this process, with a switch or none."""
    switches = {switch: True} if switch in SWITCHES else {}
    task, batches = make_task(NETWORK, **switches), Batches(batch_size, side).scale()
    before = memory_now('VmRSS')
    with quiet():
        train(task, batches, steps=2)
    return memory_now('VmHWM') - before


def memory_now(name: str) -> float:
    """Return the MiB that Linux knows of this process, now or at most."""
    lines = Path('/proc/self/status').read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f'{name}:'))
    return int(line.split()[1]) / 1024


def memory_of(switch: str, options: argparse.Namespace) -> float:
    """Measure memory in a process of its own."""
    command = [sys.executable, __file__, f'--memory={switch}',
               f'--batch_size={options.batch_size}', f'--side={options.side}']  # fmt: skip
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(made.stdout.splitlines()[-1])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send bars and tips of the Trainer nowhere; they are made all the same."""
    with (
        open(os.devnull, 'w') as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
    ):
        yield


def show(what: str, name: str, taken: dict[str, float]) -> None:
    """Print figures as they come."""
    memory = f'{taken["MiB"]:9.0f} MiB' if 'MiB' in taken else ''
    print(
        f'{what:9}{name:26}{taken["milliseconds"]:10.2f} ms, by hand '
        f'{taken["bare"]:8.2f} ms {taken["ratio"]:8.3f} x{memory}',
        flush=True,
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print everything."""
    size = options.batch_size, options.side
    figures: dict[str, Any] = {}
    for what, network, stored, steps in (
        ('step', NETWORK, Batches(*size), options.steps),
        ('fixed', NO_NETWORK, Batches(1, 8), 50 * options.steps),
    ):
        ways = {'task': stored.scale(), 'datamodule': stored}
        figures[what] = {}
        for name, batches in ways.items():
            taken = measure(network, batches, steps, options.rounds)
            figures[what][name] = taken
            show(what, name, taken)
    figures['switches'] = {}
    for switch in ('none', *SWITCHES):
        switches = {} if switch == 'none' else {switch: True}
        scaled = Batches(*size).scale()
        taken = measure(NETWORK, scaled, options.steps, options.rounds, **switches)
        taken['MiB'] = memory_of(switch, options)
        figures['switches'][switch] = taken
        show('switch', switch, taken)
    figures['profile'] = profile(*size, options.steps)
    for name, fraction in figures['profile'].items():
        print(f'profile  {100 * fraction:6.2f} %  {name}')
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch_size', type=int, default=2)
    parser.add_argument('--side', type=int, default=256)
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--memory', help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    if options.memory:
        print(peak_memory(options.memory, options.batch_size, options.side))
        return
    figures = run(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    main()
