"""The order of training; a namespace stands for Lightning's trainer and its counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from dfc2020_geo.datamodules.loading.loaders import ResumableLoader
from dfc2020_geo.samplers.resumable import ResumableSampler


def _trainer(
    done: int = 0, total: int = 0, rank: int = 0, num_processes: int = 1
) -> Any:
    progress = SimpleNamespace(
        current=SimpleNamespace(processed=done), total=SimpleNamespace(processed=total)
    )
    return SimpleNamespace(
        world_size=num_processes,
        global_rank=rank,
        strategy=SimpleNamespace(broadcast=lambda value: value),
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )


def _dataset(length: int) -> TensorDataset:
    return TensorDataset(torch.arange(length))


def _sampler(length: int = 23, batch_size: int = 4, **counts: int) -> ResumableSampler:
    torch.manual_seed(7)
    return ResumableSampler(_dataset(length), batch_size, _trainer(**counts))


def _epochs(seed: int, number: int = 4) -> list[list[int]]:
    torch.manual_seed(seed)
    sampler = ResumableSampler(_dataset(23), 4)
    torch.rand(3)  # what else draws numbers does not matter
    return [list(sampler) for _ in range(number)]


def test_an_epoch_holds_each_patch_once_and_none_is_as_the_last() -> None:
    epochs = _epochs(0)
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_decides_and_near_seeds_share_no_epoch() -> None:
    assert _epochs(3) == _epochs(3)
    orders = [tuple(epoch) for seed in range(5) for epoch in _epochs(seed)]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize('done', [1, 3, 5, 6])
def test_what_is_left_of_an_epoch_is_its_end(done: int) -> None:
    whole = _sampler()
    epochs = [list(whole) for _ in range(3)]
    state = whole.state_dict() | {'epoch': 1}
    trainer = _trainer(done)
    rest = ResumableSampler(_dataset(23), 4, trainer)
    rest.load_state_dict(state)
    assert len(rest) == 23
    assert list(rest) == epochs[1][4 * done :]
    trainer.fit_loop.epoch_loop.batch_progress.current.processed = 0
    assert list(rest) == epochs[2]


@pytest.mark.parametrize(('length', 'num_processes'), [(23, 2), (24, 3), (2, 5)])
def test_processes_share_each_epoch(length: int, num_processes: int) -> None:
    shares = [
        list(_sampler(length, rank=rank, num_processes=num_processes))
        for rank in range(num_processes)
    ]
    seen = [index for share in shares for index in share]
    assert {len(share) for share in shares} == {-(-length // num_processes)}
    assert set(seen) == set(range(length))
    assert len(seen) - length == -length % num_processes


def test_a_state_is_plain_and_of_an_epoch_that_has_begun() -> None:
    sampler = _sampler()
    assert sampler.state_dict()['epoch'] == -1
    list(sampler)
    # Stopped in the first batch: the epoch has to be begun once more.
    assert sampler.state_dict()['epoch'] == -1
    sampler = _sampler(done=1)
    list(sampler)
    assert sampler.state_dict()['epoch'] == 0
    assert {type(value) for value in sampler.state_dict().values()} == {int}


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'batch_size': 5}, r'batch_size=4 as in the checkpoint, got 5: .*middle'),
        ({'length': 22}, r'num_patches=23 as in the checkpoint, got 22'),
        ({'num_processes': 2}, r'num_processes=1 as in the checkpoint, got 2'),
    ],
)
def test_an_epoch_cut_otherwise_is_refused_in_its_middle_alone(
    changed: dict[str, int], message: str
) -> None:
    state = _sampler(done=2).state_dict()
    middle = _sampler(**{'done': 2} | changed)
    middle.load_state_dict(state)
    with pytest.raises(ValueError, match=message):
        list(middle)
    end = _sampler(**changed)
    end.load_state_dict(state)
    assert len(list(end)) == len(end)


def _draw(**counts: int) -> list[float]:
    sampler = _sampler(**counts)
    torch.rand(counts.get('total', 0))
    sampler.seed_batch()
    return torch.rand(5).tolist()


def test_what_is_drawn_for_a_batch_depends_on_its_place_alone() -> None:
    assert _draw(done=1, total=3) == _draw(done=0, total=3)
    places = [(total, rank) for total in range(4) for rank in range(3)]
    drawn = {tuple(_draw(total=t, rank=r, num_processes=3)) for t, r in places}
    assert len(drawn) == len(places)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_loader_looks_where_it_stands_when_it_is_read(num_workers: int) -> None:
    trainer = _trainer(done=5)
    loader = ResumableLoader(
        _dataset(23), 4, sampler=ResumableSampler(_dataset(23), 4, trainer),
        num_workers=num_workers, persistent_workers=num_workers > 0,
    )  # fmt: skip
    iterator = iter(loader)
    progress = trainer.fit_loop.epoch_loop.batch_progress
    progress.current.processed = 2
    loaded = [index for (batch,) in iterator for index in batch.tolist()]
    progress.current.processed = 0
    assert len(loaded) == 15
    again = [index for (batch,) in loader for index in batch.tolist()]
    assert sorted(again) == list(range(23))
    assert len(loader) == 6
