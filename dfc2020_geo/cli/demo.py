"""The demo: land cover maps that a network learned from coarse labels, in minutes."""

import shlex
from pathlib import Path
from typing import Any

import torch

from ..callbacks import ScoreWriter
from ..metrics.scores import scores_from_confusion
from ..synthetic import write_demo
from .stages import LandCoverCLI
from .usage import VerbParser


def main(args: list[str]) -> None:
    """Make demo data, train on them, score and predict, and say where all of it is.

    Args:
        args: Command line from the verb on.

    Raises:
        FileExistsError: If there are results of an earlier demo.
    """
    parser = VerbParser('demo', description=__doc__)
    add = parser.add_argument
    add('--out', type=Path, default=Path('demo'), help='folder for all of it (demo)')
    add('--overwrite', action='store_true', help='replace the results of another demo')
    parser.epilog = 'Other flags go to the training, as to dfc2020-geo fit.'
    known, more = parser.parse_known_args(args[1:])
    root: Path = known.out
    if (root / 'scores').exists() and not known.overwrite:
        raise FileExistsError(
            f'Expected no results of an earlier demo in {root}; choose another --out or '
            'add --overwrite.'
        )
    print(f'Writing made-up SEN12MS, DFC2020 and unlabelled patches to {root / "data"}')
    roots = write_demo(root / 'data')
    where = [
        f'--data.sen12ms_root={roots.sen12ms}',
        f'--data.dfc2020_root={roots.dfc2020}',
        f'--data.unlabeled_root={roots.unlabeled}',
    ]
    fit = _run(
        'fit', '--config=demo', f'--trainer.logger.save_dir={root}', *where, *more
    )
    checkpoint: Any = fit.trainer.checkpoint_callback
    trained = [f'--ckpt_path={checkpoint.best_model_path}', '--trainer.logger=false']
    scores = [f'--scores.output_dir={root / "scores"}', '--scores.overwrite=true']
    test = _run('test', *trained, *scores, *where)
    for name in ('dfc2020_test', 'unlabeled'):
        _run(
            'predict', *trained, f'--data.predict={name}', *_outputs(root, name), *where
        )
    callbacks: list[Any] = vars(test.trainer)['callbacks']
    writer = next(c for c in callbacks if isinstance(c, ScoreWriter))
    print(compare_with_constant(writer.summary))
    print(_describe_results(root, checkpoint.best_model_path, writer.paths))


def compare_with_constant(summary: dict[str, Any]) -> str:
    """Compare scores with those of always answering the commonest class.

    Args:
        summary: From :meth:`~dfc2020_geo.metrics.SegmentationScores.summary`.

    Returns:
        A table in percent, against the same truth.
    """
    commonest = max(summary['classes'], key=lambda row: row['support'])
    rows = {
        'this network': summary['scores'],
        f'always {commonest["name"]}': score_commonest(summary),
    }
    shown = ('AA', 'mIoU', 'OA')
    lines = [
        f'  {title:24}' + ''.join(f'{100 * float(scores[s]):8.2f}' for s in shown)
        for title, scores in rows.items()
    ]
    header = '  %, against the 10 m truth'.ljust(26) + ''.join(f'{s:>8}' for s in shown)
    return '\n'.join([header, *lines])


def score_commonest(summary: dict[str, Any]) -> dict[str, Any]:
    """Score the answer that every pixel is of the commonest class of the truth.

    Args:
        summary: From :meth:`~dfc2020_geo.metrics.SegmentationScores.summary`.

    Returns:
        Each score by its name.
    """
    support = torch.tensor([row['support'] for row in summary['classes']])
    constant = torch.zeros(len(support), len(support), dtype=torch.int64)
    constant[:, support.argmax()] = support
    return scores_from_confusion(constant)


def _outputs(root: Path, name: str) -> list[str]:
    return [
        f'--{writer}.{setting}'
        for writer in ('class_maps', 'previews')
        for setting in (f'output_dir={root / writer / name}', 'overwrite=true')
    ]


def _run(*args: str) -> LandCoverCLI:
    """Run a stage as its command would, and show the command."""
    print(f'\n$ dfc2020-geo {shlex.join(args)}', flush=True)
    return LandCoverCLI(args)


def _describe_results(root: Path, checkpoint: str, scores: list[Path]) -> str:
    pairs = [
        ('class maps (GeoTIFF)', root / 'class_maps'),
        ('previews (PNG)', root / 'previews'),
        *((f'scores ({path.suffix[1:].upper()})', path) for path in scores),
        ('checkpoint', Path(checkpoint)),
    ]
    lines = [f'  {title:24}{path}' for title, path in pairs]
    return '\n'.join(['', 'Results:', *lines])
