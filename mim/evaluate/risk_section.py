"""The report on risk: does it rank women, and is it as high as what comes?"""

import numpy as np
import pyarrow as pa
from markupsafe import Markup

from mim.evaluate.bootstrap import Floats, Statistic
from mim.evaluate.charts import Calibrated, calibration_svg
from mim.evaluate.figures import ALL, ANY_CANCER, Figure, find, makers_among, named
from mim.evaluate.risk import Risks, risks
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table
from mim.evaluate.settings import BootstrapSettings
from mim.evaluate.survival import Followed, concordance, expected_over_observed, kaplan_meier
from mim.vocab import Task

FIFTHS = 5


def risk_section(table: pa.Table, settings: BootstrapSettings) -> Section:
    """Measure a table of ``mim.schemas.scores.RISK_SCORES``, all of one split."""
    by_breast, by_exam = risks(table)
    figures = [
        figure
        for rows in (by_breast, by_exam)
        for figure in (*_ranking(rows, settings), *_by_year(rows, settings))
    ]
    year = _last_reached(figures)
    fifths = _by_fifth(by_breast, year, settings) if year else []
    top = find(figures, "c_index", unit="breasts")
    return Section(
        Task.RISK,
        "Risk",
        words=(
            "The C-index is the chance that of two breasts the one whose cancer comes earlier has the "
            "higher risk. Rows are ranked by their risk within the last year modelled; pairs are "
            "weighted for what follow-up cannot see (Uno 2011). An exam's risk is the "
            "sum of its breasts', at most 1.",
            "Expected is the mean risk, observed the share with a cancer by Kaplan-Meier; their ratio "
            "is 1 where risks are as high as what comes.",
        ),
        headlines=[Headline("C-index of risk", "breasts", Cell(top))],
        figures=[*figures, *fifths],
        tables=[_ranking_table(figures), *(_year_table(figures, u) for u in ("breasts", "exams"))],
        pictures=[_picture(fifths, year)] if year else [],
    )


def _ranking(rows: Risks, settings: BootstrapSettings) -> list[Figure]:
    measurer = Measurer(Task.RISK, rows.unit, settings)
    found = []
    for maker in (ALL, *makers_among(rows.maker)):
        some = rows.where((rows.maker == maker) | (maker == ALL))
        found += measurer.figures(
            [("c_index", None)],
            concordance(some.last, some.followed),
            some.woman,
            [some.followed.cancer],
            maker,
            ANY_CANCER,
        )
    return found


def _by_year(rows: Risks, settings: BootstrapSettings) -> list[Figure]:
    """Expected, observed and their ratio within each year."""
    years = range(1, rows.risk.shape[1] + 1)
    ratio = expected_over_observed(rows.risk, rows.followed)
    calibration = _calibration(rows.risk, rows.followed, np.array(years, np.float64))

    def statistic(weights: Floats) -> Floats:
        return np.append(calibration(weights), ratio(weights))

    names = [
        (name, _within(year))
        for name in ("expected", "observed", "expected_over_observed")
        for year in years
    ]
    cases = [rows.followed.cancer & (rows.followed.end < year) for year in years] * 3
    measurer = Measurer(Task.RISK, rows.unit, settings)
    return measurer.figures(names, statistic, rows.woman, cases, ALL, ANY_CANCER)


def _by_fifth(rows: Risks, year: int, settings: BootstrapSettings) -> list[Figure]:
    """Expected and observed within a year in fifths of the breasts, from the lowest risk up."""
    risk = rows.risk[:, year - 1]
    inner = np.quantile(risk, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    fifth = np.searchsorted(inner, risk, side="right")
    measurer = Measurer(Task.RISK, rows.unit, settings)
    found = []
    for place in range(FIFTHS):
        some = rows.where(fifth == place)
        names = [(n, f"{_within(year)}, fifth {place + 1}") for n in ("expected", "observed")]
        statistic = _calibration(
            some.risk[:, year - 1 : year], some.followed, np.array([float(year)])
        )
        cases = [some.followed.cancer & (some.followed.end < year)] * 2
        found += measurer.figures(names, statistic, some.woman, cases, ALL, ANY_CANCER)
    return found


def _calibration(risk: Floats, followed: Followed, years: Floats) -> Statistic:
    """Mean risks ``[time]``, then shares with a cancer ``[time]``."""
    observed = kaplan_meier(followed, years)

    def statistic(weights: Floats) -> Floats:
        total = weights.sum()
        expected = weights @ risk / total if total else np.full(len(years), np.nan)
        return np.append(expected, observed(weights))

    return statistic


def _within(year: int) -> str:
    return f"within {year} year{'s' * (year > 1)}"


def _last_reached(figures: list[Figure]) -> int:
    """The last year for which breasts have an observed share; 0: none."""
    known = [
        f.estimate.value is not None
        for f in figures
        if f.name == "observed" and f.unit == "breasts"
    ]
    return max((year for year, reached in enumerate(known, 1) if reached), default=0)


def _ranking_table(figures: list[Figure]) -> Table:
    makers = [f.maker for f in figures if f.name == "c_index" and f.unit == "breasts"]
    return Table(
        "C-index with 95 % interval.",
        ("Maker", "By breast", "By exam"),
        [
            (
                named(maker),
                *(_ranked(figures, unit, maker) for unit in ("breasts", "exams")),
            )
            for maker in makers
        ],
    )


def _ranked(figures: list[Figure], unit: str, maker: str) -> str | Cell:
    found = [f for f in figures if (f.name, f.unit, f.maker) == ("c_index", unit, maker)]
    return Cell(found[0].estimate) if found else "-"


def _year_table(figures: list[Figure], unit: str) -> Table:
    years = [f.of for f in figures if f.name == "observed" and f.unit == unit]

    def cell(name: str, year: str | None) -> Cell:
        of_ratio = name == "expected_over_observed"
        scale, digits = (1.0, 2) if of_ratio else (100.0, 2)
        return Cell(find(figures, name, unit=unit, of=year), scale, digits)

    return Table(
        f"{unit.capitalize()}: expected and observed, in %, and their ratio, with 95 % intervals.",
        ("A cancer", "Expected", "Observed", "Ratio", "Cancers"),
        [
            (
                str(year),
                *(cell(n, year) for n in ("expected", "observed", "expected_over_observed")),
                f"{find(figures, 'observed', unit=unit, of=year).cases:,}",
            )
            for year in years
        ],
    )


def _picture(fifths: list[Figure], year: int) -> Markup:
    pairs = zip(fifths[::2], fifths[1::2], strict=True)
    points = [
        Calibrated(f"fifth {place}", expected.estimate, observed.estimate)
        for place, (expected, observed) in enumerate(pairs, 1)
        if expected.estimate.value is not None and observed.estimate.value is not None
    ]
    return calibration_svg(
        points,
        f"risk {_within(year)}, mean of each fifth of the breasts",
        "share with a cancer (Kaplan-Meier)",
        f"Observed against expected risk {_within(year)}, by fifths of the breasts.",
    )
