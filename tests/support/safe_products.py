"""Sentinel-2 products in ESA's layout, tiny."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfc2020_geo.bands import BANDS
from tests.support.scene_files import noise, place, write

TILE = 'T32TNS_20240101T101010'
SIDE = 36

L1C = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User.xsd">
  <n1:General_Info>
    <Product_Info><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE></Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT></Special_Values>
      <QUANTIFICATION_VALUE unit="none">{quantification}</QUANTIFICATION_VALUE>
      {offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-1C_User_Product>
"""

L2A = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User.xsd">
  <n1:General_Info>
    <Product_Info><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE></Product_Info>
    <Product_Image_Characteristics>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
      {offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-2A_User_Product>
"""


def offsets(tag: str, value: Callable[[int], int | None]) -> str:
    """Write the offset of each band, by its position, None for one left out."""
    lines = [
        f'<{tag} band_id="{i}">{value(i)}</{tag}>'
        for i in range(len(BANDS) - 2)
        if value(i) is not None
    ]
    return f'<List>{"".join(lines)}</List>'


def band_image(name: str, gsd: int) -> np.ndarray:
    """The image of a band in some resolution, each of them another one."""
    seed = [*BANDS].index(name) * 100 + gsd
    return noise(1, SIDE * 10 // gsd, SIDE * 10 // gsd, seed)


def write_l1c(
    root: Path,
    value: Callable[[int], int | None] | None = lambda i: -1000,
    quantification: int = 10000,
) -> Path:
    safe = root / f'S2B_MSIL1C_20240101T101010_N0510_R022_{TILE[:6]}_20240101.SAFE'
    folder = safe / 'GRANULE' / 'L1C_T32TNS_A035_20240101' / 'IMG_DATA'
    for band in BANDS.values():
        if band.sensor == 's2':
            image = band_image(band.name, band.gsd)
            write(folder / f'{TILE}_{band.name}.jp2', image, transform=place(band.gsd))
    write(folder / f'{TILE}_TCI.jp2', np.full((3, SIDE, SIDE), 9, np.uint8))
    write(
        folder.parent / 'QI_DATA' / 'MSK_B02.jp2', np.full((1, SIDE, SIDE), 1, np.uint8)
    )
    text = offsets('RADIO_ADD_OFFSET', value) if value else ''
    text = L1C.format(offsets=text, quantification=quantification)
    (safe / 'MTD_MSIL1C.xml').write_text(text)
    (safe / 'INSPIRE.xml').write_text('<x/>')
    return safe


def write_l2a(
    root: Path, value: Callable[[int], int | None] | None = lambda i: -1000
) -> Path:
    safe = root / f'S2B_MSIL2A_20240101T101010_N0510_R022_{TILE[:6]}_20240101.SAFE'
    folder = safe / 'GRANULE' / 'L2A_T32TNS_A035_20240101' / 'IMG_DATA'
    for gsd in (10, 20, 60):
        for band in BANDS.values():
            if band.sensor == 's2' and band.gsd <= gsd and band.name != 'B10':
                path = folder / f'R{gsd}m' / f'{TILE}_{band.name}_{gsd}m.jp2'
                write(path, band_image(band.name, gsd), transform=place(gsd))
        scl = folder / f'R{gsd}m' / f'{TILE}_SCL_{gsd}m.jp2'
        write(scl, np.full((1, 6, 6), 4, np.uint8), transform=place(60))
    text = offsets('BOA_ADD_OFFSET', value) if value else ''
    text = L2A.format(offsets=text, quantification=10000)
    (safe / 'MTD_MSIL2A.xml').write_text(text)
    return safe
