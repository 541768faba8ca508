"""Patches without labels."""

from collections.abc import Sequence
from pathlib import Path

from ..bands import DEFAULT_BANDS
from .indexing.table import PatchTable
from .indexing.unlabeled import index_unlabeled
from .patches import PatchDataset, Transform


class UnlabeledPatches(PatchDataset):
    """Images in folders ``s1`` and ``s2``, whose class maps are to be predicted.

    Files of the two sensors belong together if they have the same name, but for
    ``_s1_`` in place of ``_s2_``. Only the folders of the sensors that *bands* need
    must exist. Samples have no 'mask'.
    """

    splits = ('unlabeled',)

    _prediction = 'pred'

    def __init__(
        self,
        root: Path | str = 'data/unlabeled',
        bands: Sequence[str] = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        transforms: Transform | None = None,
    ) -> None:
        """Initialize a new UnlabeledPatches instance.

        Args:
            root: Folder that holds ``s1``, ``s2`` or both.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme, for plots.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            DatasetNotFoundError: If *root* lacks a folder or an image its twin.
            RuntimeError: If two files have the same name but for the extension.
            ValueError: If *bands* or *scheme* is unknown.
        """
        super().__init__(root, 'unlabeled', bands, scheme, transforms)

    def _index(self) -> PatchTable:
        return index_unlabeled(self._tree, self._sensors)
