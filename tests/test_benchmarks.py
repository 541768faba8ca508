"""Benchmarks run to the end, and say what they found as a table and as JSON."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

SCRIPTS = ROOT / 'scripts'

pytestmark = pytest.mark.exhaustive


def run(script: str, *args: str) -> str:
    """Run a benchmark and return what it prints."""
    command = [sys.executable, str(SCRIPTS / script), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading(tmp_path: Path) -> None:
    """Pixels are compared in the run, so that it ends only where all are equal."""
    path = tmp_path / 'loading.json'
    sizes = ['--patches=2', '--rounds=1', '--compressions=deflate']
    args = [*sizes, '--interleaves=pixel', f'--json={path}']
    table = run('benchmark_loading.py', *args).splitlines()
    figures = json.loads(path.read_text())
    ways = ['baseline', 'torchgeo', 'gdal', 'stored', 'sample', 'scaled', 'limit']
    for malloc in ('default', 'tuned'):
        found = [figure for figure in figures if figure['malloc'] == malloc]
        assert [figure['way'] for figure in found] == ways
        assert found[0]['ratio'] == 1
    assert len(table) == len(figures) + 1
    assert len(figures) == 2 * len(ways)
    assert all(figure['milliseconds'] > 0 for figure in figures)


def test_all_in_one_table(tmp_path: Path) -> None:
    path, plot = tmp_path / 'bench.json', tmp_path / 'bench.png'
    parts = ['--parts', 'index', 'steps']
    table = run('benchmark.py', '--quick', *parts, f'--json={path}', f'--plot={plot}')
    figures = json.loads(path.read_text())
    assert {figure['part'] for figure in figures} == {'index', 'around the step'}
    assert {figure['malloc'] for figure in figures} == {'default', 'tuned'}
    assert all(figure['ratio'] > 0 for figure in figures)
    for figure, line in zip(figures, table.splitlines()[2:], strict=True):
        assert line.startswith(f'| {figure["part"]} | {figure["what"]} |')
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_growth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plot = tmp_path / 'growth.json', tmp_path / 'growth.png'
    script = runpy.run_path(str(SCRIPTS / 'benchmark_growth.py'))
    # Each task is a process; one for each thing that a task does is enough.
    tasks = {do: name for name, (do, _) in script['TASKS'].items()}.values()
    assert len(tasks) == 3
    for name in script['TASKS'].keys() - {*tasks}:
        monkeypatch.delitem(script['TASKS'], name)
    command = ['--patches=1400', f'--json={path}', f'--plot={plot}']
    monkeypatch.setattr(sys, 'argv', ['benchmark_growth.py', *command])
    script['main']()
    figures = json.loads(path.read_text())
    assert [figure['task'] for figure in figures] == [*script['TASKS']]
    assert all(figure['seconds'] > 0 for figure in figures)
    assert plot.read_bytes().startswith(b'\x89PNG')
