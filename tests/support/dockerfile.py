"""A Dockerfile's steps, run in a folder: no container, no network, nothing installed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

#: Folders of the image that steps name; elsewhere a step must not write.
FOLDERS = ('/home/user', '/requirements', '/source', '/wheels', '/workspace')


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile, such as ``COPY --from=a /b /c``."""

    name: str
    flags: tuple[str, ...]
    text: str

    def values(self, flag: str) -> list[str]:
        """Return the values of a flag, each time it is given."""
        return [f.partition('=')[2] for f in self.flags if f.startswith(f'--{flag}=')]


def read_steps(text: str) -> list[Step]:
    """Read the instructions of a Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
    joined = '\n'.join(lines).replace('\\\n', '')
    steps = []
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        name, _, rest = line.partition(' ')
        flags = []
        while found := re.match(r'(--[a-z]+=\S+)\s+', rest):
            flags.append(found[1])
            rest = rest[found.end() :]
        steps.append(Step(name, tuple(flags), rest))
    return steps


def copy_context(root: Path, destination: Path) -> None:
    """Copy what a ``.dockerignore`` of the form "all but" leaves of a clone."""
    lines = (root / '.dockerignore').read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith('#')]
    assert rules[0] == '*', 'Expected everything to be left out first'
    kept = [rule[1:] for rule in rules if rule.startswith('!')]
    dropped = [rule.removeprefix('**/') for rule in rules[1:] if rule[0] != '!']

    def ignore(_: str, names: list[str]) -> list[str]:
        return [n for n in names if any(fnmatch(n, pattern) for pattern in dropped)]

    for name in kept:
        _copy(root / name, destination / name, ignore)


def _copy(source: Path, destination: Path, ignore: Callable | None = None) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination, ignore=ignore, dirs_exist_ok=True)
    else:
        shutil.copy(source, destination)


class Build:
    """A build whose stages are folders; pip takes what this Python has installed."""

    def __init__(self, context: Path, folder: Path) -> None:
        """Start a build in an empty *folder*."""
        self.context, self.folder = context, folder
        self.stages: list[str] = []
        self.root = self.cwd = folder

    def take(self, step: Step, **environment: str) -> str:
        """Take a step, and return what it printed.

        Steps that only describe the image have nothing to run.
        """
        run = {'FROM': self._from, 'COPY': self._copy_in, 'WORKDIR': self._workdir}
        if step.name == 'RUN':
            return self._run(step, environment)
        if step.name in run:
            run[step.name](step)
        return ''

    def path(self, text: str, stage: str | None = None) -> str:
        """Put the folders of the image that *text* names into those of a stage."""
        root = self.root if stage is None else self.folder / stage
        pattern = rf'(?<![\w.])({"|".join(FOLDERS)})\b'
        return re.sub(pattern, lambda found: f'{root}{found[1]}', text)

    def _from(self, step: Step) -> None:
        _, _, name = step.text.partition(' AS ')
        self.stages.append(name or 'image')
        self.root = self.cwd = self.folder / self.stages[-1]
        self.root.mkdir()

    def _workdir(self, step: Step) -> None:
        self.cwd = Path(self.path(step.text))
        self.cwd.mkdir(parents=True, exist_ok=True)

    def _copy_in(self, step: Step) -> None:
        *sources, target = step.text.split()
        for source in sources:
            stage = next(iter(step.values('from')), None)
            found = Path(self.path(source, stage)) if stage else self.context / source
            place = self.cwd / self.path(target)
            _copy(found, place / found.name if target.endswith('/') else place)

    def _run(self, step: Step, environment: dict[str, str]) -> str:
        for mount in step.values('mount'):
            options = dict(option.split('=') for option in mount.split(','))
            if options['type'] == 'bind':
                source = self.path(options['source'], options['from'])
                _copy(Path(source), Path(self.path(options['target'])))
        answer = subprocess.run(
            ['sh', '-ec', self.path(step.text)],
            cwd=self.cwd,
            env=run_environment(PIP_NO_INDEX='1', **environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, f'{step}\n{answer.stdout}\n{answer.stderr}'
        return answer.stdout


def run_environment(**more: str) -> dict[str, str]:
    """Return an environment in which the commands of this Python come first."""
    path = f'{Path(sys.executable).parent}:{os.environ.get("PATH", os.defpath)}'
    return os.environ | {'PATH': path, 'PIP_DISABLE_PIP_VERSION_CHECK': '1'} | more
