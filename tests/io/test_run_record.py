from pathlib import Path

import pytest
import torch
from torch import nn

from dfc2020_geo.io.run_record import (
    begin_record,
    finish_record,
    hash_weights,
    missing_outputs,
)

OUTPUTS = ['a.tif', 'b.tif']


def _begin(root: Path, lr: float = 1.0, overwrite: bool = False) -> list[str]:
    missing = missing_outputs(root / 'out', {'lr': lr}, OUTPUTS, overwrite)
    begin_record(root / 'out', {'lr': lr}, OUTPUTS)
    return missing


def test_an_unfinished_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    assert _begin(tmp_path) == OUTPUTS
    (tmp_path / 'out' / 'a.tif').touch()
    (tmp_path / 'out' / 'b.tif.part').touch()
    assert _begin(tmp_path) == ['b.tif']
    assert not (tmp_path / 'out' / 'b.tif.part').exists()


def test_a_finished_run_is_refused_unless_overwritten(tmp_path: Path) -> None:
    _begin(tmp_path)
    for name in OUTPUTS:
        (tmp_path / 'out' / name).touch()
    assert finish_record(tmp_path / 'out') == 0
    with pytest.raises(FileExistsError, match=r'same run, finished.* set overwrite'):
        _begin(tmp_path)
    assert _begin(tmp_path, overwrite=True) == OUTPUTS
    assert not (tmp_path / 'out' / 'a.tif').exists()


def test_other_settings_are_named(tmp_path: Path) -> None:
    _begin(tmp_path)
    (tmp_path / 'out' / 'a.tif').touch()
    with pytest.raises(FileExistsError, match='a run with other lr'):
        _begin(tmp_path, lr=2.0)
    assert (tmp_path / 'out' / 'a.tif').exists()


def test_a_run_that_wrote_nothing_is_in_nobodys_way(tmp_path: Path) -> None:
    _begin(tmp_path)
    assert _begin(tmp_path, lr=2.0) == OUTPUTS


def test_a_run_with_missing_outputs_is_not_finished(tmp_path: Path) -> None:
    _begin(tmp_path)
    (tmp_path / 'out' / 'a.tif').touch()
    assert finish_record(tmp_path / 'out') == 1
    assert _begin(tmp_path) == ['b.tif']


@pytest.mark.parametrize('content', ['', '{}', '[1]', 'text'])
def test_what_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'run.json').write_text(content)
    with pytest.raises(ValueError, match=r'record of a run, got .*run.json; remove it'):
        _begin(tmp_path)


def test_files_of_nobody_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'notes.txt').touch()
    (tmp_path / 'out' / 'b.tif').touch()
    with pytest.raises(FileExistsError, match='files of the same names'):
        _begin(tmp_path)
    assert _begin(tmp_path, overwrite=True) == OUTPUTS
    assert (tmp_path / 'out' / 'notes.txt').exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / 'out').touch()
    with pytest.raises(OSError, match=r'can be written to, got .*out \(File exists\)'):
        _begin(tmp_path)


def test_other_weights_have_another_hash() -> None:
    network = nn.BatchNorm2d(2)
    before = hash_weights(network.state_dict())
    assert hash_weights(nn.BatchNorm2d(2).state_dict()) == before
    nn.init.constant_(network.weight, 2)
    assert hash_weights(network.state_dict()) != before
    nn.init.constant_(network.weight, 1.001)
    before = hash_weights(network.state_dict())
    assert hash_weights(network.bfloat16().state_dict()) != before


@pytest.mark.parametrize('kept', [torch.bfloat16, torch.float16, torch.float64])
def test_equal_weights_have_one_hash_in_whatever_type_they_are_kept(
    kept: torch.dtype,
) -> None:
    weights = {'a': torch.randn(3).to(kept), 'b': torch.arange(4)}
    as_loaded = {'a': weights['a'].float(), 'b': weights['b']}
    assert hash_weights(weights) == hash_weights(as_loaded)
