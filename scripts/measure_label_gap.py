"""Measure what the demo loses by learning from coarse labels instead of the truth."""

import argparse
from pathlib import Path
from typing import Any

from dfc2020_geo.callbacks import ScoreWriter
from dfc2020_geo.cli.demo import score_commonest
from dfc2020_geo.cli.stages import LandCoverCLI
from dfc2020_geo.synthetic import write_demo

SHOWN = ('AA', 'mIoU', 'OA')


def train_and_test(root: Path, labels: Any, seed: int) -> dict[str, Any]:
    """Run the stages as the demo does; return the summary of the scores."""
    roots = write_demo(root / 'data', labels=labels, seed=seed)
    where = [
        f'--data.sen12ms_root={roots.sen12ms}',
        f'--data.dfc2020_root={roots.dfc2020}',
        '--trainer.enable_progress_bar=false',
    ]
    logs = f'--trainer.logger.save_dir={root}'
    fit = LandCoverCLI(['fit', '--config=demo', logs, *where])
    checkpoint: Any = fit.trainer.checkpoint_callback
    trained = [f'--ckpt_path={checkpoint.best_model_path}', '--trainer.logger=false']
    scores = [f'--scores.output_dir={root / "scores"}', '--scores.overwrite=true']
    test = LandCoverCLI(['test', *trained, *scores, *where])
    callbacks = vars(test.trainer)['callbacks']
    return next(c for c in callbacks if isinstance(c, ScoreWriter)).summary


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--output_dir', type=Path, default=Path('demo/label_gap'))
    parser.add_argument('--seed', type=int, default=0, help='number of the demo data')
    args = parser.parse_args()
    modis, truth = (
        train_and_test(args.output_dir / labels, labels, args.seed)
        for labels in ('modis', 'truth')
    )
    rows = {
        'always the commonest class': score_commonest(modis),
        'trained on MODIS-like labels': modis['scores'],
        'trained on the 10 m truth': truth['scores'],
    }
    print(f'{"%, on the 10 m truth":30}' + ''.join(f'{name:>8}' for name in SHOWN))
    for title, scores in rows.items():
        figures = (f'{100 * float(scores[name]):8.1f}' for name in SHOWN)
        print(f'{title:30}' + ''.join(figures))
