"""Everything imports and works without the calls that Windows lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT = """
import importlib
import pkgutil
from tests.support.without_posix import hide_posix

hide_posix()
import dfc2020_geo

for module in pkgutil.walk_packages(dfc2020_geo.__path__, 'dfc2020_geo.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
print('imported')
"""

WORK = """
import sys
from pathlib import Path
from tests.support.without_posix import hide_posix

hide_posix()
import numpy as np
from dfc2020_geo.io.packs import open_pack, shards
from dfc2020_geo.main import main
from dfc2020_geo.synthetic import write_dfc2020, write_sen12ms
from tests.support.pack_trees import rasters, write

assert not hasattr(shards.os, 'preadv')
root = Path(sys.argv[1])
write_sen12ms(root / 'sen12ms', size=32, scenes_per_season=2, patches_per_scene=2)
write_dfc2020(root / 'dfc2020', size=32, num_val=2, num_test=2)
main(['pack', '--root', f'{root}/sen12ms', '--out', f'{root}/pack', '--workers', '1'])
main(['pack', '--verify', f'{root}/pack'])
pack = open_pack(root / 'pack')
assert pack is not None and len(rasters(root / 'sen12ms')) == sum(
    len(pack.names(folder)) for folder in pack.manifest.folders
)
data = [f'--data.sen12ms_root={root}/pack', f'--data.dfc2020_root={root}/dfc2020']
quiet = ['--trainer.accelerator=cpu', '--trainer.enable_progress_bar=false']
main(['fit', '--config=demo', *data, *quiet, f'--trainer.logger.save_dir={root}',
      '--trainer.max_epochs=1', '--trainer.check_val_every_n_epoch=1'])
ckpt = str(next(root.rglob('*.ckpt')))
main(['predict', f'--ckpt_path={ckpt}', '--data.predict=dfc2020_test', *data, *quiet,
      '--trainer.logger=false', f'--class_maps.output_dir={root}/maps',
      f'--previews.output_dir={root}/previews'])
assert len([*(root / 'maps').glob('*.tif')]) == 2
generator = np.random.default_rng(0)
for name, (count, dtype) in {'s2': (13, 'uint16'), 's1': (2, 'float32')}.items():
    values = generator.integers(1, 900, (count, 64, 64))
    values = values if name == 's2' else -values / 50
    write(root / f'{name}.tif', values.astype(dtype))
main(['map', '--ckpt', ckpt, '--s2', f'{root}/s2.tif', '--s1', f'{root}/s1.tif',
      '--out', f'{root}/map.tif', '--data.size=32', '--data.overlap=8', *quiet[:1]])
assert (root / 'map.tif').is_file()
print('worked')
"""


def _run(program: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, '-c', program, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_module_is_imported() -> None:
    assert _run(IMPORT).endswith('imported\n')


@pytest.mark.slow
def test_packs_training_class_maps_and_maps_of_scenes_are_made(tmp_path: Path) -> None:
    assert _run(WORK, str(tmp_path)).endswith('worked\n')
