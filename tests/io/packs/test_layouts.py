"""A pack of any layout and encoding gives the samples of its tree, and its messages."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfc2020_geo.datasets import (
    DFC2020Patches,
    PatchDataset,
    PatchesNotFoundError,
    SEN12MSPatches,
    UnlabeledPatches,
)
from dfc2020_geo.datasets.indexing.packed import PackTree
from dfc2020_geo.datasets.indexing.trees import FolderTree, Tree
from dfc2020_geo.io.packs import open_pack
from dfc2020_geo.io.packs.writing import pack_tree
from tests.support.pack_trees import KINDS, write, write_sen12ms

TYPES = KINDS | {'dfc': (1, 'int32')}
ENCODINGS: list[dict[str, Any]] = [
    {'interleave': 'pixel', 'compress': 'lzw'},
    {'interleave': 'band', 'compress': 'deflate', 'predictor': 2, 'nodata': 3},
    {'interleave': 'pixel', 'nodata': 0, 'BIGTIFF': 'YES'},
]
LISTED = 'ROIs0000_test_dfc_0_p{}.tif\n'


def write_patches(
    root: Path, form: str, numbers: Sequence[int], **profile: Any
) -> None:
    """Write patches of odd sizes; *form* has {kind} and {number} in it."""
    rng = np.random.default_rng(len(form))
    for number in numbers:
        for kind, (count, dtype) in TYPES.items():
            profile |= {'predictor': 1} if dtype == 'float32' else {}
            values = rng.integers(0, 11, (count, 5 + number, 7)).astype(dtype)
            if dtype == 'float32':
                values[rng.random(values.shape) < 0.1] = np.nan
            values[:] = np.maximum(values, 1) if kind in ('lc', 'dfc') else values
            write(root / form.format(kind=kind, number=number), values, **profile)


def write_layouts(root: Path, **profile: Any) -> list[tuple[type, str, list[str]]]:
    """Write each packaging; return datasets, folders and splits."""
    form = '{0}/{{kind}}_{1}/{0}_{{kind}}_{1}_p{{number}}.{2}'
    for season, scene, end, numbers in (
        ('ROIs1158_spring', 1, 'tif', range(3)),
        ('ROIs1158_spring', 2, 'tif', [4]),
        ('ROIs2017_winter', 1, 'TIF', [1, 2]),
    ):
        files = form.format(season, scene, end)
        write_patches(root / 'sen/data', files, numbers, **profile)
    (root / 'sen/SEN12MS_holdOutScenes.txt').write_text('ROIs2017_winter/s1_1\n')
    for phase in ('validation', 'test'):
        form = (
            f'ROIs0000_{phase}/{{kind}}_{phase}/ROIs0000_{phase}_{{kind}}_0_p{{number}}'
        )
        write_patches(root / 'zips', f'{form}.tif', range(2), **profile)
    form = 'ROIs0000_autumn/{kind}_Mumbai/ROIs0000_autumn_{kind}_Mumbai_p{number}.tif'
    write_patches(root / 'public/DFC_Public_Dataset', form, range(2), **profile)
    form = '{kind}/ROIs0000_test_{kind}_0_p{number}.tif'
    write_patches(root / 'bench/dfc2020_s1s2', form, range(4), **profile)
    for part, numbers in {'train': [0, 2], 'val': [1], 'test': [3]}.items():
        text = ''.join(map(LISTED.format, numbers))
        (root / f'bench/dfc2020_s1s2/dfc-{part}-new.csv').write_text(text)
    write_patches(root / 'own', '{kind}/a_{kind}_{number}.tiff', range(2), **profile)
    parts = [f'copernicus-{part}' for part in ('train', 'val', 'test')]
    return [
        (SEN12MSPatches, 'sen', [*SEN12MSPatches.splits]),
        (DFC2020Patches, 'zips', ['val', 'test']),
        (DFC2020Patches, 'public', ['all']),
        (DFC2020Patches, 'bench', parts),
        (UnlabeledPatches, 'own', ['predict']),
    ]


def bits(arrays: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    found = {key: np.asarray(value) for key, value in arrays.items()}
    return {k: (v.dtype.name, v.shape, v.tobytes()) for k, v in found.items()}


def require_same(tree: PatchDataset, pack: PatchDataset) -> None:
    assert len(tree) == len(pack) > 0
    for index in range(len(tree)):
        here, there = tree.files[index], pack.files[index]
        assert (here.id, here.scene) == (there.id, there.scene)
        assert here.image.relative_to(tree.root) == there.image.relative_to(pack.root)
        assert bits(pack[index]) == bits(tree[index])
        assert bits(pack.read_raw(index)) == bits(tree.read_raw(index))
        assert pack.grid(index) == tree.grid(index)
        assert pack.prediction_id(index) == tree.prediction_id(index)


@pytest.mark.parametrize('encoding', ENCODINGS, ids=str)
@pytest.mark.parametrize('name', ['fast', 'compact'])
def test_samples_of_all_packagings_and_splits_are_those_of_the_tree(
    tmp_path: Path, name: str, encoding: dict[str, Any]
) -> None:
    for dataset, folder, splits in write_layouts(tmp_path, **encoding):
        pack = tmp_path / f'{folder}_pack'
        pack_tree(tmp_path / folder, pack, name, shard_size=5000)
        for split in splits:
            for bands in (['s2', 's1'], ['s1'], ['VH', 'B12', 'B02']):
                chosen = {'bands': bands}
                if dataset is not UnlabeledPatches:
                    chosen['split'] = split
                require_same(
                    dataset(tmp_path / folder, **chosen), dataset(pack, **chosen)
                )


def list_all(tree: Tree, folder: str = '') -> list[str]:
    folders, names = tree.scan(folder)
    start = f'{folder}/' if folder else ''
    inner = [path for name in folders for path in list_all(tree, start + name)]
    return [start + name for name in names] + inner


def test_a_pack_holds_what_datasets_find_in_odd_trees(tmp_path: Path) -> None:
    root, one = tmp_path / 't', np.ones((1, 2, 2), 'uint8')
    names = [
        'a.tif', 'A.TIF', 'b.TiFf', 'x/a.tif', 'x/B.TIFF', 'x.tif/y.tif', 'é/a.tif',
        '.hidden/a.tif', 'x/._a.tif', '__MACOSX/a.tif', 'x/__MACOSX/b.tif', 'x y/c.tif',
        'x/a.tif.aux/z.tif', 'deep/1/2/3/4/a.tif', 'only/.a.tif', 'flat/1.tif',
        'flat/2.tif',
    ]  # fmt: skip
    for name in names:
        write(root / name, one)
    for name in ('x/a.tif.aux.xml', 'x/a.tif.ovr', 'x/notes', 'a.tif.zip', 'x/b.tfw'):
        (root / name).write_text('...')
    (root / 'linked').symlink_to(root / 'flat')
    (root / 'flat/3.tif').symlink_to(root / 'a.tif')
    (root / 'x/link.tif').symlink_to(root / 'flat')
    (root / 'empty').mkdir()
    pack_tree(root, tmp_path / 'p')
    found = list_all(PackTree(open_pack(tmp_path / 'p')))
    assert sorted(found) == sorted(list_all(FolderTree(root)))
    assert {'linked/3.tif', 'x/link.tif/2.tif', 'b.TiFf', 'x.tif/y.tif'} < {*found}
    assert len(found) == len({*found}) < len(names) + 8


def test_a_circle_of_links_is_packed_once(tmp_path: Path) -> None:
    root, one = tmp_path / 't', np.ones((1, 2, 2), 'uint8')
    write(root / 'x/a.tif', one)
    write(tmp_path / 'away/b.tif', one)
    (root / 'self').symlink_to('.')
    (root / 'x/up').symlink_to(root)
    (root / 'away').symlink_to(tmp_path / 'away')
    (tmp_path / 'away/back').symlink_to(root)
    pack_tree(root, tmp_path / 'p')
    tree = PackTree(open_pack(tmp_path / 'p'))
    assert sorted(list_all(tree)) == ['away/b.tif', 'x/a.tif']


def test_a_list_that_has_changed_is_not_read(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    text = root / 'SEN12MS_holdOutScenes.txt'
    text.write_text('ROIs1868_summer/s1_1\nROIs1158_spring/s1_3\n')
    pack_tree(root, tmp_path / 'p')
    path = tmp_path / 'p' / text.name
    # One bit, and another scene would be held out.
    path.write_text(text.read_text().replace('s1_3', 's1_1'))
    with pytest.raises(RuntimeError, match=f'Expected {path} as it was packed, got a'):
        SEN12MSPatches(tmp_path / 'p')
    path.unlink()
    with pytest.raises(RuntimeError, match=rf'{path} as it .*\(No such file'):
        SEN12MSPatches(tmp_path / 'p')


@pytest.mark.parametrize('make', [DFC2020Patches, UnlabeledPatches])
def test_messages_list_what_the_tree_holds(tmp_path: Path, make: type) -> None:
    root = write_sen12ms(tmp_path / 't')
    write(root / 'shards/x.tif', np.ones((1, 2, 2), 'uint8'))
    pack_tree(root, tmp_path / 'p')
    told = []
    for folder in ('t', 'p'):
        with pytest.raises(PatchesNotFoundError) as error:
            make(tmp_path / folder)
        told.append(str(error.value).replace(str(tmp_path / folder), 'ROOT'))
    assert told[0] == told[1]
    names = 'ROIs1158_spring, ROIs1868_summer, SEN12MS_holdOutScenes.txt and 1 more'
    assert f' in ROOT, got only {names}. ' in told[1]


def test_a_missing_list_is_looked_for_where_it_should_be(tmp_path: Path) -> None:
    form = '{kind}/ROIs0000_test_{kind}_0_p{number}.tif'
    home = 'dfc2020_s1s2'
    write_patches(tmp_path / 't' / home, form, [0])
    (tmp_path / 't' / home / 'readme.txt').write_text('...')
    pack_tree(tmp_path / 't', tmp_path / 'p')
    for folder in ('t', 'p'):
        with pytest.raises(
            PatchesNotFoundError,
            match=re.escape(f'in {tmp_path / folder / home}, got only dfc, lc, readme'),
        ):
            DFC2020Patches(tmp_path / folder, split='copernicus-val')
