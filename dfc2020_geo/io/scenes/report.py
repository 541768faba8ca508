"""What a user should be told of how a scene is read."""

from collections.abc import Iterator, Sequence

from .layers import Layer
from .sensor_images import Images
from .sources import last_part


def write_notes(images: Images, layers: Sequence[Layer]) -> Iterator[str]:
    """Say how the images of one sensor are read.

    Args:
        images: The images.
        layers: Their files, as they are read.

    Yields:
        Lines to print.
    """
    parts = [
        f'{", ".join(images.bands_of(file))} by {images.read[0].how} from {file.path}'
        if len(images.files) == 1
        else f'{", ".join(images.bands_of(file))} from {last_part(file.path)}'
        for file in images.files
    ]
    yield f'{images.title}: {"; ".join(parts)}'
    if images.sensor == 's2':
        yield from _offset(images)
    elif images.power:
        yield f'{images.title}: linear power, converted to decibels'
    yield from _nodata(images)
    yield from _fitting(images, layers)


def _offset(images: Images) -> Iterator[str]:
    offsets = images.offsets()
    text = f'{offsets[0]:g}'
    if len(set(offsets)) > 1:
        pairs = zip(images.bands, offsets, strict=True)
        text = ', '.join(f'{band.name} {offset:g}' for band, offset in pairs)
    product = images.source.product
    if images.given_offset is not None:
        why = 'as given (--s2_offset)'
    elif product:
        why = (
            f'from {product.path} (processing baseline {product.baseline or "unknown"})'
        )
    else:
        why = 'as the files say nothing of one (--s2_offset)'
    yield f'{images.title}: offset {text}, {why}'
    if product and product.factor != 1:
        yield (
            f'{images.title}: multiplied with {product.factor:g}, quantification value '
            f'{product.quantification:g}'
        )
    if product and product.level == 'L2A':
        yield (
            f'{images.title}: Level-2A, reflectance at the surface; SEN12MS and DFC2020 '
            'are Level-1C, top of atmosphere'
        )


def _nodata(images: Images) -> Iterator[str]:
    values = [place.file.nodata[place.index - 1] for place in images.read]
    declared = {f'{value:g}' for value in values if value is not None}
    if declared:
        yield f'{images.title}: declares {", ".join(sorted(declared))} as no data'
    for file in images.files:
        if file.scaled:
            yield (
                f'{images.title}: {file.path} declares a scale or an offset of its '
                'values, which is not applied'
            )


def _fitting(images: Images, layers: Sequence[Layer]) -> Iterator[str]:
    coarse = []
    for layer in layers:
        bands = images.bands_of(layer.file)
        if layer.lattice is None:
            yield (
                f'{images.title}: {", ".join(bands)} warped ({layer.resampling}) from '
                f'{layer.file.grid.describe()} to {layer.grid.describe()}'
            )
        elif not layer.lattice.is_equal_size:
            coarse += bands
    if coarse:
        yield (
            f'{images.title}: {", ".join(coarse)} brought to the grid by the nearest '
            'pixel'
        )
