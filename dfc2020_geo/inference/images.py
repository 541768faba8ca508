"""Prediction of one image that fits into memory, from its files to classes."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from ..classes import IGNORE_INDEX
from ..datamodules.checks import require_choice, takes_fills, tell_findings
from ..io.scenes import check_scene, open_scene
from ..io.value_checks import CheckMode
from .datamodule import FLAGS, SceneSource
from .map_scene import load_networks

#: Pixels that a network of usual size predicts in one piece.
_MOST_PIXELS = 2048**2


def predict_image(
    checkpoint: Path | str | Sequence[Path | str],
    s2: SceneSource | None = None,
    s1: SceneSource | None = None,
    tta: bool = False,
    trust: Collection[str] = (),
    check: CheckMode = 'error',
    **options: Any,
) -> dict[str, Any]:
    """Predict the classes of one image, such as a patch, from its files.

    What is read, and where there is no data, is as in :func:`map_scene`, which writes
    files and takes images of any size.

    Args:
        checkpoint: Network that reads and predicts what the checkpoint says; several
            are averaged.
        s2: Sentinel-2: a file of several bands, files of one band, or a product.
        s1: Sentinel-1 of the same place, on any grid.
        tta: Whether to average the 8 flips and quarter turns.
        trust: Dotted names of classes that the first checkpoint may have imported and
            called, see :func:`map_scene`.
        check: What doubtful values do, see :class:`SceneDataModule`.
        options: Options of :func:`dfc2020_geo.io.scenes.open_scene`, for example
            ``s2_offset=-1000``.

    Returns:
        ``'prediction'``, uint8 class indices of shape ``(H, W)``,
        :data:`~dfc2020_geo.classes.IGNORE_INDEX` without data; ``'probabilities'``,
        float32 of shape ``(num_classes, H, W)``; ``'scheme'``, the
        :class:`~dfc2020_geo.classes.ClassScheme` that decodes them; ``'crs'`` and
        ``'transform'`` of the pixels.

    Raises:
        FileNotFoundError: If there is no such checkpoint or file.
        RuntimeError: If a file is damaged, or lacks bands.
        ValueError: If the image cannot be what the network was trained on, or is too
            large for one piece.

    Examples:
        >>> import tempfile
        >>> from lightning.pytorch import Trainer
        >>> from dfc2020_geo.synthetic import write_scene
        >>> from dfc2020_geo.tasks import LandCoverSegmentation
        >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
        >>> trainer = Trainer(logger=False, enable_checkpointing=False)
        >>> trainer.strategy.connect(LandCoverSegmentation(['s2-10m'], model='fcn'))
        >>> path = files.s2.with_suffix('.ckpt')
        >>> trainer.save_checkpoint(path)
        >>> predicted = predict_image(path, files.s2)
        >>> predicted['prediction'].shape
        torch.Size([40, 60])
    """
    task = load_networks(checkpoint, tta, trust)
    scene = open_scene(s2, s1, task.facts['bands'], **options)
    height, width = scene.grid.shape
    if height * width > _MOST_PIXELS:
        raise ValueError(
            f'Expected an image of at most {_MOST_PIXELS} pixels, got {height} x {width} '
            f'in {scene.name}; map it with dfc2020_geo.inference.map_scene.'
        )
    if require_choice(check, CheckMode, 'check') != 'off':
        scene = check_scene(scene, FLAGS, takes_fills(check, task.facts['nan']))
    tell_findings(scene.findings, check, scene.name)
    image, valid = scene.read((0, height), (0, width))
    predicted = task.predict_image(image)
    predicted['prediction'][~torch.from_numpy(valid)] = IGNORE_INDEX
    place = {'crs': scene.grid.crs, 'transform': scene.grid.transform}
    return {**predicted, 'scheme': task.scheme, **place}
