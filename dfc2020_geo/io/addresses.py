"""Addresses of files on the network: what may be said and written of one, its state.

An address can carry a secret: a signature in its query, as blob storage and the
Planetary Computer make them, or a password. GDAL needs it; messages, records and items
get the rest.
"""

import re
import urllib.request
from http.client import HTTPException
from urllib.parse import parse_qs

#: Of files on this machine, in the form of an address.
_LOCAL = '(?:file|gzip|tar|zip):'

#: What a query has up to the mark that ends a part of a sentence.
_END = r'[^\s"\'<>{}]*?(?=[,;:.)\]]*(?:[\s"\'<>{}]|$))'

#: An address with its query, the password left out of the groups.
_URL = re.compile(
    rf'\b(?!{_LOCAL})([a-z][\w+.-]+://)(?:[^\s/?#@"\']*@)?([^\s?"\'<>]*)(?:\?{_END})?',
    re.IGNORECASE,
)

#: GDAL's form of an address that has it as a parameter.
_PARAMETERS = re.compile(rf'(/vsi\w+)\?({_END})')

#: A query of an address that holds a blank.
_SIGNATURE = re.compile(
    r'\?[^\s"\'<>{}]*(?:cred|expires|key|password|secret|sig|token)'
    rf'[\w-]*={_END}',
    re.IGNORECASE,
)

#: Where GDAL reads from addresses.
_VSICURL = re.compile(r'/vsicurl(?:_streaming)?/')

#: Seconds that a server has to answer in.
_TIMEOUT = 20

#: Headers that say whether a file has changed, by the name of what they say.
_HEADERS = {'etag': 'ETag', 'modified': 'Last-Modified'}


def hide_secrets(text: object) -> str:
    """Leave queries and passwords out of the addresses in a text.

    Args:
        text: A path, an address or a message with any number of them.

    Returns:
        The text, unchanged where there are no addresses; one in the form of GDAL,
        ``/vsicurl?url=...``, in the plain form.

    Examples:
        >>> hide_secrets('https://me:word@host/B02.tif?sp=r&sig=ab%2Bc: status 403')
        'https://host/B02.tif: status 403'
        >>> hide_secrets('/vsicurl?empty_dir=yes&url=https%3A%2F%2Fhost%2Fa.tif%3Fsig%3D1')
        '/vsicurl/https://host/a.tif'
    """
    plain = _URL.sub(r'\1\2', _PARAMETERS.sub(_plain, str(text)))
    return _SIGNATURE.sub('', plain)


def _plain(found: re.Match[str]) -> str:
    inner = parse_qs(found[2]).get('url', [''])[0]
    return f'{found[1]}/{inner}'


def is_address(path: object) -> bool:
    """Tell whether a file is on the network.

    Args:
        path: What GDAL opens.

    Returns:
        True for addresses, plain or in the forms of GDAL.
    """
    return bool(_URL.search(hide_secrets(path)))


def find_state(path: str) -> dict[str, int | str] | None:
    """Ask a server for what tells whether a file has changed.

    Args:
        path: What GDAL opens, with its signature.

    Returns:
        Its size in bytes, and its ETag or time of change as far as the server says
        them; None for what is no file behind ``http``, or where there is no answer.
    """
    found = _PARAMETERS.search(path)
    url = parse_qs(found[2]).get('url', [''])[0] if found else _VSICURL.sub('', path)
    if not url.startswith(('http://', 'https://')):
        return None
    # A signature is one for reading: servers refuse to say the header alone.
    request = urllib.request.Request(url, headers={'Range': 'bytes=0-0'})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            headers = answer.headers
            size = headers.get('Content-Range', '').rpartition('/')[2]
            size = size or headers.get('Content-Length', '')
    except (OSError, HTTPException, ValueError):
        return None
    state: dict[str, int | str] = {'size': int(size)} if size.isdigit() else {}
    # With an ETag, a time says nothing more: copies of a file have other ones.
    for name, header in _HEADERS.items():
        if header in headers and len(state) < 2:
            state[name] = headers[header]
    return state or None
