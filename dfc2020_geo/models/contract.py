"""The contract of a checkpoint: facts that decide the shape or meaning of a network.

The datamodule, the task and a checkpoint each state such facts; two statements of the
same fact must agree. In a checkpoint they stand under :data:`CONTRACT_KEY`, as plain
values, beside the checkpoint's format and the versions of the packages that wrote it.
"""

import errno
import hashlib
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from .. import __version__
from ..bands import VALUE_RANGE, Band, NanPolicy, band_names, select_bands
from ..classes import get_scheme

#: Where a checkpoint of this package keeps what it fixes.
CONTRACT_KEY = 'dfc2020_geo'

#: Facts that data and model share: bands, classes, and the treatment of NaN.
SHARED_FACTS = ('bands', 'scheme', 'nan')

#: Number of the format of checkpoints: what an older reader cannot read has a higher
#: one. Those without a number are read as 0, which had no more than the number less.
FORMAT = 1

#: What else a checkpoint and its contract hold, as far as they hold it.
_PARTS: dict[str, type] = {
    'callbacks': dict,
    'epoch': int,
    'global_step': int,
    'loops': dict,
    'lr_schedulers': list,
    'optimizer_states': list,
}
_FACTS: dict[str, type] = {'resume': dict, 'scores': dict, 'versions': dict}

#: What torch raises for files that are damaged or something else.
_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)

#: Tensors by name, as a state dict has them.
type Weights = Mapping[str, Tensor]


def data_contract(bands: Iterable[str | Band], scheme: str, nan: str) -> dict[str, Any]:
    """State what the input of a network is and what its output means.

    Args:
        bands: Names of bands or band sets.
        scheme: Name of the class scheme.
        nan: What NaN becomes in scaling.

    Returns:
        Plain values: the bands in channel order, the value ranges that scaling maps
        to 0 and 1, the classes in index order.

    Raises:
        ValueError: If a band, the scheme or *nan* is unknown.
    """
    policies = get_args(NanPolicy)
    if nan not in policies:
        raise ValueError(f"Expected nan to be one of {policies}, got '{nan}'.")
    sensors = sorted({band.sensor for band in select_bands(bands)})
    classes = get_scheme(scheme).classes
    return {
        'bands': list(band_names(bands)),
        'scheme': scheme,
        'nan': nan,
        'value_range': {sensor: list(VALUE_RANGE[sensor]) for sensor in sensors},
        'classes': [{'code': c.code, 'name': c.name} for c in classes],
    }


def versions() -> dict[str, str]:
    """Return the versions of this package and of those that it builds on.

    Returns:
        Versions by the name of the package, for checkpoints and tags.
    """
    others = ('torchgeo', 'torch', 'lightning', 'segmentation-models-pytorch')
    return {'dfc2020-geo': __version__} | {name: version(name) for name in others}


def public_path(cls: type) -> str:
    """Return the dotted path by which people name a class.

    Args:
        cls: A class.

    Returns:
        That of the package which exports it, else that of its module.
    """
    package = cls.__module__.rpartition('.')[0]
    is_exported = getattr(sys.modules.get(package), cls.__name__, None) is cls
    return f'{package if is_exported else cls.__module__}.{cls.__qualname__}'


def find_conflict(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Find the first fact that two contracts state differently.

    Args:
        one: Facts by name.
        other: Facts by name; those that only one of the two states do not matter.

    Returns:
        The fact's name and both values, or None if the two agree.
    """
    for name, value in one.items():
        if name in other and value != other[name]:
            return name, value, other[name]
    return None


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint of this package, plain values and tensors only.

    Args:
        path: File that a Lightning Trainer saved with a task of this package.

    Returns:
        The checkpoint; its tensors stay on disk until they are used.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the file cannot be read.
        ValueError: If the file is no such checkpoint, is damaged, or one of a newer
            format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a checkpoint, got no file at {path}.')
    expected = 'a Lightning checkpoint of plain values and tensors'
    checkpoint = load_plain(path, expected, mmap=True)
    if not is_whole(path):
        raise ValueError(
            f'Expected {expected}, got {path} whose checksums are not those of its '
            'parts; it is damaged: fetch it again, or take another one.'
        )
    is_dict = isinstance(checkpoint, dict)
    is_ours = is_dict and isinstance(checkpoint.get(CONTRACT_KEY), dict)
    if not is_ours:
        raise ValueError(
            f'Expected a checkpoint that names its bands and classes, got {path}; '
            'train it with dfc2020_geo.tasks.LandCoverSegmentation.'
        )
    try:
        check_format(checkpoint[CONTRACT_KEY])
    except ValueError as error:
        raise ValueError(f'{error} (This is {path}.)') from error
    parts = ('hyper_parameters', 'state_dict')
    if lacking := [k for k in parts if not isinstance(checkpoint.get(k), dict)]:
        raise ValueError(
            f'Expected a checkpoint with {" and ".join(parts)}, got {path} without '
            f'{" and ".join(lacking)}; save it with a Trainer.'
        )
    if wrong := _find_others(checkpoint, _PARTS):
        raise ValueError(
            f'Expected a checkpoint as a Trainer saves it, got {path} whose {wrong}; '
            'take another checkpoint.'
        )
    if not re.match(r'\d+\.\d', str(checkpoint.get('pytorch-lightning_version'))):
        raise ValueError(
            f'Expected a checkpoint with the version of Lightning that saved it, got '
            f'{path} without; save it with a Trainer.'
        )
    return checkpoint


def is_whole(path: Path | str) -> bool:
    """Say whether a checkpoint is complete, by the checksums of its parts.

    Args:
        path: File that torch saved; all of it is read.

    Returns:
        True if it is.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            # torch compresses nothing, so no part is larger than the file.
            types = {part.compress_type for part in parts.infolist()}
            return types <= {zipfile.ZIP_STORED} and parts.testzip() is None
    except (*_DAMAGED, OSError):
        return False


def load_plain(path: Path | str, expected: str, mmap: bool = False) -> Any:
    """Load plain values and tensors that torch saved; nothing in the file is run.

    Args:
        path: The file.
        expected: What it should be, for the message.
        mmap: Whether tensors stay on disk until they are used.

    Returns:
        Its content, on the CPU.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is damaged, or holds something else.
    """
    try:
        return torch.load(path, map_location='cpu', mmap=mmap, weights_only=True)
    except (*_DAMAGED, OSError) as error:
        # Of a file that ends early, the system says that it cannot be mapped.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise OSError(
                f'Expected to read {path}, got {error.strerror or error}; check the '
                'disk and the rights there.'
            ) from error
        raise ValueError(
            f'Expected {expected}, got {path}, which is damaged or something else; '
            'fetch it again, or take another one.'
        ) from error


def check_format(contract: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that a newer version of this package wrote.

    Args:
        contract: What stands under :data:`CONTRACT_KEY`.

    Raises:
        ValueError: If its format is newer than :data:`FORMAT`, or what it should hold
            by name is no dict.
    """
    if wrong := _find_others(contract, _FACTS):
        raise ValueError(
            f'Expected the contract of a checkpoint, got one whose {wrong}; take another '
            'checkpoint.'
        )
    found = contract.get('format', 0)
    if not isinstance(found, int) or not 0 <= found <= FORMAT:
        writer = contract.get('versions', {}).get('dfc2020-geo', 'another version')
        raise ValueError(
            f'Expected a checkpoint of format {FORMAT} or older, got format {found!r}, '
            f'written by dfc2020-geo {writer}; this is {__version__}: update it.'
        )


def _find_others(found: Mapping[str, Any], kinds: Mapping[str, type]) -> str:
    """Say which parts of a checkpoint are of another type."""
    return ', '.join(
        f'{name} is {type(found[name]).__name__}, not {kind.__name__}'
        for name, kind in kinds.items()
        if name in found and not isinstance(found[name], kind)
    )


def check_weights(found: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of a network, and say which ones.

    Args:
        found: Weights by name, from a file.
        expected: Weights of the network.

    Raises:
        ValueError: If one is missing, unknown, of another shape or type, or holds
            anything but real numbers.
    """
    if difference := describe_weights(found, expected):
        raise ValueError(
            f'Expected the weights of the network that the checkpoint describes, got '
            f'{difference}; the file is damaged or of another network: take another '
            'checkpoint.'
        )


def describe_weights(found: Mapping[str, Any], expected: Mapping[str, Tensor]) -> str:
    """Describe in what weights are not those of a network.

    Args:
        found: Weights by name, from a file.
        expected: Weights of the network.

    Returns:
        Names with their shapes, the first of each kind of difference and how many
        there are; nothing, if there is no difference.
    """
    shapes = {name: tuple(value.shape) for name, value in expected.items()}
    numbers = [name for name, value in found.items() if not is_real(value)]
    common = [name for name in found if name in shapes and name not in numbers]
    other = [
        f'{name} of shape {tuple(found[name].shape)}, not {shapes[name]}'
        for name in common
        if tuple(found[name].shape) != shapes[name]
    ]
    types = [
        f'{name} of {found[name].dtype}, not {expected[name].dtype}'
        for name in common
        if found[name].is_floating_point() != expected[name].is_floating_point()
    ]
    kinds = {
        'no': [name for name in shapes if name not in found],
        'unknown': [name for name in found if name not in shapes],
        'other': [*other, *types],
        'no real numbers in': numbers,
        'NaN or infinity in': [n for n in common if not _is_finite(found[n])],
    }
    return '; '.join(
        f'{kind} {_first(names)}' for kind, names in kinds.items() if names
    )


def is_real(value: Any) -> bool:
    """Say whether a weight is a tensor of real numbers.

    Args:
        value: The weight, from a file.

    Returns:
        True for dense tensors of real numbers that are there.
    """
    if not isinstance(value, Tensor) or value.is_complex() or value.is_quantized:
        return False
    return value.layout is torch.strided and not value.is_meta


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _first(names: Sequence[str]) -> str:
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(map(str, names[:3])) + more


def hash_weights(weights: Weights) -> str:
    """Hash the weights of a network.

    Args:
        weights: Tensors by name, as a state dict has them, in any order.

    Returns:
        SHA-256 of names and values, hexadecimal. Floating-point values count in single
        precision, as networks are made, whatever type they are kept in.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        values = weights[name].detach().cpu().contiguous().reshape(-1)
        if values.is_floating_point():
            values = values.float()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def describe_network(
    trainer: Trainer, pl_module: LightningModule, weights: Weights
) -> dict[str, Any]:
    """State what decides the predictions of a network.

    Args:
        trainer: The trainer that predicts.
        pl_module: The task.
        weights: Its weights, before a precision rounds them.

    Returns:
        Plain values by name: checksums of its weights and those of its ensemble, its
        contract, whether test-time augmentation is on, and the precision.
    """
    module: Any = pl_module
    # The first batch brings the members to the task's device and precision.
    others = [member.state_dict() for member in getattr(module, 'members', [])]
    return {
        'weights': [hash_weights(each) for each in (weights, *others)],
        'contract': getattr(module, 'contract', None),
        'tta': bool(module.hparams.get('tta')),
        'precision': str(trainer.precision),
    }
