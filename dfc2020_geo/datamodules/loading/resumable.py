"""A loader whose sampler is asked where it begins when the first batch is fetched."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

#: What torch says of errors that it brings from a worker process.
_IN_WORKER = 'in DataLoader worker process'


class ResumableLoader(DataLoader[Any]):
    """A loader that looks up where its sampler begins when the first batch is fetched.

    Lightning makes the iterator of a resumed epoch before it has settled where it
    stands, and worker processes would take their first indices then.
    """

    def __iter__(self) -> Iterator[Any]:  # ty: ignore[incompatible-method-override]
        """Load the batches of an epoch that are still to come.

        Raises:
            RuntimeError: If a worker process was killed.
        """
        try:
            yield from super().__iter__()
        except (EOFError, OSError) as error:
            # Errors of a dataset say of themselves that they come from a worker.
            if self.num_workers == 0 or _IN_WORKER in str(error):
                raise
            raise RuntimeError(
                f'Expected {self.num_workers} worker processes that load, but one was '
                f'killed ({error!r}), perhaps for want of memory; load with fewer, or '
                'with threads.'
            ) from error

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the sampler's state is kept by its datamodule.

        Lightning takes a loader without this method for one that cannot be resumed.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load nothing.

        Args:
            state: What :meth:`state_dict` returned.
        """
