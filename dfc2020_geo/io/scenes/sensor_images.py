"""The images of one sensor: which files are read, and what their numbers mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...bands import BANDS, Band, Sensor
from .assigning import SENSORS, Place, assign, require
from .headers import RasterFacts, read_facts
from .radiometry import Coding
from .sources import Named, Source, resolve

#: The bands that give a scene its grid.
_GRID_GSD = min(band.gsd for band in BANDS.values())


@dataclass(frozen=True)
class Images:
    """The images of one sensor.

    Attributes:
        source: What the user named.
        bands: The bands to read, in channel order.
        places: Where each band of the sensor is that was found, by name.
        given_offset: What the user has added to the stored numbers; None for what the
            product says.
        power: Whether the numbers are linear power, to become decibels.
    """

    source: Source
    bands: tuple[Band, ...]
    places: dict[str, Place]
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
    def read(self) -> list[Place]:
        """Where the bands to read are, in channel order."""
        return [self.places[band.name] for band in self.bands]

    @property
    def finest(self) -> RasterFacts:
        """The file that gives the grid: one of a 10 m band, if there is one."""
        if self.sensor == 's1':
            return self.read[0].file
        fine = [p for name, p in self.places.items() if BANDS[name].gsd == _GRID_GSD]
        files = [place.file for place in fine or self.places.values()]
        return min(files, key=lambda file: file.grid.pixel_area)

    @property
    def files(self) -> list[RasterFacts]:
        """The files that are read."""
        return list({place.file.path: place.file for place in self.read}.values())

    def bands_of(self, file: RasterFacts) -> list[str]:
        """Return the names of the bands that are read from a file."""
        return [b.name for b in self.bands if self.places[b.name].file is file]

    def offsets(self) -> tuple[float, ...]:
        """Return what is added to the numbers of each band that is read.

        Raises:
            FileNotFoundError: If a product lacks the metadata that say it.
            RuntimeError: If its metadata have no offset of a band.
        """
        if self.sensor == 's1' or self.given_offset is not None:
            return (self.given_offset or 0.0,) * len(self.bands)
        if product := self.source.product:
            return tuple(product.offset(band.name) for band in self.bands)
        if self.source.is_product:
            raise FileNotFoundError(
                f'Expected MTD_MSIL1C.xml or MTD_MSIL2A.xml in {self.source.where}, got '
                'neither; it says the radiometric offset. Extract the whole product, or '
                'give --s2_offset.'
            )
        return (0.0,) * len(self.bands)

    def coding(self, start: int) -> Coding:
        """Return what the numbers mean.

        Args:
            start: Channel of the first band.
        """
        product = self.source.product
        return Coding(
            start=start,
            nodata=tuple(place.file.nodata[place.index - 1] for place in self.read),
            offsets=self.offsets(),
            factor=product.factor if product else 1.0,
            power=self.power,
        )


def find_bands(
    bands: tuple[Band, ...],
    named: Named | None,
    names: Sequence[str] | None,
    given_offset: float | None = None,
    power: bool = False,
) -> Images:
    """Find the bands of one sensor.

    Args:
        bands: The bands to read, of one sensor.
        named: What the user names as their images.
        names: Names of all bands of these files, where they cannot be recognised.
        given_offset: What the user has added to the stored numbers.
        power: Whether they are linear power.

    Returns:
        The images; every band that is read has a place.

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
    source = resolve(named, sensor)
    files = [read_facts(path) for path in source.paths]
    places = assign(files, sensor, names)
    require(wanted, places, files, sensor)
    return Images(source, bands, places, given_offset, power)
