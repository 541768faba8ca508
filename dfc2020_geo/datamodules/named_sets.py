"""The sets of patches that can serve a stage, by name."""

from dataclasses import dataclass

from ..datasets import DFC2020Patches, PatchDataset, SEN12MSPatches, UnlabeledPatches


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set of patches that can serve a stage.

    Attributes:
        dataset: Its class.
        data: What the argument for its root begins with, as in ``sen12ms_root``.
        split: Its split, None for data without splits.
    """

    dataset: type[PatchDataset]
    data: str
    split: str | None = None

    @property
    def has_cities(self) -> bool:
        """Whether cities can be chosen."""
        return self.split == 'all'

    @property
    def is_labelled(self) -> bool:
        """Whether it can be learned from and scored on."""
        return self.split is not None


#: Every set that can serve a stage, by name.
SETS: dict[str, NamedSet] = {
    f'{data}_{split.replace("-", "_")}': NamedSet(dataset, data, split)
    for data, dataset in (('sen12ms', SEN12MSPatches), ('dfc2020', DFC2020Patches))
    for split in dataset.splits
} | {'unlabeled': NamedSet(UnlabeledPatches, 'unlabeled')}
