"""Pictures for loggers: each one is sent them by what it has for it."""

from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CometLogger, MLFlowLogger, TensorBoardLogger
from matplotlib.image import imsave

from ..io.atomic import replacing


@singledispatch
def log_picture(logger: Any, tag: str, picture: np.ndarray, step: int) -> None:
    """Send a picture to a logger.

    A logger that has a method ``log_image``, as Weights & Biases' has, is called with
    ``key``, ``images`` and ``step``. One that has a directory of its own, as CSVLogger
    has, gets ``images/TAG_STEP.png`` there, and any other none. How another class of
    loggers takes pictures can be registered: ``@log_picture.register``.

    Args:
        logger: One of the trainer's loggers.
        tag: Name of the picture, such as ``'train/input'``.
        picture: Array of shape ``(H, W, 3)``, uint8.
        step: Number of optimisation steps taken.
    """
    log_dir = getattr(logger, 'log_dir', None)
    if callable(log_image := getattr(logger, 'log_image', None)):
        log_image(key=tag, images=[picture], step=step)
    elif isinstance(log_dir, str | Path) and '://' not in str(log_dir):
        path = Path(log_dir) / 'images' / f'{tag}_{step:08d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            imsave(unfinished, picture, format='png')


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.add_image(tag, picture, step, dataformats='HWC')


@log_picture.register
def _(logger: MLFlowLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.log_image(logger.run_id, picture, key=tag, step=step)


@log_picture.register
def _(logger: CometLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.log_image(picture, name=tag, step=step)
