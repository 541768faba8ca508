"""Fixtures that several test modules share."""

import os
import signal
import socket
import tarfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from tests.support import DATA

# A machine that is busy with something else breaks no law.
settings.register_profile('untimed', deadline=None)
settings.load_profile('untimed')

# What a shell starts in the background ignores interrupts, and so does all it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Which of the processes this is that pytest-xdist runs tests in, and of how many.
PROCESS = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
NUM_PROCESSES = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))

if NUM_PROCESSES > 1:
    # More threads than cores wait for each other.
    threads = max(1, (os.cpu_count() or 1) // NUM_PROCESSES)
    os.environ.setdefault('OMP_NUM_THREADS', str(threads))

#: Ports that systems give to nobody who has not named them; others for each process,
#: and most likely for other runs of the tests at the same time.
_PORTS = count(20_000 + 3_000 * PROCESS + os.getpid() % 2_000)


def pytest_runtest_setup() -> None:
    """Let groups of training processes meet where those of no other test do."""
    os.environ['MASTER_PORT'] = str(next(filter(_is_free, _PORTS)))


def _is_free(port: int) -> bool:
    with socket.socket() as here:
        try:
            here.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Leave nothing for later tests, such as the LOCAL_RANK that a launcher sets."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope='session', autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is kept in the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv('DFC2020_GEO_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='session')
def baseline_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small SEN12MS, DFC2020 and unlabelled trees that the 2020 baseline read."""
    folder = tmp_path_factory.mktemp('baseline')
    with tarfile.open(DATA / 'tree.tar.gz') as archive:
        archive.extractall(folder, filter='data')
    return folder / 'tree'
