"""Score files read back, tables and pictures show what is in the summary."""

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from dfc2020_geo.metrics.reports import format_table, plot_confusion, write_scores

NOTE = 'Cut from the test phase, "not" comparable.'


@pytest.fixture
def summary() -> dict[str, Any]:
    """Return four true Forest pixels (one called Water), one true Water, no Snow."""
    columns = ('name', 'recall', 'precision', 'IoU', 'F1', 'support', 'predicted')
    rows = (
        ('Forest', 0.75, 1.0, 0.75, 6 / 7, 4, 3),
        ('Snow/Ice', None, None, None, None, 0, 0),
        ('Water', 1.0, 0.5, 0.5, 2 / 3, 1, 2),
    )
    scores = {
        'AA': 0.875,
        'mIoU': 0.625,
        'mIoU_all': 1.25 / 3,
        'OA': 0.8,
        'F1': 16 / 21,
    }
    return {
        'scores': scores | {'kappa': None},
        'classes': [dict(zip(columns, row, strict=True)) for row in rows],
        'confusion_matrix': [[3, 0, 1], [0, 0, 0], [0, 0, 1]],
        'pixels': 5,
    }


def test_json_reads_back_equal(tmp_path: Path, summary: dict[str, Any]) -> None:
    paths = write_scores(tmp_path / 'new' / 'folder', 'dfc2020_test', summary, NOTE)
    assert [path.name for path in paths] == [
        'dfc2020_test.json',
        'dfc2020_test.csv',
        'dfc2020_test_confusion.csv',
        'dfc2020_test_confusion.png',
    ]
    assert json.loads(paths[0].read_text()) == summary | {'note': NOTE}
    assert sorted((tmp_path / 'new' / 'folder').iterdir()) == sorted(paths)


def test_csv_reads_back_equal(tmp_path: Path, summary: dict[str, Any]) -> None:
    path = write_scores(tmp_path, 'test', summary, NOTE)[1]
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, summary['classes'], strict=False):
        assert row['kind'] == 'class'
        assert row['name'] == expected.pop('name')
        assert {key: float(row[key]) if row[key] else None for key in expected} == (
            expected
        )
    overall = {row['name']: row['value'] for row in rows if row['kind'] == 'overall'}
    assert {k: float(v) if v else None for k, v in overall.items()} == summary['scores']
    assert rows[-1]['kind'] == 'note'
    assert rows[-1]['name'] == NOTE


def test_pandas_reads_the_csv_files(tmp_path: Path, summary: dict[str, Any]) -> None:
    _, scores_path, matrix_path, _ = write_scores(tmp_path, 'test', summary)
    scores = pd.read_csv(scores_path, index_col='name')
    assert scores.kind.value_counts().to_dict() == {'overall': 6, 'class': 3}
    assert scores.loc['AA', 'value'] == 0.875
    assert pd.isna(scores.loc['Snow/Ice', 'recall'])
    assert scores.support.tolist() == [4, 0, 1] + 6 * [5]
    matrix = pd.read_csv(matrix_path, index_col='truth')
    assert matrix.loc['Forest', 'Water'] == 1
    assert matrix.to_numpy().tolist() == summary['confusion_matrix']


def test_scores_are_replaced_as_a_whole_or_not(
    tmp_path: Path, summary: dict[str, Any]
) -> None:
    path = write_scores(tmp_path, 'test', summary)[0]
    before = path.read_text()
    with pytest.raises(ValueError, match='JSON compliant'):
        write_scores(
            tmp_path, 'test', summary | {'scores': {'AA': float('nan'), 'mIoU': 0}}
        )
    assert path.read_text() == before


def test_the_table_shows_percentages_and_dashes(summary: dict[str, Any]) -> None:
    lines = format_table(summary, 'dfc2020_test', NOTE).splitlines()
    assert lines[0] == 'dfc2020_test'
    assert lines[1].split() == ['class', 'recall', 'precision', 'IoU', 'F1', 'share']
    assert lines[2].split() == ['Forest', '75.00', '100.00', '75.00', '85.71', '80.00']
    assert lines[3].split() == ['Snow/Ice', '-', '-', '-', '-', '0.00']
    assert lines[5].split() == (
        [
            'AA',
            '87.50',
            'mIoU',
            '62.50',
            'mIoU_all',
            '41.67',
            'OA',
            '80.00',
            'F1',
            '76.19',
            'kappa',
            '-',
        ]
    )
    assert lines[6:] == ['5 pixels, values in %', NOTE]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert max(map(len, lines)) <= 80


def test_the_table_of_no_pixels_has_no_share(summary: dict[str, Any]) -> None:
    summary['pixels'] = 0
    assert format_table(summary, 'empty').splitlines()[2].split()[-1] == '-'


def test_the_picture_shows_shares_of_each_row(summary: dict[str, Any]) -> None:
    figure = plot_confusion(summary, 'dfc2020_test', NOTE)
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ['75.0', '0.0', '25.0', '-', '-', '-', '0.0', '0.0', '100.0']
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        'Forest\n4',
        'Snow/Ice\n0',
        'Water\n1',
    ]
    assert 'AA 87.50   mIoU 62.50   OA 80.00' in axes.get_title()


def test_nothing_drawn_touches_the_edge_of_the_picture(
    tmp_path: Path, summary: dict[str, Any]
) -> None:
    path = write_scores(tmp_path, 'dfc2020_copernicus_test', summary, NOTE)[3]
    picture = imread(path)[..., :3]
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    assert all((edge == 1).all() for edge in edges)


def test_figures_do_not_pile_up(summary: dict[str, Any]) -> None:
    assert isinstance(plot_confusion(summary, 'test'), Figure)
    assert not matplotlib._pylab_helpers.Gcf.figs
