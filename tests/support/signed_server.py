"""A server of one folder that asks for a signature, as blob storage does."""

import re
import subprocess
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

#: What the server takes for a signature of any day.
SECRET = 'ab+c/d='


class _Handler(BaseHTTPRequestHandler):
    """Serves ranges of files, and says their size and ETag."""

    root: Path

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        address = urlsplit(self.path)
        file = self.root / unquote(address.path).lstrip('/')
        if parse_qs(address.query).get('sig') != [SECRET]:
            self._say(403, {}, b'')
        elif not file.is_file():
            self._say(404, {}, b'')
        else:
            content = file.read_bytes()
            found = re.match(r'bytes=(\d+)-(\d*)', self.headers.get('Range') or '')
            first = int(found[1]) if found else 0
            last = int(found[2] or len(content)) if found else len(content)
            part = content[first : last + 1]
            stop = first + len(part)
            said = {'Accept-Ranges': 'bytes', 'ETag': f'"{zlib.crc32(content)}"'}
            if found:
                said['Content-Range'] = f'bytes {first}-{stop - 1}/{len(content)}'
            self._say(206 if found else 200, said, part, with_body)

    def _say(
        self, status: int, headers: dict[str, str], body: bytes, with_body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serve_signed(folder: Path) -> Generator[str]:
    """Serve a folder; gives the start of its addresses.

    Another process serves: GDAL opens a file while it holds Python's lock.
    """
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f'http://127.0.0.1:{server.stdout.readline().strip()}'
        finally:
            server.kill()


if __name__ == '__main__':
    _Handler.root = Path(sys.argv[1])
    with ThreadingHTTPServer(('127.0.0.1', 0), _Handler) as served:
        print(served.server_address[1], flush=True)
        served.serve_forever()
