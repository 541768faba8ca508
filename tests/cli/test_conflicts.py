from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfc2020_geo.bands import BANDS
from dfc2020_geo.cli.conflicts import check_facts, check_lr, check_shared_facts
from dfc2020_geo.cli.settings import Setting


def _says(**settings: Any) -> list[Setting]:
    """One flag for each setting; ``__`` stands for the dot."""
    names = {name.replace('__', '.'): value for name, value in settings.items()}
    return [Setting(name, value, f'flag --{name}') for name, value in names.items()]


@given(st.permutations(sorted(BANDS)))
def test_bands_agree_in_any_order(bands: list[str]) -> None:
    check_shared_facts(_says(model__bands=sorted(BANDS), data__bands=bands))
    with pytest.raises(ValueError, match=r'got model.bands=.* and data.bands='):
        check_shared_facts(_says(model__bands=bands[1:], data__bands=bands))


def test_what_comes_last_is_compared() -> None:
    said = _says(model__scheme='dfc2020', data__scheme='igbp')
    with pytest.raises(
        ValueError, match=r'data\.scheme=igbp in flag --data\.scheme; lea'
    ):
        check_shared_facts(said)
    check_shared_facts([*said, Setting('data.scheme', 'dfc2020', 'config x.yaml')])


def test_a_fact_of_the_model_alone_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'nan under data alone, got model\.nan=lowest'
    ):
        check_shared_facts(_says(model__nan='lowest'))
    check_shared_facts(_says(data__nan='lowest', model__model='unet'))


@pytest.mark.parametrize(
    ('name', 'default'),
    [('torch.optim.SGD', 1e-3), ('RMSprop', 1e-2), ('torch.optim.Adadelta', 1.0)],
)
def test_an_optimiser_has_no_rate_but_its_default(name: str, default: float) -> None:
    optimizer = Setting('model.optimizer', name, 'config x.yaml')
    check_lr([optimizer, Setting('model.optimizer.lr', default, 'config x.yaml')])
    other = Setting('model.optimizer.lr', default / 2, 'config x.yaml')
    with pytest.raises(ValueError, match=rf'lr={default / 2} in config x\.yaml'):
        check_lr([optimizer, other])


def test_a_rate_belongs_to_the_optimiser_of_the_same_file() -> None:
    saved = [
        Setting('model.optimizer.class_path', 'torch.optim.SGD', 'config x.yaml'),
        Setting('model.optimizer.lr', 1e-3, 'config x.yaml'),
    ]
    flag = Setting('model.optimizer', 'torch.optim.RMSprop', 'flag --model.optimizer')
    check_lr([*saved, flag])
    with pytest.raises(ValueError, match=r'under model\.lr'):
        check_lr([flag, Setting('model.optimizer.lr', 1e-3, 'config x.yaml')])


def _config(**model: Any) -> dict[str, SimpleNamespace]:
    data = {'bands': ['s1'], 'scheme': 'dfc2020', 'nan': 'lowest'}
    groups = {'data': data, 'model': {'model': 'unet', 'backbone': 'resnet18'} | model}
    return {name: SimpleNamespace(init_args=group) for name, group in groups.items()}


def test_a_checkpoint_is_compared_in_what_it_states() -> None:
    contract = {'bands': ['VV', 'VH'], 'scheme': 'dfc2020', 'model': 'unet'}
    check_facts(_config(backbone='resnet50'), contract, 'a.ckpt', [])
    expected = 'model.model=unet as in the checkpoint a.ckpt, got fcn in '
    with pytest.raises(ValueError, match=expected + 'the defaults'):
        check_facts(_config(model='fcn'), contract, 'a.ckpt', [])
    with pytest.raises(ValueError, match=expected + 'flag --model.model'):
        check_facts(_config(model='fcn'), contract, 'a.ckpt', _says(model__model='fcn'))
