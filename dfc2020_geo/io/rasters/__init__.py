"""Reading bands and writing class maps: the home of all that opens rasters."""

from .reading import (
    GDAL_ERRORS,
    SCENE_SUFFIXES,
    SIDECAR,
    fill_image,
    grid_of,
    open_handle,
    open_raster,
    read_bands,
    read_grid,
    read_raw,
    require_bands,
    require_real,
)
from .writing import (
    create_raster,
    describe_classes,
    with_categories,
    write_class_map,
    write_image,
    write_probabilities,
)

__all__ = [
    'GDAL_ERRORS',
    'SCENE_SUFFIXES',
    'SIDECAR',
    'create_raster',
    'describe_classes',
    'fill_image',
    'grid_of',
    'open_handle',
    'open_raster',
    'read_bands',
    'read_grid',
    'read_raw',
    'require_bands',
    'require_real',
    'with_categories',
    'write_class_map',
    'write_image',
    'write_probabilities',
]
