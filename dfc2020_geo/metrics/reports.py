"""Score reports: JSON, CSV, confusion matrix plot, table for the terminal.

A summary is what :meth:`dfc2020_geo.metrics.SegmentationScores.summary` returns.
"""

import csv
import textwrap
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..io.atomic import make_directory, write_bytes, write_json, write_text

_VALUES = ('recall', 'precision', 'IoU', 'F1')
_COUNTS = ('support', 'predicted')
_HEADLINE = ('AA', 'mIoU', 'OA')


def write_scores(
    directory: Path | str, name: str, summary: dict[str, Any], note: str = ''
) -> list[Path]:
    """Write scores as JSON, CSV and a confusion matrix plot.

    * ``NAME.json``: the summary and the note. Undefined values are null.
    * ``NAME.csv``: a row per class, then a row per overall score, in the column
      ``value``, then the note, if any; the column ``kind`` tells them apart.
      Undefined values are empty.
    * ``NAME_confusion.csv``: pixel counts, rows are the truth.
    * ``NAME_confusion.png``: the same as fractions of each row.

    A file appears under its name only when it is complete.

    Args:
        directory: Folder to write to; it is made if there is none.
        name: Stem of the file names.
        summary: The scores, as :meth:`.SegmentationScores.summary` returns them.
        note: Caveat about these scores, such as a split that others do not use.

    Returns:
        Paths of the files, in the order above.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If the summary has a value that JSON has not, such as NaN.
    """
    directory = make_directory(directory)
    paths = [
        directory / f'{name}{ending}'
        for ending in ('.json', '.csv', '_confusion.csv', '_confusion.png')
    ]
    write_json(paths[0], summary | {'note': note})
    _write_csv(paths[1], _score_rows(summary, note))
    _write_csv(paths[2], _matrix_rows(summary))
    picture = BytesIO()
    plot_confusion(summary, name, note).savefig(picture, format='png', dpi=120)
    write_bytes(paths[3], picture.getbuffer())
    return paths


def format_table(summary: dict[str, Any], title: str, note: str = '') -> str:
    """Format scores as a table of plain text.

    Args:
        summary: The scores, as :meth:`.SegmentationScores.summary` returns them.
        title: First line.
        note: Caveat about these scores; the last line, if any.

    Returns:
        Lines of percentages: a row per class with its share of the pixels, then the
        overall scores; ``-`` where a value is undefined.

    Examples:
        >>> import torch
        >>> from dfc2020_geo.metrics import SegmentationScores
        >>> scores = SegmentationScores(2, labels=['Forest', 'Water'])
        >>> scores.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]))
        >>> print(format_table(scores.summary(), 'test'))
        test
        class      recall  precision        IoU         F1      share
        Forest      66.67     100.00      66.67      80.00      75.00
        Water      100.00      50.00      50.00      66.67      25.00
        AA 83.33   mIoU 58.33   mIoU_all 58.33   OA 75.00   F1 73.33   kappa 50.00
        4 pixels, values in %
    """
    classes, pixels = summary['classes'], summary['pixels']
    width = max(len('class'), *(len(row['name']) for row in classes))
    header = ''.join(f'{column:>11}' for column in (*_VALUES, 'share'))
    lines = [title, f'{"class":<{width}}{header}']
    for row in classes:
        share = row['support'] / pixels if pixels else None
        values = (*(row[column] for column in _VALUES), share)
        cells = ''.join(f'{_percent(value):>11}' for value in values)
        lines.append(f'{row["name"]:<{width}}{cells}')
    overall = (f'{key} {_percent(value)}' for key, value in summary['scores'].items())
    lines += ['   '.join(overall), f'{pixels:,} pixels, values in %']
    return '\n'.join([*lines, note] if note else lines)


def plot_confusion(summary: dict[str, Any], title: str, note: str = '') -> Figure:
    """Plot a confusion matrix, normalised by row.

    Args:
        summary: The scores, as :meth:`.SegmentationScores.summary` returns them.
        title: First line of the figure's title; AA, mIoU and OA are the second.
        note: Caveat about these scores, at the foot.

    Returns:
        The figure. It is not registered with pyplot, so nothing has to close it.
    """
    labels = [row['name'] for row in summary['classes']]
    support = np.array([row['support'] for row in summary['classes']], dtype=float)
    counts = np.array(summary['confusion_matrix'], dtype=float)
    fractions = counts / support.clip(min=1)[:, None]
    size = 2.6 + 0.62 * len(labels)
    figure = Figure(figsize=(size, size), layout='constrained')
    axes = figure.add_subplot()
    axes.imshow(fractions, cmap='Blues', vmin=0, vmax=1)
    for row, column in np.ndindex(fractions.shape):
        fraction = float(fractions[row, column])
        text = f'{100 * fraction:.1f}' if support[row] else '-'
        color = 'white' if fraction > 0.5 else 'black'
        axes.text(column, row, text, ha='center', va='center', color=color, size=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha='right')
    names = (f'{label}\n{int(n):,}' for label, n in zip(labels, support, strict=True))
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel('Prediction')
    axes.set_ylabel('Truth (pixels)')
    scores = summary['scores']
    overall = '   '.join(f'{key} {_percent(scores[key])}' for key in _HEADLINE)
    axes.set_title(f'{title}\n{overall}   (% of each row)', size='medium')
    figure.supxlabel(textwrap.fill(note, 12 * len(labels)), size='small')
    return figure


def _percent(value: float | None) -> str:
    return '-' if value is None else f'{100 * value:.2f}'


def _write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    text = StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    write_text(path, text.getvalue())


def _score_rows(summary: dict[str, Any], note: str) -> Iterable[list[object]]:
    """Yield the header, the classes, the overall scores and the note."""
    columns = ('kind', 'name', 'value', *_VALUES, *_COUNTS)
    rows = [{'kind': 'class'} | row for row in summary['classes']]
    rows += [
        {'kind': 'overall', 'name': name, 'value': value, 'support': summary['pixels']}
        for name, value in summary['scores'].items()
    ]
    rows += [{'kind': 'note', 'name': note}] if note else []
    yield list(columns)
    for row in rows:
        yield [row.get(column) for column in columns]


def _matrix_rows(summary: dict[str, Any]) -> Iterable[list[object]]:
    """Yield the header and a row of pixel counts for each true class."""
    labels = [row['name'] for row in summary['classes']]
    yield ['truth', *labels]
    for label, counts in zip(labels, summary['confusion_matrix'], strict=True):
        yield [label, *counts]
