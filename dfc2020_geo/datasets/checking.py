"""Checks of a set of patches, by the code that reads it in a run.

Pairing and lists first, then the headers of all files and the pixels of some patches; on
request the pixels of all.
"""

import contextlib
import hashlib
import json
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from .. import __version__
from ..bands import BAND_SETS, Sensor, select_bands
from ..classes import LegendName, get_scheme
from ..io.band_names import locate_bands, name_stack
from ..io.grid import RasterGrid
from ..io.packs import Pack, find_damage, open_pack
from ..io.rasters import (
    PatchHeader,
    open_raster,
    read_grid,
    read_patch_header,
    require_bands,
)
from ..io.tiffs import RawBands
from ..io.value_checks import SensorSample, check_values
from .indexing.dfc2020 import PACKAGINGS, find_packagings, index_dfc2020
from .indexing.files import PatchFiles
from .indexing.names import FileKind, FileNames
from .indexing.packed import PackTree
from .indexing.pairing import IncompletePatch, pair
from .indexing.sen12ms import BROKEN_PATCH, find_sen12ms, index_sen12ms
from .indexing.table import PatchTable
from .indexing.trees import FolderTree, Tree
from .indexing.unlabeled import find_unlabeled
from .reading import (
    WHOLE_S2,
    PackReader,
    TreeReader,
    WantedBands,
    judge_order,
    want_bands,
)

#: What a remark means: no run can read this; results may be wrong; good to know.
Level = Literal['error', 'warning', 'note']

#: Is told how many patches are done, and how many there are.
type Progress = Callable[[int, int], object]

_SENSORS: tuple[Sensor, ...] = ('s2', 's1')

#: Patches whose pixels are read even if only headers are asked for.
_SAMPLED = 64

#: Pixels of a patch in the sample of its set, and patches in it at the most.
_PIXELS, _MOST_PATCHES = 64, 2000

#: Pixels along a side of the thumbnail of a label, and rows that are read at a time.
_THUMBNAIL, _ROWS = 1024, 512

#: Patches that are given to the threads at a time.
_CHUNK = 1000


class Remark(NamedTuple):
    """Something that a check has found.

    Attributes:
        level: How much it matters.
        path: The file or folder.
        message: What was expected, what was found, what to do.
        patch: Id of the patch, empty if it is not about one.
    """

    level: Level
    path: str
    message: str
    patch: str = ''


@dataclass(frozen=True)
class PatchSet:
    """The files of a packaging that a tree has.

    Attributes:
        name: Name of the packaging, for people.
        files: Its files.
        label: Kind of its labels, empty without labels.
        legend: Legend of the labels.
        label_bands: Number of bands in a label's file.
        splits: Names of the splits that lists make.
    """

    name: str
    files: tuple[FileNames, ...]
    label: FileKind = ''
    legend: LegendName = 'dfc2020'
    label_bands: int = 0
    splits: tuple[str, ...] = ()

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors that there are images of."""
        kinds = {names.kind for names in self.files}
        return tuple(sensor for sensor in _SENSORS if sensor in kinds)

    @property
    def kinds(self) -> tuple[FileKind, ...]:
        """The kinds of files that a patch needs."""
        return (*self.sensors, self.label) if self.label else self.sensors

    def ids(self, tree: Tree, split: str) -> set[str]:
        """Find the patches of a split, as its dataset does.

        Args:
            tree: The tree.
            split: Name of the split.

        Returns:
            Their ids.
        """
        index = index_sen12ms if self.label == 'lc' else index_dfc2020
        return {files.id for files in index(tree, split, self.sensors)}


@dataclass
class PatchReport:
    """What a check has found of a set.

    Attributes:
        name: Name of the packaging.
        num_patches: Number of complete patches.
        remarks: What was found.
        sizes: Number of patches by height and width.
        codes: Number of pixels by code, of the labels that were read.
        spoilt: Files of the patches that have errors, from the root and with ``/``.
    """

    name: str
    num_patches: int = 0
    remarks: list[Remark] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    spoilt: set[str] = field(default_factory=set)

    def add(
        self, level: Level, path: Path | str, message: str, patch: str = ''
    ) -> None:
        """Add a remark.

        Args:
            level: How much it matters.
            path: The file or folder.
            message: What was found.
            patch: Id of the patch.
        """
        self.remarks.append(Remark(level, str(path), message, patch))


@dataclass
class _Look:
    """What is seen of a patch."""

    id: str
    remarks: list[Remark] = field(default_factory=list)
    size: tuple[int, int] | None = None
    digest: bytes = b''
    codes: dict[int, int] = field(default_factory=dict)
    samples: dict[Sensor, np.ndarray] = field(default_factory=dict)

    def add(self, level: Level, path: Path | str, message: str) -> None:
        self.remarks.append(Remark(level, str(path), message, self.id))

    @property
    def has_error(self) -> bool:
        return any(remark.level == 'error' for remark in self.remarks)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            'digest': self.digest.hex(),
            'codes': [*self.codes.items()],
            'samples': {
                sensor: [len(values), b64encode(values.tobytes()).decode()]
                for sensor, values in self.samples.items()
            },
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> '_Look':
        return cls(
            stored['id'],
            [Remark(*remark) for remark in stored['remarks']],
            stored['size'] and tuple(stored['size']),
            bytes.fromhex(stored['digest']),
            dict(stored['codes']),
            {
                sensor: np.frombuffer(b64decode(text), np.float32).reshape(count, -1)
                for sensor, (count, text) in stored['samples'].items()
            },
        )


class CheckJournal:
    """A file of what was seen already, so that a check that was stopped goes on.

    Patches count as seen as long as no file of theirs has another size or time.
    """

    def __init__(self, path: Path) -> None:
        """Initialize a new CheckJournal instance.

        Args:
            path: The file; it may be missing, and may end in a line that is not whole.
        """
        self.path, self._seen = path, {}
        text = path.read_text('utf-8', 'replace') if path.exists() else ''
        for line in text.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                stored = json.loads(line)
                looks = [_Look.from_json(look) for look in stored['looks']]
                self._seen[stored['key']] = looks
        # What was cut off stays a line of its own.
        self._start = '' if not text or text.endswith('\n') else '\n'

    def look(
        self,
        files: Sequence[PatchFiles],
        deep: bool,
        look: Callable[[], Iterable[_Look]],
    ) -> list[_Look]:
        """Take what was seen of some patches, or look now.

        Args:
            files: Files of the patches.
            deep: Whether pixels are read.
            look: Looks at them.

        Returns:
            What is seen of each.
        """
        key = self._key(files, deep)
        if key not in self._seen:
            looks = [*look()]
            line = json.dumps({'key': key, 'looks': [x.to_json() for x in looks]})
            with self.path.open('a', encoding='utf-8') as file:
                file.write(f'{self._start}{line}\n')
            self._start = ''
            return looks
        return self._seen[key]

    def _key(self, files: Sequence[PatchFiles], deep: bool) -> str:
        digest = hashlib.blake2b(f'{__version__} {deep}'.encode(), digest_size=16)
        for path in (path for patch in files for path in _paths(patch).values()):
            with contextlib.suppress(OSError):
                state = path.stat()
                digest.update(f'{path} {state.st_size} {state.st_mtime_ns}\n'.encode())
        return digest.hexdigest()


def open_tree(root: Path | str) -> tuple[Tree, Pack | None]:
    """Open a folder of patches, or a pack of one.

    Args:
        root: Folder, or the folder or URL of a pack.

    Returns:
        The tree, and the pack if it is one.

    Raises:
        RuntimeError: If a pack is damaged.
    """
    pack = open_pack(root)
    return (PackTree(pack), pack) if pack else (FolderTree(Path(root)), None)


def find_patch_sets(tree: Tree) -> list[PatchSet]:
    """Find out which sets of patches a tree holds.

    Args:
        tree: A folder or a pack.

    Returns:
        The packagings of SEN12MS and DFC2020 that are there; without any, a directory
        of images without labels; or nothing.
    """
    sets = []
    if files := find_sen12ms(tree):
        splits = ('train', 'holdout')
        sets.append(PatchSet('SEN12MS', tuple(files), 'lc', 'igbp', 4, splits))
    for packaging, files in find_packagings(tree).items():
        name, splits = PACKAGINGS[packaging]
        sets.append(PatchSet(name, tuple(files), 'dfc', 'dfc2020', 1, splits))
    if not sets and (files := find_unlabeled(tree)):
        sets.append(PatchSet('unlabelled patches', tuple(files)))
    return sets


def check_patches(
    tree: Tree,
    pack: Pack | None,
    patch_set: PatchSet,
    deep: bool = False,
    workers: int = 4,
    progress: Progress = lambda done, total: None,
    journal: CheckJournal | None = None,
) -> PatchReport:
    """Check the files of a set.

    Args:
        tree: The tree that has it.
        pack: The pack, if it is one.
        patch_set: The set.
        deep: Whether to read the pixels of all patches.
        workers: Number of threads.
        progress: Is told of each patch.
        journal: What was seen by a check that was stopped; of packs nothing is kept.

    Returns:
        What was found.
    """
    report = PatchReport(patch_set.name)
    for sensor in _SENSORS:
        if sensor not in patch_set.sensors:
            report.add('note', tree.root, f'There is no Sentinel-{sensor[1]} here.')
    try:
        patches, incomplete = pair(tree.root, patch_set.files, patch_set.kinds)
    except RuntimeError as error:
        report.add('error', tree.root, str(error))
        return report
    report.num_patches = len(patches)
    _check_pairs(report, tree, incomplete, patch_set)
    _check_lists(report, tree, patch_set, has_gaps=bool(incomplete))
    _check_strays(report, tree, patch_set)
    if pack and deep:
        for text in find_damage(pack, lambda done, total: None):
            report.add('error', tree.root, text)
    looker = _Looker(tree, pack, patches, patch_set, deep)
    is_whole = looker.bands.get('s2') == BAND_SETS['s2']
    reader = looker.make_reader({'s2': WHOLE_S2})
    if is_whole and (text := judge_order(reader, _SAMPLED)):
        report.add('error', tree.root, text)
    _check_each(report, looker, workers, progress, None if pack else journal)
    return report


def check_labels(paths: Sequence[Path], deep: bool = False) -> PatchReport | None:
    """Count the codes of rasters of labels, and compare them with the legends.

    Args:
        paths: Rasters.
        deep: Whether to read all pixels, not those of a thumbnail.

    Returns:
        What was found; None if one of them is no raster of labels: one band of whole
        numbers.
    """
    report = PatchReport('labels')
    for path in paths:
        try:
            with open_raster(path) as raster:
                kinds = {np.dtype(name).kind for name in raster.dtypes}
                if raster.count != 1 or not kinds <= {'i', 'u'}:
                    return None
                height, width = raster.shape
                report.sizes[height, width] += 1
                step = 1 if deep else max(1, max(height, width) // _THUMBNAIL)
                for top in range(0, height, _ROWS * step):
                    rows = min(_ROWS * step, height - top)
                    window = (top, top + rows), (0, width)
                    shape = -(-rows // step), -(-width // step)
                    codes = _count_codes(raster.read(1, window=window, out_shape=shape))
                    report.codes.update(codes)
        except RuntimeError as error:
            report.add('error', path, str(error))
    report.num_patches = len(paths)
    names = get_args(LegendName)
    wrong = {name: _check_codes(report.codes, name) for name in names}
    fitting = [name for name, text in wrong.items() if not text]
    if report.codes and not fitting:
        report.add(
            'warning',
            Path(paths[0]).parent,
            f'Expected codes of one legend, {" or ".join(names)}, got '
            f'{", ".join(map(str, sorted(report.codes)[:20]))}.',
        )
    elif report.codes:
        text = f'The codes are all in the legend {" and in ".join(fitting)}.'
        report.add('note', Path(paths[0]).parent, text)
    return report


def _check_pairs(
    report: PatchReport, tree: Tree, incomplete: list[IncompletePatch], of: PatchSet
) -> None:
    for files in incomplete:
        lacking = [kind for kind in of.kinds if kind not in files]
        paths = [Path(files[kind]) for kind in of.kinds if kind in files]
        level: Level = 'warning' if [*files] == [of.label] else 'error'
        if of.name == PACKAGINGS['all'][0]:
            level = 'note'  # the release has some, which its dataset skips
        report.add(
            level,
            paths[0],
            f'Expected {", ".join(of.kinds)} of each patch, got no '
            f'{" and no ".join(lacking)} of this one; complete it, or take its files out.',
        )
        if level == 'error':
            report.spoilt |= {p.relative_to(tree.root).as_posix() for p in paths}


def _check_lists(report: PatchReport, tree: Tree, of: PatchSet, has_gaps: bool) -> None:
    """Read the lists of splits, and compare what they name."""
    ids: dict[str, set[str]] = {}
    for split in of.splits:
        try:
            ids[split] = of.ids(tree, split)
        except (FileNotFoundError, RuntimeError) as error:
            # What patches lack was told one by one.
            if has_gaps and 'of each patch in' in str(error):
                continue
            # A tree may well hold the scenes of one split alone.
            level: Level = 'note' if 'Add scenes' in str(error) else 'error'
            report.add(level, tree.root, f'Split {split}: {error}')
    counts = Counter(patch for patches in ids.values() for patch in patches)
    for patch in sorted(patch for patch, count in counts.items() if count > 1):
        report.add(
            'error',
            tree.root,
            f'Expected each patch in one of {", ".join(ids)}, got {patch} in several: '
            'a network would be scored on what it was trained on; mend the lists.',
            patch,
        )


def _check_strays(report: PatchReport, tree: Tree, of: PatchSet) -> None:
    """Name GeoTIFFs in the folders of a set that are none of its files."""
    known: dict[str, set[str]] = defaultdict(set)
    for names in of.files:
        known[names.folder] |= {
            f'{names.prefix}{middle}{names.extension}'
            for middle in names.middles.split('/')
        }
    for folder, names in known.items():
        for name in sorted({*tree.scan(folder)[1]} - names):
            report.add(
                'warning',
                tree.root / folder / name,
                f'Expected names like {min(names)}, got {name}, which no run reads; '
                'rename it, or take it out.',
            )


def _check_each(
    report: PatchReport,
    looker: '_Looker',
    workers: int,
    progress: Progress,
    journal: CheckJournal | None,
) -> None:
    """Look at each patch, and compare it with the others."""
    digests: dict[bytes, str] = {}
    samples: dict[Sensor, list[np.ndarray]] = defaultdict(list)
    total, root = len(looker.patches), looker.tree.root
    for index, look in enumerate(looker.look_at_all(workers, journal)):
        report.remarks += look.remarks
        report.codes.update(look.codes)
        files = looker.patches[index]
        if look.size:
            report.sizes[look.size] += 1
        if look.has_error:
            report.spoilt |= {
                path.relative_to(root).as_posix() for path in _paths(files).values()
            }
        if (
            look.digest
            and (other := digests.setdefault(look.digest, look.id)) != look.id
        ):
            report.add(
                'warning', files.image, f'Expected different patches, got the pixels of '
                f'{other} once more; take one of them out.', look.id,
            )  # fmt: skip
        for sensor, values in look.samples.items():
            if len(samples[sensor]) < _MOST_PATCHES:
                samples[sensor].append(values)
        progress(index + 1, total)
    if len(report.sizes) > 1:
        ((height, width), _), *others = report.sizes.most_common()
        found = ', '.join(f'{n} of {h} x {w}' for (h, w), n in others[:3])
        report.add(
            'warning', root, f'Expected patches of one size, {height} x {width} as most, '
            f'got {found}: a batch holds one size; give --data.batch_size 1.',
        )  # fmt: skip
    _check_sample(report, looker, samples)


def _check_sample(
    report: PatchReport, looker: '_Looker', samples: dict[Sensor, list[np.ndarray]]
) -> None:
    checked = check_values(
        [
            SensorSample(looker.bands[s], np.concatenate(v, 1))
            for s, v in samples.items()
        ],
        is_taken=False,
    )
    for finding in checked.findings:
        report.add(finding.level, looker.tree.root, str(finding))


class _Looker:
    """Looks at patches, by threads."""

    def __init__(
        self,
        tree: Tree,
        pack: Pack | None,
        patches: PatchTable,
        of: PatchSet,
        deep: bool,
    ) -> None:
        self.pack, self.tree, self.patches, self.of = pack, tree, patches, of
        #: Bands that are read, by sensor.
        self.bands = {sensor: self._find_bands(sensor) for sensor in of.sensors}
        names = [name for bands in self.bands.values() for name in bands]
        wanted = want_bands(select_bands(names), of.label_bands)
        if not of.label:
            wanted = {kind: what for kind, what in wanted.items() if kind != 'label'}
        self.wanted, self.reader = wanted, self.make_reader(wanted)
        self.deep = deep
        self.every = 1 if deep else max(1, len(patches) // _SAMPLED)

    def make_reader(self, wanted: WantedBands) -> TreeReader | PackReader:
        if self.pack:
            return PackReader(self.pack, self.patches, wanted)
        return TreeReader(self.patches, wanted)

    def _find_bands(self, sensor: Sensor) -> tuple[str, ...]:
        """Take the bands that the first patch describes, or all of the sensor."""
        path = _paths(self.patches[0]).get(sensor) if len(self.patches) else None
        if path is not None and not self.pack:
            with contextlib.suppress(RuntimeError):
                header = read_patch_header(path, 'iuf')
                named = name_stack(header.descriptions, sensor)
                if found := tuple(x for x in BAND_SETS[sensor] if x in (named or ())):
                    return found
        return BAND_SETS[sensor]

    def look_at_all(
        self, workers: int, journal: CheckJournal | None
    ) -> Iterator[_Look]:
        """Look at all patches, in their order."""
        with ThreadPoolExecutor(workers) as pool:
            for chunk in batched(range(len(self.patches)), _CHUNK):
                if journal is None:
                    yield from pool.map(self.look_at, chunk)
                else:
                    files = [self.patches[index] for index in chunk]
                    yield from journal.look(
                        files, self.deep, partial(pool.map, self.look_at, chunk)
                    )

    def look_at(self, index: int) -> _Look:
        files = self.patches[index]
        look = _Look(files.id)
        if files.id == BROKEN_PATCH:  # its dataset skips it
            return look
        if not self.pack:
            self._read_headers(files, look)
        if index % self.every == 0 and not look.has_error:
            self._read_pixels(index, files, look)
        return look

    def _read_headers(self, files: PatchFiles, look: _Look) -> None:
        paths = _paths(files)
        headers: dict[FileKind, PatchHeader] = {}
        for kind, path in paths.items():
            try:
                header = read_patch_header(path, 'iu' if kind == 'label' else 'iuf')
                self._require_bands(kind, path, header)
            except RuntimeError as error:
                look.add('error', path, str(error))
            else:
                headers[kind] = header
        if not headers:
            return
        first = next(iter(headers))
        look.size = headers[first].height, headers[first].width
        for kind, header in headers.items():
            if header[:3] != headers[first][:3]:  # another size, or perhaps place
                difference = _compare_grids(
                    read_grid(paths[first]), read_grid(paths[kind])
                )
                if difference:
                    look.add('error', paths[kind], f'{difference} of {paths[first]}.')

    def _require_bands(self, kind: FileKind, path: Path, header: PatchHeader) -> None:
        """Refuse a file that lacks bands, as whoever reads it does."""
        indexes, count = self.wanted[kind]
        if kind != 'label':
            try:
                if locate_bands(_sensor(kind), indexes, header.descriptions):
                    return
            except LookupError as error:
                raise RuntimeError(f'Expected {error.args[0]} in {path}.') from None
        require_bands(path, header.count, indexes, count)

    def _read_pixels(self, index: int, files: PatchFiles, look: _Look) -> None:
        try:
            found = self.reader.read(index, {})
        except RuntimeError as error:
            look.add('error', files.image, str(error))
            return
        digest = hashlib.blake2b(digest_size=8)
        for kind, pixels in found.items():
            path = _paths(files)[kind]
            look.size = look.size or pixels.values.shape[1:]
            if kind == 'label':
                look.codes = _count_codes(pixels.values[0])
                if error := _check_codes(look.codes, self.of.legend):
                    look.add('error', path, error)
                continue
            digest.update(np.ascontiguousarray(pixels.values).data)
            sensor = _sensor(kind)
            look.samples[sensor] = _check_image(self.bands[sensor], path, pixels, look)
        if self.deep:
            look.digest = digest.digest()


def _paths(files: PatchFiles) -> dict[FileKind, Path]:
    named = {'s2': files.s2, 's1': files.s1, 'label': files.label}
    return {kind: path for kind, path in named.items() if path is not None}


def _sensor(kind: FileKind) -> Sensor:
    return 's2' if kind == 's2' else 's1'


def _compare_grids(one: RasterGrid, other: RasterGrid) -> str:
    """Say in what the grid of a file is not that of its twin, if it is not."""
    if one.shape != other.shape:
        sizes = f'{one.height} x {one.width} pixels, got {other.height} x {other.width}'
        return f'Expected {sizes}: not the size'
    if not (one.is_georeferenced and other.is_georeferenced):
        return ''
    if one.crs != other.crs:
        return f'Expected {one.crs}, got {other.crs}: not the CRS'
    columns, rows = ~one.transform @ (other.transform.c, other.transform.f)
    shift = max(abs(columns), abs(rows))
    # What is shifted by less is nobody's mistake, but rounded.
    return f'Expected no shift, got {shift:.3g} pixels from that' if shift > 0.1 else ''


def _count_codes(codes: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(codes, return_counts=True)
    return dict(zip(found.astype(int).tolist(), counts.tolist(), strict=True))


def _check_codes(codes: Iterable[int], legend: LegendName) -> str:
    """Say what is wrong with the codes of labels, if something is."""
    try:
        get_scheme('dfc2020').encode(np.array([*codes]), legend)
    except ValueError as error:
        return f'{error} Replace this file or take the patch out.'
    return ''


def _check_image(
    bands: tuple[str, ...], path: Path, pixels: RawBands, look: _Look
) -> np.ndarray:
    """Judge the pixels of an image, and take a sample of them."""
    image = pixels.values.reshape(len(pixels.values), -1).astype(np.float32)
    if pixels.nodata is not None:
        image[pixels.values.reshape(image.shape) == pixels.nodata] = np.nan
    if not (np.isfinite(image) & (image != 0)).any():
        look.add('warning', path, 'Expected pixels with data, got none.')
    else:
        sample = SensorSample(bands, image)
        for finding in check_values([sample], is_taken=False).findings:
            # What is odd in one patch, a cloud or a lake, is not in a set.
            if finding.level == 'error':
                look.add('error', path, str(finding))
    return image[:, :: max(1, image.shape[1] // _PIXELS)]
