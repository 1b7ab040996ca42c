"""What every picture of the report is drawn with: axes, text, curves' places.

Drawn by hand rather than by a plotting library so that one picture serves light and dark pages
and screen readers. Colours are the page's CSS variables ``--series-1`` to ``--series-6``; curves
differ in dashes as well. Every name goes through ``Markup.format`` and is escaped there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mim.evaluate.bootstrap import Floats

MOST_POINTS = 600
DASHES = ("", "7 3", "2 3", "10 3 2 3", "4 2", "1 4")
ROUND_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Axis:
    """One side of a picture.

    Attributes:
        label: what runs along it, with its unit.
        low: value at its start.
        high: value at its end, above ``low``.
        percent: values are shares, written in per cent.
    """

    label: str
    low: float
    high: float
    percent: bool = False

    @classmethod
    def around(cls, label: str, values: Floats, percent: bool = False) -> "Axis":
        """The axis with round ends on which all values ``[value]`` lie; those that are none are left out."""
        there = values[np.isfinite(values)]
        low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        step = _step(high - low)
        # A hair of rounding must not add a step to the axis.
        return cls(
            label,
            float(np.floor(low / step + 1e-9) * step),
            float(np.ceil(high / step - 1e-9) * step),
            percent,
        )

    def places(self, values: Floats) -> Floats:
        """How far along the axis values lie, 0 to 1; what lies beyond an end is put at it."""
        places = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return np.asarray(places, np.float64)

    def place(self, value: float) -> float:
        """``places`` of one value."""
        return float(self.places(np.array([value]))[0])

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places, 0 to 1, of five to seven round values or so, and the values in words."""
        step = _step(self.high - self.low)
        first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
        values = step * np.arange(first, last + 1)
        digits = max(0, -int(np.floor(np.log10(step) + 1e-9)) - 2 * self.percent)
        words = [
            f"{v:z.{digits}%}" if self.percent else f"{v:z,.{digits}f}" for v in values.tolist()
        ]
        return [*zip(self.places(values).tolist(), words, strict=True)]


def line_style(series: int) -> Markup:
    """Attributes of a curve's line, by its place in the palette."""
    return Markup('class="line s{}" stroke-dasharray="{}"').format(
        series % 6 + 1, DASHES[series % len(DASHES)]
    )


def thinned(across: Floats, up: Floats) -> npt.NDArray[np.intp]:
    """Points of a curve ``[point]``, in the picture's units, that draw it: even steps along it.

    At most ``MOST_POINTS``, the first and the last among them.
    """
    if len(across) <= MOST_POINTS:
        return np.arange(len(across))
    walked = np.append(0, np.cumsum(np.abs(np.diff(across)) + np.abs(np.diff(up))))
    kept = np.searchsorted(walked, np.linspace(0, walked[-1], MOST_POINTS - 1))
    return np.unique(np.append(kept, len(across) - 1))


def text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> Markup:
    """Words at a place; anchor start, middle or end."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )


def upright(words: str, middle: float) -> Markup:
    """Words that run up the left edge."""
    return Markup(
        '<text class="label" text-anchor="middle" transform="translate(14 {:.1f}) rotate(-90)">'
        "{}</text>"
    ).format(middle, words)


def picture(
    parts: Sequence[Markup], summary: str, width: int, height: float, kind: str = "chart"
) -> Markup:
    """The whole picture; ``summary`` is read out instead of it."""
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format(kind, width, height, summary, Markup("").join(parts))


def _step(span: float) -> float:
    """The round distance, 1, 2 or 5 and noughts, of which a span holds at most six."""
    rough = span / 6
    power = 10.0 ** np.floor(np.log10(rough))
    return float(power * next(t for t in ROUND_STEPS if rough <= t * power * (1 + 1e-9)))
