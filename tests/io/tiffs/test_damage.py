"""Damaged files are refused by name, or read as rasterio reads them."""

import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from dfc2020_geo.io.rasters import read_grid, read_raw
from dfc2020_geo.io.tiffs import read_strips
from tests.support.tiff_files import expected_image, image_of, make, write

KINDS = {
    'none_band': {'interleave': 'band'},
    'none_pixel': {'interleave': 'pixel'},
    'none_tiles': {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    'deflate': {'compress': 'deflate', 'blockysize': 3},
    'deflate_tiles': {
        'compress': 'deflate',
        'tiled': True,
        'blockxsize': 16,
        'blockysize': 16,
    },
    'deflate_predictor': {'compress': 'deflate', 'predictor': 2},
    'lzw': {'compress': 'lzw', 'predictor': 2, 'interleave': 'pixel'},
    'lzw_one_strip': {'compress': 'lzw', 'blockysize': 64, 'interleave': 'pixel'},
}

kinds = pytest.mark.parametrize('profile', KINDS.values(), ids=KINDS)


def assert_as_rasterio(path: Path) -> bool:
    """Check what is read of a file, and say whether rasterio refuses it."""
    try:
        expected = expected_image(path, [1, 2])
    except UnicodeDecodeError:
        return False  # in the name of a projection, which is not read here
    except (rasterio.errors.RasterioError, ValueError, IndexError):
        with pytest.raises((RuntimeError, ValueError)):
            image_of(path, [1, 2])
        return True
    found = read_or_refuse(path)
    if isinstance(found, str):
        # GDAL looks at few checksums, and reads what claims more pixels than there are.
        assert 'checksum' in found or 'at most 2048 pixels a side' in found
        return True
    np.testing.assert_array_equal(image_of(path, [1, 2]), expected)
    return False


def read_or_refuse(path: Path) -> np.ndarray | str:
    """Read a file, or return the message that names it."""
    try:
        return read_raw(path, [1, 2]).values
    except RuntimeError as error:
        message = str(error)
    assert re.search(f'(damaged or missing one:|in) {path}', message)
    return message


@kinds
def test_any_cut_is_found(tmp_path: Path, profile: dict[str, Any]) -> None:
    path = write(tmp_path / 'image.tif', make('uint16', 2, (20, 20)), **profile)
    content = path.read_bytes()
    sizes = [0, 7, 8, 9, 100, 200, 300, len(content) // 2, len(content) - 5]
    for size in sizes:
        path.write_bytes(content[:size])
        with pytest.raises(RuntimeError, match=r'damaged or missing one: .*image'):
            read_raw(path, [1, 2])


@kinds
def test_damaged_headers_are_read_or_refused_as_by_rasterio(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, profile: dict[str, Any]
) -> None:
    bands = make('uint16', 2, (20, 20))
    path = write(tmp_path / 'image.tif', bands, nodata=7, **profile)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        header = min(tiff.pages.first.dataoffsets)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(generator.integers(1, 4)):
            damaged[generator.integers(0, header)] = generator.integers(0, 256)
        path.write_bytes(damaged)
        refused += assert_as_rasterio(path)
    assert 0 < refused < 100
    assert not [record for record in caplog.records if record.name == 'tifffile']


@kinds
@pytest.mark.parametrize('values', ['smooth', 'noise'])
def test_damaged_pixels_are_read_or_refused_as_by_rasterio(
    tmp_path: Path, profile: dict[str, Any], values: str
) -> None:
    bands = make('uint16', 2, (20, 20))
    if values == 'smooth':
        bands = np.sort(bands % 40, axis=-1)
    path = write(tmp_path / 'image.tif', bands, **profile)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(generator.integers(1, 4)):
            place = generator.integers(len(content) // 2, len(content))
            damaged[place] ^= 1 << generator.integers(0, 8)
        path.write_bytes(damaged)
        assert_as_rasterio(path)


@pytest.mark.parametrize('kind', ['deflate', 'deflate_predictor'])
def test_every_flipped_bit_of_a_deflated_file_is_found(
    tmp_path: Path, kind: str
) -> None:
    """Where it changes pixels; GDAL lets one in eight through."""
    bands = make('uint16', 2, (20, 20))
    path = write(tmp_path / 'image.tif', bands, **KINDS[kind])
    content = path.read_bytes()
    found = 0
    for place in range(len(content) // 2, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        values = read_or_refuse(path)
        if isinstance(values, str):
            found += 1
        else:
            np.testing.assert_array_equal(values, bands)
    assert found > 50


def test_a_file_that_becomes_shorter_is_not_remembered_as_whole(tmp_path: Path) -> None:
    for number, profile in enumerate(KINDS.values()):
        path = write(tmp_path / f'{number}.tif', make('uint16', 2, (20, 20)), **profile)
        assert (read_strips(path, [1, 2]) is None) == ('tiled' in profile)
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(RuntimeError, match=f'{number}.tif'):
            read_raw(path, [1, 2])


@pytest.mark.parametrize('compress', ['none', 'deflate'])
def test_a_file_that_claims_to_be_huge_is_left_to_gdal(
    tmp_path: Path, compress: str
) -> None:
    bands = make('uint16', 1, (20, 20))
    path = write(tmp_path / 'image.tif', bands, compress=compress, blockysize=20)
    content = path.read_bytes()
    # Width, height and rows of a strip: tags 256, 257 and 278 of one SHORT each.
    for code in (256, 257, 278):
        entry = code.to_bytes(2, 'little') + b'\3\0\1\0\0\0'
        assert content.count(entry) == 1
        start = content.index(entry) + len(entry)
        content = content[:start] + b'\xff\xff' + content[start + 2 :]
    path.write_bytes(content)
    assert read_strips(path, [1]) is None


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / 'missing.tif'):
        assert read_strips(path, [1]) is None
        with pytest.raises(RuntimeError, match='damaged or missing'):
            read_raw(path, [1])


@pytest.mark.parametrize('sidecar', [None, '<PAMDataset/>'])
def test_a_pipe_is_named_and_not_waited_for(
    tmp_path: Path, sidecar: str | None
) -> None:
    path, told = tmp_path / 'a.tif', []
    os.mkfifo(path)
    if sidecar:
        Path(f'{path}.aux.xml').write_text(sidecar)

    def read_all() -> None:
        for read in (lambda: read_raw(path, [1]), lambda: read_grid(path)):
            try:
                read()
            except RuntimeError as error:
                told.append(str(error))

    reader = threading.Thread(target=read_all, daemon=True)
    reader.start()
    reader.join(60)  # for ever, if it waits for somebody who writes
    assert not reader.is_alive()
    assert [f'{path} (a pipe or device, not a file)' in text for text in told] == (
        [True, True]
    )
