"""Maps of whole scenes: finished rows, the rasters made of them, what lies beside."""

from .finish import finish_map
from .layers import (
    MapLayer,
    decode_fraction,
    encode_fraction,
    find_layer,
    layer_path,
    list_outputs,
)
from .polygons import measure_areas, write_polygons
from .rows import MapRows, join_rows, open_rows
from .stac import find_time

__all__ = [
    'MapLayer',
    'MapRows',
    'decode_fraction',
    'encode_fraction',
    'find_layer',
    'find_time',
    'finish_map',
    'join_rows',
    'layer_path',
    'list_outputs',
    'measure_areas',
    'open_rows',
    'write_polygons',
]
