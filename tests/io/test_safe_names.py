"""Names that come as data are relative, normal and inside, on every system."""

import os
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfc2020_geo.io.safe_names import find_name_fault, leads_out

PARTS = [
    '..',
    '.',
    '',
    'a',
    'é b',
    'c.txt',
    '%2e%2e',
    '%2F',
    '%',
    '\\',
    'C:',
    '~',
    '\0',
]


@pytest.mark.parametrize(
    'name',
    [
        'a.txt',
        'ROIs1158_spring/s2_1/ROIs1158_spring_s2_1_p30.tif',
        'é ü/日本.tif',
        '100 %.csv',
        '..a/b..',
        'a~/12:30.txt',
    ],
)
def test_plain_names_have_no_fault(name: str) -> None:
    assert find_name_fault(name) is None


@pytest.mark.parametrize(
    ('name', 'fault'),
    [
        ('../../.bashrc', 'leads out'),
        ('a/../../b', 'leads out'),
        ('a//b', 'not normal'),
        ('a/', 'not normal'),
        ('./a', 'not normal'),
        ('', 'not normal'),
        ('.', 'not normal'),
        ('/etc/passwd', 'not relative'),
        ('~/x', 'not relative'),
        ('C:/x', 'not relative'),
        ('c:x', 'not relative'),
        ('..\\x', 'backslash'),
        ('\\\\server\\x', 'backslash'),
        ('x::file:a', '"::"'),
        ('%2e%2e/x', 'leads out'),
        ('%252e%252e%252fx', 'leads out'),
        ('%5cx', 'backslash'),
        ('%2Fetc', 'not relative'),
        ('a\0b', 'control characters'),
        ('a%00b', 'control characters'),
        ('a\nb', 'control characters'),
        ('a\x1b[31mb', 'control characters'),
        ('a\ud800', 'no text'),
        ('fdp.\u202eexe', 'direction'),
        ('x' * 300, '255 bytes'),
        ('é' * 130, '255 bytes'),
        (3, 'int, not text'),
        (None, 'NoneType, not text'),
    ],
)
def test_other_names_have_one(name: object, fault: str) -> None:
    assert fault in str(find_name_fault(name))


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5), st.integers(0, 2))
def test_a_name_without_fault_stays_inside(parts: list[str], times: int) -> None:
    name = '/'.join(parts)
    for _ in range(times):
        name = quote(name)
    if find_name_fault(name) is None:
        decoded = name
        for _ in range(4):
            inside = os.path.normpath(f'/folder/{decoded}')
            assert inside == f'/folder/{decoded}'
            assert '..' not in PureWindowsPath(decoded).parts
            assert not PureWindowsPath(decoded).drive
            decoded = unquote(decoded)


def test_links_that_lead_out_are_seen(tmp_path: Path) -> None:
    root = tmp_path / 'root'
    (root / 'folder').mkdir(parents=True)
    (root / 'file').touch()
    (tmp_path / 'secret').touch()
    (root / 'inside').symlink_to(root / 'file')
    (root / 'outside').symlink_to(tmp_path / 'secret')
    (root / 'above').symlink_to('..')
    (tmp_path / 'link').symlink_to(root)
    for start in (root, tmp_path / 'link'):
        for name in ('file', 'folder', 'inside', 'missing'):
            assert not leads_out(start, name)
        for name in ('outside', 'above', 'above/secret'):
            assert leads_out(start, name)
