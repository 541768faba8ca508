"""predict.py beside a naive statement of what the baseline does, on its small trees."""

import argparse
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from dfc2020_geo.baseline.arguments import ARGUMENTS
from dfc2020_geo.baseline.checkpoints import import_checkpoint
from dfc2020_geo.baseline.pickles import write_arguments
from dfc2020_geo.baseline.prediction import build_parser, complete_flag, main
from dfc2020_geo.models import build_network
from tests.support import DATA, ROOT
from tests.support.golden_weights import fill_network

pytestmark = pytest.mark.filterwarnings(
    # rasterio, of DFC2020's TIFFs, when a test opens them itself.
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)

ORDER = json.loads((DATA / 'sample_order.json').read_text())

#: Positions of each flag's bands in a Sentinel-2 file, counted from 1.
S2_BANDS = {
    'use_s2hr': [2, 3, 4, 8],
    'use_s2mr': [5, 6, 7, 9, 12, 13],
    'use_s2lr': [1, 10, 11],
}
IGBP = np.array([0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 6, 8, 9, 10])

#: Where a set lies, and what its labels and its class maps have for s2 in their names.
TREES = {
    'sen12ms_holdout': ('sen12ms', 'lc', 'lc'),
    'dfc2020_val': ('dfc2020', 'dfc', 'dfc'),
    'dfc2020_test': ('dfc2020', 'dfc', 'dfc'),
    'tiff_dir': ('tiffs', None, 'pred'),
}

Files = tuple[Path, Path]


def _num_channels(flags: list[str]) -> int:
    return 2 * ('use_s1' in flags) + sum(len(S2_BANDS.get(flag, ())) for flag in flags)


def _sibling(s2: Path, kind: str) -> Path:
    folder = s2.parent.with_name(s2.parent.name.replace('s2', kind, 1))
    return folder / s2.name.replace('_s2_', f'_{kind}_')


def _read(path: Path, bands: list[int]) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(bands)


def _image(s2: Path, flags: list[str]) -> np.ndarray:
    """The network's input of a patch."""
    channels = []
    if bands := sorted(b for f in flags for b in S2_BANDS.get(f, ())):
        channels.append(_read(s2, bands).astype(np.float32).clip(0, 10_000) / 10_000)
    if 'use_s1' in flags:
        sigma0 = _read(_sibling(s2, 's1'), [1, 2]).astype(np.float32)
        sigma0[np.isnan(sigma0)] = 0
        channels.append(sigma0.clip(-25, 0) / 25 + 1)
    return np.concatenate(channels)


def _truth(path: Path, no_savanna: bool) -> np.ndarray:
    """The classes of a patch, counted from 0; 255 is ignored."""
    codes = _read(path, [1])[0].astype(int)
    codes = IGBP[codes] if '_lc_' in path.name else codes
    if no_savanna:
        codes = np.where(codes == 3, 0, np.where(codes > 3, codes - 1, codes))
    return np.where(codes == 0, 255, codes - 1)


def _scores(truth: np.ndarray, found: np.ndarray, num: int) -> tuple[float, float]:
    """AA and the baseline's mIoU, class by class."""
    found = found[truth != 255]
    truth = truth[truth != 255]
    recalls, ious = [], []
    for index in range(num):
        hits = ((truth == index) & (found == index)).sum()
        union = ((truth == index) | (found == index)).sum()
        if (truth == index).any():
            recalls.append(hits / (truth == index).sum())
        ious.append(hits / union if union else 0.0)
    return float(np.mean(recalls)), float(np.mean(ious))


@pytest.fixture(scope='session')
def make_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Files]:
    """Write args.pkl and a checkpoint of the baseline, weights by the golden rule."""

    def make(flags: list[str], model: str = 'unet', out_stride: int = 16) -> Files:
        folder = tmp_path_factory.mktemp('baseline_files')
        channels = _num_channels(flags)
        classes = 9 if 'no_savanna' in flags else 10
        name = {'unet': 'baseline-unet', 'deeplab': 'baseline-deeplabv3+'}[model]
        settings = {'output_stride': out_stride} if model == 'deeplab' else {}
        network = fill_network(build_network(name, channels, classes, settings))
        content = {'model_state_dict': network.state_dict(), 'step': 5}
        torch.save(content, folder / 'checkpoint_step_5.pth')
        chosen = {
            'model': model,
            'out_stride': out_stride,
            **dict.fromkeys(flags, True),
        }
        write_arguments(folder / 'args.pkl', ARGUMENTS | chosen)
        return folder / 'args.pkl', folder / 'checkpoint_step_5.pth'

    return make


@pytest.fixture(scope='session')
def files(make_files: Callable[..., Files]) -> Files:
    return make_files(['use_s1', 'no_savanna'])


@pytest.fixture(scope='session')
def imported(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The same network as a checkpoint of this package."""
    path = tmp_path_factory.mktemp('imported') / 'own.ckpt'
    import_checkpoint(*files, path)
    return files[0], path


@pytest.fixture
def predict(
    tmp_path: Path, baseline_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Run predict.py in a new folder."""
    monkeypatch.chdir(tmp_path)

    def run(dataset: str, files: Files, *args: str) -> Any:
        data = baseline_tree / TREES[dataset][0]
        return main([
            '--config', str(files[0]), '--checkpoint_file', str(files[1]),
            '--dataset', dataset, '--data_dir', str(data), '--workers', '0', *args,
        ])  # fmt: skip

    return run


def test_the_trees_have_nan(baseline_tree: Path) -> None:
    paths = [p for p in baseline_tree.rglob('*_s1_*.tif') if '_p202' not in p.name]
    assert any(np.isnan(_read(path, [1, 2])).any() for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('dataset', 'model', 'out_stride', 'flags'),
    [
        ('sen12ms_holdout', 'unet', 16, 'use_s1 use_s2hr no_savanna'),
        ('dfc2020_val', 'unet', 8, 'use_s2mr use_s2lr'),
        ('dfc2020_test', 'deeplab', 8, 'use_s1 use_s2hr use_s2mr use_s2lr no_savanna'),
        ('dfc2020_val', 'deeplab', 16, 'use_s1 use_s2mr'),
        ('tiff_dir', 'unet', 16, 'use_s1'),
    ],
)
def test_maps_and_scores_are_the_baselines(
    dataset: str,
    model: str,
    out_stride: int,
    flags: str,
    make_files: Callable[..., Files],
    predict: Callable[..., Any],
    baseline_tree: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree, label, in_name = TREES[dataset]
    chosen, score = flags.split(), ['--score'] if label else []
    files = make_files(chosen, model, out_stride)
    predict(dataset, files, '--batch_size', '2', *score)
    printed = capsys.readouterr().out
    no_savanna = 'no_savanna' in chosen
    decode = np.array([1, 2, 4, 5, 6, 7, 8, 9, 10] if no_savanna else range(1, 11))
    state = torch.load(files[1], weights_only=True)['model_state_dict']
    channels, num = _num_channels(chosen), len(decode)
    name = {'unet': 'baseline-unet', 'deeplab': 'baseline-deeplabv3+'}[model]
    settings = {'output_stride': out_stride} if model == 'deeplab' else {}
    network = build_network(name, channels, num, settings)
    network.load_state_dict(state)
    truths, founds, paths = [], [], sorted((tmp_path / 'results').glob('*.tif'))
    for s2_name in ORDER[dataset]:
        (s2,) = (
            p for p in (baseline_tree / tree).rglob(s2_name) if 's2' in p.parent.name
        )
        path = tmp_path / 'results' / s2_name.replace('_s2_', f'_{in_name}_')
        paths.remove(path)
        with rasterio.open(path) as raster:
            assert raster.count == 1
            codes = raster.read(1)
        assert codes.dtype == np.uint8
        with torch.no_grad():
            image = torch.from_numpy(_image(s2, chosen))[None].float()
            expected = network.eval()(image)[0].argmax(0).numpy()
        assert (codes == decode[expected]).mean() > 0.9995
        assert codes.min() > 0, 'every pixel has a class'
        if label:
            truths.append(_truth(_sibling(s2, label), no_savanna))
            founds.append(np.searchsorted(decode, codes))
    assert paths == []
    if label:
        aa, miou = _scores(np.stack(truths), np.stack(founds), num)
        (title, shown), (miou_title, miou_shown) = (
            line.split('\t ') for line in printed.splitlines()[-2:]
        )
        assert (title, miou_title) == ('AA', 'mIoU')
        assert float(shown) == pytest.approx(aa, abs=1e-9)
        assert float(miou_shown) == pytest.approx(miou, abs=1e-9)
        assert len(np.unique(founds)) > 2, 'or the scores would say little'
        assert f'AA {100 * aa:.2f}' in printed, 'our table'
    else:
        assert 'AA' not in printed


@pytest.mark.slow
def test_one_network_in_both_formats_predicts_the_same(
    files: Files, imported: Files, predict: Callable[..., Any], baseline_tree: Path
) -> None:
    predict('tiff_dir', files)
    predict('tiff_dir', imported, '--out_dir', 'own')
    args = [
        '--checkpoint_file',
        str(imported[1]),
        '--out_dir',
        'alone',
        '--workers',
        '0',
    ]
    main(
        [*args, '--dataset_val', 'TIFFdir', '--data_dir', str(baseline_tree / 'tiffs')]
    )
    maps = {path.name: path.read_bytes() for path in Path('results').glob('*.tif')}
    for folder in ('own', 'alone'):
        assert {p.name: p.read_bytes() for p in Path(folder).glob('*.tif')} == maps
    assert len(maps) == 3


def test_an_args_pkl_of_another_network_is_refused(
    imported: Files, predict: Callable[..., Any], tmp_path: Path
) -> None:
    other = {'model': 'unet', 'use_s1': True, 'no_savanna': False}
    write_arguments(tmp_path / 'other.pkl', ARGUMENTS | other)
    with pytest.raises(
        ValueError, match=r'Expected scheme=dfc2020-no-savanna .*own\.ckpt'
    ):
        predict('tiff_dir', (tmp_path / 'other.pkl', imported[1]))


@pytest.mark.slow
def test_previews_are_drawn_on_request_and_of_every_patch(
    imported: Files, predict: Callable[..., Any]
) -> None:
    predict('dfc2020_val', imported)
    assert sorted(path.name for path in Path().iterdir()) == ['results']
    predict('dfc2020_val', imported, '--preview_dir', 'looks')
    stems = {path.stem for path in Path('results').glob('*.tif')}
    assert {path.stem for path in Path('looks').glob('*.png')} == stems
    assert stems == {f'ROIs0000_validation_dfc_0_p{i}' for i in (0, 1, 10)}


@pytest.mark.slow
def test_a_second_run_goes_on_and_loses_nothing(
    imported: Files, predict: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    predict('dfc2020_val', imported, '--score')
    first = {path.name for path in Path('results').rglob('*') if path.is_file()}
    predict('dfc2020_test', imported)
    assert 'Moved the outputs of an earlier run to results/earlier-1' in (
        capsys.readouterr().out
    )
    moved = {p.name for p in Path('results/earlier-1').rglob('*') if p.is_file()}
    assert moved == first
    names = {path.name for path in Path('results').glob('*.tif')}
    assert names == {f'ROIs0000_test_dfc_0_p{i}.tif' for i in (0, 1, 10)}
    predict('dfc2020_test', imported, '--overwrite', '--score')
    assert not Path('results/earlier-2').exists()


@pytest.mark.slow
def test_files_of_another_program_stay_unless_overwritten(
    imported: Files, predict: Callable[..., Any]
) -> None:
    Path('results').mkdir()
    theirs = Path('results/image_pred_001.tif')
    theirs.write_text('a map of the baseline itself')
    with pytest.raises(FileExistsError, match=r'another --out_dir or add --overwrite'):
        predict('tiff_dir', imported)
    assert theirs.read_text() == 'a map of the baseline itself'
    predict('tiff_dir', imported, '--overwrite')
    assert len(list(Path('results').glob('*.tif'))) == 3


@pytest.mark.slow
def test_an_interrupted_run_is_scored_as_a_whole(
    imported: Files, predict: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    predict('dfc2020_val', imported, '--score')
    whole = capsys.readouterr().out.splitlines()[-2:]
    record = Path('results/run.json')
    record.write_text(json.dumps(json.loads(record.read_text()) | {'finished': False}))
    Path('results/ROIs0000_validation_dfc_0_p1.tif').unlink()
    kept = Path('results/ROIs0000_validation_dfc_0_p0.tif')
    time = kept.stat().st_mtime_ns
    shutil.rmtree('results/scores')
    predict('dfc2020_val', imported, '--score')
    assert capsys.readouterr().out.splitlines()[-2:] == whole
    assert kept.stat().st_mtime_ns == time
    assert Path('results/ROIs0000_validation_dfc_0_p1.tif').exists()


@pytest.mark.parametrize(
    ('args', 'expected'),
    [
        ('--dataset tiff_dir --score', 'labelled dataset for --score, got tiff_dir'),
        ('--dataset TIFFdir --score', 'labelled dataset for --score, got TIFFdir'),
        (
            '--config a.pkl --config_file b.pkl',
            '--config a.pkl and --config_file b.pkl',
        ),
        (
            '--dataset dfc2020_val --dataset_val dfc2020_test',
            '--dataset dfc2020_val and --dataset_val dfc2020_test',
        ),
        ('--data_dir nowhere', 'Expected --data_dir to be a directory, got nowhere'),
        ('--batch_size 0', 'Expected --batch_size from 1 .* got 0 and 4'),
    ],
)
def test_contradictions_are_named_before_any_work(
    args: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Not even the checkpoint is looked for.
    with pytest.raises(ValueError, match=expected):
        main(['--data_dir', '.', *args.split()])
    assert list(tmp_path.iterdir()) == []


def test_both_spellings_may_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = (
        '--config ./a.pkl --config_file a.pkl --dataset tiff_dir --dataset_val TIFFdir'
    )
    with pytest.raises(FileNotFoundError, match=r'a checkpoint, got no file at'):
        main(['--data_dir', '.', *args.split()])


@pytest.mark.parametrize(
    ('flag', 'whole'),
    [
        ('--con', '--config_file'),
        ('--ch', '--checkpoint_file'),
        ('--datas', '--dataset'),
        ('--data_', '--data_dir'),
        ('--o', '--out_dir'),
        ('--p', '--preview_dir'),
        ('--b', '--batch_size'),
    ],
)
def test_flags_may_be_as_short_as_in_the_baseline(flag: str, whole: str) -> None:
    # By argparse itself, from a parser of the baseline's flags alone.
    theirs = argparse.ArgumentParser()
    for name in ('config_file', 'checkpoint_file', 'batch_size', 'workers', 'dataset',
                 'data_dir', 'out_dir', 'preview_dir'):  # fmt: skip
        theirs.add_argument(f'--{name}')
    assert vars(theirs.parse_args([flag, '3']))[whole.removeprefix('--')] == '3'
    assert complete_flag(flag) == whole
    assert complete_flag(f'{flag}=a=b') == f'{whole}=a=b'


@pytest.mark.parametrize(
    'argument',
    ['--config', '--config=x', '--c', '--dat', '--over', '--', '-h', 'out', ''],
)
def test_other_arguments_stay_as_they_are(argument: str) -> None:
    assert complete_flag(argument) == argument


def test_a_root_without_patches_is_named_by_its_flag(
    imported: Files, predict: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r'got an empty folder.*\(This is dfc2020_val: --data_dir is its root, --dataset',
    ):
        predict('dfc2020_val', imported, '--data_dir', str(tmp_path))


def test_the_directory_of_the_data_is_asked_for() -> None:
    with pytest.raises(
        ValueError, match=r'--data_dir, the directory of sen12ms_holdout'
    ):
        main([])


def test_the_flags_and_defaults_are_the_baselines() -> None:
    given = vars(build_parser().parse_args([]))
    assert given == {
        'config': None, 'config_file': None, 'checkpoint_file': './checkpoint.pth',
        'score': False, 'batch_size': 32, 'workers': 4, 'dataset': None,
        'dataset_val': None, 'data_dir': None, 'out_dir': './results',
        'preview_dir': None, 'overwrite': False,
    }  # fmt: skip
    assert './args.pkl' in build_parser().format_help()


def test_the_script_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / 'scripts' / 'predict.py'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(script), '--data_dir', '.'])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name='__main__')
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip() == (
        'predict.py: error: Expected a checkpoint, got no file at checkpoint.pth.'
    )
