"""The STAC item of a map: footprint, time of acquisition, classes and assets."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension
from rasterio.crs import CRS  # ty: ignore[import-not-found] (compiled)
from rasterio.warp import transform_geom

from ...classes import ClassScheme
from ...io.atomic import write_json
from ...io.grid import RasterGrid
from ...io.rasters import GDAL_ERRORS
from .layers import (
    FRACTION_NODATA,
    FRACTION_SCALE,
    MapLayer,
    hex_color,
    layer_paths,
    polygons_path,
)

#: Longitude and latitude, in this order.
DEGREES = CRS.from_epsg(4326)

#: Digits of a degree behind the point: a centimetre.
_DIGITS = 7

#: Before the names of our own properties.
_PREFIX = 'dfc2020_geo'

#: A moment, or the first and the last one that it can have been.
AcquisitionTime = datetime | tuple[datetime, datetime]

#: Launch of Sentinel-1A, the first of the Sentinels: no image is older.
FIRST_LAUNCH = datetime(2014, 4, 3, 21, 2, 26, tzinfo=UTC)

#: Tags that hold the time of acquisition: of Sentinel-2 products, of GDAL.
_TAGS = (
    'PRODUCT_START_TIME',
    'DATATAKE_1_DATATAKE_SENSING_START',
    'ACQUISITIONDATETIME',
)

#: In names of Sentinel products; in those of 2015 and 2016 a V stands before it, and the
#: time of processing before that.
_NAMED = (re.compile(r'_V(\d{8}T\d{6})'), re.compile(r'(?<!\d)(\d{8}T\d{6})(?!\d)'))


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
    layers: Sequence[MapLayer],
    taken: AcquisitionTime,
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
    code = grid.known_crs.to_epsg()
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=None if code is None else f'EPSG:{code}',
        wkt2=grid.known_crs.to_wkt(version='WKT2_2019') if code is None else None,
        shape=[grid.height, grid.width],
        transform=list(grid.transform)[:6],
    )


def _add_layer(
    item: pystac.Item, layer: MapLayer, path: Path, scheme: ClassScheme
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
    if layer.is_fraction:
        bands = RasterBand.create(
            data_type=DataType.UINT8,
            nodata=FRACTION_NODATA,
            scale=FRACTION_SCALE,
            offset=0,
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


def find_time(
    sources: Sequence[Path | str], tags: Mapping[str, str]
) -> AcquisitionTime | None:
    """Find out when a scene was taken.

    Args:
        sources: Its files; the first one that says something counts.
        tags: Texts by name, from its files.

    Returns:
        The time in the tags or in the name of a Sentinel product. If there is none, it
        was between the launch of the first Sentinel and the last change of its
        files; None if these have no time of change, or an earlier one.
    """
    for name in _TAGS:
        if name in tags and (moment := _parse(tags[name])):
            return moment
    for pattern in _NAMED:
        for source in sources:
            for text in pattern.findall(_name(Path(source))):
                if moment := _parse(text):
                    return moment
    times = [Path(s).stat().st_mtime for s in sources if Path(s).exists()]
    last = datetime.fromtimestamp(int(max(times, default=0)), UTC)
    return (FIRST_LAUNCH, last) if last > FIRST_LAUNCH else None


def _name(source: Path) -> str:
    """Return the names that a product's own rules make, the file's own first."""
    folders = (part for part in source.parts[:-1] if part.endswith('.SAFE'))
    return '/'.join([source.name, *folders])


def _parse(text: str) -> datetime | None:
    """Read an ISO 8601 time, UTC unless it says otherwise; None if it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment >= FIRST_LAUNCH else None


def footprint(grid: RasterGrid) -> dict[str, Any]:
    """Return the outer edge of a grid in degrees, as GeoJSON.

    Args:
        grid: The pixels.

    Returns:
        A polygon, or one on each side of the antimeridian.

    Raises:
        ValueError: If the grid does not lie on the Earth.
    """
    try:
        outline = grid.outline()
        found = transform_geom(grid.crs, DEGREES, outline, precision=_DIGITS)
        west, south, east, north = bounds(found)
    except (*GDAL_ERRORS, ValueError, KeyError, SystemError) as error:
        # SystemError is what rasterio makes of a failure that GDAL gives no reason for.
        raise _off_the_earth(grid) from error
    if not -180 <= west <= 180 or not -90 <= south <= north <= 90 or east > 180:
        raise _off_the_earth(grid)
    return found


def _off_the_earth(grid: RasterGrid) -> ValueError:
    return ValueError(
        f'Expected a grid on the Earth, got {grid.crs} with {grid.transform!r}; correct '
        "the scene's georeferencing."
    )


def bounds(geometry: dict[str, Any]) -> list[float]:
    """Return the bounding box of a polygon, or of two beside the antimeridian.

    Args:
        geometry: GeoJSON, in degrees.

    Returns:
        West, south, east and north; west > east across the antimeridian.
    """
    if geometry['type'] == 'Polygon':
        points = geometry['coordinates'][0]
        x, y = [p[0] for p in points], [p[1] for p in points]
        return [min(x), min(y), max(x), max(y)]
    boxes = [
        bounds({'type': 'Polygon', 'coordinates': rings})
        for rings in geometry['coordinates']
    ]
    west = min(box[0] for box in boxes if box[2] > 0)
    east = max(box[2] for box in boxes if box[0] < 0)
    return [west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)]
