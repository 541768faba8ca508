"""What CONTRIBUTING tells a contributor to write and to type."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfc2020_geo.bands import BAND_SETS
from dfc2020_geo.classes import SCHEMES
from dfc2020_geo.datamodules.named_sets import SETS
from dfc2020_geo.models import NETWORKS
from tests.support import ROOT

GUIDE = (ROOT / 'CONTRIBUTING.md').read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', GUIDE, flags=re.DOTALL)


@pytest.fixture
def _tables_as_they_were() -> Iterator[None]:
    tables = (BAND_SETS, SCHEMES, SETS, NETWORKS)
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.mark.usefixtures('_tables_as_they_were')
def test_what_is_added_works_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A band set, scheme, network, dataset and callback, each used by the next."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in _blocks('python'):
        exec(compile(block, 'CONTRIBUTING.md', 'exec'), names)  # noqa: S102 (our own)
    assert {'RegionPatches', 'TwoConvolutions', 'CountPixels'} <= names.keys()


@pytest.mark.parametrize('command', ''.join(_blocks('bash')).splitlines())
def test_targets_are_in_the_makefile(command: str) -> None:
    program, target = command.split()
    assert program == 'make'
    makefile = (ROOT / 'Makefile').read_text()
    assert re.search(rf'^{target}:', makefile, flags=re.MULTILINE)


def test_paths_and_links_lead_somewhere() -> None:
    links = re.findall(r'\]\(([^)#:]+)\)', GUIDE)
    paths = re.findall(r'`((?:dfc2020_geo|tests|configs)/[\w/.]+)`', GUIDE)
    assert len(links) >= 2
    assert len(paths) >= 8
    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []
