"""ROC curves and score histograms as inline SVG: text stays text, colours follow the page.

Drawn by hand rather than by a plotting library so that one picture serves light and dark pages
and screen readers. Colours are the page's CSS variables ``--series-1`` to ``--series-6``; curves
differ in dashes as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.bootstrap import Estimate, Floats

WIDTH, HEIGHT = 480, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 44
PANEL, LABEL = 100, 24
MOST_POINTS = 400
BINS = 20
DASHES = ("", "7 3", "2 3", "10 3 2 3", "4 2", "1 4")


@dataclass(frozen=True)
class Curve:
    """A named ROC curve: false and true positive rate ``[point]``, and a place in the palette."""

    name: str
    false_positive: Floats
    true_positive: Floats
    series: int


@dataclass(frozen=True)
class Scores:
    """Scores ``[row]``, 0 to 1, of one outcome, and a place in the palette."""

    name: str
    score: Floats
    series: int


@dataclass(frozen=True)
class Calibrated:
    """Expected and observed share of a group."""

    name: str
    expected: Estimate
    observed: Estimate


def line_style(series: int) -> Markup:
    """Attributes of a curve's line, by its place in the palette."""
    return Markup('class="line s{}" stroke-dasharray="{}"').format(
        series % 6 + 1, DASHES[series % len(DASHES)]
    )


def roc_svg(curves: Sequence[Curve], summary: str) -> Markup:
    """ROC curves over the diagonal of chance; ``summary`` is read out instead of the picture."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [_frame(TOP, height, "false positive rate (1 - specificity)"), *_ticks_up(TOP, height)]
    parts.append(_diagonal(TOP, width, height))
    parts.append(_upright("true positive rate (sensitivity)", TOP + height / 2))
    for curve in reversed(curves):
        keep = _thinned(len(curve.false_positive))
        across = LEFT + width * curve.false_positive[keep]
        down = TOP + height * (1 - curve.true_positive[keep])
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
        parts.append(
            Markup('<polyline {} points="{}"><title>{}</title></polyline>').format(
                line_style(curve.series), points, curve.name
            )
        )
    return _svg(parts, summary)


def calibration_svg(points: Sequence[Calibrated], across: str, up: str, summary: str) -> Markup:
    """Observed against expected shares over the diagonal where they agree, with intervals."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    ends = [v for p in points for v in (p.expected.value, p.observed.value, p.observed.high) if v]
    most = _rounded_up(max(ends, default=0.01))
    parts = [
        _frame(TOP, height, across, most),
        *_ticks_up(TOP, height, most),
        _diagonal(TOP, width, height),
        _upright(up, TOP + height / 2),
    ]
    for point in points:
        expected, observed = point.expected.value or 0.0, point.observed.value or 0.0
        x, y = LEFT + width * expected / most, TOP + height * (1 - observed / most)
        low, high = point.observed.low, point.observed.high
        if low is not None and high is not None:
            parts.append(
                Markup('<path class="line s2" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
                    x, TOP + height * (1 - high / most), TOP + height * (1 - low / most)
                )
            )
        parts.append(
            Markup(
                '<circle class="b2" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}: expected {:.2%}, '
                "observed {:.2%}</title></circle>"
            ).format(x, y, point.name, expected, observed)
        )
    return _svg(parts, summary)


def histogram_svg(groups: Sequence[Scores], summary: str) -> Markup:
    """One panel per outcome over one score axis; heights are shares of the outcome's breasts."""
    height = PANEL - LABEL
    whole = PANEL * len(groups)
    width = (WIDTH - LEFT - RIGHT) / BINS
    edges = np.linspace(0, 1, BINS + 1)
    parts = [_upright("share of the outcome's breasts", whole / 2)]
    for place, group in enumerate(groups):
        top = place * PANEL + LABEL
        counts = np.histogram(group.score, edges)[0]
        shares = counts / max(counts.sum(), 1)
        highest = max(float(shares.max()), 0.01)
        last = place == len(groups) - 1
        parts.append(_frame(top, height, "score" if last else None))
        parts.append(_text(LEFT - 6, top + 9, f"{highest:.0%}", "end"))
        parts.append(_text(LEFT - 6, top + height, "0", "end"))
        for column, (count, share) in enumerate(zip(counts, shares, strict=True)):
            tall = height * share / highest
            parts.append(
                Markup(
                    '<rect class="bar b{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}, score {:.2f} to {:.2f}: {}</title></rect>"
                ).format(
                    group.series % 6 + 1,
                    LEFT + column * width + 0.5,
                    top + height - tall,
                    width - 1,
                    tall,
                    group.name,
                    edges[column],
                    edges[column + 1],
                    count,
                )
            )
        label = f"{group.name} (n = {len(group.score)})"
        parts.append(_text(WIDTH - RIGHT, top - 8, label, "end", "label"))
    return _svg(parts, summary, whole + BOTTOM)


def _thinned(points: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Places of at most ``MOST_POINTS`` points, first and last among them."""
    return np.unique(np.linspace(0, points - 1, min(points, MOST_POINTS)).round().astype(np.intp))


def _diagonal(top: float, width: float, height: float) -> Markup:
    return Markup('<line class="chance" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        LEFT, top + height, LEFT + width, top
    )


def _frame(top: float, height: float, across: str | None, most: float = 1.0) -> Markup:
    """The axes of a panel, up to ``most``; the lowest panel names what runs across."""
    width = WIDTH - LEFT - RIGHT
    parts = [
        Markup('<path class="axis" d="M{0} {1:.1f}V{2:.1f}H{3}"/>').format(
            LEFT, top, top + height, LEFT + width
        )
    ]
    if across is not None:
        for tick in range(0, 11, 2):
            label = _tick(tick, most)
            parts.append(_text(LEFT + width * tick / 10, top + height + 16, label, "middle"))
        parts.append(_text(LEFT + width / 2, top + height + 36, across, "middle", "label"))
    return Markup("").join(parts)


def _ticks_up(top: float, height: float, most: float = 1.0) -> list[Markup]:
    return [
        _text(LEFT - 6, top + height * (1 - tick / 10) + 4, _tick(tick, most), "end")
        for tick in range(0, 11, 2)
    ]


def _rounded_up(share: float) -> float:
    """To 1, 2 or 5 and noughts: 0.034 to 0.05."""
    step = 10.0 ** np.floor(np.log10(share))
    return float(step * next(times for times in (1, 2, 5, 10) if share <= times * step))


def _tick(tick: int, most: float) -> str:
    """A tenth of an axis; axes of small shares are in per cent."""
    share = most * tick / 10
    return f"{share:.1f}" if most == 1 else f"{share:.{0 if most > 0.2 else 1}%}"


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )


def _upright(words: str, middle: float) -> Markup:
    return Markup(
        '<text class="label" text-anchor="middle" transform="translate(14 {:.1f}) rotate(-90)">'
        "{}</text>"
    ).format(middle, words)


def _svg(parts: Sequence[Markup], summary: str, height: int = HEIGHT) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, summary, Markup("").join(parts)
    )
