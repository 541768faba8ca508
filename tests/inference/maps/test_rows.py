import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.map_rows import GRIDS, begin, make_layers, write_rows

GRID = GRIDS['UTM north']
ROWS = {(0, 13), (13, 26), (26, 39), (39, 52), (52, 65), (65, 70)}


def test_rows_written_in_any_order_are_read_in_theirs(tmp_path: Path) -> None:
    layers = make_layers(GRID)
    map_rows = begin(tmp_path / 'map.tif', GRID)
    for start, stop in ((50, 70), (0, 20), (20, 50)):
        map_rows.write(
            start, stop, {n: a[..., start:stop, :] for n, a in layers.items()}
        )
    assert map_rows.done() == {(0, 20), (20, 50), (50, 70)}
    for name, array in layers.items():
        read = np.concatenate([*map_rows.read(name)], axis=1)
        np.testing.assert_array_equal(read, array.reshape(-1, 70, 60))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_chunk_is_not_done(tmp_path: Path, data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / 'map.tif.part', ignore_errors=True)
    grid = replace(GRID, height=3, width=5)
    map_rows = begin(tmp_path / 'map.tif', grid)
    write_rows(map_rows, make_layers(grid))
    path = map_rows.directory / 'rows_0000000-0000003.probabilities'
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = [
        whole[:at],
        whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :],
        whole[:at] + bytes(len(whole) - at),
    ]
    for content in damaged:
        path.write_bytes(content)
        if content != whole:
            assert not map_rows.done()
            with pytest.raises(RuntimeError, match='as it was written, got a damaged'):
                [*map_rows.read('probabilities')]


@pytest.mark.parametrize('cut', [0, 1, 100, -1])
def test_a_cut_chunk_is_not_done(tmp_path: Path, cut: int) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    write_rows(map_rows, make_layers(GRID))
    path = map_rows.directory / 'rows_0000013-0000026.probabilities'
    path.write_bytes(path.read_bytes()[:cut])
    assert map_rows.done() == ROWS - {(13, 26)}


def test_foreign_chunks_are_not_done(tmp_path: Path) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID, seed=1)
    other = begin(tmp_path / 'other.tif', GRID, seed=2)
    write_rows(map_rows, make_layers(GRID))
    write_rows(other, make_layers(GRID, seed=1))
    names = [f'rows_{a:07d}-{a + 13:07d}.classes' for a in (0, 13, 26, 39)]
    shutil.copy(other.directory / names[0], map_rows.directory / names[0])
    shutil.copy(map_rows.directory / names[2], map_rows.directory / names[1])
    (map_rows.directory / names[3]).write_bytes(bytes(13 * 60))
    assert map_rows.done() == {(26, 39), (52, 65), (65, 70)}


@pytest.mark.parametrize(
    'rows',
    [
        {'classes': np.zeros((5, 60), np.uint8)},
        {'classes': np.zeros((6, 60), np.uint8), 'confidence': np.zeros((5, 60))},
    ],
    ids=['missing layers', 'wrong shape'],
)
def test_other_arrays_are_refused(tmp_path: Path, rows: dict) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    with pytest.raises(ValueError, match=r'Expected uint8 arrays of .* got'):
        map_rows.write(0, 5, rows)


def test_a_type_that_would_be_cut_is_refused(tmp_path: Path) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    rows = {n: a[..., :5, :] for n, a in make_layers(GRID).items()}
    with pytest.raises(ValueError, match=r"got .* \['classes'\]"):
        map_rows.write(0, 5, rows | {'classes': rows['classes'].astype(np.int64)})


@pytest.mark.parametrize('missing', [0, 26, 65])
def test_missing_rows_are_named(tmp_path: Path, missing: int) -> None:
    map_rows = begin(tmp_path / 'map.tif', GRID)
    write_rows(map_rows, make_layers(GRID))
    next(map_rows.directory.glob(f'rows_{missing:07d}-*.classes')).unlink()
    with pytest.raises(RuntimeError, match=rf'70 rows once, got them up to {missing} '):
        [*map_rows.read('classes')]
