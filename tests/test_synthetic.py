import hashlib
from pathlib import Path

import numpy as np
import pytest
import rasterio

from dfc2020_geo.classes import IGBP_TO_DFC2020
from dfc2020_geo.synthetic import (
    write_demo,
    write_dfc2020,
    write_sen12ms,
    write_unlabeled,
)
from dfc2020_geo.synthetic.fields import blur, draw_parcels, random_field
from dfc2020_geo.synthetic.labels import draw_modis_labels, truth_as_igbp
from dfc2020_geo.synthetic.landscape import draw_landscape
from dfc2020_geo.synthetic.regions import (
    CROPLAND,
    FOREST,
    GRASSLAND,
    REGIONS,
    URBAN,
    WATER,
    WETLAND,
)
from dfc2020_geo.synthetic.scenes import SyntheticScene, draw_scene
from dfc2020_geo.synthetic.spectra import MEASURED

pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)

TO_DFC2020 = np.array([*IGBP_TO_DFC2020, *[0] * 238])


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()


@pytest.fixture(scope='module')
def sen12ms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('sen12ms')
    return write_sen12ms(root, size=64, scenes_per_season=3, patches_per_scene=2)


@pytest.fixture(scope='module')
def dfc2020(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('dfc2020')
    return write_dfc2020(root, size=64, num_val=3, num_test=14)


@pytest.fixture(scope='module')
def scenes() -> list[SyntheticScene]:
    return [
        draw_scene(region, (160, 160), 0.8, np.random.default_rng([i, number]))
        for i in range(2)
        for number, region in enumerate(REGIONS.values())
    ]


class TestDeterminism:
    def test_equal_seeds_give_equal_bytes(self, tmp_path: Path) -> None:
        for name, seed in (('a', 1), ('b', 1), ('c', 2)):
            root = tmp_path / name
            write_sen12ms(
                root / 'sen12ms',
                seed=seed,
                size=45,
                seasons=['ROIs1868_summer'],
                scenes_per_season=2,
                patches_per_scene=2,
            )
            write_dfc2020(root / 'dfc2020', seed=seed, size=45, num_val=1, num_test=1)
            write_unlabeled(root / 'unlabeled', seed=seed, size=45, num_patches=2)
        a, b, c = (hashes(tmp_path / name) for name in 'abc')
        assert a == b
        images = {path for path in a if '_s2_' in path}
        assert images
        assert all(a[path] != c.get(path) for path in images)

    def test_a_season_does_not_depend_on_the_others(
        self, sen12ms: Path, tmp_path: Path
    ) -> None:
        write_sen12ms(
            tmp_path,
            size=64,
            seasons=['ROIs1970_fall'],
            scenes_per_season=3,
            patches_per_scene=2,
        )
        alone = hashes(tmp_path / 'ROIs1970_fall')
        assert alone == hashes(sen12ms / 'ROIs1970_fall')


class TestSEN12MS:
    def test_layout(self, sen12ms: Path) -> None:
        folders = sorted(path.name for path in sen12ms.glob('ROIs*'))
        assert folders == [
            'ROIs1158_spring',
            'ROIs1868_summer',
            'ROIs1970_fall',
            'ROIs2017_winter',
        ]
        s2 = list(sen12ms.glob('*/s2_*/*_s2_*_p*.tif'))
        assert len(s2) == 4 * 3 * 2
        for path in s2:
            season, scene = path.parts[-3], path.parts[-2].removeprefix('s2_')
            assert path.name.startswith(f'{season}_s2_{scene}_p')
            for kind in ('s1', 'lc'):
                name = path.name.replace('_s2_', f'_{kind}_')
                assert (path.parents[1] / f'{kind}_{scene}' / name).exists()

    @pytest.mark.parametrize(
        ('kind', 'dtype', 'count'),
        [('s1', 'float32', 2), ('s2', 'uint16', 13), ('lc', 'uint8', 4)],
    )
    def test_types_and_georeferencing(
        self, sen12ms: Path, kind: str, dtype: str, count: int
    ) -> None:
        zones = set()
        for path in sorted(sen12ms.glob(f'*/{kind}_*/*.tif')):
            with rasterio.open(path) as raster:
                assert raster.dtypes == (dtype,) * count
                assert raster.shape == (64, 64)
                assert raster.nodata is None
                assert raster.res == (10, 10)
                assert raster.bounds.left % 1
                assert raster.bounds.top % 1
                zones.add(raster.crs.to_epsg())
        assert len(zones) > 4
        assert {zone // 100 for zone in zones} == {326, 327}

    def test_patches_of_a_scene_lie_side_by_side(self, sen12ms: Path) -> None:
        patches = (sen12ms / 'ROIs1158_spring' / 's2_15').glob('*.tif')
        lefts = []
        for path in patches:
            with rasterio.open(path) as raster:
                lefts.append(raster.bounds.left)
        assert max(lefts) - min(lefts) == pytest.approx(640)

    def test_holdout_scenes_exist_and_are_not_all(self, sen12ms: Path) -> None:
        lines = (sen12ms / 'SEN12MS_holdOutScenes.txt').read_text().splitlines()
        assert lines[0] == 'ROIs1158_spring/s1_63'
        assert len(lines) == 4
        assert all((sen12ms / line).is_dir() for line in lines)
        assert 'ROIs1868_summer/s1_146' not in lines

    def test_nan(self, sen12ms: Path) -> None:
        (broken,) = sen12ms.glob('*/s1_146/ROIs1868_summer_s1_146_p202.tif')
        assert np.isnan(read(broken)).all()
        shares = [
            np.isnan(read(path)).mean()
            for path in sen12ms.glob('*/s1_*/*.tif')
            if path != broken
        ]
        assert sorted(shares)[-4:] == pytest.approx([0.082] * 4, abs=0.01)
        assert sorted(shares)[-5] == 0

    def test_codes(self, sen12ms: Path) -> None:
        labels = np.stack([read(path) for path in sen12ms.glob('*/lc_*/*.tif')])
        assert set(np.unique(labels[:, 0])) <= {*range(1, 18), 255}

    def test_truth_as_labels(self, sen12ms: Path, tmp_path: Path) -> None:
        arguments = {'size': 64, 'scenes_per_season': 3, 'patches_per_scene': 2}
        write_sen12ms(tmp_path, labels='truth', **arguments)
        modis, truth = hashes(sen12ms), hashes(tmp_path)
        same = {path for path in modis if modis[path] == truth[path]}
        assert {path for path in modis if '_lc_' not in path} <= same
        assert len(same) < len(modis)

    @pytest.mark.parametrize(
        ('arguments', 'match'),
        [
            ({'seasons': ['autumn']}, r"got \['autumn'\]"),
            ({'labels': 'none'}, "got 'none'"),
            ({'scenes_per_season': 1}, 'got 1 and 4'),
        ],
    )
    def test_bad_arguments(
        self, tmp_path: Path, arguments: dict[str, object], match: str
    ) -> None:
        with pytest.raises(ValueError, match=match):
            write_sen12ms(tmp_path, **arguments)


class TestDFC2020:
    def test_layout(self, dfc2020: Path) -> None:
        names = {str(path.relative_to(dfc2020)) for path in dfc2020.rglob('*.tif')}
        expected = {
            f'ROIs0000_{season}/{kind}_{folder}/ROIs0000_{season}_{kind}_0_p{i}.tif'
            for season, folder, count in (('validation',) * 2 + (3,), ('test', '0', 14))
            for kind in ('s1', 's2', 'lc', 'dfc')
            for i in range(count)
        }
        assert names == expected

    @pytest.mark.parametrize(
        ('kind', 'dtype', 'count'),
        [
            ('s1', 'float64', 2),
            ('s2', 'uint16', 13),
            ('lc', 'uint8', 4),
            ('dfc', 'int32', 1),
        ],
    )
    def test_types_without_georeferencing(
        self, dfc2020: Path, kind: str, dtype: str, count: int
    ) -> None:
        path = dfc2020 / f'ROIs0000_test/{kind}_0/ROIs0000_test_{kind}_0_p2.tif'
        with rasterio.open(path) as raster:
            assert raster.dtypes == (dtype,) * count
            assert raster.crs.to_epsg() == 4326
            assert raster.transform.is_identity
            assert raster.nodata is None

    def test_truth_has_the_eight_classes_of_the_contest(self, dfc2020: Path) -> None:
        truth = np.stack([read(path) for path in dfc2020.glob('*/dfc_*/*.tif')])
        assert set(np.unique(truth)) == {1, 2, 4, 5, 6, 7, 9, 10}


class TestUnlabeled:
    def test_layout(self, tmp_path: Path) -> None:
        root = write_unlabeled(
            tmp_path / 'tiffs', size=45, num_patches=3, truth_root=tmp_path / 'truth'
        )
        names = {str(path.relative_to(root)) for path in root.rglob('*.tif')}
        ids = ('north', '001'), ('north', '002'), ('south', '001')
        assert names == {f'{k}/{a}_{k}_{i}.tif' for k in ('s1', 's2') for a, i in ids}
        zones = set()
        for path in root.rglob('*.tif'):
            with rasterio.open(path) as raster:
                assert raster.shape == (45, 45)
                zones.add(raster.crs.to_epsg() // 100)
        assert zones == {326, 327}
        assert len(list((tmp_path / 'truth').glob('*_dfc_*.tif'))) == 3


class TestSignals:
    def means(self, scenes: list[SyntheticScene], kind: str, code: int) -> np.ndarray:
        """Return the median over the scenes, since a few are hazy."""
        pixels = [getattr(s, kind)[:, s.truth[0] == code] for s in scenes]
        return np.median([x.mean(axis=1) for x in pixels if x.size], axis=0)

    @pytest.mark.parametrize(
        ('code', 'row'),
        [
            (FOREST, 'forest, August'),
            (GRASSLAND, 'grassland'),
            (CROPLAND, 'cultivated'),
        ],
    )
    def test_reflectance_is_near_the_measured(
        self, scenes: list[SyntheticScene], code: int, row: str
    ) -> None:
        ratio = self.means(scenes, 's2', code) / MEASURED[row]
        visible_and_infrared = [1, 2, 3, 6, 7, 8]
        assert ratio[visible_and_infrared] == pytest.approx(1, abs=0.4)

    def test_water_is_about_between_clear_and_turbid(
        self, scenes: list[SyntheticScene]
    ) -> None:
        mean = self.means(scenes, 's2', WATER)[1:9]
        assert (mean > 0.8 * MEASURED['clear water'][1:9]).all()
        assert (mean < MEASURED['turbid water'][1:9]).all()

    def test_water_is_dark_to_radar_and_towns_are_bright(
        self, scenes: list[SyntheticScene]
    ) -> None:
        land = self.means(scenes, 's1', GRASSLAND)
        assert (self.means(scenes, 's1', WATER) < land - 3).all()
        assert (self.means(scenes, 's1', URBAN) > land + 3).all()

    def test_speckle_is_that_of_about_four_looks(
        self, scenes: list[SyntheticScene]
    ) -> None:
        coast = scenes[1]
        offshore = blur((coast.truth[0] == WATER).astype(float), 3) > 0.9999
        power = 10 ** (coast.s1[0][offshore] / 10)
        assert power.mean() ** 2 / power.var() == pytest.approx(4, abs=1.5)

    def test_the_same_class_differs_between_places(
        self, scenes: list[SyntheticScene]
    ) -> None:
        means = [s.s2[7, s.truth[0] == FOREST].mean() for s in scenes]
        assert 0.05 < np.std(means) / np.mean(means) < 0.4

    def test_bands_have_their_gsd(self, scenes: list[SyntheticScene]) -> None:
        s2 = scenes[0].s2.astype(float)
        rough = np.abs(np.diff(s2, axis=2)).mean(axis=(1, 2)) / s2.mean(axis=(1, 2))
        assert rough[[1, 2, 3, 7]].min() > rough[[0, 9]].max()


class TestLabels:
    def test_cells_are_constant_and_not_aligned(self) -> None:
        rng = np.random.default_rng(3)
        codes = draw_landscape(REGIONS['hills'], (200, 260), rng).codes
        labels = draw_modis_labels(codes, rng)
        for axis in (0, 1):
            change = np.diff(labels.astype(int), axis=axis).any(axis=1 - axis)
            edges = np.flatnonzero(change) + 1
            assert len(edges) > 1
            assert len(set(edges % 50)) == 1
            assert edges[0] % 50

    def test_labels_agree_with_the_truth_in_part(
        self, scenes: list[SyntheticScene]
    ) -> None:
        agree = np.mean([TO_DFC2020[s.lc[0]] == s.truth[0] for s in scenes])
        assert 0.35 < agree < 0.75

    def test_mixed_cells_are_savannas_and_mosaics(self) -> None:
        rng = np.random.default_rng(0)
        codes = rng.choice([FOREST, GRASSLAND], (500, 500), p=[0.45, 0.55])
        labels = draw_modis_labels(codes, rng)
        assert (TO_DFC2020[labels] == 3).mean() > 0.7
        codes = rng.choice([CROPLAND, GRASSLAND], (500, 500), p=[0.55, 0.45])
        assert (draw_modis_labels(codes, rng) == 14).mean() > 0.7

    def test_a_few_pure_cells_are_wrong(self) -> None:
        codes = np.full((1000, 1000), WETLAND)
        labels = draw_modis_labels(codes, np.random.default_rng(0))
        assert 0.05 < (TO_DFC2020[labels] != WETLAND).mean() < 0.3

    def test_truth_as_igbp_goes_back(self) -> None:
        codes = np.arange(1, 11)[None]
        assert TO_DFC2020[truth_as_igbp(codes)].tolist() == codes.tolist()


class TestFields:
    @pytest.mark.parametrize('wavelength', [3, 40, 220])
    @pytest.mark.parametrize('shape', [(45, 45), (64, 130), (1, 9)])
    def test_random_field(self, shape: tuple[int, int], wavelength: float) -> None:
        field = random_field(shape, wavelength, np.random.default_rng(0))
        assert field.shape == shape
        assert field.dtype == np.float32
        assert field.mean() == pytest.approx(0, abs=1e-3)
        assert field.std() == pytest.approx(1, abs=1e-3)

    def test_longer_waves_are_smoother(self) -> None:
        rng = np.random.default_rng(0)
        steps = [
            np.abs(np.diff(random_field((128, 128), wavelength, rng))).mean()
            for wavelength in (3, 12, 40, 200)
        ]
        assert steps == sorted(steps, reverse=True)

    def test_blur_keeps_the_sum_of_a_point(self) -> None:
        image = np.zeros((2, 9, 11), dtype=np.float32)
        image[:, 4, 5] = 1
        blurred = blur(image, 0.8)
        assert blurred.sum(axis=(1, 2)) == pytest.approx(1)
        assert blurred[0, 4, 5] == blurred.max() < 1

    def test_parcels_number_from_0(self) -> None:
        parcel = draw_parcels((90, 120), np.random.default_rng(0))
        assert parcel.shape == (90, 120)
        assert np.array_equal(np.unique(parcel), np.arange(parcel.max() + 1))
        assert 10 < parcel.max() < 400


@pytest.mark.parametrize('name', REGIONS)
@pytest.mark.parametrize('shape', [(45, 45), (17, 90)])
def test_landscapes_of_odd_sizes(name: str, shape: tuple[int, int]) -> None:
    landscape = draw_landscape(REGIONS[name], shape, np.random.default_rng(0))
    assert landscape.codes.shape == landscape.variant.shape == shape
    assert set(np.unique(landscape.codes)) <= {1, 2, 4, 5, 6, 7, 9, 10}
    assert landscape.variant.min() >= 0
    assert landscape.variant.max() <= 1


def test_demo_has_its_three_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {}
    for name in ('write_sen12ms', 'write_dfc2020', 'write_unlabeled'):

        def write(root: Path, **_: object) -> Path:
            written[root.name] = root
            return root

        monkeypatch.setattr(f'dfc2020_geo.synthetic.demo.{name}', write)
    roots = write_demo(tmp_path)
    assert written == {
        'sen12ms': roots.sen12ms,
        'dfc2020': roots.dfc2020,
        'unlabeled': roots.unlabeled,
    }
