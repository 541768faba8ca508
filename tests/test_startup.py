"""What needs no network starts without the libraries that take seconds to load."""

import json
import subprocess
import sys

import pytest

#: Seconds, and hundreds of modules, each.
HEAVY = ('torch', 'lightning', 'torchgeo', 'torchmetrics', 'kornia', 'torchvision')
HEAVY += ('timm', 'segmentation_models_pytorch', 'jsonargparse')
HEAVY += ('numpy', 'rasterio', 'scipy', 'pandas', 'matplotlib', 'sklearn')
NETWORKS = HEAVY[:9]

_LOADED = """
import json, sys
try:
    {statement}
except SystemExit as stop:
    print(json.dumps(stop.code))
else:
    print('null')
print(json.dumps([*sys.modules]))
"""


def load(statement: str) -> tuple[int | None, str, set[str]]:
    """Run a statement in a new process; exit code, output and what it loaded."""
    program = _LOADED.format(statement=statement)
    command = [sys.executable, '-c', program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *output, code, modules = done.stdout.splitlines()
    return json.loads(code), '\n'.join([*output, done.stderr]), {*json.loads(modules)}


def run_command(*args: str) -> tuple[int | None, str, set[str]]:
    return load(f'from dfc2020_geo.main import main; main({[*args]})')


def test_loading_is_seen() -> None:
    _, _, modules = load('import dfc2020_geo.io.rasters')
    assert {'dfc2020_geo', 'dfc2020_geo.io.rasters', 'numpy', 'rasterio'} <= modules


def test_the_package_loads_nothing() -> None:
    _, _, modules = load('import dfc2020_geo; dfc2020_geo.__version__')
    assert {m for m in modules if m.startswith('dfc2020_geo')} == {'dfc2020_geo'}
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ('args', 'code', 'says'),
    [
        ((), None, 'usage: dfc2020-geo VERB'),
        (('--help',), None, 'usage: dfc2020-geo VERB'),
        (('-h',), None, 'usage: dfc2020-geo VERB'),
        (('--version',), None, 'dfc2020-geo '),
        (('no-such-verb',), 2, "got 'no-such-verb'"),
        (('--no-such-flag',), 2, "got '--no-such-flag'"),
        (('',), 2, "got ''"),
    ],
    ids=str,
)
def test_the_command_itself_loads_nothing(
    args: tuple[str, ...], code: int | None, says: str
) -> None:
    stopped, output, modules = run_command(*args)
    assert stopped == code
    assert says in output
    assert {m for m in modules if m.startswith('dfc2020_geo')} == {
        'dfc2020_geo',
        'dfc2020_geo.main',
    }
    assert modules.isdisjoint(HEAVY)


LIGHT = ('bands', 'classes', 'cli.help', 'cli.settings', 'io.atomic', 'io.band_names')
LIGHT += ('io.rasters', 'io.tiffs', 'synthetic')


def test_facts_files_and_made_up_data_load_no_network() -> None:
    names = {f'dfc2020_geo.{name}' for name in LIGHT}
    _, _, modules = load(f'import {", ".join(sorted(names))}')
    assert names <= modules
    assert not modules & {*NETWORKS}
