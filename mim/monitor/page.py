"""The page of the watch: alarms, then the courses of every machine. One file, no network."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis
from mim.evaluate.bootstrap import Floats
from mim.monitor.alarms import NAMES, Alarm, Kind, machine_name, remedies
from mim.monitor.chances import LARGE
from mim.monitor.charts import Course, course_svg
from mim.monitor.exams import Counts
from mim.monitor.settings import MonitorSettings
from mim.monitor.watch import FALSE_ALARMS, SELECTED, WHOLE_TIME, Look
from mim.schemas.monitored import MEASURES, Level

COMPARED = {
    Level.MACHINE: "Compared with reference exams of this machine.",
    Level.MAKER: "Compared with reference exams of all its maker's machines: there are too few of it.",
    Level.ALL: "Compared with all reference exams: there are too few of its maker.",
}


@dataclass(frozen=True)
class Found:
    """What the page is about.

    Attributes:
        note: what must be said wherever a figure of the bundle stands.
        counts: of the predictions.
        machines: exams of every maker and machine.
        periods: every one from the first exam to the last.
        rates: selection rates.
        looks: all comparisons.
        alarms: in their order.
    """

    note: str
    counts: Counts
    machines: dict[tuple[str, str], int]
    periods: list[str]
    rates: list[float]
    looks: list[Look]
    alarms: list[Alarm]


@dataclass(frozen=True)
class MachineView:
    """A machine's part of the page."""

    name: str
    anchor: str
    exams: int
    compared: str
    alarms: list[tuple[Kind, list[str]]]
    selection: list[Markup]
    measures: list[Markup]
    index: Markup
    heads: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


def monitor_page(found: Found, settings: MonitorSettings) -> str:
    """The page as HTML."""
    views = [_view(found, place, *machine) for place, machine in enumerate(found.machines)]
    watched = [view for view in views if view.rows]
    said = remedies(min(found.rates))
    return _template().render(
        found=found,
        watched=watched,
        alarmed=[view for view in views if view.alarms],
        # Machines whose exams are too few have an alarm at most, and nothing to draw.
        few=[view for view in views if not view.rows],
        remedies={kind: said[kind] for kind in Kind if any(a.kind is kind for a in found.alarms)},
        judged=sum(look.judged for look in found.looks),
        settings=asdict(settings),
        false_alarms=FALSE_ALARMS,
        large=LARGE,
    )


def _view(found: Found, place: int, maker: str, machine: str) -> MachineView:
    looks = [look for look in found.looks if (look.maker, look.machine) == (maker, machine)]
    by_period = {(look.measure, look.selection_rate, look.period): look for look in looks}
    columns: list[tuple[str, float | None]] = [(SELECTED, rate) for rate in found.rates]
    columns += [(name, None) for name in MEASURES if any(look.measure == name for look in looks)]
    alarms = [a for a in found.alarms if (a.maker, a.machine) == (maker, machine)]
    series = {column: _series(by_period, column, found.periods) for column in columns}
    return MachineView(
        name=machine_name(maker, machine),
        anchor=f"machine-{place + 1}",
        exams=found.machines[maker, machine],
        compared=COMPARED[looks[0].level] if looks else "",
        alarms=_by_kind(alarms),
        selection=[
            _picture(found.periods, series[column], _title(column))
            for column in columns[: len(found.rates)]
        ]
        if looks
        else [],
        measures=[
            _picture(found.periods, series[column], _title(column))
            for column in columns[len(found.rates) :]
        ],
        # There are six colours, and a few pixel spacings are better seen themselves.
        index=_index_picture(
            found.periods,
            {c: series[c] for c in columns[len(found.rates) :] if c[0] != "spacing_mm"},
        ),
        heads=[_title(column) for column in columns],
        rows=_rows(by_period, columns, [*found.periods, WHOLE_TIME]),
    )


Column = tuple[str, float | None]
ByPeriod = dict[tuple[str, float | None, str], Look]
Series = list[Look | None]


def _by_kind(alarms: Sequence[Alarm]) -> list[tuple[Kind, list[str]]]:
    """Sentences by kind: of each measure the first alarm, and how many there are."""
    said: dict[Kind, list[str]] = {}
    of_one: dict[tuple[str | None, float | None], list[Alarm]] = {}
    for alarm in alarms:
        of_one.setdefault((alarm.measure, alarm.selection_rate), []).append(alarm)
    for same in of_one.values():
        more = f" {len(same)} alarms of this kind in all." if len(same) > 1 else ""
        said.setdefault(same[0].kind, []).append(same[0].what + more)
    return [*said.items()]


def _series(by_period: ByPeriod, column: Column, periods: Sequence[str]) -> Series:
    return [by_period.get((*column, period)) for period in periods]


def _title(column: Column) -> str:
    name, rate = column
    return f"Selected at {rate:.1%}" if rate is not None else NAMES[name]


def _picture(periods: Sequence[str], series: Series, title: str) -> Markup:
    """One measure over time, with the band of the reference."""
    looks = [look for look in series if look is not None]
    share = bool(looks) and looks[0].measure == SELECTED
    band = looks[0].expected if looks else None
    low, middle, high = (
        np.array([np.nan if look is None else getattr(look, end) for look in series])
        for end in ("low", "middle", "high")
    )
    alarm = np.array([look is not None and look.alarm for look in series])
    ends = np.concatenate([low, high, band or ()]) if looks else np.zeros(1)
    if np.nanmin(ends) == np.nanmax(ends):
        ends = np.nanmin(ends) * np.array([0.8, 1.2])
    up = Axis.around(title, np.append(ends, 0.0) if share else ends, percent=share)
    summary = f"{title} by period, beside the reference; the table holds the numbers."
    course = Course(title, middle, alarm, low, high)
    return course_svg(periods, [course], up, summary, band)


def _index_picture(periods: Sequence[str], series: dict[Column, Series]) -> Markup:
    """The stability index of every measure over time."""
    courses = []
    for place, (column, looks) in enumerate(series.items()):
        index: Floats = np.array(
            [np.nan if look is None or look.index is None else look.index for look in looks]
        )
        alarm = np.array([look is not None and look.alarm for look in looks])
        courses.append(Course(_title(column), index, alarm, series=place))
    ends = np.concatenate([[0.0, LARGE], *(course.middle for course in courses)])
    summary = "Population stability index by period; the table holds the numbers."
    up = Axis.around("population stability index", ends)
    return course_svg(periods, courses, up, summary, guide=LARGE)


def _rows(
    by_period: ByPeriod, columns: Sequence[Column], periods: Sequence[str]
) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Cells of each period, and whether each raises an alarm; the first is the number of exams."""
    rows = []
    for period in periods:
        looks = [by_period.get((*column, period)) for column in columns]
        if any(looks):
            exams = max(look.exams for look in looks if look is not None)
            cells = [_cell(look) for look in looks]
            rows.append((period, [(f"{exams:,}", False), *cells]))
    return rows


def _cell(look: Look | None) -> tuple[str, bool]:
    if look is None:
        return "-", False
    if look.measure == SELECTED:
        return f"{look.middle:.1%}", look.alarm
    return f"{look.middle:.3g} ({look.index:.2f})", look.alarm


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(n="{:,}".format, percent="{:.0%}".format)
    text = files("mim.monitor").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)
