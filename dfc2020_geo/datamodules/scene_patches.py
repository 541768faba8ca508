"""Datasets of the patches of scenes, for training and for scoring."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datasets.utils import Sample

from ..classes import IGNORE_INDEX, ClassScheme, LegendName
from ..datasets import JoinedScenes
from ..datasets.plotting import DrawsSamples
from ..io.value_checks import SensorSample, SetSample
from ..samplers.tiling import Span
from ..samplers.windows import PatchWindow, draw_windows, grid_windows

#: The most scenes, and files of each kind in a scene, that a sample for a check reads.
_MOST_SCENES, _MOST_FILES = 12, 4


def sample_scenes(scenes: Sequence[JoinedScenes], legend: LegendName) -> SetSample:
    """Read some pixels of some scenes, as they are stored, for a check.

    Args:
        scenes: The scenes, of the same bands.
        legend: The legend of their labels.

    Returns:
        The pixels.

    Raises:
        RuntimeError: If a file cannot be read; the message names it.
    """
    chosen = scenes[:: max(len(scenes) // _MOST_SCENES, 1)][:_MOST_SCENES]
    images: dict[tuple[str, ...], list[SensorSample]] = {}
    codes: Counter[float] = Counter()
    for files in (files for scene in chosen for files in scene.rasters):
        for part in files.sample_files(_MOST_FILES):
            if isinstance(part, SensorSample):
                images.setdefault(part.bands, []).append(part)
            else:
                numbers, counts = np.unique(part, return_counts=True)
                codes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    sensors = tuple(
        replace(first, values=np.concatenate([p.values for p in parts], axis=1))
        for parts in images.values()
        for first in parts[:1]
    )
    return SetSample(sensors, codes, legend, f'{len(chosen)} of {len(scenes)} scenes')


class ScenePatches(DrawsSamples, Dataset[Sample]):
    """Patches of scenes, all of one size; none leaves its scene.

    Attributes:
        scenes: The scenes, each in its own CRS and on its own pixels.
        size: Height and width of a patch in pixels.
        scheme: The classes of masks.
        bands: Names of the channels.
    """

    def __init__(
        self, scenes: Sequence[JoinedScenes], size: tuple[int, int], scheme: ClassScheme
    ) -> None:
        """Initialize a new ScenePatches instance.

        Args:
            scenes: The scenes, of the same bands.
            size: Height and width of a patch in pixels.
            scheme: The classes of masks.
        """
        self.scenes, self.size, self.scheme = list(scenes), size, scheme
        self.bands = self.scenes[0].bands

    def read(self, window: PatchWindow) -> Sample:
        """Read a patch.

        Args:
            window: Where it is.

        Returns:
            'image' of shape ``(C, H, W)``, float32 in the units of the files, NaN
            without data, and 'mask' of shape ``(H, W)``, int64, ignored where labels do
            not count. A scene smaller than a patch is continued by reflection.

        Raises:
            RuntimeError: If a file is damaged; the message names it.
        """
        scene = self.scenes[window.scene]
        transform = scene.grid.transform
        left, top = transform @ (window.columns.start, window.rows.start)
        right, bottom = transform @ (window.columns.stop, window.rows.stop)
        sample = scene[left:right, bottom:top]
        mask = torch.full_like(sample['mask'], IGNORE_INDEX)
        scored = (
            window.scored_rows.within(window.rows),
            window.scored_columns.within(window.columns),
        )
        mask[scored] = sample['mask'][scored]
        return self._reflect(sample['image'], mask)

    def _reflect(self, image: Tensor, mask: Tensor) -> Sample:
        height, width = mask.shape
        missing = (self.size[0] - height, self.size[1] - width)
        if any(missing):
            for axis, (length, more) in enumerate(
                zip((height, width), missing, strict=True), start=1
            ):
                order = np.pad(np.arange(length), (0, more), 'reflect')
                image = image.index_select(axis, torch.from_numpy(order))
            padding = (0, missing[1], 0, missing[0])
            mask = torch.nn.functional.pad(mask, padding, value=IGNORE_INDEX)
        return {'image': image, 'mask': mask}


class GriddedPatches(ScenePatches):
    """Patches that cover what is labelled; each pixel counts in one of them."""

    def __init__(
        self,
        scenes: Sequence[JoinedScenes],
        size: tuple[int, int],
        scheme: ClassScheme,
        overlap: int = 0,
    ) -> None:
        """Initialize a new GriddedPatches instance.

        Args:
            scenes: The scenes, of the same bands.
            size: Height and width of a patch in pixels.
            scheme: The classes of masks.
            overlap: Least number of pixels that neighbours share.

        Raises:
            ValueError: If size and overlap make no grid.
        """
        super().__init__(scenes, size, scheme)
        self.windows = [
            window
            for number, scene in enumerate(self.scenes)
            for window in grid_windows(number, scene, size, overlap)
        ]

    def pad(self, multiple: int) -> None:
        """Pad the set with patches without scored pixels, such that none scores twice.

        Args:
            multiple: What the number of patches is padded to a multiple of: the
                process count.
        """
        first = self.windows[0]
        nothing = Span(first.rows.start, first.rows.start)
        unscored = PatchWindow(first.scene, first.rows, first.columns, nothing, nothing)
        self.windows += [unscored] * (-len(self.windows) % multiple)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        """Read a patch.

        Args:
            index: Position of the patch.
        """
        return self.read(self.windows[index])


class RandomPatches(ScenePatches):
    """Patches drawn anew for each epoch, read by their :class:`PatchWindow`."""

    def __init__(
        self,
        scenes: Sequence[JoinedScenes],
        size: tuple[int, int],
        scheme: ClassScheme,
        length: int | None = None,
    ) -> None:
        """Initialize a new RandomPatches instance.

        Args:
            scenes: The scenes, of the same bands.
            size: Height and width of a patch in pixels.
            scheme: The classes of masks.
            length: Number of patches of an epoch; by default as many as would cover
                what is labelled.
        """
        super().__init__(scenes, size, scheme)
        areas = [_num_pixels(scene) for scene in self.scenes]
        self.fractions = np.divide(areas, sum(areas))
        self.length = length or max(round(sum(areas) / (size[0] * size[1])), 1)

    def draw(self, seed: int, epoch: int) -> list[PatchWindow]:
        """Draw the patches of an epoch, each scene in proportion to its area.

        Args:
            seed: Seed of the run.
            epoch: Number of the epoch.

        Returns:
            As many as the length, scene by scene.
        """
        rng = np.random.default_rng([seed, epoch])
        counts = rng.multinomial(self.length, self.fractions)
        return [
            window
            for number, count in enumerate(counts)
            if count
            for window in draw_windows(
                number, self.scenes[number], self.size, int(count), rng
            )
        ]

    def __len__(self) -> int:
        """Return the number of patches of an epoch."""
        return self.length

    def __getitem__(self, index: PatchWindow) -> Sample:
        """Read a patch.

        Args:
            index: Where it is.
        """
        return self.read(index)


def _num_pixels(scene: JoinedScenes) -> float:
    xres, yres = scene.res
    return scene.index.geometry.union_all().area / (xres * yres)
