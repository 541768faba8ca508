"""Report of how a scene is read: bands, offsets, warping, warnings."""

from collections.abc import Iterator, Sequence

from .products import last_part
from .reading import BandReader
from .sensor_images import SensorImages


def write_notes(images: SensorImages, readers: Sequence[BandReader]) -> Iterator[str]:
    """Say how the images of one sensor are read.

    Args:
        images: The images.
        readers: Their files, as they are read.

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
        yield from describe_offset(images)
    elif images.power:
        yield f'{images.title}: linear power, converted to decibels'
    read = {band_file.file.path for band_file in images.band_files.values()}
    if others := [last_part(p) for p in images.product.paths if p not in read]:
        yield f'{images.title}: no band in {", ".join(others)}'
    yield from _nodata(images)
    yield from _alignment(images, readers)


def describe_offset(images: SensorImages) -> Iterator[str]:
    """Say which offset is added to Sentinel-2, why, and of which level it is.

    Args:
        images: The images.

    Yields:
        Lines to print.
    """
    offsets = images.offsets()
    text = f'{offsets[0]:g}'
    if len(set(offsets)) > 1:
        pairs = zip(images.bands, offsets, strict=True)
        text = ', '.join(f'{band.name} {offset:g}' for band, offset in pairs)
    metadata = images.product.metadata
    if images.given_offset is not None:
        why = 'as given (--s2_offset)'
    elif metadata and metadata.tells_offset:
        why = (
            f'from {metadata.path} '
            f'(processing baseline {metadata.baseline or "unknown"})'
        )
    elif images.declared:
        why = f'as the tags of {last_part(images.files[0].path)} declare'
    else:
        why = 'as the files say nothing of one (--s2_offset)'
    yield f'{images.title}: offset {text}, {why}'
    if images.declared and images.declared.factor != 1:
        yield (
            f'{images.title}: multiplied with {images.declared.factor:g}, as declared'
        )
    if metadata and metadata.factor != 1:
        yield (
            f'{images.title}: multiplied with {metadata.factor:g}, quantification value '
            f'{metadata.quantification:g}'
        )
    if metadata and metadata.level == 'L2A':
        by = f' (by {metadata.path})' if metadata.is_name else ''
        yield (
            f'{images.title}: Level-2A{by}, reflectance at the surface; SEN12MS and '
            'DFC2020 are Level-1C, top of atmosphere'
        )


def _nodata(images: SensorImages) -> Iterator[str]:
    values = [band_file.nodata for band_file in images.read]
    declared = {f'{value:g}' for value in values if value is not None}
    if declared:
        yield f'{images.title}: declares {", ".join(sorted(declared))} as no data'
    for file in images.files:
        if file.is_scaled and not images.declared:
            yield (
                f'{images.title}: {file.path} declares a scale or an offset of its '
                'values, which is not applied'
            )


def _alignment(images: SensorImages, readers: Sequence[BandReader]) -> Iterator[str]:
    coarse = []
    for reader in readers:
        bands = images.bands_of(reader.file)
        if reader.lattice is None:
            yield (
                f'{images.title}: {", ".join(bands)} warped ({reader.resampling}) from '
                f'{reader.file.grid.describe()} to {reader.grid.describe()}'
            )
        elif not reader.lattice.is_equal_size:
            coarse += bands
    if coarse:
        yield (
            f'{images.title}: {", ".join(coarse)} brought to the grid by the nearest '
            'pixel'
        )
