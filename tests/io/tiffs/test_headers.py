"""Files are taken for alike only where they are."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from dfc2020_geo.io.tiffs import headers, read_strips
from tests.support.tiff_files import assert_same, make, write


def test_files_that_differ_in_place_only_share_a_layout_and_others_do_not(
    tmp_path: Path,
) -> None:
    """Each is read after the ones before it, of which it is nearly a copy."""
    path = tmp_path / 'image.tif'
    profiles: list[dict[str, Any]] = [
        {},
        {'crs': 'EPSG:32634'},
        {'crs': None},
        {'nodata': 3},
        {'nodata': 4},
        {'interleave': 'band'},
        {'interleave': 'band', 'nodata': 4},
        {'blockysize': 2},
        {'endianness': 'big'},
        {'compress': 'deflate'},
        {'compress': 'deflate', 'predictor': 2},
        {'compress': 'deflate', 'blockysize': 6},
        {'compress': 'lzw'},
        {'compress': 'lzw', 'interleave': 'band'},
        {'compress': 'packbits'},
        {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    ]
    for seed, profile in enumerate(profiles * 2):
        for dtype in ('uint16', 'int16'):
            write(path, make(dtype, 4, (6, 7), seed), **profile)
            assert_same(path, [2, 3])
    for shape in ((7, 6), (6, 6), (3, 14)):
        write(path, make('uint16', 4, shape))
        assert_same(path, [2, 3])


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Files whose headers are taken apart from now on."""
    files = []
    tiff_file = tifffile.TiffFile

    def parse(file: Any) -> tifffile.TiffFile:
        files.append(file)
        return tiff_file(file)

    monkeypatch.setattr(headers, '_found', [])
    monkeypatch.setattr(headers.tifffile, 'TiffFile', parse)
    return files


@pytest.mark.parametrize(
    'profile',
    [
        {'interleave': 'band'},
        {'interleave': 'pixel'},
        {'compress': 'deflate'},
        {'compress': 'deflate', 'blockysize': 256},
        {'compress': 'lzw', 'interleave': 'band'},
        {'compress': 'packbits'},
        {'tiled': True},
    ],
)
def test_headers_of_a_tree_are_taken_apart_once(
    tmp_path: Path, parsed: list[Any], profile: dict[str, Any]
) -> None:
    """Other values, place on Earth and compressed sizes change nothing."""
    for seed in range(5):
        bands = make('uint16', 3, (256, 256), seed)
        crs = f'EPSG:3263{seed}'
        path = write(tmp_path / f'{seed}.tif', bands, crs=crs, **profile)
        pixels = read_strips(path, [3, 1])
        if pixels is not None:
            np.testing.assert_array_equal(pixels.values, bands[[2, 0]])
    assert len(parsed) == 1


def test_texts_of_a_file_say_nothing_of_its_pixels(
    tmp_path: Path, parsed: list[Any]
) -> None:
    for seed in range(5):
        bands = make('uint16', 3, (20, 30), seed)
        path = tmp_path / f'{seed}.tif'
        tifffile.imwrite(
            path, bands, photometric='minisblack', planarconfig='separate',
            description=f'patch {seed}', metadata=None, resolution=(seed + 1, 3),
            datetime=f'2020:01:0{seed + 1} 10:11:12', software=f'writer {seed}',
        )  # fmt: skip
        pixels = read_strips(path, [3, 1])
        assert pixels is not None
        np.testing.assert_array_equal(pixels.values, bands[[2, 0]])
    assert len(parsed) == 1


def test_a_header_behind_the_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / 'image.tif', make('uint16', 3, (20, 20)))
    for value in (3, 4):
        with rasterio.open(path, 'r+') as raster:
            raster.nodata = value
            raster.update_tags(long='x' * 500 * value)
        assert_same(path, [1, 3])


def test_tags_far_behind_the_pixels_are_recognised_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libtiff writes them where nobody asks for anything else."""
    monkeypatch.setattr(headers, '_found', [])
    for seed in range(4):
        bands = make('uint16', 3, (90 + seed // 2, 100), seed)
        path = tmp_path / f'{seed}.tif'
        _write_tags_last(path, bands)
        pixels = read_strips(path, [2, 3])
        assert pixels is not None
        np.testing.assert_array_equal(pixels.values, bands[1:])
        assert_same(path, [3])
    assert len(headers._found) == 2


def _write_tags_last(path: Path, bands: np.ndarray) -> None:
    """Move the pixels of a file of one strip for each band to its beginning."""
    tifffile.imwrite(
        path, bands, byteorder='<', photometric='minisblack',
        planarconfig='separate', metadata=None, rowsperstrip=bands.shape[1],
    )  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        offsets = page.tags['StripOffsets']
        tags, entries = page.offset, [(t.code, t.dtype, t.count) for t in page.tags]
        raw = {t.code: t for t in page.tags}
        values = {
            code: _bytes_at(path, tag.valueoffset, tag.valuebytecount)
            for code, tag in raw.items()
        }
        assert tags > 0
    pixels = bands.astype('<u2').tobytes()
    size = len(pixels) // len(bands)
    length = int(offsets.valuebytecount / offsets.count)
    values[273] = b''.join(
        (8 + band * size).to_bytes(length, 'little') for band in range(len(bands))
    )
    first = 8 + len(pixels)
    listed = first + 2 + len(entries) * 12 + 4
    table, behind = struct.pack('<H', len(entries)), b''
    for code, dtype, count in entries:
        value = values[code]
        if len(value) > 4:
            place, behind = listed + len(behind), behind + value
            value = struct.pack('<I', place)
        table += struct.pack('<HHI', code, int(dtype), count) + value.ljust(4, b'\0')
    head = path.read_bytes()[:4] + struct.pack('<I', first)
    path.write_bytes(head + pixels + table + bytes(4) + behind)


def _bytes_at(path: Path, start: int, size: int) -> bytes:
    return path.read_bytes()[start : start + size]


def test_a_header_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    for seed in (0, 1):
        for compress in ('none', 'deflate'):
            path = write(
                tmp_path / 'image.tif',
                make('uint16', 13, (300, 3), seed),
                interleave='band',
                blockysize=1,
                nodata=seed,
                compress=compress,
            )
            assert read_strips(path, [2]) is not None
            assert_same(path, [2, 13, 1])


def test_strips_in_any_order_and_with_gaps(tmp_path: Path) -> None:
    """Bands that were written last to first, and one that was written twice."""
    bands = make('uint16', 3, (40, 30))
    for compress in ('none', 'deflate'):
        path = tmp_path / f'{compress}.tif'
        with rasterio.open(
            path, 'w', driver='GTiff', count=3, height=40, width=30, dtype='uint16',
            interleave='band', blockysize=4, compress=compress,
        ) as raster:  # fmt: skip
            for band in (3, 1, 2):
                raster.write(bands[band - 1], band)
        with rasterio.open(path, 'r+') as raster:
            raster.write(bands[0][::-1], 1)
        pixels = read_strips(path, [3, 1, 2])
        assert pixels is not None
        expected = np.stack([bands[2], bands[0][::-1], bands[1]])
        np.testing.assert_array_equal(pixels.values, expected)
        assert_same(path, [1, 2, 3])
