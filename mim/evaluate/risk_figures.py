"""The figures of risks, with intervals: those of the same rows share one set of draws."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mim.evaluate.bootstrap import Bools, Statistic
from mim.evaluate.brier import brier
from mim.evaluate.figures import ALL, ANY_CANCER, ClosedForm, Figure, makers_among
from mim.evaluate.risk import Risks
from mim.evaluate.risk_calibration import calibration_slope, ratio_intervals, share_intervals
from mim.evaluate.sections import Measurer
from mim.evaluate.settings import BootstrapSettings
from mim.evaluate.survival import concordance, expected_and_observed, kaplan_meier, together
from mim.evaluate.time_auc import auc_within
from mim.vocab import Task

FIFTHS = 5
BY_YEAR = ("expected", "observed", "expected_over_observed", "auc", "brier", "scaled_brier")


def within(year: int) -> str:
    """What a figure of a year is of."""
    return f"within {year} year{'s' * (year > 1)}"


def last_reached(rows: Risks) -> int:
    """The last year modelled that follow-up reaches; 0: none."""
    years = np.arange(1.0, rows.risk.shape[1] + 1)
    shares = kaplan_meier(rows.followed, years)(np.ones(len(rows.woman)))
    return int((~np.isnan(shares)).sum())


def all_makers(rows: Risks, last: int, settings: BootstrapSettings) -> list[Figure]:
    """Ranking, calibration and distance of all rows.

    Args:
        rows: breasts or exams.
        last: year up to which Brier scores are integrated, and of the slope; 0: neither.
        settings: of the bootstrap.
    """
    years = range(1, rows.risk.shape[1] + 1)
    names: list[tuple[str, str | None]] = [("c_index", None)]
    names += [(name, within(year)) for name in BY_YEAR for year in years]
    statistics = [
        concordance(rows.last, rows.followed),
        expected_and_observed(rows.risk, rows.followed, np.array(years, np.float64)),
        auc_within(rows.risk, rows.followed),
        brier(rows.risk, rows.followed, last),
    ]
    if last > 1:
        names.append(("integrated_brier", f"years 1 to {last}"))
    if last:
        names.append(("calibration_slope", within(last)))
        statistics.append(calibration_slope(rows.risk[:, last - 1], rows.followed, last))
    found = Measurer(Task.RISK, rows.unit, settings).figures(
        names, together(*statistics), rows.woman, _cases(rows, names, last), ALL, ANY_CANCER
    )
    return _completed(found, rows, years)


def each_maker(rows: Risks, year: int, settings: BootstrapSettings) -> list[Figure]:
    """C-index of each maker's rows, and within a year expected over observed and the slope."""
    measurer = Measurer(Task.RISK, rows.unit, settings)
    found = []
    for maker in makers_among(rows.maker):
        some = rows.where(rows.maker == maker)
        names: list[tuple[str, str | None]] = [("c_index", None)]
        statistics = [concordance(some.last, some.followed)]
        if year:
            risk = some.risk[:, year - 1]
            names += [(name, within(year)) for name in (*BY_YEAR[:3], "calibration_slope")]
            statistics += [
                expected_and_observed(risk[:, None], some.followed, np.array([float(year)])),
                calibration_slope(risk, some.followed, year),
            ]
        figures = measurer.figures(
            names, together(*statistics), some.woman, _cases(some, names, year), maker, ANY_CANCER
        )
        found += _completed(figures, some, [year] * (year > 0))
    return found


def by_fifth(rows: Risks, year: int, settings: BootstrapSettings) -> list[Figure]:
    """Expected and observed within a year in fifths of the rows, from the lowest risk up."""
    risk = rows.risk[:, year - 1]
    inner = np.quantile(risk, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    fifth = np.searchsorted(inner, risk, side="right")
    measurer = Measurer(Task.RISK, rows.unit, settings)
    found = []
    for place in range(FIFTHS):
        some = rows.where(fifth == place)
        names: list[tuple[str, str | None]] = [(name, within(year)) for name in BY_YEAR[:2]]
        figures = measurer.figures(
            names,
            _two_means(some, year),
            some.woman,
            _cases(some, names, year),
            ALL,
            ANY_CANCER,
        )
        found += [
            replace(figure, of=f"{figure.of}, fifth {place + 1}")
            for figure in _completed(figures, some, [year])
        ]
    return found


def _two_means(rows: Risks, year: int) -> Statistic:
    """Expected and observed within a year."""
    risk = rows.risk[:, year - 1 : year]
    all_three = expected_and_observed(risk, rows.followed, np.array([float(year)]))
    return lambda weights: all_three(weights)[:2]


def _cases(rows: Risks, names: Sequence[tuple[str, str | None]], last: int) -> list[Bools | None]:
    """The cancers that each figure looks for: all, or those within its years."""
    end, cancer = rows.followed.end, rows.followed.cancer
    within_years = {within(y): cancer & (end < y) for y in range(1, rows.risk.shape[1] + 1)}
    known = within_years | {None: cancer, f"years 1 to {last}": cancer & (end < last)}
    return [known[of] for _, of in names]


def _completed(figures: Sequence[Figure], rows: Risks, years: Sequence[int]) -> list[Figure]:
    """Figures with their intervals by closed form, and a word where follow-up is too short."""
    times = np.array(years, np.float64)
    closed: dict[tuple[str, str], ClosedForm | None] = {}
    expected = rows.risk[:, np.array(years, np.int64) - 1].sum(axis=0) / max(len(rows.risk), 1)
    for name, intervals in (
        ("observed", share_intervals(rows.followed, times)),
        ("expected_over_observed", ratio_intervals(expected, rows.followed, times)),
    ):
        closed |= {(name, within(y)): c for y, c in zip(years, intervals, strict=True)}
    longest = rows.followed.end.max(initial=0.0)
    beyond = {within(year) for year in years if year > longest}
    completed = []
    for figure in figures:
        estimate = figure.estimate
        if estimate.value is None and figure.of in beyond and estimate.n:
            estimate = replace(estimate, reason="nobody was followed that long")
        interval = closed.get((figure.name, figure.of or ""))
        completed.append(replace(figure, estimate=estimate, closed=interval))
    return completed
