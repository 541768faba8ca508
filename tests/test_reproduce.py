"""The script that fills the table of the 2020 baseline, on made-up checkpoints."""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from dfc2020_geo.main import main
from dfc2020_geo.models import build_network
from tests.support import DATA, ROOT
from tests.support.golden_weights import fill_network

SCRIPT = ROOT / 'scripts' / 'reproduce_baseline.sh'
PUBLISHED = (ROOT / 'docs' / 'published.md').read_text()

#: Positions in the files of Sentinel-2's 10 m and 20 m bands, in the baseline's order.
S2_BANDS = [2, 3, 4, 5, 6, 7, 8, 9, 12, 13]


def run_environment(**more: str) -> dict[str, str]:
    """Return an environment in which the commands of this Python come first."""
    path = f'{Path(sys.executable).parent}:{os.environ.get("PATH", os.defpath)}'
    return os.environ | {'PATH': path} | more


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        env=run_environment(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        capture_output=True,
        text=True,
        check=False,
    )


#: Stands for the command: asks the process of the tests, which has loaded everything.
STAND_IN = """#!{python} -IS
import json, os, socket, sys
with socket.create_connection(('127.0.0.1', {port})) as there:
    there.sendall(json.dumps([os.getcwd(), sys.argv[1:]]).encode())
    there.shutdown(socket.SHUT_WR)
    code, out, err = json.load(there.makefile())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


def run_here(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script; its calls of the command are answered by this process."""
    command = folder / 'bin' / 'dfc2020-geo'
    command.parent.mkdir(exist_ok=True)
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        command.write_text(STAND_IN.format(python=sys.executable, port=port))
        command.chmod(0o755)
        environment = run_environment()
        environment['PATH'] = f'{command.parent}:{environment["PATH"]}'
        with (
            (folder / 'out.txt').open('w+') as out,
            (folder / 'err.txt').open('w+') as err,
            subprocess.Popen(
                [SCRIPT, *map(str, arguments)], env=environment, stdout=out, stderr=err
            ) as script,
        ):
            _answer_until_end(server, script)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(
                script.args, script.returncode, out.read(), err.read()
            )


def _answer_until_end(server: socket.socket, script: subprocess.Popen[bytes]) -> None:
    server.settimeout(0.05)
    while script.poll() is None:
        with contextlib.suppress(TimeoutError):
            there, _ = server.accept()
            with there, there.makefile('rw') as file:
                json.dump(_run_command(*json.load(file)), file)


def _run_command(folder: str, arguments: list[str]) -> tuple[object, str, str]:
    """Run the command; return its exit code and what it says."""
    code: object = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    return code, out.getvalue(), err.getvalue()


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """Read the table of a Markdown text that has the baseline's rows."""
    lines = re.findall(r'^\| (DeepLabv3\+ .*) \|$', text, flags=re.MULTILINE)
    cells = [line.split(' | ') for line in lines]
    return {(network, name.strip('`')): values for network, name, *values in cells}


def test_the_docs_have_the_six_rows_that_the_baseline_published() -> None:
    published = {
        ('DeepLabv3+ (S2)', 'dfc2020_val'): ['44.93', '27.97'],
        ('DeepLabv3+ (S2)', 'dfc2020_test'): ['46.45', '31.43'],
        ('DeepLabv3+ (S2)', 'sen12ms_holdout'): ['65.96', '43.48'],
        ('DeepLabv3+ (S1/S2)', 'dfc2020_val'): ['44.81', '27.54'],
        ('DeepLabv3+ (S1/S2)', 'dfc2020_test'): ['43.34', '29.82'],
        ('DeepLabv3+ (S1/S2)', 'sen12ms_holdout'): ['62.07', '44.16'],
    }
    found = rows(PUBLISHED)
    assert {row: values[:2] for row, values in found.items()} == published
    for (_, name), (_, mean, fewer) in found.items():
        if name.startswith('dfc2020'):
            assert float(fewer) == pytest.approx(float(mean) * 9 / 8, abs=0.006)
        else:
            assert fewer == '-'


def test_the_documented_command_has_the_flags_of_the_script() -> None:
    (line,) = re.findall(
        r'^scripts/reproduce_baseline.sh (.*)$', PUBLISHED, re.MULTILINE
    )
    flags = re.findall(r'--\w+', line)
    usage = run('--help').stdout
    assert set(flags) == {'--s2', '--s1s2', '--sen12ms', '--dfc2020', '--out'}
    assert all(re.search(rf'^  {flag} DIR', usage, re.MULTILINE) for flag in flags[:-1])


# What is missing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what looks like a published checkpoint, and one with data."""
    (tmp_path / 'network').mkdir()
    for name in ('args.pkl', 'checkpoint.pth'):
        (tmp_path / 'network' / name).touch()
    (tmp_path / 'data').mkdir()
    return tmp_path


WHOLE = '--s2 network --dfc2020 data --out out'


@pytest.mark.parametrize(
    ('arguments', 'broken', 'message'),
    [
        ('--dfc2020 data --out out', '', r'Expected --s2 DIR or --s1s2 DIR'),
        (f'{WHOLE} --s1s2 no', '', r'a directory for --s1s2, got \S*no\.'),
        (f'{WHOLE} --s3 network', '', r'Expected one of --s2, .*, got --s3'),
        (WHOLE, 'rm checkpoint.pth', r'one \.pth file in \S*network, got: args\.pkl'),
        (WHOLE, 'touch b.pth', r'one \.pth file .*, got: args\.pkl, b\.pth, checkp'),
        pytest.param(
            WHOLE, 'true', r'error: Expected .*args\.pkl', marks=pytest.mark.slow
        ),
    ],
)
def test_what_is_missing_stops_the_script_before_anything_is_scored(
    arguments: str, broken: str, message: str, folder: Path
) -> None:
    subprocess.run(['sh', '-c', broken], cwd=folder / 'network', check=True)
    words = arguments.split()
    words = [w if w.startswith('--') else str(folder / w) for w in words]
    answer = run(*words)
    assert answer.returncode == 1
    assert re.search(message, answer.stderr)
    assert len(answer.stderr.splitlines()) == 1
    assert not list(folder.rglob('*.json'))


# From end to end


def write_published(folder: Path, **arguments: object) -> nn.Module:
    """Write a made-up checkpoint in the form of 2020; return its network."""
    import pickle

    with (DATA / 'args_unet.pkl').open('rb') as file:
        args = Namespace(**vars(pickle.load(file)) | arguments)
    settings = {'output_stride': args.out_stride} if args.model == 'deeplab' else {}
    names = {'unet': 'baseline-unet', 'deeplab': 'baseline-deeplabv3+'}
    network = fill_network(
        build_network(names[args.model], 12 if args.use_s1 else 10, 9, settings)
    )
    folder.mkdir()
    (folder / 'args.pkl').write_bytes(pickle.dumps(args, protocol=3))
    torch.save(
        {'model_state_dict': network.state_dict(), 'step': 4999},
        folder / 'checkpoint.pth',
        _use_new_zipfile_serialization=False,
    )
    return network


def expected_scores(network: nn.Module, tree: Path, with_s1: bool) -> list[str]:
    """AA, mIoU over 9 classes and over those in the truth, by the baseline's rules."""
    confusion = np.zeros((9, 9), int)
    for path in sorted((tree / 'ROIs0000_validation' / 's2_validation').glob('*.tif')):
        image = _read(path, S2_BANDS).clip(0, 10_000) / 10_000
        if with_s1:
            s1 = np.nan_to_num(_read(_sibling(path, 's1'), [1, 2])).clip(-25, 0)
            image = np.concatenate([image, s1 / 25 + 1])
        with torch.no_grad():
            logits = network(torch.from_numpy(image[None].astype(np.float32)))
        codes = _read(_sibling(path, 'dfc'), [1])[0].astype(int)
        # Code 3 is savanna: ignored here, and those above move down.
        truth = np.array([255, 0, 1, 255, 2, 3, 4, 5, 6, 7, 8])[codes]
        valid = truth != 255
        answer = logits[0].argmax(0).numpy()
        np.add.at(confusion, (truth[valid], answer[valid]), 1)
    hits, support = confusion.diagonal(), confusion.sum(1)
    iou = hits / (support + confusion.sum(0) - hits).clip(1)
    there = support > 0
    values = (hits / support.clip(1))[there].mean(), iou.mean(), iou[there].mean()
    return [f'{100 * value:.2f}' for value in values]


def _read(path: Path, bands: list[int]) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(bands).astype(np.float64)


def _sibling(path: Path, kind: str) -> Path:
    folder = path.parents[1] / f'{kind}_validation'
    return folder / path.name.replace('_s2_', f'_{kind}_')


@pytest.fixture
def dfc2020(baseline_tree: Path, tmp_path: Path) -> Path:
    """The small tree without Snow/Ice in its truth, as the contest's."""
    folder = tmp_path / 'dfc2020'
    shutil.copytree(baseline_tree / 'dfc2020', folder)
    for path in folder.rglob('*_dfc_*.tif'):
        with rasterio.open(path, 'r+') as file:
            codes = file.read(1)
            codes[codes == 8] = 9
            file.write(codes, 1)
    return folder


@pytest.mark.exhaustive
@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_the_table_is_filled_bit_by_bit(
    baseline_tree: Path, dfc2020: Path, tmp_path: Path
) -> None:
    networks = {
        's2': write_published(tmp_path / 's2', use_s1=False),
        's1s2': write_published(tmp_path / 's1s2', model='deeplab'),
    }
    out = tmp_path / 'out'
    s2, s1s2 = (('--s2', tmp_path / 's2'), ('--s1s2', tmp_path / 's1s2'))
    contest = ('--dfc2020', dfc2020)
    rest = ('--out', out, '--', '--data.num_workers', 0)

    def go(*arguments: object) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
        answer = run_here(tmp_path, *arguments, *rest)
        assert answer.returncode == 0, answer.stderr
        table = (out / 'baseline.md').read_text()
        assert table in answer.stdout
        done = re.findall(r'^(\w+: scoring \w+)$', answer.stdout, re.MULTILINE)
        return rows(table), done

    first, done = go(*s1s2, *contest)
    assert done == ['s1s2: scoring dfc2020_val', 's1s2: scoring dfc2020_test']
    for row, published in rows(PUBLISHED).items():
        assert [first[row][0], first[row][2]] == published[:2]
        is_done = row[0].endswith('(S1/S2)') and row[1].startswith('dfc2020')
        assert (first[row][1] != '-') == is_done

    # SEN12MS is not where it should be, which is found before anything is scored.
    (tmp_path / 'empty').mkdir()
    empty = ('--sen12ms', tmp_path / 'empty')
    answer = run_here(tmp_path, *s2, *contest, *empty, *rest)
    assert re.search(r'a batch of sen12ms_holdout, got: .*empty', answer.stderr)
    assert not list((out / 's2').glob('*.csv'))

    # It goes on, with what is not done and what is not finished.
    (out / 's1s2' / 'dfc2020_test_confusion.png').unlink()
    (out / 's2' / 'dfc2020_test.json').touch()
    second, done = go(*s1s2, *s2, *contest)
    assert done == [
        's2: scoring dfc2020_val',
        's1s2: scoring dfc2020_test',
        's2: scoring dfc2020_test',
    ]
    third, done = go(*s2, '--sen12ms', baseline_tree / 'sen12ms')
    assert done == ['s2: scoring sen12ms_holdout']
    assert {row for row in first if second[row] != first[row]} == {
        ('DeepLabv3+ (S2)', 'dfc2020_val'),
        ('DeepLabv3+ (S2)', 'dfc2020_test'),
    }
    assert {row for row in second if third[row] != second[row]} == {
        ('DeepLabv3+ (S2)', 'sen12ms_holdout')
    }
    for name, title in {'s2': 'S2', 's1s2': 'S1/S2'}.items():
        _, aa, _, mean, fewer = third[f'DeepLabv3+ ({title})', 'dfc2020_val']
        expected = expected_scores(networks[name], dfc2020, name == 's1s2')
        assert [aa, mean, fewer] == expected
        assert mean != fewer

    # What is there belongs to other inputs, and folders are mixed up.
    answer = run(*s2, '--dfc2020', baseline_tree / 'dfc2020', *rest)
    assert re.search(r'Expected what \S*dfc2020\.txt says, got /', answer.stderr)
    answer = run('--s2', tmp_path / 's1s2', *contest, *rest)
    assert re.search(r'Expected what \S*inputs\.txt says, got \d+', answer.stderr)
    mixed = ('--s2', tmp_path / 's1s2', *contest, '--out', tmp_path / 'mixed')
    answer = run_here(tmp_path, *mixed)
    assert re.search(r'for s2 in \S*s1s2, got one for s1s2', answer.stderr)
    assert answer.returncode == 1
