"""When the images of a map were taken."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

#: A moment, or the first and the last one that it can have been.
Taken = datetime | tuple[datetime, datetime]

#: Launch of Sentinel-1A, the first of the Sentinels: no image is older.
FIRST_LAUNCH = datetime(2014, 4, 3, 21, 2, 26, tzinfo=UTC)

#: Tags that hold the time of acquisition: of Sentinel-2 products, of GDAL.
_TAGS = (
    'PRODUCT_START_TIME',
    'DATATAKE_1_DATATAKE_SENSING_START',
    'ACQUISITIONDATETIME',
)

#: In names of Sentinel products; in those of 2015 and 2016 a V stands before it, and the
#: time of processing before that.
_NAMED = (re.compile(r'_V(\d{8}T\d{6})'), re.compile(r'(?<!\d)(\d{8}T\d{6})(?!\d)'))


def find_time(sources: Sequence[Path | str], tags: Mapping[str, str]) -> Taken | None:
    """Find out when a scene was taken.

    Args:
        sources: Its files; the first one that says something counts.
        tags: Texts by name, from its files.

    Returns:
        The time in the tags or in the name of a Sentinel product. If there is none, it
        was between the launch of the first Sentinel and the last change of its
        files; None if these have no time of change, or an earlier one.
    """
    for name in _TAGS:
        if name in tags and (moment := _parse(tags[name])):
            return moment
    for pattern in _NAMED:
        for source in sources:
            for text in pattern.findall(_name(Path(source))):
                if moment := _parse(text):
                    return moment
    times = [Path(s).stat().st_mtime for s in sources if Path(s).exists()]
    last = datetime.fromtimestamp(int(max(times, default=0)), UTC)
    return (FIRST_LAUNCH, last) if last > FIRST_LAUNCH else None


def _name(source: Path) -> str:
    """Return the names that a product's own rules make, the file's own first."""
    folders = (part for part in source.parts[:-1] if part.endswith('.SAFE'))
    return '/'.join([source.name, *folders])


def _parse(text: str) -> datetime | None:
    """Read an ISO 8601 time, UTC unless it says otherwise; None if it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment >= FIRST_LAUNCH else None
