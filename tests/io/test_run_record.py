import json
import os
import signal
from pathlib import Path

import pytest

from dfc2020_geo.io.run_record import RECORD_NAME, RunRecord
from tests.support.processes import CONTEXT

DATA = Path(__file__).parents[1] / 'data'
OUTPUTS = ['a.tif', 'b.tif']


def _begin(root: Path, lr: float = 1.0, overwrite: bool = False) -> list[str]:
    (root / 'out').mkdir(exist_ok=True)
    record = RunRecord(root / 'out', {'lr': lr}, OUTPUTS)
    missing = record.find_pending(overwrite)
    record.begin()
    return missing


def _write(root: Path, *names: str) -> RunRecord:
    """Write outputs as one of the processes of a run."""
    record = RunRecord(root / 'out', {'lr': 1.0}, OUTPUTS)
    for name in names:
        (root / 'out' / name).write_text(f'content of {name}')
        record.note(name)
    return record


def test_an_unfinished_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    assert _begin(tmp_path) == OUTPUTS
    _write(tmp_path, 'a.tif')
    (tmp_path / 'out' / 'b.tif.part').touch()
    assert _begin(tmp_path) == ['b.tif']
    assert not (tmp_path / 'out' / 'b.tif.part').exists()


def test_a_finished_run_is_refused_unless_overwritten(tmp_path: Path) -> None:
    _begin(tmp_path)
    assert _write(tmp_path, *OUTPUTS).finish() == 0
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {*OUTPUTS, 'run.json'}
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
    assert _write(tmp_path, 'a.tif').finish() == 1
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


@pytest.mark.parametrize('content', ['', 'content of a', 'content of a.tiF'])
def test_a_file_that_is_no_longer_whole_is_written_anew(
    tmp_path: Path, content: str
) -> None:
    _begin(tmp_path)
    _write(tmp_path, *OUTPUTS)
    (tmp_path / 'out' / 'a.tif').write_text(content)
    assert _begin(tmp_path) == ['a.tif']


def test_a_note_that_was_cut_off_is_none(tmp_path: Path) -> None:
    _begin(tmp_path)
    _write(tmp_path, *OUTPUTS)
    (notes,) = (tmp_path / 'out').glob('run.files-*')
    notes.write_bytes(notes.read_bytes()[:-10])
    assert _begin(tmp_path) == ['b.tif']
    _write(tmp_path, 'b.tif')
    assert _begin(tmp_path) == []


def test_what_several_processes_note_is_kept(tmp_path: Path) -> None:
    _begin(tmp_path)
    for name in OUTPUTS:
        _write(tmp_path, name)
    for _ in range(2):
        assert _begin(tmp_path) == []
        assert {p.name for p in (tmp_path / 'out').iterdir()} == {*OUTPUTS, 'run.json'}
    assert RunRecord(tmp_path / 'out', {'lr': 1.0}, OUTPUTS).finish() == 0


def test_notes_of_another_run_are_forgotten(tmp_path: Path) -> None:
    _begin(tmp_path)
    _write(tmp_path, *OUTPUTS)
    _begin(tmp_path, lr=2.0, overwrite=True)
    assert _begin(tmp_path, lr=2.0) == OUTPUTS


def test_a_note_holds_what_its_writer_needs(tmp_path: Path) -> None:
    _begin(tmp_path)
    record = _write(tmp_path, 'a.tif')
    record.note('a.tif', content={'rows': [1, 2.5, None]})
    assert record.whole_files()['a.tif'].content == {'rows': [1, 2.5, None]}


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    first, second = (RunRecord(tmp_path, {}) for _ in range(2))
    first.lock()
    with pytest.raises(FileExistsError, match=r'is being written by another process'):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
    assert not any(tmp_path.iterdir())


def _die_with_lock(directory: Path) -> None:
    RunRecord(directory, {}).lock()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    process = CONTEXT.Process(target=_die_with_lock, args=(tmp_path,))
    process.start()
    process.join()
    record = RunRecord(tmp_path, {})
    record.lock()
    record.unlock()


def test_a_finished_run_of_the_first_version_is_recognised(tmp_path: Path) -> None:
    record = json.loads((DATA / 'run_record_1.json').read_text())
    assert record.keys() == {'finished', 'settings', 'outputs'}
    for name in record['outputs']:
        (tmp_path / name).touch()
    path = tmp_path / RECORD_NAME
    path.write_text(json.dumps(record))
    same = RunRecord(tmp_path, record['settings'], record['outputs'])
    with pytest.raises(FileExistsError, match='outputs of the same run, finished'):
        same.find_pending()
    other = RunRecord(tmp_path, record['settings'] | {'tta': True}, record['outputs'])
    with pytest.raises(FileExistsError, match=r'other tta \(false, now true\)'):
        other.find_pending()
    path.write_text(json.dumps(record | {'finished': False}))
    with pytest.raises(FileExistsError, match='unfinished outputs of an earlier vers'):
        same.find_pending()
    assert same.find_pending(overwrite=True) == record['outputs']


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    _begin(tmp_path)
    path = tmp_path / 'out' / RECORD_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {'version': 99}))
    with pytest.raises(RuntimeError, match=r'version 2 or older, got 99 in .*run.json'):
        _begin(tmp_path)
