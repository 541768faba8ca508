"""The files of a patch, and the path prefixes that many patches share."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

#: Stands between names in one text, as no name can hold it.
SEPARATOR = '/'


@dataclass(frozen=True, slots=True)
class PatchFiles:
    """The files of one patch: those that were asked for, the others None.

    Attributes:
        id: Stem of the Sentinel-2 file, also where only Sentinel-1 is read.
        s2: Sentinel-2 image.
        s1: Sentinel-1 image.
        label: Land cover label.
        scene: Season or phase and scene, for example ``'ROIs1158_spring/1'``; patches
            of one scene may overlap. Empty where scenes are not known.
    """

    id: str
    s2: Path | None
    s1: Path | None
    label: Path | None
    scene: str

    @property
    def image(self) -> Path:
        """The image whose grid the patch has: Sentinel-2 if there, else Sentinel-1."""
        path = self.s2 or self.s1
        assert path is not None  # bands are of one sensor or the other
        return path


class PathEnds(NamedTuple):
    """What paths of one kind have in common.

    Attributes:
        start: All before the part that differs, from the root and with ``/``.
        extension: All behind it, with the dot.
    """

    start: str
    extension: str


class PatchGroup(NamedTuple):
    """Patches whose files lie side by side and differ in one part of their names.

    Attributes:
        prefix: What their ids have before that part; nothing follows it.
        scene: Season or phase and scene.
        s2: Their Sentinel-2 images, if asked for.
        s1: Their Sentinel-1 images, if asked for.
        label: Their labels, if asked for.
    """

    prefix: str
    scene: str
    s2: PathEnds | None
    s1: PathEnds | None
    label: PathEnds | None
