"""The data of the demo."""

from dataclasses import dataclass
from pathlib import Path

from .files import write_dfc2020, write_unlabeled
from .sen12ms import Labels, write_sen12ms


@dataclass(frozen=True, slots=True)
class DemoRoots:
    """Folders of the demo's data.

    Attributes:
        sen12ms: Patches with labels as MODIS gives them.
        dfc2020: Patches with the truth at 10 m.
        unlabeled: Patches to predict.
    """

    sen12ms: Path
    dfc2020: Path
    unlabeled: Path


def write_demo(
    root: Path | str, *, seed: int = 0, labels: Labels = 'modis'
) -> DemoRoots:
    """Write the data of the demo, which a small network learns in a minute.

    Args:
        root: Folder in which a folder of each data set is made.
        seed: Number of the data; equal numbers give equal files.
        labels: What to learn from: labels as MODIS gives them, or the truth at 10 m.

    Returns:
        The folders.
    """
    root = Path(root)
    return DemoRoots(
        write_sen12ms(
            root / 'sen12ms',
            seed=seed,
            scenes_per_season=10,
            patches_per_scene=2,
            labels=labels,
        ),
        write_dfc2020(root / 'dfc2020', seed=seed, num_val=7, num_test=28),
        write_unlabeled(root / 'unlabeled', seed=seed),
    )
