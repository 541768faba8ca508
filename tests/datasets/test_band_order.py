"""Patches are read in the order that their files tell, or refused."""

import logging
from pathlib import Path

import numpy as np
import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datasets import UnlabeledPatches
from dfc2020_geo.main import main
from tests.support.scene_files import decibels, write
from tests.support.surfaces import draw, reorder

S2 = BAND_SETS['s2']
EUROSAT = ' '.join(sorted(S2))


def write_patches(root: Path, order: str, describe: bool = False) -> Path:
    names = order.split()
    for number, surface in enumerate(('meadow', 'lake', 'dunes')):
        image = reorder(draw(surface), order)
        told = names if describe else None
        write(root / 's2' / f'{number}.tif', image, descriptions=told)
    return root


def test_the_usual_order_is_read(tmp_path: Path) -> None:
    dataset = UnlabeledPatches(write_patches(tmp_path, ' '.join(S2)), bands=['s2'])
    assert np.array_equal(dataset[0]['image'], draw('meadow'))


def test_another_order_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_patches(tmp_path, EUROSAT)
    match = r"0\.tif and others, got values that contradict.*EuroSAT's order"
    for read in (lambda d: d[0], lambda d: d.read_raw(1)):
        with pytest.raises(RuntimeError, match=match):
            read(UnlabeledPatches(root, bands=['s2']))
    datamodule = LandCoverDataModule(
        predict='unlabeled', unlabeled_root=root, bands=['s2'], num_workers=0
    )
    with pytest.raises(RuntimeError, match=match):
        datamodule.setup('predict')
    baseline = LandCoverDataModule(
        predict='unlabeled',
        unlabeled_root=root,
        bands=['s2'],
        num_workers=0,
        check='warn',
    )
    with caplog.at_level(logging.WARNING):
        baseline.setup('predict')
    assert 'got values that contradict it' in caplog.text


def test_descriptions_count(tmp_path: Path) -> None:
    root = write_patches(tmp_path, EUROSAT, describe=True)
    for number in range(3):
        image = decibels(40, 40)
        write(
            root / 's1' / f'{number}.tif', image[::-1].copy(), descriptions=['VH', 'VV']
        )
    dataset = UnlabeledPatches(root, bands=['B04', 'B8A', 'B12', 's1'])
    expected = draw('lake')[[S2.index(name) for name in ('B04', 'B8A', 'B12')]]
    assert np.array_equal(dataset[1]['image'][:3], expected)
    assert np.array_equal(dataset[1]['image'][3:], decibels(40, 40))
    raw = dataset.read_raw(1)
    assert np.array_equal(raw['s2'], expected)
    assert np.array_equal(raw['s1'], decibels(40, 40))


def test_a_pack_has_the_usual_order(tmp_path: Path) -> None:
    root = write_patches(tmp_path / 'tree', EUROSAT, describe=True)
    main(['pack', '--root', str(root), '--out', str(tmp_path / 'pack'), '--workers=1'])
    dataset = UnlabeledPatches(tmp_path / 'pack', bands=['s2'])
    assert np.array_equal(dataset[1]['image'], draw('lake'))


def test_what_names_say_of_patches_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / 'S2A_MSIL2A_20230510T101031_N0509_R022_T32TNS'
    UnlabeledPatches(write_patches(root, ' '.join(S2)), bands=['s2'])[0]
    first, second = caplog.messages
    assert 'processing baseline 05.09 by the name S2A_MSIL2A' in first
    assert 'got Level-2A by the name S2A_MSIL2A' in second
