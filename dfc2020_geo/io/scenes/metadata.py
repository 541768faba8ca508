"""Metadata and names of Sentinel-2 products: level, processing baseline, offsets."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable

from ...bands import BAND_SETS

#: Stored number of a reflectance of 1 in the images that the networks learned from.
REFLECTANCE_OF_ONE = 10_000

#: What is added to stored numbers since this processing baseline, in all bands.
_OFFSET, _OFFSET_SINCE = -1000.0, '04.00'

#: Metadata have some 50 kB; what is far longer is something else.
_MAX_METADATA = 16 * 2**20

#: MTD_MSIL1C.xml and MTD_MSIL2A.xml, and S2A_OPER_MTD_SAFL1C_*.xml until 2016.
_METADATA = re.compile(r'(?:MTD_MSI|.+_MTD_SAF)(L1C|L2A).*\.xml', re.IGNORECASE)

#: The metadata of a granule, which have its name.
_GRANULE_METADATA = 'MTD_TL.xml'

_OFFSETS = ('RADIO_ADD_OFFSET', 'BOA_ADD_OFFSET')
_QUANTIFICATIONS = (
    'QUANTIFICATION_VALUE',
    'BOA_QUANTIFICATION_VALUE',
    'L2A_BOA_QUANTIFICATION_VALUE',
)

#: A processing baseline in a name: ``_N0510_`` of a product, ``_N05.10`` of a granule.
_BASELINE = re.compile(r'(?:^|[_.-])N(\d\d)\.?(\d\d)(?=[_.-]|$)', re.IGNORECASE)

#: What else stands in names of Sentinel-2: ``N0450_E0100`` alone is a place.
_SENTINEL_2 = re.compile(
    r'(?:^|[_.-])(?:S2[A-D]|MSI(?:_?L1C|_?L2A)?|L1C|L2A|T\d\d[A-Z]{3}|R\d{3})(?=[_.-]|$)',
    re.IGNORECASE,
)

#: A band of ESA's, with the day it was taken; all products made since January 2022 have
#: that offset.
_ESA_BAND = re.compile(r'T\d\d[A-Z]{3}_(\d{8})T\d{6}_B\d[\dA](_\d0m)?\.\w+')
_ALL_SINCE = '20220125'

#: Baselines of ESA are below 10; N9999 is a product that a user made.
_MAX_BASELINE = '10.00'

#: Parts of a path that may have a product's name: a band lies five folders deep in it.
_MAX_PARTS = 6

#: How processing levels are named, by ESA, FORCE, Theia, Earth Engine, DEA and HLS.
_LEVELS = {
    'L1C': re.compile(r'(?<![A-Z0-9])(?:MSI)?L1C(?![A-Z0-9])|(?<![A-Z])TOA(?![A-Z])'),
    'L2A': re.compile(
        r'(?<![A-Z0-9])(?:(?:MSI)?L2A|LEVEL-?2A?|BOA|[SF]RE|S2_SR|NBART?|nbart?|HLS)'
        r'(?![A-Z0-9])'
    ),
}


@dataclass(frozen=True)
class ProductMetadata:
    """What is known of a Sentinel-2 product.

    Attributes:
        path: The metadata, or the name, that it is known from.
        level: ``'L1C'``, top of atmosphere, or ``'L2A'``, at the surface; empty if not
            said.
        baseline: Processing baseline, for example ``'05.10'``; empty if not said.
        offsets: Offset of the stored numbers of each band; empty before baseline 04.00.
        quantification: Stored number of a reflectance of 1.
        is_name: Whether it is known from a name alone.
    """

    path: str
    level: str
    baseline: str
    offsets: Mapping[str, float]
    quantification: float = REFLECTANCE_OF_ONE
    is_name: bool = False

    @property
    def factor(self) -> float:
        """What brings stored numbers to reflectance x 10 000."""
        return REFLECTANCE_OF_ONE / self.quantification

    @property
    def tells_offset(self) -> bool:
        """Whether it says if there is an offset."""
        return bool(self.baseline) or not self.is_name

    def offset(self, band: str) -> float:
        """Return what has to be added to the stored numbers of a band.

        Args:
            band: Name of the band.

        Returns:
            The offset in stored numbers, -1000 since processing baseline 04.00; 0
            if there is none.

        Raises:
            RuntimeError: If the metadata have offsets, but not this band's.
        """
        if self.offsets and band not in self.offsets:
            raise RuntimeError(
                f'Expected the offset of each band in {self.path}, got none of {band}; '
                'give it as --s2_offset.'
            )
        return self.offsets.get(band, 0.0)


def metadata_file(folder: Traversable) -> Traversable | None:
    """Find the metadata of a Sentinel-2 product in its folder.

    Args:
        folder: Folder to look in.

    Returns:
        The file, None if there is none.
    """
    if not folder.is_dir():
        return None
    found = (f for f in folder.iterdir() if _METADATA.fullmatch(f.name))
    files = [f for f in found if not f.name.startswith('.') and f.is_file()]
    return min(files, key=lambda file: file.name, default=None)


def find_metadata(folders: Iterable[Traversable]) -> Traversable | None:
    """Find the metadata of the product that folders belong to.

    Args:
        folders: Folders, each above the one before.

    Returns:
        Those of the product, in the first folder that has them, or else those of its
        granule; None if there are none.
    """
    folders = list(folders)
    granules = (folder / _GRANULE_METADATA for folder in folders)
    products = (file for folder in folders if (file := metadata_file(folder)))
    return next(products, None) or next((f for f in granules if f.is_file()), None)


def read_metadata(file: Traversable) -> ProductMetadata | None:
    """Read the metadata of a Sentinel-2 product or of a granule.

    Args:
        file: The metadata.

    Returns:
        What they say; None if that is nothing, as a granule may have a name of one's
        own.

    Raises:
        RuntimeError: If they cannot be read; the message names them.
    """
    level = _METADATA.fullmatch(file.name)
    try:
        root = ET.fromstring(_read(file))
        if file.name == _GRANULE_METADATA:
            return _parse_granule(root, str(file))
        return _parse(root, str(file), level[1].upper() if level else '')
    except (ET.ParseError, LookupError, ValueError) as error:
        raise RuntimeError(
            f'Expected the metadata of a Sentinel-2 product, got damaged ones in {file} '
            f'({error!r}); fetch or extract this file again.'
        ) from error


def _parse_granule(root: ET.Element, path: str) -> ProductMetadata | None:
    """Read the metadata of a granule: its name alone is of use."""
    names = [
        e.text.strip() for e in root.iter() if e.tag.endswith('TILE_ID') and e.text
    ]
    found = read_name(names[0]) if names else None
    if found is None or not found.baseline:
        return None
    return replace(found, path=path, is_name=False)


def read_name(path: str) -> ProductMetadata | None:
    """Read processing baseline and level in the name of a product or a file.

    Args:
        path: A path or an address; its last parts are looked at, the last one first.

    Returns:
        What it says; None if that is nothing.

    Examples:
        >>> found = read_name('S2B_MSIL2A_20240101T101010_N0510_R022_T32TNS.SAFE/a.tif')
        >>> found.level, found.baseline, found.offset('B04')
        ('L2A', '05.10', -1000.0)
    """
    parts = path.partition('?')[0].replace('\\', '/').rstrip('/').split('/')
    parts = parts[: -_MAX_PARTS - 1 : -1]
    baselines = [(part, text) for part in parts if (text := _baseline(part))]
    levels = [(part, text) for part in parts if (text := _level(part))]
    if not baselines and not levels:
        return None
    said, baseline = baselines[0] if baselines else (levels[0][0], '')
    offset = baseline >= _OFFSET_SINCE
    return ProductMetadata(
        path=f'the name {said}',
        level=levels[0][1] if levels else '',
        baseline=baseline,
        offsets=dict.fromkeys(BAND_SETS['s2'], _OFFSET) if offset else {},
        is_name=True,
    )


def _baseline(name: str) -> str:
    band = _ESA_BAND.fullmatch(name)
    if band and band[1] >= _ALL_SINCE:
        return f'{_OFFSET_SINCE} or later'
    match = _BASELINE.search(name)
    baseline = f'{match[1]}.{match[2]}' if match else ''
    return baseline if baseline < _MAX_BASELINE and _SENTINEL_2.search(name) else ''


def _level(name: str) -> str:
    return next((level for level, text in _LEVELS.items() if text.search(name)), '')


def _parse(root: ET.Element, path: str, level: str) -> ProductMetadata:
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
    if ones and not 0 < ones[0] < math.inf:
        raise ValueError(f'a quantification value of {ones[0]}')
    if not all(map(math.isfinite, offsets.values())):
        raise ValueError(f'offsets of {[*offsets.values()]}')
    return ProductMetadata(
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
