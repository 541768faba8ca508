"""Maps of scenes behind signed addresses."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer

from dfc2020_geo.datasets import Sentinel2Scenes
from dfc2020_geo.inference import map_scene
from dfc2020_geo.io.scenes import open_scene
from dfc2020_geo.main import main
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support.scene_files import write_s2
from tests.support.signed_server import serve_signed

SIZE = {'size': 32, 'overlap': 0, 'batch_size': 1}
CPU: dict[str, Any] = {'accelerator': 'cpu', 'enable_progress_bar': False}
SIGNATURE = 'sig=ab%2Bc%2Fd%3D'


class _Stop(Callback):
    """Stops in the middle, as when a signature expires."""

    def on_predict_batch_end(self, *args: Any) -> None:
        if args[4] == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = LandCoverSegmentation(['B04'], model='fcn', num_filters=2, backbone='none')
    path = tmp_path_factory.mktemp('network') / 'model.ckpt'
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path, weights_only=True)
    return path


def _begin(checkpoint: Path, address: str, output: Path) -> None:
    trainer = {**CPU, 'callbacks': [_Stop()]}
    with pytest.raises(SystemExit):
        map_scene(checkpoint, address, None, output, data=SIZE, trainer=trainer)


def test_a_map_goes_on_with_a_fresh_signature(
    checkpoint: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, output = tmp_path / 'served', tmp_path / 'map.tif'
    s2 = write_s2(folder / 'S2A_20240101T101010.tif', 96, 32)
    map_scene(checkpoint, s2, None, tmp_path / 'whole.tif', data=SIZE, trainer=CPU)
    with serve_signed(folder) as server:
        address = f'{server}/{s2.name}?st={{}}&{SIGNATURE}'
        _begin(checkpoint, address.format(22), output)
        for file in (tmp_path / 'map.tif.part').iterdir():
            assert b'sig=' not in file.read_bytes()
        options = [f'--data.{name}={value}' for name, value in SIZE.items()]
        command = ['map', '--ckpt', str(checkpoint), '--out', str(output), *options]
        # Without --overwrite: another file of this address is refused, and named.
        write_s2(s2, 96, 32, compress='deflate')
        with pytest.raises(SystemExit):
            main([*command, '--s2', address.format(23)])
        assert f'sources {server}/{s2.name} size (' in capfd.readouterr().err
        write_s2(s2, 96, 32)
        main([*command, '--s2', address.format(24)])
    assert output.read_bytes() == (tmp_path / 'whole.tif').read_bytes()
    said = caplog.text + ''.join(capfd.readouterr())
    assert 'S2A_20240101T101010.tif' in said
    assert 'sig=' not in said
    assert 'sig=' not in (tmp_path / 'map.json').read_text(encoding='utf-8')


def test_messages_are_without_signatures_and_say_what_to_do(tmp_path: Path) -> None:
    with serve_signed(tmp_path) as server:
        for way_in in (open_scene, Sentinel2Scenes):
            with pytest.raises(RuntimeError, match='sign the address anew') as error:
                way_in(f'{server}/s2.tif?sig=expired', bands=['B04'])
            assert 'sig' not in str(error.value).replace('sign', '')


def test_training_reads_signed_addresses(tmp_path: Path) -> None:
    s2 = write_s2(tmp_path / 's2.tif')
    with serve_signed(tmp_path) as server:
        scenes = Sentinel2Scenes(f'{server}/s2.tif?{SIGNATURE}', bands=['B04'])
        here = Sentinel2Scenes(s2, bands=['B04'])
        assert (scenes[scenes.bounds]['image'] == here[here.bounds]['image']).all()
