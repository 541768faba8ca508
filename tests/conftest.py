"""Fixtures that several test modules share."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DATA = Path(__file__).parent / 'data'


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
