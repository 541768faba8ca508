"""What the documents point to."""

import re
from pathlib import Path

import pytest

from tests.support import ROOT

DOCS = [*sorted((ROOT / 'docs').glob('*.md')), *sorted(ROOT.glob('*.md'))]


@pytest.mark.parametrize('document', DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r'\]\(([^)#:\s]+)(?:#[^)]*)?\)', document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_architecture_names_modules_that_are_there() -> None:
    text = (ROOT / 'docs' / 'architecture.md').read_text()
    package = ROOT / 'dfc2020_geo'
    paths = re.findall(r'`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`', text)
    assert len(paths) > 30
    assert [path for path in paths if not (package / path).exists()] == []


def test_every_room_is_in_the_picture_and_in_the_table() -> None:
    text = (ROOT / 'docs' / 'architecture.md').read_text()
    picture = (ROOT / 'docs' / 'images' / 'architecture.svg').read_text()
    rooms = {
        path.stem
        for path in (ROOT / 'dfc2020_geo').iterdir()
        if not path.name.startswith('__') and (path.suffix == '.py' or path.is_dir())
    }
    assert rooms == set(re.findall(r'^\| `(\w+)/?` \|', text, flags=re.MULTILINE))
    assert rooms == set(re.findall(r'font-weight="bold">(\w+)<', picture))


def test_promises_name_tests_that_are_there() -> None:
    text = (ROOT / 'docs' / 'promises.md').read_text()
    named = re.findall(r'`(tests/[\w/]+\.py)(?:::(\w+))?`', text)
    assert len(named) > 15
    for path, name in named:
        assert f'def {name or "test_"}' in (ROOT / path).read_text(), (path, name)
