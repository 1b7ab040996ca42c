"""Files by month of study and maker, as inline SVG: text stays text, colours follow the page."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

WIDTH, LEFT, RIGHT = 640, 8, 8
PANEL, LABEL, AXIS = 40, 26, 20
TAIL = 0.001
"""Share of files before the first month shown, and after the last: their dates are odd ones."""

Months = Mapping[tuple[str, int | None, bool], int]
"""Files by maker, month (year x 12 + month - 1; None: no date) and whether they are usable."""


class Span(NamedTuple):
    """First and last month shown, and how many files bear other dates or none."""

    first: int
    last: int
    other: int
    undated: int


def span_of(months: Months) -> Span | None:
    """The months that all but a few files lie in; None where no file has a date."""
    by_month: Counter[int] = Counter()
    for (_, month, _), files in months.items():
        if month is not None:
            by_month[month] += files
    undated = sum(months.values()) - by_month.total()
    if not by_month:
        return None
    few = int(TAIL * by_month.total())
    first, last = _after(sorted(by_month), by_month, few), _after(
        sorted(by_month, reverse=True), by_month, few
    )  # fmt: skip
    inside = sum(files for month, files in by_month.items() if first <= month <= last)
    return Span(first, last, by_month.total() - inside, undated)


def months_svg(months: Months, makers: Mapping[str, str], span: Span) -> Markup:
    """One panel for each maker over one axis of months; each has its own height.

    ``makers``: each maker's name in running text. A bar's lower part are usable files.
    """
    count = span.last - span.first + 1
    each = (WIDTH - LEFT - RIGHT) / count
    parts: list[Markup] = []
    for place, (maker, name) in enumerate(makers.items()):
        base = (place + 1) * (PANEL + LABEL)
        bars = [
            (months.get((maker, month, True), 0), months.get((maker, month, False), 0))
            for month in range(span.first, span.last + 1)
        ]
        highest = max(1, *(sum(bar) for bar in bars))
        parts += _panel(base, f"{name}: at most {highest:,} files a month")
        for number, bar in enumerate(bars):
            month = month_name(span.first + number)
            parts += _bar(LEFT + number * each, each, base, bar, highest, f"{name}, {month}")
    bottom = len(makers) * (PANEL + LABEL)
    parts += _years(span, each, bottom)
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img"><title>Files by month of study and maker; '
        "the table below holds the numbers.</title>{}</svg>"
    ).format(WIDTH, bottom + AXIS, Markup("").join(parts))


def month_name(month: int) -> str:
    """``YYYY-MM``."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def _after(order: list[int], by_month: Mapping[int, int], few: int) -> int:
    """The first month in ``order`` by which more than ``few`` files have come."""
    seen = 0
    for month in order:
        seen += by_month[month]
        if seen > few:
            return month
    raise AssertionError("few is less than all")


def _panel(base: int, label: str) -> list[Markup]:
    return [
        Markup('<text class="label" x="{}" y="{}">{}</text>').format(LEFT, base - PANEL - 5, label),
        Markup('<path class="axis" d="M{} {}H{}"/>').format(LEFT, base, WIDTH - RIGHT),
    ]


def _bar(
    left: float, width: float, base: int, bar: tuple[int, int], highest: int, name: str
) -> list[Markup]:
    usable, left_out = (PANEL * files / highest for files in bar)
    if not sum(bar):
        return []
    wide = max(0.8, width - (1 if width > 3 else 0))
    box = '<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>'
    parts = [
        Markup(box).format(kind, left, base - top, wide, height)
        for kind, top, height in (
            ("usable", usable, usable),
            ("left-out", usable + left_out, left_out),
        )
        if height
    ]
    said = f"{name}: {bar[0]:,} usable, {bar[1]:,} left out"
    return [Markup("<g><title>{}</title>{}</g>").format(said, Markup("").join(parts))]


def _years(span: Span, each: float, bottom: int) -> list[Markup]:
    """Ticks at Januaries, and names of as many years as there is room for."""
    januaries = [month for month in range(span.first, span.last + 1) if month % 12 == 0]
    if not januaries:
        label = Markup('<text x="{}" y="{}">{}</text>')
        return [label.format(LEFT, bottom + 15, month_name(span.first))]
    step = next(n for n in (1, 2, 5, 10, 20, 50, 1000) if n * 12 * each > 36)
    parts = []
    for january in januaries:
        across = LEFT + (january - span.first) * each
        parts.append(Markup('<path class="axis" d="M{:.1f} {}v4"/>').format(across, bottom))
        if january // 12 % step == 0 and across < WIDTH - RIGHT - 28:
            parts.append(
                Markup('<text x="{:.1f}" y="{}">{}</text>').format(
                    across, bottom + 15, january // 12
                )
            )
    return parts
