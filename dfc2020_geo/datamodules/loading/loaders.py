"""DataLoaders that can be resumed, one of them with threads as workers.

Worker processes copy each batch to memory that they share with the training. Threads
read each patch to its place in the batch, and release the interpreter while they read:
so they keep up with a packed dataset, read in a fraction of a millisecond a patch.
"""

import _thread
import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from queue import SimpleQueue
from typing import Any

from torch.utils.data import DataLoader

from ...io.memory import PinnedMemory, ReusedMemory
from ...transforms.prepare import Batch
from .raw_batches import RawBatchReader, require_raw

#: What torch says of errors that it brings from a worker process.
_IN_WORKER = 'in DataLoader worker process'

#: Seconds of waiting for a batch after which threads are checked to be alive.
_PATIENCE = 1.0


class ResumableLoader(DataLoader[Any]):
    """A loader that asks its sampler where it begins when the first batch is fetched.

    Lightning makes the iterator of a resumed epoch before it has settled where it
    stands, and worker processes would take their first indices then.
    """

    def __iter__(self) -> Iterator[Any]:  # ty: ignore[incompatible-method-override]
        """Load the remaining batches of an epoch.

        Yields:
            Batches as the collate function makes them.

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

        Returns:
            An empty dictionary.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load nothing.

        Args:
            state: What :meth:`state_dict` returned.
        """


class ThreadedLoader(ResumableLoader):
    """A loader of raw patches whose workers are threads of this process.

    :func:`.raw_batches.reads_raw` must hold for the dataset. Of the arguments of torch's
    loader, those of samplers and batches, ``pin_memory``, ``num_workers`` (0 reads a
    batch when it is asked for) and ``prefetch_factor`` count.

    A batch can be kept: its memory is reused once no tensor or array refers to it.
    Threads end with the loop, at the latest after the patch that they read.
    """

    def __iter__(self) -> Iterator[Batch]:
        """Load the remaining batches of an epoch in order.

        Returns:
            Iterator over batches: raw patches with an axis of patches in front. It
            raises RuntimeError if a thread was ended, ValueError if patches of a batch
            differ in size, and what reading a patch raises.

        Raises:
            TypeError: If the dataset has no ``read_raw``.
        """
        assert self.batch_sampler is not None, 'patches are read in batches'
        ahead = self.num_workers * (self.prefetch_factor or 1)
        # Besides those ahead, one is being read, and one held until the next is taken.
        memory = PinnedMemory() if self.pin_memory else ReusedMemory(ahead + 2)
        reader = RawBatchReader(require_raw(self.dataset), memory)
        batches = _iterate_late(self.batch_sampler)
        if self.num_workers == 0:
            return (reader.read(indices) for indices in batches)
        return _ThreadedEpoch(reader, batches, self.num_workers, ahead)

    def check_worker_number_rationality(self) -> None:
        """Skip torch's warning: threads that wait for files need no core."""


def _iterate_late(sampler: Iterable[Sequence[int]]) -> Iterator[Sequence[int]]:
    """Ask a sampler for its iterator at the first batch, and only once.

    Lightning's sampler for prediction starts over each time.
    """
    yield from sampler


class _Lease:
    """Threads read batches while this object lives."""


class _ThreadedEpoch(Iterator[Batch]):
    """The batches of one epoch, read ahead by threads.

    Loops that are left early drop this object, and Python discards an interrupt that
    arrives while Python code runs in a destructor. So there is no such code: the threads
    are told by a weak reference whose callback is the queue's own ``put``, in C. They are
    no :class:`threading.Thread`, which has a destructor, and which an interrupt at its
    start can leave locked for ever.
    """

    def __init__(
        self,
        reader: RawBatchReader,
        batches: Iterator[Sequence[int]],
        num_threads: int,
        ahead: int,
    ) -> None:
        self._reader, self._batches = reader, batches
        self._num_threads, self._ahead = num_threads, ahead
        self._jobs: SimpleQueue[_Job | weakref.ref[_Lease]] = SimpleQueue()
        self._begun: deque[_Job] = deque()
        self._lease: _Lease | None = None
        #: A lock for each thread, which it holds while it runs.
        self._running: list[threading.Lock] | None = None
        self._process = os.getpid()

    def __next__(self) -> Batch:
        try:
            if self._running is None:
                self._start()
            if not self._begun:
                raise StopIteration
            batch = self._wait_for(self._begun.popleft())
            self._begin(1)
        except BaseException:
            self.close()
            raise
        return batch

    def close(self) -> None:
        """End the threads and wait until they have; there is no further batch."""
        self._batches, self._lease = iter(()), None
        self._begun.clear()
        running, self._running = self._running or (), []
        if os.getpid() == self._process:
            for lock in running:
                with lock:
                    pass

    def _start(self) -> None:
        # A name for it would keep it alive in the traceback of an interrupt.
        self._lease = _Lease()
        is_wanted = weakref.ref(self._lease, self._jobs.put)
        epoch: weakref.ref[_ThreadedEpoch] = weakref.ref(self)
        self._running = []
        for _ in range(self._num_threads):
            lock = threading.Lock()
            lock.acquire()
            task = [self._jobs, self._reader, is_wanted]
            _RUNNING[lock] = os.getpid(), epoch
            try:
                _thread.start_new_thread(_work, (task, lock))
            except BaseException:
                _RUNNING.pop(lock, None)
                raise
            self._running.append(lock)
        self._begin(self._ahead)

    def _begin(self, num_batches: int) -> None:
        for indices in islice(self._batches, num_batches):
            job = _Job(indices)
            self._begun.append(job)
            self._jobs.put(job)

    def _wait_for(self, job: '_Job') -> Batch:
        while not job.is_done(_PATIENCE):
            self._require_threads()
        return job.take()

    def _require_threads(self) -> None:
        locks = self._running if os.getpid() == self._process else None
        alive = sum(lock.locked() for lock in locks or ())
        if alive < self._num_threads:
            raise RuntimeError(
                f'Expected {self._num_threads} threads that load, got {alive}: '
                'something ended the others, or this process was forked from one '
                'that loads; load anew.'
            )


class _Job:
    """A batch that a thread reads."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices
        # Held until the job is done. Unlike an Event, which is Python code, a lock can
        # be waited for and released whenever an interrupt comes.
        self._working = threading.Lock()
        self._working.acquire()
        self._batch: Batch = {}
        self._error: BaseException | None = None

    def do(self, reader: RawBatchReader, is_wanted: 'weakref.ref[_Lease]') -> None:
        try:
            self._batch = reader.read(self.indices, is_wanted)
        except BaseException as error:  # noqa: BLE001 (take raises it)
            self._error = error
        self._working.release()

    def is_done(self, timeout: float) -> bool:
        return self._working.acquire(timeout=timeout)

    def take(self) -> Batch:
        """Return the batch, or raise what the thread ran into."""
        batch, self._batch = self._batch, {}  # its memory is the caller's alone
        if self._error is None:
            return batch
        try:
            # StopIteration would end the epoch unnoticed.
            if isinstance(self._error, Exception) and not isinstance(
                self._error, StopIteration
            ):
                raise self._error
            raise RuntimeError(
                f'Expected a thread to read the patches {list(self.indices)}, but it '
                f'was ended by {self._error!r}; load anew.'
            ) from self._error
        finally:
            self._error = None  # its traceback refers to this object


#: The locks of threads that run, each with its process and epoch.
_RUNNING: dict[threading.Lock, tuple[int, 'weakref.ref[_ThreadedEpoch]']] = {}


def _work(task: list[Any], running: threading.Lock) -> None:
    try:
        _read_batches(task)
    finally:
        _RUNNING.pop(running, None)
        running.release()


def _read_batches(task: list[Any]) -> None:
    jobs, reader, is_wanted = task
    # A thread frees what it was started with after its last line of Python, and memory
    # of batches that is freed while the interpreter ends aborts the program.
    task.clear()
    while isinstance(job := jobs.get(), _Job):
        job.do(reader, is_wanted)
        del job  # it would be held while this thread waits
    jobs.put(job)  # for the other threads


@atexit.register
def _end_threads() -> None:
    """End what still loads: threads must not outlive the interpreter."""
    for lock, (process, reference) in list(_RUNNING.items()):
        if process == os.getpid():
            if (epoch := reference()) is not None:
                epoch.close()
            with lock:
                pass
