"""Attrition, shares and gaps as inline SVG: text stays text, colours follow the page.

Each picture has its numbers written in it or in a table below it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from mim.evaluate.attrition import Step

WIDTH, LABEL, VALUE = 480, 165, 118
ROW, GAP, AXIS = 20, 26, 34


class Whisker(NamedTuple):
    """One line of ``whiskers_svg``: a value with its interval, and what stands to its right."""

    label: str
    value: float
    low: float
    high: float
    said: str


def attrition_svg(steps: Sequence[Step]) -> Markup:
    """Every step from what it was given, over what it left out, to what it kept.

    Images and exams have scales of their own.
    """
    most = {step.unit: max(s.total for s in steps if s.unit == step.unit) for step in steps}
    parts: list[Markup] = []
    top = 0
    for step in steps:
        scale = (WIDTH - LABEL - VALUE) / max(1, most[step.unit])
        top += GAP
        parts.append(_text(0, top - 8, f"{step.step}: {step.unit}", "start", "label"))
        rest = step.total
        bars = [("given", step.total, step.total, "kept")]
        for reason, count in step.left_out:
            bars.append((reason, rest, -count, "left-out"))
            rest -= count
        bars.append(("kept", step.kept, step.kept, "kept"))
        for name, end, count, kind in bars:
            start = LABEL + scale * (end - abs(count))
            parts += _bar_row(top, name, start, scale * abs(count), f"{count:,}", kind)
            top += ROW
    return _svg(parts, top + 6, "What each step was given, left out and kept.")


def whiskers_svg(
    rows: Sequence[Whisker], span: tuple[float, float], rules: Sequence[float], summary: str
) -> Markup:
    """Values with intervals over one axis from ``span[0]`` to ``span[1]``; ``rules`` cross them all.

    Shares of 0 to 1 are written as percentages where the axis ends below 0.5.
    """
    low, high = span
    scale = (WIDTH - LABEL - VALUE) / (high - low)

    def across(value: float) -> float:
        return LABEL + scale * (min(max(value, low), high) - low)

    bottom = len(rows) * ROW + 8
    parts = [_rule(across(rule), bottom) for rule in rules]
    for place, row in enumerate(rows):
        middle = place * ROW + ROW / 2
        parts.append(_text(LABEL - 8, middle + 4, row.label, "end", "label"))
        parts.append(
            Markup(
                '<g><title>{}: {}</title><path class="whisker" d="M{:.1f} {:.1f}H{:.1f}"/>'
                '<circle class="kept" cx="{:.1f}" cy="{:.1f}" r="3.5"/></g>'
            ).format(
                row.label,
                row.said,
                across(row.low),
                middle,
                across(row.high),
                across(row.value),
                middle,
            )
        )
        parts.append(_text(WIDTH - VALUE + 10, middle + 4, row.said, "start"))
    parts += _axis(bottom, low, high)
    return _svg(parts, bottom + AXIS - 8, summary)


def gaps_svg(gaps: Mapping[int, int], width: int) -> Markup:
    """Priors by gap in bins of ``width`` months; the last bin holds all longer ones."""
    height, left, right = 120, 8, 8
    each = (WIDTH - left - right) / max(1, len(gaps))
    highest = max(gaps.values(), default=1) or 1
    parts = [
        _text(left, 12, f"at most {highest:,} priors in a bar", "start"),
        Markup('<path class="axis" d="M{} {}H{}"/>').format(left, height + 20, WIDTH - right),
    ]
    for place, (start, count) in enumerate(gaps.items()):
        tall = height * count / highest
        x = left + place * each
        parts.append(
            Markup(
                '<g><title>{} months and more: {}</title><rect class="kept" x="{:.1f}" y="{:.1f}" '
                'width="{:.1f}" height="{:.1f}"/></g>'
            ).format(start, f"{count:,}", x + 1, height + 20 - tall, max(1, each - 2), tall)
        )
        if start % (4 * width) == 0:
            parts.append(_text(x + 1, height + 36, f"{start}", "start"))
    parts.append(_text(WIDTH - right, height + 52, "months from prior to exam", "end", "label"))
    return _svg(
        parts, height + 58, "Priors by months before their exam; the table holds the numbers."
    )


def _bar_row(
    top: float, name: str, start: float, wide: float, said: str, kind: str
) -> list[Markup]:
    return [
        _text(LABEL - 8, top + 13, name, "end"),
        Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
            kind, start, top + 2, max(1.0, wide), ROW - 6
        ),
        _text(WIDTH - VALUE + 10, top + 13, said.replace("-", "\N{MINUS SIGN}"), "start"),
    ]


def _axis(bottom: float, low: float, high: float) -> list[Markup]:
    """A line with at most seven ticks at round numbers."""
    reach = high - low
    step = next(s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if reach / s <= 6.001)
    ticks = [low + step * n for n in range(int(reach / step + 1.001))]
    parts = [Markup('<path class="axis" d="M{} {:.1f}H{}"/>').format(LABEL, bottom, WIDTH - VALUE)]
    for tick in ticks:
        x = LABEL + (WIDTH - LABEL - VALUE) * (tick - low) / reach
        said = f"{tick:.1f}" if low else f"{tick:.1%}" if step < 0.01 else f"{tick:.0%}"
        parts.append(Markup('<path class="axis" d="M{:.1f} {:.1f}v4"/>').format(x, bottom))
        parts.append(_text(x, bottom + 17, said, "middle"))
    return parts


def _rule(x: float, bottom: float) -> Markup:
    return Markup('<path class="rule" d="M{0:.1f} 0V{1:.1f}"/>').format(x, bottom)


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, words
    )


def _svg(parts: Sequence[Markup], height: float, summary: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img"><title>{}</title>{}</svg>').format(
        WIDTH, height, summary, Markup("").join(parts)
    )
