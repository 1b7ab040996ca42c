"""The report on density: classes, the cuts between them, and percent density."""

import numpy as np
import pyarrow as pa

from mim.evaluate.agreement import Weighting, kappa
from mim.evaluate.bootstrap import Floats, Statistic
from mim.evaluate.density import CLASSES, CUTS, Densities, densities
from mim.evaluate.figures import ALL, Figure, find, makers_among, named
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table, unsaid
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import Task

CUT_NAMES = {
    "auc_beyond_a": "b, c, d against a",
    "auc": "c, d against a, b",
    "auc_beyond_c": "d against a, b, c",
}


def density_section(table: pa.Table, settings: BootstrapSettings) -> Section:
    """Measure a table of ``mim.schemas.scores.DENSITY_SCORES``, all of one split."""
    found = densities(table)
    graded = found.graded()
    measurer = Measurer(Task.DENSITY, "breasts", settings)
    figures = [
        *_kappas(graded, measurer),
        *_cuts(graded, measurer),
        *_percent(found, measurer),
    ]
    any_graded = bool(len(graded.known))
    confusion = np.bincount(graded.known * len(CLASSES) + graded.said, minlength=len(CLASSES) ** 2)
    counts = confusion.reshape(len(CLASSES), len(CLASSES)).tolist()
    return Section(
        Task.DENSITY,
        "Density",
        words=(
            "A breast's density is its most probable class. Weighted kappa is 0 where model and "
            "readers agree by chance alone, and 1 where they always agree; linear weights count a "
            "step from class to class once, quadratic ones its square.",
            *unsaid({"Classes": found.probability[:, 0], "Percent density": found.percent}),
        ),
        headlines=[_headline(figures)],
        figures=figures,
        tables=[
            *(
                (_kappa_table(figures), _confusion_table(counts), _cut_table(figures))
                if any_graded
                else ()
            ),
            *((_percent_table(figures),) if _has_percent(figures) else ()),
        ],
        facts={"classes": CLASSES, "known by said": counts},
    )


def _headline(figures: list[Figure]) -> Headline:
    agreement, error = find(figures, "kappa_linear"), find(figures, "percent_error")
    if error.n and not agreement.n:
        return Headline("Percent density off by, mean points", "breasts", Cell(error, 1.0, 2))
    return Headline("Linear kappa of density", "breasts", Cell(agreement))


def _kappas(graded: Densities, measurer: Measurer) -> list[Figure]:
    found = []
    for maker in (ALL, *makers_among(graded.maker)):
        some = graded.where((graded.maker == maker) | (maker == ALL))
        for way in Weighting:
            statistic = kappa(some.said, some.known, len(CLASSES), way)
            names = [(f"kappa_{way}", None)]
            found += measurer.figures(names, statistic, some.woman, None, maker)
    return found


def _cuts(graded: Densities, measurer: Measurer) -> list[Figure]:
    found = []
    for name, cut in CUTS.items():
        dense = graded.known >= cut
        statistic = auc_statistic(graded.beyond(cut), dense)
        found += measurer.figures([(name, None)], statistic, graded.woman, [dense], ALL)
    return found


def _percent(found: Densities, measurer: Measurer) -> list[Figure]:
    some = found.where(~np.isnan(found.percent + found.percent_known))
    names = [("percent_error", None), ("percent_correlation", None)]
    statistic = _error_and_correlation(some.percent, some.percent_known)
    return measurer.figures(names, statistic, some.woman, None, ALL)


def _error_and_correlation(said: Floats, known: Floats) -> Statistic:
    """Mean absolute error, and Pearson's correlation; NaN where one of the two is constant."""

    def statistic(weights: Floats) -> Floats:
        if not weights.any():
            return np.full(2, np.nan)
        share = weights / weights.sum()
        one, other = said - share @ said, known - share @ known
        spread = np.sqrt((share @ one**2) * (share @ other**2))
        correlation = share @ (one * other) / spread if spread > 0 else np.nan
        return np.array([share @ np.abs(said - known), correlation])

    return statistic


def _kappa_table(figures: list[Figure]) -> Table:
    makers = [figure.maker for figure in figures if figure.name == "kappa_linear"]
    return Table(
        "Kappa with 95 % interval.",
        ("Maker", "Linear", "Quadratic", "Breasts"),
        [
            (
                named(maker),
                *(Cell(find(figures, f"kappa_{way}", maker=maker)) for way in Weighting),
                f"{find(figures, 'kappa_linear', maker=maker).n:,}",
            )
            for maker in makers
        ],
    )


def _confusion_table(counts: list[list[int]]) -> Table:
    return Table(
        "Breasts by the density known and the one said.",
        ("Known", *(f"said {letter}" for letter in CLASSES)),
        [
            (letter, *(f"{count:,}" for count in row))
            for letter, row in zip(CLASSES, counts, strict=True)
        ],
    )


def _cut_table(figures: list[Figure]) -> Table:
    return Table(
        "AUC of each cut with 95 % interval.",
        ("Cut", "AUC", "Breasts beyond"),
        [
            (words, Cell(find(figures, name)), f"{find(figures, name).cases:,}")
            for name, words in CUT_NAMES.items()
        ],
    )


def _percent_table(figures: list[Figure]) -> Table:
    error, correlation = find(figures, "percent_error"), find(figures, "percent_correlation")
    return Table(
        "Percent density against what is known of it.",
        ("Figure", "Value", "Breasts"),
        [
            ("Mean absolute error, points", Cell(error, 1.0, 2), f"{error.n:,}"),
            ("Correlation", Cell(correlation), f"{correlation.n:,}"),
        ],
    )


def _has_percent(figures: list[Figure]) -> bool:
    return find(figures, "percent_error").n > 0
