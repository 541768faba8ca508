"""Callbacks that write class maps and previews, a file per predicted patch."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torchgeo.datasets import RGBBandsMissingError

from ..classes import IGNORE_INDEX
from ..datasets import PatchDataset
from ..datasets.plotting import render_image
from ..io.atomic import write_bytes
from ..io.rasters import SIDECAR, write_class_map, write_probabilities
from .patch_writer import PatchWriter


class ClassMapWriter(PatchWriter):
    """Write each predicted patch as a GeoTIFF of the class scheme's codes.

    It takes the patch's CRS and transform, holds the palette and the class names, and
    is called like the Sentinel-2 file with ``_s2_`` replaced by ``_dfc_`` (DFC2020),
    ``_lc_`` (SEN12MS) or ``_pred_`` (others), as in the 2020 baseline.
    """

    what = 'class maps'

    def __init__(
        self,
        output_dir: Path | str = 'predictions',
        probabilities: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Initialize a new ClassMapWriter instance.

        Args:
            output_dir: Directory for the class maps.
            probabilities: Whether to write ``NAME.probabilities.tif`` as well, one
                float32 band per class.
            overwrite: Whether outputs of a finished or another run may be replaced.
        """
        super().__init__(output_dir, overwrite)
        self.probabilities = probabilities
        more = ('.probabilities.tif',) if probabilities else ()
        self.suffixes = ('.tif', f'.tif{SIDECAR}', *more)

    def options(self) -> dict[str, Any]:
        """Return the settings that decide the content of the files.

        Returns:
            Plain values by name.
        """
        return {'probabilities': self.probabilities}

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, and ask the task for what is to be written."""
        super().on_predict_start(trainer, pl_module)
        vars(pl_module)['return_probabilities'] = self.probabilities

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Write the class map of one patch, after its probabilities.

        Args:
            dataset: Dataset that is predicted
            index: Position of the patch
            result: ``'prediction'`` of shape ``(H, W)``, uint8 class indices, and
                perhaps ``'probabilities'`` of shape ``(num_classes, H, W)``.
        """
        grid = dataset.grid(index)
        name = dataset.prediction_id(index)
        if self.probabilities:
            shares = result['probabilities'].astype(np.float32)
            shares[:, result['prediction'] == IGNORE_INDEX] = np.nan
            labels = dataset.scheme.labels
            path = self.output_dir / f'{name}.probabilities.tif'
            write_probabilities(path, shares, labels, grid)
        codes = dataset.scheme.decode(result['prediction'])
        write_class_map(self.output_dir / f'{name}.tif', codes, grid, dataset.scheme)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note whether everything is written."""
        super().on_predict_end(trainer, pl_module)
        vars(pl_module).pop('return_probabilities', None)


class PreviewWriter(PatchWriter):
    """Write a picture of each predicted patch: input, prediction, truth, legend."""

    what = 'previews'
    suffixes = ('.png',)

    def __init__(
        self,
        output_dir: Path | str = 'previews',
        overwrite: bool = False,
        max_previews: int | None = 100,
    ) -> None:
        """Initialize a new PreviewWriter instance.

        Args:
            output_dir: Directory for the pictures.
            overwrite: Whether outputs of a finished or another run may be replaced.
            max_previews: Number of patches that get a picture, the first ones; all
                of them if None.
        """
        super().__init__(output_dir, overwrite)
        self.max_previews = max_previews

    def names(self, dataset: PatchDataset) -> list[str]:
        """Return the file names of the previews, without suffix.

        Empty if the bands of the network make no RGB composite.

        Args:
            dataset: Dataset that is predicted.

        Returns:
            Names of the first *max_previews* patches.
        """
        try:
            render_image(np.zeros((len(dataset.bands), 1, 1)), dataset.bands)
        except RGBBandsMissingError:
            rank_zero_info('No previews: the bands make no picture.')
            return []
        return super().names(dataset)[: self.max_previews]

    def write(
        self, dataset: PatchDataset, index: int, result: dict[str, np.ndarray]
    ) -> None:
        """Write the preview of one patch.

        Args:
            dataset: Dataset that is predicted
            index: Position of the patch
            result: ``'prediction'`` of shape ``(H, W)``, uint8 class indices.
        """
        name = dataset.prediction_id(index)
        prediction = torch.from_numpy(result['prediction'])
        sample = dataset[index] | {'prediction': prediction}
        figure = dataset.plot(sample, suptitle=name)
        picture = BytesIO()
        figure.savefig(picture, format='png', dpi=100, bbox_inches='tight')
        write_bytes(self.output_dir / f'{name}.png', picture.getbuffer())
