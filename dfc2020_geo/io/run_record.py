"""The record of a run beside its outputs: settings, finished files, one writer.

Class maps, maps of scenes and packs are all resumed by it. In the directory of a run lie

* ``run.json``: the format version, the settings that decide the outputs, the names of
  the outputs, the size and checksum of each finished file, and whether all are there;
* ``run.files-*.jsonl``, one of each process while they write: a line for each file that
  is finished, until the next start or the end moves them into ``run.json``;
* ``run.lock``, while a process writes.
"""

import errno
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import xxhash
from filelock import FileLock, Timeout

from .atomic import UNFINISHED, write_json

#: Name of the record in a directory of outputs.
RECORD_NAME = 'run.json'

#: Of the record. The first had neither a version nor sizes of the outputs.
VERSION = 2

#: Name of the lock, while a process writes.
LOCK_NAME = 'run.lock'
_FILES = 'run.files-'

#: Differing settings that a message names; bands can be files of their own.
_MAX_NAMED = 4

#: In place of a setting that one of two runs does not have.
_ABSENT = object()

#: What file systems answer that have no locks, such as NFS without its lock manager.
_LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)

_CHUNK = 1 << 20

logger = logging.getLogger(__name__)


class FileStamp(NamedTuple):
    """Size in bytes and checksum (XXH3, 64 bits, hexadecimal) of a whole file."""

    size: int
    xxh3: str

    @classmethod
    def of(cls, path: Path | str) -> Self:
        """Read a file.

        Args:
            path: The file.

        Returns:
            Its size and checksum.

        Raises:
            OSError: If it cannot be read.
        """
        digest, size = xxhash.xxh3_64(), 0
        with open(path, 'rb', buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return cls(size, digest.hexdigest())


class FinishedFile(NamedTuple):
    """A finished file of a run.

    Attributes:
        stamp: Its size and checksum.
        content: What its writer has noted of it, plain values.
    """

    stamp: FileStamp
    content: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values.

        Returns:
            Size, checksum and the like, by name.
        """
        content = {} if self.content is None else {'content': self.content}
        return {**self.stamp._asdict(), **content}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Make it from the values of :meth:`to_json`.

        Args:
            values: Plain values.

        Returns:
            The finished file.

        Raises:
            KeyError: If one is missing.
            TypeError: If one is no number.
            ValueError: If one is no number.
        """
        stamp = FileStamp(int(values['size']), str(values['xxh3']))
        return cls(stamp, values.get('content'))


class PreviousRun(NamedTuple):
    """What the record in a directory says.

    Attributes:
        version: Of the record's format.
        settings: Plain values that decided the outputs.
        outputs: Names of the outputs.
        files: The finished files that are moved into it, by name.
        finished: Whether all outputs were there at the end.
    """

    version: int
    settings: dict[str, Any]
    outputs: list[str]
    files: dict[str, FinishedFile]
    finished: bool


class RunRecord:
    """The record of a run in the directory of its outputs.

    One process, which holds :meth:`lock`, begins and finishes it; any number of
    processes note the files that they have finished.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     record = RunRecord(directory, {'weights': 'ab12'}, ['a.tif', 'b.tif'])
    ...     record.lock()
    ...     record.begin()
    ...     _ = (record.directory / 'a.tif').write_bytes(b'map')
    ...     record.note('a.tif')
    ...     again = RunRecord(directory, {'weights': 'ab12'}, ['a.tif', 'b.tif'])
    ...     print(again.is_resumable(), [*again.whole_files()], again.finish())
    ...     record.unlock()
    True ['a.tif'] 1
    """

    def __init__(
        self,
        directory: Path | str,
        settings: Mapping[str, Any],
        outputs: Sequence[str] = (),
    ) -> None:
        """Initialize a new RunRecord instance, without changing anything on the disk.

        Args:
            directory: Where the record lies, and the files that are noted.
            settings: Plain values that decide the outputs.
            outputs: Names of the outputs in *directory*, as far as they are known.

        Raises:
            ValueError: If *settings* hold a number that JSON does not have.
        """
        self.directory = Path(directory)
        self.settings = json.loads(json.dumps(settings, allow_nan=False))
        self.outputs = list(outputs)
        #: What checks have found, as plain values; it decides no output.
        self.findings: list[Any] = []
        self._lock: FileLock | None = None
        self._noted_in: tuple[int, Path] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock with the process that holds it."""
        return vars(self) | {'_lock': None, '_noted_in': None}

    @property
    def path(self) -> Path:
        """Where the record is."""
        return self.directory / RECORD_NAME

    def lock(self) -> None:
        """Keep other processes from writing here, until :meth:`unlock`.

        A process that is killed loses its lock.

        Raises:
            FileExistsError: If another process is writing.
            OSError: If nothing can be written here.
        """
        if self._lock is not None:
            return
        lock = FileLock(self.directory / LOCK_NAME, thread_local=False, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise FileExistsError(
                f'{self.directory} is being written by another process; wait for it, '
                'or choose another --out.'
            ) from None
        except OSError as error:
            if error.errno not in _LOCKLESS:
                raise
            logger.warning(
                '%s cannot be locked (%s): start no second run that writes there.',
                self.directory, error.strerror,
            )  # fmt: skip
            return
        self._lock = lock

    def unlock(self) -> None:
        """Let other processes write here; nothing happens without a lock."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        # While it is held: nobody else can have locked the file that goes. Windows
        # removes no open file.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()
        if os.name == 'nt':
            with suppress(OSError):
                os.unlink(lock.lock_file)

    def find(self) -> PreviousRun | None:
        """Read the record that is here.

        Returns:
            What it says; None if there is none.

        Raises:
            OSError: If it cannot be read.
            RuntimeError: If a later version of this package wrote it.
            ValueError: If it is damaged, or something else.
        """
        try:
            record = json.loads(self.path.read_text(encoding='utf-8'))
            version = record.get('version', 1)
            if version > VERSION:
                raise RuntimeError(
                    f'Expected a record of version {VERSION} or older, got {version} in '
                    f'{self.path}; update dfc2020-geo, or choose another --out.'
                )
            settings, finished = dict(record['settings']), bool(record['finished'])
            outputs = [Path(name).name for name in record['outputs']]
            noted = record.get('files', {}).items()
            files = {name: FinishedFile.from_json(note) for name, note in noted}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'Expected the record of a run, got something else in {self.path}; '
                'remove it, or choose another --out.'
            ) from error
        return PreviousRun(version, settings, outputs, files, finished)

    def is_resumable(self) -> bool:
        """Tell whether an unfinished run of the same settings is here.

        Returns:
            True if there is one.

        Raises:
            OSError: If its record cannot be read.
            RuntimeError: If a later version of this package wrote it.
            ValueError: If it is damaged.
        """
        found = self.find()
        return (
            found is not None
            and not found.finished
            and found.version == VERSION
            and found.settings == self.settings
        )

    def describe_found(self) -> str:
        """Say for a message what is here, where it cannot be resumed.

        Returns:
            Words such as ``the outputs of a run with other weights ("ab", now "cd")``.
        """
        found = self.find()
        if found is None:
            return 'files of the same names'
        if differing := list(_compare(found.settings, self.settings)):
            more = len(differing) - _MAX_NAMED
            named = differing[:_MAX_NAMED] + ([f'{more} more'] if more > 0 else [])
            return f'the outputs of a run with other {" and ".join(named)}'
        if found.finished:
            return 'the outputs of the same run, finished'
        return 'unfinished outputs of an earlier version of dfc2020-geo'

    def find_pending(self, overwrite: bool = False) -> list[str]:
        """Find out which outputs are still to be written, without changing anything.

        Args:
            overwrite: Whether outputs of a finished run or of other settings may go.

        Returns:
            The outputs that are not there whole; all of them, if those there will go.

        Raises:
            FileExistsError: If outputs are there that another or a finished run wrote.
            OSError: If the record cannot be read.
            RuntimeError: If a later version of this package wrote it.
            ValueError: If it is damaged.
        """
        if self.is_resumable():
            whole = self.whole_files()
            return [name for name in self.outputs if name not in whole]
        if not overwrite and any(map(self._has, self._known_outputs())):
            raise FileExistsError(
                f'Expected an empty output directory, got {self.directory} with '
                f'{self.describe_found()}; choose another output_dir or set overwrite.'
            )
        return list(self.outputs)

    def begin(self) -> None:
        """Begin a run, or resume it; outputs of another or a finished run are removed.

        Raises:
            OSError: If nothing can be written here.
        """
        noted = self.noted_files() if self.is_resumable() else None
        for name in self.outputs:
            (self.directory / f'{name}{UNFINISHED}').unlink(missing_ok=True)
        if noted is None:
            # What is noted counts for the record that is here, so it goes before that.
            _remove(self._find_lists())
            _remove(self.directory / name for name in self._known_outputs())
        self._write(noted or {}, finished=False)

    def note(
        self, name: str, content: Any = None, stamp: FileStamp | None = None
    ) -> None:
        """Note that a file is finished, after it got its name.

        Args:
            name: Its path below the directory, with ``/``.
            content: Plain values that its writer wants to know when the run is resumed.
            stamp: Its size and checksum, where they are known; else it is read.

        Raises:
            OSError: If the file cannot be read or nothing can be written here.
        """
        stamp = FileStamp.of(self.directory / name) if stamp is None else stamp
        note = {'name': name, **FinishedFile(stamp, content).to_json()}
        if self._noted_in is None or self._noted_in[0] != os.getpid():
            list_name = f'{_FILES}{uuid.uuid4().hex[:12]}.jsonl'
            self._noted_in = (os.getpid(), self.directory / list_name)
        with open(self._noted_in[1], 'ab') as file:
            # The first line break ends what a full disk may have cut.
            file.write(f'\n{json.dumps(note, allow_nan=False)}\n'.encode())

    def noted_files(self) -> dict[str, FinishedFile]:
        """Return the files that any process has noted, by name.

        Whether they are still what they were, :meth:`whole_files` tells.

        Returns:
            Finished files by name.
        """
        found = self.find()
        noted = dict(found.files) if found else {}
        for path in self._find_lists():
            for line in path.read_bytes().splitlines():
                # A process was killed, or the disk was full, in the middle of a line.
                with suppress(ValueError, KeyError, TypeError):
                    note = json.loads(line)
                    noted[str(note.pop('name'))] = FinishedFile.from_json(note)
        return noted

    def whole_files(self) -> dict[str, FinishedFile]:
        """Return the noted files that have still their size and checksum, by name.

        Returns:
            Finished files by name.
        """
        return {
            name: file
            for name, file in self.noted_files().items()
            if _is_whole(self.directory / name, file)
        }

    def finish(self) -> int:
        """Note that the run came to its end, if all of its outputs are there.

        Returns:
            The number of outputs that are missing.

        Raises:
            OSError: If nothing can be written here.
        """
        noted = self.noted_files()
        missing = sum(
            name not in noted or not _has_size(self.directory / name, noted[name])
            for name in self.outputs
        )
        self._write(noted, finished=not missing)
        return missing

    def remove(self) -> None:
        """Remove the record, and let others write here; the last file to go."""
        _remove(self._find_lists())
        self.path.unlink(missing_ok=True)
        self.unlock()

    def _write(self, files: Mapping[str, FinishedFile], finished: bool) -> None:
        """Write the record, with all that is noted."""
        lists, self._noted_in = self._find_lists(), None
        write_json(self.path, self.describe(files, finished))
        _remove(lists)

    def describe(
        self, files: Mapping[str, FinishedFile], finished: bool
    ) -> dict[str, Any]:
        """Return the record as plain values.

        Args:
            files: The finished files, by name.
            finished: Whether all outputs are there.

        Returns:
            What ``run.json`` holds.
        """
        return {
            'format': 'dfc2020-geo run',
            'version': VERSION,
            'finished': finished,
            'settings': self.settings,
            'outputs': self.outputs,
            'files': {name: file.to_json() for name, file in files.items()},
        } | ({'findings': self.findings} if self.findings else {})

    def _known_outputs(self) -> set[str]:
        """The names of this run's outputs and of those that are recorded here."""
        found = self.find()
        return {*self.outputs, *(found.outputs if found else ())}

    def _has(self, name: str) -> bool:
        return (self.directory / name).exists()

    def _find_lists(self) -> list[Path]:
        return sorted(self.directory.glob(f'{_FILES}*.jsonl'))


def record_findings(
    directory: Path | str, stage: str, findings: Mapping[str, Any]
) -> None:
    """Note what the checks of a stage have found, in a directory of logs.

    Args:
        directory: The directory; a record that is there is kept.
        stage: The stage, whose findings of before are replaced.
        findings: Plain values.

    Raises:
        OSError: If nothing can be written here.
    """
    record = RunRecord(directory, {})
    try:
        kept = json.loads(record.path.read_text(encoding='utf-8'))
        checks = dict(kept.get('checks', {}))
    except (FileNotFoundError, ValueError, AttributeError):
        kept, checks = record.describe({}, True), {}
    record.directory.mkdir(parents=True, exist_ok=True)
    write_json(record.path, kept | {'checks': checks | {stage: findings}})


def is_own_file(name: str) -> bool:
    """Tell whether a name is that of a record, its lists or its lock.

    Args:
        name: Name of a file in the directory of a run.

    Returns:
        True if it is.
    """
    stem = name.removesuffix(UNFINISHED)
    return stem in (RECORD_NAME, LOCK_NAME) or stem.startswith(_FILES)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _has_size(path: Path, file: FinishedFile) -> bool:
    try:
        return path.stat().st_size == file.stamp.size
    except OSError:
        return False


def _is_whole(path: Path, file: FinishedFile) -> bool:
    try:
        return _has_size(path, file) and FileStamp.of(path) == file.stamp
    except OSError:
        return False


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Say of each setting that differs where it stands, what it was and what it is."""
    for name in {**before, **now}:
        old, new = before.get(name, _ABSENT), now.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f'{name} {inner}' for inner in _compare(old, new))
        elif old != new:
            yield f'{name} ({_shorten(old)}, now {_shorten(new)})'


def _shorten(value: Any) -> str:
    text = 'none' if value is _ABSENT else json.dumps(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
