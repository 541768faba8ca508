"""What may be said of an address, and what tells whether its file has changed."""

from pathlib import Path

import pytest

from dfc2020_geo.io.addresses import find_state, hide_secrets, is_address
from tests.support.signed_server import serve_signed

SIGNED = 'st=2026-07-22&sp=rl&sig=ab%2Bc%2Fd%3D'


@pytest.mark.parametrize(
    ('signed', 'plain'),
    [
        (f'https://host/a/B02.tif?{SIGNED}', 'https://host/a/B02.tif'),
        ('https://host/B02.tif?X-Amz-Signature=ab12', 'https://host/B02.tif'),
        ('https://me:word@host:8080/a.tif', 'https://host:8080/a.tif'),
        (f'/vsicurl/https://host/a.tif?{SIGNED}', '/vsicurl/https://host/a.tif'),
        (
            f'/vsicurl?pc_url_signing=yes&url=https%3A%2F%2Fhost%2Fa.tif%3F{SIGNED}',
            '/vsicurl/https://host/a.tif',
        ),
        (f'https://host/my file.tif?{SIGNED}', 'https://host/my file.tif'),
        (
            f'/vsizip/{{/vsicurl/https://host/a.zip?{SIGNED}}}/B02.tif',
            '/vsizip/{/vsicurl/https://host/a.zip}/B02.tif',
        ),
        (f'NETCDF:"https://host/a.nc?{SIGNED}":B02', 'NETCDF:"https://host/a.nc":B02'),
    ],
)
def test_secrets_of_addresses_are_left_out(signed: str, plain: str) -> None:
    assert hide_secrets(signed) == plain
    assert is_address(signed)
    assert is_address(plain)
    said = f'Expected {signed}, got nothing ({signed}).'
    assert hide_secrets(said) == f'Expected {plain}, got nothing ({plain}).'


@pytest.mark.parametrize(
    'text',
    ['/data/what?.tif', 'C:\\data\\B02.tif', 'a:b#c.tif', 'is it there? No: x=1', '/vsizip/a.zip/b.tif',
     'SENTINEL2_L1C:/vsizip/a.zip/b.xml:10m:EPSG_32632', 'tmp/a?key.tif', 'file:///a/b.tif'],
)  # fmt: skip
def test_what_is_no_address_stays(text: str) -> None:
    assert hide_secrets(text) == text
    assert not is_address(text)


def test_the_state_of_a_file_is_that_behind_any_signature(tmp_path: Path) -> None:
    file = tmp_path / 'a.tif'
    file.write_bytes(b'12345')
    with serve_signed(tmp_path) as server:
        states = [
            find_state(f'{start}{server}/a.tif?st={day}&sig=ab%2Bc%2Fd%3D')
            for day in (22, 23)
            for start in ('', '/vsicurl/')
        ]
        assert states == [states[0]] * 4
        assert states[0] is not None
        assert states[0]['size'] == 5
        file.write_bytes(b'54321')
        changed = find_state(f'{server}/a.tif?st=24&sig=ab%2Bc%2Fd%3D')
        assert changed is not None
        assert changed['size'] == 5
        assert changed != states[0]
        assert find_state(f'{server}/a.tif?sig=other') is None
    assert find_state(f'{server}/a.tif') is None
    assert find_state('/vsis3/bucket/a.tif') is None
