"""Maps of whole scenes: finished rows, the rasters made of them, what lies beside."""

from .assembly import finish_map
from .grid import Grid
from .layers import Layer, decode_share, encode_share, find_layer
from .names import layer_path, list_outputs
from .opening import join_parts, open_parts
from .parts import Parts
from .polygons import measure_areas, write_polygons
from .times import find_time

__all__ = [
    'Grid',
    'Layer',
    'Parts',
    'decode_share',
    'encode_share',
    'find_layer',
    'find_time',
    'finish_map',
    'join_parts',
    'layer_path',
    'list_outputs',
    'measure_areas',
    'open_parts',
    'write_polygons',
]
