"""Plots of samples: RGB previews, class maps in their palette, one legend."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError
from torchgeo.datasets.utils import Sample

from ..bands import RGB_BANDS, Band, select_bands
from ..classes import ClassScheme, get_scheme

#: sigma0 in dB shown from darkest to brightest: VV in red, VH in green, VV - VH (the
#: ratio) in blue. The channels are those of SEN12MS's figures
#: (https://github.com/schmitt-muc/SEN12MS/issues/7); the ranges hold nearly all land.
S1_RANGES = ((-20.0, -2.0), (-27.0, -8.0), (2.0, 14.0))

#: Colour of pixels without data, unlike that of any class.
NODATA_COLOR = (0, 0, 0)

# At 100 dots per inch a 256 x 256 patch is drawn pixel by pixel.
_PANEL_INCHES = 2.56
_TITLE_INCHES = 0.25
_LEGEND_INCHES = 1.5
_GAP_INCHES = 0.1


def render_image(image: np.ndarray | Tensor, bands: Sequence[Band]) -> np.ndarray:
    """Render a true-colour composite, or else Sentinel-1 in false colour.

    In true colour the 2nd percentile of each band is subtracted (haze: the atmosphere
    adds most to blue); then all three are stretched by the widest range up to a 98th
    percentile, which keeps the hues. False colour has the fixed :data:`S1_RANGES`, so
    that previews can be compared. Pixels that are not finite become black.

    Args:
        image: Image of shape ``(C, H, W)`` in file units (reflectance x 10 000, sigma0
            in dB).
        bands: Bands of the channels, in order.

    Returns:
        RGB image of shape ``(H, W, 3)``, uint8.

    Raises:
        ValueError: If there is not one band per channel.
        RGBBandsMissingError: If *bands* has neither red, green and blue nor VV and VH.
    """
    if len(image) != len(bands):
        raise ValueError(f'Expected {len(bands)} channels, got {len(image)}.')
    channels = dict(zip((band.name for band in bands), image, strict=True))
    if channels.keys() >= set(RGB_BANDS):
        return _to_bytes(_stretch(_stack(channels[name] for name in RGB_BANDS)))
    if channels.keys() >= {'VV', 'VH'}:
        vv, vh = channels['VV'], channels['VH']
        low, high = np.array(S1_RANGES, dtype=np.float32).T
        return _to_bytes((_stack((vv, vh, vv - vh)) - low) / (high - low))
    raise RGBBandsMissingError


def render_class_map(indices: np.ndarray, scheme: ClassScheme) -> np.ndarray:
    """Render class indices in the palette of their class scheme.

    Args:
        indices: Class indices of shape ``(H, W)``, any integer dtype.
        scheme: Class scheme of *indices*.

    Returns:
        RGB image of shape ``(H, W, 3)``, uint8; :data:`NODATA_COLOR` where the index is
        :data:`~dfc2020_geo.classes.IGNORE_INDEX`.

    Raises:
        ValueError: If an index is not in the scheme.
    """
    return _palette(scheme)[_codes(indices, scheme)]


def plot_patch(
    rgb: np.ndarray | None,
    class_maps: Mapping[str, np.ndarray],
    scheme: ClassScheme,
    show_titles: bool = True,
    suptitle: str | None = None,
    image_title: str = 'Image',
) -> Figure:
    """Plot an image and class maps side by side, with one legend.

    The figure is not registered with pyplot, so nothing has to close it.

    Args:
        rgb: RGB image of shape ``(H, W, 3)``, uint8, or None.
        class_maps: Class indices of shape ``(H, W)`` by title, such as ``'Mask'``.
        scheme: Class scheme of the class maps.
        show_titles: Whether each panel has a title.
        suptitle: Title of the figure.
        image_title: Title of *rgb*.

    Returns:
        The figure; its legend lists the classes that occur in any of the class maps.

    Raises:
        ValueError: If there is nothing to draw or an index is not in the scheme.
    """
    panels = {} if rgb is None else {image_title: rgb}
    panels |= {
        title: render_class_map(indices, scheme)
        for title, indices in class_maps.items()
    }
    if not panels:
        raise ValueError('Expected a picture or class maps, got neither.')
    legend = _legend(class_maps.values(), scheme)
    figure, panel_axes = _lay_out(
        len(panels),
        header=_TITLE_INCHES * (show_titles + (suptitle is not None)),
        margin=_LEGEND_INCHES if legend else 0,
    )
    for axes, (title, picture) in zip(panel_axes, panels.items(), strict=True):
        axes.imshow(picture, interpolation='nearest')
        axes.set_axis_off()
        if show_titles:
            axes.set_title(title, fontsize='medium')
    if suptitle is not None:
        figure.suptitle(suptitle, fontsize='medium')
    if legend:
        figure.legend(
            handles=legend, loc='center right', frameon=False, fontsize='small'
        )
    return figure


class DrawsSamples:
    """Mixin of datasets that plot their samples: images, labels or both.

    Attributes:
        bands: Bands of 'image' in channel order, or their names.
        scheme: Class scheme of 'mask' and 'prediction'.
    """

    bands: Any  # bands of 'image', or their names
    scheme: ClassScheme = get_scheme('dfc2020')

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample, its mask and its prediction with one colour scale and legend.

        Args:
            sample: A sample of this dataset, optionally with a 'prediction' of shape
                ``(H, W)``, class indices.
            show_titles: Whether each panel has a title.
            suptitle: Title of the figure.

        Returns:
            The figure. Without red, green and blue bands the image is a false-colour
            composite of Sentinel-1.

        Raises:
            RGBBandsMissingError: If *bands* has neither B04, B03 and B02 nor VV and VH.
        """
        picture = None
        if 'image' in sample:
            picture = render_image(sample['image'].float(), select_bands(self.bands))
        class_maps: dict[str, np.ndarray] = {
            key.capitalize(): sample[key].cpu().numpy()
            for key in ('mask', 'prediction')
            if key in sample
        }
        return plot_patch(picture, class_maps, self.scheme, show_titles, suptitle)


def _stack(channels: Iterable[np.ndarray | Tensor]) -> np.ndarray:
    """Stack channels of shape ``(H, W)`` to ``(H, W, 3)``, float32."""
    return np.stack([np.asarray(channel, dtype=np.float32) for channel in channels], -1)


def _stretch(picture: np.ndarray) -> np.ndarray:
    """Take the haze off a picture and scale it to 0 to 1; a constant one to 0.5."""
    dark, bright = np.zeros((2, 3), dtype=np.float32)
    pixels = picture[np.isfinite(picture).all(-1)]
    if pixels.size:
        dark, bright = np.percentile(pixels, (2, 98), axis=0)
    span = (bright - dark).max()
    return (picture - dark) / span if span else picture * 0 + 0.5


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    """Turn 0 to 1 into uint8, and pixels with anything not finite into black."""
    picture = np.where(np.isfinite(picture).all(-1, keepdims=True), picture, 0)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _lay_out(
    num_panels: int, header: float, margin: float
) -> tuple[Figure, list[Axes]]:
    """Place square panels below a header and left of a margin; sizes in inches.

    By hand, because layout engines draw everything twice.
    """
    stride = _PANEL_INCHES + _GAP_INCHES
    width = num_panels * stride + _GAP_INCHES + margin
    height = _PANEL_INCHES + 2 * _GAP_INCHES + header
    figure = Figure(figsize=(width, height))
    size = np.array((width, height, width, height))
    lefts = (_GAP_INCHES + i * stride for i in range(num_panels))
    boxes = ((left, _GAP_INCHES, _PANEL_INCHES, _PANEL_INCHES) for left in lefts)
    return figure, [figure.add_axes(tuple(box / size)) for box in boxes]


def _legend(class_maps: Iterable[np.ndarray], scheme: ClassScheme) -> list[Patch]:
    """Return one entry for each class that occurs, and for no data if that does."""
    found = {
        int(code)
        for indices in class_maps
        for code in np.unique(_codes(indices, scheme))
    }
    entries = [
        Patch(facecolor=np.array(c.color) / 255, edgecolor='0.5', label=c.name)
        for c in scheme.classes
        if c.code in found
    ]
    if scheme.legend.nodata in found:
        color = np.array(NODATA_COLOR) / 255
        entries.append(Patch(facecolor=color, edgecolor='0.5', label='No data'))
    return entries


def _codes(indices: np.ndarray, scheme: ClassScheme) -> np.ndarray:
    return scheme.decode(np.asarray(indices))


@cache
def _palette(scheme: ClassScheme) -> np.ndarray:
    """Return the colour of each code, shape ``(256, 3)``, uint8."""
    colors = np.full((256, 3), NODATA_COLOR, dtype=np.uint8)
    for code, color in scheme.legend.palette.items():
        colors[code] = color
    return colors
