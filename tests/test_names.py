"""A class or an alias has a name of its own, in the whole package."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.support import ROOT

PACKAGE = ROOT / 'dfc2020_geo'


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """Names of the classes and type aliases that a module defines."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.TypeAlias):
            yield node.name.id
        elif isinstance(node, ast.Assign) and _is_type(node.value):
            yield from (n.id for n in node.targets if isinstance(n, ast.Name))


def _is_type(value: ast.expr) -> bool:
    """Say whether an expression is a type with parameters, as ``dict[str, Tensor]``."""
    types = ('dict', 'list', 'tuple', 'Callable', 'Literal', 'Mapping', 'Sequence')
    return (
        isinstance(value, ast.Subscript)
        and isinstance(value.value, ast.Name)
        and value.value.id in types
    )


def test_no_class_or_alias_is_defined_twice() -> None:
    homes = defaultdict(list)
    for path in sorted(PACKAGE.rglob('*.py')):
        for name in _names(ast.parse(path.read_text(encoding='utf-8')).body):
            homes[name].append(str(path.relative_to(PACKAGE)))
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert not twice
