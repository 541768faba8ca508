"""Images and labels of whole scenes, indexed by coordinates as torchgeo does.

``Sentinel2Scenes(...) & Sentinel1Scenes(...) & LabelScenes(...)`` is one dataset, from
which torchgeo's samplers draw.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyproj
import torch
from rasterio.enums import Resampling
from torch import Tensor

from ...bands import BAND_SETS, BANDS, FILE_BANDS, RGB_BANDS, Band, Sensor, band_names
from ...classes import IGNORE_INDEX, LegendName, get_scheme, require_legend
from ...io.addresses import hide_secrets
from ...io.scenes.headers import RasterHeader
from ...io.scenes.sensor_images import BandFile, name_headers
from ..patches import SampleTransform
from .rasters import Paths, SceneRasters


class _SensorScenes(SceneRasters):
    """Images of one sensor, a file for each scene or part of one."""

    _sensor: ClassVar[Sensor]

    def __init__(
        self,
        paths: Paths = 'data',
        crs: pyproj.CRS | None = None,
        res: float | tuple[float, float] | None = None,
        bands: Sequence[str | Band] | str | None = None,
        transforms: SampleTransform | None = None,
    ) -> None:
        """Initialize a new instance.

        Args:
            paths: Files, or folders to search.
            crs: CRS to read in; by default that of the files, which must be one.
            res: Pixel size to read in, in units of the CRS; by default that of the
                first file.
            bands: Names of bands or band sets; by default all.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            FileNotFoundError: If a path does not exist, or there are no rasters.
            RuntimeError: If a file cannot be read or has other bands.
            ValueError: If a band is unknown or another sensor's, or files have several
                CRS and none is given.
        """
        names = band_names(bands or self._sensor)
        if others := [n for n in names if BANDS[n].sensor != self._sensor]:
            raise ValueError(
                f'Expected bands of {BAND_SETS[self._sensor]}, got {others}.'
            )
        self.bands = names
        super().__init__(paths, crs, res, names, transforms)

    def find_bands(self, file: RasterHeader) -> dict[Band, BandFile]:
        """Find the bands by their descriptions or the file's name, else by position.

        Args:
            file: Header of the file.

        Returns:
            The position of each band to read, in channel order.

        Raises:
            RuntimeError: If the file lacks one or has it twice; the message names it.
        """
        [(how, named)] = name_headers([file], self._sensor)
        if any(named.count(name) != 1 for name in self.bands):
            raise RuntimeError(
                f'Expected bands described as {", ".join(self.bands)}, or '
                f'{FILE_BANDS[self._sensor]} in their usual order, got '
                f'{file.describe()}; describe its bands, or read one file per '
                f"band with torchgeo's Sentinel{self._sensor[1]}."
            )
        return {
            BANDS[name]: BandFile(file, named.index(name) + 1, how)
            for name in self.bands
        }


class Sentinel2Scenes(_SensorScenes):
    """Scenes of Sentinel-2: rasters of all 13 bands, or of bands with their names.

    Samples are ``'image'``, of shape ``(C, H, W)``, float32, reflectance x 10 000 as in
    SEN12MS, NaN without data. A file of another grid is read by its nearest pixels.

    Examples:
        >>> import tempfile
        >>> from dfc2020_geo.synthetic import write_scene
        >>> files = write_scene(tempfile.mkdtemp(), shape=(40, 60))
        >>> scenes = Sentinel2Scenes(files.s2, bands=['s2-10m'])
        >>> scenes.bands
        ('B02', 'B03', 'B04', 'B08')
        >>> joined = scenes & LabelScenes(files.labels)
        >>> left, top = joined.grid.transform @ (0, 0)
        >>> sample = joined[left : left + 320, top - 320 : top]
        >>> sample['image'].shape, sample['mask'].shape
        (torch.Size([4, 32, 32]), torch.Size([32, 32]))
    """

    all_bands = BAND_SETS['s2']
    rgb_bands = RGB_BANDS
    _sensor = 's2'

    @property
    def resampling(self) -> Resampling:
        """How pixels are found on another grid: the nearest, as in SEN12MS."""
        return Resampling.nearest


class Sentinel1Scenes(_SensorScenes):
    """Scenes of Sentinel-1: rasters of VV and VH, sigma nought in dB.

    Samples are ``'image'``, of shape ``(C, H, W)``, float32, in dB, NaN without data. A
    file of another grid is interpolated bilinearly.
    """

    all_bands = BAND_SETS['s1']
    _sensor = 's1'


class LabelScenes(SceneRasters):
    """Rasters of class codes of any grid, given as class indices of the nearest pixel.

    Samples are ``'mask'``, of shape ``(H, W)``, int64.

    A pixel without a class of the scheme, without data or outside all files has
    :data:`~dfc2020_geo.classes.IGNORE_INDEX`.
    """

    is_image = False

    def __init__(
        self,
        paths: Paths = 'data',
        crs: pyproj.CRS | None = None,
        res: float | tuple[float, float] | None = None,
        scheme: str = 'dfc2020',
        legend: LegendName = 'dfc2020',
        transforms: SampleTransform | None = None,
    ) -> None:
        """Initialize a new LabelScenes instance.

        Args:
            paths: Files, or folders to search; of several bands the first is read.
            crs: CRS to read in; by default that of the files, which must be one.
            res: Pixel size to read in, in units of the CRS; by default that of the
                first file.
            scheme: Name of the class scheme.
            legend: What the codes mean: ``'dfc2020'`` or ``'igbp'``.
            transforms: A function that takes a sample and returns a changed version.

        Raises:
            FileNotFoundError: If a path does not exist, or there are no rasters.
            RuntimeError: If a file cannot be read.
            ValueError: If *scheme* or *legend* is unknown, or files have several CRS
                and none is given.
        """
        self.scheme = get_scheme(scheme)
        self.legend: LegendName = require_legend(legend)
        super().__init__(paths, crs, res, None, transforms)

    def find_bands(self, file: RasterHeader) -> dict[Band, BandFile]:
        """Find no bands: the first one of a file is read, whatever it is called.

        Args:
            file: Header of a file of labels.

        Returns:
            An empty dict.
        """
        return {}

    def to_mask(self, codes: np.ndarray, paths: Sequence[str]) -> dict[str, Tensor]:
        """Turn codes into class indices.

        Args:
            codes: Codes of shape ``(H, W)``, float32, NaN without data.
            paths: Their files, for messages.

        Returns:
            'mask' of shape ``(H, W)``, int64.

        Raises:
            RuntimeError: If there are other codes than those of the legend.
        """
        known = ~np.isnan(codes)
        codes = codes[known]
        whole = codes.astype(np.int64)
        indices = np.full(known.shape, IGNORE_INDEX, np.uint8)
        try:
            # Fractions are no codes; encode says so.
            exact = np.array_equal(codes, whole)
            found = self.scheme.encode(whole if exact else codes, self.legend)
        except ValueError as error:
            names = ', '.join(map(hide_secrets, paths))
            raise RuntimeError(f'{names}: {error} Replace this file.') from None
        indices[known] = found
        return {'mask': torch.from_numpy(indices).long()}
