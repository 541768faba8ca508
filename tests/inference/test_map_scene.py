"""Maps of scenes: what is in them, whoever made them and however often it was killed."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
import torch
from lightning.pytorch import Callback, Trainer
from rasterio import Affine
from rasterio.shutil import copy  # ty: ignore[import-not-found] (compiled)

from dfc2020_geo.classes import SCHEMES
from dfc2020_geo.inference import map_scene, predict_image
from dfc2020_geo.inference.maps import MapRows
from dfc2020_geo.main import main
from dfc2020_geo.samplers.tiling import Axis
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support import ROOT
from tests.support.processes import run_two

BANDS = ['B04', 'B08', 's1']
SCHEME = SCHEMES['dfc2020-contest']
SIZE = {'size': 32, 'overlap': 12, 'batch_size': 3}
PACKAGE = f'{ROOT / "dfc2020_geo"}/'

#: Files and rooms to open from the command to the finished map.
MOST_FILES, MOST_ROOMS = 54, 12
CPU = {'accelerator': 'cpu', 'enable_progress_bar': False}


def _write(path: Path, image: np.ndarray, crs: str, transform: Affine) -> Path:
    count, height, width = image.shape
    with rasterio.open(path, 'w', driver='GTiff', count=count, height=height, width=width,
                       dtype=image.dtype, crs=crs, transform=transform) as raster:  # fmt: skip
        raster.write(image)
    return path


def _write_scene(
    folder: Path, height: int, width: int, crs: str = 'EPSG:32633', seed: int = 0
) -> tuple[Path, Path]:
    """A scene with structure at every scale, so that shifts and seams are seen."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin(rows / 5) + np.cos(columns / 7) + (rows * columns) % 11 / 11
    s2 = 3000 + 1000 * waves + generator.normal(0, 700, (13, height, width))
    s1 = -12 + 2 * waves + generator.normal(0, 1, (2, height, width))
    s1[1] -= 7
    transform = Affine(10, 0, 500_003.7, 0, -10, 5_200_001.3)
    return (
        _write(folder / 's2.tif', s2.clip(1).astype(np.uint16), crs, transform),
        _write(folder / 's1.tif', s1.astype(np.float32), crs, transform),
    )


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that looks at its neighbourhood, so that tiles differ at their edges."""
    torch.manual_seed(5)
    task = LandCoverSegmentation(
        BANDS, SCHEME.name, model='fcn', num_filters=4, backbone='none'
    )
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return _save(task, tmp_path_factory.mktemp('network') / 'model.ckpt')


def _save(task: LandCoverSegmentation, path: Path) -> Path:
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path, weights_only=True)
    return path


def _map(checkpoint: Any, s2: Any, s1: Any, output: Path, **options: Any) -> bytes:
    data = SIZE | options.pop('data', {})
    trainer = CPU | options.pop('trainer', {})
    map_scene(checkpoint, s2, s1, output, data=data, trainer=trainer, **options)
    return output.read_bytes()


@torch.no_grad()
def _map_naively(checkpoint: Path, s2: Path, s1: Path, blending: Any) -> np.ndarray:
    """Everything in memory, tile by tile, averaged in float64."""
    task = LandCoverSegmentation.load_from_checkpoint(checkpoint, weights_only=True)
    with rasterio.open(s2) as optical, rasterio.open(s1) as radar:
        image = np.concatenate([optical.read([4, 8]) / 10_000, radar.read() / 25 + 1])
    image = torch.from_numpy(image.clip(0, 1).astype(np.float32))
    size, overlap = SIZE['size'], SIZE['overlap']
    rows, columns = (Axis(n, size, overlap, blending) for n in image.shape[1:])
    total = np.zeros((len(SCHEME), *image.shape[1:]))
    for i, high in enumerate(rows.spans):
        for j, wide in enumerate(columns.spans):
            tile = image[:, high.start : high.stop, wide.start : wide.stop].numpy()
            padding = [(0, 0), (0, size - len(high)), (0, size - len(wide))]
            padded = torch.from_numpy(np.pad(tile, padding, 'reflect'))
            logits = task.eval()(padded[None])[0].double().numpy()
            down, across = rows.supports[i], columns.supports[j]
            weights = np.outer(rows.weights(i), columns.weights(j))
            inside = logits[:, down.within(high), across.within(wide)]
            total[:, down.start : down.stop, across.start : across.stop] += (
                inside * weights
            )
    return SCHEME.decode(total.argmax(axis=0))


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


@pytest.mark.parametrize('blending', ['none', 'linear', 'cosine'])
@pytest.mark.parametrize('size', [(75, 101), (20, 90), (32, 32), (7, 5)])
def test_a_map_is_what_everything_in_memory_gives(
    checkpoint: Path, tmp_path: Path, size: tuple[int, int], blending: str
) -> None:
    s2, s1 = _write_scene(tmp_path, *size)
    _map(checkpoint, s2, s1, tmp_path / 'map.tif', data={'blending': blending})
    expected = _map_naively(checkpoint, s2, s1, blending)
    found = _read(tmp_path / 'map.tif')
    assert found.shape == size
    assert (found == expected).mean() > 0.999
    assert len(np.unique(expected)) > 1 + (min(size) > 7)


@pytest.mark.parametrize('precision', ['32-true', 'bf16-true'])
def test_labels_do_not_depend_on_batches_nor_files_on_workers(
    checkpoint: Path, tmp_path: Path, precision: str
) -> None:
    s2, s1 = _write_scene(tmp_path, 75, 101)
    layers = {'layers': ['confidence', 'probabilities']}
    options = {'maps': layers, 'trainer': {'precision': precision}}
    one = _map(checkpoint, s2, s1, tmp_path / 'one.tif', **options)
    two = _map(
        checkpoint, s2, s1, tmp_path / 'two.tif', data={'num_workers': 2}, **options
    )
    assert one == two
    fractions = [
        (tmp_path / f'{n}.probabilities.tif').read_bytes() for n in ('one', 'two')
    ]
    assert fractions[0] == fractions[1]
    if precision != '32-true':
        return
    _map(checkpoint, s2, s1, tmp_path / 'three.tif', data={'batch_size': 1})
    assert (_read(tmp_path / 'one.tif') == _read(tmp_path / 'three.tif')).mean() > 0.999


@pytest.mark.parametrize('precision', ['bf16-true', 'bf16-mixed', '64-true'])
def test_an_ensemble_is_rounded_as_its_first_network(
    checkpoint: Path, tmp_path: Path, precision: str
) -> None:
    s2, s1 = _write_scene(tmp_path, 40, 50)
    trainer = {'precision': precision}
    _map(checkpoint, s2, s1, tmp_path / 'one.tif', tta=True, trainer=trainer)
    twins = [checkpoint, checkpoint]
    _map(twins, s2, s1, tmp_path / 'two.tif', tta=True, trainer=trainer)
    assert (_read(tmp_path / 'one.tif') == _read(tmp_path / 'two.tif')).mean() > 0.999


def _sum_up(checkpoint: Path) -> str:
    """The checksum of weights that is promised: names and values in their order."""
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    content = [n.encode() + weights[n].numpy().tobytes() for n in sorted(weights)]
    return hashlib.sha256(b''.join(content)).hexdigest()


@pytest.mark.parametrize('precision', ['32-true', 'bf16-true', '16-true', '64-true'])
def test_a_map_names_the_weights_of_its_checkpoints(
    checkpoint: Path, tmp_path: Path, precision: str
) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    command = _command(checkpoint, s2, s1, tmp_path / 'map.tif')
    main([*command, f'--ckpt={checkpoint}', f'--trainer.precision={precision}'])
    trainer = {'precision': precision}
    _map(checkpoint, s2, s1, tmp_path / 'python.tif', trainer=trainer)
    expected = _sum_up(checkpoint)
    for name, count in (('map', 2), ('python', 1)):
        item = json.loads((tmp_path / f'{name}.json').read_text(encoding='utf-8'))
        stated = ' '.join([expected] * count)
        assert item['properties']['dfc2020_geo:weights_sha256'] == stated
        with rasterio.open(tmp_path / f'{name}.tif') as raster:
            assert raster.tags()['weights_sha256'] == stated


class _Kill(Callback):
    """Stop a run in the middle, as a full disk or a person would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_predict_batch_end(self, *args: Any) -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize('after', [1, 5, 9])
def test_an_interrupted_run_resumes_to_the_same_file(
    checkpoint: Path, tmp_path: Path, after: int
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    whole = _map(checkpoint, s2, s1, tmp_path / 'whole.tif')
    output = tmp_path / 'map.tif'
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        _map(checkpoint, s2, s1, output, trainer={'callbacks': [_Kill(after)]})
    assert signal.getsignal(signal.SIGINT) is handler
    assert not output.exists()
    assert Path(f'{output}.part').is_dir()
    assert _map(checkpoint, s2, s1, output) == whole
    assert not Path(f'{output}.part').exists()


def test_rows_of_another_precision_are_not_resumed(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    half = {'precision': 'bf16-mixed', 'callbacks': [_Kill(9)]}
    with pytest.raises(SystemExit):
        _map(checkpoint, s2, s1, tmp_path / 'map.tif', trainer=half)
    with pytest.raises(FileExistsError, match='precision'):
        _map(checkpoint, s2, s1, tmp_path / 'map.tif')


def _make_virtual(path: Path) -> Path:
    target = path.with_suffix('.vrt')
    with rasterio.MemoryFile(ext='.vrt') as memory:
        copy(path, memory.name, driver='VRT')
        target.write_bytes(memory.read())
    return target


def _change(path: Path) -> None:
    with rasterio.open(path, 'r+') as raster:
        raster.write(raster.read(4) ^ 1, 4)
    os.utime(path, ns=(0, 0))


def test_rows_of_an_archive_that_has_changed_are_not_resumed(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    archive, output = tmp_path / 'a.zip', tmp_path / 'map.tif'
    with ZipFile(archive, 'w') as file:
        file.write(s2, 'scene.tif')
    scene = f'/vsizip/{archive}/scene.tif'
    with pytest.raises(SystemExit):
        _map(checkpoint, scene, s1, output, trainer={'callbacks': [_Kill(9)]})
    os.utime(archive, ns=(0, 0))
    with pytest.raises(FileExistsError, match='sources'):
        _map(checkpoint, scene, s1, output)


def test_rows_of_a_vrt_whose_file_has_changed_are_not_resumed(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    virtual, output = _make_virtual(s2), tmp_path / 'map.tif'
    with pytest.raises(SystemExit):
        _map(checkpoint, virtual, s1, output, trainer={'callbacks': [_Kill(9)]})
    _change(s2)
    with pytest.raises(FileExistsError, match='sources'):
        _map(checkpoint, virtual, s1, output)


class _Change(Callback):
    """Write to a file while it is mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_predict_batch_end(self, *args: Any) -> None:
        _change(self.path)


@pytest.mark.parametrize('virtual', [False, True])
def test_a_scene_that_changes_meanwhile_makes_no_map(
    checkpoint: Path, tmp_path: Path, virtual: bool
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    scene, output = _make_virtual(s2) if virtual else s2, tmp_path / 'map.tif'
    trainer = {'callbacks': [_Change(s2)]}
    with pytest.raises(RuntimeError, match=r's2\.tif to stay as it is'):
        _map(checkpoint, scene, s1, output, trainer=trainer)
    assert not output.exists()
    _map(checkpoint, scene, s1, output, maps={'overwrite': True})
    assert (_read(output) == _map_naively(checkpoint, s2, s1, 'cosine')).mean() > 0.999


class _Touch(Callback):
    """Give files another time while they are mapped."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def on_predict_batch_end(self, *args: Any) -> None:
        for path in self.paths:
            os.utime(path, ns=(0, 0))


def test_a_scene_that_was_touched_keeps_its_rows_with_its_time(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    s2 = s2.rename(tmp_path / "it's.tif")
    whole, output = _map(checkpoint, s2, s1, tmp_path / 'a.tif'), tmp_path / 'map.tif'
    with pytest.raises(RuntimeError, match=r"it's\.tif to stay .* the rows") as stopped:
        _map(checkpoint, s2, s1, output, trainer={'callbacks': [_Touch(s2, s1)]})
    map_rows = Path(f'{output}.part')
    done = {path: path.stat().st_mtime_ns for path in map_rows.glob('rows_*')}
    with pytest.raises(FileExistsError, match=r"other sources .*it's\.tif time \(.*s1"):
        _map(checkpoint, s2, s1, output)
    command = re.search(r'\((touch .*)\) and run', str(stopped.value))
    assert command is not None
    subprocess.run(command[1], shell=True, check=True)
    kept: dict[Path, int] = {}

    class Look(Callback):
        def on_predict_end(self, *args: Any) -> None:
            kept.update({p: p.stat().st_mtime_ns for p in map_rows.glob('rows_*')})

    assert _map(checkpoint, s2, s1, output, trainer={'callbacks': [Look()]}) == whole
    last = max(done)  # a run has a batch, so it does the last rows once more
    assert {**kept, last: done[last]} == done
    assert len(done) > 2


def test_several_scenes_of_which_one_fails_at_the_end_are_resumed(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    other, maps = Path(shutil.copy(s2, tmp_path / 'z.tif')), tmp_path / 'maps'
    maps.mkdir()
    stat = other.stat()
    arguments: Any = (checkpoint, [s2, other], [s1], maps)
    with pytest.raises(RuntimeError, match=r'z\.tif to stay'):
        map_scene(*arguments, data=SIZE, trainer=CPU | {'callbacks': [_Touch(other)]})
    before = (maps / 's2.tif').read_bytes()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    written = map_scene(*arguments, data=SIZE, trainer=CPU)
    assert {maps / 's2.tif', maps / 'z.tif'} < {*written}
    assert (maps / 's2.tif').read_bytes() == before
    assert not [*maps.glob('*.part')]


def test_files_beside_a_scene_may_come_meanwhile(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    output = tmp_path / 'map.tif'
    with pytest.raises(SystemExit):
        _map(checkpoint, s2, s1, output, trainer={'callbacks': [_Kill(9)]})
    twin = shutil.copy(s2, tmp_path / 'twin.tif')
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(twin, 'r+') as raster:
        raster.build_overviews([2])
    Path(f'{twin}.ovr').rename(f'{s2}.ovr')
    _map(checkpoint, s2, s1, output)


def _command(checkpoint: Path, s2: Path, s1: Path, output: Path) -> list[str]:
    flags = [f'--data.{name}={value}' for name, value in SIZE.items()]
    return ['map', '--ckpt', str(checkpoint), '--s2', str(s2), '--s1', str(s1),
            '--out', str(output), '--trainer.accelerator=cpu', *flags]  # fmt: skip


def test_python_and_both_commands_make_the_same_file(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    s2, s1 = _write_scene(tmp_path, 75, 101)
    python = _map(checkpoint, s2, s1, tmp_path / 'python.tif')
    main(_command(checkpoint, s2, s1, tmp_path / 'map.tif'))
    assert (tmp_path / 'map.tif').read_bytes() == python
    main([
        'predict', '--config', 'scene', '--ckpt_path', str(checkpoint),
        f'--data.s2={s2}', f'--data.s1={s1}', '--trainer.accelerator=cpu',
        *(f'--data.{name}={value}' for name, value in SIZE.items()),
        '--scene_maps.output=yaml.tif',
    ])  # fmt: skip
    assert (tmp_path / 'yaml.tif').read_bytes() == python


def test_an_image_is_predicted_as_it_is_mapped(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 32, 32)
    with rasterio.open(s2, 'r+') as raster:
        raster.write(np.zeros((13, 3, 32), np.uint16), window=((0, 3), (0, 32)))
    _map(checkpoint, s2, s1, tmp_path / 'map.tif')
    found = predict_image(checkpoint, s2, s1)
    codes = found['scheme'].decode(found['prediction'].numpy())
    assert np.array_equal(codes, _read(tmp_path / 'map.tif'))
    assert (codes[:3] == SCHEME.legend.nodata).all()
    assert found['probabilities'].shape == (len(SCHEME), 32, 32)
    with rasterio.open(tmp_path / 'map.tif') as raster:
        assert (found['crs'], found['transform']) == (raster.crs, raster.transform)


def test_an_image_too_large_for_one_piece_is_told_about_maps(
    checkpoint: Path, tmp_path: Path
) -> None:
    _, s1 = _write_scene(tmp_path, 8, 8)
    options = {'width': 2049, 'height': 2048, 'count': 13, 'dtype': 'uint16'}
    options |= {'crs': 'EPSG:32633', 'transform': Affine(10, 0, 5e5, 0, -10, 5.2e6)}
    with rasterio.open(tmp_path / 'large.tif', 'w', sparse_ok=True, **options):
        pass
    with pytest.raises(ValueError, match=r'got 2048 x 2049 in .*map it with'):
        predict_image(checkpoint, tmp_path / 'large.tif', s1)


def _files_run(code: CodeType, frame: FrameType | None) -> set[str]:
    """The file of a function of the package, unless a module calls it on import."""
    if code.co_name == '<module>' or not code.co_filename.startswith(PACKAGE):
        return set()
    while frame is not None:
        running = frame.f_code
        if running.co_name == '<module>' and running.co_filename.startswith(PACKAGE):
            return set()
        frame = frame.f_back
    return {code.co_filename.removeprefix(PACKAGE)}


def test_a_map_is_made_in_few_files(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    files: set[str] = set()

    def note(code: CodeType, offset: int) -> object:
        files.update(_files_run(code, sys._getframe(1)))
        return monitoring.DISABLE

    monitoring, start = sys.monitoring, sys.monitoring.events.PY_START
    monitoring.use_tool_id(4, 'files')
    monitoring.register_callback(4, start, note)
    monitoring.set_events(4, start)
    try:
        main(_command(checkpoint, s2, s1, tmp_path / 'map.tif'))
    finally:
        monitoring.set_events(4, 0)
        monitoring.free_tool_id(4)
    rooms = {file.split('/')[0] for file in files}
    assert 20 < len(files) <= MOST_FILES, sorted(files)
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


@pytest.mark.slow
def test_two_processes_make_the_file_of_one(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    alone = _map(checkpoint, s2, s1, tmp_path / 'alone.tif')
    run_two(main, tmp_path, *_command(checkpoint, s2, s1, tmp_path / 'map.tif'))
    assert (tmp_path / 'map.tif').read_bytes() == alone


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_that_looks_finished(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 400, 300)
    whole = _map(checkpoint, s2, s1, tmp_path / 'whole.tif')
    output = tmp_path / 'map.tif'
    command = _command(checkpoint, s2, s1, output)
    process = subprocess.Popen(
        [sys.executable, '-m', 'dfc2020_geo', *command], cwd=tmp_path,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )  # fmt: skip
    map_rows = Path(f'{output}.part')
    _wait(lambda: len([*map_rows.glob('rows_*')]) >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    done = {p.name: p.stat().st_mtime_ns for p in map_rows.glob('rows_*')}
    assert done
    main(command)
    assert output.read_bytes() == whole


def _wait(is_over: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_over() and time.monotonic() < end:
        time.sleep(0.01)


def test_rows_that_cannot_be_written_end_the_run(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s2, s1 = _write_scene(tmp_path, 95, 101)
    whole = _map(checkpoint, s2, s1, tmp_path / 'whole.tif')
    write = MapRows.write

    def fail(map_rows: MapRows, start: int, stop: int, layers: Any) -> None:
        if start > 0:
            raise OSError(errno.ENOSPC, 'no room')
        write(map_rows, start, stop, layers)

    before = threading.active_count()
    with monkeypatch.context() as context:
        context.setattr(MapRows, 'write', fail)
        with pytest.raises(OSError, match='no room'):
            _map(checkpoint, s2, s1, tmp_path / 'map.tif')
    assert threading.active_count() == before
    assert not (tmp_path / 'map.tif').exists()
    assert len([*(tmp_path / 'map.tif.part').glob('rows_*')]) == 1
    assert _map(checkpoint, s2, s1, tmp_path / 'map.tif') == whole


def test_pixels_without_data_have_no_class(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 60, 70)
    with rasterio.open(s1, 'r+') as radar:
        image = radar.read()
        image[0, 10:14, 20:30] = np.nan
        image[:, 50:, 65:] = 0
        radar.write(image)
    with rasterio.open(s2, 'r+') as optical:
        image = optical.read()
        image[:, :, :3] = 0
        optical.write(image)
    layers = {'layers': ['confidence', 'entropy']}
    _map(checkpoint, s2, s1, tmp_path / 'map.tif', maps=layers)
    found = _read(tmp_path / 'map.tif')
    empty = np.zeros(found.shape, bool)
    empty[10:14, 20:30] = empty[50:, 65:] = empty[:, :3] = True
    assert ((found == 0) == empty).all()
    for layer in ('confidence', 'entropy'):
        with rasterio.open(tmp_path / f'map.{layer}.tif') as raster:
            fractions = raster.read(1, masked=True)
        assert (np.ma.getmaskarray(fractions) == empty).all()


def test_fractions_add_up_and_agree_with_the_map(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 40, 50)
    names = ['probabilities', 'confidence', 'entropy', 'disagreement']
    _map(checkpoint, s2, s1, tmp_path / 'map.tif', tta=True, maps={'layers': names})
    fractions = {}
    for name in names:
        with rasterio.open(tmp_path / f'map.{name}.tif') as raster:
            scales = np.array(raster.scales)[:, None, None]
            fractions[name] = raster.read() * scales
    probabilities = fractions['probabilities']
    assert np.abs(probabilities.sum(axis=0) - 1).max() < 0.03
    assert np.abs(probabilities.max(axis=0) - fractions['confidence'][0]).max() < 0.005
    best = SCHEME.decode(probabilities.argmax(axis=0))
    assert (best == _read(tmp_path / 'map.tif')).mean() > 0.97
    clipped = probabilities.clip(1e-9)
    entropy = -(clipped * np.log(clipped)).sum(axis=0) / np.log(len(SCHEME))
    assert np.abs(entropy - fractions['entropy'][0]).max() < 0.05
    assert 0 < fractions['disagreement'].mean() < 1


def test_an_ensemble_of_a_network_with_itself_is_that_network(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 40, 50)
    _map(checkpoint, s2, s1, tmp_path / 'one.tif')
    both = [checkpoint, checkpoint]
    layers = {'layers': ['disagreement']}
    _map(both, s2, s1, tmp_path / 'two.tif', maps=layers)
    assert (_read(tmp_path / 'one.tif') == _read(tmp_path / 'two.tif')).all()
    assert (_read(tmp_path / 'two.disagreement.tif') == 0).all()


def test_scenes_of_a_directory_keep_their_crs(checkpoint: Path, tmp_path: Path) -> None:
    for name, crs in (('a', 'EPSG:32633'), ('b', 'EPSG:32734')):
        made = _write_scene(tmp_path, 33 + ord(name) % 7, 40, crs, seed=ord(name))
        for sensor, path in zip(('s2', 's1'), made, strict=True):
            folder = tmp_path / sensor
            folder.mkdir(exist_ok=True)
            path.rename(folder / f'scene_{name}.tif')
    maps = tmp_path / 'maps'
    map_scene(
        checkpoint, tmp_path / 's2', tmp_path / 's1', maps, data=SIZE, trainer=CPU
    )
    for name, crs in (('a', 'EPSG:32633'), ('b', 'EPSG:32734')):
        source = tmp_path / 's2' / f'scene_{name}.tif'
        with (
            rasterio.open(maps / f'scene_{name}.tif') as made,
            rasterio.open(source) as s2,
        ):
            assert made.crs == crs
            assert (made.transform, made.shape) == (s2.transform, s2.shape)


def test_a_map_that_is_there_stays(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    before = _map(checkpoint, s2, s1, tmp_path / 'map.tif')
    with pytest.raises(FileExistsError, match=r'Expected no map yet, got .*map\.tif'):
        _map(checkpoint, s2, s1, tmp_path / 'map.tif', data={'blending': 'none'})
    assert (tmp_path / 'map.tif').read_bytes() == before
    _map(checkpoint, s2, s1, tmp_path / 'map.tif', maps={'overwrite': True})
    assert (tmp_path / 'map.tif').read_bytes() == before


def test_disagreement_needs_somebody_to_disagree(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    layers = {'layers': ['disagreement']}
    with pytest.raises(ValueError, match=r'Expected several networks or views'):
        _map(checkpoint, s2, s1, tmp_path / 'map.tif', maps=layers)


def test_a_scene_is_never_replaced_by_its_map(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    before = s2.read_bytes()
    with pytest.raises(ValueError, match=r'another name for the map .* got .*s2\.tif'):
        _map(checkpoint, s2, s1, s2, maps={'overwrite': True})
    layer = s2.rename(tmp_path / 'map.confidence.tif')
    with pytest.raises(ValueError, match=r'got .*map\.confidence\.tif, which would be'):
        _map(checkpoint, layer, s1, tmp_path / 'map.tif', maps={'overwrite': True})
    copy(str(layer), str(tmp_path / 's2.vrt'), driver='VRT')
    with pytest.raises(ValueError, match=r'got .*map\.confidence\.tif, which would be'):
        _map(checkpoint, tmp_path / 's2.vrt', s1, layer, maps={'overwrite': True})
    assert layer.read_bytes() == before


def test_several_scenes_need_a_directory(checkpoint: Path, tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    both = [s2, Path(shutil.copy(s2, tmp_path / 'other.tif'))]
    with pytest.raises(ValueError, match=r'a directory for the maps of 2 .*map\.tif'):
        map_scene(checkpoint, both, [s1], tmp_path / 'map.tif', data=SIZE, trainer=CPU)
    assert not [*tmp_path.glob('map*')]


def test_a_network_that_predicts_nan_makes_no_map(tmp_path: Path) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    task = LandCoverSegmentation(
        BANDS, SCHEME.name, model='fcn', num_filters=2, backbone='none'
    )
    for parameter in task.model.parameters():  # finite, but what they give is not
        torch.nn.init.constant_(parameter, 1e38)
    last: Any = task.model.last
    last.weight.data[:, 1] *= -1
    path = _save(task, tmp_path / 'nan.ckpt')
    with pytest.raises(RuntimeError, match=r'Expected numbers .* NaN .* scene s2'):
        _map(path, s2, s1, tmp_path / 'map.tif')
    assert not (tmp_path / 'map.tif').exists()


def test_flags_may_be_repeated_and_archives_have_two_slashes(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 33, 40)
    whole = _map([checkpoint, checkpoint], s2, s1, tmp_path / 'whole.tif')
    with ZipFile(tmp_path / 's2.zip', 'w') as archive:
        archive.write(s2, 's2.tif')
    names = ['-'] * 13
    names[3], names[7] = 'B04', 'B08'
    command = _command(checkpoint, s2, s1, tmp_path / 'map.tif')
    command[command.index(str(s2))] = f'/vsizip/{tmp_path}/s2.zip/s2.tif'
    main([*command, f'--ckpt={checkpoint}', '--s2_bands', *names])
    assert (tmp_path / 'map.tif').read_bytes() == whole


@pytest.mark.slow
def test_a_log_file_shows_megapixels_and_ends_clean(
    checkpoint: Path, tmp_path: Path
) -> None:
    s2, s1 = _write_scene(tmp_path, 400, 500)
    command = _command(checkpoint, s2, s1, tmp_path / 'map.tif')
    done = subprocess.run(
        [sys.executable, '-m', 'dfc2020_geo', *command], cwd=tmp_path, text=True,
        env=os.environ | {'OMP_NUM_THREADS': '1'}, timeout=300, capture_output=True,
        check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    bars = [line for line in lines if line.startswith('Mapping')]
    full = r'.*100%\|.*\| 0\.20/0\.20 MP \[\d\d:\d\d<00:00, +[\d.]+MP/s\]'
    assert re.fullmatch(full, bars[-1])
    assert len(bars) < 30
    assert f'Wrote {tmp_path / "map.tif"}' in lines
    assert 'excepthook' not in done.stderr
