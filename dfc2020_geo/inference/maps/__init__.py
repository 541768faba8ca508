"""Maps of whole scenes: finished rows, the rasters made of them, what lies beside."""

from .acquisition import find_time
from .file_names import layer_path, list_outputs
from .finish import finish_map
from .layers import Layer, decode_share, encode_share, find_layer
from .polygons import measure_areas, write_polygons
from .resume import join_parts, open_parts
from .rows import Parts

__all__ = [
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
