"""The verb ``check``: what is wrong with data, before a run finds it hours later."""

import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, get_args

from rasterio.errors import NotGeoreferencedWarning

from ..bands import Sensor
from ..datasets.checking import (
    CheckJournal,
    Level,
    PatchReport,
    check_labels,
    check_patches,
    find_patch_sets,
    open_tree,
)
from ..io.atomic import write_text
from ..io.rasters import SCENE_SUFFIXES
from .usage import UsageError, VerbParser

_DESCRIPTION = """\
Look data over with the code that reads them in a run: SEN12MS, DFC2020, directories of
images, packs, scenes, products. Exit status 1 if there are errors."""

#: Remarks of one level that are printed of a set; files of findings have all.
_MOST = 20

#: Bands that are looked for in a scene, the most first: Level-2A has no B10.
_BANDS: tuple[tuple[Sensor, tuple[str, ...]], ...] = (
    ('s2', ('s2',)),
    ('s2', ('B01', 's2-10m', 's2-20m', 'B09')),
    ('s2', ('s2-10m', 's2-20m')),
    ('s2', ('s2-10m',)),
    ('s2', ('B02', 'B03', 'B04')),
    ('s1', ('s1',)),
    ('s1', ('VV',)),
)

#: Seconds between two lines of progress where the output is no terminal.
_INTERVAL = 30


def run_check(args: list[str]) -> None:
    """Check data.

    Args:
        args: Command line from the verb on.

    Raises:
        FileExistsError: If a file to write is there already.
        SystemExit: With status 1 if there are errors.
        UsageError: If the command line is not understood.
    """
    chosen = _parser(args[0]).parse_args(args[1:])
    if chosen.workers < 1:
        raise UsageError(f'Expected --workers from 1, got {chosen.workers}.')
    for path in (chosen.out, chosen.skip_list):
        if path and path.exists() and not chosen.overwrite:
            raise FileExistsError(
                f'Expected a new file, got {path}, which is there; give --overwrite, or '
                'another name.'
            )
    # For the threads that read: what they filter themselves they may undo for others.
    warnings.filterwarnings('ignore', category=NotGeoreferencedWarning)
    reports = {}
    for path in chosen.paths:
        reports[path] = [*_check(path, chosen)]
        if not chosen.json:
            for report in reports[path]:
                _tell(path, report)
    found = {path: [_as_json(r) for r in of] for path, of in reports.items()}
    if chosen.json:
        print(json.dumps(found, indent=2))
    if chosen.out:
        write_text(chosen.out, json.dumps(found, indent=2))
        chosen.out.with_name(f'{chosen.out.name}.part').unlink(missing_ok=True)
    if chosen.skip_list:
        spoilt = sorted({f for of in reports.values() for r in of for f in r.spoilt})
        write_text(chosen.skip_list, ''.join(f'{file}\n' for file in spoilt))
    levels = Counter(x.level for of in reports.values() for r in of for x in r.remarks)
    if not chosen.json:
        print(f'{levels["error"]} errors, {levels["warning"]} warnings.')
        if levels['error'] and not (chosen.skip_list or chosen.deep):
            print('--skip_list FILE writes what --data.skip_list FILE leaves out then.')
    if levels['error']:
        raise SystemExit(1)


def _parser(verb: str) -> VerbParser:
    parser = VerbParser(verb, description=_DESCRIPTION)
    add = parser.add_argument
    add('paths', nargs='+', metavar='PATH', help='folder, pack, product or raster')
    text = 'read all pixels, not only headers and the pixels of some patches'
    add('--deep', action='store_true', help=text)
    text = 'write the files of patches with errors, for --data.skip_list'
    add('--skip_list', type=Path, metavar='FILE', help=text)
    add('--json', action='store_true', help='print JSON in place of a table')
    text = 'write all that was found as JSON; with it, a check that was stopped goes on'
    add('--out', type=Path, metavar='FILE', help=text)
    text = 'replace the files that --out and --skip_list name'
    add('--overwrite', action='store_true', help=text)
    text = 'threads that read (default: twice the cores)'
    add('--workers', type=int, default=2 * (os.cpu_count() or 1), help=text)
    return parser


def _check(path: str, chosen: Any) -> Iterator[PatchReport]:
    """Check what is at a path, whatever it is."""
    if '://' not in path and not path.startswith('/vsi') and not Path(path).exists():
        report = PatchReport('nothing')
        report.add('error', path, f'Expected data, got no file or folder at {path}.')
        yield report
        return
    try:
        tree, pack = open_tree(path)
        sets = find_patch_sets(tree) if pack or Path(path).is_dir() else []
    except (OSError, RuntimeError) as error:
        report = PatchReport('nothing that can be read')
        report.add('error', path, str(error))
        yield report
        return
    for patch_set in sets:
        counter = _Counter(patch_set.name)
        yield check_patches(
            tree, pack, patch_set, chosen.deep, chosen.workers, counter,
            _journal(chosen.out),
        )  # fmt: skip
    if not sets:
        yield _check_labels(path, chosen.deep) or _check_scenes(path)


def _journal(out: Path | None) -> CheckJournal | None:
    """Open what an earlier run for the same file has seen."""
    return CheckJournal(out.with_name(f'{out.name}.part')) if out else None


def _check_labels(path: str, deep: bool) -> PatchReport | None:
    """Look at rasters of labels; None if there are others at a path, or none."""
    if not Path(path).exists() or Path(path).suffix.lower() == '.safe':
        return None
    found = [Path(path)] if Path(path).is_file() else sorted(Path(path).iterdir())
    rasters = [p for p in found if p.suffix.lower() in SCENE_SUFFIXES and p.is_file()]
    return check_labels(rasters, deep) if rasters else None


def _check_scenes(path: str) -> PatchReport:
    """Open the scenes at a path as ``map`` does, and check their values."""
    from ..inference.find_scenes import find_scenes
    from ..io.scenes import check_scene, open_scene

    report = PatchReport('scenes')
    errors: dict[Sensor, Exception] = {}
    for sensor, bands in _BANDS:
        try:
            scenes = find_scenes(**{sensor: path})
            for name, s2, s1 in scenes:
                scene = check_scene(open_scene(s2, s1, bands))
                report.num_patches += 1
                report.add('note', name, f'bands {", ".join(scene.bands)}')
                for note in scene.notes:
                    report.add('note', name, note)
                for finding in scene.findings:
                    report.add(finding.level, name, str(finding))
            return report
        except (OSError, RuntimeError, ValueError) as error:
            errors.setdefault(sensor, error)
            report.remarks.clear()
            report.num_patches = 0
    for sensor, error in errors.items():
        report.add('error', path, f'As Sentinel-{sensor[1]}: {error}')
    return report


def _as_json(report: PatchReport) -> dict[str, Any]:
    return {
        'kind': report.name,
        'count': report.num_patches,
        'sizes': [[*size, count] for size, count in report.sizes.most_common()],
        'codes': dict(sorted(report.codes.items())),
        'remarks': [remark._asdict() for remark in report.remarks],
    }


def _tell(path: str, report: PatchReport) -> None:
    """Print what was found of a set."""
    print(f'{path}: {report.num_patches} {_unit(report)} ({report.name})')
    if report.codes:
        total = report.codes.total()
        shares = ', '.join(
            f'{code}: {count / total:.1%}'
            for code, count in sorted(report.codes.items())
        )
        print(f'  codes of labels: {shares}')
    for level in get_args(Level):
        remarks = [remark for remark in report.remarks if remark.level == level]
        for remark in remarks[:_MOST]:
            where = '' if remark.path in remark.message else f'{remark.path}: '
            print(f'  {level}: {where}{remark.message}')
        if len(remarks) > _MOST:
            print(f'  {level}: and {len(remarks) - _MOST} more; --out FILE has all.')


def _unit(report: PatchReport) -> str:
    return {'scenes': 'scenes', 'labels': 'rasters'}.get(report.name, 'patches')


class _Counter:
    """Progress on the standard error: how many patches are done."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Print the progress, now and then."""
        is_terminal = sys.stderr.isatty()
        if monotonic() - self._last < (1 if is_terminal else _INTERVAL):
            return
        self._last = monotonic()
        text = f'Checked {done:,} of {total:,} patches of {self._name}'
        print(f'\r{text}' if is_terminal else text, end='' if is_terminal else '\n',
              file=sys.stderr, flush=True)  # fmt: skip
