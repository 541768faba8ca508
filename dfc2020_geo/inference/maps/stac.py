"""The STAC item beside a map: what it is, where and of when."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension

from ...classes import ClassScheme
from ...io.atomic import write_json
from ...io.grid import RasterGrid
from .acquisition import Taken
from .file_names import layer_paths, polygons_path
from .footprint import bounds, footprint
from .layers import SHARE_NODATA, SHARE_SCALE, Layer
from .styles import hex_color

#: Before the names of our own properties.
_PREFIX = 'dfc2020_geo'


def write_item(path: Path, item: pystac.Item) -> None:
    """Write a STAC item, complete or not at all.

    Args:
        path: File to write, a ``.json``.
        item: The item.
    """
    write_json(path, item.to_dict(include_self_link=False, transform_hrefs=False))


def make_item(
    output: Path,
    grid: RasterGrid,
    scheme: ClassScheme,
    layers: Sequence[Layer],
    taken: Taken,
    tags: Mapping[str, str],
    polygons: bool = False,
) -> pystac.Item:
    """Describe a map as a STAC item.

    Args:
        output: Where the map is; all hrefs are relative to its directory.
        grid: Its pixels.
        scheme: Its classes.
        layers: Its layers, an asset each.
        taken: When its images were taken.
        tags: Texts by name, which become properties with our prefix.
        polygons: Whether there are polygons beside it.

    Returns:
        The item, with the projection, classification and raster extensions.

    Raises:
        ValueError: If the grid does not lie on the Earth.
    """
    geometry = footprint(grid)
    start, end = (None, None) if isinstance(taken, datetime) else taken
    item = pystac.Item(
        id=output.stem,
        geometry=geometry,
        bbox=bounds(geometry),
        datetime=taken if isinstance(taken, datetime) else None,
        start_datetime=start,
        end_datetime=end,
        properties={f'{_PREFIX}:{name}': text for name, text in sorted(tags.items())},
    )
    _add_projection(item, grid)
    for layer, path in reversed(layer_paths(output, layers).items()):
        _add_layer(item, layer, path, scheme)
    if polygons:
        href, kind = polygons_path(output).name, pystac.MediaType.GEOPACKAGE
        title = 'Polygons of one class each'
        item.add_asset(
            'polygons', pystac.Asset(f'./{href}', title, None, kind, ['data'])
        )
    return item


def _add_projection(item: pystac.Item, grid: RasterGrid) -> None:
    code = grid.crs.to_epsg()
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=None if code is None else f'EPSG:{code}',
        wkt2=grid.crs.to_wkt(version='WKT2_2019') if code is None else None,
        shape=[grid.height, grid.width],
        transform=list(grid.transform)[:6],
    )


def _add_layer(
    item: pystac.Item, layer: Layer, path: Path, scheme: ClassScheme
) -> None:
    asset = pystac.Asset(
        f'./{path.name}',
        title=layer.title,
        media_type=pystac.MediaType.COG,
        roles=['data'],
        extra_fields={'bands': [{'name': band} for band in layer.bands]},
    )
    item.add_asset(layer.name, asset)
    bands = RasterBand.create(data_type=DataType.UINT8, nodata=scheme.legend.nodata)
    if layer.is_share:
        bands = RasterBand.create(
            data_type=DataType.UINT8, nodata=SHARE_NODATA, scale=SHARE_SCALE, offset=0
        )
    else:
        classes = ClassificationExtension.ext(asset, add_if_missing=True)
        classes.apply(_list_classes(scheme))
    RasterExtension.ext(asset, add_if_missing=True).apply([bands] * len(layer.bands))


def _list_classes(scheme: ClassScheme) -> list[Classification]:
    nodata = Classification.create(
        value=scheme.legend.nodata, name='nodata', title='No data', nodata=True
    )
    return [
        nodata,
        *(
            Classification.create(
                value=land_cover.code,
                name=re.sub(r'\W+', '-', land_cover.name).lower(),
                title=land_cover.name,
                color_hint=hex_color(land_cover),
            )
            for land_cover in scheme.classes
        ),
    ]
