"""Unlabelled patches of Sentinel-1 and Sentinel-2, for prediction."""

from collections.abc import Sequence
from pathlib import Path

from ..bands import DEFAULT_BANDS
from .indexing.table import PatchTable
from .indexing.unlabeled import index_unlabeled
from .patches import PatchDataset, SampleTransform


class UnlabeledPatches(PatchDataset):
    """Unlabelled patches of your own, in the folders ``s1`` and ``s2``.

    Dataset features:

    * any size, any number of files; patches of one batch must have one size
    * ``s1``: VV and VH, sigma nought in dB
    * ``s2``: 13 bands in file order, Level-1C reflectance x 10 000; bands that are
      described may be more or fewer, in any order
    * CRS and transform, where a file has them, are those of its class map

    Files of the two sensors are paired by name: equal names, or ``_s1_`` in place of
    ``_s2_``. Only the folders of the sensors that *bands* need must exist. Samples have
    no 'mask'.

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic import write_unlabeled
        >>> root = write_unlabeled(tempfile.mkdtemp(), size=32, num_patches=1)
        >>> dataset = UnlabeledPatches(root, bands=['s2'])
        >>> {key: value.shape for key, value in dataset[0].items()}
        {'image': torch.Size([13, 32, 32])}
        >>> dataset.prediction_id(0)  # stem of the class map's file
        'north_pred_001'
    """

    splits = ('unlabeled',)

    _prediction = 'pred'

    def __init__(
        self,
        root: Path | str = 'data/unlabeled',
        bands: Sequence[str] = DEFAULT_BANDS,
        scheme: str = 'dfc2020',
        transforms: SampleTransform | None = None,
        skip_list: Path | str | None = None,
    ) -> None:
        """Initialize a new UnlabeledPatches instance.

        Args:
            root: Folder that holds ``s1``, ``s2`` or both, or a pack: a folder or a
                URL.
            bands: Names of bands and band sets to read, in any order.
            scheme: Name of the class scheme, for plots.
            transforms: Callable that takes a sample and returns a transformed version.
            skip_list: File that lists files to leave out, as ``dfc2020-geo check``
                writes it.

        Raises:
            DatasetNotFoundError: If *root* lacks a folder, or an image its file of the
                other sensor.
            RuntimeError: If two files differ in their extension only.
            ValueError: If *bands* or *scheme* is unknown.
        """
        super().__init__(root, 'unlabeled', bands, scheme, transforms, skip_list)

    def _index(self) -> PatchTable:
        return index_unlabeled(self._tree, self._sensors)
