"""A loader of patches as they are stored, whose workers are threads.

Processes that load copy each batch to memory that they share with the one that trains.
Threads read each patch to its place, and while they do they leave the interpreter to
others: so they keep up with what reads a packed set in a fraction of a millisecond.
"""

import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from queue import SimpleQueue

from ...io.memory import PinnedMemory, ReusedMemory
from .collating import Batch, require_stored
from .filling import BatchReader
from .resumable import ResumableLoader

#: Seconds after which one who waits looks whether the threads are still there.
_PATIENCE = 1.0


class ThreadedLoader(ResumableLoader):
    """A loader whose workers are threads of this process.

    The set has to be one for which :func:`~dfc2020_geo.datamodules.loading.is_stored` holds. Of
    the arguments of torch's loader, it heeds those of samplers and batches,
    ``pin_memory``, ``num_workers`` (with 0, a batch is read when it is asked for) and
    ``prefetch_factor``.

    A batch can be kept: its memory is used again once no tensor or array looks at it.
    """

    def __iter__(self) -> Iterator[Batch]:
        """Load the batches of an epoch that are still to come, in their order.

        Yields:
            What the set stores, with an axis of patches in front.

        Raises:
            RuntimeError: If a thread has been ended.
            ValueError: If patches of a batch differ in size.
        """
        assert self.batch_sampler is not None, 'patches are read in batches'
        # Lightning's sampler for prediction begins anew whenever it is asked for an
        # iterator, as islice does; a generator goes on.
        batches = (indices for indices in self.batch_sampler)
        ahead = self.num_workers * (self.prefetch_factor or 1)
        # Beside those ahead, one is at work, and held until the next one is taken.
        memory = PinnedMemory() if self.pin_memory else ReusedMemory(ahead + 2)
        reader = BatchReader(require_stored(self.dataset), memory)
        if self.num_workers == 0:
            yield from map(reader.read, batches)
            return
        crew = _Crew(reader, self.num_workers)
        try:
            jobs = deque(crew.begin(indices) for indices in islice(batches, ahead))
            while jobs:
                job = jobs.popleft()
                crew.wait_for(job)
                jobs.extend(crew.begin(indices) for indices in islice(batches, 1))
                # A name for the batch would hold it until the next one is asked for.
                yield job.take()
        finally:
            crew.end()

    def check_worker_number_rationality(self) -> None:
        """Leave torch's warning aside: threads that wait for files need no core."""


class _Job:
    """A batch that a thread reads."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices
        self.is_done = threading.Event()
        self._batch: Batch = {}
        self._error: BaseException | None = None

    def do(self, reader: BatchReader, ended: threading.Event) -> None:
        try:
            self._batch = reader.read(self.indices, ended)
        except BaseException as error:  # noqa: BLE001 (take raises it)
            self._error = error
        self.is_done.set()

    def take(self) -> Batch:
        """Return the batch, or raise what the thread ran into."""
        batch, self._batch = self._batch, {}
        if self._error is None:
            return batch
        try:
            if isinstance(self._error, Exception):
                raise self._error
            raise RuntimeError(
                f'Expected a thread to read the patches {list(self.indices)}, but it '
                f'was ended by {self._error!r}; load anew.'
            ) from self._error
        finally:
            self._error = None  # its traceback leads to here


class _Crew:
    """Threads that read batches until they are ended, at the latest with the program.

    They hold no reference to this object, so it can be collected while they wait.
    """

    def __init__(self, reader: BatchReader, num_threads: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        ended = threading.Event()
        arguments = self._jobs, reader, ended
        self._threads = [
            # What else waits for a thread at the end of a program would wait for ever.
            threading.Thread(target=_work, args=arguments, name='loading', daemon=True)
            for _ in range(num_threads)
        ]
        self.end = weakref.finalize(self, _end, self._jobs, ended, self._threads)
        for thread in self._threads:
            thread.start()

    def begin(self, indices: Sequence[int]) -> _Job:
        job = _Job(indices)
        self._jobs.put(job)
        return job

    def wait_for(self, job: _Job) -> None:
        while not job.is_done.wait(_PATIENCE):
            alive = sum(thread.is_alive() for thread in self._threads)
            if alive < len(self._threads):
                raise RuntimeError(
                    f'Expected {len(self._threads)} threads that load, got {alive}: '
                    'something ended the others, or this process was forked from one '
                    'that loads; load anew.'
                )


def _work(
    jobs: 'SimpleQueue[_Job | None]', reader: BatchReader, ended: threading.Event
) -> None:
    while (job := jobs.get()) is not None:
        job.do(reader, ended)
        del job  # it would be held while this thread waits


def _end(
    jobs: 'SimpleQueue[_Job | None]',
    ended: threading.Event,
    threads: Sequence[threading.Thread],
) -> None:
    ended.set()
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        # Rubbish is collected in any thread, and so perhaps the crew in one of its own.
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join()
