"""The layout of the package: few rooms, one home for each name and mechanism."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

PACKAGE = ROOT / 'dfc2020_geo'
MODULES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text(encoding='utf-8'))
    for path in sorted(PACKAGE.rglob('*.py'))
}

#: Later rooms, at most: accuracy, weak labels, reports, export.
MOST_ROOMS, MOST_PAIRS = 16, 90

#: Modules that are named for what they are not, and grow.
DRAWERS = {'util', 'utils', 'helper', 'helpers', 'common', 'misc', 'shared'}


def _room(path: Path) -> str:
    return path.with_suffix('').parts[0]


ROOMS = {_room(path) for path in MODULES if not _room(path).startswith('__')}


def _imported(path: Path, tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """Paths below the package of the modules that a module imports."""
    here = path.with_suffix('').parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            for alias in node.names:
                yield *base, *filter(None, (node.module or '').split('.')), alias.name


def _names(tree: ast.Module) -> Iterator[str]:
    """Names of the classes and type aliases at the top of a module."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=str(name)) | ast.TypeAlias(name=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                # Constants are in capitals; TypedDicts and Literals are not.
                if name.strip('_')[:1].isupper() and not name.isupper():
                    yield name


def test_rooms_are_few() -> None:
    assert len(ROOMS) <= MOST_ROOMS, sorted(ROOMS)


def test_few_rooms_know_each_other() -> None:
    pairs = {
        (_room(path), found[0])
        for path, tree in MODULES.items()
        for found in _imported(path, tree)
        if found[0] in ROOMS and found[0] != _room(path)
    }
    assert len(pairs) <= MOST_PAIRS


def test_no_class_or_alias_is_defined_twice() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path, tree in MODULES.items():
        for name in _names(tree):
            homes[name].append(str(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_module_is_a_drawer() -> None:
    names = {part for path in MODULES for part in path.with_suffix('').parts}
    assert names.isdisjoint(DRAWERS)


def _calls(tree: ast.Module) -> set[str]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {ast.unparse(call.func) for call in calls}


def test_rasters_are_opened_in_one_module() -> None:
    homes = {path for path, t in MODULES.items() if 'rasterio.open' in _calls(t)}
    assert homes == {Path('io', 'rasters.py')}
