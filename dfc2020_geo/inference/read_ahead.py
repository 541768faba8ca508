"""Batches that a thread reads ahead of what is done with them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Batch = dict[str, Any]


class ReadAhead:
    """The batches of a set, each read while the one before is at work.

    A thread reads, so nothing is copied between processes and files stay open.
    """

    def __init__(
        self, dataset: Any, prepare: Callable[[Batch], Batch] | None = None
    ) -> None:
        """Initialize a new ReadAhead instance.

        Args:
            dataset: What is read, in its order: a set of batches, one or more, that
                has a length and reads one at each index.
            prepare: What the thread does with each batch then.
        """
        self.dataset, self.prepare = dataset, prepare

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in their order."""
        with ThreadPoolExecutor(max_workers=1) as reader:
            batch = reader.submit(self._read, 0)
            for index in range(1, len(self)):
                ahead = reader.submit(self._read, index)
                yield batch.result()
                batch = ahead
            yield batch.result()

    def _read(self, index: int) -> Batch:
        batch = self.dataset[index]
        return self.prepare(batch) if self.prepare else batch
