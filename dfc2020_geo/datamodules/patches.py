"""The datamodule of patches: a named dataset for each stage, prepared on the device."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import DatasetNotFoundError
from torchgeo.datasets.utils import Sample

from ..bands import DEFAULT_BANDS, NanPolicy
from ..classes import IGNORE_INDEX
from ..datasets import PatchDataset, PatchesNotFoundError
from ..io.nodata import valid_pixels
from ..io.rasters import MAX_PATCH_SIZE
from ..io.value_checks import CheckMode, Flags
from ..models.contract import data_contract
from ..samplers.resumable import ResumableSampler
from ..transforms import mean_and_std
from ..transforms.prepare import Batch, PrepareBatch, join_bands, take_bands
from .base import PendingSelector, ResumableDataModule, Workers, choose_num_workers
from .checks import SetChecks, require_choice
from .loading.raw_batches import RawPatch, reads_raw, require_one_size
from .loading.skipping import OnError
from .named_sets import SETS

_SPLITS = {
    'fit': ('train', 'val'),
    'validate': ('val',),
    'test': ('test',),
    'predict': ('predict',),
}


class LandCoverDataModule(ResumableDataModule, NonGeoDataModule):
    """Train, validate, test and predict on named sets of Sentinel patches.

    Images leave the datasets in file units (Sentinel-2 reflectance x 10 000, Sentinel-1
    dB); on the device they are scaled to ``[0, 1]`` and, in training, augmented together
    with their masks. The attributes
    ``mean`` and ``std`` are such that torchgeo's ``Denormalize`` undoes the scaling.
    """

    def __init__(
        self,
        train: str = 'sen12ms_train',
        val: str = 'dfc2020_val',
        test: str = 'dfc2020_test',
        predict: str = 'unlabeled',
        sen12ms_root: Path | str = 'data/sen12ms',
        dfc2020_root: Path | str = 'data/dfc2020',
        unlabeled_root: Path | str = 'data/unlabeled',
        val_root: Path | str | None = None,
        cities: Sequence[str] | None = None,
        skip_list: Path | str | None = None,
        bands: Sequence[str] | str = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        nan: NanPolicy = 'lowest',
        augmentations: Sequence[nn.Module] | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        workers: Workers = 'threads',
        max_patch_size: int = MAX_PATCH_SIZE,
        check: CheckMode = 'error',
        on_error: OnError = 'stop',
    ) -> None:
        """Initialize a new LandCoverDataModule instance.

        Args:
            train: Name of the set in :data:`SETS` that serves training.
            val: Name of the set that serves validation.
            test: Name of the set that serves testing.
            predict: Name of the set that serves prediction.
            sen12ms_root: Directory of SEN12MS.
            dfc2020_root: Directory of DFC2020, in any of its packagings.
            unlabeled_root: Directory with ``s2`` and ``s1`` folders of TIFFs.
            val_root: Directory of the set that serves validation, if it lies elsewhere
                than the one of its data above.
            cities: Cities of the set ``dfc2020_all``, if not all.
            skip_list: File that lists files of patches to leave out of all sets, as
                ``dfc2020-geo check --skip_list`` writes it.
            bands: Bands to read, as names of bands or band sets.
            scheme: Name of the class scheme.
            nan: What NaN becomes in scaling, see
                :class:`~dfc2020_geo.transforms.ScaleBands`. Unless ``'baseline'``,
                pixels without any valid input are ignored in training and marked in
                prediction.
            augmentations: kornia operations for training, applied to images and masks
                in this order.
            batch_size: Number of patches in a batch.
            num_workers: Number of workers that load patches; by default one for each
                core, but no more than four. With 0, the training waits for each batch.
            workers: What they are: ``'threads'`` of the training's process, which fill
                batches in place, or ``'processes'``. Datasets of your own that have
                no ``read_raw`` are loaded by processes.
            max_patch_size: Most pixels on a side of a patch. A file that claims more is
                refused before memory is asked for it: a whole scene belongs to
                ``dfc2020-geo map``.
            check: What a check of some patches of each set does, before work begins:
                with ``'error'``, values that no result can be right with stop the run,
                as codes outside the legend do, undeclared fill is read as no data
                (unless *nan* is ``'baseline'``), and doubtful values bring a warning;
                ``'warn'`` warns of all that and changes nothing, ``'off'`` looks at
                nothing.
            on_error: What happens at a patch that cannot be read: ``'stop'``, or
                ``'skip'``: its place in its batch stays, without data and ignored; it is
                counted and named, and scores say how many were left out.

        Raises:
            ValueError: If a name is unknown, a number too small or too large, or an
                augmentation unfit for masks.
        """
        if max_patch_size < 1:
            raise ValueError(f'Expected max_patch_size from 1, got {max_patch_size}.')
        self.max_patch_size = max_patch_size
        num_workers = choose_num_workers(num_workers, batch_size)
        super().__init__(PatchDataset, batch_size, num_workers)
        self.workers = require_choice(workers, Workers, 'workers')
        self.on_error = require_choice(on_error, OnError, 'on_error')
        self.checks = SetChecks(require_choice(check, CheckMode, 'check'), nan, Flags())
        self.sets = {'train': train, 'val': val, 'test': test, 'predict': predict}
        for split, name in self.sets.items():
            if name not in SETS:
                raise ValueError(
                    f"Expected {split} to be a set of {tuple(SETS)}, got '{name}'."
                )
        if cities and not any(SETS[name].has_cities for name in self.sets.values()):
            raise ValueError(
                f'Expected cities with the set dfc2020_all only, got {list(cities)} '
                f'with {self.sets}.'
            )
        self.roots = {
            'sen12ms': sen12ms_root,
            'dfc2020': dfc2020_root,
            'unlabeled': unlabeled_root,
        }
        self.val_root, self.skip_list = val_root, skip_list
        self.bands, self.scheme, self.nan = bands, scheme, nan
        self.cities = cities
        self.contract = data_contract(bands, scheme, nan)
        self.mean, self.std = mean_and_std(bands)
        self.aug = PrepareBatch(bands, nan)
        self.train_aug = PrepareBatch(bands, nan, augmentations or ())
        self.collate_fn = _collate
        #: Leaves out what need not be predicted; writers of predictions set it.
        self.select_pending: PendingSelector[PatchDataset] | None = None

    def setup(self, stage: str) -> None:
        """Set up the sets of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            DatasetNotFoundError: If a set's root is empty or missing.
            RuntimeError: If a patch that is looked at cannot be read.
            ValueError: If a stage that needs labels is served by a set without, a check
                finds that no result can be right, or *stage* is another.
        """
        stage = str(getattr(stage, 'value', stage))
        if stage not in _SPLITS:
            raise ValueError(
                f"Expected one of the stages {tuple(_SPLITS)}, got '{stage}'."
            )
        for split in _SPLITS[stage]:
            name = self.sets[split]
            if split != 'predict' and not SETS[name].is_labelled:
                raise ValueError(f"Expected a labelled set for {split}, got '{name}'.")
            dataset = self._build(split, name)
            if self.checks.mode != 'off':
                named = f'{split} ({name})'
                dataset.fills = self.checks.check(
                    named, dataset.sample(skips=self.on_error == 'skip'), dataset.scheme
                )
            setattr(self, f'{split}_dataset', dataset)
            if split == 'train':
                self.forget_order()
        self.checks.record(self.trainer, stage)

    def _build(self, split: str, name: str) -> PatchDataset:
        chosen = SETS[name]
        flag, root = f'{chosen.data}_root', self.roots.get(chosen.data)
        if split == 'val' and self.val_root is not None:
            flag, root = 'val_root', self.val_root
        arguments: dict[str, Any] = {'bands': self.bands, 'scheme': self.scheme}
        if root is not None:
            arguments['root'] = root
        if self.skip_list is not None:
            arguments['skip_list'] = self.skip_list
        if chosen.split is not None:
            arguments['split'] = chosen.split
        if chosen.has_cities:
            arguments['cities'] = self.cities
        try:
            dataset = chosen.dataset(**arguments)
        except DatasetNotFoundError as error:
            where = '' if root is None else f'--data.{flag} is its root, '
            raise PatchesNotFoundError(
                f'{error} (This is {name}, for {split}: {where}--data.{split} names '
                'another set.)'
            ) from error
        dataset.max_patch_size = self.max_patch_size
        dataset.check = self.checks.mode
        dataset.require_order()
        return dataset

    def _dataloader_factory(self, split: str) -> DataLoader[Any]:
        """Load each patch of a dataset once an epoch.

        An evaluation set is padded to a multiple of the process count with patches
        whose pixels are all ignored, so none is scored twice.
        """
        dataset = self._valid_attribute(f'{split}_dataset', 'dataset')
        if split == 'train':
            sampler = ResumableSampler(dataset, self.batch_size, self.trainer)
            return self.load_training(sampler)
        if split == 'predict' and self.select_pending is not None:
            dataset = self.pending_dataset = self.select_pending(dataset)
        num_processes = self.trainer.world_size if self.trainer else 1
        if split in ('val', 'test'):
            dataset = _pad(dataset, num_processes)
        return self.load(dataset)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Scale and augment a batch on its device, and mark pixels without data.

        Args:
            batch: Raw patches, ``'s2'`` (uint16 or float32) and ``'s1'`` (float32), or
                ``'image'`` (float32, in file units), of shape ``(B, C, H, W)``; with
                labels ``'mask'`` of shape ``(B, H, W)``, uint8 or int64.
            dataloader_idx: Position of the batch's dataloader.

        Returns:
            The batch with scaled ``'image'``, float32; in prediction with ``'valid'`` of
            shape ``(B, H, W)``, bool, unless *nan* is ``'baseline'``.
        """
        is_raw = 'image' not in batch
        if self.nan != 'baseline':
            batch = self._mark_valid(batch)
        augs = self.aug, self.train_aug, self.val_aug, self.test_aug, self.predict_aug
        if is_raw and {*map(type, augs)} - {PrepareBatch, type(None)}:
            batch = join_bands(batch)  # other augmentations take one image
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        if is_raw and self.trainer:
            # Lightning converted the batch before it had an image.
            batch = self.trainer.precision_plugin.convert_input(batch)
        return batch

    def _mark_valid(self, batch: Batch) -> Batch:
        if not self.trainer or not (self.trainer.training or self.trainer.predicting):
            return batch
        valid = valid_pixels(*take_bands(batch).values())
        if self.trainer.predicting:
            return batch | {'valid': valid}
        return batch | {'mask': batch['mask'].where(valid, IGNORE_INDEX)}


def _collate(samples: list[Sample]) -> Batch:
    require_one_size({tuple(sample['image'].shape[1:]) for sample in samples})
    return default_collate(samples)


def _pad(dataset: Any, multiple: int) -> Dataset[Any]:
    if len(dataset) % multiple == 0:
        return dataset
    return (_PaddedRawPatches if reads_raw(dataset) else _PaddedPatches)(
        dataset, multiple
    )


class _PaddedPatches(Dataset[Sample]):
    """A labelled dataset, padded to a multiple with patches that are ignored."""

    def __init__(self, dataset: Any, multiple: int) -> None:
        self.dataset = dataset
        self.length = -(-len(dataset) // multiple) * multiple

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index < len(self.dataset):
            return self.dataset[index]
        sample = self.dataset[0]
        return sample | {'mask': torch.full_like(sample['mask'], IGNORE_INDEX)}


class _PaddedRawPatches(_PaddedPatches):
    """The same for a dataset that is read raw."""

    def read_raw(
        self, index: int, out: Mapping[str, np.ndarray] | None = None
    ) -> RawPatch:
        if index < len(self.dataset):
            return self.dataset.read_raw(index, out)
        patch = self.dataset.read_raw(0, out)
        patch['mask'].fill(IGNORE_INDEX)
        return patch
