"""Checkpoints that name what their reader shall import and call."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import DATA

#: A real checkpoint, of two bands of Sentinel-1 and four of Sentinel-2.
REAL = DATA / 'b0abc9c' / 'patches.ckpt'

#: A module that leaves a trace when it is imported, and when it is called.
_MODULE = """
from pathlib import Path
canary = Path({canary!r})
canary.touch()
def call(*args, **kwargs):
    canary.touch()
class Task:
    __init__ = call
"""


class Trap:
    """A folder with a module that nobody shall import, and a command to touch a file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work in the folder, as a user does who has fetched something."""
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        self.canary = folder / 'canary'
        (folder / 'hostile_module.py').write_text(
            _MODULE.format(canary=str(self.canary))
        )
        command = f'touch {self.canary}'
        self.call = _spec('os.system', command=command)
        self.popen = _spec('subprocess.Popen', args=['touch', str(self.canary)])
        self.imported = _spec('hostile_module.call')
        lambdas = 'torch.optim.lr_scheduler.LambdaLR'
        self.nested = _spec(lambdas, lr_lambda='hostile_module.call')

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """What is changed in the arguments of a checkpoint, by what it tries."""
        makers = ('optimizer', 'lr_scheduler')
        specs = {'call': self.call, 'popen': self.popen, 'import': self.imported}
        return {
            **{f'{m} {n}': {m: spec} for m in makers for n, spec in specs.items()},
            'optimizer as text': {'optimizer': 'hostile_module.call'},
            'schedule of a function': {'lr_scheduler': self.nested},
            'task': {'_class_path': 'hostile_module.Task'},
            'function for a task': {'_class_path': 'os.system'},
            'weights': {'weights': self.call},
            'loss': {'loss': self.imported},
            'bands': {'bands': self.call},
            'member': {'ensemble': [self.call]},
            'unknown argument': {'transforms': self.call},
            'instantiator': {'_instantiator': 'hostile_module.call'},
        }

    def write(self, path: Path, change: dict[str, Any]) -> Path:
        """Write the real checkpoint with changed arguments."""
        checkpoint = torch.load(REAL, weights_only=True)
        checkpoint['hyper_parameters'] |= change
        torch.save(checkpoint, path)
        return path


def _spec(path: str, **arguments: Any) -> dict[str, Any]:
    return {'class_path': path, 'init_args': arguments}
