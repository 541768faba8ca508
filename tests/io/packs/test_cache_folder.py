"""Where things are kept between runs."""

from pathlib import Path

import pytest

from dfc2020_geo.io.packs.remote import CACHE_VARIABLE, cache_folder


@pytest.mark.parametrize(
    ('chosen', 'shared', 'expected'),
    [
        ('/a/b', '/shared', '/a/b'),
        ('~/b', None, '/home/me/b'),
        ('0', '/shared', None),
        ('', '/shared', '/shared/dfc2020-geo'),
        (None, '/shared', '/shared/dfc2020-geo'),
        (None, 'relative', '/home/me/.cache/dfc2020-geo'),
        (None, '', '/home/me/.cache/dfc2020-geo'),
        (None, None, '/home/me/.cache/dfc2020-geo'),
    ],
)
def test_the_variable_then_the_desktops_rule_then_the_home(
    monkeypatch: pytest.MonkeyPatch,
    chosen: str | None,
    shared: str | None,
    expected: str | None,
) -> None:
    values = {CACHE_VARIABLE: chosen, 'XDG_CACHE_HOME': shared, 'HOME': '/home/me'}
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert cache_folder() == (expected and Path(expected))


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(Path, 'home', fail)
    assert cache_folder() is None
