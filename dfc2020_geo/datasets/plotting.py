"""How samples are drawn."""

from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure
from torchgeo.datasets.utils import Sample

from ..bands import select_bands
from ..classes import ClassScheme, get_scheme
from .previews import plot_patch, render_image


class DrawsSamples:
    """A dataset that draws its samples, whether it holds images, labels or both."""

    bands: Any  # bands of 'image', or their names
    scheme: ClassScheme = get_scheme('dfc2020')

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample, its mask and its prediction with one colour scale and legend.

        Args:
            sample: A sample as this dataset returns it, perhaps with a 'prediction' of
                shape ``(H, W)`` in class indices.
            show_titles: Whether each panel has its title.
            suptitle: Title of the whole figure.

        Returns:
            The figure; without red, green and blue the image is Sentinel-1 in false
            colour.

        Raises:
            RGBBandsMissingError: If *bands* has neither.
        """
        picture = None
        if 'image' in sample:
            picture = render_image(sample['image'].float(), select_bands(self.bands))
        return plot_patch(
            picture, dict(_class_maps(sample)), self.scheme, show_titles, suptitle
        )


def _class_maps(sample: Sample) -> Iterable[tuple[str, Any]]:
    for key in ('mask', 'prediction'):
        if key in sample:
            yield key.capitalize(), sample[key].cpu().numpy()
