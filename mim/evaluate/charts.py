"""Curves, calibration and score histograms as inline SVG: text stays text, colours follow the page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis, line_style, picture, text, thinned, upright
from mim.evaluate.bootstrap import Estimate, Floats

__all__ = [
    "Axis",
    "Calibrated",
    "Curve",
    "Line",
    "Scores",
    "calibration_svg",
    "histogram_svg",
    "line_style",
    "lines_svg",
    "roc_svg",
]

WIDTH, HEIGHT = 480, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 12, 44
ACROSS, UP = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
PANEL, LABEL, LEGEND = 100, 24, 18
BINS = 20


@dataclass(frozen=True)
class Curve:
    """A named ROC curve: false and true positive rate ``[point]``, and a place in the palette."""

    name: str
    false_positive: Floats
    true_positive: Floats
    series: int


@dataclass(frozen=True)
class Line:
    """A named curve of any kind.

    Attributes:
        name: what the curve is of.
        across: ``[point]``, in its order.
        up: ``[point]``; NaN where it is not defined, which is left out.
        series: place in the palette.
        steps: it keeps each value up to the next point, and does not slope to it.
        low: ``[point]``, lower end of a band around it.
        high: ``[point]``, upper end of it.
    """

    name: str
    across: Floats
    up: Floats
    series: int
    steps: bool = False
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Scores:
    """Scores ``[row]`` of one outcome, on any scale, and a place in the palette."""

    name: str
    score: Floats
    series: int


@dataclass(frozen=True)
class Calibrated:
    """Expected and observed share of a group."""

    name: str
    expected: Estimate
    observed: Estimate


def roc_svg(curves: Sequence[Curve], summary: str) -> Markup:
    """ROC curves over the diagonal of chance; ``summary`` is read out instead of the picture."""
    across = Axis("false positive rate (1 - specificity)", 0, 1)
    up = Axis("true positive rate (sensitivity)", 0, 1)
    lines = [Line(c.name, c.false_positive, c.true_positive, c.series) for c in curves]
    parts = [*_plot(across, up), _diagonal(), *(_drawn(line, across, up) for line in lines[::-1])]
    return picture(parts, summary, WIDTH, HEIGHT)


def lines_svg(
    lines: Sequence[Line],
    across: Axis,
    up: Axis,
    summary: str,
    guides: Sequence[Line] = (),
    mark: float | None = None,
) -> Markup:
    """Curves of any kind, the first one on top; several are named below the picture.

    Points beyond an axis are drawn at its end: cut curves to the axes.

    Args:
        lines: such as of precision and recall, of rule-out, or FROC.
        across: the lower axis.
        up: the left axis.
        summary: is read out instead of the picture.
        guides: what curves are compared with, such as chance or a bound; quiet, behind them.
        mark: value on the lower axis at which an upright line stands; a script can move it.
    """
    named = [*lines, *guides] if len(lines) + len(guides) > 1 else []
    parts = [
        *_plot(across, up),
        *(_drawn(guide, across, up, quiet=True) for guide in guides),
        *(_drawn(line, across, up) for line in lines[::-1]),
    ]
    if mark is not None:
        parts.append(_mark(across.place(mark)))
    for place, line in enumerate(named):
        parts.append(_legend(line, HEIGHT + place * LEGEND + 8, quiet=place >= len(lines)))
    return picture(parts, summary, WIDTH, HEIGHT + len(named) * LEGEND + 4 * bool(named))


def calibration_svg(points: Sequence[Calibrated], across: str, up: str, summary: str) -> Markup:
    """Observed against expected shares over the diagonal where they agree, with intervals."""
    ends = [v for p in points for v in (p.expected.value, p.observed.value, p.observed.high) if v]
    most = max(ends, default=0.01)
    x_axis, y_axis = (
        Axis.around(label, np.array([0, most]), percent=True) for label in (across, up)
    )
    parts = [*_plot(x_axis, y_axis), _diagonal()]
    for point in points:
        expected, observed = point.expected.value or 0.0, point.observed.value or 0.0
        x, y = _x(x_axis.place(expected)), _y(y_axis.place(observed))
        low, high = point.observed.low, point.observed.high
        if low is not None and high is not None:
            parts.append(
                Markup('<path class="line s2" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
                    x, _y(y_axis.place(high)), _y(y_axis.place(low))
                )
            )
        parts.append(
            Markup(
                '<circle class="b2" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}: expected {:.2%}, '
                "observed {:.2%}</title></circle>"
            ).format(x, y, point.name, expected, observed)
        )
    return picture(parts, summary, WIDTH, HEIGHT)


def histogram_svg(groups: Sequence[Scores], summary: str, unit: str = "breasts") -> Markup:
    """One panel per outcome over one score axis; heights are shares of the outcome's rows.

    Scores may have any scale. A few whole numbers, such as 1 to 10, get a bar each.
    """
    everything = np.concatenate([group.score for group in groups]) if groups else np.empty(0)
    edges = _edges(everything[np.isfinite(everything)])
    axis = Axis("score", float(edges[0]), float(edges[-1]))
    whole = PANEL * len(groups)
    parts = [upright(f"share of {unit}", whole / 2)]
    for place, group in enumerate(groups):
        top = place * PANEL + LABEL
        parts += [
            *_bars(group, edges, top),
            _frame(top, PANEL - LABEL, axis if place == len(groups) - 1 else None),
            text(
                *(WIDTH - RIGHT, top - 8, f"{group.name} (n = {len(group.score):,})"),
                *("end", "label"),
            ),
        ]
    return picture(parts, summary, WIDTH, whole + BOTTOM)


def _edges(scores: Floats) -> Floats:
    """Edges of the bars ``[bar + 1]``: one bar for each whole number, or ``BINS`` on a round axis."""
    few = np.unique(scores)
    whole = few.size and bool((few == np.round(few)).all()) and few[-1] - few[0] < BINS
    if whole and few.size > 2:
        return np.asarray(np.arange(few[0], few[-1] + 2) - 0.5, np.float64)
    axis = Axis.around("", few)
    return np.linspace(axis.low, axis.high, BINS + 1)


def _bars(group: Scores, edges: Floats, top: float) -> list[Markup]:
    height, width = PANEL - LABEL, ACROSS / (len(edges) - 1)
    counts = np.histogram(group.score, edges)[0]
    shares = counts / max(counts.sum(), 1)
    highest = max(float(shares.max()), 0.01)
    digits = max(0, int(np.ceil(-np.log10(edges[1] - edges[0]))) + 1)
    parts = [
        text(LEFT - 6, top + 9, f"{highest:.0%}", "end"),
        text(LEFT - 6, top + height, "0", "end"),
    ]
    for column, (count, share) in enumerate(zip(counts, shares, strict=True)):
        tall = height * share / highest
        low, high = (f"{edge:z.{digits}f}" for edge in edges[column : column + 2])
        parts.append(
            Markup(
                '<rect class="bar b{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                "<title>{}, score {} to {}: {}</title></rect>"
            ).format(
                *(group.series % 6 + 1, LEFT + column * width + 0.5, top + height - tall),
                *(width - 1, tall, group.name, low, high, count),
            )
        )
    return parts


def _drawn(line: Line, across: Axis, up: Axis, quiet: bool = False) -> Markup:
    """A curve and its band; a quiet one is a guide."""
    there = np.isfinite(line.across) & np.isfinite(line.up)
    x = LEFT + ACROSS * across.places(line.across[there])
    y = TOP + UP * (1 - up.places(line.up[there]))
    if not len(x):
        return Markup("")
    kept = thinned(x, y)
    style = Markup('class="chance"') if quiet else line_style(line.series)
    curve = Markup('<path fill="none" {} d="{}"><title>{}</title></path>').format(
        style, _path(x[kept], y[kept], line.steps), line.name
    )
    if line.low is None or line.high is None:
        return curve
    ends = [TOP + UP * (1 - up.places(end[there][kept])) for end in (line.low, line.high)]
    around = zip([*x[kept], *x[kept][::-1]], [*ends[0], *ends[1][::-1]], strict=True)
    band = Markup('<polygon class="b{}" fill-opacity="0.18" points="{}"/>').format(
        line.series % 6 + 1, " ".join(f"{a:.1f},{b:.1f}" for a, b in around if np.isfinite(b))
    )
    return band + curve


def _path(x: Floats, y: Floats, steps: bool) -> str:
    if steps:
        return f"M{x[0]:.1f} {y[0]:.1f}" + "".join(
            f"H{a:.1f}V{b:.1f}" for a, b in zip(x[1:], y[1:], strict=True)
        )
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _x(place: float) -> float:
    return LEFT + ACROSS * place


def _y(place: float) -> float:
    return TOP + UP * (1 - place)


def _plot(across: Axis, up: Axis) -> list[Markup]:
    """The frame of a picture with both its axes."""
    ticks = [text(LEFT - 6, _y(place) + 4, words, "end") for place, words in up.ticks]
    return [_frame(TOP, UP, across), *ticks, upright(up.label, TOP + UP / 2)]


def _frame(top: float, height: float, across: Axis | None) -> Markup:
    """The axes of a panel; the lowest panel says what runs across."""
    parts = [
        Markup('<path class="axis" d="M{0} {1:.1f}V{2:.1f}H{3}"/>').format(
            LEFT, top, top + height, LEFT + ACROSS
        )
    ]
    if across is not None:
        for place, words in across.ticks:
            parts.append(text(_x(place), top + height + 16, words, "middle"))
        parts.append(text(LEFT + ACROSS / 2, top + height + 36, across.label, "middle", "label"))
    return Markup("").join(parts)


def _diagonal() -> Markup:
    return Markup('<line class="chance" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        LEFT, TOP + UP, LEFT + ACROSS, TOP
    )


def _mark(place: float) -> Markup:
    """An upright line, with what a script must know to move it."""
    return Markup(
        '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}" data-left="{3}" '
        'data-width="{4}"/>'
    ).format(_x(place), TOP, TOP + UP, LEFT, ACROSS)


def _legend(line: Line, middle: float, quiet: bool) -> Markup:
    style = Markup('class="chance"') if quiet else line_style(line.series)
    key = Markup('<line {} x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(
        style, LEFT, middle, LEFT + 36, middle
    )
    return key + text(LEFT + 44, middle + 4, line.name, "start", "label")
