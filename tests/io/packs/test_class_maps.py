"""Predictions for packed patches are the files that those of a tree are."""

from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.callbacks import ClassMapWriter
from dfc2020_geo.datasets import DFC2020Patches, PatchDataset, UnlabeledPatches
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.synthetic import write_dfc2020, write_unlabeled
from tests.support.pack_trees import content


def write_maps(dataset: PatchDataset, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    writer = ClassMapWriter(folder, probabilities=True)
    rng = np.random.default_rng(0)
    for index in range(len(dataset)):
        result = {
            'prediction': rng.integers(0, 10, (16, 16)).astype(np.uint8),
            'probabilities': rng.random((10, 16, 16), np.float32),
        }
        writer.write(dataset, index, result)
    return content(folder)


@pytest.mark.parametrize('dataset', [UnlabeledPatches, DFC2020Patches])
def test_maps_take_their_place_from_the_pack(
    tmp_path: Path, dataset: type[PatchDataset]
) -> None:
    root = tmp_path / 't'
    if dataset is UnlabeledPatches:
        write_unlabeled(root, size=16, num_patches=4)
    else:
        write_dfc2020(root, size=16, num_val=1, num_test=2)
    pack_tree(root, tmp_path / 'p')
    of_tree = write_maps(dataset(root), tmp_path / 'maps')
    root.rename(tmp_path / 'elsewhere')
    of_pack = write_maps(dataset(tmp_path / 'p'), tmp_path / 'packed')
    assert len(of_tree) >= 4
    assert of_pack == of_tree
