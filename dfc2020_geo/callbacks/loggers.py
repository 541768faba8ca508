"""Image logging for TensorBoard, MLflow, Comet, Weights & Biases and CSV loggers."""

from functools import singledispatch
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CometLogger, MLFlowLogger, TensorBoardLogger
from matplotlib.image import imsave

from ..io.atomic import write_bytes


@singledispatch
def log_picture(logger: Any, tag: str, picture: np.ndarray, step: int) -> None:
    """Log an RGB image.

    A logger with a method ``log_image``, such as Weights & Biases', is called with
    ``key``, ``images`` and ``step``. One with a log directory, such as CSVLogger, gets
    the file ``images/TAG_STEP.png`` there. Others are skipped. Register another class
    of loggers with ``@log_picture.register``.

    Args:
        logger: One of the trainer's loggers.
        tag: Name of the image, such as ``'train/input'``.
        picture: RGB image of shape ``(H, W, 3)``, uint8.
        step: Number of optimisation steps taken.

    Examples:
        >>> import tempfile
        >>> from lightning.pytorch.loggers import CSVLogger
        >>> logger = CSVLogger(tempfile.mkdtemp())
        >>> log_picture(logger, 'train/input', np.zeros((4, 4, 3), np.uint8), step=7)
        >>> [path.name for path in Path(logger.log_dir).glob('images/train/*')]
        ['input_00000007.png']
    """
    log_dir = getattr(logger, 'log_dir', None)
    if callable(log_image := getattr(logger, 'log_image', None)):
        log_image(key=tag, images=[picture], step=step)
    elif isinstance(log_dir, str | Path) and '://' not in str(log_dir):
        path = Path(log_dir) / 'images' / f'{tag}_{step:08d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        file = BytesIO()
        imsave(file, picture, format='png')
        write_bytes(path, file.getbuffer())


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.add_image(tag, picture, step, dataformats='HWC')


@log_picture.register
def _(logger: MLFlowLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.log_image(logger.run_id, picture, key=tag, step=step)


@log_picture.register
def _(logger: CometLogger, tag: str, picture: np.ndarray, step: int) -> None:
    logger.experiment.log_image(picture, name=tag, step=step)
