"""Pictures over calendar time: a machine's periods beside what its reference lets expect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis, line_style, picture, text
from mim.evaluate.bootstrap import Bools, Floats

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 30
ACROSS, UP = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
LEGEND = 18
MOST_LABELS = 7


@dataclass(frozen=True)
class Course:
    """A measure over periods ``[period]``; NaN where there is none.

    Attributes:
        name: what it is.
        middle: of each period.
        alarm: which raise one.
        low: lower ends of the lines through the points; missing: no lines.
        high: their upper ends.
        series: place in the palette.
    """

    name: str
    middle: Floats
    alarm: Bools
    low: Floats | None = None
    high: Floats | None = None
    series: int = 1


def course_svg(
    periods: Sequence[str],
    courses: Sequence[Course],
    up: Axis,
    summary: str,
    band: tuple[float, float, float] | None = None,
    guide: float | None = None,
) -> Markup:
    """Courses over the same periods; those with an alarm are ringed.

    Args:
        periods: names along the lower axis, none left out in between.
        courses: several are named below the picture.
        up: the left axis.
        summary: is read out instead of the picture.
        band: low, middle and high of what is expected.
        guide: value at which a quiet line stands.
    """
    parts = [_frame(periods, up)]
    if band is not None:
        low, middle, high = (_y(value, up) for value in band)
        parts.append(
            Markup('<rect class="band" x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
                LEFT, high, ACROSS, max(low - high, 1.0)
            )
        )
        parts.append(_level(middle))
    if guide is not None:
        parts.append(_level(_y(guide, up)))
    for course in courses:
        parts += _course(course, periods, up)
    named = courses if len(courses) > 1 else []
    for place, course in enumerate(named):
        middle = HEIGHT + place * LEGEND + 4
        key = Markup('<line {} x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            line_style(course.series), LEFT, middle, LEFT + 36, middle
        )
        parts.append(key + text(LEFT + 44, middle + 4, course.name, "start", "label"))
    return picture(parts, summary, WIDTH, HEIGHT + LEGEND * len(named))


def _frame(periods: Sequence[str], up: Axis) -> Markup:
    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            LEFT, TOP, TOP + UP, LEFT + ACROSS
        )
    ]
    parts += [text(LEFT - 6, TOP + UP * (1 - at) + 4, words, "end") for at, words in up.ticks]
    every = -(-len(periods) // MOST_LABELS)
    parts += [
        text(_x(place, len(periods)), TOP + UP + 18, name, "middle")
        for place, name in enumerate(periods)
        if place % every == 0
    ]
    return Markup("").join(parts)


def _level(y: float) -> Markup:
    return Markup('<line class="chance" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>').format(
        LEFT, LEFT + ACROSS, y
    )


def _course(course: Course, periods: Sequence[str], up: Axis) -> list[Markup]:
    there = np.flatnonzero(np.isfinite(course.middle))
    x = [_x(int(place), len(periods)) for place in there]
    y = [_y(float(course.middle[place]), up) for place in there]
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    parts = [Markup('<path {} d="M{}"/>').format(line_style(course.series), line)] if x else []
    for place, across, middle in zip(there.tolist(), x, y, strict=True):
        if course.low is not None and course.high is not None:
            ends = (_y(float(end[place]), up) for end in (course.low, course.high))
            parts.append(
                Markup('<path class="whisker" d="M{0:.1f} {1:.1f}V{2:.1f}"/>').format(across, *ends)
            )
        parts.append(
            Markup(
                '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}, {}: {:.4g}</title>'
                "</circle>"
            ).format(
                "alarm" if course.alarm[place] else f"b{course.series % 6 + 1}",
                *(across, middle, 5 if course.alarm[place] else 3),
                *(course.name, periods[place], course.middle[place]),
            )
        )
    return parts


def _x(place: int, periods: int) -> float:
    """The middle of a period's part of the axis."""
    return LEFT + ACROSS * (place + 0.5) / periods


def _y(value: float, up: Axis) -> float:
    return TOP + UP * (1 - up.place(value))
