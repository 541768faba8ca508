import os
import pickle
import shutil
import struct
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import SGD, Optimizer, RMSprop
from torch.utils.data import DataLoader

from dfc2020_geo.baseline.checkpoints import export_checkpoint, import_checkpoint
from dfc2020_geo.baseline.pickles import read_arguments, write_arguments
from dfc2020_geo.cli.stages import LandCoverCLI
from dfc2020_geo.main import main
from dfc2020_geo.models import BaselineDeepLabV3Plus, BaselineUNet
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support import DATA
from tests.support.golden_weights import fill_network
from tests.support.quiet_trainer import QUIET

UNET, DEEPLAB = DATA / 'args_unet.pkl', DATA / 'args_deeplab.pkl'
OF_2020: dict[str, Any] = {'_use_new_zipfile_serialization': False}
ON_CPU = ('--trainer.accelerator=cpu', '--data.num_workers=0')


class Genuine(NamedTuple):
    """A network after some steps of the baseline's recipe, and its checkpoint."""

    network: nn.Module
    optimizer: Optimizer
    path: Path

    @property
    def content(self) -> dict[str, Any]:
        return {
            'model_state_dict': self.network.state_dict(),
            'step': 4000,
            'optimizer_state_dict': self.optimizer.state_dict(),
        }


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that goes at once: these networks are large."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture(scope='module')
def unet() -> Iterator[Genuine]:
    network = fill_network(BaselineUNet(12, 9)).train()
    optimizer = RMSprop(network.parameters(), lr=1e-4, weight_decay=5e-4)
    _train(network, optimizer, _batches(2))
    with tempfile.TemporaryDirectory() as path:
        genuine = Genuine(network, optimizer, Path(path) / 'checkpoint_step_4000.pth')
        torch.save(genuine.content, genuine.path, **OF_2020)
        yield genuine


@pytest.fixture(scope='module')
def imported(unet: Genuine) -> Path:
    out = unet.path.parent / 'unet.ckpt'
    import_checkpoint(UNET, unet.path, out)
    return out


def _batches(count: int, seed: int = 0) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    images = [torch.rand(2, 12, 32, 32, generator=generator) for _ in range(count)]
    return [{'image': x, 'mask': (x[:, 0] * 9).long()} for x in images]


def _train(network: nn.Module, optimizer: Optimizer, batches: Sequence[Any]) -> None:
    for batch in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch['image']), batch['mask']).backward()
        optimizer.step()


def _assert_same(one: Any, other: Any) -> None:
    """Assert that two nested values are equal, tensors bit by bit."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name, value in one.items():
            _assert_same(value, other[name])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for values in zip(one, other, strict=True):
            _assert_same(*values)
    else:
        assert one == other


def _load(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Detected pickle protocol')
        return torch.load(path, weights_only=True)


def _network_of(path: Path) -> nn.Module:
    task = LandCoverSegmentation.load_from_checkpoint(path, weights_only=True)
    network = task.model
    assert isinstance(network, nn.Module)
    return network.eval()


def _assert_golden(network: nn.Module, name: str) -> None:
    logits = np.load(DATA / 'logits.npz')
    image = np.random.default_rng([2020, 90, 75]).random((1, 12, 90, 75), 'float32')
    with torch.no_grad():
        found = network(torch.from_numpy(image)).numpy()
    assert np.abs(found - logits[f'{name}/90x75/logits']).max() < 1e-4


def _read_by_hand(path: Path) -> dict[str, Any]:
    """Read torch's format of 2020 with nothing of torch but the names in it."""

    class Reader(pickle.Unpickler):
        storages: dict[str, np.ndarray] = {}  # noqa: RUF012

        def find_class(self, module_name: str, global_name: str, /) -> Any:
            known = {
                'collections.OrderedDict': dict,
                'torch.FloatStorage': np.dtype('<f4'),
                'torch.LongStorage': np.dtype('<i8'),
                'torch._utils._rebuild_tensor_v2': rebuild,
            }
            return known[f'{module_name}.{global_name}']

        def persistent_load(self, pid: Any, /) -> np.ndarray:
            kind, dtype, key, location, count, view = pid
            assert (kind, location, view) == ('storage', 'cpu', None)
            return self.storages.setdefault(key, np.empty(count, dtype))

    def rebuild(
        storage: np.ndarray, offset: int, shape: Any, strides: Any, *rest: Any
    ) -> np.ndarray:
        assert rest == (False, {})
        steps = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)

    with path.open('rb') as file:
        assert pickle.load(file) == 0x1950A86A20F9469CFC6C
        assert pickle.load(file) == 1001
        assert pickle.load(file)['little_endian'] is True
        reader = Reader(file)
        content = reader.load()
        for key in pickle.load(file):
            storage = reader.storages[key]
            (count,) = struct.unpack('<q', file.read(8))
            assert count == len(storage)
            storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
        assert not file.read()
    return content


@pytest.mark.parametrize(
    'how',
    [
        {**OF_2020, 'pickle_protocol': 2},
        {**OF_2020, 'pickle_protocol': 3},
        {'pickle_protocol': 2},
        {'pickle_protocol': 3},
    ],
    ids=str,
)
def test_every_format_of_torch_gives_the_golden_logits(
    how: dict[str, Any], folder: Path
) -> None:
    network = fill_network(BaselineUNet(12, 9))
    content = {'model_state_dict': network.state_dict(), 'step': 7}
    torch.save(content, folder / 'checkpoint.pth', **how)
    out = folder / 'model.ckpt'
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='Detected pickle')
        done = import_checkpoint(UNET, folder / 'checkpoint.pth', out)
    assert done.step == _load(out)['global_step'] == 7
    assert 'no state of the optimiser' in ' '.join(done.remarks)
    _assert_golden(_network_of(out), 'unet_12x9')


def test_network_and_settings_are_those_of_the_arguments(
    imported: Path, unet: Genuine
) -> None:
    task = LandCoverSegmentation.load_from_checkpoint(imported, weights_only=True)
    _assert_same(dict(task.model.state_dict()), dict(unet.network.state_dict()))
    contract = _load(imported)['dfc2020_geo']
    assert contract['bands'] == [
        *('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12'),
        *('VV', 'VH'),
    ]
    assert (contract['scheme'], contract['nan']) == ('dfc2020-no-savanna', 'baseline')
    assert contract['resume']['optimizer'] == 'RMSprop'
    assert contract['resume']['lr'] == [1e-4]


def test_training_goes_on_as_if_it_had_not_been_taken_over(
    imported: Path, unet: Genuine
) -> None:
    network = fill_network(BaselineUNet(12, 9)).train()
    network.load_state_dict(unet.network.state_dict())
    optimizer = RMSprop(network.parameters(), lr=1e-4, weight_decay=5e-4)
    optimizer.load_state_dict(deepcopy(unet.optimizer.state_dict()))
    batches = _batches(2, seed=1)
    _train(network, optimizer, batches)
    task = LandCoverSegmentation.load_from_checkpoint(imported, weights_only=True)
    trainer = Trainer(**QUIET)
    loader = DataLoader(batches, batch_size=None)
    trainer.fit(task, loader, ckpt_path=imported, weights_only=True)
    assert trainer.global_step == 4002
    ours = dict(task.model.named_parameters())
    for name, parameter in network.named_parameters():
        assert torch.allclose(ours[name], parameter, rtol=0, atol=1e-6), name
    states = (
        trainer.optimizers[0].state_dict()['state'],
        optimizer.state_dict()['state'],
    )
    assert states[0][0]['step'] == states[1][0]['step'] == 4


def _fit(config: Path, tree: Path, *args: str) -> LandCoverCLI:
    nothing_kept = (
        '--trainer.logger=false',
        '--trainer.callbacks=null',
        '--trainer.enable_checkpointing=false',
        '--trainer.enable_progress_bar=false',
        '--trainer.enable_model_summary=false',
        '--trainer.limit_val_batches=0',
    )
    roots = (f'--data.sen12ms_root={tree / "sen12ms"}', f'--data.dfc2020_root={tree}')
    return LandCoverCLI(
        ['fit', '--config', str(config), *roots, *ON_CPU, *nothing_kept, *args]
    )


def test_config_restores_the_optimiser(
    imported: Path, unet: Genuine, baseline_tree: Path
) -> None:
    config = imported.with_suffix('.yaml')
    cli = _fit(config, baseline_tree, '--trainer.limit_train_batches=0')
    found, expected = cli.trainer.optimizers[0].state_dict(), unet.content
    _assert_same(found['state'], expected['optimizer_state_dict']['state'])
    (group,) = found['param_groups']
    assert (group['lr'], group['weight_decay'], group['alpha']) == (1e-4, 5e-4, 0.99)
    assert cli.trainer.global_step == 4000
    model: Any = cli.model
    _assert_same(dict(model.model.state_dict()), dict(expected['model_state_dict']))


@pytest.mark.parametrize(
    ('limit', 'steps'),
    [
        (('--trainer.max_epochs=2', '--trainer.limit_train_batches=1'), 2),
        (('--trainer.max_epochs=-1', '--trainer.max_steps=4002'), 2),
        (('--trainer.max_epochs=1', '--data.batch_size=2'), 3),
    ],
    ids=['epochs', 'steps', 'a whole epoch'],
)
def test_config_trains_on(
    limit: tuple[str, ...], steps: int, imported: Path, baseline_tree: Path
) -> None:
    cli = _fit(imported.with_suffix('.yaml'), baseline_tree, *limit)
    assert cli.trainer.global_step == 4000 + steps
    (state,) = (optimizer.state_dict() for optimizer in cli.trainer.optimizers)
    assert state['state'][0]['step'] == 2 + steps


def test_config_is_complete_and_opens_with_its_command(imported: Path) -> None:
    config = imported.with_suffix('.yaml')
    what, command, *_ = config.read_text().splitlines()
    assert what.startswith('#')
    assert command == f'# dfc2020-geo fit --config {config}'
    settings = yaml.safe_load(config.read_text())
    assert settings['ckpt_path'] == str(imported)
    assert settings['model']['init_args']['weights'] is None
    assert settings['trainer']['max_epochs'] == 1
    assert {'seed_everything', 'data', 'model', 'trainer'} <= settings.keys()


def test_stages_take_the_checkpoint(
    imported: Path,
    baseline_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [
        f'--data.dfc2020_root={baseline_tree / "dfc2020"}',
        f'--data.unlabeled_root={baseline_tree / "tiffs"}',
        f'--ckpt_path={imported}',
        *ON_CPU,
        '--trainer.logger=false',
    ]
    for stage in ('validate', 'test'):
        main([stage, *data])
        assert 'mIoU_all' in capsys.readouterr().out
    main(['predict', *data, '--class_maps.output_dir=maps'])
    sources = list((baseline_tree / 'tiffs' / 's2').rglob('*.tif'))
    assert len(list((tmp_path / 'maps').rglob('*.tif'))) == len(sources) > 0


def _import(
    folder: Path,
    content: Any,
    arguments: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Any:
    path, config = folder / 'checkpoint.pth', folder / 'args.pkl'
    torch.save(content, path, **OF_2020)
    write_arguments(config, read_arguments(UNET) | (arguments or {}))
    return import_checkpoint(config, path, folder / 'model.ckpt', overwrite)


def _assert_refused(
    folder: Path, match: str, content: Any, arguments: dict[str, Any] | None = None
) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        _import(folder, content, arguments)
    assert {path.name for path in folder.iterdir()} == {'checkpoint.pth', 'args.pkl'}


def test_what_a_checkpoint_lacks_is_said(folder: Path) -> None:
    weights = BaselineUNet(12, 9).state_dict()
    whole = {'model_state_dict': weights}
    for content in (weights, whole, whole | {'optimizer_state_dict': {}}):
        done = _import(folder, content)
        assert done.step == _load(folder / 'model.ckpt')['global_step'] == 0
        assert [r.split(':')[0] for r in done.remarks] == [
            'The file does not say its step',
            'It has no state of the optimiser',
        ]
        _assert_same(dict(_network_of(done.files[0]).state_dict()), dict(weights))
        (folder / 'model.ckpt').unlink()
        (folder / 'model.yaml').unlink()


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (
            {'use_s1': False},
            (
                r'other inc.double_conv.0.weight of shape \(64, 12, 3, 3\), not '
                r'\(64, 10, 3, 3\). It reads 12 channels, while .*use_s2lr.* give 10; take'
            ),
        ),
        (
            {'no_savanna': False},
            (
                r'other outc.conv.weight of shape \(9, 64, 1, 1\), not \(10, 64, 1, 1\), '
                r'outc.conv.bias of .*. It tells 9 classes apart, while no_savanna .* 10;'
            ),
        ),
        (
            {'no_savanna': False, 'use_s2lr': True},
            r'reads 12 channels, .* give 15. It tells 9 classes apart',
        ),
        (
            {'model': 'deeplab'},
            (
                r'with no backbone.conv1.weight, .* and 677 more; unknown '
                r'inc.double_conv.0.weight, .* and 125 more. It is another model; take the'
            ),
        ),
        ({'model': 'segnet'}, r"'segnet'.*args.pkl"),
        ({'use_s1': False, 'use_s2hr': False, 'use_s2mr': False}, r'use_s1.*args.pkl'),
        ({'lr': 'fast'}, r'args.pkl'),
        ({'batch_size': 'many'}, r'args.pkl'),
        ({'val_freq': 'often'}, r'args.pkl'),
        ({'model': []}, r'args.pkl'),
        ({'weight_decay': None}, r'args.pkl'),
        ({'batch_size': 0}, r'got .*args.pkl: .* batch_size from 1 .* got 0 and 0\.$'),
        (
            {'no_savanna': 'False'},
            r"no_savanna of True or False, got 'False'.*args.pkl",
        ),
    ],
)
def test_arguments_of_another_network_are_refused(
    arguments: dict[str, Any], expected: str, unet: Genuine, folder: Path
) -> None:
    _assert_refused(folder, expected, unet.content, arguments)


def _other_optimizers(network: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    parameters = list(network.parameters())
    recipe = {'lr': 1e-4, 'weight_decay': 5e-4}
    yield RMSprop(parameters, lr=0.5, weight_decay=5e-4).state_dict(), 'lr=0.5, not'
    yield SGD(parameters, momentum=0, **recipe).state_dict(), 'alpha=None, not 0.99'
    fewer = RMSprop(parameters[:-1], **recipe).state_dict()
    yield fewer, f'of [{len(parameters) - 1}] parameters, not ['
    state = RMSprop(parameters, **recipe).state_dict()
    yield (
        state | {'state': {0: {'square_avg': torch.ones(3)}}},
        'square_avg of shape (3',
    )
    yield (
        state | {'state': {len(parameters): {'square_avg': torch.ones(3)}}},
        'square_avg',
    )


def test_another_optimiser_is_not_taken_over(folder: Path) -> None:
    network = BaselineUNet(12, 9)
    weights = network.state_dict()
    for state, difference in _other_optimizers(network):
        content = {
            'model_state_dict': weights,
            'step': 3,
            'optimizer_state_dict': state,
        }
        (remark,) = _import(folder, content, overwrite=True).remarks
        assert remark.startswith('The state of the optimiser is not of the one that')
        assert difference in remark
        checkpoint = _load(folder / 'model.ckpt')
        assert checkpoint['optimizer_states'][0]['state'] == {}
        assert checkpoint['global_step'] == 3


def _damaged(weights: dict[str, Tensor]) -> Iterator[tuple[Any, str]]:
    name = 'up1.conv.double_conv.0.weight'
    rest = {k: v for k, v in weights.items() if k != name}
    yield {'model_state_dict': rest}, rf'with no {name}. It is incomplete'
    yield {'model_state_dict': weights | {'more': torch.ones(1)}}, r'unknown more. '
    yield (
        {'model_state_dict': weights | {name: torch.ones(3)}},
        rf'other {name} of shape \(3,\), not .*. It is another model',
    )
    yield {'model_state_dict': weights | {name: 1}}, rf"got '{name}' of int in .*pth"
    sparse = torch.zeros_like(weights[name]).to_sparse()
    yield (
        {'model_state_dict': weights | {name: sparse}},
        rf"got '{name}' of torch.sparse",
    )
    complexes = weights[name].to(torch.complex64)
    yield {'model_state_dict': weights | {name: complexes}}, r'of torch.ComplexFloat'
    nothing = weights[name].to('meta')
    yield {'model_state_dict': weights | {name: nothing}}, r'of torch.meta.Float'
    yield {'model_state_dict': list(weights.values())}, r'a dict of tensors, got list'
    for step in (-1, 1.0, '7', True):
        expected = rf'Expected step to count from 0, got {step!r}'
        yield {'model_state_dict': weights, 'step': step}, expected
    for state in ({'state': {}, 'param_groups': []}, {'state': 1}, [1]):
        content = {'model_state_dict': weights, 'optimizer_state_dict': state}
        yield content, r'Expected optimizer_state_dict to be .* got something else'
    yield list(weights), r'a dict, got .* with list'
    yield {}, r'with nothing; a checkpoint of this package needs no import'
    yield {'state_dict': weights, 'epoch': 1}, r'with state_dict, epoch; a checkpoint'


def test_damaged_checkpoints_are_refused(folder: Path) -> None:
    for content, expected in _damaged(dict(BaselineUNet(12, 9).state_dict())):
        _assert_refused(folder, expected, content)


class Running:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


class RunningShell(Running):
    def __reduce__(self) -> Any:
        return os.system, (f'touch {self.marker}',)


@pytest.mark.parametrize('how', [OF_2020, {}], ids=['2020', 'today'])
@pytest.mark.parametrize(
    ('hostile', 'named'),
    [(Running, 'getattr'), (RunningShell, rf'{os.system.__module__}\.system')],
)
def test_nothing_of_a_hostile_checkpoint_runs(
    how: dict[str, Any], hostile: type[Running], named: str, folder: Path
) -> None:
    marker, path = folder / 'marker', folder / 'checkpoint.pth'
    content = {'model_state_dict': {}, 'step': hostile(marker)}
    torch.save(content, path, **how)
    expected = rf'got .*checkpoint.pth, which would import {named}; nothing of it was'
    with pytest.raises(ValueError, match=expected):
        import_checkpoint(UNET, path, folder / 'model.ckpt')
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # it was hostile


def test_what_is_no_checkpoint_is_said_so(folder: Path, unet: Genuine) -> None:
    path = folder / 'checkpoint.pth'
    whole = unet.path.read_bytes()
    generator = np.random.default_rng(0)
    contents = [b'', b'text', UNET.read_bytes(), *(whole[:n] for n in (1, 99, 9999))]
    contents += [whole[: len(whole) // 2], generator.bytes(999), b'PK\x03\x04' * 99]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'got .*checkpoint.pth'):
            import_checkpoint(UNET, path, folder / 'model.ckpt')
    with pytest.raises(FileNotFoundError, match=r'no file at .*none.pth'):
        import_checkpoint(UNET, folder / 'none.pth', folder / 'model.ckpt')
    with pytest.raises(FileNotFoundError, match=r'no file at .*none.pkl'):
        import_checkpoint(folder / 'none.pkl', path, folder / 'model.ckpt')
    assert [path.name for path in folder.iterdir()] == ['checkpoint.pth']


def test_files_are_replaced_only_when_told(folder: Path, unet: Genuine) -> None:
    (folder / 'model.yaml').write_text('mine')
    with pytest.raises(FileExistsError, match=r'got .*model.yaml; .*--overwrite'):
        import_checkpoint(UNET, unet.path, folder / 'model.ckpt')
    assert (folder / 'model.yaml').read_text() == 'mine'
    done = import_checkpoint(UNET, unet.path, folder / 'model.ckpt', overwrite=True)
    assert yaml.safe_load(done.files[1].read_text())['ckpt_path']
    with pytest.raises(FileExistsError, match=r'got .*model.ckpt'):
        import_checkpoint(UNET, unet.path, folder / 'model.ckpt')
    with pytest.raises(ValueError, match=r'ends in .ckpt, got .*model.pth'):
        import_checkpoint(UNET, unet.path, folder / 'model.pth')
    (folder / 'out').mkdir()
    export_checkpoint(folder / 'model.ckpt', folder / 'out')
    with pytest.raises(FileExistsError, match=r'got .*step_4000.pth; .*--overwrite'):
        export_checkpoint(folder / 'model.ckpt', folder / 'out')
    export_checkpoint(folder / 'model.ckpt', folder / 'out', overwrite=True)


def test_what_is_given_back_is_what_was_taken(
    imported: Path, unet: Genuine, folder: Path
) -> None:
    done = export_checkpoint(imported, folder)
    path, config = done.files
    assert (path.name, config.name) == ('checkpoint_step_4000.pth', 'args.pkl')
    assert done.remarks == ()
    back, genuine = _load(path), _load(unet.path)
    assert list(back) == list(genuine)
    _assert_same(dict(back['model_state_dict']), dict(genuine['model_state_dict']))
    states = back['optimizer_state_dict'], genuine['optimizer_state_dict']
    _assert_same(states[0]['state'], states[1]['state'])
    for one, other in zip(*(state['param_groups'] for state in states), strict=True):
        assert other.items() <= one.items()
    assert back['step'] == 4000
    given = pickle.loads(UNET.read_bytes())
    assert pickle.loads(config.read_bytes()) == given
    assert list(vars(pickle.loads(config.read_bytes()))) == list(vars(given))


def test_torch_1_4_reads_what_is_given_back(
    imported: Path, unet: Genuine, folder: Path
) -> None:
    path, _ = export_checkpoint(imported, folder).files
    content = _read_by_hand(path)
    expected = unet.network.state_dict()
    assert list(content['model_state_dict']) == list(expected)
    for name, value in content['model_state_dict'].items():
        assert np.array_equal(value, expected[name].numpy())
    averages = content['optimizer_state_dict']['state'][0]['square_avg']
    expected = unet.optimizer.state_dict()['state'][0]['square_avg']
    assert np.array_equal(averages, expected.numpy())
    assert content['step'] == 4000
    assert path.read_bytes()[:2] == b'\x80\x03'  # the protocol


def test_a_network_trained_here_comes_back_as_it_went(
    baseline_tree: Path, folder: Path
) -> None:
    config = folder / 'fit.yaml'
    model = {
        'model': 'baseline-unet',
        'lr': 0.002,
        'optimizer': {
            'class_path': 'torch.optim.RMSprop',
            'init_args': {'weight_decay': 0.01},
        },
        'lr_scheduler': {
            'class_path': 'torch.optim.lr_scheduler.ConstantLR',
            'init_args': {'factor': 1.0},
        },
    }
    data = {'bands': ['VH', 's2-60m', 'VV'], 'nan': 'baseline', 'val': 'dfc2020_val'}
    settings = {
        'model': {
            'class_path': 'dfc2020_geo.tasks.LandCoverSegmentation',
            'init_args': model,
        },
        'data': {
            'class_path': 'dfc2020_geo.datamodules.LandCoverDataModule',
            'init_args': data,
        },
    }
    config.write_text(yaml.safe_dump(settings))
    cli = _fit(config, baseline_tree, '--trainer.max_steps=2', '--data.batch_size=2')
    trained = folder / 'trained.ckpt'
    cli.trainer.save_checkpoint(trained)
    path, arguments = export_checkpoint(trained, folder / 'out').files
    values = vars(pickle.loads(arguments.read_bytes()))
    flags = ('use_s1', 'use_s2hr', 'use_s2mr', 'use_s2lr', 'no_savanna')
    assert [values[flag] for flag in flags] == [True, False, False, True, False]
    assert (values['model'], values['lr'], values['weight_decay']) == (
        *('unet', 0.002, 0.01),
    )
    assert values.keys() == vars(pickle.loads(UNET.read_bytes())).keys()
    import_checkpoint(arguments, path, folder / 'again.ckpt')
    one, other = _load(trained), _load(folder / 'again.ckpt')
    for name in ('state_dict', 'optimizer_states', 'global_step'):
        _assert_same(one[name], other[name])
    assert one['dfc2020_geo'] == other['dfc2020_geo']
    chosen = ('scheme', 'nan', 'model', 'lr', 'backbone_lr', 'output_stride')
    parameters = one['hyper_parameters'], other['hyper_parameters']
    assert [parameters[0][n] for n in chosen] == [parameters[1][n] for n in chosen]


def _untrained(folder: Path, **arguments: Any) -> Path:
    task = LandCoverSegmentation(**{'model': 'baseline-unet'} | arguments)
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(folder / 'untrained.ckpt', weights_only=True)
    return folder / 'untrained.ckpt'


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ({'model': 'fcn'}, r"model of .*'baseline-unet'.*, got 'fcn'"),
        ({'bands': ['s2-10m', 'VV']}, r'whole band sets .*, got VV'),
        ({'bands': ['s2-10m', 'B11']}, r'whole band sets .*, got B11'),
        ({'scheme': 'dfc2020-contest'}, r"scheme of .*, got 'dfc2020-contest'"),
    ],
)
def test_what_the_baseline_cannot_be_is_not_given_to_it(
    arguments: dict[str, Any], expected: str, folder: Path
) -> None:
    path = _untrained(folder, **arguments)
    with pytest.raises(ValueError, match=expected + r'.*untrained.ckpt'):
        export_checkpoint(path, folder / 'out')
    assert not (folder / 'out').exists()


def test_what_the_baseline_does_otherwise_is_said(folder: Path) -> None:
    done = export_checkpoint(_untrained(folder, nan='lowest'), folder / 'out')
    optimizer, nan = done.remarks
    assert optimizer.startswith('The checkpoint has no state of the optimiser')
    assert "nan='lowest'" in nan
    content = _load(done.files[0])
    assert (content['step'], content['optimizer_state_dict']['state']) == (0, {})
    import_checkpoint(done.files[1], done.files[0], folder / 'model.ckpt')


def test_a_checkpoint_of_nothing_of_ours_is_refused(
    unet: Genuine, folder: Path
) -> None:
    with pytest.raises(ValueError, match=r'got .*step_4000.pth'):
        export_checkpoint(unet.path, folder)
    assert not list(folder.iterdir())


def test_commands_say_what_they_read_and_wrote(
    unet: Genuine, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / 'of 2020.ckpt'
    args = [f'--checkpoint_file={unet.path}', f'--out={out}']
    main(['import-baseline', f'--config_file={UNET}', *args])
    said = capsys.readouterr().out
    for expected in (
        'baseline-unet',
        'B11, B12, VV, VH',
        '9 (dfc2020-no-savanna)',
        'step      4000',
        f'Wrote {out}',
        f"dfc2020-geo fit --config '{out.with_suffix('.yaml')}'",
        f"dfc2020-geo test --ckpt '{out}'",
    ):
        assert expected in said
    main(['export-baseline', f'--ckpt={out}', f'--out={folder / "back"}'])
    said = capsys.readouterr().out
    assert f'Wrote {folder / "back" / "checkpoint_step_4000.pth"}' in said
    assert f'--config_file {folder / "back" / "args.pkl"}' in said
    with pytest.raises(SystemExit) as stopped:
        main(['import-baseline', f'--config_file={UNET}', *args])
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith('dfc2020-geo: error: Expected no file yet, got')
    assert said.count('\n') == 1


def test_two_spellings_of_one_flag_must_agree(
    folder: Path, unet: Genuine, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [f'--config={UNET}', f'--checkpoint_file={unet.path}', '--out=x.ckpt']
    with pytest.raises(SystemExit):
        main(['import-baseline', *args, f'--config_file={DEEPLAB}'])
    assert f'mean the same, got {UNET} and {DEEPLAB}.' in capsys.readouterr().err
    args[-1] = f'--out={folder / "model.ckpt"}'
    main(['import-baseline', *args, f'--config_file={UNET}'])
    assert (folder / 'model.ckpt').exists()


FILES = ('config', 'checkpoint')


@pytest.mark.parametrize(
    'args',
    [
        ['import-baseline'],
        ['import-baseline', *[f'--{kind}_file={__file__}' for kind in FILES]],
        ['export-baseline', f'--ckpt={__file__}', '--out=b', '--more'],
    ],
    ids=len,
)
def test_a_wrong_command_line_is_told_in_one_line(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith(f'; dfc2020-geo {args[0]} --help lists the flags.\n')
    assert error.count('\n') == 1


@pytest.mark.slow
def test_deeplab_comes_over_and_goes_back(folder: Path) -> None:
    network = fill_network(BaselineDeepLabV3Plus(12, 9, 16))
    parameters = dict(network.named_parameters())
    backbone = [p for n, p in parameters.items() if n.startswith('backbone.')]
    head = [p for n, p in parameters.items() if not n.startswith('backbone.')]
    groups = [{'params': backbone}, {'params': head, 'lr': 1e-3 * 10}]
    optimizer = SGD(groups, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    for number, parameter in enumerate((*backbone, *head)):
        optimizer.state[parameter]['momentum_buffer'] = torch.full_like(
            parameter, number
        )
    genuine = Genuine(network, optimizer, folder / 'checkpoint.pth')
    torch.save(genuine.content, genuine.path, **OF_2020)
    out = folder / 'model.ckpt'
    import_checkpoint(DEEPLAB, genuine.path, out)
    _assert_golden(_network_of(out), 'deeplab_os16_12x9')
    settings = yaml.safe_load(out.with_suffix('.yaml').read_text())
    assert settings['model']['init_args']['weights'] is None
    done = export_checkpoint(out, folder / 'back')
    assert pickle.loads(done.files[1].read_bytes()) == pickle.loads(
        DEEPLAB.read_bytes()
    )
    back = _load(done.files[0])
    _assert_same(
        back['optimizer_state_dict']['state'],
        genuine.content['optimizer_state_dict']['state'],
    )
    _assert_same(dict(back['model_state_dict']), dict(network.state_dict()))
    shutil.rmtree(folder / 'back')
