from pathlib import Path

import pytest

from dfc2020_geo.statements import (
    configs_dir,
    find_config,
    find_statement,
    read_statements,
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
        said = read_statements(args)
        assert next((s.name, s.value) for s in said if s.name != 'lr') == (
            'data.bands',
            ['s1'],
        )
        lr = find_statement(said, 'model.lr')
        assert lr is not None
        assert float(lr.value) == 0.1


def test_what_comes_later_counts(config: str) -> None:
    said = read_statements(['fit', '--config', config, '--data.bands', '[B02]'])
    bands = find_statement(said, 'data.bands')
    assert bands is not None
    assert (bands.value, bands.where) == (['B02'], 'flag --data.bands')
    said = read_statements(['fit', '--data.bands', '[B02]', '--config', config])
    bands = find_statement(said, 'data.bands')
    assert bands is not None
    assert (bands.value, bands.where) == (['s1'], f'config {config}')


def test_flags_without_a_value_do_not_swallow_the_next_one() -> None:
    said = read_statements(['test', '--print_config', '--model.lr', '-1'])
    assert [(s.name, s.value) for s in said] == [('model.lr', -1)]


def test_configs_of_the_package_are_found_by_name(config: str) -> None:
    path = str(configs_dir() / 'demo.yaml')
    assert find_config('demo') == find_config('demo.yaml') == path
    assert find_config(config) == config
    assert resolve_configs(['fit', '--config', 'demo', '-c=demo']) == [
        'fit', '--config', path, f'-c={path}',
    ]  # fmt: skip


def test_unknown_configs_are_named_with_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match=r"one of .*demo, .*got 'dema'"):
        find_config('dema')
