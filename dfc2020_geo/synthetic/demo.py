"""Synthetic data sets of the demo."""

from dataclasses import dataclass
from pathlib import Path

from .files import write_dfc2020, write_unlabeled
from .sen12ms import Labels, write_sen12ms


@dataclass(frozen=True, slots=True)
class DemoRoots:
    """Roots of the demo's data sets.

    Attributes:
        sen12ms: Patches with coarse labels (MODIS), in SEN12MS's layout.
        dfc2020: Patches with labels at 10 m, in DFC2020's layout.
        unlabeled: Patches without labels.
    """

    sen12ms: Path
    dfc2020: Path
    unlabeled: Path


def write_demo(
    root: Path | str, *, seed: int = 0, labels: Labels = 'modis'
) -> DemoRoots:
    """Write the demo's data sets, small enough to train on within a minute.

    Args:
        root: Folder in which a folder for each data set is made.
        seed: Seed; equal seeds give equal files.
        labels: Labels of SEN12MS: ``'modis'`` (coarse, with errors) or ``'truth'``
            (10 m, without).

    Returns:
        The roots.

    Raises:
        ValueError: If *labels* is unknown.
        OSError: If *root* cannot be written to.
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
