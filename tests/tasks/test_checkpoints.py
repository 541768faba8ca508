"""What a checkpoint fixes, and files of checkpoints that are whole or absent."""

import os
import random
import resource
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from dfc2020_geo.main import main
from dfc2020_geo.models.contract import CONTRACT_KEY, FORMAT, is_whole
from dfc2020_geo.tasks import AtomicCheckpointIO, LandCoverSegmentation
from tests.support import DATA
from tests.support.processes import CONTEXT
from tests.support.quiet_trainer import QUIET

#: Checkpoints of two epochs of one training, of before checkpoints had a format, and
#: the logits of the first.
OLD = [DATA / f'fcn_format0_epoch{epoch}.ckpt' for epoch in range(2)]
OLD_LOGITS = DATA / 'fcn_format0_logits.npy'
ON_CPU = ('--trainer.accelerator=cpu', '--data.num_workers=0')
FIT = (
    '--data.val=sen12ms_holdout', '--data.batch_size=3', '--trainer.max_epochs=2',
    '--trainer.logger=false', '--trainer.enable_progress_bar=false',
    '--trainer.enable_model_summary=false',
)  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def _change(path: Path, **parts: Any) -> Path:
    """Write the old checkpoint with other parts."""
    torch.save(_read(OLD[0]) | parts, path)
    return path


def test_a_checkpoint_without_a_format_predicts_what_it_did() -> None:
    task = LandCoverSegmentation.load_from_checkpoint(OLD[0]).eval()
    image = np.random.default_rng(2020).random((1, 6, 12, 16), 'float32')
    with torch.no_grad():
        logits = task(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(logits, np.load(OLD_LOGITS), atol=1e-6)
    assert task.facts['bands'] == ['B02', 'B03', 'B04', 'B08', 'VV', 'VH']
    assert task.scheme.labels[-1] == 'Water'


def test_every_stage_reads_a_checkpoint_without_a_format(
    baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flag = f'--ckpt_path={OLD[0]}'
    root = f'--data.dfc2020_root={baseline_tree / "dfc2020"}'
    main(['test', flag, root, *ON_CPU, '--trainer.logger=false'])
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    main(['predict', flag, root, *ON_CPU, '--previews.max_previews=0'])
    assert len([*(tmp_path / 'predictions').glob('*.tif')]) == 3
    root = f'--data.sen12ms_root={baseline_tree / "sen12ms"}'
    main(['fit', flag, root, *ON_CPU, *FIT])
    (path,) = (tmp_path / 'checkpoints').glob('*.ckpt')
    assert _read(path)[CONTRACT_KEY]['format'] == FORMAT
    then, now = _read(OLD[1]), _read(path)
    assert now['global_step'] == then['global_step']
    for name, weight in then['state_dict'].items():
        torch.testing.assert_close(now['state_dict'][name], weight)


def test_a_checkpoint_names_the_public_class(tmp_path: Path) -> None:
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2)
    trainer = Trainer(**QUIET)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / 'a.ckpt', weights_only=True)
    name = _read(tmp_path / 'a.ckpt')['hyper_parameters']['_class_path']
    assert name == 'dfc2020_geo.tasks.LandCoverSegmentation'
    assert _read(OLD[0])['hyper_parameters']['_class_path'] == name


def test_a_newer_format_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = _read(OLD[0])[CONTRACT_KEY]
    newer = {'format': FORMAT + 1, 'versions': {'dfc2020-geo': '9.1'}}
    path = _change(tmp_path / 'new.ckpt', **{CONTRACT_KEY: facts | newer})
    expected = f'of format {FORMAT} or older, got format {FORMAT + 1}, written by '
    with pytest.raises(ValueError, match=expected + r'.* 9\.1; .*new\.ckpt'):
        LandCoverSegmentation.load_from_checkpoint(path)
    with pytest.raises(SystemExit):
        main(['predict', f'--ckpt_path={path}'])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    task = LandCoverSegmentation(['s1'])
    with pytest.raises(ValueError, match=expected):
        task.on_load_checkpoint(_read(path))


NAME = 'model.backbone.0.weight'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({NAME: None}, f'no {NAME}'),
        ({'model.odd': torch.zeros(2)}, r'unknown model\.odd'),
        ({NAME: torch.zeros(3, 7, 3, 3)}, r'shape \(3, 7, 3, 3\), not \(3, 6, 3, 3\)'),
        ({NAME: torch.zeros(3, 6, 3, 3).cfloat()}, f'no real numbers in {NAME}'),
        ({NAME: 'weight'}, f'no real numbers in {NAME}'),
    ],
)
def test_weights_that_do_not_fit_are_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    weights = _read(OLD[0])['state_dict'] | change
    weights = {name: value for name, value in weights.items() if value is not None}
    path = _change(tmp_path / 'odd.ckpt', state_dict=weights)
    with pytest.raises(
        ValueError, match=rf'{message}.* \(This is .*odd\.ckpt'
    ) as error:
        LandCoverSegmentation.load_from_checkpoint(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('part', ['state_dict', 'hyper_parameters'])
def test_a_checkpoint_that_lacks_a_part_is_named(part: str, tmp_path: Path) -> None:
    path = _change(tmp_path / 'odd.ckpt', **{part: None})
    with pytest.raises(ValueError, match=rf'got .*odd\.ckpt without {part};'):
        LandCoverSegmentation.load_from_checkpoint(path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'optimizer': ('os.system', {'command': 'touch ran'})}, 'got os.system'),
        ({'lr_scheduler': ('os.system', {'command': 'touch ran'})}, 'got os.system'),
        ({'lr': ('os.system', {'command': 'touch ran'})}, 'to be a plain value'),
        ({'_class_path': 'antigravity.Task'}, r'antigravity\.Task .* import'),
        ({'_class_path': 'os.system'}, r'os\.system .* import'),
        ({'_instantiator': 'os.system'}, ''),
    ],
)
def test_nothing_that_a_checkpoint_names_is_run(
    change: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = _read(OLD[0])['hyper_parameters']
    for name, value in change.items():
        if isinstance(value, tuple):
            value = {'class_path': value[0], 'init_args': value[1]}
        arguments[name] = value
    path = _change(tmp_path / 'odd.ckpt', hyper_parameters=arguments)
    if message:
        with pytest.raises(ValueError, match=message):
            LandCoverSegmentation.load_from_checkpoint(path)
    else:
        assert LandCoverSegmentation.load_from_checkpoint(path).hparams['lr'] == 0.02
    assert not Path('ran').exists()


def test_a_checkpoint_is_read_once_by_a_stage(
    baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read: list[str] = []
    load = torch.load

    def count(file: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(str(getattr(file, 'name', file)))
        return load(file, *args, **kwargs)

    monkeypatch.setattr(torch, 'load', count)
    flags = f'--ckpt_path={OLD[0]}', f'--model.ensemble=[{OLD[1]}]'
    root = f'--data.unlabeled_root={baseline_tree / "tiffs"}'
    main(['predict', *flags, root, *ON_CPU, '--previews.max_previews=0'])
    assert sorted(read) == sorted(map(str, OLD))


def test_an_optimiser_of_a_checkpoint_is_resumed_in_python(
    baseline_tree: Path, tmp_path: Path
) -> None:
    task = LandCoverSegmentation.load_from_checkpoint(OLD[0])
    (group,) = task.configure_optimizers()['optimizer'].param_groups
    assert (group['lr'], group['momentum']) == (0.02, 0.9)
    trainer = Trainer(**QUIET, plugins=[AtomicCheckpointIO()])
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / 'a.ckpt', weights_only=True)
    saved = _read(tmp_path / 'a.ckpt')['hyper_parameters']
    assert saved['optimizer'] == _read(OLD[0])['hyper_parameters']['optimizer']


class _SlowPath(type(Path())):
    """A path whose files are written a little at a time."""

    def open(self, mode: str = 'r', *args: Any, **kwargs: Any) -> Any:  # ty: ignore[invalid-method-override]
        file = super().open(mode, buffering=0) if 'w' in mode else super().open(mode)
        if 'w' in mode:
            write = file.write

            class Slow:
                name, fileno, flush = file.name, file.fileno, file.flush

                def __enter__(self) -> Self:
                    return self

                def __exit__(self, *of: object) -> None:
                    file.close()

                def write(self, content: Any) -> None:
                    for start in range(0, len(content), 4096):
                        write(content[start : start + 4096])
                        time.sleep(0.002)

            return Slow()
        return file


def _save_for_ever(folder: Path) -> None:
    from dfc2020_geo.io import atomic

    atomic.Path = _SlowPath  # ty: ignore[invalid-assignment]
    if Path('/dev/shm').is_dir():
        # Another file system for temporary files, as in containers and on clusters.
        os.environ['TMPDIR'] = '/dev/shm'
    files = AtomicCheckpointIO()
    for step in range(10_000):
        content = {'step': step, 'weights': torch.full((5_000,), step)}
        files.save_checkpoint(content, folder / 'last.ckpt')


def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(6):
        process = CONTEXT.Process(target=_save_for_ever, args=(tmp_path,))
        process.start()
        while not (tmp_path / 'last.ckpt').exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.15))
        process.kill()
        process.join()
        found = _read(tmp_path / 'last.ckpt')
        assert torch.equal(found['weights'], torch.full((5_000,), found['step']))


def _save_with_limit(path: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(
        OSError, match=r'Expected to write .* got File too large; those'
    ):
        AtomicCheckpointIO().save_checkpoint({'a': torch.ones(5_000)}, path)
    os._exit(17)


@pytest.mark.parametrize('size', [0, 1, 4096, 20_000])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, size: int) -> None:
    path = tmp_path / 'last.ckpt'
    AtomicCheckpointIO().save_checkpoint({'a': torch.zeros(5_000)}, path)
    process = CONTEXT.Process(target=_save_with_limit, args=(path, size))
    process.start()
    process.join()
    assert process.exitcode == 17
    assert not _read(path)['a'].any()
    assert [*tmp_path.iterdir()] == [path]


def test_a_checkpoint_of_another_place_is_left_to_lightning(tmp_path: Path) -> None:
    files = AtomicCheckpointIO()
    files.save_checkpoint({'a': torch.ones(3)}, 'memory://folder/a.ckpt')
    assert files.load_checkpoint('memory://folder/a.ckpt')['a'].all()
    with pytest.raises(TypeError, match='storage_options'):
        files.save_checkpoint({}, tmp_path / 'a.ckpt', storage_options={})


def test_damage_of_any_part_is_seen(tmp_path: Path) -> None:
    whole = OLD[0].read_bytes()
    path = tmp_path / 'a.ckpt'
    path.write_bytes(whole)
    assert is_whole(path)
    for content in (b'', whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert not is_whole(path)
    at = whole.index(_read(OLD[0])['state_dict'][NAME].numpy().tobytes()[:64])
    path.write_bytes(whole[:at] + b'\0\0\0\0' + whole[at + 4 :])
    assert not is_whole(path)


@pytest.mark.parametrize(
    'callback',
    [
        'lightning.pytorch.callbacks.ModelCheckpoint',
        'dfc2020_geo.baseline.saving.BaselineCheckpoint',
    ],
)
def test_every_checkpoint_of_fit_is_written_whole(
    callback: str, baseline_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved: list[str] = []
    save = AtomicCheckpointIO.save_checkpoint

    def record(self: Any, checkpoint: Any, path: Any, **options: Any) -> None:
        saved.append(Path(path).name)
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(AtomicCheckpointIO, 'save_checkpoint', record)
    flags = [
        f'--data.sen12ms_root={baseline_tree / "sen12ms"}', '--data.bands=[s1]',
        '--model.model=fcn', '--model.num_filters=2', f'--trainer.callbacks={callback}',
        '--trainer.callbacks.dirpath=kept', '--trainer.callbacks.every_n_train_steps=1',
    ]  # fmt: skip
    main(['fit', *flags, *ON_CPU, *FIT, '--trainer.max_epochs=1'])
    files = [path for path in (tmp_path / 'kept').iterdir() if path.suffix != '.yaml']
    assert {path.name for path in files} <= {*saved}
    assert files
    assert all(is_whole(path) for path in files)
