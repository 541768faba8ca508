"""Docker's files, held to what they need; each of their commands runs, in no container.

Docker is not asked for: what it would do with the files is done in folders.
"""

import inspect
import json
import re
import runpy
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import dfc2020_geo
from dfc2020_geo.callbacks import ClassMapWriter, PreviewWriter
from dfc2020_geo.datamodules import LandCoverDataModule
from tests.support import ROOT
from tests.support.dockerfile import (
    FOLDERS,
    Build,
    Step,
    copy_context,
    read_steps,
    run_environment,
)

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
STEPS = read_steps((ROOT / 'docker' / 'Dockerfile').read_text())
COMPOSE = (ROOT / 'docker' / 'compose.yaml').read_text()
DOCS = (ROOT / 'docs' / 'docker.md').read_text()
DOCUMENTED = [
    line
    for block in re.findall(r'```bash\n(.*?)```', DOCS, flags=re.DOTALL)
    for line in block.splitlines()
]

#: Steps that cannot run here, each with the reason and what is checked in its place.
EXEMPT = {
    # It changes the system and needs Debian's archive. What it installs is held against
    # the libraries that are really loaded: test_the_image_has_the_system_libraries.
    'apt-get update'
}

#: Instructions that say something of the image and run nothing when it is built.
SILENT = {'ARG', 'CMD', 'ENTRYPOINT', 'ENV', 'LABEL', 'USER'}


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


IDS = {'HOST_UID': '1234', 'HOST_GID': '567'}
SERVICES = interpolate(COMPOSE, **IDS)['services']


def find(name: str) -> Step:
    """Return the last step of a name, the one that counts."""
    return [step for step in STEPS if step.name == name][-1]


# The image


@pytest.fixture(scope='module')
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Docker would get to see of a clone."""
    folder = tmp_path_factory.mktemp('context')
    copy_context(ROOT, folder)
    return folder


@pytest.fixture(scope='module')
def build(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The image, built step by step in a folder."""
    build = Build(context, tmp_path_factory.mktemp('build'))
    packages = str(build.folder / 'packages')
    for step in STEPS:
        if any(step.text.startswith(command) for command in EXEMPT):
            continue
        assert step.name in SILENT | {'COPY', 'FROM', 'RUN', 'WORKDIR'}, step
        if 'pip install' not in step.text:
            build.take(step)
        elif '/wheels' in step.text:
            build.take(step, PIP_TARGET=packages)
        else:
            # All of it is here already, in the versions that the constraints name.
            printed = build.take(step, PIP_DRY_RUN='1')
            assert 'Requirement already satisfied' in printed
            assert 'Would install' not in printed
    return build


def test_every_exemption_is_a_step_of_the_dockerfile() -> None:
    texts = [step.text for step in STEPS if step.name == 'RUN']
    for command in EXEMPT:
        assert len([text for text in texts if text.startswith(command)]) == 1


@pytest.mark.slow
def test_the_image_is_asked_for_what_the_project_depends_on(build: Build) -> None:
    path = build.folder / 'image' / 'requirements' / 'requirements.txt'
    assert path.read_text().splitlines() == PROJECT['dependencies']
    constraints = path.with_name('constraints.txt').read_text()
    assert constraints == (ROOT / 'constraints.txt').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('arguments', [[], ['--version']], ids=str)
def test_the_image_runs_the_package_that_it_built(
    build: Build, arguments: list[str], tmp_path: Path
) -> None:
    entrypoint = json.loads(find('ENTRYPOINT').text)
    command = [*entrypoint, *(arguments or json.loads(find('CMD').text))]
    packages = build.folder / 'packages'
    command[0] = str(packages / 'bin' / command[0])
    answer = subprocess.run(
        command,
        cwd=tmp_path,
        env=run_environment(PYTHONPATH=str(packages)),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = f'dfc2020-geo {dfc2020_geo.__version__}\n' if arguments else 'usage: '
    assert answer.stdout.startswith(expected)
    assert (packages / 'dfc2020_geo' / 'configs' / 'unet_s1s2.yaml').is_file()


@pytest.mark.slow
def test_any_user_may_write_where_runs_write(build: Build) -> None:
    written = {dict(pair.split('=') for pair in find('ENV').text.split())['HOME']}
    for folder in written | {find('WORKDIR').text}:
        assert folder in FOLDERS
        assert Path(build.path(folder, 'image')).stat().st_mode & 0o7777 == 0o1777


def test_nobody_is_root_in_the_image() -> None:
    user = STEPS.index(find('USER'))
    assert re.fullmatch(r'[1-9]\d*:[1-9]\d*', STEPS[user].text)
    assert not [step for step in STEPS[user:] if step.name in ('COPY', 'RUN')]


def test_no_cache_stays_in_the_image() -> None:
    for step in [s for s in STEPS[STEPS.index(find('FROM')) :] if s.name == 'RUN']:
        if 'pip ' in step.text:
            mounted = any('/root/.cache/pip' in v for v in step.values('mount'))
            assert mounted or '--no-cache-dir' in step.text, step
        if 'apt-get ' in step.text:
            assert step.text.endswith('rm -rf /var/lib/apt/lists/*')


def test_the_image_has_a_python_that_the_project_promises() -> None:
    bases = {step.text.partition(' AS ')[0] for step in STEPS if step.name == 'FROM'}
    (base,) = bases
    version = re.fullmatch(r'python:(\d\.\d+)-slim-\w+', base)
    assert version
    assert version[1] in SpecifierSet(PROJECT['requires-python'])


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
    (install,) = [step for step in STEPS if 'apt-get install' in step.text]
    installed = set(re.findall(r'\blib([a-z]+)\d\b', install.text))
    assert names - SLIM - OPTIONAL == installed


def test_the_constraints_allow_the_same_version_built_for_the_cpu() -> None:
    pins = (ROOT / 'constraints.txt').read_text().splitlines()
    for name in ('torch', 'torchvision'):
        (pin,) = [pin for pin in pins if pin.startswith(f'{name}==')]
        version = pin.partition('==')[2]
        assert f'{version}+cpu' in SpecifierSet(f'=={version}')
    assert not [pin for pin in pins if pin.startswith(('nvidia', 'cuda', 'triton'))]


def test_nothing_but_what_is_copied_enters_the_build(
    context: Path, tmp_path: Path
) -> None:
    copied = {
        source
        for step in STEPS
        if step.name == 'COPY' and not step.flags
        for source in step.text.split()[:-1]
    }
    assert {path.name for path in context.iterdir()} == copied
    found = {path.name for path in context.rglob('*')}
    assert not {'__pycache__', '.git', '.venv'} & found
    assert not [name for name in found if name.endswith('.pyc')]


# The services


def test_outputs_belong_to_the_user_of_the_host() -> None:
    assert {service['user'] for service in SERVICES.values()} == {'1234:567'}
    with pytest.raises(AssertionError, match=r'HOST_UID: missing in docker/\.env'):
        interpolate(COMPOSE)


def test_every_service_is_built_from_the_dockerfile() -> None:
    arguments = [step.text for step in STEPS if step.name == 'ARG']
    for service in SERVICES.values():
        build = service['build']
        place = (ROOT / 'docker' / build['context']).resolve()
        assert place == ROOT
        assert (place / build['dockerfile']).is_file()
        assert set(build['args']) == set(arguments)


def test_the_gpu_is_all_that_gpu_and_cpu_differ_in() -> None:
    (device,) = SERVICES['gpu']['deploy']['resources']['reservations']['devices']
    assert device == {'driver': 'nvidia', 'count': 'all', 'capabilities': ['gpu']}
    rest = {key: value for key, value in SERVICES['gpu'].items() if key != 'deploy'}
    assert rest == SERVICES['cpu']


def test_only_tensorboard_starts_unasked() -> None:
    assert [n for n, s in SERVICES.items() if 'profiles' not in s] == ['tensorboard']


def test_workers_have_room_for_their_batches() -> None:
    # 13 + 2 float32 bands of 256 x 256 pixels and an int64 mask in a batch of 32; two
    # batches wait for each of four workers, in training and validation.
    needed = 32 * 256**2 * (15 * 4 + 8) * 2 * 4 * 2
    assert int(SERVICES['cpu']['shm_size'].removesuffix('gb')) * 1024**3 > needed


def mounts(service: str) -> dict[str, dict[str, Any]]:
    return {volume['target']: volume for volume in SERVICES[service]['volumes']}


def test_data_and_code_are_read_only_and_outputs_are_not() -> None:
    written = {
        target for target, mount in mounts('cpu').items() if not mount.get('read_only')
    }
    outputs = {'runs', 'lightning_logs', 'predictions', 'previews'}
    assert written == {'/home/user', *(f'/workspace/{name}' for name in outputs)}
    assert all(mount.get('read_only') for mount in mounts('tensorboard').values())


def test_docker_makes_no_folder_of_the_host() -> None:
    for service in SERVICES:
        for mount in mounts(service).values():
            if mount['type'] == 'bind':
                assert mount['bind'] == {'create_host_path': False}


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
    work = find('WORKDIR').text
    assert {'runs', 'predictions', 'data/unlabeled'} <= paths
    assert {f'{work}/{path}' for path in paths} <= mounts('cpu').keys()


def test_the_code_of_the_clone_counts() -> None:
    (path,) = [e for e in SERVICES['cpu']['environment'] if e.startswith('PYTHONPATH')]
    code = path.partition('=')[2]
    for name in ('configs', 'dfc2020_geo', 'scripts'):
        source = ROOT / 'docker' / mounts('cpu')[f'{code}/{name}']['source']
        assert source.resolve() == ROOT / name


# TensorBoard


@pytest.fixture
def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A log folder with one figure, written as Lightning writes it."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / 'unet' / 'version_0')) as writer:
        writer.add_scalar('train/loss', 0.5, 1)
    return tmp_path


@pytest.fixture
def tensorboard(free_port: str, logs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command of the service, started on a free port."""
    service = SERVICES['tensorboard']
    command = [*service['entrypoint'], *service['command']]
    replaced = {'6006': free_port, '/workspace/runs': str(logs)}
    assert replaced.keys() <= set(command)
    command = [replaced.get(word, word) for word in command]
    with subprocess.Popen(
        command,
        env=run_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process
        process.kill()


def is_healthy(port: str) -> bool:
    marker, *command = SERVICES['tensorboard']['healthcheck']['test']
    assert marker == 'CMD'
    command = [word.replace('6006', port) for word in command]
    answer = subprocess.run(
        command, env=run_environment(), capture_output=True, check=False
    )
    return answer.returncode == 0


@pytest.mark.slow
def test_tensorboard_serves_the_runs_and_says_that_it_is_well(
    free_port: str, tensorboard: subprocess.Popen[bytes]
) -> None:
    assert not is_healthy('1')  # a port that nobody serves
    for _ in range(60):
        if is_healthy(free_port):
            break
        assert tensorboard.poll() is None, 'TensorBoard has stopped'
        time.sleep(0.5)
    url = f'http://localhost:{free_port}/data/plugin/scalars/tags'
    for _ in range(60):  # its reader looks at the files a little later
        with urlopen(url) as answer:
            if tags := json.load(answer):
                break
        time.sleep(0.5)
    assert tags.keys() == {'unet/version_0'}
    assert tags['unet/version_0'].keys() == {'train/loss'}
    tensorboard.terminate()
    tensorboard.wait(timeout=20)


def test_tensorboard_is_published_for_this_machine_unless_told_otherwise() -> None:
    assert SERVICES['tensorboard']['ports'] == ['127.0.0.1:6006:6006']
    told = interpolate(COMPOSE, **IDS, TENSORBOARD_HOST='0.0.0.0', TENSORBOARD_PORT='7')
    assert told['services']['tensorboard']['ports'] == ['0.0.0.0:7:6006']


# What the docs tell a reader to type


def test_what_is_done_once_makes_all_that_the_services_need(tmp_path: Path) -> None:
    for name in ('configs', 'dfc2020_geo', 'docker', 'scripts'):
        (tmp_path / name).mkdir()
    once = [line for line in DOCUMENTED if line.startswith(('mkdir', 'printf'))]
    subprocess.run(['sh', '-ec', '\n'.join(once)], cwd=tmp_path, check=True)
    lines = (tmp_path / 'docker' / '.env').read_text().splitlines()
    variables = dict(line.split('=') for line in lines)
    assert all(value.isdecimal() for value in variables.values())
    services = interpolate(COMPOSE, **variables)['services']
    for service in services.values():
        for mount in service['volumes']:
            if mount['type'] == 'bind':
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


def entrypoint_runs() -> list[list[str]]:
    lines = [line for line in DOCUMENTED if '--entrypoint python' in line]
    return [shlex.split(line.partition(' gpu ')[2]) for line in lines]


@pytest.mark.parametrize('command', entrypoint_runs(), ids=lambda words: words[0])
def test_documented_scripts_run(
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = [e for e in SERVICES['cpu']['environment'] if e.startswith('PYTHONPATH=')]
    folder = code[0].partition('=')[2]
    script, *arguments = command
    assert script.startswith(f'{folder}/')
    path = str(ROOT / script.removeprefix(f'{folder}/'))
    monkeypatch.setattr(sys, 'argv', [path, *arguments])
    with pytest.raises(SystemExit, match='0'):
        runpy.run_path(path, run_name='__main__')
    assert 'usage: ' in capsys.readouterr().out


def test_documented_services_files_and_variables_are_there() -> None:
    for line in DOCUMENTED:
        words = shlex.split(line)
        if words[:2] == ['docker', 'compose']:
            assert words[2:4] == ['-f', 'docker/compose.yaml']
        if words[:2] == ['docker', 'build']:
            assert (ROOT / words[words.index('--file') + 1]).is_file()
    variables = set(re.findall(r'\$\{(\w+)', COMPOSE))
    assert [name for name in variables if name not in DOCS] == []
    for mount in mounts('cpu').values():
        if not mount['target'].startswith('/code/'):
            assert f'`{mount["target"]}`' in DOCS


def test_tensorboard_without_compose_is_the_command_of_the_service() -> None:
    (line,) = [line for line in DOCUMENTED if '--entrypoint tensorboard' in line]
    arguments = shlex.split(line.rpartition(' dfc2020-geo ')[2])
    assert set(arguments) <= set(SERVICES['tensorboard']['command'])
