"""The images of one sensor: which file holds which band, and what its numbers mean."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...bands import BAND_SETS, BANDS, FILE_BANDS, Band, Sensor
from ..band_names import (
    is_no_band,
    judge_names,
    name_bands,
    name_stack,
    split_file_names,
)
from .containers import join_pieces, whole_stem
from .evidence import require_offset, require_order
from .headers import MAX_SCENE_SIZE, RasterHeader, read_header
from .metadata import REFLECTANCE_OF_ONE
from .products import Product, SceneImages, file_stem, last_part, open_product
from .radiometry import Coding

logger = logging.getLogger(__name__)

#: What the sensors are called.
SENSORS: dict[Sensor, str] = {'s1': 'Sentinel-1', 's2': 'Sentinel-2'}

#: Scales below it give reflectance of 0 to 1, others reflectance x 10 000.
_REFLECTANCE = 0.1

#: A band in a file that is none of those the sensor has, in ``--s2_bands``.
_OTHER = '-'

#: Sizes of pixels that differ by less are the same.
_SAME_SIZE = 1.01

#: The bands that give a scene its grid.
_GRID_GSD = min(band.gsd for band in BANDS.values())


class Declared(NamedTuple):
    """What tags of files say of the numbers of Sentinel-2.

    Attributes:
        factor: What numbers are multiplied with, to reflectance x 10 000.
        offsets: What is added to those of each band before that.
    """

    factor: float
    offsets: tuple[float, ...]


class BandFile(NamedTuple):
    """A band, and the file that holds it.

    Attributes:
        file: The file that holds it.
        index: Its position in the file, counted from 1.
        how: How it was recognised.
    """

    file: RasterHeader
    index: int
    how: str = ''

    @property
    def nodata(self) -> float | None:
        """Number that it declares as no data."""
        return self.file.nodata[self.index - 1]


@dataclass(frozen=True)
class SensorImages:
    """The images of one sensor.

    Attributes:
        product: What the user named, opened.
        bands: The bands to read, in channel order.
        band_files: The file of each band of the sensor that was found, by name.
        given_offset: What the user has added to the stored numbers; None for what the
            product says.
        power: Whether the numbers are linear power, to become decibels.
    """

    product: Product
    bands: tuple[Band, ...]
    band_files: dict[str, BandFile]
    given_offset: float | None = None
    power: bool = False

    @property
    def sensor(self) -> Sensor:
        """The sensor whose images they are."""
        return self.bands[0].sensor

    @property
    def title(self) -> str:
        """Name of the sensor, for people."""
        return SENSORS[self.sensor]

    @property
    def read(self) -> list[BandFile]:
        """Where the bands to read are, in channel order."""
        return [self.band_files[band.name] for band in self.bands]

    @property
    def finest(self) -> RasterHeader:
        """The file that gives the grid: one of a 10 m band, if there is one."""
        if self.sensor == 's1':
            return self.read[0].file
        fine = [
            p for name, p in self.band_files.items() if BANDS[name].gsd == _GRID_GSD
        ]
        files = [band_file.file for band_file in fine or self.band_files.values()]
        return min(files, key=lambda file: file.grid.pixel_area)

    @property
    def files(self) -> list[RasterHeader]:
        """The files that are read."""
        return list(
            {band_file.file.address: band_file.file for band_file in self.read}.values()
        )

    def bands_of(self, file: RasterHeader) -> list[str]:
        """Return the names of the bands that are read from a file.

        Args:
            file: Header of a file.

        Returns:
            Names of bands.
        """
        return [b.name for b in self.bands if self.band_files[b.name].file is file]

    def offsets(self) -> tuple[float, ...]:
        """Return what is added to the numbers of each band that is read.

        Returns:
            An offset for each band, in stored numbers.

        Raises:
            FileNotFoundError: If a product lacks the metadata that say it.
            RuntimeError: If its metadata have no offset of a band.
        """
        if self.sensor == 's1' or self.given_offset is not None:
            return (self.given_offset or 0.0,) * len(self.bands)
        metadata = self.product.metadata
        if metadata and metadata.tells_offset:
            return tuple(metadata.offset(band.name) for band in self.bands)
        if self.product.is_safe:
            raise FileNotFoundError(
                f'Expected MTD_MSIL1C.xml or MTD_MSIL2A.xml in {self.product.where}, got '
                'neither, nor a name that says the processing baseline; they say the '
                'radiometric offset. Extract the whole product, or '
                'give --s2_offset.'
            )
        return self.declared.offsets if self.declared else (0.0,) * len(self.bands)

    @property
    def declared(self) -> Declared | None:
        """What tags of the files declare of Sentinel-2, where nothing else counts.

        Metadata of a product count before them, and so does what the user gives.

        Raises:
            RuntimeError: If bands declare different scales, or one that is no number
                above 0.
        """
        metadata = self.product.metadata
        # A name alone may say the level, and nothing of numbers.
        is_told = metadata and (metadata.tells_offset or not metadata.is_name)
        has_said = self.given_offset is not None or is_told or self.product.is_safe
        if self.sensor == 's1' or has_said or not any(f.is_scaled for f in self.files):
            return None
        tags = [
            (b.file.scales[b.index - 1], b.file.offsets[b.index - 1]) for b in self.read
        ]
        scales = sorted({scale for scale, _ in tags})
        numbers = [number for pair in tags for number in pair]
        if len(scales) > 1 or scales[0] <= 0 or not all(map(math.isfinite, numbers)):
            raise RuntimeError(
                f'Expected bands that declare one scale, above 0, and an offset, got '
                f'{tags} in {self.files[0].path}; mend the tags with gdal_edit.py, or '
                'give --s2_offset, with which they do not count.'
            )
        (scale,) = scales
        # Reflectance is 1 at most where it is not stored as such, x 10 000.
        factor = scale * REFLECTANCE_OF_ONE if scale < _REFLECTANCE else scale
        offsets = tuple(round(offset / scale, 6) for _, offset in tags)
        return Declared(round(factor, 9), offsets)

    def judge_offset(self) -> None:
        """Check an offset that is known from a name alone by the numbers.

        Raises:
            RuntimeError: If they contradict it; the message names the file.
        """
        metadata = self.product.metadata
        is_doubtful = metadata is not None and metadata.is_name and metadata.offsets
        if not is_doubtful or self.given_offset is not None:
            return
        require_offset(self.files, metadata.path)
        if not all(file.path.lower().endswith('.jp2') for file in self.files):
            logger.warning(
                '%s: offset %g, from %s alone, as there are no metadata. Give --s2_offset '
                '0 if it was subtracted when %s was made.',
                self.title,
                min(self.offsets()),
                metadata.path,
                last_part(self.files[0].path),
            )

    def coding(self, start: int) -> Coding:
        """Return what the numbers mean.

        Args:
            start: Channel of the first band.

        Returns:
            The coding of the sensor's bands.
        """
        metadata, declared = self.product.metadata, self.declared
        factor = metadata.factor if metadata else 1.0
        return Coding(
            start=start,
            nodata=tuple(band_file.nodata for band_file in self.read),
            offsets=self.offsets(),
            factor=declared.factor if declared else factor,
            power=self.power,
            has_metadata=metadata is not None and self.given_offset is None,
        )


def find_bands(
    bands: tuple[Band, ...],
    named: SceneImages | None,
    names: Sequence[str] | None,
    given_offset: float | None = None,
    power: bool = False,
    max_size: float = MAX_SCENE_SIZE,
) -> SensorImages:
    """Find the bands of one sensor.

    Args:
        bands: The bands to read, of one sensor.
        named: What the user names as their images.
        names: Names of all bands of these files, where they cannot be recognised.
        given_offset: What the user has added to the stored numbers.
        power: Whether they are linear power.
        max_size: Most pixels on a side of a file.

    Returns:
        The images; every band to read has its file.

    Raises:
        FileNotFoundError: If there are no such files.
        RuntimeError: If a file is damaged, or bands are missing or there twice.
        ValueError: If nothing is named, or *names* does not suit the files.
    """
    sensor = bands[0].sensor
    wanted = [band.name for band in bands]
    if named is None:
        raise ValueError(
            f'Expected images of {SENSORS[sensor]} for the bands {", ".join(wanted)}, '
            f'got none; give --{sensor}.'
        )
    product = open_product(named, sensor)
    headers = join_pieces([read_header(path, max_size) for path in product.paths])
    files = assign(headers, sensor, names)
    _require(wanted, files, headers, sensor)
    images = SensorImages(product, bands, files, given_offset, power)
    images.judge_offset()
    return images


def assign(
    files: Sequence[RasterHeader],
    sensor: Sensor,
    names: Sequence[str] | str | None = None,
) -> dict[str, BandFile]:
    """Find the bands of a sensor in the files of a scene.

    Args:
        files: The files.
        sensor: The sensor whose images they are.
        names: Name of each band of all the files, in their order, ``-`` for one to
            leave out; None if they are to be recognised: by description, by the name
            of the file, or by their number.

    Returns:
        Where each band is, by name; of a band in several resolutions, the finest.

    Raises:
        ValueError: If *names* does not suit the files.
        RuntimeError: If two bands of the same resolution claim to be the same one.
    """
    if isinstance(names, str):
        names = names.replace(',', ' ').split()
    found_bands: dict[str, list[BandFile]] = defaultdict(list)
    found = _given(files, sensor, names) if names else _recognised(files, sensor)
    for name, band_file in found:
        found_bands[name].append(band_file)
    return {name: _finest(name, candidates) for name, candidates in found_bands.items()}


def _require(
    bands: Iterable[str],
    found_bands: dict[str, BandFile],
    files: Sequence[RasterHeader],
    sensor: Sensor,
) -> None:
    """Check that the bands to read were found.

    Args:
        bands: Names of the bands to read.
        found_bands: Where bands are, by name.
        files: The files that they were looked for in.
        sensor: The sensor whose images these are.

    Raises:
        RuntimeError: If one was not; the message names it and says what was found.
    """
    missing = [band for band in bands if band not in found_bands]
    if not missing:
        return
    known = [name for name in BAND_SETS[sensor] if name in found_bands]
    told = {found_bands[name].file.path for name in known}
    untold = [file.describe() for file in files if file.path not in told]
    found = '; '.join([*([', '.join(known)] if known else []), *untold[:3]])
    raise RuntimeError(
        f'Expected the bands {", ".join(missing)} of {SENSORS[sensor]} in '
        f'{_where(files)}, got {found}. {_advice(missing, known, files, sensor)}'
    )


def _where(files: Sequence[RasterHeader]) -> str:
    more = f' and {len(files) - 1} more' if len(files) > 1 else ''
    return f'{files[0].path}{more}'


def _advice(
    missing: Sequence[str],
    known: Sequence[str],
    files: Sequence[RasterHeader],
    sensor: Sensor,
) -> str:
    if missing == ['B10'] and known:
        return (
            'Level-2A has no B10: map a Level-1C product, or take a model that does not '
            'read it.'
        )
    advice = f'Name the bands of the file in its order as --{sensor}_bands'
    count = sum(file.count for file in files)
    level_2a = [name for name in BAND_SETS['s2'] if name != 'B10']
    if sensor == 's2' and count == len(level_2a) and 'B10' not in missing:
        return f'{advice}, for Level-2A without B10: {",".join(level_2a)}.'
    return f'{advice}, {_OTHER} for one that is something else.'


def _given(
    files: Sequence[RasterHeader], sensor: Sensor, names: Sequence[str]
) -> list[tuple[str, BandFile]]:
    spots = [(file, i) for file in files for i in range(1, file.count + 1)]
    if len(spots) != len(names):
        raise ValueError(
            f'Expected a name in --{sensor}_bands for each of the {len(spots)} bands '
            f'of {_where(files)}, got {len(names)}: {", ".join(names)}.'
        )
    found = []
    bands = judge_names(names, sensor)
    for (file, index), name, band in zip(spots, names, bands, strict=True):
        if band in BAND_SETS[sensor]:
            found.append((band, BandFile(file, index, f'--{sensor}_bands')))
        elif name != _OTHER:
            raise ValueError(
                f'Expected --{sensor}_bands to be of {", ".join(BAND_SETS[sensor])} '
                f'or {_OTHER}, got {name}.'
            )
    return found


def _recognised(
    files: Sequence[RasterHeader], sensor: Sensor
) -> list[tuple[str, BandFile]]:
    return [
        (name, BandFile(file, index, how))
        for file, (how, names) in zip(files, name_headers(files, sensor), strict=True)
        for index, name in enumerate(names, 1)
        if name
    ]


def name_headers(
    files: Sequence[RasterHeader], sensor: Sensor
) -> list[tuple[str, Sequence[str | None]]]:
    """Name the bands of the files of a scene, by all their names and descriptions.

    Args:
        files: The files.
        sensor: The sensor whose image they hold.

    Returns:
        Of each file how its bands were recognised, and the name of each, None for
        another one.

    Raises:
        RuntimeError: If they have no names, and the values contradict their position.
    """
    single = [file for file in files if file.count == 1]
    stems = [whole_stem(file_stem(file.path)) for file in single]
    by_file = zip(single, split_file_names(stems, sensor), strict=True)
    known = {file.path: band for file, (band, _) in by_file if band}
    others = [file for file in files if file.path not in known]
    rest = [file for file in others if file.count == 1]
    texts = [file.descriptions[0] for file in rest]
    described = dict(
        zip((f.path for f in rest), name_bands(texts, sensor), strict=True)
    )
    return [
        ('name of the file', [known[file.path]])
        if file.path in known
        else _name_header(file, sensor, described.get(file.path))
        for file in files
    ]


def _name_header(
    file: RasterHeader, sensor: Sensor, single: str | None
) -> tuple[str, Sequence[str | None]]:
    """Name the bands of a file by their descriptions, or by position."""
    if file.count == 1:
        is_band = not is_no_band(file_stem(file.path))
        return 'description', [single if is_band else None]
    names = name_stack(file.descriptions, sensor)
    if names is not None:
        return 'description', names
    if file.count == FILE_BANDS[sensor]:
        require_order(file)
        return 'position', BAND_SETS[sensor]
    return '', [None] * file.count


def _finest(name: str, found_bands: Sequence[BandFile]) -> BandFile:
    first, *others = sorted(
        found_bands, key=lambda band_file: band_file.file.grid.pixel_area
    )
    limit = first.file.grid.pixel_area * _SAME_SIZE
    if others and others[0].file.grid.pixel_area <= limit:
        raise RuntimeError(
            f'Expected one band {name}, got band {first.index} of {first.file.path} and '
            f'band {others[0].index} of {others[0].file.path}; remove one of them, or '
            'name the file to read.'
        )
    return first
