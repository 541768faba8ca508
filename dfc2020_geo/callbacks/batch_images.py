"""RGB images of batches: network input, prediction and mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from kornia.enhance import denormalize
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from ..bands import Band, select_bands
from ..classes import ClassScheme, get_scheme
from ..datasets.plotting import render_class_map, render_image
from ..transforms import mean_and_std


@dataclass(frozen=True, slots=True)
class BatchPainter:
    """Renders the first patches of a batch side by side.

    Attributes:
        bands: Bands of the image channels, in order.
        scheme: Class scheme of masks and predictions.
        mean: Mean of the normalisation, shape ``(C,)`` or one value, in file units.
        std: Standard deviation of the normalisation, shape ``(C,)`` or one value.
        max_images: Number of patches to render.
    """

    bands: tuple[Band, ...]
    scheme: ClassScheme
    mean: Tensor
    std: Tensor
    max_images: int

    def classify(self, output: Any) -> Tensor | None:
        """Return the argmax of logits.

        Args:
            output: Logits of shape ``(B, num_classes, H, W)``; anything else is
                accepted, and skipped.

        Returns:
            Class indices of shape ``(max_images, H, W)``, uint8; None if *output* is
            not logits of the scheme.
        """
        if not isinstance(output, Tensor) or output.ndim != 4:
            return None
        if output.shape[1] != len(self.scheme):
            return None
        return output.detach()[: self.max_images].argmax(dim=1).byte()

    def draw(self, batch: Any, prediction: Tensor | None) -> dict[str, np.ndarray]:
        """Render input, prediction and mask, as far as they are present.

        Args:
            batch: A batch, optionally with ``'image'`` of shape ``(B, C, H, W)``,
                scaled, and ``'mask'`` of shape ``(B, H, W)``, class indices.
            prediction: Class indices of shape ``(B, H, W)``, or None.

        Returns:
            RGB images of shape ``(H, B * W, 3)``, uint8, by name (``'input'``,
            ``'prediction'``, ``'ground_truth'``).
        """
        sample = batch if isinstance(batch, Mapping) else {}
        pictures = {
            'input': self._draw_images(sample.get('image')),
            'prediction': self._draw_class_maps(prediction),
            'ground_truth': self._draw_class_maps(sample.get('mask')),
        }
        return {
            name: picture for name, picture in pictures.items() if picture is not None
        }

    def _draw_images(self, images: Tensor | None) -> np.ndarray | None:
        num_bands = len(self.bands)
        if images is None or images.ndim != 4 or images.shape[1] != num_bands:
            return None
        if not {self.mean.numel(), self.std.numel()} <= {1, num_bands}:
            return None
        images = images[: self.max_images].float().cpu()
        raw = denormalize(images, self.mean.flatten(), self.std.flatten())
        try:
            return np.concatenate([render_image(image, self.bands) for image in raw], 1)
        except RGBBandsMissingError:
            return None

    def _draw_class_maps(self, indices: Tensor | None) -> np.ndarray | None:
        if indices is None or indices.ndim != 3:
            return None
        maps = indices[: self.max_images].cpu().numpy()
        return render_class_map(np.concatenate(maps, axis=1), self.scheme)


def find_painter(
    trainer: Trainer, pl_module: LightningModule, max_images: int
) -> BatchPainter | None:
    """Make a painter with the bands, class scheme and scaling of task or datamodule.

    Args:
        trainer: The trainer, with or without a datamodule.
        pl_module: The task.
        max_images: Number of patches to render.

    Returns:
        The painter; None if neither names its bands and class scheme.
    """
    datamodule = getattr(trainer, 'datamodule', None)
    facts = getattr(pl_module, 'contract', None) or getattr(datamodule, 'contract', {})
    if not facts:
        return None
    bands = select_bands(facts['bands'])
    mean, std = mean_and_std(bands)
    mean = getattr(datamodule, 'mean', mean)
    std = getattr(datamodule, 'std', std)
    return BatchPainter(bands, get_scheme(facts['scheme']), mean, std, max_images)
