"""What a checkpoint fixes: facts that decide the shape or the meaning of a network.

The datamodule, the task and a checkpoint each state such facts; two statements of the
same fact must agree. In a checkpoint they stand under :data:`CONTRACT_KEY`, as plain
values, beside the versions of the packages that wrote it.
"""

import pickle
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch

from .. import __version__
from ..bands import VALUE_RANGE, NanPolicy, band_names, select_bands
from ..classes import get_scheme

#: Where a checkpoint of this package keeps what it fixes.
CONTRACT_KEY = 'dfc2020_geo'

#: Facts that data and model share: what goes in, and what comes out means.
SHARED_FACTS = ('bands', 'scheme', 'nan')

#: Facts of a network alone: torchgeo's, one of the 2020 baseline, and either.
TORCHGEO_FACTS = ('model', 'backbone', 'num_filters')
BASELINE_FACTS = ('model', 'output_stride')
NETWORK_FACTS = tuple(dict.fromkeys(TORCHGEO_FACTS + BASELINE_FACTS))


def data_contract(bands: Iterable[str], scheme: str, nan: str) -> dict[str, Any]:
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
    if nan not in get_args(NanPolicy):
        raise ValueError(
            f"Expected nan to be one of {get_args(NanPolicy)}, got '{nan}'."
        )
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
    """Return the versions of this package and of those that it builds on."""
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
        ValueError: If the file is no such checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a checkpoint, got no file at {path}.')
    try:
        checkpoint = torch.load(path, map_location='cpu', mmap=True, weights_only=True)
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(
            f'Expected a Lightning checkpoint of plain values and tensors, got {path}, '
            'which is damaged or something else.'
        ) from error
    if not isinstance(checkpoint, dict) or CONTRACT_KEY not in checkpoint:
        raise ValueError(
            f'Expected a checkpoint that names its bands and classes, got {path}; '
            'train it with dfc2020_geo.tasks.LandCoverSegmentation.'
        )
    return checkpoint
