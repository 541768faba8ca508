"""Packs of strangers: a clear line with the path, nothing outside, no gigabytes."""

import copy
import functools
import json
import os
import shutil
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dfc2020_geo.datasets import PatchesNotFoundError, SEN12MSPatches, UnlabeledPatches
from dfc2020_geo.io.packs import find_damage, open_pack, remote
from dfc2020_geo.io.packs.manifest import INDEX, MAX_MANIFEST
from dfc2020_geo.io.packs.table import COLUMNS, RasterTable
from dfc2020_geo.io.packs.tensors import read_entries
from dfc2020_geo.io.run_record import FileStamp
from tests.support.pack_trees import content

PACKS = Path(__file__).parents[2] / 'data/packs'
SECRET = 'the secret of this machine'
MOST = 1 << 26


def seal(pack: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with the checksum that it should have."""
    text = json.dumps(manifest['pack'], sort_keys=True)
    digest = xxhash.xxh3_64_hexdigest(text.encode('utf-8', 'surrogatepass'))
    sealed = json.dumps({**manifest, 'digest': digest}) + '\n'
    (pack / 'pack.json').write_text(sealed)


def read_manifest(pack: Path) -> dict[str, Any]:
    return json.loads((pack / 'pack.json').read_text())


def use(root: Path | str) -> str | None:
    """Do with a pack all that can be done; return the message of its refusal."""
    try:
        for split in ('train', 'holdout'):
            dataset = SEN12MSPatches(root, split)
            for index in range(len(dataset)):
                dataset[index]
                dataset.grid(index)
                dataset.prediction_id(index)
        pack = open_pack(root)
        assert pack is not None
        return '\n'.join(find_damage(pack)) or None
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        return str(error)


@pytest.fixture(params=['v1_fast', 'v1_compact'])
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKS / request.param, tmp_path / 'pack'))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('DFC2020_GEO_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(remote, '_WAITS', (0, 0))
    return tmp_path / 'cache'


def test_sealing_a_pack_anew_changes_nothing(pack: Path) -> None:
    before = content(pack)
    seal(pack, read_manifest(pack))
    assert content(pack) == before
    assert use(pack) is None


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each value in a tree of values."""
    yield above
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from places(inner, (*above, key))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**32, 2**63, 2**64, 10**30, 0.5, 1e308]),
    st.sampled_from(['', 'x', '../../x', '/x', '\0', 'C:\\x', 'uint8', 'O', 'float64']),
    st.sampled_from(
        ['nan', 'inf', '/etc/hostname', 'EPSG:0', 'http://x/y', 'A[', 'fast']
    ),
    st.sampled_from(['0' * 16, 'f' * 16]),
    st.sampled_from([[], {}, [[]], [1, 2, 3], {'a': 1}, [None] * 7]),
    st.recursive(
        st.none(), lambda v: st.lists(v, min_size=1, max_size=1), max_leaves=50
    ),
)
NAMES = st.sampled_from(
    ['../../x.txt', '/tmp/x.txt', 'a\0.txt', '%2e%2e/x.txt', 'shards/x.txt', '..', 'x::y',
     'pack.json', 'a/b.txt', 'C:x.txt', '', 'ROIs1158_spring', 'a.tif']
)  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[dict[str, Any]], None]:
    """Draw a change of one place of a manifest."""
    number, kind = draw(st.integers(0, 10**6)), draw(st.sampled_from('rdak'))
    value, name = draw(VALUES), draw(NAMES)

    def change(manifest: dict[str, Any]) -> None:
        found = [place for place in places(manifest) if place]
        given = copy.deepcopy(value)
        *above, key = found[number % len(found)]
        holder = functools.reduce(lambda inner, k: inner[k], above, manifest)
        if kind == 'r':
            holder[key] = given
        elif kind == 'd':
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, given if kind == 'a' else copy.deepcopy(holder[key]))
        else:
            holder[name] = given if kind == 'a' else holder.pop(key)

    return change


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(['v1_fast', 'v1_compact']),
    changes=st.lists(mutations(), min_size=1, max_size=2),
    is_sealed=st.booleans(),
    is_remote=st.booleans(),
)
def test_any_change_of_a_manifest_is_told_in_a_line_with_the_path(
    name: str,
    changes: list[Callable[[dict[str, Any]], None]],
    is_sealed: bool,
    is_remote: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv('DFC2020_GEO_CACHE', f'{folder}/a/b/cache')
        patch.setattr(remote, '_WAITS', ())
        pack = Path(shutil.copytree(PACKS / name, f'{folder}/p/q/pack'))
        manifest = read_manifest(pack)
        for change in changes:
            change(manifest)
        if is_sealed and isinstance(manifest.get('pack'), dict):
            seal(pack, manifest)
        else:
            (pack / 'pack.json').write_text(json.dumps(manifest) + '\n')
        before = content(pack)
        root: Path | str = pack
        if is_remote:
            files = fsspec.filesystem('memory')
            files.put(str(pack), '/hostile/pack', recursive=True)
            root = 'memory://hostile/pack'
        tracemalloc.start()
        told = use(root)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MOST
        assert content(pack) == before
        mirrors = Path(folder, 'a/b/cache/packs')
        written = {*Path(folder).rglob('*')} - {*pack.rglob('*')}
        allowed = {pack, *pack.parents, mirrors, *mirrors.parents}
        assert all(path in allowed or mirrors in path.parents for path in written)
        if is_remote:
            files.rm('/hostile', recursive=True)
        if told is not None:
            assert '\n' not in told or 'Expected' in told
            assert str(root) in told or str(mirrors) in told, told
            assert len(told) < 3000


@pytest.mark.parametrize(
    'text',
    [
        '',
        'null',
        '[]',
        '{}',
        'pack',
        '[' * 100_000,
        '{"version": 1}',
        '{"version": 1, "digest": 1, "pack": 1}',
        '{"version": "1", "pack": {}}',
        '{"version": true, "pack": {}}',
        '{"version": 2, "digest": "x", "pack": {}}',
        '{"version": 1' + '0' * 5000 + '}',
        '{"version": 1, "digest": NaN, "pack": {}}',
        'ÿ',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_manifest_is_told(pack: Path, text: str) -> None:
    (pack / 'pack.json').write_text(text, encoding='latin-1')
    with pytest.raises(RuntimeError) as caught:
        open_pack(pack)
    told = str(caught.value)
    assert f'{pack}/pack.json' in told
    assert len(told) < 600
    assert '\n' not in told


def test_a_manifest_of_gigabytes_is_not_read(pack: Path) -> None:
    with (pack / 'pack.json').open('wb') as file:
        file.truncate(1 << 33)
    with pytest.raises(
        RuntimeError, match=rf'{pack}/pack.json .*{1 << 33} bytes, more'
    ):
        open_pack(pack)


HOSTILE = [
    '../../outside.txt', '/outside.txt', 'a/../../outside.txt', '%2e%2e/outside.txt',
    '%252e%252e/outside.txt', '..\\outside.txt', 'C:outside.txt', 'a\0b.txt', 'a\nb.txt',
    'x::file:outside.txt', '~/outside.txt', 'shards/00000.txt', 'pack.json.txt',
    'outside', 'a//b.txt', '.txt/',
]  # fmt: skip


@pytest.mark.parametrize('name', HOSTILE)
def test_a_name_that_leads_out_is_fetched_and_written_nowhere(
    pack: Path, cache: Path, tmp_path: Path, name: str
) -> None:
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            requests.append(self.path)

    manifest = read_manifest(pack)
    lists = manifest['pack']['lists']
    lists[name] = lists['SEN12MS_holdOutScenes.txt']
    seal(pack, manifest)
    shutil.copy(pack / 'SEN12MS_holdOutScenes.txt', tmp_path / 'outside.txt')
    before = content(tmp_path)
    handler = functools.partial(Handler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/pack'
        with pytest.raises(RuntimeError, match=rf'{url}/pack\.json as it was packed'):
            open_pack(url)
        server.shutdown()
    assert {*requests} == {'/pack/pack.json'}
    assert content(tmp_path) == before
    with pytest.raises(RuntimeError, match=rf'{pack}/pack\.json as it was packed'):
        open_pack(pack)


@pytest.mark.parametrize('what', ['manifest', 'shard'])
def test_a_server_that_sends_without_end_is_cut_off(
    pack: Path, cache: Path, tmp_path: Path, what: str
) -> None:
    sent = [0]

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            if not self.path.endswith(
                'pack.json' if what == 'manifest' else '0.safetensors'
            ):
                super().do_GET()
                return
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    sent[0] += self.wfile.write(b'x' * (1 << 16))
            except OSError:
                pass

    handler = functools.partial(Handler, directory=str(pack))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        with pytest.raises(RuntimeError, match=rf'{url}/.*got more'):
            SEN12MSPatches(url)[0]
        server.shutdown()
    assert sent[0] < 3 * MAX_MANIFEST + (1 << 26)
    assert not [*cache.rglob('*.part')]


def test_more_than_there_is_room_for_is_not_fetched(
    pack: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(pack)
    manifest['pack']['shards'][0][0] = 1 << 60
    seal(pack, manifest)
    files = fsspec.filesystem('memory')
    files.put(str(pack), '/hostile/pack', recursive=True)
    with pytest.raises(
        RuntimeError, match=rf'room for the {1 << 60} bytes of memory://'
    ):
        [*SEN12MSPatches('memory://hostile/pack')]
    files.rm('/hostile', recursive=True)
    assert {path.suffix for path in cache.rglob('00000*')} <= {'.lock'}


def change_table(pack: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the table of a pack, and all checksums with it."""
    path = pack / INDEX
    with path.open('rb') as file:
        entries = read_entries(file)
    whole = path.read_bytes()
    columns = {
        name: np.frombuffer(
            whole, e.dtype, int(np.prod(e.shape)), e.start
        ).reshape(e.shape).copy()
        for name, e in entries.items()
    }  # fmt: skip
    columns = {name: columns[name] for name in COLUMNS}
    change(columns)
    table, manifest = RasterTable(columns), read_manifest(pack)
    folders = manifest['pack']['folders']
    for folder in folders.values():
        folder[2] = table.digest(*folder[:2])
    table.write(path)
    manifest['pack']['index'] = FileStamp.of(path)
    seal(pack, manifest)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(['v1_fast', 'v1_compact']),
    column=st.sampled_from([c for c in COLUMNS if c not in ('transform', 'sum')]),
    row=st.integers(0, 8),
    value=st.sampled_from([0, 1, 2, 255, 4096, 2**31, 2**32 - 1, 2**63, 2**64 - 1]),
)
def test_any_change_of_a_table_is_told_in_a_line_with_the_path(
    name: str, column: str, row: int, value: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(shutil.copytree(PACKS / name, f'{folder}/pack'))

        def change(columns: dict[str, np.ndarray]) -> None:
            values = columns[column]
            values.reshape(-1)[row] = value & int(np.iinfo(values.dtype).max)

        change_table(pack, change)
        before = content(Path(folder))
        tracemalloc.start()
        told = use(pack)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MOST
        assert content(Path(folder)) == before
        assert told is None or str(pack) in told


@pytest.mark.parametrize(
    'name',
    ['../../evil_1.tif', '/evil_1.tif', 'a/b_1.tif', '..\\evil_1.tif', 'C:evil_1.tif',
     'a\nb_1.tif', '%2e%2e%2fevil_1.tif', 'a\0b_1.tif', '..'],
)  # fmt: skip
def test_a_raster_whose_name_leads_out_gives_no_name_to_a_map(
    pack: Path, name: str
) -> None:
    def change(columns: dict[str, np.ndarray]) -> None:
        raw = name.encode()
        columns['name'][0] = 0
        columns['name'][0, : len(raw)] = np.frombuffer(raw, np.uint8)

    manifest = read_manifest(pack)
    folders = manifest['pack']['folders']
    manifest['pack']['folders'] = {
        f's{i}': rows for i, rows in enumerate(folders.values(), 2)
    }
    seal(pack, manifest)
    change_table(pack, change)
    with pytest.raises(
        RuntimeError, match=rf'{pack}/{INDEX} as it was packed.*the name'
    ):
        UnlabeledPatches(pack, ['s2'])


@pytest.mark.parametrize(
    'name',
    ['pack.json', INDEX, 'shards/00000.safetensors', 'SEN12MS_holdOutScenes.txt'],
)
def test_a_link_that_leads_out_is_refused(
    pack: Path, tmp_path: Path, name: str
) -> None:
    shutil.move(pack / name, tmp_path / 'elsewhere')
    (pack / name).symlink_to(tmp_path / 'elsewhere')
    told = use(pack)
    assert told is not None
    assert f'{pack / name} as it was packed' in told
    assert 'a link that leads out' in told


def test_a_list_that_was_not_packed_tells_nothing_of_this_machine(
    pack: Path, tmp_path: Path
) -> None:
    (tmp_path / 'secret').write_text(SECRET)
    (pack / 'splits').mkdir()
    (pack / 'splits/train_list.txt').symlink_to(tmp_path / 'secret')
    manifest = read_manifest(pack)
    del manifest['pack']['lists']['SEN12MS_holdOutScenes.txt']
    seal(pack, manifest)
    (pack / 'SEN12MS_holdOutScenes.txt').unlink()
    told = use(pack)
    assert told is not None
    assert SECRET not in told
    assert f'{pack}/splits/train_list.txt' in told


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
@pytest.mark.parametrize('name', [INDEX, 'shards/00000.safetensors', 'pack.json'])
def test_a_pipe_is_named_and_not_waited_for(pack: Path, name: str) -> None:
    (pack / name).unlink()
    os.mkfifo(pack / name)
    if name == 'pack.json':  # then it is a folder without patches
        with pytest.raises(PatchesNotFoundError, match=str(pack)):
            SEN12MSPatches(pack)
        return
    told = use(pack)
    assert told is not None
    assert f'{pack / name} as it was packed, got a damaged one (no file' in told
