"""QGIS styles (``.qml``) of class maps and layers."""

from pathlib import Path
from xml.etree import ElementTree as ET

from ...classes import ClassScheme, LandCover
from ...io.atomic import write_text
from .layers import MapLayer

#: Colours of the fractions 0, 0.5 and 1: from light to dark, told apart by everybody.
_RAMP = {0.0: '#ffffe5', 0.5: '#41ab5d', 1.0: '#004529'}

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


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
