"""DFC2020: patches of the IEEE GRSS Data Fusion Contest 2020 with labels at 10 m."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ..bands import DEFAULT_BANDS
from .indexing.dfc2020 import index_dfc2020
from .indexing.table import PatchTable
from .patches import PatchDataset, SampleTransform

DFC2020Split = Literal[
    'val', 'test', 'all', 'copernicus-train', 'copernicus-val', 'copernicus-test'
]

_COPERNICUS_NOTE = (
    "Copernicus-Bench cut its train, val and test out of the contest's test phase: "
    "scores on them are not scores on the contest's val or test."
)


class DFC2020Patches(PatchDataset):
    """DFC2020 dataset: the 2020 IEEE GRSS Data Fusion Contest, with its own labels.

    The `contest
    <https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest>`__ asked
    for land cover at 10 m from coarse labels. It has 6,114 co-registered patches of
    Sentinel-1 and Sentinel-2 from seven regions.

    Dataset features:

    * patches of 256 x 256 pixels at 10 m; the split archives have no georeferencing
    * ``s1``: VV and VH, sigma nought in dB, float64
    * ``s2``: 13 bands of Level-1C, top-of-atmosphere reflectance x 10 000, uint16
    * ``dfc``: labels at 10 m, an integer dtype. A random forest made them; its reported
      overall accuracy is 82.4 %
    * ``lc``: MODIS labels as in SEN12MS; this dataset does not read them

    Dataset classes: 10, of which the labels have 8 (no Savanna, no Snow/Ice); code 0 is
    ignored.

    Dataset splits, by the packaging that has them:

    * ``val`` (986 patches) and ``test`` (5,128): the two phases of the contest, from
      its split archives (``s1_validation.zip``, ``s1_0.zip``, ...), extracted flat or
      one folder deeper
    * ``all`` (6,114): ``DFC_Public_Dataset``, whole or some of its *cities*; which
      cities make up which phase is not published. Incomplete patches are skipped
    * ``copernicus-train`` (3,156), ``copernicus-val`` (986), ``copernicus-test`` (986):
      ``dfc2020_s1s2`` of Copernicus-Bench, all three cut from the contest's *test*
      phase, as *note* says

    Dataset licence: Creative Commons Attribution (IEEE DataPort); the contest's terms
    are said to ask for approval before results are published.

    If you use this dataset in your research, please cite:

    * https://doi.org/10.21227/rha7-m332
    * https://doi.org/10.48550/arXiv.2503.11849 (splits of Copernicus-Bench)

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic import write_dfc2020
        >>> root = write_dfc2020(tempfile.mkdtemp(), size=32, num_val=2, num_test=0)
        >>> dataset = DFC2020Patches(root, split='val', bands=['B04', 'B03', 'B02'])
        >>> len(dataset), dataset[0]['image'].shape
        (2, torch.Size([3, 32, 32]))
        >>> figure = dataset.plot(dataset[0])
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
        transforms: SampleTransform | None = None,
        skip_list: Path | str | None = None,
    ) -> None:
        """Initialize a new DFC2020Patches instance.

        Args:
            root: Folder of the packaging that has *split*, the folder above it, or a
                pack: a folder or a URL.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme, one of
                :data:`~dfc2020_geo.classes.SCHEMES`.
            cities: Cities to keep of split ``all``; by default all of them.
            transforms: Callable that takes a sample and returns a transformed version.
            skip_list: File that lists files to leave out, as ``dfc2020-geo check``
                writes it.

        Raises:
            DatasetNotFoundError: If *root* lacks patches, or files of patches; or has
                another packaging than *split* needs.
            RuntimeError: If a list cannot be parsed, or a file exists twice.
            ValueError: If *split*, *bands*, *scheme* or a city is unknown.
        """
        if cities is not None and split in self.splits and split != 'all':
            raise ValueError(
                f"Expected cities with split 'all' only, got {cities} with '{split}'."
            )
        self.cities = cities
        super().__init__(root, split, bands, scheme, transforms, skip_list)
        if split.startswith('copernicus-'):
            self.note = _COPERNICUS_NOTE

    def _index(self) -> PatchTable:
        return index_dfc2020(self._tree, self.split, self._sensors, self.cities)
