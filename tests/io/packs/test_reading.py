"""A pack is read as its source is: numbers, types, places, errors."""

import json
import os
import pickle
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from dfc2020_geo.datasets import (
    DFC2020Patches,
    PatchesNotFoundError,
    SEN12MSPatches,
    UnlabeledPatches,
)
from dfc2020_geo.io.packs import Pack, open_pack, shards
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.io.rasters import read_grid, read_raw
from dfc2020_geo.synthetic import write_dfc2020, write_unlabeled
from tests.support.pack_trees import KINDS, rasters, write, write_sen12ms

FORMATS = ('fast', 'compact')
TYPES = ('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64')
TYPES += ('float32', 'float64')


def make(root: Path, out: Path, name: str = 'fast', **settings: Any) -> Pack:
    pack_tree(root, out, name, **settings)
    pack = open_pack(out)
    assert pack is not None
    return pack


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    shape = tuple(draw(st.tuples(*[st.integers(1, n) for n in (5, 9, 9)])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(['noise', 'smooth', 'small', 'constant']))
    if kind == 'noise':
        return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[
            ..., 0
        ]
    if kind == 'constant':
        return np.full(shape, rng.integers(0, 99), dtype)
    low = rng.integers(0, 17, shape)
    return (low if kind == 'small' else np.cumsum(low, -1)).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(
    arrays(),
    st.sampled_from(FORMATS),
    st.sampled_from([None, 0, 3, 255]),
    st.sampled_from(['band', 'pixel']),
    st.sampled_from([None, 'deflate', 'lzw']),
    st.sampled_from(['EPSG:32633', None, 'EPSG:4326', '+proj=ortho +lat_0=3']),
    st.data(),
)
def test_bands_come_back_as_they_were(
    values: np.ndarray,
    name: str,
    nodata: int | None,
    interleave: str,
    compress: str | None,
    crs: str | None,
    data: st.DataObject,
) -> None:
    if nodata is not None and values.dtype.kind == 'i' and nodata > 127:
        nodata = None
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, 'tree'), Path(folder, 'pack')
        profile = {'nodata': nodata, 'interleave': interleave, 'crs': crs}
        path = write(root / 'x/y.tif', values, compress=compress, **profile)
        pack = make(root, out, name)
        count = len(values)
        indexes = data.draw(st.lists(st.integers(1, count), min_size=1, max_size=6))
        expected = read_raw(path, indexes, count)
        found = pack.read_raw(out / 'x/y.tif', indexes, count)
        assert found[1:] == expected[1:]
        same = {'float64', 'int32', 'int64', 'uint32', 'uint64'}
        if expected.values.dtype.name not in same:
            assert found.values.dtype == expected.values.dtype
        # Where it is stored in a narrower type, each number is the same.
        wide = found.values.astype(expected.values.dtype)
        if wide.dtype == found.values.dtype:
            assert wide.tobytes() == expected.values.tobytes()
        np.testing.assert_array_equal(wide, expected.values)
        buffer = np.empty_like(found.values)
        again = pack.read_raw(str(out / 'x/y.tif'), indexes, out=buffer)
        assert again.values is buffer
        assert buffer.tobytes() == found.values.tobytes()
        other = np.empty((len(indexes), 99, 1), np.float32)
        assert pack.read_raw(out / 'x/y.tif', indexes, out=other).values is not other
        assert pack.grid(out / 'x/y.tif') == read_grid(path)


def test_numbers_that_need_their_type_keep_it(tmp_path: Path) -> None:
    wide = {
        'float64': [0.1, 2.0],
        'int32': [-1, 4],
        'uint32': [256, 4],
        'int64': [2**40, 1],
    }
    narrow = {
        'float64': [np.nan, -0.0],
        'int32': [0, 255],
        'uint32': [1, 2],
        'int64': [7, 7],
    }
    for number, (name, values) in enumerate([*wide.items(), *narrow.items()]):
        write(tmp_path / f't/{number}.tif', np.array([[values]], name))
    pack = make(tmp_path / 't', tmp_path / 'p')
    found = [pack.read_raw(f'{number}.tif', [1]).values for number in range(8)]
    assert [f.dtype.name for f in found[:4]] == [*wide]
    assert [f.dtype.name for f in found[4:]] == ['float32', 'uint8', 'uint8', 'uint8']
    assert np.signbit(found[4][0, 0, 1])


def test_a_nodata_that_a_narrower_type_lacks_keeps_the_type(tmp_path: Path) -> None:
    # In float32 both would be the same number.
    value = 1.0
    write(tmp_path / 't/a.tif', np.full((1, 2, 2), value), nodata=value + 1e-12)
    write(tmp_path / 't/b.tif', np.full((1, 2, 2), value), nodata=np.nan)
    pack = make(tmp_path / 't', tmp_path / 'p')
    kinds = [pack.profile(name).dtype for name in ('a.tif', 'b.tif')]
    assert kinds == ['float64', 'float32']


def test_nodata_beside_a_file_is_packed(tmp_path: Path) -> None:
    text = (
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>5</NoDataValue>'
        '</PAMRasterBand></PAMDataset>'
    )
    path = write(tmp_path / 't/a.tif', np.ones((1, 2, 2), 'uint8'), text)
    pack = make(tmp_path / 't', tmp_path / 'p')
    assert read_raw(path, [1]).nodata == 5
    assert pack.read_raw('a.tif', [1]).nodata == 5


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize('bands', [['s2', 's1'], ['B04', 'VH'], ['s1']], ids=str)
def test_samples_are_the_same_bits(tmp_path: Path, name: str, bands: list[str]) -> None:
    write_sen12ms(tmp_path / 'sen')
    write_dfc2020(tmp_path / 'dfc', size=32, num_val=2, num_test=3)
    write_unlabeled(tmp_path / 'own', size=32, num_patches=3)
    for make_dataset, root, splits in (
        (SEN12MSPatches, 'sen', ('train', 'holdout')),
        (DFC2020Patches, 'dfc', ('val', 'test')),
        (UnlabeledPatches, 'own', (None,)),
    ):
        make(tmp_path / root, tmp_path / f'{root}_pack', name, shard_size=30_000)
        for split in splits:
            arguments: dict[str, Any] = {'split': split} if split else {}
            tree = make_dataset(tmp_path / root, bands=bands, **arguments)
            pack = make_dataset(tmp_path / f'{root}_pack', bands=bands, **arguments)
            assert [f.id for f in tree.files] == [f.id for f in pack.files]
            for index in range(len(tree)):
                assert pack.grid(index) == tree.grid(index)
                for key, value in tree[index].items():
                    assert torch.equal(
                        pack[index][key].view(torch.uint8), value.view(torch.uint8)
                    )


def test_other_programs_read_shards(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    make(root, tmp_path / 'p', shard_size=20_000)
    found = {}
    for path in (tmp_path / 'p/shards').glob('0*.safetensors'):
        with safe_open(path, 'np') as shard:
            found |= {key: shard.get_tensor(key) for key in shard.keys()}  # noqa: SIM118
            assert shard.metadata()['format'] == 'fast'
    assert sorted(found) == rasters(root)
    for name, values in found.items():
        with rasterio.open(root / name) as raster:
            np.testing.assert_array_equal(values, raster.read())
            assert values.dtype == raster.dtypes[0]
    with safe_open(tmp_path / 'p/shards/index.safetensors', 'np') as table:
        assert len(table.get_tensor('kind')) == len(found)


@pytest.mark.parametrize('size', [1, 20_000, 10**9])
def test_files_of_a_patch_lie_beside_each_other(tmp_path: Path, size: int) -> None:
    root = write_sen12ms(tmp_path / 't', num=6)
    pack = make(root, tmp_path / 'p', shard_size=size)
    order = [p for i in range(len(pack.manifest.shards)) for p in pack.in_shard(i)]
    assert sorted(order) == rasters(root)
    for number in range(len(pack.manifest.shards)):
        with safe_open(tmp_path / f'p/shards/{number:05}.safetensors', 'np') as shard:
            names = sorted(shard.keys())
        patches = [re.sub('_(s1|s2|lc)_', '_', Path(name).stem) for name in names]
        assert all(patches.count(patch) == len(KINDS) for patch in patches)


def test_a_pack_lies_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(write_sen12ms(tmp_path / 't'), tmp_path / 'p')
    (tmp_path / 'moved').mkdir()
    os.rename(tmp_path / 'p', tmp_path / 'moved/p')
    expected = SEN12MSPatches(tmp_path / 't')[0]['image']
    for root in (tmp_path / 'moved/p', f'file://{tmp_path}/moved/p', 'p', './p/', '.'):
        monkeypatch.chdir(tmp_path / ('moved/p' if root == '.' else 'moved'))
        dataset = SEN12MSPatches(root)
        assert torch.equal(dataset[0]['image'], expected)
        assert torch.equal(pickle.loads(pickle.dumps(dataset))[0]['image'], expected)


def test_copies_for_workers_are_small(tmp_path: Path) -> None:
    sizes = []
    for num in (4, 40):
        pack = make(write_sen12ms(tmp_path / f't{num}', num, 4), tmp_path / f'p{num}')
        sizes.append(len(pickle.dumps(pack)))
    assert sizes[1] - sizes[0] <= 2


def test_threads_read_at_the_same_time(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=8)
    pack = make(root, tmp_path / 'p', 'compact', shard_size=1)
    expected = {name: read_raw(root / name, [2, 1]).values for name in rasters(root)}

    def read(name: str) -> bool:
        return np.array_equal(pack.read_raw(name, [2, 1]).values, expected[name])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, [*expected] * 20))


def test_more_shards_than_may_be_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, 'NUM_OPEN', 50)
    write_sen12ms(tmp_path / 't', num=120, side=2)
    pack = make(tmp_path / 't', tmp_path / 'p', shard_size=1)
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(2):
        for name in rasters(tmp_path / 't'):
            pack.read_raw(name, [1])
    assert len(pack.manifest.shards) == 120
    # Before Python 3.13, a mapping opens its file once more.
    files = 1 if sys.version_info >= (3, 13) else 2
    assert len(os.listdir('/proc/self/fd')) - before <= 50 * files


def test_errors_are_those_of_a_tree(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    name = 'ROIs1158_spring/s1_1/ROIs1158_spring_s1_1_p2.tif'
    write(root / name, np.ones((3, 24, 24), 'float32'))
    make(root, tmp_path / 'p')
    for folder in ('t', 'p'):
        with pytest.raises(RuntimeError, match=f'2 bands, got 3 in .*/{folder}/{name}'):
            SEN12MSPatches(tmp_path / folder)[1]
        with pytest.raises(
            PatchesNotFoundError, match=rf'split zips.* in .*/{folder}, got only'
        ):
            DFC2020Patches(tmp_path / folder)
    with pytest.raises(RuntimeError, match=r'missing one: nowhere/x.tif'):
        open_pack(tmp_path / 'p').read_raw('nowhere/x.tif', [1])
    os.remove(root / name)
    make(root, tmp_path / 'q')
    for folder in ('t', 'q'):
        with pytest.raises(PatchesNotFoundError, match=r'1 .* files without s1'):
            SEN12MSPatches(tmp_path / folder)


def test_patches_of_other_sizes_and_a_missing_list(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    write_sen12ms(root, num=1, side=7)
    (root / 'SEN12MS_holdOutScenes.txt').unlink()
    make(root, tmp_path / 'p')
    with pytest.raises(PatchesNotFoundError, match=r'SEN12MS_holdOutScenes.txt'):
        SEN12MSPatches(tmp_path / 'p')
    (tmp_path / 'p/SEN12MS_holdOutScenes.txt').write_text('ROIs1868_summer/s1_1\n')
    sizes = {tuple(s['mask'].shape) for s in SEN12MSPatches(tmp_path / 'p')}
    assert sizes == {(7, 7), (24, 24)}


def test_another_version_is_told(tmp_path: Path) -> None:
    make(write_sen12ms(tmp_path / 't', num=2), tmp_path / 'p')
    path = tmp_path / 'p/pack.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'version': 2}))
    with pytest.raises(RuntimeError, match=r'pack of version 1, got 2 in .*pack.json'):
        open_pack(tmp_path / 'p')
