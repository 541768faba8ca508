import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import Affine
from scene_rows import GRIDS, SCHEME, begin, make_layers, write_rows

from dfc2020_geo.maps import Grid, Parts, join_parts, open_parts

GRID = GRIDS['UTM north']
ROWS = {(0, 13), (13, 26), (26, 39), (39, 52), (52, 65), (65, 70)}


def test_rows_written_in_any_order_are_read_in_theirs(tmp_path: Path) -> None:
    layers = make_layers(GRID)
    parts = begin(tmp_path / 'map.tif', GRID)
    for start, stop in ((50, 70), (0, 20), (20, 50)):
        parts.write(start, stop, {n: a[..., start:stop, :] for n, a in layers.items()})
    assert parts.done() == {(0, 20), (20, 50), (50, 70)}
    for name, array in layers.items():
        read = np.concatenate([*parts.read(name)], axis=1)
        np.testing.assert_array_equal(read, array.reshape(-1, 70, 60))


def test_a_restarted_run_goes_on(tmp_path: Path) -> None:
    parts = begin(tmp_path / 'map.tif', GRID, weights='abc', rate=0.1)
    write_rows(parts, make_layers(GRID))
    (parts.directory / 'rows_0000000-0000013.npzabc.part').write_bytes(b'half')
    (parts.directory / 'map.rows.tif').write_bytes(b'half')
    again = begin(tmp_path / 'map.tif', GRID, rate=0.1, weights='abc')
    assert again.done() == ROWS
    assert len([*parts.directory.iterdir()]) == len(ROWS) + 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'weights': 'xyz'}, r'other weights \("abc", now "xyz"\)'),
        ({'tta': True}, r'other tta \(null, now true\)'),
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
    parts = begin(tmp_path / 'map.tif', GRID)
    write_rows(parts, make_layers(GRID))

    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, 'rmtree', die)
    with pytest.raises(KeyboardInterrupt):
        parts.remove()
    monkeypatch.undo()
    assert [p.name for p in parts.directory.iterdir()] == ['run.json']
    assert begin(tmp_path / 'map.tif', GRID).done() == set()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere' / 'deep')
    with pytest.raises(OSError, match=r'Expected to write .*link/map\.tif\.part, got'):
        begin(tmp_path / 'link' / 'map.tif', GRID)


def test_other_layers_are_refused(tmp_path: Path) -> None:
    begin(tmp_path / 'map.tif', GRID)
    with pytest.raises(FileExistsError, match='other layers'):
        open_parts(tmp_path / 'map.tif', GRID, SCHEME, ['entropy'], {})


def test_a_map_that_is_there_is_refused(tmp_path: Path) -> None:
    output = tmp_path / 'map.tif'
    output.touch()
    (tmp_path / 'map.json').touch()
    (tmp_path / 'other.json').touch()
    with pytest.raises(FileExistsError, match=r'map\.tif.*map\.json; set overwrite'):
        begin(output, GRID)
    begin(output, GRID, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {'other.json', 'map.tif.part'}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_chunk_is_not_done(tmp_path: Path, data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / 'map.tif.part', ignore_errors=True)
    grid = replace(GRID, height=3, width=5)
    parts = begin(tmp_path / 'map.tif', grid)
    write_rows(parts, make_layers(grid))
    (path,) = parts.directory.glob('rows_*')
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = [
        whole[:at],
        whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :],
        whole[:at] + bytes(len(whole) - at),
    ]
    before = {name: [*parts.read(name)] for name in ('classes', 'probabilities')}
    for content in damaged:
        path.write_bytes(content)
        if content != whole and parts.done():
            after = {name: [*parts.read(name)] for name in before}
            np.testing.assert_equal(after, before)


@pytest.mark.parametrize('cut', [0, 1, 100, -1])
def test_a_cut_chunk_is_not_done(tmp_path: Path, cut: int) -> None:
    parts = begin(tmp_path / 'map.tif', GRID)
    write_rows(parts, make_layers(GRID))
    path = parts.directory / 'rows_0000013-0000026.npz'
    path.write_bytes(path.read_bytes()[:cut])
    assert parts.done() == ROWS - {(13, 26)}


def test_foreign_chunks_are_not_done(tmp_path: Path) -> None:
    parts = begin(tmp_path / 'map.tif', GRID, seed=1)
    other = begin(tmp_path / 'other.tif', GRID, seed=2)
    for each in (parts, other):
        write_rows(each, make_layers(GRID))
    names = [f'rows_{a:07d}-{a + 13:07d}.npz' for a in (0, 13, 26, 39)]
    shutil.copy(other.directory / names[0], parts.directory / names[0])
    shutil.copy(parts.directory / names[2], parts.directory / names[1])
    np.savez(parts.directory / names[3], classes=np.zeros((1, 13, 60), np.uint8))
    assert parts.done() == {(26, 39), (52, 65), (65, 70)}


@pytest.mark.parametrize(
    'rows',
    [
        {'classes': np.zeros((5, 60), np.uint8)},
        {'classes': np.zeros((6, 60), np.uint8), 'confidence': np.zeros((5, 60))},
    ],
    ids=['missing layers', 'wrong shape'],
)
def test_other_arrays_are_refused(tmp_path: Path, rows: dict) -> None:
    parts = begin(tmp_path / 'map.tif', GRID)
    with pytest.raises(ValueError, match=r'Expected uint8 arrays of .* got'):
        parts.write(0, 5, rows)


def test_a_type_that_would_be_cut_is_refused(tmp_path: Path) -> None:
    parts = begin(tmp_path / 'map.tif', GRID)
    rows = {n: a[..., :5, :] for n, a in make_layers(GRID).items()}
    with pytest.raises(ValueError, match=r"got .* \['classes'\]"):
        parts.write(0, 5, rows | {'classes': rows['classes'].astype(np.int64)})


@pytest.mark.parametrize('missing', [0, 26, 65])
def test_missing_rows_are_named(tmp_path: Path, missing: int) -> None:
    parts = begin(tmp_path / 'map.tif', GRID)
    write_rows(parts, make_layers(GRID))
    next(parts.directory.glob(f'rows_{missing:07d}-*')).unlink()
    with pytest.raises(RuntimeError, match=rf'70 rows once, got them up to {missing} '):
        [*parts.read('classes')]


def _join_and_write(output: Path, grid: Grid, start: int) -> None:
    parts = join_parts(output, grid, SCHEME, ['probabilities', 'confidence'], {})
    layers = make_layers(grid)
    for row in (start, 69 - start, 5):
        rows = {name: array[..., row : row + 1, :] for name, array in layers.items()}
        parts.write(row, row + 1, rows)


@pytest.mark.slow
def test_processes_write_into_one_directory(tmp_path: Path) -> None:
    output = tmp_path / 'map.tif'
    parts = begin(output, GRID)
    with multiprocessing.get_context('spawn').Pool(3) as pool:
        pool.starmap(_join_and_write, [(output, GRID, i) for i in range(10)])
    rows = {*range(10), *range(60, 70)}
    assert parts.done() == {(row, row + 1) for row in rows}
    assert len([*parts.directory.iterdir()]) == len(rows) + 1


def test_who_joins_needs_the_same_settings(tmp_path: Path) -> None:
    arguments = (tmp_path / 'map.tif', GRID, SCHEME, [])
    with pytest.raises(RuntimeError, match=r'have begun .*map.tif.part .* got none'):
        join_parts(*arguments, {'seed': 1})
    open_parts(*arguments, {'seed': 1})
    with pytest.raises(RuntimeError, match=r'seed \(1, now 2\)'):
        join_parts(*arguments, {'seed': 2})
    assert isinstance(join_parts(*arguments, {'seed': 1}), Parts)


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
def test_a_grid_off_the_earth_is_refused_at_once(tmp_path: Path, grid: Grid) -> None:
    with pytest.raises(ValueError, match='Expected a grid on the Earth'):
        begin(tmp_path / 'map.tif', replace(grid, height=100))
    assert not any(tmp_path.iterdir())
