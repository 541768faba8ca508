"""Batches by threads; a small set in memory stands for files."""

import ctypes
import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, TensorDataset

from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datamodules.base import Workers
from dfc2020_geo.datamodules.loading.loaders import ResumableLoader, ThreadedLoader
from dfc2020_geo.datamodules.loading.raw_batches import (
    RawPatch,
    RawPatchDataset,
    collate_raw,
    reads_raw,
)
from dfc2020_geo.tasks import LandCoverSegmentation
from tests.support import ROOT

SIDE = 6


def _patch(index: int, dtype: str = 'uint16', side: int = SIDE) -> RawPatch:
    """Make a patch whose numbers tell which it is."""
    rng = np.random.default_rng(index)
    return {
        's2': rng.integers(0, 10_000, (3, side, side)).astype(dtype),
        's1': rng.normal(-12, 5, (2, side, side)).astype(np.float32),
        'mask': rng.integers(0, 10, (side, side)).astype(np.uint8),
    }


class Patches(Dataset[Any]):
    """A set that holds patches; a file of it may do as a test wants."""

    def __init__(
        self,
        patches: Sequence[RawPatch],
        read: Callable[[int], None] = lambda _: None,
        in_place: bool = True,
    ) -> None:
        self.patches, self.read, self.in_place = patches, read, in_place

    def __len__(self) -> int:
        return len(self.patches)

    def read_raw(self, index: int, out: RawPatch | None = None) -> RawPatch:
        self.read(index)
        return {name: self._put(name, values, out or {})
                for name, values in self.patches[index].items()}  # fmt: skip

    def _put(self, name: str, values: np.ndarray, out: RawPatch) -> np.ndarray:
        place = out.get(name)
        if place is None or not self.in_place:
            return values.copy()
        if (place.shape, place.dtype) != (values.shape, values.dtype):
            place[:1] = 77  # what does not fit may be left with anything
            return values.copy()
        place[...] = values
        return place


def _set(length: int = 23, **options: Any) -> Patches:
    return Patches([_patch(index) for index in range(length)], **options)


def _equal(batch: dict[str, Tensor], patches: Sequence[RawPatch]) -> bool:
    """Compare a batch, and the types in it, with the patches put upon each other."""
    expected = {name: np.stack([p[name] for p in patches]) for name in patches[0]}
    return batch.keys() == expected.keys() and all(
        batch[name].numpy().dtype == values.dtype
        and np.array_equal(batch[name].numpy(), values, equal_nan=True)
        for name, values in expected.items()
    )


def _threads() -> list[int]:
    """Return the threads that run functions of the loader."""
    return [
        thread
        for thread, frame in sys._current_frames().items()
        if thread != threading.get_ident() and _is_loading(frame)
    ]


def _is_loading(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get('__name__') == ThreadedLoader.__module__:
            return True
        frame = frame.f_back
    return False


def _all_end() -> bool:
    """Wait for threads to end, which they do after the patch that they read."""
    limit = time.monotonic() + 20
    while _threads() and time.monotonic() < limit:
        time.sleep(0.001)
    return not _threads()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert _all_end()


@settings(deadline=None, max_examples=60)
@given(
    order=st.lists(st.integers(0, 7), max_size=30),
    dtypes=st.lists(st.sampled_from(['uint16', 'float32']), min_size=8, max_size=8),
    batch_size=st.integers(1, 9),
    num_workers=st.integers(0, 3),
    drop_last=st.booleans(),
    in_place=st.booleans(),
)
def test_batches_are_the_patches_of_the_sampler_in_its_order(
    order: list[int],
    dtypes: list[str],
    batch_size: int,
    num_workers: int,
    drop_last: bool,
    in_place: bool,
) -> None:
    patches = [_patch(index, dtype) for index, dtype in enumerate(dtypes)]
    dataset = Patches(patches, in_place=in_place)
    options = {'batch_size': batch_size, 'drop_last': drop_last}
    loader = ThreadedLoader(
        dataset, sampler=order, num_workers=num_workers, **options
    )  # fmt: skip
    expected = list(BatchSampler(order, **options))
    for _ in range(2):
        count = 0
        for batch, indices in zip(loader, expected, strict=True):
            assert _equal(batch, [patches[index] for index in indices])
            count += 1
        assert count == len(loader)


@settings(deadline=None, max_examples=30)
@given(dtypes=st.lists(st.sampled_from(['uint16', 'float32']), min_size=1, max_size=6))
def test_processes_make_the_batches_of_threads(dtypes: list[str]) -> None:
    dataset = Patches([_patch(index, dtype) for index, dtype in enumerate(dtypes)])
    options = {'batch_size': 4, 'shuffle': False}
    threads = ThreadedLoader(dataset, num_workers=1, **options)
    others = DataLoader(RawPatchDataset(dataset), collate_fn=collate_raw, **options)
    for batch, other in zip(threads, others, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert batch[name].dtype == other[name].dtype
            assert torch.equal(batch[name], other[name])


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize(
    'keep',
    [
        lambda batch: batch['s2'],
        lambda batch: batch['s2'][1],
        lambda batch: batch['s2'].numpy()[0, 1],
        lambda batch: memoryview(batch['s2'].numpy()),
        lambda batch: batch['s2'].view(torch.int16)[::2].detach(),
        lambda batch: torch.from_numpy(np.asarray(batch['s2'])[1:, 2]),
        lambda batch: torch.from_dlpack(batch['s2'].view(torch.int16)),
        lambda batch: batch['s2'].untyped_storage(),
    ],
)
def test_what_is_kept_of_a_batch_never_changes(
    keep: Callable[[dict[str, Tensor]], Any], num_workers: int
) -> None:
    loader = ThreadedLoader(_set(40), batch_size=2, num_workers=num_workers)
    kept = [(keep(batch), bytes(_bytes(keep(batch)))) for batch in loader]
    gc.collect()
    list(loader)
    assert all(_bytes(value) == copied for value, copied in kept)
    assert len({copied for _, copied in kept}) == len(kept)


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.UntypedStorage):
        return bytes(value)
    return np.asarray(value).tobytes()


@pytest.mark.parametrize('num_workers', [0, 1, 3])
def test_memory_is_used_again(num_workers: int) -> None:
    loader = ThreadedLoader(_set(200), batch_size=4, num_workers=num_workers)
    places = [batch['s2'].data_ptr() for batch in loader]
    assert len(places) == 50
    assert len(set(places)) <= 2 * num_workers + 2


def test_loading_stays_a_few_batches_ahead() -> None:
    seen: list[int] = []
    loader = ThreadedLoader(_set(100, read=seen.append), batch_size=5, num_workers=2)
    iterator = iter(loader)
    assert not seen
    for taken in range(1, 6):
        next(iterator)
        limit = time.monotonic() + 10
        while len(seen) < 5 * (taken + 4) and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(seen) == 5 * (taken + 4)
    iterator.close()  # ty: ignore[unresolved-attribute]


def test_workers_read_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    dataset = _set(2, read=lambda _: both.wait() and None)
    assert len(list(ThreadedLoader(dataset, batch_size=1, num_workers=2))) == 2


class BrokenFileError(RuntimeError):
    """An error of a type of its own, that takes more than a message."""

    def __init__(self, path: str, code: int) -> None:
        super().__init__(f'Expected a readable raster, got {path} ({code}).')
        self.code = code


def _break(index: int) -> None:
    if index == 13:
        raise BrokenFileError('p13.tif', 5)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_an_error_comes_in_its_turn_as_it_was_raised(num_workers: int) -> None:
    loader = ThreadedLoader(_set(read=_break), batch_size=4, num_workers=num_workers)
    iterator = iter(loader)
    for first in (0, 4, 8):
        batch = next(iterator)
        assert _equal(batch, [_patch(index) for index in range(first, first + 4)])
    with pytest.raises(BrokenFileError, match=r'p13\.tif') as error:
        next(iterator)
    assert error.value.code == 5
    assert _all_end()
    assert not list(iterator)


def test_an_error_stops_what_is_under_way() -> None:
    seen: list[int] = []

    def read(index: int) -> None:
        seen.append(index)
        if index == 0:
            raise BrokenFileError('p0.tif', 5)
        time.sleep(0.002)

    loader = ThreadedLoader(_set(4000, read=read), batch_size=1000, num_workers=2)
    with pytest.raises(BrokenFileError):
        next(iter(loader))
    assert len(seen) < 1000
    assert _all_end()


def _leave_early(loader: ThreadedLoader) -> None:
    for _ in loader:
        break


def _fail_in_the_step(loader: ThreadedLoader) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 (the loop is what is tested)
        for _ in loader:
            1 / 0  # noqa: B018


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts raise, also where a shell began the tests in the background."""
    signals = signal.SIGINT, signal.SIGALRM
    handlers = [signal.signal(s, signal.default_int_handler) for s in signals]
    yield
    for number, handler in zip(signals, handlers, strict=True):
        signal.signal(number, handler)


def _interrupt(loader: ThreadedLoader) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (the loop is what is tested)
        for _ in loader:
            signal.raise_signal(signal.SIGINT)


def _forget(loader: ThreadedLoader) -> None:
    iterator = iter(loader)
    next(iterator)
    cycle: list[Any] = [iterator]
    cycle.append(cycle)
    del iterator, cycle
    gc.collect()


def _begin_only(loader: ThreadedLoader) -> None:
    iter(loader)


@pytest.mark.parametrize(
    'leave', [_leave_early, _fail_in_the_step, _interrupt, _forget, _begin_only]
)
@pytest.mark.usefixtures('interruptible')
def test_no_thread_outlives_its_loop(leave: Callable[[ThreadedLoader], None]) -> None:
    leave(ThreadedLoader(_set(), batch_size=2, num_workers=3))
    assert _all_end()


def _all_batches(loader: ThreadedLoader) -> None:
    for _ in loader:
        pass


def _is_interrupted(loop: Callable[[], None], delay: float) -> bool:
    """Repeat a loop and interrupt it after a delay in seconds."""
    try:
        _repeat(loop, delay)
    except KeyboardInterrupt:
        return True
    return False


def _repeat(loop: Callable[[], None], delay: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, delay)
    for _ in range(10_000):
        loop()


@pytest.mark.parametrize('loop', [_leave_early, _all_batches])
@pytest.mark.usefixtures('interruptible')
def test_an_interrupt_is_never_lost(
    loop: Callable[[ThreadedLoader], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python tells here of an interrupt that came in a destructor, and discards it.
    discarded: list[Any] = []
    monkeypatch.setattr(sys, 'unraisablehook', discarded.append)
    dataset = _set(8, read=lambda _: time.sleep(0.001))
    rng = np.random.default_rng(0)
    for delay in rng.uniform(0, 0.03, 20):
        loader = ThreadedLoader(dataset, batch_size=2, num_workers=2)
        assert _is_interrupted(partial(loop, loader), delay)
        assert _all_end()
    assert not discarded


def test_iterators_at_once_do_not_meet() -> None:
    loader = ThreadedLoader(_set(40), batch_size=4, num_workers=2)
    for one, other in zip(loader, loader, strict=True):
        assert one['s2'].data_ptr() != other['s2'].data_ptr()
        assert torch.equal(one['s2'], other['s2'])
        assert torch.equal(one['mask'], other['mask'])


def _kill(thread: int) -> None:
    """End a thread from outside, at the next thing that it does."""
    number, error = ctypes.c_ulong(thread), ctypes.py_object(SystemExit)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(number, error) == 1


def test_a_thread_that_is_ended_in_a_batch_is_told() -> None:
    begun, going_on = threading.Event(), threading.Event()

    def read(index: int) -> None:
        if index == 5:
            begun.set()
            going_on.wait(10)

    loader = ThreadedLoader(_set(read=read), batch_size=4, num_workers=1)
    iterator = iter(loader)
    next(iterator)
    assert begun.wait(10)
    _kill(_threads()[0])
    going_on.set()
    with pytest.raises(RuntimeError, match=r'read the patches \[4, .*by SystemExit'):
        next(iterator)


def test_a_thread_that_is_ended_between_batches_is_told() -> None:
    gate = threading.Semaphore(0)
    dataset = _set(read=lambda _: gate.acquire(timeout=10) and None)
    loader = ThreadedLoader(dataset, batch_size=1, num_workers=1, prefetch_factor=1)
    iterator = iter(loader)
    gate.release(1)
    next(iterator)
    (thread,) = _threads()
    # It is in the second patch: it ends there, or when it asks for the third one.
    _kill(thread)
    gate.release(30)
    with pytest.raises(RuntimeError, match='ended'):
        list(iterator)


def _run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has the set of this module."""
    prelude = (
        'import os, sys, time, threading\n'
        'from tests.datamodules.test_loading import _patch, _set, _equal, Patches\n'
        'from dfc2020_geo.datamodules.loading.loaders import ThreadedLoader\n'
    )
    return subprocess.run(
        [sys.executable, '-c', prelude + program], cwd=ROOT,
        env=os.environ | {'PYTHONWARNINGS': 'ignore'}, timeout=60, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ('end', 'code'), [('', 0), ('sys.exit(3)', 3), ('raise ValueError', 1)]
)
def test_a_program_ends_that_holds_a_loader_half_read(end: str, code: int) -> None:
    slow = '_set(400, read=lambda _: time.sleep(0.01))'
    program = f"""
loader = ThreadedLoader({slow}, batch_size=50, num_workers=2)
iterator = iter(loader)
batch = next(iterator)
cycle = [iterator, batch]; cycle.append(cycle); del iterator
{end}
"""
    ended = _run(program)
    assert ended.returncode == code, ended.stderr
    assert 'Fatal' not in ended.stderr


@pytest.mark.slow
def test_a_child_of_a_program_that_loads_is_told_or_loads_anew() -> None:
    program = """
loader = ThreadedLoader(_set(), batch_size=2, num_workers=2)
iterator = iter(loader)
next(iterator)
child = os.fork()
if child == 0:
    try:
        list(iterator)
    except RuntimeError as error:
        print(error)
    assert [len(b['s2']) for b in ThreadedLoader(_set(5), 2, num_workers=2)] == [2, 2, 1]
    print('loaded anew', flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(list(iterator)) == 11
print('went on')
"""
    ended = _run(program)
    assert ended.returncode == 0, ended.stderr
    assert 'forked from one that loads' in ended.stdout
    assert 'loaded anew' in ended.stdout
    assert ended.stdout.endswith('went on\n')


def test_processes_begin_while_threads_load() -> None:
    threads = iter(ThreadedLoader(_set(), batch_size=2, num_workers=2))
    next(threads)
    processes = DataLoader(
        RawPatchDataset(_set()), batch_size=2, collate_fn=collate_raw, num_workers=2
    )
    for batch, other in zip(list(threads), list(processes)[1:], strict=True):
        assert torch.equal(batch['s2'], other['s2'])


class _Dying(Patches):
    """A set that ends a process that loads one of its patches."""

    def read_raw(self, index: int, out: RawPatch | None = None) -> RawPatch:
        if index == 9 and multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_raw(index, out)


@pytest.mark.slow
def test_a_process_that_is_killed_is_told() -> None:
    # In a program of its own, for torch may tell it by a signal, at any place: while
    # the error is printed, too, and then nothing is.
    for _ in range(3):
        ended = _run("""
from dfc2020_geo.datamodules.loading.loaders import ResumableLoader
from dfc2020_geo.datamodules.loading.raw_batches import RawPatchDataset, collate_raw
from tests.datamodules.test_loading import _Dying
dataset = RawPatchDataset(_Dying(_set().patches))
options = {'collate_fn': collate_raw, 'num_workers': 2, 'persistent_workers': True}
list(ResumableLoader(dataset, 2, **options))
""")
        assert ended.returncode == 1
        if ended.stderr.strip():
            break
    assert re.search(
        r'^RuntimeError: .*worker.*(killed|exited unexpectedly)',
        ended.stderr,
        flags=re.MULTILINE,
    )


class _Disconnected(Dataset[Any]):
    """A set whose server is gone."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        raise ConnectionResetError('the server is gone')


class _Deserted(DataLoader[Any]):
    """torch's loader, where a worker was killed while it handed over a batch."""

    def __iter__(self) -> Any:
        yield 0
        raise ConnectionResetError(104, 'Connection reset by peer')


class _ResumableDeserted(ResumableLoader, _Deserted):
    pass


def test_a_connection_lost_to_a_worker_is_told_and_others_are_as_they_were() -> None:
    loader = _ResumableDeserted(_set(), num_workers=2)
    with pytest.raises(RuntimeError, match='2 worker processes that load, but one was'):
        list(loader)
    for num_workers in (0, 2):
        loader = ResumableLoader(_Disconnected(), num_workers=num_workers)
        with pytest.raises(ConnectionResetError, match='the server is gone'):
            list(loader)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_patches_of_two_sizes_say_what_to_do(num_workers: int) -> None:
    dataset = Patches([_patch(0), _patch(1), _patch(2, side=5), _patch(3, side=5)])
    loader = ThreadedLoader(dataset, batch_size=3, num_workers=num_workers)
    message = r'one size in a batch, got \[\(5, 5\), \(6, 6\)\].*--data.batch_size 1'
    with pytest.raises(ValueError, match=message):
        list(loader)
    with pytest.raises(ValueError, match=message):
        collate_raw(dataset.patches)
    for size in (1, 2):  # where none meets one of another size, they are read
        loader = ThreadedLoader(dataset, batch_size=size, num_workers=num_workers)
        for batch, first in zip(loader, range(0, 4, size), strict=True):
            assert _equal(batch, dataset.patches[first : first + size])


def test_patches_without_labels_join_none_that_have_some() -> None:
    without = {name: v for name, v in _patch(1).items() if name != 'mask'}
    for patches in ([_patch(0), without], [without, _patch(0)]):
        loader = ThreadedLoader(Patches(patches), batch_size=2, num_workers=1)
        with pytest.raises(ValueError, match=r"same parts .*\['s1', 's2'\].*labels in"):
            list(loader)
        singles = list(ThreadedLoader(Patches(patches), batch_size=1))
        assert all(_equal(b, [p]) for b, p in zip(singles, patches, strict=True))


def test_pinned_memory_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []
    empty = torch.empty

    def fake(*size: Any, pin_memory: bool = False, **options: Any) -> Tensor:
        tensor = empty(*size, **options)
        if pin_memory:
            pinned.append(tensor.untyped_storage().data_ptr())
        return tensor

    monkeypatch.setattr(torch, 'empty', fake)
    patches = _set(12).patches
    loader = ThreadedLoader(Patches(patches), 4, num_workers=2, pin_memory=True)
    batches = list(loader)
    for batch, first in zip(batches, (0, 4, 8), strict=True):
        assert _equal(batch, patches[first : first + 4])
        for tensor in batch.values():
            # torch finds the copies that it waits for by the memory's beginning.
            assert tensor.untyped_storage().data_ptr() in pinned


def test_a_set_of_samples_is_refused() -> None:
    loader = ThreadedLoader(TensorDataset(torch.arange(4)), num_workers=1)
    with pytest.raises(TypeError, match="got TensorDataset; load it with torch's"):
        list(loader)


class _WithSamples(Patches):
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'image': torch.zeros(1)}


class _Anew(_WithSamples):
    def read_raw(self, index: int, out: RawPatch | None = None) -> RawPatch:
        return super().read_raw(index, out)


def test_a_set_that_makes_its_samples_otherwise_is_asked_for_them() -> None:
    assert reads_raw(_set())
    assert not reads_raw(_WithSamples([]))
    assert reads_raw(_Anew([]))
    assert not reads_raw(TensorDataset(torch.arange(4)))
    transformed: Any = _set()
    transformed.transforms = lambda sample: sample
    assert not reads_raw(transformed)


def _data(tree: Path, **arguments: Any) -> LandCoverDataModule:
    data = LandCoverDataModule(
        sen12ms_root=tree / 'sen12ms', val='sen12ms_holdout', bands=['s1', 's2-10m'],
        batch_size=2, num_workers=2, **arguments,
    )  # fmt: skip
    data.setup('fit')
    return data


@pytest.mark.parametrize('workers', ['threads', 'processes'])
def test_workers_of_both_kinds_deliver_raw_patches(
    baseline_tree: Path, workers: Workers
) -> None:
    data = _data(baseline_tree, workers=workers)
    loader = data.val_dataloader()
    assert isinstance(loader, ThreadedLoader) == (workers == 'threads')
    patches: Any = data.val_dataset
    expected = BatchSampler(range(len(patches)), 2, False)
    for batch, indices in zip(loader, expected, strict=True):
        assert _equal(batch, [patches.read_raw(index) for index in indices])


def test_a_set_of_ones_own_is_asked_for_samples(baseline_tree: Path) -> None:
    data = _data(baseline_tree)
    assert data.val_dataset is not None
    data.val_dataset.transforms = lambda sample: sample
    loader = data.val_dataloader()
    assert isinstance(loader, ResumableLoader)
    assert not isinstance(loader, ThreadedLoader)
    assert {'image', 'mask'} == next(iter(loader)).keys()


def test_other_kinds_of_workers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\('threads', 'processes'\), got 'tasks'"):
        LandCoverDataModule(workers='tasks')  # ty: ignore[invalid-argument-type]


class _Keeper(BasePredictionWriter):
    """Keeps what is predicted, and which patches that should be."""

    def __init__(self) -> None:
        super().__init__('batch')
        self.kept: list[tuple[Sequence[int], Tensor]] = []

    def write_on_batch_end(self, *args: Any) -> None:
        _, _, _, batch_indices, batch, *_ = args
        self.kept.append((batch_indices, batch['image']))


@pytest.mark.parametrize('num_workers', [0, 1, 3])
def test_prediction_has_each_patch_once_in_order(
    baseline_tree: Path, num_workers: int
) -> None:
    # More batches than are loaded ahead, which Lightning counts by a sampler of its own.
    data = LandCoverDataModule(
        predict='sen12ms_train', sen12ms_root=baseline_tree / 'sen12ms', bands=['s1'],
        batch_size=1, num_workers=num_workers, nan='baseline',
    )  # fmt: skip
    task = LandCoverSegmentation(['s1'], model='fcn', num_filters=2, nan='baseline')
    keeper = _Keeper()
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, callbacks=[keeper]
    )
    trainer.predict(task, datamodule=data, return_predictions=False)
    assert data.predict_dataset is not None
    samples = [data.predict_dataset[i] for i in range(len(data.predict_dataset))]
    assert len(samples) > 2 * num_workers
    assert [indices for indices, _ in keeper.kept] == [[i] for i in range(len(samples))]
    for (_, image), sample in zip(keeper.kept, samples, strict=True):
        scaled = sample['image'].nan_to_num(0.0).clamp(-25, 0) / 25 + 1
        assert torch.equal(image[0], scaled)


class _FailingStep(LandCoverSegmentation):
    def training_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        assert _threads()
        raise ZeroDivisionError


def test_no_thread_outlives_a_training_that_fails(baseline_tree: Path) -> None:
    task = _FailingStep(['s1', 's2-10m'], model='fcn', num_filters=2)
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_checkpointing=False, max_epochs=1,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=1,
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        trainer.fit(task, datamodule=_data(baseline_tree))
    assert _all_end()
