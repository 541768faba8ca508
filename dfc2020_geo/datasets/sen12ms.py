"""Patches of SEN12MS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ..bands import DEFAULT_BANDS
from .indexing.sen12ms import index_sen12ms
from .indexing.table import PatchTable
from .patches import PatchDataset, Transform

SEN12MSSplit = Literal['train', 'holdout', 'geo_train', 'geo_val']


class SEN12MSPatches(PatchDataset):
    """SEN12MS patches with IGBP labels, split by the official holdout scenes.

    ``SEN12MS_holdOutScenes.txt`` in *root* says which scenes are held out; where it is
    absent, torchgeo's ``train_list.txt`` and ``test_list.txt`` do. Both are found at
    https://github.com/schmitt-muc/SEN12MS/tree/master/splits. ``geo_train`` and
    ``geo_val`` are nine tenths and a tenth of the scenes of ``train``. Seasons may be
    missing; the patch whose Sentinel-1 image is known to be damaged is skipped.

    If you use this dataset in your research, please cite:

    * https://doi.org/10.5194/isprs-annals-IV-2-W7-153-2019
    """

    splits = get_args(SEN12MSSplit)

    _legend = 'igbp'
    _label_bands = 4  # IGBP first, then three legends of LCCS
    _prediction = 'lc'

    def __init__(
        self,
        root: Path | str = 'data/sen12ms',
        split: SEN12MSSplit = 'train',
        bands: Sequence[str] = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        transforms: Transform | None = None,
    ) -> None:
        """Initialize a new SEN12MSPatches instance.

        Args:
            root: Folder of the seasons and of the list, or the folder above it.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            DatasetNotFoundError: If *root* lacks patches, files of patches or a list.
            RuntimeError: If the list is not understood, or a file is there twice.
            ValueError: If *split*, *bands* or *scheme* is unknown.
        """
        super().__init__(root, split, bands, scheme, transforms)

    def _index(self) -> PatchTable:
        return index_sen12ms(self._tree, self.split, self._sensors)
