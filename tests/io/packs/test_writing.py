"""Packing: what can go wrong, and that it goes on to the same bytes."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import xxhash

from dfc2020_geo.cli.pack import ByteProgress
from dfc2020_geo.datasets import PatchesNotFoundError, SEN12MSPatches
from dfc2020_geo.io.packs import find_damage, open_pack
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.main import main
from dfc2020_geo.synthetic import write_sen12ms as write_synthetic
from tests.support.pack_trees import content, write, write_sen12ms

COMMAND = [sys.executable, '-m', 'dfc2020_geo', 'pack']


def arguments(root: Path, out: Path, *more: str) -> list[str]:
    return ['--root', str(root), '--out', str(out), *more]


@pytest.mark.parametrize('compress', [None, 'deflate'], ids=str)
def test_a_pack_is_no_larger_than_its_source(
    tmp_path: Path, compress: str | None
) -> None:
    root = write_synthetic(
        tmp_path / 't', seasons=['ROIs1158_spring'], scenes_per_season=2
    )
    if compress:
        recompressed(root, tmp_path / 'c', predictor=2)
        root = tmp_path / 'c'
    packed = pack_tree(root, tmp_path / 'p', 'compact' if compress else 'fast')
    sizes = [sum(map(len, content(path).values())) for path in (root, tmp_path / 'p')]
    assert sizes == [packed.source_bytes, packed.pack_bytes]
    assert sizes[1] <= sizes[0]
    if not compress:
        # Labels of large fields and of float32 with noise become little less.
        compact = pack_tree(root, tmp_path / 'q', 'compact')
        assert compact.pack_bytes < 0.6 * packed.pack_bytes


def recompressed(root: Path, out: Path, predictor: int) -> None:
    from dfc2020_geo.io.rasters import read_raw

    for path in root.rglob('*.tif'):
        pixels = read_raw(path, [1])
        values = read_raw(path, range(1, pixels.num_bands + 1)).values
        number = 3 if values.dtype.kind == 'f' else predictor
        target = out / path.relative_to(root)
        write(target, values, compress='deflate', predictor=number)
    shutil.copy(root / 'SEN12MS_holdOutScenes.txt', out)


def test_what_is_compressed_better_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).random((1, 256, 256)).astype('float32')
    values[:, :, 1:] = values[:, :, :1]
    columns = np.ascontiguousarray(values.swapaxes(1, 2))
    for number in range(3):
        write(tmp_path / f't/{number}.tif', columns, compress='deflate', zlevel=9)
    main(['pack', *arguments(tmp_path / 't', tmp_path / 'p')])
    told = capsys.readouterr().out
    assert 'larger than its source: the source is compressed' in told
    assert 'Packed 3 files: ' in told


def test_other_files_are_lists_or_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_sen12ms(tmp_path / 't')
    (root / 'splits').mkdir()
    for name in ('splits/a.csv', 'big.zip', 'readme.pdf', '.hidden.tif', '._x.tif'):
        (root / name).write_text(name)
    write(root / '__MACOSX/x.tif', np.ones((1, 2, 2), 'uint8'))
    main(['pack', *arguments(root, tmp_path / 'p', '--workers', '1')])
    told = capsys.readouterr().out
    assert 'Left out 2 files' in told
    assert told.splitlines()[-1].startswith('Packed 14 files: ')
    assert {*content(tmp_path / 'p')} == {
        'pack.json',
        'splits/a.csv',
        'SEN12MS_holdOutScenes.txt',
        'shards/00000.safetensors',
        'shards/index.safetensors',
    }
    main(['pack', *arguments(root, tmp_path / 'p')])
    assert capsys.readouterr().out.splitlines()[-1].startswith('Already packed: 14')


@pytest.mark.parametrize('name', ['fast', 'compact'])
def test_workers_do_not_change_a_byte(tmp_path: Path, name: str) -> None:
    root = write_sen12ms(tmp_path / 't', num=7)
    for workers in (1, 3):
        out = tmp_path / f'p{workers}'
        pack_tree(root, out, name, shard_size=20_000, workers=workers)
    assert content(tmp_path / 'p1') == content(tmp_path / 'p3')
    assert len(open_pack(tmp_path / 'p1').manifest.shards) > 3


def kill_group(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize('workers', ['1', '2'])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, workers: str) -> None:
    root = write_sen12ms(tmp_path / 't', num=60, side=64)
    pack_tree(root, tmp_path / 'whole', shard_size=100_000)
    out = tmp_path / 'p'
    more = ['--shard_size', '100KB', '--workers', workers]
    command = [*COMMAND, *arguments(root, out, *more)]
    rng, counts = random.Random(int(workers)), []
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        begun = sum(1 for _ in out.glob('shards/0*')) if out.exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            done = len([*out.glob('shards/0*')]) if out.exists() else 0
            if done > begun + rng.randrange(4):
                break
        kill_group(process)
        counts.append(len([*out.glob('shards/0*.safetensors')]))
        if not (out / 'pack.json').exists():
            with pytest.raises(PatchesNotFoundError, match='finished pack, got one'):
                SEN12MSPatches(out)
    assert counts == sorted(counts)
    assert counts[0] < len([*(tmp_path / 'whole/shards').glob('0*')])
    # Workers whose parent was killed end soon.
    for attempt in range(50):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
        assert attempt < 49
    assert content(out) == content(tmp_path / 'whole')


def children(number: int) -> list[int]:
    text = Path(f'/proc/{number}/task/{number}/children').read_text()
    return [int(child) for child in text.split()]


def is_worker(number: int) -> bool:
    try:
        return 'spawn_main' in Path(f'/proc/{number}/cmdline').read_text()
    except OSError:
        return False


@pytest.mark.slow
def test_a_killed_worker_ends_in_an_error(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=150, side=64)
    more = ['--shard_size', '100KB', '--workers', '2']
    command = [*COMMAND, *arguments(root, tmp_path / 'p', *more)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    workers: list[int] = []
    while not workers and process.poll() is None:
        workers = [c for c in children(process.pid) if is_worker(c)]
    os.kill(workers[0], signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'Expected all workers to finish, got one that was killed' in told
    assert 'Traceback' not in told
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert not [*find_damage(open_pack(tmp_path / 'p'))]


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=150, side=64)
    more = ['--shard_size', '100KB', '--workers', '2']
    process = subprocess.Popen([*COMMAND, *arguments(root, tmp_path / 'p', *more)])
    workers: list[int] = []
    while len(workers) < 2 and process.poll() is None:
        workers = [c for c in children(process.pid) if is_worker(c)]
    kill_group(process)
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(map(is_worker, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_worker, workers))


@pytest.mark.parametrize('workers', [1, 2])
def test_a_damaged_source_is_named_and_no_half_file_left(
    tmp_path: Path, workers: int
) -> None:
    root = write_sen12ms(tmp_path / 't')
    name = 'ROIs1158_spring/s1_1/ROIs1158_spring_s1_1_p2.tif'
    whole = (root / name).read_bytes()
    (root / name).write_bytes(whole[:-100])
    with pytest.raises(RuntimeError, match=f'damaged or missing one: .*{name}'):
        pack_tree(root, tmp_path / 'p', shard_size=1, workers=workers)
    assert not [*(tmp_path / 'p').rglob('*.part')]
    assert not (tmp_path / 'p/pack.json').exists()
    # Mended, its shard is packed anew.
    (root / name).write_bytes(whole)
    pack_tree(root, tmp_path / 'p', shard_size=1)
    pack_tree(root, tmp_path / 'q', shard_size=1)
    assert content(tmp_path / 'p') == content(tmp_path / 'q')


def test_what_has_changed_between_runs_is_packed_anew(tmp_path: Path) -> None:
    root, out = write_sen12ms(tmp_path / 't', num=6), tmp_path / 'p'

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_tree(root, out, shard_size=1, report=stop)
    assert len([*out.glob('shards/0*')]) == 6
    untouched = out / 'shards/00003.safetensors'
    before = untouched.stat().st_mtime_ns
    write_sen12ms(root, num=1, seed=1)
    pack_tree(root, out, shard_size=1)
    pack_tree(root, tmp_path / 'q', shard_size=1)
    assert content(out) == content(tmp_path / 'q')
    assert untouched.stat().st_mtime_ns == before


NODATA = (
    '<PAMDataset><PAMRasterBand band="1"><NoDataValue>{}</NoDataValue></PAMRasterBand>'
    '</PAMDataset>'
)
#: What lies beside a raster, two contents of it, and which of a raster's facts it is.
BESIDE = {
    '.tif.aux.xml': (NODATA.format(3), NODATA.format(11), 'nodata'),
    '.tfw': ('10\n0\n0\n-10\n5\n5\n', '20\n0\n0\n-20\n5\n5\n', 'transform'),
    '.wld': ('10\n0\n0\n-10\n5\n5\n', '20\n0\n0\n-20\n5\n5\n', 'transform'),
}


@pytest.mark.parametrize('end', BESIDE)
def test_what_changes_beside_a_raster_is_a_change_of_it(
    tmp_path: Path, end: str
) -> None:
    before, after, fact = BESIDE[end]
    root, out = tmp_path / 't', tmp_path / 'p'
    for number in range(3):
        values = np.full((1, 2, 2), number, 'uint8')
        write(root / f'{number}.tif', values, crs=None, transform=None)
    beside = root / f'1{end}'
    beside.write_text(before)
    pack_tree(root, out, shard_size=1)
    assert not pack_tree(root, out, shard_size=1).is_new
    for change in (lambda: beside.write_text(after), beside.unlink):
        change()
        with pytest.raises(FileExistsError, match='with files of other sizes or times'):
            pack_tree(root, out, shard_size=1)
    facts = []
    for text in (before, after):
        beside.write_text(text)
        shutil.rmtree(out)
        pack_tree(root, out, shard_size=1)
        pack = open_pack(out)
        nodata = pack.read_raw(out / '1.tif', [1]).nodata
        facts.append(
            {'nodata': nodata, 'transform': pack.grid(out / '1.tif').transform}
        )
    assert [key for key in facts[0] if facts[0][key] != facts[1][key]] == [fact]


def test_a_shard_is_packed_anew_when_a_file_beside_has_changed(tmp_path: Path) -> None:
    root, out = tmp_path / 't', tmp_path / 'p'
    for number in range(3):
        write(root / f'{number}.tif', np.full((1, 2, 2), number, 'uint8'))
    sidecar = root / '1.tif.aux.xml'
    sidecar.write_text(NODATA.format(3))

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_tree(root, out, shard_size=1, report=stop)
    shards = sorted(out.glob('shards/0*'))
    times = [path.stat().st_mtime_ns for path in shards]
    sidecar.write_text(NODATA.format(11))
    pack_tree(root, out, shard_size=1)
    pack_tree(root, tmp_path / 'q', shard_size=1)
    assert content(out) == content(tmp_path / 'q')
    same = [p.stat().st_mtime_ns == t for p, t in zip(shards, times, strict=True)]
    assert same == [True, False, True]

    def forget(done: int, total: int) -> None:
        sidecar.unlink(missing_ok=True)

    with pytest.raises(RuntimeError, match=r'got a change of .*1\.tif; run'):
        pack_tree(root, tmp_path / 'r', shard_size=1, report=forget)


def test_a_tree_with_nothing_beside_is_recognised_as_ever(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=1)
    (root / 'readme.xml').touch()
    for path in root.rglob('*'):
        os.utime(path, ns=(0, 10**18))
    pack_tree(root, tmp_path / 'p')
    source = open_pack(tmp_path / 'p').manifest.source
    folder = 'ROIs1158_spring'
    files = [f'{folder}/{k}_1/{folder}_{k}_1_p0.tif' for k in ('lc', 's1', 's2')]
    files.append('SEN12MS_holdOutScenes.txt')
    text = ''.join(f'{f}\0{(root / f).stat().st_size}\0{10**18}\0' for f in files)
    assert source['times'] == xxhash.xxh3_64_hexdigest(text.encode())


def test_a_source_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=6)
    name = 'ROIs1158_spring/s2_1/ROIs1158_spring_s2_1_p5.tif'

    def touch(done: int, total: int) -> None:
        os.utime(root / name)

    with pytest.raises(RuntimeError, match=f'got a change of .*{name}'):
        pack_tree(root, tmp_path / 'p', shard_size=1, report=touch)


def test_another_source_or_other_settings_are_refused(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    out = tmp_path / 'p'
    pack_tree(root, out, shard_size=50_000)
    before = content(out)
    with pytest.raises(FileExistsError, match='with format fast instead of compact'):
        pack_tree(root, out, 'compact', shard_size=50_000)
    with pytest.raises(FileExistsError, match='shard_size 50000 instead of 60000'):
        pack_tree(root, out, shard_size=60_000)
    assert not pack_tree(root, out, shard_size=50_000).is_new
    write_sen12ms(root, num=1, seed=1)
    with pytest.raises(FileExistsError, match='with files of other sizes or times'):
        pack_tree(root, out, shard_size=50_000)
    write_sen12ms(root, num=5)
    with pytest.raises(FileExistsError, match='with files 13 instead of 16; '):
        pack_tree(root, out, shard_size=50_000)
    assert content(out) == before
    (tmp_path / 'q').mkdir()
    (tmp_path / 'q/thesis.tex').write_text('...')
    with pytest.raises(FileExistsError, match=r'empty folder for the pack, got .*/q'):
        pack_tree(root, tmp_path / 'q')


def test_impossible_places_are_refused(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    (tmp_path / 'link').symlink_to(root)
    for out in (root, root / 'p', tmp_path, tmp_path / 'link/p'):
        with pytest.raises(ValueError, match='--out beside the tree, got'):
            pack_tree(root, out)
    pack_tree(root, tmp_path / 'p')
    with pytest.raises(ValueError, match=r'tree of GeoTIFFs, got a pack: .*/p'):
        pack_tree(tmp_path / 'p', tmp_path / 'q')
    with pytest.raises(FileNotFoundError, match=r'got no such folder: .*/none'):
        pack_tree(tmp_path / 'none', tmp_path / 'q')
    (tmp_path / 'list').touch()
    with pytest.raises(FileNotFoundError, match=r'got a file: .*list'):
        pack_tree(tmp_path / 'list', tmp_path / 'q')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'Expected GeoTIFFs in .*/empty'):
        pack_tree(tmp_path / 'empty', tmp_path / 'q')
    assert not (tmp_path / 'q').exists()


@pytest.mark.parametrize(
    ('more', 'says'),
    [
        (('--shard_size', 'many'), "shard_size as in 256MB or 2GB, got 'many'"),
        (('--shard_size', '0'), "got '0'"),
        (('--workers', 'x'), "invalid int value: 'x'"),
        (('--workers', '0'), 'Expected --workers from 1, got 0'),
        (('--verify', 'x'), 'Expected --verify PACK alone'),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_told(
    tmp_path: Path, more: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_sen12ms(tmp_path / 't', num=1)
    with pytest.raises(SystemExit) as stop:
        main(['pack', *arguments(root, tmp_path / 'p', *more)])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / 'p').exists()


def test_another_pack_is_replaced_when_it_may_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (write_sen12ms(tmp_path / n, num=i) for n, i in (('a', 1), ('b', 2)))
    out, expected = tmp_path / 'p', tmp_path / 'q'
    for root, folder in ((one, out), (other, expected)):
        main(['pack', *arguments(root, folder)])
    with pytest.raises(SystemExit, match='1'):
        main(['pack', *arguments(other, out)])
    assert 'another --out, or add --overwrite' in capsys.readouterr().err
    main(['pack', *arguments(other, out, '--overwrite')])
    assert content(out) == content(expected)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'text').touch()
    with pytest.raises(SystemExit, match='1'):
        main(['pack', *arguments(one, tmp_path / 'mine', '--overwrite')])
    assert [p.name for p in (tmp_path / 'mine').iterdir()] == ['text']


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't', num=8, side=64)
    command = [*COMMAND, *arguments(root, tmp_path / 'p', '--workers', '1')]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 1
    assert 'No free space to write' in done.stderr
    assert 'make room there and run the same command again' in done.stderr
    assert not [*(tmp_path / 'p/shards').iterdir()]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_names_of_all_kinds_are_packed(tmp_path: Path) -> None:
    values = np.arange(4, dtype='uint8').reshape(1, 2, 2)
    names = ['é.tif', 'a b%.TIF', 'x' * 200 + '.tiff', '\U0001f30d.tif', '\ufb01.tif']
    for name in names:
        write(tmp_path / 't' / name, values)
    pack_tree(tmp_path / 't', tmp_path / 'p')
    pack = open_pack(tmp_path / 'p')
    assert sorted(pack.names('')) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(pack.read_raw(name, [1]).values, values)
    shutil.copy(tmp_path / 't' / names[0], tmp_path / 't' / os.fsdecode(b'\xff.tif'))
    with pytest.raises(
        ValueError, match=r"got '\\udcff.tif' with bytes that are no text in .*/t"
    ):
        pack_tree(tmp_path / 't', tmp_path / 'q')


class Terminal:
    def __init__(self, is_terminal: bool) -> None:
        self.text = ''
        self.is_terminal = is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize('is_terminal', [True, False])
def test_progress_tells_rate_and_time_left(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 10.0, 40.0])
    terminal = Terminal(is_terminal)
    monkeypatch.setattr('sys.stderr', terminal)
    monkeypatch.setattr('dfc2020_geo.cli.pack.monotonic', lambda: next(times))
    progress = ByteProgress('Packed')
    # 100 MB were there before: they say nothing of the rate.
    for done in (100, 150, 300):
        progress(done * 10**6, 1100 * 10**6)
    lines = [line.strip() for line in terminal.text.replace('\r', '\n').split('\n')]
    assert 'Packed 300 of 1,100 MB, 5 MB/s, 0:02:40 left' in lines
    assert ('Packed 150 of 1,100 MB, 5 MB/s, 0:03:10 left' in lines) == is_terminal


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    for name, make in (('a.tif', os.mkfifo), ('b.txt', lambda p: os.symlink('no', p))):
        make(root / name)
        with pytest.raises(
            FileNotFoundError, match=f'to nothing, .*{root / name}; rem'
        ):
            pack_tree(root, tmp_path / 'p')
        (root / name).unlink()
    os.symlink('nowhere', root / 'readme')
    assert pack_tree(root, tmp_path / 'p').num_left_out == 1


def test_folders_that_may_not_be_listed_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_sen12ms(tmp_path / 't')
    (root / 'lost+found').mkdir()
    closed = root / 'lost+found'

    # The administrator, who may run tests, may list everything.
    def may_list(path: str, mode: int) -> bool:
        return path != str(closed)

    monkeypatch.setattr(os, 'access', may_list)
    main(['pack', *arguments(root, tmp_path / 'p', '--workers', '1')])
    told = capsys.readouterr().out
    assert 'Left out folders that may not be listed: lost+found.' in told
    closed = root / 'ROIs1158_spring/s2_1'
    with pytest.raises(PermissionError, match=f'may be listed, got {closed}'):
        pack_tree(root, tmp_path / 'q')
    assert not (tmp_path / 'q').exists()


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    (tmp_path / 'p').touch()
    with pytest.raises(
        OSError, match=r'got .*/p \(Not a directory\); .* another --out'
    ):
        pack_tree(root, tmp_path / 'p')


def test_a_finished_pack_that_lacks_a_file_is_not_called_packed(tmp_path: Path) -> None:
    root = write_sen12ms(tmp_path / 't')
    pack_tree(root, tmp_path / 'p', shard_size=1)
    for name in ('shards/00002.safetensors', 'SEN12MS_holdOutScenes.txt'):
        whole = (tmp_path / 'p' / name).read_bytes()
        (tmp_path / 'p' / name).write_bytes(whole[:-1])
        with pytest.raises(RuntimeError, match=f'{name} .*{len(whole) - 1} bytes, not'):
            pack_tree(root, tmp_path / 'p', shard_size=1)
        (tmp_path / 'p' / name).unlink()
        with pytest.raises(RuntimeError, match=f'{name} .*no such file'):
            pack_tree(root, tmp_path / 'p', shard_size=1)
        (tmp_path / 'p' / name).write_bytes(whole)
    assert not pack_tree(root, tmp_path / 'p', shard_size=1).is_new


def test_a_damaged_record_is_refused_as_another_file(tmp_path: Path) -> None:
    root, record = write_sen12ms(tmp_path / 't'), tmp_path / 'p/run.json'
    record.parent.mkdir(parents=True)
    for text in ('', '[]', '{"format": "fast"}'):
        record.write_text(text)
        with pytest.raises(FileExistsError, match=f'{tmp_path / "p"} with other files'):
            pack_tree(root, tmp_path / 'p')


def test_a_shard_that_was_damaged_meanwhile_is_written_anew(tmp_path: Path) -> None:
    root, out = write_sen12ms(tmp_path / 't'), tmp_path / 'p'

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_tree(root, out, shard_size=1, report=stop)
    shard = out / 'shards/00001.safetensors'
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done: list[int] = []
    pack_tree(root, out, shard_size=1, report=lambda now, total: done.append(now))
    assert len(done) == 2
    assert shard.read_bytes() == whole
    assert not [*find_damage(open_pack(out))]
    assert not [*out.glob('run.*')]


def test_who_comes_when_another_has_just_finished_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = write_sen12ms(tmp_path / 't'), tmp_path / 'p'
    acquire, before = filelock.FileLock.acquire, {}

    def finish_first(lock: filelock.FileLock, **options: Any) -> Any:
        monkeypatch.setattr(filelock.FileLock, 'acquire', acquire)
        pack_tree(root, out)
        before.update({path: path.stat().st_ino for path in out.rglob('*')})
        return acquire(lock, **options)

    monkeypatch.setattr(filelock.FileLock, 'acquire', finish_first)
    assert not pack_tree(root, out).is_new
    assert {path: path.stat().st_ino for path in out.rglob('*')} == before


def test_nobody_writes_the_same_pack_at_the_same_time(tmp_path: Path) -> None:
    root, out = write_sen12ms(tmp_path / 't'), tmp_path / 'p'
    refused = []

    def begin_another(done: int, total: int) -> None:
        for name in ('fast', 'compact'):
            with pytest.raises(FileExistsError) as error:
                pack_tree(root, out, name)
            refused.append(str(error.value))

    pack_tree(root, out, report=begin_another)
    assert 'is being written by another process; wait for it' in refused[0]
    assert 'format fast instead of compact' in refused[1]
    pack_tree(root, tmp_path / 'q')
    assert content(out) == content(tmp_path / 'q')


@pytest.mark.parametrize('name', ['index.safetensors', 'pack.json', 'Scenes.txt'])
def test_a_disk_that_is_full_at_the_end_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, replace = write_sen12ms(tmp_path / 't'), os.replace

    def fail(source: Path, target: Path) -> None:
        if str(target).endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', fail)
        with pytest.raises(
            OSError, match=r'No free space to write .*No space .* same command again'
        ):
            pack_tree(root, tmp_path / 'p')
    assert not [*(tmp_path / 'p').rglob('*.part')]
    pack_tree(root, tmp_path / 'p')
    pack_tree(root, tmp_path / 'q')
    assert content(tmp_path / 'p') == content(tmp_path / 'q')
