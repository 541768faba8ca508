"""The datasets that can serve a stage of training or evaluation, by name."""

from dataclasses import dataclass

from ..datasets import DFC2020Patches, PatchDataset, SEN12MSPatches, UnlabeledPatches


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A dataset and split that can serve a stage.

    Attributes:
        dataset: Class of the dataset.
        data: Prefix of the argument for its root: ``sen12ms`` of ``sen12ms_root``.
        split: Name of the split, None for data without splits.
    """

    dataset: type[PatchDataset]
    data: str
    split: str | None = None

    @property
    def has_cities(self) -> bool:
        """Whether its cities can be chosen."""
        return self.split == 'all'

    @property
    def is_labelled(self) -> bool:
        """Whether it has masks to train and score with."""
        return self.split is not None


#: Every named dataset and split.
SETS: dict[str, NamedSet] = {
    f'{data}_{split.replace("-", "_")}': NamedSet(dataset, data, split)
    for data, dataset in (('sen12ms', SEN12MSPatches), ('dfc2020', DFC2020Patches))
    for split in dataset.splits
} | {'unlabeled': NamedSet(UnlabeledPatches, 'unlabeled')}
