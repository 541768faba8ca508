"""Patches of the IEEE GRSS Data Fusion Contest 2020."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ..bands import DEFAULT_BANDS
from .indexing.dfc2020 import index_dfc2020
from .indexing.table import PatchTable
from .patches import PatchDataset, Transform

DFC2020Split = Literal[
    'val', 'test', 'all', 'copernicus-train', 'copernicus-val', 'copernicus-test'
]

_COPERNICUS_NOTE = (
    "Copernicus-Bench cut its train, val and test out of the contest's test phase: "
    "scores on them are not scores on the contest's val or test."
)


class DFC2020Patches(PatchDataset):
    """Patches of the Data Fusion Contest 2020 with its own labels.

    Three packagings of the same patches are read, each with its own splits:

    * ``val`` and ``test``, the phases of the contest: its split zips
      (``s1_validation.zip``, ``s1_0.zip``, ...), extracted flat or one folder deeper;
    * ``all``: ``DFC_Public_Dataset``, whole or some of its *cities*; which cities make
      up which phase is not published. Its incomplete patches are skipped;
    * ``copernicus-train``, ``copernicus-val`` and ``copernicus-test``:
      ``dfc2020_s1s2`` of Copernicus-Bench, all three cut from the contest's test
      phase, which *note* says.

    If you use this dataset in your research, please cite:

    * https://doi.org/10.21227/rha7-m332
    * https://doi.org/10.48550/arXiv.2503.11849 (splits of Copernicus-Bench)
    """

    splits = get_args(DFC2020Split)

    _legend = 'dfc2020'
    _label_bands = 1
    _prediction = 'dfc'

    def __init__(
        self,
        root: Path | str = 'data/dfc2020',
        split: DFC2020Split = 'test',
        bands: Sequence[str] = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        cities: Sequence[str] | None = None,
        transforms: Transform | None = None,
    ) -> None:
        """Initialize a new DFC2020Patches instance.

        Args:
            root: Folder of the packaging that has *split*, or the folder above it.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme.
            cities: Cities to keep of split ``all``, by default every one.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            DatasetNotFoundError: If *root* lacks patches, or files of patches; or has
                another packaging than *split* needs.
            RuntimeError: If a list is not understood, or a file is there twice.
            ValueError: If *split*, *bands*, *scheme* or a city is unknown.
        """
        if cities is not None and split in self.splits and split != 'all':
            raise ValueError(
                f"Expected cities with split 'all' only, got {cities} with '{split}'."
            )
        self.cities = cities
        super().__init__(root, split, bands, scheme, transforms)
        if split.startswith('copernicus-'):
            self.note = _COPERNICUS_NOTE

    def _index(self) -> PatchTable:
        return index_dfc2020(self._tree, self.split, self._sensors, self.cities)
