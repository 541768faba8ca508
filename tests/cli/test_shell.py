"""What shells, terminals and other installations do to a command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dfc2020_geo.cli.settings import resolve_configs

COMMAND = [sys.executable, '-m', 'dfc2020_geo']


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (['--s2_offset', '-1e3'], ['--s2_offset=-1e3']),
        (['--s2', '-dash.tif', '--s1', 'x'], ['--s2=-dash.tif', '--s1', 'x']),
        (['--s2_offset', '-1000'], ['--s2_offset', '-1000']),
        (['--s2_offset=-1e3', '-h'], ['--s2_offset=-1e3', '-h']),
        (['--overwrite', '--s2', 'x'], ['--overwrite', '--s2', 'x']),
    ],
)
def test_a_value_may_begin_with_a_hyphen(given: list[str], expected: list[str]) -> None:
    assert resolve_configs(['predict', *given])[1:] == expected


@pytest.mark.slow
def test_data_of_another_proj_are_left_out(tmp_path: Path) -> None:
    (tmp_path / 'proj.db').write_bytes(b'of another one')
    program = 'import dfc2020_geo, rasterio.crs as c; print(c.CRS.from_epsg(32633))'
    run = subprocess.run(
        [sys.executable, '-c', program],
        env=os.environ | {'PROJ_DATA': str(tmp_path), 'PROJ_LIB': str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == 'EPSG:32633\n'
    assert f'PROJ_DATA={tmp_path} is of another installation' in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize('encoding', ['ascii', 'cp437', 'latin-1'])
def test_a_poor_code_page_fails_no_run(encoding: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [*COMMAND, 'check', str(tmp_path / 'läßt • 地')],
        env=os.environ | {'PYTHONIOENCODING': encoding},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1
    assert b'got no file or folder' in run.stdout
    assert b'Traceback' not in run.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('sh'), reason='pipes of a shell')
def test_a_reader_that_stops_reading_fails_no_run(tmp_path: Path) -> None:
    paths = ' '.join(f'no{number}' for number in range(3000))
    line = f'{sys.executable} -m dfc2020_geo check {paths} | head -n 1'
    run = subprocess.run(
        ['sh', '-c', line], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith('no0: ')
    assert run.stderr == ''


@pytest.mark.skipif(os.name == 'nt', reason='names are text there')
def test_a_name_that_is_no_utf8_is_one_line_and_status_2() -> None:
    run = subprocess.run(
        [*COMMAND, 'map', '--s2', b'a\xff.tif'], capture_output=True, check=False
    )
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert rb"got 'a\udcff.tif'" in run.stderr
