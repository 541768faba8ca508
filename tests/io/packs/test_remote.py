"""Packs on other machines are fetched once, whole, and read as those that are here."""

import functools
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from jsonargparse import ArgumentParser

from dfc2020_geo.datamodules import LandCoverDataModule
from dfc2020_geo.datasets import PatchesNotFoundError, SEN12MSPatches
from dfc2020_geo.io.packs import find_damage, open_pack, remote
from dfc2020_geo.io.packs.remote import find_url, local_path
from dfc2020_geo.io.packs.writing import pack_tree
from dfc2020_geo.main import main
from tests.support.pack_trees import rasters, write_sen12ms


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('DFC2020_GEO_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(remote, '_WAITS', (0, 0))
    return tmp_path / 'cache'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = write_sen12ms(tmp_path / 't', num=5)
    pack_tree(root, tmp_path / 'p', shard_size=1)
    return root


class Unreliable(MemoryFileSystem):
    """Files in memory, of which some reads fail and some give other bytes."""

    protocol = 'unreliable'
    cachable = False
    failures = 0
    opened: list[str] = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.removeprefix('unreliable://'))

    def _open(self, path: str, mode: str = 'rb', **options: object) -> object:
        file = super()._open(path, mode, **options)
        if 'r' in mode:
            type(self).opened.append(path)
            if type(self).failures > 0:
                type(self).failures -= 1
                raise TimeoutError('the line is dead')
        return file


fsspec.register_implementation('unreliable', Unreliable, clobber=True)


@pytest.fixture
def url(tree: Path) -> Iterator[str]:
    files = fsspec.filesystem('memory')
    files.put(str(tree.parent / 'p'), '/bucket/p', recursive=True)
    Unreliable.failures, Unreliable.opened = 0, []
    yield 'unreliable://bucket/p'
    files.rm('/bucket', recursive=True)


@pytest.mark.parametrize(
    ('root', 'expected'),
    [
        ('s3://bucket/a b/p', 's3://bucket/a b/p'),
        (Path('s3://bucket/p'), 's3://bucket/p'),
        (Path('memory:///p/'), 'memory://p'),
        ('https://host:80/p/', 'https://host:80/p'),
        (Path('https://host/p'), 'https://host/p'),
        ('simplecache::s3://b/p', 'simplecache::s3://b/p'),
        ('data/sen12ms', None),
        ('/data/s3:/x', None),
        ('C:/data', None),
        ('file:///data', None),
        (Path('file:///data'), None),
    ],
)
def test_a_path_that_was_a_url_is_one(root: Path | str, expected: str | None) -> None:
    assert find_url(root) == expected


def test_a_folder_that_looks_like_a_url_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('s3:/bucket').mkdir(parents=True)
    assert find_url('s3://bucket') is None
    assert local_path('file:///data/x') == local_path(Path('file:///data/x'))
    assert local_path('file:///data/x') == Path('/data/x')


@pytest.mark.usefixtures('cache')
def test_a_stage_reads_it(tree: Path, url: str) -> None:
    tree_data = LandCoverDataModule(
        sen12ms_root=tree, val='sen12ms_holdout', check='off'
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(LandCoverDataModule, 'data')
    for given in (url, 'memory://bucket/p'):
        args = [f'--data.sen12ms_root={given}', '--data.val=sen12ms_holdout']
        args += ['--data.check=off']  # of made-up numbers
        settings = parser.parse_args(args).data.as_dict()
        data = LandCoverDataModule(**settings)
        for module in (tree_data, data):
            module.setup('fit')
        for part in ('train_dataset', 'val_dataset'):
            here, there = getattr(tree_data, part), getattr(data, part)
            assert len(here) == len(there) > 0
            for expected, found in zip(here, there, strict=True):
                assert torch.equal(found['image'], expected['image'])
                assert torch.equal(found['mask'], expected['mask'])


def test_a_shard_is_fetched_when_it_is_needed_and_once(
    tree: Path, url: str, cache: Path
) -> None:
    dataset = SEN12MSPatches(url)
    assert not any('shards/0' in path for path in Unreliable.opened)
    dataset[0]
    assert sum('shards/0' in path for path in Unreliable.opened) == 1
    for _ in range(2):
        for sample in (
            dataset,
            pickle.loads(pickle.dumps(dataset)),
            SEN12MSPatches(url),
        ):
            assert len([*sample]) == 4
    assert sum('shards/0' in path for path in Unreliable.opened) == 4
    assert not [*cache.rglob('*.part')]


@pytest.mark.usefixtures('cache')
def test_threads_fetch_a_shard_once(tree: Path, url: str) -> None:
    pack = open_pack(url)
    names = rasters(tree)

    def read(name: str) -> bool:
        return pack.read_raw(name, [1]).num_bands > 0

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, names * 4))
    assert sum('shards/0' in path for path in Unreliable.opened) == 5


@pytest.mark.usefixtures('cache', 'tree')
def test_a_fetch_that_fails_is_tried_again_and_then_named(url: str) -> None:
    Unreliable.failures = 2
    dataset = SEN12MSPatches(url)
    Unreliable.failures = 100
    with pytest.raises(RuntimeError, match=rf'{url}/shards/0.*TimeoutError: the line'):
        dataset[0]
    Unreliable.failures = 0
    assert 'mask' in dataset[0]
    Unreliable.failures = 3
    with pytest.raises(RuntimeError, match=rf'{url}/pack.json to be fetched'):
        SEN12MSPatches(url)


def test_what_arrives_damaged_is_not_kept(url: str, cache: Path, tree: Path) -> None:
    files = fsspec.filesystem('memory')
    path = '/bucket/p/shards/00000.safetensors'
    whole = files.cat(path)
    pack = open_pack(url)
    name = next(iter(pack.in_shard(0)))
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        files.pipe(path, content)
        with pytest.raises(RuntimeError, match=rf'{url}/shards/00000\.safetensors'):
            pack.read_raw(name, [1])
        assert not [*cache.rglob('00000.safetensors')]
    files.pipe(path, whole)
    assert pack.read_raw(name, [1]).num_bands


def test_a_pack_made_anew_is_another_one(url: str, cache: Path, tree: Path) -> None:
    before = SEN12MSPatches(url)[0]['image']
    write_sen12ms(tree, num=5, seed=3)
    shutil.rmtree(tree.parent / 'p')
    pack_tree(tree, tree.parent / 'p', shard_size=1)
    fsspec.filesystem('memory').put(
        str(tree.parent / 'p') + '/', '/bucket/p', recursive=True
    )
    after = SEN12MSPatches(url)[0]['image']
    assert torch.equal(after, SEN12MSPatches(tree)[0]['image'])
    assert not torch.equal(after, before)


@pytest.mark.usefixtures('tree')
def test_what_is_not_there_is_told(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        PatchesNotFoundError, match=r'at unreliable://bucket/pack\.json'
    ):
        SEN12MSPatches('unreliable://bucket')
    monkeypatch.setenv('DFC2020_GEO_CACHE', '0')
    with pytest.raises(ValueError, match='DFC2020_GEO_CACHE to a folder'):
        SEN12MSPatches(url)


def test_a_bit_that_flips_in_the_cache_is_named(
    url: str, cache: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = SEN12MSPatches(url)
    expected = [sample['mask'] for sample in dataset]
    (shard,) = cache.rglob('00000.safetensors')
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(SystemExit):
        main(['pack', '--verify', url])
    told = capsys.readouterr().err
    assert f'{shard} ' in told
    assert re.search(r'band 13 of .*/ROIs1158_spring/s2_1/', told)
    shard.unlink()
    for mask, sample in zip(expected, SEN12MSPatches(url), strict=True):
        assert torch.equal(sample['mask'], mask)


@pytest.mark.slow
@pytest.mark.usefixtures('cache')
def test_processes_fetch_over_http_at_the_same_time(tree: Path) -> None:
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            if self.command == 'GET':
                requests.append(self.path)

    handler = functools.partial(Handler, directory=str(tree.parent))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/p'
        program = (
            'from dfc2020_geo.io.packs import open_pack; '
            f'pack = open_pack({url!r}); '
            f'print(sum(int(pack.read_raw(n, [1]).values.sum()) '
            f'for n in {rasters(tree)!r}))'
        )
        command = [sys.executable, '-c', program]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        sums = {int(process.communicate(timeout=100)[0]) for process in running}
        server.shutdown()
    here = open_pack(tree.parent / 'p')
    expected = sum(int(np.sum(here.read_raw(n, [1]).values)) for n in rasters(tree))
    assert sums == {expected}
    assert all(
        requests.count(f'/p/shards/{number:05}.safetensors') == 1 for number in range(5)
    )


@pytest.mark.usefixtures('cache', 'tree')
def test_a_cache_that_cannot_be_written_to_is_told(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DFC2020_GEO_CACHE', str(tmp_path / 'file'))
    with pytest.raises(
        OSError, match=r'/file/packs \(Not a directory\); set DFC2020_G'
    ):
        SEN12MSPatches(url)


@pytest.mark.usefixtures('tree')
@pytest.mark.parametrize(
    'name', ['SEN12MS_holdOutScenes.txt', 'index.safetensors', 'pack.json']
)
def test_a_bit_that_flips_in_the_cache_is_named_or_mended(
    url: str, cache: Path, name: str
) -> None:
    expected = [f.id for f in SEN12MSPatches(url).files]
    (path,) = cache.rglob(name)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    if name == 'pack.json':  # it is fetched each time
        assert [f.id for f in SEN12MSPatches(url).files] == expected
    told = '\n'.join(find_damage(open_pack(url)))
    assert (told == '') == (name == 'pack.json')
    if told:
        assert f'{path} as it was packed' in told
        assert f'delete it, and it is fetched again from {url}' in told
        path.unlink()
    assert [f.id for f in SEN12MSPatches(url).files] == expected


@pytest.mark.usefixtures('cache')
def test_a_server_that_is_not_there_is_no_missing_pack() -> None:
    with socket.socket() as nobody:
        nobody.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{nobody.getsockname()[1]}/p'
        with pytest.raises(
            RuntimeError, match=rf'{url}/pack.json to be fetched.*nnect'
        ):
            open_pack(url)


@pytest.mark.usefixtures('cache', 'tree')
def test_a_server_without_the_pack_is_told(tmp_path: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        with pytest.raises(FileNotFoundError, match=rf'got nothing at {url}/none/pack'):
            open_pack(f'{url}/none')
        assert open_pack(f'{url}/p') is not None
        server.shutdown()
