"""Flips and quarter turns (the D4 symmetries), exact to the bit."""

from typing import Any

import torch
from kornia.augmentation import GeometricAugmentationBase2D
from torch import Tensor

from ..io.memory import ReusedMemory


class RandomD4(GeometricAugmentationBase2D):
    """Flip and quarter-turn each image at random, exactly, together with its mask.

    Draws one of the 8 symmetries of the square for each image, or one of the 4 of
    the rectangle where height and width differ. No value is interpolated.

    >>> import torch
    >>> from kornia.augmentation import AugmentationSequential
    >>> augment = AugmentationSequential(RandomD4(), data_keys=None)
    >>> image = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> sample = augment({'image': image, 'mask': image.clone()})
    >>> torch.equal(sample['image'], sample['mask'])
    True
    """

    _compute_matrix_lazily = True

    def __init__(self) -> None:
        """Initialize a new RandomD4 instance."""
        super().__init__(p=1, keepdim=True)
        # Beside the batch at hand, the one before it is often still held.
        self._memory = ReusedMemory(2)

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Draw whether each image is transposed, and flipped along either axis."""
        batch, *_, height, width = batch_shape
        drawn = torch.randint(2, (batch, 3), dtype=torch.bool)
        drawn[:, 0] &= height == width
        return {'symmetry': drawn}

    def apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply the drawn symmetries to images of shape ``(B, C, H, W)``."""
        # Images and masks are of different sizes, so each has blocks of its own.
        kind = f'{input.shape[1]} {input.dtype}'
        output = self._memory.empty(input.shape, input.dtype, input, kind)
        # A processor's cache holds a plane; elsewhere fewer operations count.
        apart = range(input.shape[1]) if input.device.type == 'cpu' else [slice(None)]
        for index, symmetry in enumerate(params['symmetry'].tolist()):
            source, target = input[index], output[index]
            for planes in apart:
                _apply_symmetry(source[planes], target[planes], *symmetry)
        return output

    def compute_transformation(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any]
    ) -> Tensor:
        """Compute the matrices that move pixel coordinates, ``(B, 3, 3)``."""
        height, width = input.shape[-2:]
        transpose, flip_rows, flip_columns = params['symmetry'].to(input).T
        matrix = input.new_zeros(len(transpose), 3, 3)
        across, down = 1 - 2 * flip_columns, 1 - 2 * flip_rows
        matrix[:, 0, 0], matrix[:, 0, 1] = across * (1 - transpose), across * transpose
        matrix[:, 1, 1], matrix[:, 1, 0] = down * (1 - transpose), down * transpose
        matrix[:, 0, 2] = flip_columns * (width - 1)
        matrix[:, 1, 2] = flip_rows * (height - 1)
        matrix[:, 2, 2] = 1
        return matrix


def _apply_symmetry(
    planes: Tensor, target: Tensor, transpose: bool, flip_rows: bool, flip_columns: bool
) -> None:
    """Transpose, then flip, planes of shape ``(..., H, W)``, into a target."""
    if transpose:  # Flipping first is faster: before it, rows are what columns become.
        flip_rows, flip_columns = flip_columns, flip_rows
    axes = [axis for axis, flip in ((-2, flip_rows), (-1, flip_columns)) if flip]
    planes = planes.flip(axes) if axes else planes
    target.copy_(planes.mT if transpose else planes)
