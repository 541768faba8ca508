"""The layers of a map: names, bands, files, QGIS styles, fractions quantised to uint8."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from ...classes import ClassScheme, LandCover
from ...io.atomic import write_text
from ...io.rasters import SIDECAR

#: The layer of class codes, which every map has.
CLASSES = 'classes'

#: What each layer shows.
TITLES = {
    CLASSES: 'Land cover class',
    'probabilities': 'Probability of each class',
    'confidence': 'Probability of the class in the map',
    'entropy': 'Entropy of the probabilities, 1 where all classes are equally likely',
    'disagreement': 'Disagreement between the models of an ensemble',
}

#: A fraction of 1 as it is stored, so that one step is 0.004.
_FULL = 250

#: What is stored where a fraction is not known.
FRACTION_NODATA = 255

#: What a stored value is multiplied by to give a fraction.
FRACTION_SCALE = 1 / _FULL

_FRACTIONS = np.full(256, np.nan, dtype=np.float32)
_FRACTIONS[: _FULL + 1] = np.arange(_FULL + 1, dtype=np.float32) / _FULL

#: Colours of the fractions 0, 0.5 and 1: from light to dark, told apart by everybody.
_RAMP = {0.0: '#ffffe5', 0.5: '#41ab5d', 1.0: '#004529'}

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


@dataclass(frozen=True, slots=True)
class MapLayer:
    """One raster of a map, uint8.

    Attributes:
        name: Its name, one of :data:`TITLES`.
        bands: What each band shows.
    """

    name: str
    bands: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the layer shows."""
        return TITLES[self.name]

    @property
    def is_fraction(self) -> bool:
        """Whether it holds numbers from 0 to 1, and not codes."""
        return self.name != CLASSES


def find_layer(name: str, scheme: ClassScheme) -> MapLayer:
    """Return a layer by name.

    Args:
        name: One of :data:`TITLES`.
        scheme: The classes of the map.

    Returns:
        The layer; ``probabilities`` has one band per class of the scheme, the others
        have one.

    Raises:
        ValueError: If there is no such layer.
    """
    if name not in TITLES:
        raise ValueError(f"Expected a layer of {tuple(TITLES)}, got '{name}'.")
    bands = scheme.labels if name == 'probabilities' else [TITLES[name]]
    return MapLayer(name, tuple(bands))


def encode_fraction(fractions: np.ndarray) -> np.ndarray:
    """Store numbers from 0 to 1 as uint8.

    Args:
        fractions: Array of any shape, float, NaN where not known.

    Returns:
        Steps of :data:`FRACTION_SCALE`, to the nearest one, :data:`FRACTION_NODATA` where
        not known, of the same shape.

    Raises:
        ValueError: If a number is further than rounding from 0 to 1.
    """
    steps = np.multiply(fractions, _FULL, dtype=np.float32)
    np.rint(steps, out=steps)
    unknown = np.isnan(steps)
    np.copyto(steps, 0, where=unknown)
    if steps.size and not 0 <= steps.min() <= steps.max() <= _FULL:
        raise ValueError(
            f'Expected fractions from 0 to 1, got {np.nanmin(fractions)} to '
            f'{np.nanmax(fractions)}.'
        )
    np.copyto(steps, FRACTION_NODATA, where=unknown)
    return steps.astype(np.uint8)


def decode_fraction(stored: np.ndarray) -> np.ndarray:
    """Turn what :func:`encode_fraction` gave back into numbers.

    Args:
        stored: Array of any shape, uint8.

    Returns:
        Fractions of the same shape, float32, NaN where not known.
    """
    return _FRACTIONS[stored]


def check_output(output: Path | str) -> Path:
    """Check that a path can be a map's.

    Args:
        output: Where the map shall be.

    Returns:
        The path.

    Raises:
        ValueError: If its name is no GeoTIFF's, or a directory is there.
    """
    path = Path(output)
    if path.suffix.lower() not in ('.tif', '.tiff') or path.is_dir():
        raise ValueError(
            f'Expected the name of a GeoTIFF (.tif) for the map, got {path}; choose '
            'another output.'
        )
    return path


def layer_path(output: Path | str, name: str) -> Path:
    """Return where a layer of a map is.

    Args:
        output: Where the map is.
        name: Name of the layer.

    Returns:
        The map itself for its classes, ``NAME.probabilities.tif`` beside it and the
        like for others.
    """
    path = Path(output)
    return path if name == CLASSES else path.with_suffix(f'.{name}{path.suffix}')


def layer_paths(output: Path | str, layers: Sequence[MapLayer]) -> dict[MapLayer, Path]:
    """Return where each layer of a map is, the map itself at the end.

    Args:
        output: Path of the map
        layers: Its layers.

    Returns:
        Path of each layer's raster.
    """
    ordered = sorted(layers, key=lambda layer: layer.name == CLASSES)
    return {layer: layer_path(output, layer.name) for layer in ordered}


def item_path(output: Path | str) -> Path:
    """Return where the STAC item of a map is.

    Args:
        output: Path of the map.

    Returns:
        Path with the suffix ``.json``.
    """
    return Path(output).with_suffix('.json')


def style_path(raster: Path | str) -> Path:
    """Return where QGIS looks for the style of a raster.

    Args:
        raster: Path of the raster.

    Returns:
        Path with the suffix ``.qml``.
    """
    return Path(raster).with_suffix('.qml')


def polygons_path(output: Path | str) -> Path:
    """Return where the polygons of a map are.

    Args:
        output: Path of the map.

    Returns:
        Path with the suffix ``.gpkg``.
    """
    return Path(output).with_suffix('.gpkg')


def sidecar_path(raster: Path | str) -> Path:
    """Return where GDAL looks for what a raster cannot hold.

    Args:
        raster: Path of the raster.

    Returns:
        Path of its ``.aux.xml``.
    """
    return Path(f'{raster}{SIDECAR}')


def list_outputs(output: Path | str) -> list[Path]:
    """List every file that a map can consist of, the map itself first.

    Args:
        output: Path of the map.

    Returns:
        Their paths, whether they exist or not.
    """
    rasters = [layer_path(output, name) for name in TITLES]
    beside = [path for r in rasters for path in (sidecar_path(r), style_path(r))]
    return [*rasters, *beside, item_path(output), polygons_path(output)]


def find_outputs(output: Path | str) -> list[Path]:
    """Find what is there of a map, the map itself first.

    Args:
        output: Path of the map.

    Returns:
        Paths of those that exist.
    """
    return [path for path in list_outputs(output) if path.exists()]


def write_style(path: Path, layer: MapLayer, scheme: ClassScheme) -> None:
    """Write the QGIS style of a layer, complete or not at all.

    Args:
        path: File to write, a ``.qml``.
        layer: The layer. Codes are drawn in the colours of their classes, fractions in
            shades from 0 to 1, the first band of several.
        scheme: The classes of the map.
    """
    root = ET.Element('qgis', version='3.0', styleCategories='Symbology')
    pipe = ET.SubElement(root, 'pipe')
    if layer.is_fraction:
        _add_shades(pipe)
    else:
        _add_palette(pipe, scheme.classes)
    ET.SubElement(root, 'blendMode').text = '0'
    ET.indent(root)
    write_text(path, f'{_DOCTYPE}{ET.tostring(root, encoding="unicode")}\n')


def hex_color(land_cover: LandCover) -> str:
    """Return the colour of a class as six hexadecimal digits, upper case.

    Args:
        land_cover: The class.

    Returns:
        Text such as ``'1C0DFF'``.
    """
    return '{:02X}{:02X}{:02X}'.format(*land_cover.color)


def _add_renderer(pipe: ET.Element, kind: str) -> ET.Element:
    renderer = ET.SubElement(
        pipe, 'rasterrenderer', type=kind, band='1', alphaBand='-1', opacity='1'
    )
    ET.SubElement(renderer, 'rasterTransparency')
    return renderer


def _add_palette(pipe: ET.Element, classes: tuple[LandCover, ...]) -> None:
    palette = ET.SubElement(_add_renderer(pipe, 'paletted'), 'colorPalette')
    for land_cover in classes:
        ET.SubElement(
            palette,
            'paletteEntry',
            value=str(land_cover.code),
            color=f'#{hex_color(land_cover).lower()}',
            label=land_cover.name,
            alpha='255',
        )


def _add_shades(pipe: ET.Element) -> None:
    renderer = _add_renderer(pipe, 'singlebandpseudocolor')
    low, high = f'{min(_RAMP):g}', f'{max(_RAMP):g}'
    renderer.attrib |= {'classificationMin': low, 'classificationMax': high}
    shader = ET.SubElement(
        ET.SubElement(renderer, 'rastershader'),
        'colorrampshader',
        colorRampType='INTERPOLATED',
        classificationMode='1',
        clip='0',
        minimumValue=low,
        maximumValue=high,
    )
    for fraction, color in _RAMP.items():
        text = f'{fraction:g}'
        ET.SubElement(shader, 'item', value=text, color=color, label=text, alpha='255')
