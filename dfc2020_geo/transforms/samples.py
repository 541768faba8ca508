"""Base of kornia operations that also take the samples of datasets."""

from typing import Any

from kornia.augmentation import IntensityAugmentationBase2D


class SampleOperation(IntensityAugmentationBase2D):
    """A kornia operation that also takes a sample, of which it changes the image."""

    def __init__(self) -> None:
        """Initialize a new SampleOperation instance."""
        super().__init__(p=1, same_on_batch=True, keepdim=True)

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the operation to an image or to the ``'image'`` of a sample.

        Args:
            input: Images of shape ``(B, C, H, W)`` or ``(C, H, W)``, or a sample.
            args: As kornia has them.
            kwargs: As kornia has them.

        Returns:
            The images, or the sample with its image in its place.
        """
        if isinstance(input, dict):
            return input | {'image': super().forward(input['image'], *args, **kwargs)}
        return super().forward(input, *args, **kwargs)
