"""Which files form a patch: bringing rasters together by their names."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .index import Kind, Raster, name_some

logger = logging.getLogger(__name__)


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


def pair(
    rasters: Iterable[Raster], kinds: Sequence[Kind]
) -> tuple[list[PatchFiles], list[dict[Kind, Raster]]]:
    """Bring the files of each patch together.

    Args:
        rasters: Files, of which those of other kinds are left out.
        kinds: The kinds of files that a patch needs.

    Returns:
        Patches, and the files by kind of each patch that lacks some; both sorted by
        the names of the Sentinel-2 files, as in the 2020 baseline.

    Raises:
        RuntimeError: If two files claim to be the same part of a patch.
    """
    patches: dict[str, dict[Kind, Raster]] = {}
    for raster in (raster for raster in rasters if raster.kind in kinds):
        files = patches.setdefault(raster.patch, {})
        if raster.kind in files:
            raise RuntimeError(
                f'Expected one {raster.kind} file of patch {raster.patch}, got '
                f'{files[raster.kind].path} and {raster.path}; remove one of them.'
            )
        files[raster.kind] = raster
    complete, incomplete = [], []
    for files in sorted(patches.values(), key=_file_name):
        if len(files) == len(kinds):
            complete.append(_patch_files(files))
        else:
            incomplete.append(files)
    return complete, incomplete


def _file_name(files: dict[Kind, Raster]) -> str:
    """Name the Sentinel-2 file with its extension: '-' sorts before '.tif'."""
    if 's2' in files:
        return files['s2'].name
    raster = next(iter(files.values()))
    return f'{raster.patch}.{raster.name.rpartition(".")[2]}'


def _patch_files(files: dict[Kind, Raster]) -> PatchFiles:
    raster = next(iter(files.values()))
    paths = {kind: Path(file.path) for kind, file in files.items()}
    return PatchFiles(
        id=paths['s2'].stem if 's2' in paths else raster.patch,
        s2=paths.get('s2'),
        s1=paths.get('s1'),
        label=paths.get('lc') or paths.get('dfc'),
        scene=raster.scene,
    )


def pair_labelled(
    root: Path, rasters: Iterable[Raster], kinds: Sequence[Kind]
) -> list[PatchFiles]:
    """Pair files of which each image must have its twin and its label.

    Args:
        root: Folder in which the files were found, for messages.
        rasters: The files.
        kinds: The kinds of files that a patch needs, the label's last.

    Returns:
        Patches, sorted by the names of their Sentinel-2 files. Labels without any
        image are left out, and that is logged.

    Raises:
        FileNotFoundError: If an image has no twin or no label.
        RuntimeError: If a file is there twice.
    """
    patches, incomplete = pair(rasters, kinds)
    label = kinds[-1]
    images = [files for files in incomplete if list(files) != [label]]
    if len(images) < len(incomplete):
        logger.warning(
            'Left out %d %s files without an image in %s.',
            len(incomplete) - len(images),
            label,
            root,
        )
    require_twins(root, images, kinds)
    return patches


def require_twins(
    root: Path, incomplete: Iterable[dict[Kind, Raster]], kinds: Sequence[Kind]
) -> None:
    """Check that no patch lacks a file.

    Args:
        root: Folder in which the files were found, for messages.
        incomplete: As :func:`pair` returns it.
        kinds: The kinds of files that a patch needs.

    Raises:
        FileNotFoundError: If one does; the message counts them and names the first.
    """
    without: dict[tuple[Kind, Kind], list[str]] = {}
    for files in incomplete:
        has = next(kind for kind in kinds if kind in files)
        for lacks in (kind for kind in kinds if kind not in files):
            without.setdefault((has, lacks), []).append(files[has].name)
    if without:
        found = '; '.join(
            f'{len(names)} {has} files without {lacks} ({name_some(names)})'
            for (has, lacks), names in without.items()
        )
        advice = 'Complete the data, or remove what belongs to these patches.'
        if any(lacks in ('lc', 'dfc') for _, lacks in without):
            advice += ' Images without labels can be read as unlabeled.'
        raise FileNotFoundError(
            f'Expected {", ".join(kinds)} of each patch in {root}, got {found}. {advice}'
        )
