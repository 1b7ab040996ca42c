"""The report on risk: does it rank women, and is it as high as what comes?"""

from collections.abc import Sequence

import pyarrow as pa
from markupsafe import Markup

from mim.evaluate.charts import Calibrated, calibration_svg
from mim.evaluate.figures import ALL, Figure, find, named
from mim.evaluate.risk import risks
from mim.evaluate.risk_figures import all_makers, by_fifth, each_maker, last_reached, within
from mim.evaluate.sections import Cell, Headline, Section, Table
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import Task

UNITS = ("breasts", "exams")
WORDS = (
    "The C-index is the chance that of two breasts the one whose cancer comes earlier has the "
    "higher risk. Rows are ranked by their risk within the last year modelled; pairs are "
    "weighted for what follow-up cannot see (Uno 2011). An exam's risk is the "
    "sum of its breasts', at most 1.",
    "Expected is the mean risk, observed the share with a cancer by Kaplan-Meier; their ratio "
    "is 1 where risks are as high as what comes.",
    "The AUC within some years is the chance that a breast whose cancer comes within them has a "
    "higher risk than one that stays free of it for as long. The Brier score is the mean square "
    "of how far a risk was from what came, 0 at best; scaled, it is the part of that distance "
    "which the model takes away from telling every woman the same share: 1 at best, 0 for "
    "knowing no more than the share, below 0 for less.",
    "The slope is 1 where risks lie as far apart as what comes: below 1 high risks are too high "
    "and low ones too low, above 1 the other way round.",
)


def risk_section(table: pa.Table, settings: BootstrapSettings) -> Section:
    """Measure a table of ``mim.schemas.scores.RISK_SCORES``, all of one split."""
    both = risks(table)
    by_breast, _ = both
    year = last_reached(by_breast)
    figures = [figure for rows in both for figure in all_makers(rows, year, settings)]
    figures += [figure for rows in both for figure in each_maker(rows, year, settings)]
    fifths = by_fifth(by_breast, year, settings) if year else []
    tables = [
        _ranking_table(figures),
        *(_distance_table(figures, unit) for unit in UNITS),
        *(_year_table(figures, unit) for unit in UNITS),
        *([_calibration_table(figures, within(year))] if year else []),
    ]
    top = find(figures, "c_index", unit="breasts")
    return Section(
        Task.RISK,
        "Risk",
        words=WORDS,
        headlines=[Headline("C-index of risk", "breasts", Cell(top))],
        figures=[*figures, *fifths],
        tables=tables,
        pictures=[_picture(fifths, year)] if year else [],
    )


def _ranking_table(figures: Sequence[Figure]) -> Table:
    return Table(
        "C-index with 95 % interval.",
        ("Maker", "By breast", "By exam"),
        [
            (
                named(maker),
                *(_of_maker(figures, "c_index", unit, maker, None, 3) for unit in UNITS),
            )
            for maker in _makers(figures)
        ],
    )


def _distance_table(figures: Sequence[Figure], unit: str) -> Table:
    def cells(year: str | None) -> list[str | Cell]:
        return [
            Cell(find(figures, name, unit=unit, of=year), digits=digits)
            for name, digits in (("auc", 3), ("brier", 4), ("scaled_brier", 3))
        ]

    whole = [f for f in figures if f.name == "integrated_brier" and f.unit == unit]
    rows: list[Sequence[str | Cell]] = [
        (str(year), *cells(year), _cancers(figures, unit, year)) for year in _years(figures, unit)
    ]
    rows += [(f"mean of {f.of}", "-", Cell(f.estimate, digits=4), "-", "") for f in whole]
    return Table(
        f"{unit.capitalize()}: AUC within each year and Brier score, with 95 % intervals.",
        ("A cancer", "AUC", "Brier", "Scaled Brier", "Cancers"),
        rows,
    )


def _year_table(figures: Sequence[Figure], unit: str) -> Table:
    def cell(name: str, year: str | None) -> Cell:
        scale = 1.0 if name == "expected_over_observed" else 100.0
        return Cell(find(figures, name, unit=unit, of=year), scale, 2)

    return Table(
        f"{unit.capitalize()}: expected and observed, in %, and their ratio, with 95 % intervals.",
        ("A cancer", "Expected", "Observed", "Ratio", "Cancers"),
        [
            (
                str(year),
                *(cell(n, year) for n in ("expected", "observed", "expected_over_observed")),
                _cancers(figures, unit, year),
            )
            for year in _years(figures, unit)
        ],
    )


def _calibration_table(figures: Sequence[Figure], year: str) -> Table:
    return Table(
        f"Calibration {year}: expected over observed, and slope, with 95 % intervals.",
        ("Maker", "Ratio by breast", "Ratio by exam", "Slope by breast", "Slope by exam"),
        [
            (
                named(maker),
                *(
                    _of_maker(figures, name, unit, maker, year, 2)
                    for name in ("expected_over_observed", "calibration_slope")
                    for unit in UNITS
                ),
            )
            for maker in _makers(figures)
        ],
    )


def _makers(figures: Sequence[Figure]) -> list[str]:
    return [f.maker for f in figures if f.name == "c_index" and f.unit == "breasts"]


def _years(figures: Sequence[Figure], unit: str) -> list[str | None]:
    return [f.of for f in figures if f.name == "observed" and f.unit == unit and f.subgroup == ALL]


def _cancers(figures: Sequence[Figure], unit: str, year: str | None) -> str:
    return f"{find(figures, 'observed', unit=unit, of=year).cases:,}"


def _of_maker(
    figures: Sequence[Figure], name: str, unit: str, maker: str, of: str | None, digits: int
) -> str | Cell:
    """A maker's figure; a dash where no exam of that maker could be measured."""
    wanted = (name, unit, maker, of)
    found = [f for f in figures if (f.name, f.unit, f.maker, f.of) == wanted]
    return Cell(found[0].estimate, digits=digits) if found else "-"


def _picture(fifths: Sequence[Figure], year: int) -> Markup:
    pairs = zip(fifths[::2], fifths[1::2], strict=True)
    points = [
        Calibrated(f"fifth {place}", expected.estimate, observed.estimate)
        for place, (expected, observed) in enumerate(pairs, 1)
        if expected.estimate.value is not None and observed.estimate.value is not None
    ]
    return calibration_svg(
        points,
        f"risk {within(year)}, mean of each fifth of the breasts",
        "share with a cancer (Kaplan-Meier)",
        f"Observed against expected risk {within(year)}, by fifths of the breasts.",
    )
