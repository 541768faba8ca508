"""Run a program while names that Windows lacks are hidden from the package."""

import builtins
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

#: Modules that do not exist on Windows.
MODULES = ('fcntl', 'grp', 'posix', 'pwd', 'resource', 'termios')
#: What modules lack there.
NAMES = {
    'os': {
        'O_CLOEXEC', 'O_DIRECTORY', 'O_NOFOLLOW', 'O_NONBLOCK', 'RWF_NOWAIT', 'fchmod',
        'fork', 'forkpty', 'getegid', 'geteuid', 'getgid', 'getloadavg', 'getpgid',
        'getuid', 'killpg', 'mkfifo', 'posix_fadvise', 'posix_fallocate', 'pread',
        'preadv', 'pwrite', 'pwritev', 'register_at_fork', 'sched_getaffinity', 'setsid',
        'statvfs', 'sysconf', 'uname',
    },
    'signal': {'SIGALRM', 'SIGHUP', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'setitimer'},
    'mmap': {'MAP_PRIVATE', 'MAP_SHARED', 'MADV_DONTNEED', 'PROT_READ', 'PROT_WRITE'},
}  # fmt: skip

_PACKAGE = 'dfc2020_geo'


class _Hidden(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, module: types.ModuleType, names: set[str]) -> None:
        super().__init__(module.__name__)
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            raise AttributeError(f'hidden: {self._module.__name__}.{name}')
        return getattr(self._module, name)


def hide_posix() -> None:
    """Hide what Windows lacks from all modules of the package that are not loaded yet."""
    loaded = [name for name in sys.modules if name.split('.')[0] == _PACKAGE]
    assert not loaded, loaded
    plain = builtins.__import__

    def load(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        owner = str((globals or {}).get('__name__', ''))
        if owner.split('.')[0] != _PACKAGE or level:
            return plain(name, globals, locals, fromlist, level)
        if name in MODULES:
            raise ImportError(f'hidden: {name}')
        module = plain(name, globals, locals, fromlist, level)
        hidden = NAMES.get(name)
        return module if hidden is None else _Hidden(module, hidden)

    builtins.__import__ = load
