"""All benchmarks of loading and training, as one table: `make bench`.

Each script beside this one measures one part, with what it is compared with in the same
run and malloc the same on both sides. Here their ratios are put together, each beside
the ratio that the project wants. Minutes matter: nothing else should run meanwhile.

    python scripts/benchmark.py --json bench.json --plot bench.png
    python scripts/benchmark.py --parts loading index --quick
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt

SCRIPTS = Path(__file__).parent
#: Keep freed blocks, so that big arrays do not cost page faults each time.
TUNED = {
    'MALLOC_MMAP_THRESHOLD_': '4294967296',
    'MALLOC_TRIM_THRESHOLD_': '17179869184',
}


class Row(NamedTuple):
    """One ratio.

    Attributes:
        part: What is measured.
        what: Of which data, by which way of ours.
        malloc: Whether malloc is as it is or keeps freed blocks.
        beside: What it is compared with.
        ratio: How many times faster ours is (of a step: how many times longer).
        wanted: What the ratio should be at least (of a step: at most).
    """

    part: str
    what: str
    malloc: str
    beside: str
    ratio: float
    wanted: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the ratio is what is wanted."""
        if self.wanted is None:
            return True
        cost = self.part == 'step'
        return self.ratio <= self.wanted if cost else self.ratio >= self.wanted


def loading_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """Reading patches in place, beside the baseline's and torchgeo's loaders."""
    by_tree: dict[tuple[str, ...], dict[str, float]] = {}
    for f in figures:
        tree = (f['compress'], f['interleave'], f['malloc'])
        by_tree.setdefault(tree, {})[f['way']] = f['ratio']
    for (compress, interleave, setting), ratios in by_tree.items():
        wanted = 6.0 if compress == 'none' else 1.3
        for way in ('stored', 'sample'):
            what = f'{compress}, {interleave}: {way}'
            yield Row('reading', what, setting, 'baseline', ratios[way], wanted)
        what = f'{compress}, {interleave}: stored'
        for other, wanted in (('torchgeo', None), ('gdal', 1.0)):
            beside = ratios['stored'] / ratios[other]
            yield Row('reading', what, setting, other, beside, wanted)


def pack_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """Packs, beside the baseline's loader on the tree that they are made of."""
    for f in figures:
        if 'stored' not in f['way'] or f['way'].endswith('first'):
            continue
        tree = f'{f["compress"]}, {f["interleave"]}'
        is_compact = f['way'].startswith('compact')
        wanted = 4.0 if is_compact else 25.0
        if is_compact and f['compress'] == 'none':
            continue
        size = f'{100 * f["pack"] / f["source"]:.0f} % of its size'
        what = f'{tree}: {f["way"]}, {size}'
        yield Row('packs', what, malloc, 'baseline', f['ratio'], wanted)


def delivery_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """Batches of two workers, beside two processes of the baseline's loader."""
    for f in figures:
        if f['way'] in ('threads 2', 'processes 2'):
            wanted = 10.0 if (f['set'], f['way']) == ('pack', 'threads 2') else None
            what = f'{f["set"]}: {f["way"]}'
            beside = 'baseline, 2 processes'
            yield Row('delivery', what, f['malloc'], beside, f['ratio'], wanted)


def index_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """Finding the patches of a tree."""
    for number, ways in figures.items():
        what, ratio = f'{number} patches: ours', ways['ours']['ratio']
        yield Row('index', what, malloc, 'baseline', ratio, 2.0)


_STEPS = {
    'logits to scores': {'baseline': 4.0, 'torchgeo': 50.0},
    'flips and turns': {'kornia': 5.0},
}


def step_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """What surrounds a network's step."""
    for f in figures:
        if not f['way'].startswith('ours'):
            (wanted,) = [
                w for k, w in _STEPS.get(f['what'], {}).items() if k in f['way']
            ] or [None]
            yield Row(
                'around the step', f['what'], f['malloc'], f['way'], f['ratio'], wanted
            )


def training_rows(figures: Any, malloc: str) -> Iterator[Row]:
    """A whole step, beside a bare loop."""
    for way in ('task', 'datamodule'):
        ratio = figures['step'][way]['ratio']
        yield Row('step', way, malloc, 'bare loop', ratio, 1.03)


class Part(NamedTuple):
    """A script, and what its figures say.

    Attributes:
        script: Name of the script.
        rows: Takes its figures and the setting of malloc.
        does_both: Whether it measures both settings of malloc by itself.
        quick: Arguments for a short run, to see that it works.
    """

    script: str
    rows: Callable[[Any, str], Iterator[Row]]
    does_both: bool
    quick: tuple[str, ...]


PARTS = {
    'loading': Part(
        'benchmark_loading.py', loading_rows, True, ('--patches=2', '--rounds=1')
    ),
    'packs': Part(
        'benchmark_packs.py',
        pack_rows,
        False,
        ('--patches=4', '--rounds=1', '--size=32'),
    ),
    'delivery': Part(
        'benchmark_delivery.py',
        delivery_rows,
        True,
        ('--patches=4', '--samples=8', '--rounds=1', '--batch_size=4'),
    ),
    'index': Part(
        'benchmark_index.py', index_rows, False, ('--patches=2000', '--rounds=1')
    ),
    'steps': Part(
        'benchmark_steps.py', step_rows, True, ('--batch_size=2', '--rounds=1')
    ),
    'training': Part(
        'benchmark_training.py',
        training_rows,
        False,
        ('--batch_size=2', '--side=32', '--steps=2', '--rounds=1'),
    ),
}


def run(part: Part, is_quick: bool) -> list[Row]:
    """Run a script, once for each setting of malloc, and read its figures."""
    settings = {'default': {}} if part.does_both else {'default': {}, 'tuned': TUNED}
    rows = []
    environ = {key: value for key, value in os.environ.items() if key not in TUNED}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'figures.json'
        for malloc, extra in settings.items():
            command = [sys.executable, str(SCRIPTS / part.script), f'--json={path}']
            done = subprocess.run(
                [*command, *(part.quick if is_quick else ())],
                env=environ | {'OMP_NUM_THREADS': '1'} | extra,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f'{part.script}: {done.stderr[-2000:]}')
            rows += part.rows(json.loads(path.read_text()), malloc)
    return rows


def show(row: Row) -> str:
    """Write a row of the table."""
    wanted = '' if row.wanted is None else f'{row.wanted:g}'
    met = '' if row.wanted is None else ('yes' if row.is_met else 'no')
    return (
        f'| {row.part} | {row.what} | {row.malloc} | {row.beside} '
        f'| {row.ratio:.2f} | {wanted} | {met} |'
    )


def draw(rows: list[Row], path: Path) -> None:
    """Draw the ratios, and what is wanted of them."""
    figure, axes = plt.subplots(figsize=(9, 1 + 0.22 * len(rows)), layout='constrained')
    names = [f'{r.part}: {r.what} / {r.beside} ({r.malloc})' for r in rows]
    colors = ['tab:blue' if row.is_met else 'tab:orange' for row in rows]
    places = range(len(rows))
    axes.barh(places, [row.ratio for row in rows], color=colors)
    marks = [(r.wanted, i) for i, r in enumerate(rows) if r.wanted is not None]
    axes.scatter(*zip(*marks, strict=True), marker='|', s=90, color='black', zorder=2)
    axes.set_yticks(places, names, fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.axvline(1, color='gray', linewidth=0.8)
    axes.set(
        xscale='log',
        xlabel='times faster (step: times longer); black: wanted; orange: not reached',
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run all benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=[*PARTS])
    parser.add_argument('--json', type=Path)
    parser.add_argument('--plot', type=Path)
    parser.add_argument('--quick', action='store_true', help='see that it works')
    options = parser.parse_args()
    rows: list[Row] = []
    print('| part | ours | malloc | beside | ratio | wanted | met |')
    print('|---|---|---|---|---|---|---|')
    for name in options.parts:
        made = run(PARTS[name], options.quick)
        rows += made
        print('\n'.join(map(show, made)), flush=True)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    if options.plot:
        draw(rows, options.plot)


if __name__ == '__main__':
    main()
