import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dfc2020_geo
from tests.support import ROOT
from tests.support.dockerfile import copied_sources

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
MAKE = shutil.which('make') or pytest.skip('make is not there', allow_module_level=True)

#: What a version manager leaves on the PATH for a Python that is not selected.
SHIM = """#!/bin/sh
echo "pyenv: $0: command not found" >&2
exit 127
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def python_of(version: tuple[int, int]) -> str:
    """Return a program that answers `-c CODE` as a Python of *version* would."""
    code = f'import sys; sys.version_info = {(*version, 0)}; exec(sys.argv[1])'
    return f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$2"\n'


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A folder for the PATH with nothing but what `make python` needs."""
    path = tmp_path / 'bin'
    path.mkdir()
    (path / 'echo').symlink_to(shutil.which('echo') or '/bin/echo')
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the files that `make install` reads."""
    path = tmp_path / 'clone'
    path.mkdir()
    for name in ('Makefile', 'pyproject.toml', 'constraints.txt'):
        shutil.copy(ROOT / name, path)
    return path


def make(
    *arguments: str, path: str | Path, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MAKE, *arguments],
        cwd=folder,
        env={'PATH': str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_takes_the_first_python_that_answers(
    bin_dir: Path, tmp_path: Path
) -> None:
    # A shim hides no Python further down the path, nor one of another name.
    write_program(tmp_path / 'shims' / 'python3.13', SHIM)
    write_program(bin_dir / 'python3.13', python_of((3, 13)))
    write_program(bin_dir / 'python3.12', python_of((3, 12)))
    answer = make('python', path=f'{tmp_path / "shims"}:{bin_dir}')
    assert answer.stdout == f'{bin_dir / "python3.13"}\n'
    write_program(bin_dir / 'python3.13', SHIM)
    assert make('python', path=bin_dir).stdout == f'{bin_dir / "python3.12"}\n'


def test_without_a_python_make_stops_with_one_line(bin_dir: Path, clone: Path) -> None:
    write_program(bin_dir / 'python3.13', SHIM)
    write_program(bin_dir / 'python3', python_of((3, 11)))
    answer = make('test', path=bin_dir, folder=clone)
    assert answer.returncode != 0
    assert answer.stdout == ''
    assert len(answer.stderr.splitlines()) == 1
    assert 'Expected Python 3.12 or newer' in answer.stderr
    assert not (clone / '.venv').exists()


@pytest.fixture
def install(clone: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a call of `make install` with a pip that only notes its arguments.

    The call returns what pip was told, and fails pip where it is told so.
    """
    log = tmp_path / 'pip.log'
    write_program(
        tmp_path / 'python',
        f"""#!/bin/sh
case "$1 $2" in
    '-m venv') mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    '-m pip') shift 2; echo "$@" >>{log}; exit $(cat {tmp_path}/status) ;;
    *) exec {sys.executable} "$@" ;;
esac
""",
    )

    def call(*arguments: str, pip_fails: bool = False) -> list[str]:
        log.write_text('')
        (tmp_path / 'status').write_text(str(int(pip_fails)))
        python = f'PYTHON={tmp_path / "python"}'
        answer = make(
            'install', python, *arguments, path=os.environ['PATH'], folder=clone
        )
        assert (answer.returncode != 0) == pip_fails, answer.stderr
        return log.read_text().splitlines()

    return call


def test_a_finished_install_is_not_repeated(install: Callable[..., list[str]]) -> None:
    (told,) = install('PIP_ARGS=--index-url a')
    assert told == 'install --index-url a -c constraints.txt -e .[dev]'
    assert install() == []


def test_an_install_that_failed_is_not_taken_for_a_finished_one(
    install: Callable[..., list[str]],
) -> None:
    assert install(pip_fails=True)
    assert install(pip_fails=True)
    assert install()
    assert install() == []


@pytest.mark.parametrize('name', ['Makefile', 'pyproject.toml', 'constraints.txt'])
def test_a_change_of_what_is_installed_installs_again(
    name: str, install: Callable[..., list[str]], clone: Path
) -> None:
    install()
    stamp = (clone / '.venv' / 'installed').stat().st_mtime
    os.utime(clone / name, (stamp + 5, stamp + 5))
    assert install()


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel, built without a network from what the Dockerfile copies."""
    folder = tmp_path_factory.mktemp('wheel')
    tree = folder / 'tree'
    ignore = shutil.ignore_patterns('__pycache__')
    for source in (ROOT / name for name in sorted(copied_sources())):
        if source.is_dir():
            shutil.copytree(source, tree / source.name, ignore=ignore)
        else:
            tree.mkdir(exist_ok=True)
            shutil.copy(source, tree)
    subprocess.run(
        [
            sys.executable,
            '-m',
            'build',
            '--wheel',
            '--no-isolation',
            '-o',
            folder,
            tree,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with ZipFile(next(folder.glob('*.whl'))) as archive:
        yield archive


def test_the_wheel_carries_every_config_and_every_module(wheel: ZipFile) -> None:
    configs = [path.relative_to(ROOT) for path in (ROOT / 'configs').rglob('*.yaml')]
    modules = [path.relative_to(ROOT) for path in (ROOT / 'dfc2020_geo').rglob('*.py')]
    expected = {f'dfc2020_geo/{path.as_posix()}' for path in configs}
    expected |= {'dfc2020_geo/py.typed', *(path.as_posix() for path in modules)}
    assert configs
    assert expected <= set(wheel.namelist())


def test_the_wheel_holds_nothing_but_the_package(wheel: ZipFile) -> None:
    folders = {name.split('/')[0] for name in wheel.namelist()}
    dist_info = f'dfc2020_geo-{dfc2020_geo.__version__}.dist-info'
    assert folders == {'dfc2020_geo', dist_info}


def test_the_wheel_says_what_it_is(wheel: ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith('METADATA'))
    metadata, _ = parse_email(wheel.read(name))
    assert metadata['name'] == 'dfc2020-geo'
    assert metadata['version'] == dfc2020_geo.__version__
    assert metadata['license_expression'] == 'MIT'
    assert metadata['requires_python'] == '>=3.12'


def constraints() -> dict[str, str]:
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith('#')]
    assert all(re.fullmatch(r'[\w.-]+==[\w.]+', pin) for pin in pins), pins
    return {canonicalize_name(name): pin for name, pin in (p.split('==') for p in pins)}


@pytest.mark.parametrize(
    'requirement', [*PROJECT['dependencies'], *PROJECT['optional-dependencies']['dev']]
)
def test_the_versions_tried_are_within_the_bounds(requirement: str) -> None:
    required = Requirement(requirement)
    assert required.specifier, f'{requirement} has no bound'
    assert required.specifier.contains(constraints()[canonicalize_name(required.name)])


#: What Lightning needs for what this package uses of it, without depending on it: its
#: command line and its TensorBoard logger.
LIGHTNING_NEEDS = {'jsonargparse', 'tensorboard'}


def test_the_dependencies_are_what_the_package_imports() -> None:
    distributions = packages_distributions()
    imported: set[str] = set()
    for path in (ROOT / 'dfc2020_geo').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split('.')[0])
    imported -= {*sys.stdlib_module_names, 'dfc2020_geo'}
    declared = {
        canonicalize_name(Requirement(requirement).name)
        for requirement in PROJECT['dependencies']
    }
    # An extension may add to a package of another distribution, as pystac's do.
    bringing = [
        {canonicalize_name(d) for d in distributions[name]} for name in imported
    ]
    assert all(names & declared for names in bringing), bringing
    used = {name for names in bringing for name in names & declared}
    assert used | LIGHTNING_NEEDS == declared


def test_one_version_everywhere() -> None:
    changelog = (ROOT / 'CHANGELOG.md').read_text()
    newest = re.findall(r'^## \[?(\d+\.\d+\.\d+)', changelog, flags=re.MULTILINE)[0]
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert newest == citation['version'] == dfc2020_geo.__version__
