"""SEN12MS: paired Sentinel-1 and Sentinel-2 patches with MODIS land cover."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ..bands import DEFAULT_BANDS
from .indexing.sen12ms import index_sen12ms
from .indexing.table import PatchTable
from .patches import PatchDataset, SampleTransform

SEN12MSSplit = Literal['train', 'holdout', 'geo_train', 'geo_val']


class SEN12MSPatches(PatchDataset):
    """SEN12MS dataset, with the official holdout scenes.

    `SEN12MS <https://doi.org/10.14459/2019mp1474000>`__ has 180,662 co-registered
    patches of Sentinel-1, Sentinel-2 and MODIS land cover, from 252 scenes on all
    inhabited continents and in all four seasons.

    Dataset features:

    * patches of 256 x 256 pixels at 10 m, georeferenced in UTM (about 510 GB)
    * ``s1``: VV and VH, sigma nought in dB, float32
    * ``s2``: 13 bands of Level-1C, top-of-atmosphere reflectance x 10 000, uint16
    * ``lc``: four layers of MODIS MCD12Q1 at 500 m, repeated to 10 m, uint8: IGBP, and
      the LCCS land cover, land use and surface hydrology; this dataset reads IGBP

    Dataset classes: the 17 of IGBP, mapped to the 10 of DFC2020 (see
    :mod:`dfc2020_geo.classes`); codes 0 and 255 are ignored.

    Dataset splits:

    * ``train``: 162,555 patches of 226 scenes (one damaged Sentinel-1 file, patch 202
      of summer scene 146, is skipped)
    * ``holdout``: 18,106 patches of the 26 official holdout scenes
    * ``geo_train`` and ``geo_val``: nine tenths and a tenth of the scenes of ``train``

    Dataset format: GeoTIFFs as the archives unpack, or a pack of them. Seasons may be
    missing. ``SEN12MS_holdOutScenes.txt`` in *root* lists the holdout scenes; without
    it, torchgeo's ``train_list.txt`` and ``test_list.txt`` do. Both are in
    https://github.com/schmitt-muc/SEN12MS/tree/master/splits.

    Dataset licence: CC BY 4.0 (torchgeo's list of datasets).

    If you use this dataset in your research, please cite:

    * https://doi.org/10.5194/isprs-annals-IV-2-W7-153-2019

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic import write_sen12ms
        >>> root = write_sen12ms(tempfile.mkdtemp(), size=32, patches_per_scene=2)
        >>> dataset = SEN12MSPatches(root, split='holdout', bands=['s2-10m', 's1'])
        >>> sample = dataset[0]
        >>> sample['image'].shape, sample['image'].dtype
        (torch.Size([6, 32, 32]), torch.float32)
        >>> sample['mask'].shape, sample['mask'].dtype
        (torch.Size([32, 32]), torch.int64)
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
        transforms: SampleTransform | None = None,
        skip_list: Path | str | None = None,
    ) -> None:
        """Initialize a new SEN12MSPatches instance.

        Args:
            root: Folder of the seasons and of the holdout list, the folder above it, or
                a pack: a folder or a URL.
            split: One of *splits*.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme, one of
                :data:`~dfc2020_geo.classes.SCHEMES`.
            transforms: Callable that takes a sample and returns a transformed version.
            skip_list: File that lists files to leave out, as ``dfc2020-geo check``
                writes it.

        Raises:
            DatasetNotFoundError: If *root* lacks patches, files of patches or a list.
            RuntimeError: If the list cannot be parsed, or a file exists twice.
            ValueError: If *split*, *bands* or *scheme* is unknown.
        """
        super().__init__(root, split, bands, scheme, transforms, skip_list)

    def _index(self) -> PatchTable:
        return index_sen12ms(self._tree, self.split, self._sensors)
