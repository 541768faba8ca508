"""Packs of every version of the format stay readable, to the bit."""

from pathlib import Path

import pytest
import torch

from dfc2020_geo.datasets import SEN12MSPatches
from dfc2020_geo.io.packs import find_damage, open_pack
from dfc2020_geo.io.packs.manifest import VERSION
from dfc2020_geo.io.packs.writing import pack_tree
from tests.support.pack_trees import content, write_sen12ms

PACKS = Path(__file__).parents[2] / 'data/packs'


@pytest.mark.parametrize('name', ['fast', 'compact'])
@pytest.mark.parametrize('version', range(1, VERSION + 1))
def test_a_pack_of_an_older_program_gives_the_samples_of_its_source(
    tmp_path: Path, name: str, version: int
) -> None:
    root = write_sen12ms(tmp_path / 't', num=3, side=6, seed=20, nodata=0)
    pack = open_pack(PACKS / f'v{version}_{name}')
    assert pack is not None
    assert not [*find_damage(pack)]
    for split in ('train', 'holdout'):
        expected = SEN12MSPatches(root, split)
        found = SEN12MSPatches(pack.root, split)
        assert [f.id for f in found.files] == [f.id for f in expected.files]
        for index in range(len(expected)):
            assert found.grid(index) == expected.grid(index)
            for key, values in expected[index].items():
                assert torch.equal(found[index][key], values)


@pytest.mark.parametrize('name', ['fast', 'compact'])
def test_the_same_source_gives_the_same_shards_as_the_first_version(
    tmp_path: Path, name: str
) -> None:
    root = write_sen12ms(tmp_path / 't', num=3, side=6, seed=20, nodata=0)
    pack_tree(root, tmp_path / 'p', name, shard_size=5000)
    written, golden = content(tmp_path / 'p'), content(PACKS / f'v1_{name}')
    assert written.keys() == golden.keys()
    # The manifest has the times of the source.
    for path in written.keys() - {'pack.json'}:
        assert written[path] == golden[path]
