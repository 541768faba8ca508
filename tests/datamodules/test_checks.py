"""Values and labels of every set are checked before work, by every way in."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from dfc2020_geo.callbacks import ClassMapWriter
from dfc2020_geo.datamodules import LandCoverDataModule, SceneTrainingDataModule
from dfc2020_geo.io.packs.writing.pack import pack_tree
from dfc2020_geo.io.run_record import RunRecord, record_findings
from dfc2020_geo.synthetic import (
    write_dfc2020,
    write_scene,
    write_sen12ms,
    write_unlabeled,
)
from dfc2020_geo.tasks import LandCoverSegmentation

BANDS = ['B02', 'B04', 's1']

type Change = Callable[[np.ndarray], np.ndarray]


def _change(root: Path, kind: str, change: Change) -> None:
    """Change the images of a sensor, or the labels."""
    for path in root.rglob('*.tif'):
        if f'_{kind}_' not in path.name:
            continue
        with rasterio.open(path) as raster:
            image, profile = change(raster.read()), raster.profile
        with rasterio.open(path, 'w', **profile | {'dtype': image.dtype}) as raster:
            raster.write(image)


def _fill(number: float, dtype: str = 'float32') -> Change:
    def change(image: np.ndarray) -> np.ndarray:
        filled = image.astype(dtype)
        filled[:, :12] = number
        return filled

    return change


def _power(image: np.ndarray) -> np.ndarray:
    return (10 ** (image / 10)).astype(np.float32)


WRONG: dict[str, tuple[str, Change, str]] = {
    'power': ('s1', _power, 'linear power'),
    'added': ('s2', lambda image: image + np.uint16(1000), r'darkest pixels .*1000'),
    'fill of s1': ('s1', _fill(-9999), '-9999, which nothing declares'),
    'fill of s2': ('s2', _fill(65535, 'uint16'), '65535, which nothing declares'),
    'infinite': ('s1', _fill(-np.inf), '-inf, which nothing declares'),
}


def _patches(root: Path, **changes: Any) -> LandCoverDataModule:
    arguments: dict[str, Any] = {
        'train': 'sen12ms_train', 'val': 'sen12ms_holdout', 'test': 'dfc2020_val',
        'sen12ms_root': root, 'dfc2020_root': root, 'unlabeled_root': root,
        'bands': BANDS, 'batch_size': 2, 'num_workers': 0,
    }  # fmt: skip
    return LandCoverDataModule(**arguments | changes)


def _scenes(root: Path, **changes: Any) -> SceneTrainingDataModule:
    kinds = ('s2', 's1', 'labels')
    paths = {f'test_{k}': next(root.rglob(f'*_{k}_*.tif')) for k in kinds}
    arguments: dict[str, Any] = {**paths, 'bands': BANDS, 'num_workers': 0}
    return SceneTrainingDataModule(**arguments | changes)


def _write(way: str, root: Path, kind: str = '', change: Change | None = None) -> Any:
    """Write data of one way in, and return its datamodule and stage."""
    match way:
        case 'fit':
            write_sen12ms(root, size=32, patches_per_scene=2)
        case 'test':
            write_dfc2020(root, size=32, num_val=3, num_test=0)
        case 'scenes':
            write_scene(root, shape=(48, 40))
        case _:
            write_unlabeled(root, size=32, num_patches=2)
    if change is not None:
        _change(root, kind, change)
    if way == 'pack':
        out = root.with_name(f'{root.name}-pack')
        pack_tree(root, out)
        return (lambda **options: _patches(out, **options)), 'predict'
    make = _scenes if way == 'scenes' else _patches
    stage = 'test' if way == 'scenes' else way
    return (lambda **options: make(root, **options)), stage


@pytest.mark.parametrize('way', ['fit', 'test', 'predict', 'pack', 'scenes'])
def test_synthetic_data_pass_without_a_word(way: str, tmp_path: Path) -> None:
    make, stage = _write(way, tmp_path)
    make().setup(stage)  # a warning is an error here


@pytest.mark.parametrize('way', ['fit', 'test', 'predict', 'pack', 'scenes'])
@pytest.mark.parametrize('name', WRONG)
def test_every_way_in_says_the_same(name: str, way: str, tmp_path: Path) -> None:
    kind, change, match = WRONG[name]
    make, stage = _write(way, tmp_path, kind, change)
    if name == 'power':
        with pytest.raises(ValueError, match=match):
            make().setup(stage)
    else:
        with pytest.warns(UserWarning, match=match):
            make().setup(stage)
    with pytest.warns(UserWarning, match=match):
        make(check='warn').setup(stage)
    make(check='off').setup(stage)


@pytest.mark.parametrize('way', ['predict', 'pack'])
@pytest.mark.parametrize(('kind', 'fill'), [('s1', -9999.0), ('s2', 65535)])
def test_undeclared_fill_is_read_as_declared_one(
    kind: str, fill: float, way: str, tmp_path: Path
) -> None:
    dtype = 'float32' if kind == 's1' else 'uint16'
    make, stage = _write(way, tmp_path, kind, _fill(fill, dtype))
    data = make()
    with pytest.warns(UserWarning, match='taken for no data'):
        data.setup(stage)
    dataset = data.predict_dataset
    image, raw = dataset[0]['image'], dataset.read_raw(0)
    channels = [i for i, band in enumerate(dataset.bands) if band.sensor == kind]
    for channel in channels:
        assert image[channel, :12].isnan().all()
        assert not image[channel, 12:].isnan().any()
    assert not np.nan_to_num(raw[kind][:, :12]).any()
    for options in ({'check': 'warn'}, {'nan': 'baseline'}):
        kept = make(**options)
        with pytest.warns(UserWarning, match='it gets classes like all else'):
            kept.setup(stage)
        assert (kept.predict_dataset[0]['image'][channels[0], :12] == fill).all()


def test_fill_of_scenes_is_ignored(tmp_path: Path) -> None:
    make, stage = _write('scenes', tmp_path, 's1', _fill(-9999))
    data = make(patch_size=64)
    with pytest.warns(UserWarning, match='taken for no data'):
        data.setup(stage)
    mask = data.test_dataset[0]['mask']
    assert (mask[:12] == 255).all()
    assert not (mask[12:48, :40] == 255).all()


def test_classes_are_printed_with_their_shares(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make, stage = _write('test', tmp_path)
    codes = np.repeat(np.uint8([1, 1, 6, 0]), 8)
    _change(tmp_path, 'dfc', lambda image: np.broadcast_to(codes, image.shape))
    make().setup(stage)
    assert (
        'labels of 3 of 3 patches, legend dfc2020: Forest 50.0%, Cropland 25.0%, '
        'ignored 25.0%'
    ) in caplog.text


@pytest.mark.parametrize(
    ('way', 'kind', 'advice'),
    [
        ('fit', 'lc', r'legend igbp, got the codes 50, 80, .*--data\.train'),
        ('test', 'dfc', r'legend dfc2020, got the codes 50, 80, .*--data\.test'),
        ('scenes', 'labels', r'legend dfc2020, got the codes 50, 80, .*--data\.legend'),
    ],
)
def test_codes_of_another_legend_are_refused(
    way: str, kind: str, advice: str, tmp_path: Path
) -> None:
    def change(image: np.ndarray) -> np.ndarray:
        codes = np.full(image.shape, 1, image.dtype)
        codes[:, :10], codes[:, 10:20] = 50, 80
        return codes

    make, stage = _write(way, tmp_path, kind, change)
    with pytest.raises(ValueError, match=advice) as error:
        make().setup(stage)
    assert '\n' not in str(error.value)


def test_labels_without_a_class_bring_a_warning(tmp_path: Path) -> None:
    make, stage = _write('test', tmp_path, 'dfc', np.zeros_like)
    with pytest.warns(UserWarning, match='No pixel of the labels has a class'):
        make().setup(stage)


def _trainer(folder: Path, **options: Any) -> Trainer:
    arguments: dict[str, Any] = {
        'accelerator': 'cpu', 'enable_progress_bar': False, 'logger': False,
        'enable_checkpointing': False, 'enable_model_summary': False,
        'default_root_dir': folder, 'num_sanity_val_steps': 0, 'max_steps': 1,
    }  # fmt: skip
    return Trainer(**arguments | options)


def test_findings_are_in_the_record_of_the_run(tmp_path: Path) -> None:
    task = LandCoverSegmentation(BANDS, model='fcn', num_filters=2)
    make, _ = _write('predict', tmp_path / 'predict', 's1', _fill(-9999))
    maps = tmp_path / 'maps'
    trainer = _trainer(tmp_path, callbacks=[ClassMapWriter(maps)])
    with pytest.warns(UserWarning, match='-9999'):
        trainer.predict(task, datamodule=make(), return_predictions=False)
    record = json.loads((maps / 'run.json').read_text())
    assert '-9999' in record['findings'][0]['message']
    assert record['settings']['fills'] == {'s1': ['-9999']}
    make, _ = _write('fit', tmp_path / 'fit', 's1', _fill(-9999))
    logger = CSVLogger(tmp_path / 'logs')
    with pytest.warns(UserWarning, match='-9999'):
        _trainer(tmp_path, logger=logger).fit(task, datamodule=make())
    record = json.loads((Path(logger.log_dir) / 'run.json').read_text())
    assert {*record['checks']['fit']} == {
        'train (sen12ms_train)', 'val (sen12ms_holdout)',
    }  # fmt: skip
    for found in record['checks']['fit'].values():
        assert re.search('-9999', found['findings'][0]['message'])
        assert sum(found['classes'].values()) == pytest.approx(1)


def test_a_record_that_is_there_is_kept(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, {'weights': 'ab'}, ['a.tif'])
    record.lock()
    record.begin()
    (tmp_path / 'a.tif').write_bytes(b'map')
    record.note('a.tif')
    record.finish()
    record.unlock()
    record_findings(tmp_path, 'test', {'test': {'findings': []}})
    record_findings(tmp_path, 'validate', {})
    kept = json.loads((tmp_path / 'run.json').read_text())
    assert {*kept['checks']} == {'test', 'validate'}
    found = record.find()
    assert found is not None
    assert [*found.files] == ['a.tif']
    assert found.finished


def test_another_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected check to be one of .*got 'maybe'"):
        _patches(Path(), check='maybe')
