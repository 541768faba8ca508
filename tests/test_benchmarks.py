"""Benchmarks run to the end, and say what they found as a table and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / 'scripts'


def run(script: str, *args: str) -> str:
    """Run a benchmark and return what it prints."""
    command = [sys.executable, str(SCRIPTS / script), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_loading(tmp_path: Path) -> None:
    """Pixels are compared in the run, so that it ends only where all are equal."""
    path = tmp_path / 'loading.json'
    sizes = ['--patches=2', '--rounds=1', '--compressions=deflate']
    args = [*sizes, '--interleaves=pixel', f'--json={path}']
    table = run('benchmark_loading.py', *args).splitlines()
    figures = json.loads(path.read_text())
    ways = ['baseline', 'torchgeo', 'stored', 'sample', 'scaled', 'limit']
    for malloc in ('default', 'tuned'):
        found = [figure for figure in figures if figure['malloc'] == malloc]
        assert [figure['way'] for figure in found] == ways
        assert found[0]['ratio'] == 1
    assert len(table) == len(figures) + 1
    assert len(figures) == 2 * len(ways)
    assert all(figure['milliseconds'] > 0 for figure in figures)
