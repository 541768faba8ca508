"""Writing shards by several processes."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from .shard_records import Job
from .shards import write_shard


def run_jobs(jobs: list[Job], workers: int) -> Iterator[Job]:
    """Write shards.

    Args:
        jobs: The shards.
        workers: Number of processes; up to 1 stands for this one.

    Yields:
        Each job when it is done.

    Raises:
        RuntimeError: If a worker died.
    """
    if workers <= 1:
        for job in jobs:
            write_shard(job)
            yield job
        return
    # Not by fork: GDAL may be at work in a thread of this process.
    with ProcessPoolExecutor(workers, get_context('spawn'), _end_with_parent) as pool:
        try:
            yield from _distribute(jobs, pool, workers)
        except BrokenProcessPool as error:
            raise RuntimeError(
                'Expected all workers to finish, got one that was killed, perhaps for '
                'want of memory. Run the same command again, with fewer --workers or '
                'a new pack of a smaller --shard_size: it goes on where it stopped.'
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for ever."""
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _distribute(
    jobs: list[Job], pool: ProcessPoolExecutor, workers: int
) -> Iterator[Job]:
    waiting = iter(jobs)
    running: dict[Future[None], Job] = {}
    while True:
        # A few at a time: what waits has been sent to the workers already.
        for job in waiting:
            running[pool.submit(write_shard, job)] = job
            if len(running) > workers:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            future.result()
            yield job
