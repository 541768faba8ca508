"""A training and what comes of it are the same from a tree and from its pack."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml

from dfc2020_geo.io.run_record import RECORD_NAME
from dfc2020_geo.main import main
from dfc2020_geo.models.contract import hash_weights
from dfc2020_geo.synthetic import write_dfc2020, write_sen12ms, write_unlabeled
from tests.support.pack_trees import content, write

#: How each tree is stored, the format of its pack, and the setting of its root; DFC2020
#: stays as the contest has it, float64 and int32.
TREES: dict[str, tuple[dict[str, Any], str, str]] = {
    'sen12ms': ({'compress': 'deflate', 'interleave': 'pixel'}, 'fast', 'sen12ms_root'),
    'dfc2020': ({}, 'compact', 'dfc2020_root'),
    'images': (
        {'compress': 'lzw', 'tiled': True, 'blockxsize': 16, 'blockysize': 16},
        'fast',
        'unlabeled_root',
    ),
}
SIDE = 21  # an odd number, so that no strip or tile ends with the image

Results = dict[str, Any]


def store(root: Path, **profile: Any) -> None:
    """Store the images of a tree in another way, and declare a value as no data."""
    for path in root.rglob('*.tif'):
        with rasterio.open(path) as raster:
            values, grid = (
                raster.read(),
                {'crs': raster.crs, 'transform': raster.transform},
            )
        is_image = '_lc_' not in path.name
        if is_image:
            values[:, 2:5, 3:9] = -99 if values.dtype.kind == 'f' else 7
        nodata = float(values[0, 2, 3]) if is_image else None
        write(path, values, nodata=nodata, **grid, **profile)


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The settings of the roots: those of trees, and those of their packs."""
    folder = tmp_path_factory.mktemp('roots')
    write_sen12ms(
        folder / 'sen12ms',
        size=SIDE,
        seasons=['ROIs1158_spring', 'ROIs1970_fall'],
        scenes_per_season=2,
        patches_per_scene=3,
    )
    write_dfc2020(folder / 'dfc2020', size=SIDE, num_val=2, num_test=3)
    write_unlabeled(folder / 'images', size=SIDE, num_patches=3)
    flags: dict[str, list[str]] = {'tree': [], 'pack': []}
    for name, (profile, form, setting) in TREES.items():
        root, pack = folder / name, folder / f'{name}_pack'
        if profile:
            store(root, **profile)
        more = ['--format', form, '--shard_size', '40KB', '--workers', '1']
        main(['pack', '--root', str(root), '--out', str(pack), *more])
        for kind, place in (('tree', root), ('pack', pack)):
            flags[kind].append(f'--data.{setting}={place}')
    return flags


def config() -> dict[str, Any]:
    steps = {'filename': '{step}', 'save_top_k': -1, 'every_n_train_steps': 1}
    return {
        'data': {
            'bands': ['s2-10m', 's2-60m', 's1'],
            'batch_size': 2,
            'augmentations': [{'class_path': 'dfc2020_geo.transforms.RandomD4'}],
        },
        'model': {
            'class_path': 'dfc2020_geo.tasks.LandCoverSegmentation',
            'init_args': {'model': 'fcn', 'num_filters': 4, 'lr': 0.02},
        },
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 1,
            'log_every_n_steps': 1,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'logger': {
                'class_path': 'lightning.pytorch.loggers.CSVLogger',
                'init_args': {'save_dir': '.', 'name': 'logs'},
            },
            'callbacks': [
                {
                    'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
                    'init_args': steps | {'save_on_train_epoch_end': False},
                }
            ],
        },
    }


def run_stages(folder: Path, flags: Sequence[str]) -> Results:
    """Train, go on in the middle of the epoch, test and predict; return what was made."""
    folder.mkdir()
    (folder / 'run.yaml').write_text(yaml.safe_dump(config()))
    flags = ['--config=run.yaml', *flags]
    with contextlib.chdir(folder):
        main(['fit', *flags, '--seed_everything=3'])
        paths = {p.stem: p for p in sorted(Path('logs').rglob('*.ckpt'))}
        middle, last = paths['step=2'], paths[max(paths)]
        main(['fit', *flags, '--seed_everything=9', f'--ckpt_path={middle}'])
        use = [*flags, f'--ckpt_path={last}', '--trainer.logger=false']
        main(['test', *use])
        outputs = ['--class_maps.probabilities=true', '--class_maps.output_dir=maps']
        main(['predict', *use, *outputs, '--previews.output_dir=previews'])
    made: Results = {
        name: values
        for name, values in content(folder).items()
        # Those name the root, or the folder.
        if not name.endswith(('.ckpt', '.yaml', RECORD_NAME))
    }
    for path in folder.rglob('*.ckpt'):
        weights = torch.load(path, weights_only=True)['state_dict']
        made[str(path.relative_to(folder))] = hash_weights(weights)
    return made


@pytest.fixture(scope='module')
def expected(
    roots: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Results]:
    """What comes of the trees, read by the process that trains."""
    folder = tmp_path_factory.mktemp('expected') / 'run'
    return folder, run_stages(folder, [*roots['tree'], '--data.num_workers=0'])


def test_the_stages_make_something_of_the_trees(expected: tuple[Path, Results]) -> None:
    folder, made = expected
    text = (folder / 'logs/version_0/metrics.csv').read_text()
    names, *rows = [line.split(',') for line in text.splitlines()]
    losses = [row[names.index('train_loss')] for row in rows]
    assert len({*filter(None, losses)}) == 3
    steps = [f'logs/version_{n}/checkpoints/step=3.ckpt' for n in (0, 1)]
    assert made[steps[0]] == made[steps[1]]  # to the end, as if it had not been stopped
    assert 'dfc2020_test.json' in made
    maps = [name for name in made if name.endswith('.tif')]
    assert len(maps) == 6
    for name in maps:
        with rasterio.open(folder / name) as raster:
            assert raster.crs is not None
            assert raster.shape == (SIDE, SIDE)
            if raster.count > 1:
                assert len(np.unique(raster.read())) > 100
    assert len([name for name in made if name.startswith('previews/')]) == 3


@pytest.mark.parametrize('workers', ['threads', 'processes'])
def test_packs_give_the_weights_scores_and_maps_of_their_trees(
    tmp_path: Path,
    workers: str,
    roots: dict[str, list[str]],
    expected: tuple[Path, Results],
) -> None:
    flags = [f'--data.workers={workers}', '--data.num_workers=2']
    made = run_stages(tmp_path / 'run', [*roots['pack'], *flags])
    assert made.keys() == expected[1].keys()
    differing = [name for name in made if made[name] != expected[1][name]]
    assert not differing
