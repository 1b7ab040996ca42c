"""Pictures of a sweep over makers left out, as inline SVG: a method a row, in-domain above unseen.

As narrow as a phone, so that words stay readable there. Makers are small dots, their mean is a
large mark with its interval; in-domain is a circle in one colour, unseen a square in another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis, picture, text
from mim.evaluate.bootstrap import Estimate
from mim.evaluate.figures import ALL
from mim.evaluate.makers_draws import SPECIFICITY
from mim.evaluate.makers_figures import IN_DOMAIN, UNSEEN
from mim.evaluate.makers_goal import FACTOR
from mim.evaluate.makers_table import MakerFigures
from mim.evaluate.sections import Cell
from mim.vocab import maker_name

WIDTH, PLOT = 360, 226
MARGIN, HEAD, NAME, MARK, GAP, FOOT, KEY = 14, 22, 15, 15, 6, 24, 16
MOST_LETTERS = 56

SERIES = {IN_DOMAIN: 2, UNSEEN: 3}
"""Places in the palette."""

SIDES = {IN_DOMAIN: "in-domain: all makers seen", UNSEEN: "unseen: this maker left out"}

RATIOS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
"""Ratios that an axis of them can name, and end at; those beyond are drawn at its end."""


@dataclass(frozen=True)
class _Words:
    """How figures are written: digits after the point, of the figure times ``scale``."""

    digits: int
    scale: float = 1.0

    def cell(self, found: Estimate) -> Cell:
        """A figure in words."""
        return Cell(found, self.scale, self.digits)


@dataclass(frozen=True)
class RatioAxis:
    """An axis on which a ratio and its inverse lie equally far from 1."""

    label: str
    low: float
    high: float

    @classmethod
    def around(cls, label: str, ratios: Sequence[float]) -> "RatioAxis":
        """The axis on which all ratios lie, a half and two among them."""
        low = max((r for r in RATIOS if r <= min([*ratios, 0.5])), default=RATIOS[0])
        high = min((r for r in RATIOS if r >= max([*ratios, 2])), default=RATIOS[-1])
        return cls(label, low, high)

    def place(self, ratio: float) -> float:
        """How far along the axis, 0 to 1."""
        inside = float(np.clip(ratio, self.low, self.high))
        return float(np.log(inside / self.low) / np.log(self.high / self.low))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and ratios in words."""
        inside = [ratio for ratio in RATIOS if self.low <= ratio <= self.high]
        return [(self.place(r), f"{r:g}" if r >= 1 else f"1/{1 / r:g}") for r in inside]


def auc_picture(found: MakerFigures) -> Markup:
    """AUC of every method, in-domain against unseen."""
    values = [value for method in found.methods for value in _ends(found, "auc", method, None)]
    axis = Axis.around("AUC by exam", np.array(values))
    said = (
        "AUC of every method on makers seen and unseen in training, a dot for each maker and their "
        "mean with its interval; the tables beside it give the numbers."
    )
    return _picture(found, "auc", None, axis, _Words(3), said)


def sensitivity_picture(found: MakerFigures) -> Markup:
    """Sensitivity of every method at one specificity, in-domain against unseen."""
    values = [v for method in found.methods for v in _ends(found, "sensitivity", method, None)]
    label = f"sensitivity at {100 * SPECIFICITY:g} % specificity"
    axis = Axis.around(label, np.array(values), percent=True)
    said = (
        f"Sensitivity of every method at {100 * SPECIFICITY:g} % specificity on makers seen and "
        "unseen in training, a dot for each maker and their mean with its interval; the tables "
        "beside it give the numbers."
    )
    return _picture(found, "sensitivity", None, axis, _Words(1, 100), said)


def ratio_picture(found: MakerFigures, rate: float) -> Markup:
    """Share selected over the wanted share at a rate, with the band of the goal."""
    values = [v for method in found.methods for v in _ends(found, "selection_ratio", method, rate)]
    axis = RatioAxis.around(f"ratio at {100 * rate:.1f} %", values)
    said = (
        f"Share of exams selected over the wanted {100 * rate:.1f} %, of every method on makers seen "
        "and unseen in training, with the band within which the goal is reached; the table beside "
        "it gives the numbers."
    )
    return _picture(found, "selection_ratio", rate, axis, _Words(2), said)


def _ends(found: MakerFigures, name: str, method: str, rate: float | None) -> list[float]:
    """All that is drawn of a method."""
    drawn = []
    for side in SIDES:
        for maker in (ALL, *found.makers):
            figure = found.of(f"{name}_{side}", method, maker, rate=rate)
            one = figure and figure.estimate
            if isinstance(one, Estimate):
                drawn += [one.value, *((one.low, one.high) if maker == ALL else ())]
    return [value for value in drawn if value is not None]


def _picture(
    found: MakerFigures,
    name: str,
    rate: float | None,
    axis: Axis | RatioAxis,
    words: _Words,
    summary: str,
) -> Markup:
    parts: list[Markup] = []
    top = 0.0
    for side, named in SIDES.items():
        parts.append(_mark(side, MARGIN - 6, top + KEY / 2, 4))
        parts.append(text(MARGIN + 4, top + KEY / 2 + 4, named, "start", "label"))
        top += KEY
    parts.append(text(WIDTH, top + HEAD - 8, axis.label, "end", "label"))
    top += HEAD
    start = top
    for method in found.methods:
        parts += _method(found, name, method, rate, axis, words, top)
        top += NAME + 2 * MARK + GAP
    parts = [*_band(axis, start, top), *parts, *_foot(axis, top)]
    return picture(parts, summary, WIDTH, top + FOOT, "chart forest")


def _method(
    found: MakerFigures,
    name: str,
    method: str,
    rate: float | None,
    axis: Axis | RatioAxis,
    words: _Words,
    top: float,
) -> Iterator[Markup]:
    """A method's name, and a line for each side below it."""
    short = method if len(method) <= MOST_LETTERS else f"{method[: MOST_LETTERS - 1]}…"
    named = Markup("<g><title>{}</title>{}</g>")
    yield named.format(method, text(0, top + NAME - 4, short, "start", "label"))
    for place, side in enumerate(SIDES):
        middle = top + NAME + MARK * (place + 0.5)
        for maker in found.makers:
            figure = found.of(f"{name}_{side}", method, maker, rate=rate)
            if figure is not None and figure.estimate.value is not None:
                value = words.cell(figure.estimate).value
                said = f"{maker_name(maker)}, {SIDES[side]}: {value}"
                mark = _mark(side, _across(axis, figure.estimate.value), middle, 2.5)
                yield Markup('<g fill-opacity="0.55"><title>{}</title>{}</g>').format(said, mark)
        figure = found.of(f"{name}_{side}", method, rate=rate)
        if figure is not None:
            yield _mean(figure.estimate, side, axis, middle, words)


def _mean(
    found: Estimate, side: str, axis: Axis | RatioAxis, middle: float, words: _Words
) -> Markup:
    """A large mark, a whisker over its interval, and both in words."""
    if found.value is None:
        why = Markup("<g><title>{}</title>{}</g>")
        return why.format(found.reason or "missing", text(WIDTH, middle + 4, "-", "end"))
    cell = words.cell(found)
    said, whisker = cell.value, Markup("")
    if found.low is not None and found.high is not None:
        said = f"{cell.value} ({cell.interval})"
        whisker = Markup('<path class="line s{}" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            SERIES[side], _across(axis, found.low), middle, _across(axis, found.high)
        )
    mark = _mark(side, _across(axis, found.value), middle, 4.5)
    return Markup("<g><title>{}: {}</title>{}{}{}</g>").format(
        *(SIDES[side], found.reason or said, whisker, mark),
        text(WIDTH, middle + 4, said, "end"),
    )


def _mark(side: str, x: float, y: float, half: float) -> Markup:
    if side == IN_DOMAIN:
        return Markup('<circle class="b{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
            SERIES[side], x, y, half
        )
    return Markup('<rect class="b{}" x="{:.1f}" y="{:.1f}" width="{}" height="{}"/>').format(
        SERIES[side], x - half, y - half, 2 * half, 2 * half
    )


def _band(axis: Axis | RatioAxis, top: float, bottom: float) -> Iterator[Markup]:
    """Behind ratios, where the goal is reached, and a line at 1."""
    if isinstance(axis, Axis):
        return
    left, right = _across(axis, 1 / FACTOR), _across(axis, FACTOR)
    yield Markup(
        '<rect class="b4" fill-opacity="0.14" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
        "<title>within a factor {}</title></rect>"
    ).format(left, top, right - left, bottom - top, FACTOR)
    yield Markup('<path class="chance" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
        _across(axis, 1), top, bottom
    )


def _foot(axis: Axis | RatioAxis, bottom: float) -> Iterator[Markup]:
    yield Markup('<path class="axis" d="M{} {:.1f}H{}"/>').format(MARGIN, bottom, PLOT)
    for place, words in axis.ticks:
        x = MARGIN + (PLOT - MARGIN) * place
        yield Markup('<path class="axis" d="M{:.1f} {:.1f}v4"/>').format(x, bottom)
        yield text(x, bottom + 17, words, "middle")


def _across(axis: Axis | RatioAxis, value: float) -> float:
    return MARGIN + (PLOT - MARGIN) * axis.place(value)
