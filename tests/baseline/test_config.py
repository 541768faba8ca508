"""A training of the baseline as a config, against its genuine arguments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfc2020_geo.baseline.arguments import ARGUMENTS, baseline_arguments
from dfc2020_geo.baseline.config import fit_config
from dfc2020_geo.baseline.pickles import read_arguments
from tests.support import DATA

NETWORK = {
    'use_s1': True,
    'use_s2hr': False,
    'use_s2mr': False,
    'use_s2lr': False,
    'no_savanna': True,
    'model': 'deeplab',
    'out_stride': 8,
}


def _genuine(name: str) -> dict[str, Any]:
    return read_arguments(DATA / f'args_{name}.pkl')


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a config by their names alone."""
    data, model = (config[name]['init_args'] for name in ('data', 'model'))
    return data | model | model['optimizer']['init_args'] | config['trainer']


def test_the_genuine_unet() -> None:
    config = fit_config(_genuine('unet'))
    assert config['seed_everything'] == 1
    assert config['data']['init_args'] == {
        'val': 'dfc2020_val',
        'dfc2020_root': '/data/data/dfc2020',
        'sen12ms_root': '/data/data/sen12ms',
        'bands': ['s1', 's2-10m', 's2-20m'],
        'scheme': 'dfc2020-no-savanna',
        'nan': 'baseline',
        'batch_size': 2,
        'num_workers': 0,
        'check': 'warn',
    }
    model = config['model']['init_args']
    assert model['model'] == 'baseline-unet'
    assert model['lr'] == 1e-4
    assert model['optimizer'] == {
        'class_path': 'torch.optim.RMSprop',
        'init_args': {'weight_decay': 5e-4},
    }
    assert not {'output_stride', 'weights', 'backbone_lr'} & set(model)
    trainer = config['trainer']
    assert trainer['val_check_interval'] == 5
    assert trainer['check_val_every_n_epoch'] is None
    saving, logging = (callback['init_args'] for callback in trainer['callbacks'])
    assert saving['dirpath'] == '/data/logs/ref_unet/checkpoints'
    assert saving['every_n_train_steps'] == 10
    assert logging['every_n_steps'] == 5


def test_the_genuine_deeplab() -> None:
    config = fit_config(_genuine('deeplab'))
    assert config['seed_everything'] == 1860
    assert config['trainer']['deterministic'] == 'warn'
    data = config['data']['init_args']
    assert (data['val'], data['sen12ms_root']) == ('sen12ms_holdout', '/data/sen12ms')
    assert 'val_root' not in data
    model = config['model']['init_args']
    assert model['model'] == 'baseline-deeplabv3+'
    assert (model['output_stride'], model['weights']) == (16, True)
    assert (model['lr'], model['backbone_lr']) == (1e-2, 1e-3)
    assert model['optimizer'] == {
        'class_path': 'torch.optim.SGD',
        'init_args': {'momentum': 0.9, 'weight_decay': 5e-4},
    }


def test_no_seed_is_no_seed() -> None:
    config = fit_config(NETWORK)
    assert config['seed_everything'] is False
    assert 'deterministic' not in config['trainer']


def test_a_holdout_elsewhere_is_read_there() -> None:
    paths = {'data_dir_train': 'here', 'data_dir_val': 'there'}
    data = fit_config(NETWORK | paths)['data']['init_args']
    assert (data['sen12ms_root'], data['val_root']) == ('here', 'there')
    data = fit_config(NETWORK | paths | {'data_dir_val': None})['data']['init_args']
    assert data['sen12ms_root'] == 'here'
    assert 'val_root' not in data
    phase = {'dataset_val': 'dfc2020_test'}
    data = fit_config(NETWORK | paths | phase)['data']['init_args']
    assert (data['val'], data['dfc2020_root']) == ('dfc2020_test', 'there')
    assert 'val_root' not in data


@given(
    st.fixed_dictionaries({
        **dict.fromkeys(('use_s2hr', 'use_s2mr', 'use_s2lr', 'no_savanna'), st.booleans()),
        'lr': st.floats(1e-9, 10),
        'momentum': st.floats(0, 1),
        'weight_decay': st.floats(0, 1),
        'max_epochs': st.integers(1, 1000),
        'pretrained_backbone': st.booleans(),
        'out_stride': st.sampled_from([8, 16]),
    })
)  # fmt: skip
def test_there_and_back(drawn: dict[str, Any]) -> None:
    args = ARGUMENTS | {'use_s1': True, 'model': 'deeplab'} | drawn
    assert baseline_arguments(_flat(fit_config(args))) == args
    unused = {
        n: ARGUMENTS[n] for n in ('momentum', 'pretrained_backbone', 'out_stride')
    }
    args |= {'model': 'unet', **unused}
    assert baseline_arguments(_flat(fit_config(args))) == args


def test_a_set_that_the_baseline_lacks_is_named() -> None:
    expected = r"dataset_val of \('sen12ms_holdout', .*, got 'val'"
    with pytest.raises(ValueError, match=expected):
        fit_config(NETWORK | {'dataset_val': 'val'})
