"""Forest plots as inline SVG: a figure of many parts over one axis, against that of the whole.

As narrow as a phone, so that its words stay readable there: a part's name and counts stand above
its marks, the values beside them. A picture for each group, so that paper can part them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis, picture, text
from mim.evaluate.sections import Cell

WIDTH, PLOT = 360, 226
MARGIN, HEADING, NAME, MARK, GAP, FOOT = 14, 22, 15, 14, 6, 24
KEY = 16
MOST_LETTERS = 56
"""In the line of a part's name and counts; what does not fit of the name is cut."""

FIRST_SERIES = 2
"""Series of the palette with which models begin: the first one is the page's ink."""


@dataclass(frozen=True)
class ForestRow:
    """One part.

    Attributes:
        label: its name.
        counts: rows and cases in it, in words.
        cells: the figure of each model, all with one scale.
    """

    label: str
    counts: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class ForestGroup:
    """Parts of one kind, such as makers, under a heading."""

    heading: str
    rows: Sequence[ForestRow]


def forest_svg(
    whole: ForestRow,
    groups: Sequence[ForestGroup],
    models: Sequence[str],
    label: str,
    summary: str,
) -> Markup:
    """A picture of the whole, and one of each group below it; a line crosses them at the whole.

    The numbers are written in the picture, but screen readers get ``summary`` alone: a table must
    hold them too.

    Args:
        whole: all rows.
        groups: their parts.
        models: names, in the order of the cells; one to three, told apart by colour and mark.
        label: of the axis: the figure with its unit.
        summary: is read out instead of the pictures.
    """
    axis = _axis([whole, *(row for group in groups for row in group.rows)], label)
    shown = [ForestGroup("", [whole]), *groups]
    keys = models if len(models) > 1 else []
    return Markup("").join(
        _group(
            *(group, axis, whole, keys if place == 0 else []),
            f"{summary} {group.heading}".strip(),
        )
        for place, group in enumerate(shown)
    )


def _axis(rows: Sequence[ForestRow], label: str) -> Axis:
    """On which all values and intervals lie."""
    ends = [
        end * cell.scale
        for row in rows
        for cell in row.cells
        for end in (cell.estimate.low, cell.estimate.value, cell.estimate.high)
        if end is not None
    ]
    return Axis.around(label, np.array(ends))


def _group(
    group: ForestGroup, axis: Axis, whole: ForestRow, models: Sequence[str], summary: str
) -> Markup:
    parts: list[Markup] = []
    top = 0.0
    for place, model in enumerate(models):
        parts += [_mark(MARGIN - 8, top + KEY / 2, place), _key(model, top + KEY / 2)]
        top += KEY
    parts.append(text(0, top + HEADING - 8, group.heading, "start", "label heading"))
    parts.append(text(WIDTH, top + HEADING - 8, axis.label, "end", "label"))
    top += HEADING
    start = top
    for row in group.rows:
        parts += _row(row, axis, top)
        top += NAME + MARK * len(row.cells) + GAP
    lines = [_line(axis, cell, place, start, top) for place, cell in enumerate(whole.cells)]
    parts = [*lines, *parts, *_foot(axis, top)]
    return picture(parts, summary, WIDTH, top + FOOT, "chart forest")


def _row(row: ForestRow, axis: Axis, top: float) -> Iterator[Markup]:
    """A part's name and counts, and below them a line for each model."""
    room = max(8, MOST_LETTERS - len(row.counts))
    short = row.label if len(row.label) <= room else row.label[: room - 1] + "…"
    name = Markup("<g><title>{}</title>{}</g>")
    yield name.format(row.label, text(0, top + NAME - 4, short, "start", "label"))
    yield text(WIDTH, top + NAME - 4, row.counts, "end")
    for place, cell in enumerate(row.cells):
        yield _estimate(cell, axis, top + NAME + MARK * (place + 0.5), place)


def _estimate(cell: Cell, axis: Axis, middle: float, place: int) -> Markup:
    """A mark at a value, a whisker over its interval, and both in words."""
    found = cell.estimate
    if found.value is None:
        why = Markup("<g><title>{}</title>{}</g>")
        return why.format(found.reason or "missing", text(WIDTH, middle + 4, "-", "end"))
    said, whisker = cell.value, Markup("")
    if found.low is not None and found.high is not None:
        said = f"{cell.value} ({cell.interval})"
        whisker = Markup('<path class="line s{}" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            _series(place),
            _across(axis, found.low * cell.scale),
            middle,
            _across(axis, found.high * cell.scale),
        )
    return Markup("<g><title>{}</title>{}{}{}</g>").format(
        found.reason or said,
        whisker,
        _mark(_across(axis, found.value * cell.scale), middle, place),
        text(WIDTH, middle + 4, said, "end"),
    )


def _mark(x: float, y: float, place: int) -> Markup:
    """A model's mark: circle, square, diamond."""
    kind = f"b{_series(place)}"
    if place % 3 == 0:
        return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(kind, x, y)
    turn = f"rotate(45 {x:.1f} {y:.1f})" if place % 3 == 2 else ""
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="7" height="7" transform="{}"/>'
    ).format(kind, x - 3.5, y - 3.5, turn)


def _key(model: str, middle: float) -> Markup:
    return text(MARGIN + 4, middle + 4, model, "start", "label")


def _line(axis: Axis, whole: Cell, place: int, top: float, bottom: float) -> Markup:
    """Where the whole lies, across all parts."""
    if whole.estimate.value is None:
        return Markup("")
    return Markup(
        '<path class="line s{}" stroke-width="1" stroke-opacity="0.6" stroke-dasharray="2 3" '
        'style="stroke-width:1" d="M{:.1f} {:.1f}V{:.1f}"/>'
    ).format(_series(place), _across(axis, whole.estimate.value * whole.scale), top, bottom)


def _foot(axis: Axis, bottom: float) -> Iterator[Markup]:
    yield Markup('<path class="axis" d="M{} {:.1f}H{}"/>').format(MARGIN, bottom, PLOT)
    for place, words in axis.ticks:
        x = MARGIN + (PLOT - MARGIN) * place
        yield Markup('<path class="axis" d="M{:.1f} {:.1f}v4"/>').format(x, bottom)
        yield text(x, bottom + 17, words, "middle")


def _across(axis: Axis, value: float) -> float:
    return MARGIN + (PLOT - MARGIN) * axis.place(value)


def _series(place: int) -> int:
    return FIRST_SERIES + place % 5
