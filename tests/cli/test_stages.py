"""The stages as their commands, on the small trees of the 2020 baseline."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml
from lightning.pytorch import Trainer

from dfc2020_geo.callbacks import ClassMapWriter
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.main import main
from dfc2020_geo.models.contract import CONTRACT_KEY, hash_weights, read_checkpoint
from dfc2020_geo.tasks import LandCoverSegmentation

pytestmark = pytest.mark.filterwarnings(
    # rasterio, of DFC2020's TIFFs, when a test opens them itself.
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)

Run = Callable[..., str]


def _config(tree: Path, folder: Path, **model: Any) -> dict[str, Any]:
    return {
        'data': {
            'class_path': 'dfc2020_geo.datamodules.LandCoverDataModule',
            'init_args': {
                'sen12ms_root': str(tree / 'sen12ms'),
                'dfc2020_root': str(tree / 'dfc2020'),
                'unlabeled_root': str(tree / 'tiffs'),
                'bands': ['s1', 's2-10m'],
                'scheme': 'dfc2020-no-savanna',
                'batch_size': 3,
                'num_workers': 0,
            },
        },
        'model': {
            'class_path': 'dfc2020_geo.tasks.LandCoverSegmentation',
            'init_args': {'model': 'fcn', 'num_filters': 2, 'lr': 0.01} | model,
        },
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 1,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': str(folder),
            'logger': {
                'class_path': 'lightning.pytorch.loggers.CSVLogger',
                'init_args': {'save_dir': str(folder)},
            },
        },
    }


@pytest.fixture(scope='session')
def trained(
    baseline_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A config file and the checkpoint of its run."""
    folder = tmp_path_factory.mktemp('trained')
    config = folder / 'run.yaml'
    optimizer = {'class_path': 'torch.optim.SGD', 'init_args': {'momentum': 0.9}}
    settings = _config(baseline_tree, folder, optimizer=optimizer)
    config.write_text(yaml.safe_dump(settings))
    main(['fit', '--config', str(config)])
    (checkpoint,) = folder.rglob('*.ckpt')
    return config, checkpoint


@pytest.fixture
def run(
    trained: tuple[Path, Path],
    baseline_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a stage with the trained checkpoint in a new folder; return what it says."""
    monkeypatch.chdir(tmp_path)
    _, checkpoint = trained
    quiet = ['--trainer.logger=false', '--trainer.accelerator=cpu']
    quiet += ['--trainer.enable_progress_bar=false', '--data.num_workers=0']

    def run(stage: str, *args: str, ckpt_path: Path | str = checkpoint) -> str:
        with contextlib.suppress(SystemExit):
            main([stage, f'--ckpt_path={ckpt_path}', *quiet, *args])
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_a_checkpoint_says_what_it_reads_and_means(trained: tuple[Path, Path]) -> None:
    contract = read_checkpoint(trained[1])[CONTRACT_KEY]
    assert contract['bands'] == ['B02', 'B03', 'B04', 'B08', 'VV', 'VH']
    assert contract['scheme'] == 'dfc2020-no-savanna'
    assert contract['classes'][2] == {'code': 4, 'name': 'Grassland'}
    assert contract['value_range'] == {'s1': [-25.0, 0.0], 's2': [0.0, 10_000.0]}
    assert contract['nan'] == 'lowest'
    assert contract['model'] == 'fcn'
    assert 'torchgeo' in contract['versions']


def test_a_checkpoint_alone_predicts_a_directory(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    run('predict', f'--data.unlabeled_root={baseline_tree / "tiffs"}')
    maps = sorted(path.name for path in (tmp_path / 'predictions').glob('*.tif'))
    assert maps == ['image_pred_001.tif', 'image_pred_002.tif', 'plain_007.tif']
    with rasterio.open(tmp_path / 'predictions' / maps[0]) as raster:
        codes = raster.read(1)
    assert codes.dtype == np.uint8
    assert set(np.unique(codes)) <= {1, 2, 4, 5, 6, 7, 8, 9, 10}
    assert len(list((tmp_path / 'previews').glob('*.png'))) == 3


def test_class_maps_are_those_of_the_network_read_by_hand(
    run: Run, trained: tuple[Path, Path], baseline_tree: Path, tmp_path: Path
) -> None:
    from dfc2020_geo.tasks import LandCoverSegmentation

    run('predict', f'--data.unlabeled_root={baseline_tree / "tiffs"}')
    task = LandCoverSegmentation.load_from_checkpoint(trained[1], weights_only=True)
    folder = baseline_tree / 'tiffs'
    with rasterio.open(folder / 's2' / 'image_s2_001.tif') as raster:
        s2 = raster.read([2, 3, 4, 8]).astype(np.float32)
    with rasterio.open(folder / 's1' / 'image_s1_001.tif') as raster:
        s1 = raster.read().astype(np.float32)
    scaled = [np.clip(s2, 0, 1e4) / 1e4, (np.clip(s1, -25, 0) + 25) / 25]
    image = np.nan_to_num(np.concatenate(scaled), nan=0.0)
    with torch.no_grad():
        logits = task.eval()(torch.from_numpy(image)[None].float())
    codes = np.array([1, 2, 4, 5, 6, 7, 8, 9, 10])[logits[0].argmax(0).numpy()]
    with rasterio.open(tmp_path / 'predictions' / 'image_pred_001.tif') as raster:
        agreement = (raster.read(1) == codes).mean()
    assert agreement > 0.999


def test_scores_are_written_and_printed(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    root = f'--data.dfc2020_root={baseline_tree / "dfc2020"}'
    table = run('test', root, '--scores.output_dir=scores')
    scores = json.loads((tmp_path / 'scores' / 'dfc2020_test.json').read_text())
    assert f'AA {100 * scores["scores"]["AA"]:.2f}' in table
    assert {p.suffix for p in (tmp_path / 'scores').iterdir()} == {
        '.json', '.csv', '.png',
    }  # fmt: skip
    error = run('test', root, '--scores.output_dir=scores')
    assert 'Expected no scores yet, got scores/dfc2020_test.json' in error
    run('validate', root, '--scores.output_dir=scores')
    assert (tmp_path / 'scores' / 'dfc2020_val.json').exists()


def test_predictions_that_exist_are_refused(run: Run, baseline_tree: Path) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root)
    assert 'the outputs of the same run, finished' in run('predict', root)
    run('predict', root, '--class_maps.overwrite=true', '--previews.overwrite=true')


@pytest.fixture(scope='session')
def other_checkpoint(
    trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint of the same network with other weights."""
    path = tmp_path_factory.mktemp('other') / 'other.ckpt'
    checkpoint = torch.load(trained[1], weights_only=True)
    for tensor in checkpoint['state_dict'].values():
        tensor += 1
    torch.save(checkpoint, path)
    return path


def _interrupt(folder: Path, missing: str) -> None:
    record = json.loads((folder / 'run.json').read_text())
    (folder / 'run.json').write_text(json.dumps(record | {'finished': False}))
    (folder / missing).unlink()


def test_maps_of_two_checkpoints_are_not_mixed(
    run: Run, baseline_tree: Path, tmp_path: Path, other_checkpoint: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root)
    _interrupt(tmp_path / 'predictions', 'plain_007.tif')
    error = run(
        'predict', root, '--previews.overwrite=true', ckpt_path=other_checkpoint
    )
    assert 'predictions with the outputs of a run with other weights' in error
    assert not (tmp_path / 'predictions' / 'plain_007.tif').exists()
    run('predict', root, '--seed_everything=5', '--previews.overwrite=true')
    assert (tmp_path / 'predictions' / 'plain_007.tif').exists()


@pytest.mark.parametrize(
    ('flag', 'name'),
    [('--model.tta=true', 'tta'), ('--trainer.precision=bf16-true', 'precision')],
)
def test_maps_of_two_ways_to_answer_are_not_mixed(
    run: Run, baseline_tree: Path, tmp_path: Path, flag: str, name: str
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root)
    _interrupt(tmp_path / 'predictions', 'plain_007.tif')
    error = run('predict', root, '--previews.overwrite=true', flag)
    assert re.search(f'predictions with .* of a run with other {name} .*, now', error)
    assert not (tmp_path / 'predictions' / 'plain_007.tif').exists()


def test_a_record_names_the_weights_of_the_checkpoint(
    run: Run, trained: tuple[Path, Path], baseline_tree: Path, tmp_path: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root, '--trainer.precision=bf16-true')
    record = json.loads((tmp_path / 'predictions' / 'run.json').read_text())
    weights = torch.load(trained[1], weights_only=True)['state_dict']
    assert record['settings']['weights'] == [hash_weights(weights)]


def test_a_refused_run_replaces_nothing(
    run: Run, baseline_tree: Path, tmp_path: Path, other_checkpoint: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root)
    before = {p: p.read_bytes() for p in (tmp_path / 'predictions').iterdir()}
    error = run(
        'predict', root, '--class_maps.overwrite=true', ckpt_path=other_checkpoint
    )
    assert 'previews with the outputs of a run with other weights' in error
    assert {p: p.read_bytes() for p in (tmp_path / 'predictions').iterdir()} == before


def test_outputs_replace_no_inputs(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(baseline_tree / 'tiffs', tmp_path / 'tiffs')
    shutil.copytree(baseline_tree / 'dfc2020', tmp_path / 'df')
    truth = 'df/ROIs0000_test/dfc_0'
    before = {p: p.read_bytes() for p in tmp_path.rglob('*.tif')}
    for folder, root in {
        'tiffs/s1': ['--data.unlabeled_root=tiffs'],
        truth: ['--data.dfc2020_root=df', '--data.predict=dfc2020_test'],
    }.items():
        output = f'--class_maps.output_dir={folder}'
        error = run('predict', *root, output, '--class_maps.overwrite=true')
        assert f'got a folder of the data: {folder}' in error
    assert {p: p.read_bytes() for p in tmp_path.rglob('*.tif')} == before


def test_two_patches_of_one_name_are_refused(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(baseline_tree / 'tiffs', tmp_path / 'tiffs')
    for sensor in ('s1', 's2'):
        source = tmp_path / 'tiffs' / sensor / f'image_{sensor}_001.tif'
        shutil.copy(source, source.with_name('image_pred_001.tif'))
    error = run('predict', '--data.unlabeled_root=tiffs')
    assert 'got image_pred_001 for 2 patches' in error


def test_a_part_of_a_prediction_is_not_its_end(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    limit = ['--trainer.limit_predict_batches=1', '--data.batch_size=1']
    assert 'all but' in run('predict', root, *limit)
    run('predict', root)
    assert len(list((tmp_path / 'predictions').glob('*.tif'))) == 3


def test_an_interrupted_prediction_goes_on(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    run('predict', root)
    folder = tmp_path / 'predictions'
    before = {path.name: path.read_bytes() for path in folder.glob('*.tif')}
    kept = folder / 'image_pred_001.tif'
    time = kept.stat().st_mtime_ns
    _interrupt(folder, 'image_pred_002.tif')
    _interrupt(tmp_path / 'previews', 'image_pred_001.png')
    run('predict', root)
    assert {path.name: path.read_bytes() for path in folder.glob('*.tif')} == before
    assert kept.stat().st_mtime_ns == time


def test_flags_count_before_the_checkpoint(
    run: Run, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    printed = run('test', '--model.loss=dice', '--data.batch_size=2', '--print_config')
    settings = yaml.safe_load(printed)
    assert settings['model']['init_args']['loss'] == 'dice'
    assert settings['model']['init_args']['lr'] == 0.01
    assert settings['data']['init_args']['scheme'] == 'dfc2020-no-savanna'


@pytest.mark.parametrize(
    ('flag', 'expected'),
    [
        (
            '--data.scheme=dfc2020',
            'data.scheme=dfc2020-no-savanna .* got dfc2020 in flag',
        ),
        ('--data.bands=[s1]', 'data.bands=.*B08.*VH.* got .*s1.* in flag --data.bands'),
        ('--data.nan=baseline', 'data.nan=lowest .* got baseline in flag --data.nan'),
        ('--model.model=unet', 'model.model=fcn .* got unet in flag --model.model'),
        ('--model.num_filters=3', 'model.num_filters=2 .* got 3 in flag'),
        ('--model.scheme=dfc2020', 'scheme under data alone, got model.scheme=dfc2020'),
        ('--data.colour=1', 'colour'),
    ],
)
def test_flags_cannot_change_what_a_checkpoint_is(
    run: Run, flag: str, expected: str
) -> None:
    error = run('test', flag)
    assert len(error.strip().splitlines()) == 1, error
    assert re.search(expected, error), error


def test_a_config_cannot_change_what_a_checkpoint_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / 'other.yaml').write_text('data: {init_args: {scheme: dfc2020}}')
    error = run('predict', '--config=other.yaml')
    assert 'got dfc2020 in config other.yaml' in error


def test_bands_in_other_words_are_the_same(run: Run, baseline_tree: Path) -> None:
    root = f'--data.dfc2020_root={baseline_tree / "dfc2020"}'
    out = run('test', root, '--data.bands=[VH,VV,B08,B02,B03,B04]')
    assert 'AA' in out


def test_resuming_goes_on_and_keeps_the_rate(
    run: Run, trained: tuple[Path, Path]
) -> None:
    config = f'--config={trained[0]}'
    run('fit', config, '--trainer.max_epochs=2')
    error = run('fit', config, '--trainer.max_epochs=2', '--model.lr=0.1')
    assert 'Expected lr=[0.01] as in the checkpoint, got [0.1]' in error
    assert 'resuming restores the optimiser' in error
    error = run('fit', config, '--model.optimizer=torch.optim.Adam')
    assert 'Expected optimizer=SGD' in error


@pytest.mark.parametrize(
    ('flag', 'expected'),
    [
        ('--model.optimizer.momentum=0.1', 'momentum=[0.9] as in the checkpoint'),
        ('--model.optimizer.weight_decay=0.1', 'weight_decay=[0.0]'),
        ('--model.patience=3', 'lr_scheduler.patience=10'),
        ('--model.lr_scheduler=torch.optim.lr_scheduler.ConstantLR', 'ReduceLROnPlat'),
        ('--model.freeze_backbone=true', 'freeze_backbone=False'),
    ],
)
def test_resuming_loses_no_flag_of_the_optimiser(
    run: Run, trained: tuple[Path, Path], flag: str, expected: str
) -> None:
    error = run('fit', f'--config={trained[0]}', '--trainer.max_epochs=2', flag)
    assert expected in error


def test_the_settings_that_a_run_saves_run_again(
    run: Run, trained: tuple[Path, Path]
) -> None:
    saved = trained[1].parents[1] / 'fit.yaml'
    out = run('test', f'--config={saved}', '--trainer.logger=false')
    assert 'AA' in out


def test_a_flag_counts_wherever_the_config_stands(
    run: Run, trained: tuple[Path, Path]
) -> None:
    printed = run('fit', '--model.lr=7', f'--config={trained[0]}', '--print_config')
    assert yaml.safe_load(printed)['model']['init_args']['lr'] == 7


@pytest.mark.parametrize('stage', ['validate', 'test', 'predict'])
def test_a_checkpoint_is_asked_for(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([stage, '--trainer.accelerator=cpu'])
    assert f'checkpoint to {stage} with, got none' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('flag', 'expected'),
    [
        ('--data.batch_size=0', 'batch_size from 1'),
        ('--data.cities=[Mumbai]', 'cities with the set dfc2020_all only'),
        ('--model.backbone=resnet5x', "of smp, or of timm .*'resnet5x'"),
        ('--model.class_weights=[1,2]', 'class weight for each of .* got 2'),
        ('--data.bach_size=3', "'bach_size' is not accepted .in flag --data.bach_size"),
        ('--data.batchsize=3', r'; did you mean --data\.batch_size\?$'),
        ('--model.learning_rat=3', r'.in flag --model\.learning_rat\)$'),
        ('--trainer.max_epoch=3', 'unrecognized arguments: --trainer.max_epoch'),
        ('--trainer.max_epoch=3', r'; did you mean --trainer\.max_epochs\?$'),
    ],
)
def test_wrong_settings_end_in_one_line(
    flag: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(['fit', flag])
    error = capsys.readouterr().err.strip().splitlines()
    assert re.search(expected, error[-1]), error


def test_help_lists_the_settings_of_data_and_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(['fit', '--help'])
    printed = capsys.readouterr().out
    assert '--data.sen12ms_root (default: data/sen12ms)' in printed
    assert '--model.backbone_lr (default: None)' in printed


def test_half_precision_brings_no_warning(
    run: Run, trained: tuple[Path, Path], recwarn: pytest.WarningsRecorder
) -> None:
    flags = ['--trainer.precision=bf16-mixed', '--trainer.max_epochs=2']
    run('fit', f'--config={trained[0]}', '--trainer.enable_model_summary=true', *flags)
    assert not [w for w in recwarn if 'recision' in str(w.message)]


@pytest.mark.parametrize(('value', 'meant'), [('true', True), ('false', False)])
def test_a_flag_says_of_weights_what_a_config_does(
    value: str, meant: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(['fit', f'--model.weights={value}', '--print_config'])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed['model']['init_args']['weights'] is meant


def test_a_learning_rate_has_one_place(run: Run) -> None:
    error = run('fit', '--model.optimizer=SGD', '--model.optimizer.init_args.lr=0.1')
    assert 'learning rate under model.lr' in error


@pytest.mark.parametrize(
    ('name', 'lr', 'is_default'),
    [
        ('torch.optim.RMSprop', 0.01, True),
        ('torch.optim.RMSprop', 0.001, False),
        ('RMSprop', 0.01, True),
        ('torch.optim.SGD', 0.001, True),
        ('torch.optim.SGD', 0.01, False),
        ('torch.optim.Adadelta', 1.0, True),
    ],
)
def test_an_optimiser_may_state_its_own_default_rate(
    name: str, lr: float, is_default: bool, run: Run, tmp_path: Path
) -> None:
    # As the settings that a run saves do.
    optimizer = {'class_path': name, 'init_args': {'lr': lr}}
    model = {'model': {'init_args': {'optimizer': optimizer}}}
    (tmp_path / 'saved.yaml').write_text(yaml.safe_dump(model))
    said = run('fit', '--config=saved.yaml', '--print_config', ckpt_path='null')
    if is_default:
        arguments = yaml.safe_load(said)['model']['init_args']['optimizer']['init_args']
        assert arguments['lr'] == lr
    else:
        assert f'under model.lr, got model.optimizer.init_args.lr={lr} in' in said


def test_predictions_are_scored_in_the_pass_that_writes_them(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    root = [f'--data.dfc2020_root={baseline_tree / "dfc2020"}']
    run('test', *root, '--scores.output_dir=tested')
    root += ['--data.predict=dfc2020_test', '--previews.max_previews=0']
    run('predict', *root, '--scores.predictions=true', '--scores.output_dir=scores')
    tested, predicted = (
        json.loads((tmp_path / folder / 'dfc2020_test.json').read_text())
        for folder in ('tested', 'scores')
    )
    assert predicted == tested
    assert len(list((tmp_path / 'predictions').glob('*.tif'))) == 3
    assert not (tmp_path / 'previews').exists()


def test_predictions_without_truth_cannot_be_scored(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    error = run('predict', root, '--scores.predictions=true')
    assert "Expected a labelled set to score predictions on, got 'unlabeled'" in error


def test_a_part_of_a_set_is_scored_with_a_note(run: Run, baseline_tree: Path) -> None:
    root = f'--data.dfc2020_root={baseline_tree / "dfc2020"}'
    limit = ['--trainer.limit_test_batches=1', '--data.batch_size=1']
    assert '1 batches only.' in run('test', root, *limit)


def test_what_is_no_checkpoint_is_named(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / 'none.ckpt'
    assert f'no file at {missing}' in run('test', ckpt_path=missing)
    (tmp_path / 'text.ckpt').write_text('text')
    assert 'plain values and tensors' in run('test', ckpt_path=tmp_path / 'text.ckpt')
    torch.save({'state_dict': {}}, tmp_path / 'bare.ckpt')
    assert 'names its bands' in run('test', ckpt_path=tmp_path / 'bare.ckpt')


def test_an_output_directory_that_cannot_be_written_is_named(
    run: Run, baseline_tree: Path, tmp_path: Path
) -> None:
    (tmp_path / 'file').touch()
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    error = run('predict', root, '--class_maps.output_dir=file/maps')
    assert 'Expected a directory that can be written to, got file/maps' in error


def test_unknown_words_are_named(run: Run) -> None:
    assert "set of ('sen12ms_train'" in run('test', '--data.test=dfc2021')
    assert "got ['B99']" in run('test', '--data.bands=[B99]')


def test_an_unknown_scheme_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(['fit', '--data.scheme=corine'])
    assert "'dfc2020-contest'), got 'corine'" in capsys.readouterr().err


def test_an_unknown_verb_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(['train'])
    assert 'Expected a verb of demo, fit, validate' in capsys.readouterr().err


def test_a_missing_root_is_named_with_what_was_looked_for(run: Run) -> None:
    error = run('test', '--data.dfc2020_root=nowhere')
    assert len(error.strip().splitlines()) == 1
    assert 'nowhere' in error


def test_a_sensor_that_is_not_read_is_not_replaced_either(
    baseline_tree: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(baseline_tree / 'tiffs', tmp_path / 'tiffs')
    data = LandCoverDataModule(unlabeled_root=root, bands=['s1'], num_workers=0)
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2)
    writer = ClassMapWriter(root / 's2', overwrite=True)
    trainer = Trainer(accelerator='cpu', logger=False, callbacks=[writer])
    with pytest.raises(ValueError, match=r'got a folder of the data: .*s2'):
        trainer.predict(task, datamodule=data, return_predictions=False)
