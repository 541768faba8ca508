from pathlib import Path

import pytest

from dfc2020_geo.cli.settings import (
    configs_dir,
    find_config,
    find_setting,
    read_settings,
    resolve_configs,
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / 'run.yaml'
    path.write_text('data: {init_args: {bands: [s1]}}\nmodel.init_args.lr: 0.1\n')
    return str(path)


def test_flags_and_configs_say_the_same_in_any_spelling(config: str) -> None:
    for args in (
        ['fit', '--config', config],
        ['fit', f'--config={config}'],
        ['fit', '-c', config],
        ['fit', '--data.bands', '[s1]', '--model.init_args.lr=0.1'],
        ['fit', '--data.init_args.bands=[s1]', '--model.lr', '0.1'],
        ['fit', '--data', '{init_args: {bands: [s1]}}', '--model.lr', '1e-1'],
    ):
        said = read_settings(args)
        assert next((s.name, s.value) for s in said if s.name != 'lr') == (
            'data.bands',
            ['s1'],
        )
        lr = find_setting(said, 'model.lr')
        assert lr is not None
        assert float(lr.value) == 0.1


def test_what_comes_later_counts(config: str) -> None:
    said = read_settings(['fit', '--config', config, '--data.bands', '[B02]'])
    bands = find_setting(said, 'data.bands')
    assert bands is not None
    assert (bands.value, bands.origin) == (['B02'], 'flag --data.bands')
    said = read_settings(['fit', '--data.bands', '[B02]', '--config', config])
    bands = find_setting(said, 'data.bands')
    assert bands is not None
    assert (bands.value, bands.origin) == (['s1'], f'config {config}')


def test_flags_without_a_value_do_not_swallow_the_next_one() -> None:
    said = read_settings(['test', '--print_config', '--model.lr', '-1'])
    assert [(s.name, s.value) for s in said] == [('model.lr', -1)]


def test_configs_of_the_package_are_found_by_name(config: str) -> None:
    path = str(configs_dir() / 'demo.yaml')
    assert find_config('demo') == find_config('demo.yaml') == path
    assert find_config(config) == config


def test_configs_come_before_flags(config: str) -> None:
    args = ['fit', '--model.lr', '-1', '--config', config, '-c=demo', '--a=b']
    demo = f'--config={configs_dir() / "demo.yaml"}'
    expected = ['fit', f'--config={config}', demo, '--model.lr', '-1', '--a=b']
    assert resolve_configs(args) == expected


def test_a_group_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / 'model.yaml'
    path.write_text('init_args: {bands: [s1]}')
    for args in (['fit', f'--model={path}'], ['fit', '--model', str(path)]):
        (said,) = read_settings(args)
        assert (said.name, said.value) == ('model.bands', ['s1'])


@pytest.mark.parametrize('value', ['@x', 'a: b: c', '%x', '[x', 'ck: 1.ckpt'])
def test_values_that_are_no_yaml_are_text(value: str) -> None:
    (said,) = read_settings(['test', f'--ckpt_path={value}'])
    assert said.value == value


@pytest.mark.parametrize('content', [b'data: [', b'\xff\xfe', b'', b'[1]'])
def test_a_config_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'broken.yaml'
    path.write_bytes(content)
    with pytest.raises((ValueError, TypeError), match=r'Expected a YAML file.*broken'):
        read_settings(['fit', f'--config={path}'])


def test_unknown_configs_are_named_with_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match=r"one of .*demo, .*got 'dema'"):
        find_config('dema')
