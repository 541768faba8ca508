"""Docker's files: that what they name is there, and belongs to who runs them.

Docker is not asked for. The wheel that the image installs is built in
tests/test_packaging.py, of the files that the Dockerfile copies.
"""

import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from dfc2020_geo.callbacks import ClassMapWriter, PreviewWriter
from dfc2020_geo.datamodules import LandCoverDataModule
from tests.support import ROOT
from tests.support.dockerfile import DOCKERFILE, copied_sources

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
COMPOSE = (ROOT / 'docker' / 'compose.yaml').read_text()
DOCS = (ROOT / 'docs' / 'docker.md').read_text()
DOCUMENTED = [
    line
    for block in re.findall(r'```bash\n(.*?)```', DOCS, flags=re.DOTALL)
    for line in block.splitlines()
]


def interpolate(text: str, **variables: str) -> Any:
    """Read a compose file with the variables that ``docker/.env`` has."""

    def value(found: re.Match[str]) -> str:
        name, sign, other = found[1], found[2], found[3]
        if name in variables:
            return variables[name]
        assert sign == ':-', f'{name}: {other}'
        return other

    pattern = r'\$\{(\w+)(:-|:\?)([^}]*)\}'
    return yaml.safe_load(re.sub(pattern, value, text))


SERVICES = interpolate(COMPOSE, HOST_UID='1234', HOST_GID='567')['services']


def mounts(service: str) -> dict[str, dict[str, Any]]:
    return {volume['target']: volume for volume in SERVICES[service]['volumes']}


# The image


def test_what_is_copied_is_there_and_not_ignored() -> None:
    lines = (ROOT / '.dockerignore').read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith('!')}
    assert '*' in lines
    assert copied_sources() == let_in
    assert [name for name in let_in if not (ROOT / name).exists()] == []


def test_the_image_has_a_python_that_the_project_promises() -> None:
    versions = set(re.findall(r'^FROM python:(\d\.\d+)-', DOCKERFILE, re.MULTILINE))
    (version,) = versions
    assert version in SpecifierSet(PROJECT['requires-python'])


def test_nobody_is_root_in_the_image() -> None:
    _, _, rest = DOCKERFILE.rpartition('\nUSER ')
    assert re.match(r'[1-9]\d*:[1-9]\d*\n', rest)
    assert not re.search(r'^(COPY|RUN) ', rest, re.MULTILINE)


#: System libraries of python:3.13-slim: C and C++, and what Python itself is built on.
SLIM = {
    *('bz2', 'c', 'crypto', 'dl', 'ffi', 'gcc_s', 'lzma', 'm', 'ncursesw', 'pthread'),
    *('readline', 'rt', 'sqlite3', 'ssl', 'stdc++', 'tinfo', 'util', 'uuid', 'z'),
}

#: Opened where it is there; Pillow then sets right-to-left text.
OPTIONAL = {'fribidi'}

IMPORTS = """
import lightning.pytorch.cli, tensorboard.main, torch.utils.tensorboard
import geopandas, pyogrio, pyproj, pystac, rasterio, shapely
import dfc2020_geo.main, dfc2020_geo.cli.demo, dfc2020_geo.cli.stages
print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='the image is for Linux')
def test_the_image_has_the_system_libraries() -> None:
    answer = subprocess.run(
        [sys.executable, '-c', IMPORTS], capture_output=True, text=True, check=True
    )
    ours = (sys.prefix, sys.base_prefix)
    system = [path for path in answer.stdout.split() if not path.startswith(ours)]
    loaded = {re.sub(r'(-[\d.]+)?\.so.*', '', Path(path).name) for path in system}
    names = {name.removeprefix('lib') for name in loaded if not name.startswith('ld-')}
    assert {'c', 'expat'} <= names
    install = re.findall(r'apt-get install(.*)', DOCKERFILE)[0]
    assert names - SLIM - OPTIONAL == set(re.findall(r'\blib([a-z]+)\d\b', install))


def test_the_constraints_allow_the_same_version_built_for_the_cpu() -> None:
    pins = (ROOT / 'constraints.txt').read_text().splitlines()
    for name in ('torch', 'torchvision'):
        (pin,) = [pin for pin in pins if pin.startswith(f'{name}==')]
        version = pin.partition('==')[2]
        assert f'{version}+cpu' in SpecifierSet(f'=={version}')
    assert not [pin for pin in pins if pin.startswith(('nvidia', 'cuda', 'triton'))]


# The services


def test_outputs_belong_to_the_user_of_the_host() -> None:
    assert {service['user'] for service in SERVICES.values()} == {'1234:567'}
    with pytest.raises(AssertionError, match=r'HOST_UID: missing in docker/\.env'):
        interpolate(COMPOSE)


def test_data_and_code_are_read_only_and_outputs_are_not() -> None:
    written = {
        target for target, mount in mounts('cpu').items() if not mount.get('read_only')
    }
    outputs = {'runs', 'lightning_logs', 'predictions', 'previews'}
    assert written == {'/home/user', *(f'/workspace/{name}' for name in outputs)}
    assert all(mount.get('read_only') for mount in mounts('tensorboard').values())


def test_the_paths_of_the_configs_are_those_of_the_container() -> None:
    paths = {
        inspect.signature(owner).parameters[name].default
        for owner, name in [
            *((LandCoverDataModule, f'{d}_root') for d in ('sen12ms', 'dfc2020')),
            (LandCoverDataModule, 'unlabeled_root'),
            (ClassMapWriter, 'output_dir'),
            (PreviewWriter, 'output_dir'),
        ]
    }
    for config in {*ROOT.glob('configs/*.yaml')} - {ROOT / 'configs' / 'demo.yaml'}:
        paths |= set(re.findall(r': (data/\w+)', config.read_text()))
        paths |= set(re.findall(r'save_dir: (\w+)', config.read_text()))
    assert {'runs', 'predictions', 'data/unlabeled'} <= paths
    assert {f'/workspace/{path}' for path in paths} <= mounts('cpu').keys()


def test_the_code_of_the_clone_counts() -> None:
    assert 'PYTHONPATH=/code' in SERVICES['cpu']['environment']
    for name in ('configs', 'dfc2020_geo', 'scripts'):
        source = ROOT / 'docker' / mounts('cpu')[f'/code/{name}']['source']
        assert source.resolve() == ROOT / name


# What the docs tell a reader to type


def test_what_is_done_once_makes_all_that_the_services_need(tmp_path: Path) -> None:
    for name in ('configs', 'dfc2020_geo', 'docker', 'scripts'):
        (tmp_path / name).mkdir()
    once = [line for line in DOCUMENTED if line.startswith(('mkdir', 'printf'))]
    subprocess.run(['sh', '-ec', '\n'.join(once)], cwd=tmp_path, check=True)
    lines = (tmp_path / 'docker' / '.env').read_text().splitlines()
    services = interpolate(COMPOSE, **dict(line.split('=') for line in lines))
    for service in services['services'].values():
        for mount in service['volumes']:
            if mount['type'] == 'bind':
                assert mount['bind'] == {'create_host_path': False}
                assert (tmp_path / 'docker' / mount['source']).is_dir(), mount


def test_documented_runs_are_commands_that_the_readme_is_held_to() -> None:
    # tests/test_readme.py runs each of those.
    readme = (ROOT / 'README.md').read_text().splitlines()
    documented = [*DOCUMENTED, *(line for line in readme if ' run --rm ' in line)]
    called = [re.search(r'run --rm (?:cpu|gpu) (.*)', line) for line in documented]
    arguments = [found[1] for found in called if found]
    arguments += [
        line.rpartition(' dfc2020-geo ')[2]
        for line in DOCUMENTED
        if line.startswith('docker run') and '--entrypoint' not in line
    ]
    assert len(arguments) == 5
    assert {f'dfc2020-geo {line}' for line in arguments} <= set(readme)


def test_documented_scripts_and_files_are_there() -> None:
    scripts = [line for line in DOCUMENTED if '--entrypoint python' in line]
    assert len(scripts) == 2
    for line in scripts:
        script, *_ = shlex.split(line.partition(' gpu ')[2])
        assert (ROOT / script.removeprefix('/code/')).is_file()
    for line in DOCUMENTED:
        words = shlex.split(line)
        if words[:2] == ['docker', 'compose']:
            assert words[2:4] == ['-f', 'docker/compose.yaml']
        if words[:2] == ['docker', 'build']:
            assert (ROOT / words[words.index('--file') + 1]).is_file()
    variables = set(re.findall(r'\$\{(\w+)', COMPOSE))
    assert [name for name in variables if name not in DOCS] == []
