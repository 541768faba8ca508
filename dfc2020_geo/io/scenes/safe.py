"""Products of Sentinel-1 and -2 as ESA packs them: band files and metadata."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from ...bands import BAND_SETS
from ..band_names import split_file_name
from .paths import gdal_path, list_files, list_folders

#: Stored number of a reflectance of 1 in the images that the networks learned from.
REFLECTANCE_OF_ONE = 10_000

#: Metadata have some 50 kB; what is far longer is something else.
_MAX_METADATA = 16 * 2**20

#: MTD_MSIL1C.xml and MTD_MSIL2A.xml, and S2A_OPER_MTD_SAFL1C_*.xml until 2016.
_METADATA = re.compile(r'(?:MTD_MSI|.+_MTD_SAF)(L1C|L2A).*\.xml', re.IGNORECASE)

_OFFSETS = ('RADIO_ADD_OFFSET', 'BOA_ADD_OFFSET')
_QUANTIFICATIONS = (
    'QUANTIFICATION_VALUE',
    'BOA_QUANTIFICATION_VALUE',
    'L2A_BOA_QUANTIFICATION_VALUE',
)


@dataclass(frozen=True)
class Product:
    """What the metadata of a Sentinel-2 product say.

    Attributes:
        path: The metadata.
        level: ``'L1C'``, top of atmosphere, or ``'L2A'``, at the surface.
        baseline: Processing baseline, for example ``'05.10'``; empty if not said.
        offsets: Offset of the stored numbers of each band; empty before baseline 04.00.
        quantification: Stored number of a reflectance of 1.
    """

    path: str
    level: str
    baseline: str
    offsets: Mapping[str, float]
    quantification: float

    @property
    def factor(self) -> float:
        """What brings stored numbers to reflectance x 10 000."""
        return REFLECTANCE_OF_ONE / self.quantification

    def offset(self, band: str) -> float:
        """Return what has to be added to the stored numbers of a band.

        Args:
            band: Name of the band.

        Raises:
            RuntimeError: If the metadata have offsets, but not this band's.
        """
        if self.offsets and band not in self.offsets:
            raise RuntimeError(
                f'Expected the offset of each band in {self.path}, got none of {band}; '
                'give it as --s2_offset.'
            )
        return self.offsets.get(band, 0.0)


def is_safe(folder: Traversable) -> bool:
    """Tell whether a folder is a product in ESA's layout."""
    return folder.name.upper().endswith('.SAFE') or _metadata(folder) is not None


def find_band_files(safe: Traversable) -> list[Traversable]:
    """Find the rasters of a product that hold one band.

    Args:
        safe: Folder of the product, of Sentinel-2 or Sentinel-1.

    Returns:
        Files in all the resolutions that there are, sorted by folder and name.

    Raises:
        RuntimeError: If a Sentinel-2 product has more than one granule, or none.
    """
    measurement = safe / 'measurement'
    if measurement.is_dir():
        return list_files(measurement)
    granules = list_folders(safe / 'GRANULE')
    if len(granules) != 1:
        names = ', '.join(granule.name for granule in granules) or 'none'
        raise RuntimeError(
            f'Expected one granule in {safe / "GRANULE"}, got {names}; name the folder '
            'IMG_DATA of one of them, and give --s2_offset.'
        )
    return find_images(granules[0] / 'IMG_DATA')


def find_images(folder: Traversable) -> list[Traversable]:
    """Find the band files of Sentinel-2 in a folder, and in R10m, R20m and R60m in it.

    Args:
        folder: The folder ``IMG_DATA`` of a granule, or one like it.
    """
    places = (folder, *gsd_folders(folder))
    files = [file for place in places for file in list_files(place)]
    return [file for file in files if split_file_name(stem(file.name), 's2')[0]]


def gsd_folders(folder: Traversable) -> list[Traversable]:
    """List the folders R10m, R20m and R60m in which Level-2A has its images."""
    return [
        f
        for f in list_folders(folder)
        if re.fullmatch(r'R[126]0m', f.name, re.IGNORECASE)
    ]


def stem(name: str) -> str:
    """Return the name of a file without its extension."""
    return name.rpartition('.')[0] or name


def read_product(safe: Traversable) -> Product | None:
    """Read the metadata of a Sentinel-2 product.

    Args:
        safe: Folder of the product.

    Returns:
        What they say; None if there are none.

    Raises:
        RuntimeError: If they cannot be read; the message names them.
    """
    file = _metadata(safe)
    if file is None:
        return None
    level = _METADATA.fullmatch(file.name)
    try:
        root = ET.fromstring(_read(file))
        return _parse(root, gdal_path(file), level[1].upper() if level else '')
    except (ET.ParseError, LookupError, ValueError) as error:
        raise RuntimeError(
            f'Expected the metadata of a Sentinel-2 product, got damaged ones in {file} '
            f'({error!r}); fetch or extract this file again.'
        ) from error


def _parse(root: ET.Element, path: str, level: str) -> Product:
    # Tags have namespaces that change from baseline to baseline.
    texts = [(e.tag.rpartition('}')[2], e, (e.text or '').strip()) for e in root.iter()]
    ones = [float(text) for tag, _, text in texts if tag in _QUANTIFICATIONS]
    baselines = [text for tag, _, text in texts if tag == 'PROCESSING_BASELINE']
    names = dict(enumerate(BAND_SETS['s2']))
    offsets = {
        names[int(element.attrib['band_id'])]: float(text)
        for tag, element, text in texts
        if tag in _OFFSETS
    }
    if ones and not ones[0] > 0:
        raise ValueError(f'a quantification value of {ones[0]}')
    return Product(
        path=path,
        level=level,
        baseline=baselines[0] if baselines else '',
        offsets=offsets,
        quantification=ones[0] if ones else REFLECTANCE_OF_ONE,
    )


def _read(file: Traversable) -> bytes:
    with file.open('rb') as stream:
        text = stream.read(_MAX_METADATA + 1)
    if len(text) > _MAX_METADATA or b'<!DOCTYPE' in text:
        raise RuntimeError(
            f'Expected the metadata of a Sentinel-2 product, got {file} of more than '
            f'{_MAX_METADATA} bytes or with a document type; it is something else.'
        )
    return text


def _metadata(folder: Traversable) -> Traversable | None:
    files = [f for f in list_files(folder, ('.xml',)) if _METADATA.fullmatch(f.name)]
    return files[0] if files else None
