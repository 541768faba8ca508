"""The datamodule that trains and scores on whole scenes."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import Sample

from ..bands import DEFAULT_BANDS, NanPolicy, Sensor, select_bands
from ..classes import LegendName, get_scheme, require_legend
from ..datasets import JoinedScenes, Sentinel1Scenes, Sentinel2Scenes, open_scenes
from ..io.value_checks import CheckMode, Flags
from ..models.contract import data_contract
from ..samplers.windows import WindowSampler
from ..transforms import mean_and_std
from ..transforms.prepare import PrepareBatch
from .base import ResumableDataModule, choose_num_workers
from .checks import SetChecks, require_choice
from .loading.skipping import OnError
from .scene_patches import GriddedPatches, RandomPatches, sample_scenes

# A Path would lose a slash of GDAL's virtual paths.
ScenePaths = str | Path | Sequence[str | Path] | None

_SPLITS = {'fit': ('train', 'val'), 'validate': ('val',), 'test': ('test',)}


class SceneTrainingDataModule(ResumableDataModule, GeoDataModule):
    """Train, validate and test on scenes of any size, with rasters of labels.

    Training draws patches at random, anew in each epoch. Validation and test cut each
    scene into patches such that every pixel counts once. Each scene keeps its own CRS
    and pixels; labels (nearest) and, beside Sentinel-2, Sentinel-1 (bilinear) are
    brought to them. Pixels that a sensor does not have, or that have no label, are
    ignored.
    """

    def __init__(
        self,
        train_s2: ScenePaths = None,
        train_s1: ScenePaths = None,
        train_labels: ScenePaths = None,
        val_s2: ScenePaths = None,
        val_s1: ScenePaths = None,
        val_labels: ScenePaths = None,
        test_s2: ScenePaths = None,
        test_s1: ScenePaths = None,
        test_labels: ScenePaths = None,
        s2_dataset: type[RasterDataset] = Sentinel2Scenes,
        s1_dataset: type[RasterDataset] = Sentinel1Scenes,
        s2_offset: float | None = None,
        legend: LegendName = 'dfc2020',
        bands: Sequence[str] | str = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        nan: NanPolicy = 'lowest',
        augmentations: Sequence[nn.Module] | None = None,
        patch_size: int = 256,
        overlap: int = 0,
        length: int | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        check: CheckMode = 'error',
        on_error: OnError = 'stop',
    ) -> None:
        """Initialize a new SceneTrainingDataModule instance.

        Args:
            train_s2: Sentinel-2 for training: files, or folders to search; each file
                is a scene.
            train_s1: Sentinel-1 where these scenes are, on any grid.
            train_labels: Labels where they are, on any grid.
            val_s2: Sentinel-2 for validation.
            val_s1: Sentinel-1 for validation.
            val_labels: Labels for validation.
            test_s2: Sentinel-2 for testing.
            test_s1: Sentinel-1 for testing.
            test_labels: Labels for testing.
            s2_dataset: Class that finds files of Sentinel-2; for one file per band
                :class:`torchgeo.datasets.Sentinel2`.
            s1_dataset: Class that finds files of Sentinel-1; for one file per band
                :class:`torchgeo.datasets.Sentinel1`.
            s2_offset: What is added to Sentinel-2's digital numbers, but for those of no
                data: -1000 for products of processing baseline 04.00 or later; by
                default what metadata and names say of each file's product.
            legend: What the codes of labels mean: ``'dfc2020'`` or ``'igbp'``.
            bands: Bands to read, as names of bands or band sets.
            scheme: Name of the class scheme.
            nan: What NaN becomes in scaling, see
                :class:`~dfc2020_geo.transforms.ScaleBands`.
            augmentations: kornia operations for training, applied to images and masks
                in this order.
            patch_size: Height and width of a patch in pixels.
            overlap: Least number of pixels that neighbouring patches share in
                validation and test; each pixel counts in one of them.
            length: Number of patches of a training epoch; by default as many as would
                cover the labelled area.
            batch_size: Number of patches in a batch.
            num_workers: Number of worker processes that load patches; by default one
                for each core, but no more than four.
            check: What a check of some pixels does before work begins, see
                :class:`LandCoverDataModule`.
            on_error: What happens at a patch that cannot be read: ``'stop'``, or
                ``'skip'``: its place in its batch stays, without data and ignored; it is
                counted and named, and scores say how many were left out.

        Raises:
            ValueError: If a name is unknown, numbers make no patches, or an
                augmentation is unfit for masks.
        """
        if patch_size < 1 or (length is not None and length < 1):
            raise ValueError(
                f'Expected patch_size and length from 1, got {patch_size} and {length}.'
            )
        if not 0 <= overlap < patch_size:
            raise ValueError(
                f'Expected an overlap from 0 and smaller than patch_size={patch_size}, '
                f'got {overlap}.'
            )
        num_workers = choose_num_workers(num_workers, batch_size)
        super().__init__(JoinedScenes, batch_size, patch_size, length, num_workers)
        self.paths: dict[str, dict[str, ScenePaths]] = {
            'train': {'s2': train_s2, 's1': train_s1, 'labels': train_labels},
            'val': {'s2': val_s2, 's1': val_s1, 'labels': val_labels},
            'test': {'s2': test_s2, 's1': test_s1, 'labels': test_labels},
        }
        #: Names under which scores are kept.
        self.sets = {split: f'scenes_{split}' for split in self.paths}
        self.readers: dict[Sensor, type[RasterDataset]] = {
            's2': s2_dataset,
            's1': s1_dataset,
        }
        self.s2_offset, self.legend = s2_offset, require_legend(legend)
        self.on_error = require_choice(on_error, OnError, 'on_error')
        flags = Flags(s2_offset='--data.s2_offset', legend='--data.legend')
        self.checks = SetChecks(require_choice(check, CheckMode, 'check'), nan, flags)
        self.bands, self.scheme, self.nan = select_bands(bands), scheme, nan
        self.size, self.overlap = (patch_size, patch_size), overlap
        self.contract = data_contract(self.bands, scheme, nan)
        self.mean, self.std = mean_and_std(self.bands)
        self.aug = PrepareBatch(self.bands, nan)
        self.train_aug = PrepareBatch(self.bands, nan, augmentations or ())

    def setup(self, stage: str) -> None:
        """Open the scenes of a stage.

        Args:
            stage: ``'fit'``, ``'validate'`` or ``'test'``.

        Raises:
            FileNotFoundError: If there are no files of a kind.
            RuntimeError: If a file cannot be read.
            ValueError: If a scene lacks images or labels, a check finds that no result
                can be right, or *stage* is another.
        """
        stage = str(getattr(stage, 'value', stage))
        if stage not in _SPLITS:
            raise ValueError(
                f'Expected one of the stages {tuple(_SPLITS)}, got {stage}; map scenes '
                'with --data dfc2020_geo.inference.SceneDataModule.'
            )
        size, scheme = self.size, get_scheme(self.scheme)
        for split in _SPLITS[stage]:
            scenes = self._open(split)
            if self.checks.mode != 'off':
                sample = sample_scenes(scenes, self.legend)
                fills = self.checks.check(self.sets[split], sample, scheme)
                for files in (files for scene in scenes for files in scene.rasters):
                    files.take_fills(fills)
            if split == 'train':
                self.train_dataset = RandomPatches(scenes, size, scheme, self.length)
                self.forget_order()
            else:
                patches = GriddedPatches(scenes, size, scheme, self.overlap)
                patches.pad(self.trainer.world_size if self.trainer else 1)
                setattr(self, f'{split}_dataset', patches)
        self.checks.record(self.trainer, stage)

    def _open(self, split: str) -> list[JoinedScenes]:
        sensors: set[Sensor] = {band.sensor for band in self.bands}
        scenes = open_scenes(
            {s: (self.readers[s], self._paths(split, s)) for s in sensors},
            self._paths(split, 'labels'),
            self.bands,
            self.scheme,
            self.legend,
            self.s2_offset,
        )
        for note in dict.fromkeys(note for scene in scenes for note in scene.notes):
            rank_zero_info(f'{split}: {note}')
        return scenes

    def _paths(self, split: str, kind: str) -> Path | str | Sequence[Path | str]:
        paths = self.paths[split][kind]
        if paths is None:
            raise ValueError(
                f'Expected files of {kind} for {split}, got none; name them with '
                f'--data.{split}_{kind}.'
            )
        return paths

    def _dataloader_factory(self, split: str) -> DataLoader[Sample]:
        patches = self._valid_attribute(f'{split}_dataset')
        if split == 'train':
            sampler = WindowSampler(patches, self.batch_size, self.trainer)
            return self.load_training(sampler)
        return self.load(patches)
