"""The form of the package: documented public functions, first lines that name a thing."""

import ast
from collections.abc import Iterator

import pytest

from tests.support import ROOT

PACKAGE = ROOT / 'dfc2020_geo'
MODULES = sorted(PACKAGE.rglob('*.py'))
ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in MODULES})

#: Methods that Lightning, its command, kornia and torch call, and document.
HOOKS = (
    'on_', 'configure_', 'forward', 'setup', 'teardown', 'state_dict', 'init_',
    'load_state_dict', 'training_step', 'validation_step', 'test_step', 'predict_step',
    'write_on_', 'train_dataloader', 'val_dataloader', 'test_dataloader',
    'predict_dataloader', 'apply_transform', 'generate_parameters',
    'compute_transformation', 'add_arguments_to_parser', 'instantiate_', 'before_',
    'parse_arguments', 'fit',
)  # fmt: skip


def _public_functions(
    body: list[ast.stmt], of: ast.ClassDef | None = None
) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name[0] == '_':
            continue
        if isinstance(node, ast.ClassDef):
            yield from _public_functions(node.body, node)
        elif not (of and of.bases and node.name.startswith(HOOKS)):
            yield (f'{of.name}.{node.name}' if of else node.name), node


def _lacking(function: ast.FunctionDef) -> list[str]:
    """The sections that a docstring lacks."""
    text = ast.get_docstring(function) or ''
    arguments = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    decorators = ast.unparse(ast.Tuple(function.decorator_list))
    returns = ast.unparse(function.returns) if function.returns else 'None'
    raises = any(
        isinstance(node, ast.Raise) and node.exc for node in ast.walk(function)
    )
    needs = {
        'Args:': bool(arguments - {'self', 'cls'}),
        'Returns:': returns not in ('None', 'Never', 'NoReturn')
        and 'property' not in decorators,
        'Raises:': raises,
    }
    text = text.replace('Yields:', 'Returns:')
    return [
        section for section, is_needed in needs.items() if is_needed > (section in text)
    ]


@pytest.mark.parametrize('room', ROOMS)
def test_public_functions_say_what_they_take_return_and_raise(room: str) -> None:
    modules = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == room]
    lacking = {
        f'{path.relative_to(PACKAGE)}: {name}': sections
        for path in modules
        for name, function in _public_functions(ast.parse(path.read_text()).body)
        if 'overload' not in ast.unparse(ast.Tuple(function.decorator_list))
        and (sections := _lacking(function))
    }
    assert lacking == {}


#: A relative clause in place of a term.
CLAUSES = ('How', 'What', 'Where', 'Whether', 'Which', 'Who', 'Whose')


@pytest.mark.parametrize('room', ROOMS)
def test_the_first_line_of_a_module_names_a_thing(room: str) -> None:
    first_lines = {
        str(path.relative_to(PACKAGE)): (ast.get_docstring(tree) or '').splitlines()[0]
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0] == room
        for tree in [ast.parse(path.read_text())]
    }
    riddles = {
        path: line for path, line in first_lines.items() if line.split()[0] in CLAUSES
    }
    assert riddles == {}
