import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rasterio import Affine

from dfc2020_geo.inference.maps import MapRows, join_rows, open_rows
from dfc2020_geo.io.grid import RasterGrid
from tests.support.map_rows import GRIDS, SCHEME, begin, make_layers, write_rows
from tests.support.processes import CONTEXT

GRID = GRIDS['UTM north']
ROWS = {(0, 13), (13, 26), (26, 39), (39, 52), (52, 65), (65, 70)}


def test_a_restarted_run_goes_on(tmp_path: Path) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID, weights='abc', rate=0.1)
    write_rows(map_rows, make_layers(GRID))
    (map_rows.directory / 'rows_0000000-0000014.classes').write_bytes(b'half')
    (map_rows.directory / 'map.rows.tif').write_bytes(b'half')
    map_rows.record.unlock()
    again = begin(tmp_path / 'map.tif', GRID, rate=0.1, weights='abc')
    assert again.done() == ROWS
    assert len([*map_rows.directory.glob('rows_*')]) == len(ROWS) * 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'weights': 'xyz'}, r'other weights \("abc", now "xyz"\)'),
        ({'tta': True}, r'other tta \(none, now true\)'),
        ({'grid': replace(GRID, height=71)}, r'other height \(70, now 71\)'),
        (
            {'grid': replace(GRID, transform=Affine(10, 0, 5e5, 0, -10, 5e6 + 1e-9))},
            r'other transform',
        ),
    ],
    ids=str,
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path, change: dict, message: str
) -> None:
    output = tmp_path / 'map.tif'
    write_rows(begin(output, GRID, weights='abc'), make_layers(GRID))
    arguments = {'grid': GRID, 'weights': 'abc'} | change
    with pytest.raises(FileExistsError, match=message + r'.*set overwrite'):
        begin(output, **arguments)
    assert begin(output, overwrite=True, **arguments).done() == set()


def test_a_run_killed_while_it_cleans_up_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    write_rows(map_rows, make_layers(GRID))

    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, 'rmtree', die)
    with pytest.raises(KeyboardInterrupt):
        map_rows.remove()
    monkeypatch.undo()
    map_rows.record.unlock()
    assert not [*map_rows.directory.glob('rows_*')]
    assert begin(tmp_path / 'map.tif', GRID).done() == set()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere' / 'deep')
    with pytest.raises(OSError, match=r'Expected to write .*link/map\.tif\.part, got'):
        begin(tmp_path / 'link' / 'map.tif', GRID)


def test_two_runs_do_not_make_the_same_map(tmp_path: Path) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r'map.tif.part is being written by'):
            begin(tmp_path / 'map.tif', GRID, overwrite)
    write_rows(map_rows, make_layers(GRID))
    assert map_rows.done() == ROWS
    map_rows.remove()
    assert not any(tmp_path.iterdir())


def test_other_layers_are_refused(tmp_path: Path) -> None:
    begin(tmp_path / 'map.tif', GRID)
    with pytest.raises(FileExistsError, match='other layers'):
        open_rows(tmp_path / 'map.tif', GRID, SCHEME, ['entropy'], {})


def test_a_map_that_is_there_is_refused(tmp_path: Path) -> None:
    output = tmp_path / 'map.tif'
    output.touch()
    (tmp_path / 'map.json').touch()
    (tmp_path / 'other.json').touch()
    with pytest.raises(FileExistsError, match=r'map\.tif.*map\.json; set overwrite'):
        begin(output, GRID)
    begin(output, GRID, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {'other.json', 'map.tif.part'}


def _join_and_write(output: Path, grid: RasterGrid, start: int) -> None:
    map_rows = join_rows(output, grid, SCHEME, ['probabilities', 'confidence'], {})
    layers = make_layers(grid)
    for row in (start, 69 - start, 5):
        rows = {name: array[..., row : row + 1, :] for name, array in layers.items()}
        map_rows.write(row, row + 1, rows)


@pytest.mark.slow
def test_processes_write_into_one_directory(tmp_path: Path) -> None:
    output = tmp_path / 'map.tif'
    map_rows = begin(output, GRID)
    with CONTEXT.Pool(3) as pool:
        pool.starmap(_join_and_write, [(output, GRID, i) for i in range(10)])
    rows = {*range(10), *range(60, 70)}
    assert map_rows.done() == {(row, row + 1) for row in rows}
    assert len([*map_rows.directory.glob('rows_*')]) == len(rows) * 3


def test_who_joins_needs_the_same_settings(tmp_path: Path) -> None:
    arguments = (tmp_path / 'map.tif', GRID, SCHEME, [])
    with pytest.raises(RuntimeError, match=r'have begun .*map.tif.part .* got none'):
        join_rows(*arguments, {'seed': 1})
    open_rows(*arguments, {'seed': 1})
    with pytest.raises(RuntimeError, match=r'seed \(1, now 2\)'):
        join_rows(*arguments, {'seed': 2})
    assert isinstance(join_rows(*arguments, {'seed': 1}), MapRows)


@pytest.mark.parametrize('name', ['map.json', 'map', 'map.tif.part'])
def test_a_map_is_a_tif(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r'name of a GeoTIFF .* got .*map'):
        begin(tmp_path / name, GRID)


def test_something_else_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'map.tif.part').mkdir()
    (tmp_path / 'map.tif.part' / 'thesis.txt').touch()
    with pytest.raises(FileExistsError, match=r'something else in .*map.tif.part'):
        begin(tmp_path / 'map.tif', GRID, overwrite=True)
    assert (tmp_path / 'map.tif.part' / 'thesis.txt').exists()


def test_a_run_killed_before_its_record_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / 'map.tif.part').mkdir()
    (tmp_path / 'map.tif.part' / 'run.json.part').write_text('{')
    assert begin(tmp_path / 'map.tif', GRID).done() == set()


@pytest.mark.parametrize(
    'grid',
    [
        replace(GRID, crs=None),
        replace(GRID, transform=Affine(10, 0, 1e12, 0, -10, 5e6)),
        replace(GRIDS['degrees'], transform=Affine.identity()),
    ],
    ids=['no CRS', 'far away', 'identity'],
)
def test_a_grid_off_the_earth_is_refused_at_once(
    tmp_path: Path, grid: RasterGrid
) -> None:
    with pytest.raises(ValueError, match='Expected a grid on the Earth'):
        begin(tmp_path / 'map.tif', replace(grid, height=100))
    assert not any(tmp_path.iterdir())
