"""The datamodule that serves whole scenes for prediction, tile by tile."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import DataLoader
from torchgeo.datamodules import BaseDataModule

from ..bands import DEFAULT_BANDS, NanPolicy
from ..datamodules.base import PendingSelector, choose_num_workers
from ..datamodules.checks import require_choice, takes_fills, tell_findings
from ..datamodules.loading.skipping import OnError
from ..io.scenes import ResamplingName, Scene, check_scene, limit_cache, open_scene
from ..io.scenes.headers import MAX_SCENE_SIZE
from ..io.scenes.products import SceneImages
from ..io.value_checks import CheckMode, Flags
from ..models.contract import data_contract
from ..samplers.tiling import Blending
from ..transforms import ScaleBands
from .find_scenes import find_scenes
from .tiles import SceneBatch, SceneTiles

#: Room for blocks in GDAL's cache, in bytes: what is enough for files without
#: compression, and the most that is taken for others.
_CACHE = (64 * 2**20, 2**30)

#: How a user can say what the numbers mean.
FLAGS = Flags('--s2_offset', '--s1_power', '--s1_bands', '--s2_bands')

#: Text comes first: a path would make one slash of two in ``/vsizip//data/a.zip``.
SceneSource = str | Path | Sequence[str | Path]


class ReadAhead:
    """The batches of a set, each read while the one before is at work.

    A thread reads, so nothing is copied between processes and files stay open.
    """

    def __init__(
        self, dataset: Any, prepare: Callable[[SceneBatch], SceneBatch] | None = None
    ) -> None:
        """Initialize a new ReadAhead instance.

        Args:
            dataset: What is read, in its order: a set of batches, one or more, that
                has a length and reads one at each index.
            prepare: What the thread does with each batch then.
        """
        self.dataset, self.prepare = dataset, prepare

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[SceneBatch]:
        """Yield the batches in their order."""
        with ThreadPoolExecutor(max_workers=1) as reader:
            batch = reader.submit(self._read, 0)
            for index in range(1, len(self)):
                ahead = reader.submit(self._read, index)
                yield batch.result()
                batch = ahead
            yield batch.result()

    def _read(self, index: int) -> SceneBatch:
        batch = self.dataset[index]
        return self.prepare(batch) if self.prepare else batch


class SceneDataModule(BaseDataModule):
    """Predict scenes of any size: a file, a product, a directory or a list of them.

    Scenes are read window by window, each on the grid of its Sentinel-2 bands; none is
    reprojected to another's.
    """

    def __init__(
        self,
        s2: SceneSource | None = None,
        s1: SceneSource | None = None,
        s2_bands: Sequence[str] | str | None = None,
        s1_bands: Sequence[str] | str | None = None,
        s2_offset: float | None = None,
        s1_power: bool = False,
        resampling: ResamplingName = 'bilinear',
        bands: Sequence[str] | str = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        nan: NanPolicy = 'lowest',
        size: int = 512,
        overlap: int = 64,
        blending: Blending = 'cosine',
        batch_size: int = 2,
        num_workers: int = 0,
        max_scene_size: int = MAX_SCENE_SIZE,
        check: CheckMode = 'error',
        on_error: OnError = 'skip',
    ) -> None:
        """Initialize a new SceneDataModule instance.

        Args:
            s2: Sentinel-2: a file of several bands, one file per band, a ``.SAFE``
                product, a directory or a list of these; paths of GDAL's virtual file
                systems as well.
            s1: Sentinel-1 of the same scenes, in dB, on any grid.
            s2_bands: Names of the Sentinel-2 bands in the order of the file, where
                they cannot be recognised; ``-`` skips a band.
            s1_bands: Names of the Sentinel-1 bands in the order of the file.
            s2_offset: What is added to Sentinel-2's digital numbers; by default what
                the product says, and 0 without a product. Since processing baseline
                04.00 it is -1000.
            s1_power: Whether Sentinel-1 is in linear power, to be turned into dB.
            resampling: How Sentinel-1 is brought to another grid.
            bands: Bands that the network reads.
            scheme: Name of the class scheme.
            nan: What NaN becomes in scaling, see
                :class:`~dfc2020_geo.transforms.ScaleBands`.
            size: Width and height of a tile in pixels.
            overlap: Least number of pixels that neighbouring tiles share.
            blending: How they are joined: ``'none'`` cuts in the middle of the
                overlap, ``'linear'`` and ``'cosine'`` fade over.
            batch_size: Number of tiles in a batch.
            num_workers: Number of processes that read; with 0, a thread reads ahead.
            max_scene_size: Most pixels on a side of a file, refused by its header.
            check: What a check of some values does: with ``'error'``, values that make
                no map stop the run, undeclared fill is no data (unless *nan* is
                ``'baseline'``), and doubtful ones bring a warning; ``'warn'`` warns of
                all that and changes nothing, ``'off'`` looks at nothing.
            on_error: What a scene does that cannot be opened or checked: with
                ``'skip'`` it is left out of several, named, and the other ones are
                mapped; with ``'stop'`` none is.

        Raises:
            ValueError: If a band, the scheme, *nan* or *check* is unknown, or a number of tiles
                or processes too small.
        """
        self.check = require_choice(check, CheckMode, 'check')
        self.on_error = require_choice(on_error, OnError, 'on_error')
        #: Scenes that are left out, by name, and why.
        self.left_out: dict[str, str] = {}
        num_workers = choose_num_workers(num_workers, batch_size)
        super().__init__(SceneTiles, batch_size, num_workers)
        self.s2, self.s1 = s2, s1
        self.options: dict[str, Any] = {
            's2_bands': s2_bands,
            's1_bands': s1_bands,
            's2_offset': s2_offset,
            's1_power': s1_power,
            'resampling': resampling,
            'max_scene_size': max_scene_size,
        }
        self.bands, self.nan = bands, nan
        self.tiling: dict[str, Any] = {
            'size': size,
            'overlap': overlap,
            'blending': blending,
        }
        self.contract = data_contract(bands, scheme, nan)
        self.scale = ScaleBands(bands, nan)
        #: Leaves out what need not be predicted; the writer of maps sets it.
        self.select_pending: PendingSelector[SceneTiles] | None = None

    def setup(self, stage: str) -> None:
        """Open the scenes, and say what is read from where.

        Args:
            stage: ``'predict'``.

        Raises:
            FileNotFoundError: If there is no scene.
            ValueError: If scenes cannot be what the network was trained on, names of
                bands, resampling or blending are unknown, size and overlap make no
                plan, or *stage* is another.
        """
        if str(getattr(stage, 'value', stage)) != 'predict':
            raise ValueError(
                f'Expected scenes for predict alone, got {stage}; train and score with '
                '--data dfc2020_geo.datamodules.LandCoverDataModule.'
            )
        limit_cache(_CACHE[0])
        scenes: list[Scene] = []
        found = find_scenes(self.s2, self.s1)
        self.left_out = {}
        for sources in found:
            try:
                scenes.append(self._open(*sources))
            except (OSError, RuntimeError, ValueError) as error:
                is_last = not scenes and sources is found[-1]
                if self.on_error == 'stop' or len(found) == 1 or is_last:
                    raise
                self.left_out[sources.name] = str(error)
                rank_zero_warn(f'{sources.name} is left out: {error}')
        needed = max(s.estimate_blocks(self.tiling['size']) for s in scenes)
        self._cache = min(_CACHE[0] + needed, _CACHE[1])
        limit_cache(self._cache)
        self.predict_dataset = SceneTiles(
            scenes, **self.tiling, batch_size=self.batch_size
        )

    def _open(self, name: str, s2: SceneImages | None, s1: SceneImages | None) -> Scene:
        """Open a scene and check its values, and say what is read from where."""
        scene = open_scene(s2, s1, self.bands, **self.options)
        rank_zero_info(f'{name}: {scene.grid.height} x {scene.grid.width} pixels')
        for note in scene.notes:
            rank_zero_info(f'  {note}')
        if self.check != 'off':
            scene = check_scene(scene, FLAGS, takes_fills(self.check, self.nan))
        tell_findings(scene.findings, self.check, name)
        return scene

    def predict_dataloader(self) -> DataLoader[SceneBatch] | ReadAhead:
        """Load the tiles that are still to be predicted, in their order."""
        dataset = self._valid_attribute('predict_dataset')
        if self.select_pending is not None:
            dataset = self.select_pending(dataset)
        if self.num_workers == 0:
            device = self.trainer.strategy.root_device.type if self.trainer else ''
            prepare = partial(self._cut, dataset) if device == 'cpu' else _keep_exact
            return ReadAhead(dataset, prepare)
        return DataLoader(
            dataset,
            batch_size=None,
            shuffle=False,
            collate_fn=_keep_exact,
            num_workers=self.num_workers,
            worker_init_fn=partial(_limit_cache, self._cache),
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(
        self, batch: SceneBatch, dataloader_idx: int
    ) -> SceneBatch:
        """Cut a window into tiles on its device, and scale them.

        On the CPU, the thread that reads has done so.

        Args:
            batch: As :class:`~dfc2020_geo.inference.tiles.SceneTiles` gives it; numbers of
                the window may be held as int32 of the same bits.
            dataloader_idx: Position of the batch's dataloader.

        Returns:
            ``'image'`` of shape ``(B, C, size, size)``, scaled, beside ``'valid'`` and
            ``'step'``.
        """
        if 'image' in batch:
            return batch
        assert self.trainer is not None, 'a trainer transfers batches'
        loader: Any = self.trainer.predict_dataloaders
        batch = self._cut(loader.dataset, batch)
        # Lightning has done so before there was an image.
        return self.trainer.precision_plugin.convert_input(batch)

    def _cut(self, dataset: SceneTiles, batch: SceneBatch) -> SceneBatch:
        """Cut the window of a batch into tiles, and scale them."""
        window, valid = batch['window'].view(torch.float32), batch['valid']
        # A pixel with NaN has no data. Asking another device would have to wait for it.
        is_finite = valid.device.type == 'cpu' and bool(valid.all())
        tiles = dataset.cut(batch['step'], window)
        image = window.new_empty(len(tiles), *tiles[0].shape)
        for target, tile in zip(image, tiles, strict=True):
            self.scale.scale_(target, is_finite, tile)
        image = dataset.fill_up(image)
        return {'image': image, 'valid': valid, 'step': batch['step']}


def _keep_exact(batch: Any) -> SceneBatch:
    """Hide the window from Lightning, which would round it before it is scaled."""
    return batch | {'window': batch['window'].view(torch.int32)}


def _limit_cache(size: int, worker: int) -> None:
    """Set the cache of a worker process, which need not be a copy of this one."""
    limit_cache(size)
