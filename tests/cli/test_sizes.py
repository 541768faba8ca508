"""What files claim to hold is bounded by their headers, before memory is asked for."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio
from rasterio.transform import from_origin

from dfc2020_geo.datasets import PatchDataset, UnlabeledPatches
from dfc2020_geo.io.packs.writing.pack import pack_tree
from dfc2020_geo.io.scenes import open_scene
from dfc2020_geo.main import main
from tests.support.hostile import REAL

#: Height and width that no machine has memory for, and those of a whole scene.
CLAIMS = {'columns': (48, 2_147_483_647), 'rows': (2_147_483_647, 48)}
CLAIMS |= {'both': (60_000, 60_000), 'scene': (10_980, 10_980)}

#: Numbers of the tags of width and height.
_TAGS = {256: 1, 257: 0}

Refused = Callable[..., str]


@pytest.fixture
def tree(baseline_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(baseline_tree / 'tiffs', tmp_path / 'tree'))


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    monkeypatch.chdir(tmp_path)

    def refused(*args: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main([*args])
        assert stop.value.code in (1, 2)
        said = capsys.readouterr().err
        assert 'Traceback' not in said
        (line,) = [line for line in said.splitlines() if 'error: ' in line]
        return line

    return refused


def _claim(path: Path, shape: tuple[int, int]) -> Path:
    """Change what the header of a little-endian TIFF says of its size."""
    content = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from('<I', content, 4)
    (number,) = struct.unpack_from('<H', content, tags)
    for place in range(tags + 2, tags + 2 + 12 * number, 12):
        (tag,) = struct.unpack_from('<H', content, place)
        if tag in _TAGS:
            struct.pack_into('<HII', content, place + 2, 4, 1, shape[_TAGS[tag]])
    path.write_bytes(content)
    return path


def _sparse(path: Path, shape: tuple[int, int]) -> Path:
    """Write a compressed, tiled raster of Sentinel-2 without a pixel."""
    path.unlink(missing_ok=True)
    with rasterio.open(
        path, 'w', driver='GTiff', height=shape[0], width=shape[1], count=13,
        dtype='uint16', crs='EPSG:32632', transform=from_origin(6e5, 5e6, 10, 10),
        SPARSE_OK=True, BIGTIFF='YES', tiled=True, compress='deflate',
    ):  # fmt: skip
        return path


@pytest.mark.parametrize('write', [_claim, _sparse])
@pytest.mark.parametrize('claim', CLAIMS)
def test_a_patch_that_claims_a_scene_is_refused_and_told_of_map(
    tree: Path,
    refused: Refused,
    write: Callable[[Path, tuple[int, int]], Path],
    claim: str,
) -> None:
    path = write(tree / 's2' / 'image_s2_001.tif', CLAIMS[claim])
    height, width = CLAIMS[claim]
    expected = f'at most 2048 pixels a side, got {height} x {width} in {path}; map a '
    lines = [
        refused('predict', f'--ckpt={REAL}', f'--data.unlabeled_root={tree}',
                '--trainer.accelerator=cpu', '--data.num_workers=0'),
        refused('pack', f'--root={tree}', '--out=pack', '--workers=1'),
    ]  # fmt: skip
    for read in (UnlabeledPatches.__getitem__, PatchDataset.read_raw):
        with pytest.raises(RuntimeError) as error:
            read(UnlabeledPatches(tree), 0)
        lines.append(str(error.value))
    for line in lines:
        assert expected in line
        assert 'dfc2020-geo map' in line
        assert f'max_patch_size={max(height, width)}' in line


def test_larger_patches_are_read_where_they_are_asked_for(
    tree: Path, refused: Refused, tmp_path: Path
) -> None:
    command = ['predict', f'--ckpt={REAL}', f'--data.unlabeled_root={tree}']
    command += ['--trainer.accelerator=cpu', '--data.num_workers=0']
    assert 'at most 47 pixels' in refused(*command, '--data.max_patch_size=47')
    main([*command, '--data.max_patch_size=48', '--previews.max_previews=0'])
    dataset = UnlabeledPatches(tree)
    dataset.max_patch_size = 47
    with pytest.raises(RuntimeError, match='at most 47 pixels'):
        dataset[0]
    with pytest.raises(RuntimeError, match='at most 47 pixels'):
        pack_tree(tree, tmp_path / 'pack', max_patch_size=47)
    assert pack_tree(tree, tmp_path / 'pack', max_patch_size=48).num_files


def test_a_scene_of_more_columns_than_any_is_refused(
    tree: Path, refused: Refused
) -> None:
    path = _sparse(tree / 's2' / 'image_s2_001.tif', CLAIMS['columns'])
    expected = f'at most 200000 pixels a side, got 48 x 2147483647 in {path}'
    assert expected in refused(
        'map', f'--ckpt={REAL}', '--s2', str(path), '--s1', str(path)
    )
    with pytest.raises(RuntimeError, match='max_scene_size 2147483647'):
        open_scene(path, bands=['s2'])
    assert open_scene(path, bands=['s2'], max_scene_size=2**31).grid.width == 2**31 - 1


#: Nine to the ninth values, by aliases.
BOMB = 'a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n' + ''.join(
    f'{name}: &{name} [{", ".join([f"*{last}"] * 9)}]\n'
    for last, name in zip('abcdefgh', 'bcdefghi', strict=True)
)


@pytest.mark.parametrize(
    'flag',
    ['config', 'data', 'model', 'trainer', 'trainer.callbacks', 'trainer.logger',
     'data.augmentations', 'model.optimizer'],
)  # fmt: skip
def test_aliases_of_yaml_are_bounded_wherever_it_is_read(
    refused: Refused, tmp_path: Path, flag: str
) -> None:
    (tmp_path / 'bomb.yaml').write_text(BOMB)
    line = refused('fit', f'--{flag}=bomb.yaml')
    assert 'Expected YAML of at most 100000 values, got more' in line


def test_aliases_of_yaml_are_bounded_in_flags_and_in_files_of_configs(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / 'bomb.yaml').write_text(BOMB)
    (tmp_path / 'run.yaml').write_text('trainer: {callbacks: bomb.yaml}')
    inline = '{' + ','.join(BOMB.splitlines()) + '}'
    for flag in ('--config=run.yaml', f'--data.cities={inline}'):
        assert 'at most 100000 values' in refused('fit', flag)


@pytest.mark.parametrize('name', ['sen12ms_root', 'dfc2020_root', 'val_root'])
def test_a_folder_without_a_name_is_no_folder(
    refused: Refused, tmp_path: Path, name: str
) -> None:
    (tmp_path / 'run.yaml').write_text(f"data: {{{name}: ''}}")
    for flag in (f'--data.{name}=', '--config=run.yaml'):
        assert f'Expected a folder for data.{name}' in refused('fit', flag)
    with pytest.raises(FileNotFoundError, match='got an empty name'):
        UnlabeledPatches('')
