"""Files of tensors in the format of safetensors, which many programs read.

https://huggingface.co/docs/safetensors: the length of the header, the header as JSON,
the tensors. They are written one by one, and read by their places.
"""

import json
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from ..run_record import FileStamp

#: Types by their names in the format.
TYPES = {
    'U8': 'uint8',
    'I8': 'int8',
    'U16': 'uint16',
    'I16': 'int16',
    'U32': 'uint32',
    'I32': 'int32',
    'U64': 'uint64',
    'I64': 'int64',
    'F16': 'float16',
    'F32': 'float32',
    'F64': 'float64',
}
_NAMES = {name: code for code, name in TYPES.items()}

#: Tensors begin here within a page: copies from a page's very beginning into memory
#: that begins a page too, as large arrays do, are several times slower.
_PHASE, _PAGE = 64, 4096

#: Bytes of a header's entry beside the tensor's name, at most.
_ENTRY = 112

_LENGTH = struct.Struct('<Q')


class TensorEntry(NamedTuple):
    """An entry of a header.

    Attributes:
        dtype: Type of the tensor.
        shape: Its shape.
        start: Where it begins in the file, in bytes.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        """Size of the tensor in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class TensorWriter:
    """Writes tensors one after the other; the header comes last, into a gap."""

    def __init__(self, path: Path, names: Sequence[str], page: int = _PAGE) -> None:
        """Begin a file.

        Args:
            path: File to write.
            names: Names of the tensors that will be added, in order.
            page: Tensors begin 64 bytes behind a multiple of this.
        """
        self._names = iter(names)
        room = _LENGTH.size + _ENTRY + sum(len(_quote(n)) + _ENTRY for n in names)
        self.start = room + (_PHASE - room) % page
        self.position = self.start
        self._header: dict[str, Any] = {}
        self._file: BinaryIO = path.open('wb')
        self._file.seek(self.start)

    def __enter__(self) -> Self:
        """Write in a ``with`` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file, whatever happened."""
        self._file.close()

    def add(self, dtype: np.dtype, shape: Sequence[int], parts: Sequence[Any]) -> int:
        """Write the next tensor.

        Args:
            dtype: Its type.
            shape: Its shape.
            parts: Its bytes, in pieces.

        Returns:
            Where it begins in the file.
        """
        begin = self.position
        for part in parts:
            self.position += self._file.write(part)
        self._header[next(self._names)] = {
            'dtype': _NAMES[dtype.name],
            'shape': list(shape),
            'data_offsets': [begin - self.start, self.position - self.start],
        }
        return begin

    def finish(self, about: dict[str, str]) -> None:
        """Write the header.

        Args:
            about: What to say of the file.
        """
        entries = [f'{_quote(k)}:{_compact(v)}' for k, v in self._header.items()]
        text = (
            f'{{"__metadata__":{_compact(about)}{"".join("," + e for e in entries)}}}'
        )
        header = text.encode().ljust(self.start - _LENGTH.size)
        assert len(header) + _LENGTH.size == self.start  # it fits into the gap
        self._file.seek(0)
        self._file.write(_LENGTH.pack(len(header)) + header)


def _quote(name: str) -> str:
    # Names that are no Unicode exist on disks, but not in JSON.
    return json.dumps(name.encode('utf-8', 'backslashreplace').decode())


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(',', ':'))


def read_entries(file: BinaryIO) -> dict[str, TensorEntry]:
    """Read the header of a file.

    Args:
        file: The file, at its beginning.

    Returns:
        Entries by name, all of which lie within the file.

    Raises:
        ValueError: If there is no such header.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        start = _LENGTH.size + length
        if start > size:
            raise ValueError(f'a header of {length} bytes')
        header = json.loads(file.read(length))
        header.pop('__metadata__', None)
        entries = {name: _entry(value, start) for name, value in header.items()}
    except (struct.error, LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError('no header of tensors') from None
    if any(entry.start + entry.nbytes > size for entry in entries.values()):
        raise ValueError('tensors beyond its end')
    return entries


def _entry(value: dict[str, Any], start: int) -> TensorEntry:
    shape, offset = tuple(value['shape']), value['data_offsets'][0]
    if any(type(number) is not int or number < 0 for number in (*shape, offset)):
        raise ValueError('no header of tensors')
    return TensorEntry(np.dtype(TYPES[value['dtype']]), shape, start + offset)


def find_fault(path: Path, stamp: FileStamp) -> str | None:
    """Compare a file with what was written.

    Args:
        path: The file.
        stamp: Its size and checksum.

    Returns:
        What is wrong with it, None if nothing is.
    """
    try:
        size = path.stat().st_size
        if size != stamp.size:
            return f'{size} bytes, not {stamp.size}'
        return None if FileStamp.of(path) == stamp else 'wrong checksum'
    except OSError as error:
        return error.strerror or str(error)
