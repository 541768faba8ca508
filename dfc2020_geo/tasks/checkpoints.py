"""Checkpoints of a task: arguments and weights, and files that are whole or absent."""

import copy
import inspect
import io
import os
import zipfile
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from ..io.atomic import replacing
from ..models.contract import (
    CONTRACT_KEY,
    FORMAT,
    check_format,
    check_weights,
    find_conflict,
    is_whole,
    public_path,
    read_checkpoint,
    versions,
)
from .acceleration import SWITCHES
from .optimizers import check_state, describe_schedule
from .trust import MAKERS, check_arguments, find_imported, find_task, import_trusted


def record_task(task: Any, checkpoint: dict[str, Any]) -> None:
    """Keep of a task what a checkpoint may hold: plain arguments, and its facts.

    Both LightningCLI and torchgeo's hand each saved hyperparameter to the constructor
    and read the checkpoint with ``weights_only``.

    Args:
        task: A :class:`~dfc2020_geo.tasks.LandCoverSegmentation`.
        checkpoint: What Lightning is about to save; changed in place.
    """
    known = inspect.signature(type(task)).parameters
    kept = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in checkpoint['hyper_parameters'].items()
        if name == '_instantiator'
        or (name in known and name not in SWITCHES and not callable(value))
    }
    # The trained weights are here: loading them shall not fetch the initial ones.
    kept |= {'weights': None, '_class_path': public_path(type(task))}
    checkpoint['hyper_parameters'].clear()
    checkpoint['hyper_parameters'].update(kept)
    # The last scores of the names that schedulers watch.
    scores = {}
    if task._trainer is not None:
        logged = task._trainer.callback_metrics
        watched = {config.monitor for config in task._trainer.lr_scheduler_configs}
        scores = {str(n): float(logged[n]) for n in watched if n in logged}
    checkpoint[CONTRACT_KEY] = task.contract | {
        'format': FORMAT,
        'versions': versions(),
        'resume': _resume_facts(task),
        'scores': scores,
    }


def check_task(
    task: Any, checkpoint: Mapping[str, Any]
) -> tuple[dict[str, float], bool]:
    """Refuse the weights of another network, and another optimiser for resuming.

    Args:
        task: A :class:`~dfc2020_geo.tasks.LandCoverSegmentation`.
        checkpoint: What Lightning has read.

    Returns:
        If training is resumed, its last scores of the names that schedulers watch, and
        whether those have yet to look at them; else nothing and False.

    Raises:
        ValueError: If a fact, a weight, or, in training, an option of the optimiser or
            its schedule is another than the task's; or if a newer version of this
            package wrote the checkpoint.
    """
    theirs = dict(checkpoint.get(CONTRACT_KEY, {}))
    check_format(theirs)
    resume, scores = theirs.pop('resume', {}), theirs.pop('scores', {})
    if conflict := find_conflict(task.contract, theirs):
        name, value, other = conflict
        raise ValueError(
            f'Expected {name}={other} as in the checkpoint, got {value}; '
            'leave it out, or train another network.'
        )
    if 'state_dict' in checkpoint:
        check_weights(checkpoint['state_dict'], task.state_dict())
    if task._trainer is None or task._trainer.state.fn != TrainerFn.FITTING:
        return {}, False
    if conflict := find_conflict(_resume_facts(task), resume):
        name, value, other = conflict
        raise ValueError(
            f'Expected {name}={other} as in the checkpoint, got {value}: resuming '
            'restores the optimiser and its schedule; leave the change out to go '
            'on, or train anew without --ckpt_path.'
        )
    try:
        check_state(task.configure_optimizers(), checkpoint)
        # Most are of the end of an epoch: before schedulers look at its scores.
        loop = checkpoint['loops']['fit_loop']
        epochs = loop['epoch_progress']['current']
        is_over = loop['epoch_loop.batch_progress']['is_last_batch']
        return scores, is_over and epochs['processed'] > epochs['completed']
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            'Expected a checkpoint with the state of a training to resume, got one '
            f'without or with another one ({" ".join(str(error).split())}); take '
            'another checkpoint, or train anew without --ckpt_path.'
        ) from error


def _resume_facts(task: Any) -> dict[str, Any]:
    frozen = ('freeze_backbone', 'freeze_decoder')
    plan = describe_schedule(task.configure_optimizers())
    return {name: task.hparams[name] for name in frozen} | plan


def restore_task[Task: LightningModule](
    cls: type[Task],
    checkpoint: dict[str, Any],
    path: Path | str,
    trusted: Collection[str] = (),
    **others: Any,
) -> Task:
    """Build the task of a checkpoint, with its weights; nothing in the file is run.

    Args:
        cls: The task; a subclass of it that the checkpoint names counts before.
        checkpoint: From :func:`~dfc2020_geo.models.contract.read_checkpoint`.
        path: The file, for messages.
        trusted: Dotted names of classes that it may have imported and called.
        others: Arguments that differ from those in the checkpoint.

    Returns:
        The task, on the CPU.

    Raises:
        ValueError: If the checkpoint names something to import or call, or its weights
            or facts are others.
    """
    saved = dict(checkpoint['hyper_parameters'])
    cls = find_task(saved, cls, trusted)
    known = inspect.signature(cls).parameters
    arguments = {name: saved[name] for name in known if name in saved} | others
    check_arguments(
        {k: v for k, v in arguments.items() if k not in others}, cls, trusted
    )
    specs = {n: arguments[n] for n in MAKERS if isinstance(arguments.get(n), dict)}
    task = cls(**arguments | {n: _factory(v, trusted) for n, v in specs.items()})
    # As the parser gave them, for the next checkpoint.
    task.hparams.update(specs)
    try:
        task.on_load_checkpoint(checkpoint)
    except ValueError as error:
        raise ValueError(f'{error} (This is {path}.)') from error
    task.load_state_dict(checkpoint['state_dict'])
    return task


def _factory(spec: Mapping[str, Any], trusted: Collection[str]) -> Any:
    """Make the factory of an optimiser or a schedule that was checked."""
    path, options = spec['class_path'], spec.get('init_args') or {}
    found = import_trusted(path) if path in trusted else find_imported(path)
    defaults = inspect.signature(found).parameters
    # YAML has lists alone.
    options = {
        key: tuple(value) if _is_tuple(defaults.get(key), value) else value
        for key, value in options.items()
    }
    return partial(found, **options)


def _is_tuple(parameter: inspect.Parameter | None, value: Any) -> bool:
    default = parameter and parameter.default
    return isinstance(value, list) and isinstance(default, tuple)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, each there when it is whole and not before.

    A checkpoint is written beside its place, synchronised with the disk, looked over
    and renamed; the one before it stays until then, through kills and full disks.
    Lightning writes to the system's folder for temporary files first, which costs that
    where the folder lies on another file system. ``dfc2020-geo fit`` always uses it; in
    Python ``Trainer(plugins=[AtomicCheckpointIO()])`` does. Files at URLs are left to
    Lightning.
    """

    def __init__(self) -> None:
        """Initialize a new AtomicCheckpointIO instance."""
        self._read: dict[str, dict[str, Any]] = {}

    def read(self, path: Path | str) -> dict[str, Any]:
        """Read a checkpoint for its settings, and keep it until it is loaded.

        Args:
            path: File of a task of this package.

        Returns:
            The checkpoint, as
            :func:`~dfc2020_geo.models.contract.read_checkpoint` returns it.
        """
        self._read[str(path)] = checkpoint = read_checkpoint(path)
        return checkpoint

    def load_checkpoint(
        self, path: Path | str, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Load a checkpoint, from disk unless it was read for its settings.

        Args:
            path: The file.
            args: As Lightning has them.
            kwargs: As Lightning has them.

        Returns:
            The checkpoint.
        """
        checkpoint = self._read.pop(str(path), None)
        if checkpoint is None:
            return super().load_checkpoint(path, *args, **kwargs)
        # Weights are copied into the network; what else is kept leaves the file.
        return {
            name: value if name == 'state_dict' else copy.deepcopy(value)
            for name, value in checkpoint.items()
        }

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Save a checkpoint, whole or not at all.

        Args:
            checkpoint: Values and tensors by name.
            path: Where the file shall be; an older one is replaced.
            storage_options: None; Lightning refuses others.

        Raises:
            OSError: If the disk is full or the file cannot be written.
        """
        files, place = url_to_fs(str(path))
        if not isinstance(files, LocalFileSystem) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with replacing(place) as unfinished:
                unfinished.write_bytes(content.getbuffer())
                _check_whole(unfinished, content.getbuffer().nbytes)
        except OSError as error:
            # Of a full disk, what the system said.
            reason = getattr(error.__cause__ or error, 'strerror', None) or error
            raise OSError(
                f'Expected to write the checkpoint {place}, got {reason}; those before '
                'it are whole: make room, and resume with --ckpt_path last.'
            ) from error


def _check_whole(path: Path, size: int) -> None:
    """Refuse a file whose size or directory is not that of what was written."""
    try:
        with zipfile.ZipFile(path):
            is_whole = path.stat().st_size == size
    except zipfile.BadZipFile:
        is_whole = False
    if not is_whole:
        raise OSError(f'another file than was written: {path}')


def find_newest(trainer: Trainer) -> str | None:
    """Find the newest whole checkpoint of a run that is about to be resumed.

    Args:
        trainer: A trainer before its first step, with the checkpoint callbacks and
            loggers of the run.

    Returns:
        The path, from the folders that the callbacks write to or those of earlier
        versions of the run; None if there is none, as before the first run.
    """
    found: set[Path] = set()
    for callback in vars(trainer)['callbacks']:
        if isinstance(callback, ModelCheckpoint):
            # Lightning's own search for `last` takes what it finds, whole or not.
            resolve = vars(ModelCheckpoint)['_ModelCheckpoint__resolve_ckpt_dir']
            folder = Path(resolve(callback, trainer))
            version, name = folder.parent, folder.name
            is_version = version.name.startswith('version_')
            folders = version.parent.glob(f'version_*/{name}') if is_version else ()
            for place in (folder, *folders):
                found |= {*place.glob(f'*{callback.FILE_EXTENSION}')}
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if is_whole(path):
            rank_zero_info(f'Resuming from {path}, the newest whole checkpoint')
            return str(path)
        rank_zero_info(f'Left out {path}: it is damaged or incomplete.')
    rank_zero_info('Expected a checkpoint to resume from, got none yet: training anew.')
    return None
