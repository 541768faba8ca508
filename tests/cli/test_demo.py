from pathlib import Path

import pytest
import rasterio
from matplotlib.image import imread

from dfc2020_geo.cli import demo
from dfc2020_geo.main import main
from dfc2020_geo.metrics import SegmentationScores
from dfc2020_geo.synthetic import (
    DemoRoots,
    write_dfc2020,
    write_sen12ms,
    write_unlabeled,
)


def _write_little(root: Path) -> DemoRoots:
    return DemoRoots(
        write_sen12ms(
            root / 'sen12ms', size=64, scenes_per_season=2, patches_per_scene=2
        ),
        write_dfc2020(root / 'dfc2020', size=64, num_val=1, num_test=2),
        write_unlabeled(root / 'unlabeled', size=64, num_patches=2),
    )


ONE_EPOCH = ['--trainer.max_epochs=1', '--trainer.check_val_every_n_epoch=1']


@pytest.mark.slow
def test_demo_leaves_what_it_names_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, 'write_demo', _write_little)
    monkeypatch.chdir(tmp_path)
    for again in ([], ['--overwrite']):
        main(['demo', *ONE_EPOCH, *again])
        printed = capsys.readouterr().out
        named = [
            line.split()[-1] for line in printed.split('Results:')[1].splitlines()[1:]
        ]
        assert len(named) == 7
        assert all(Path(name).exists() for name in named)
    with pytest.raises(SystemExit, match='1'):
        main(['demo', *ONE_EPOCH])
    assert 'another --out or add --overwrite' in capsys.readouterr().err
    root = tmp_path / 'demo'
    maps = list(root.glob('class_maps/*/*.tif'))
    assert len(maps) == 4
    with rasterio.open(
        next((root / 'class_maps' / 'unlabeled').glob('*.tif'))
    ) as raster:
        assert raster.crs.is_projected
    for picture in root.rglob('*.png'):
        assert imread(picture).std() > 0.05, picture
    assert '%, against the 10 m truth      AA    mIoU      OA' in printed


def test_constant_answer_is_scored_by_hand() -> None:
    import torch

    scores = SegmentationScores(3, ['Forest', 'Wetland', 'Water'])
    truth = torch.tensor([[0, 0, 2, 2, 2, 0, 2, 2]])
    scores.update(torch.zeros(1, 8, dtype=torch.long), truth)
    lines = demo.compare_with_constant(scores.summary()).splitlines()
    # 5 of 8 pixels are water: OA 5/8; AA (0 + 1) / 2; mIoU (0 + 5/8) / 2.
    assert lines[2].split() == ['always', 'Water', '50.00', '31.25', '62.50']
    # Always forest: OA 3/8, AA 1/2, mIoU (3/8 + 0) / 2.
    assert lines[1].split() == ['this', 'network', '50.00', '18.75', '37.50']
