"""The report on cancer: ROC by maker, sensitivity at selection rates, scores by outcome."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from mim.evaluate.charts import Curve, Scores, histogram_svg, line_style, roc_svg
from mim.evaluate.figures import ALL, OUTCOMES, Figure, find, makers_among
from mim.evaluate.metrics import auc_figure, roc_curve, selection_figures
from mim.evaluate.operating import Threshold
from mim.evaluate.scored import EXAM_OUTCOMES, Scored, breasts, checked, exams, require_labels
from mim.evaluate.sections import Cell, Headline, Section
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import CANCERS, Outcome, Task

SHOWN_OUTCOMES = (
    Outcome.NEGATIVE,
    *CANCERS,
    Outcome.LATER,
    Outcome.RECALLED,
    Outcome.DISMISSED,
)
"""Outcomes whose scores are drawn, where there are any."""


@dataclass(frozen=True)
class Cancer:
    """The part on cancer.

    Attributes:
        section: its figures.
        breasts: those with a score.
        context: what its template shows.
    """

    section: Section
    breasts: Scored
    context: dict[str, object]


def measure_cancer(
    scores: pa.Table, thresholds: Sequence[Threshold], settings: BootstrapSettings
) -> Cancer:
    """Measure a table of ``mim.schemas.scores.SCORES``, all of one split.

    Raises:
        InputError: the scores break their schema or know no outcome.
    """
    rows = checked(scores)
    require_labels(rows)
    by_breast, by_exam = breasts(rows), exams(rows)
    figures = _measure(by_breast, by_exam, thresholds, settings)
    counts = _counts(by_breast, by_exam)
    section = Section(
        Task.CANCER,
        "Cancer",
        words=(),
        headlines=[
            Headline(f"AUC by {unit[:-1]}", unit, Cell(find(figures, "auc", unit=unit)))
            for unit in ("breasts", "exams")
        ],
        figures=figures,
        tables=(),
        facts={
            "counts": counts,
            "thresholds": [asdict(threshold) for threshold in thresholds],
        },
    )
    return Cancer(section, by_breast, _context(figures, by_breast) | section.facts)


def _measure(
    by_breast: Scored, by_exam: Scored, thresholds: Sequence[Threshold], settings: BootstrapSettings
) -> list[Figure]:
    aucs = [
        auc_figure(rows, maker, settings)
        for rows in (by_breast, by_exam)
        for maker in (ALL, *makers_among(rows.maker))
    ]
    return aucs + selection_figures(by_exam, thresholds, settings)


def _context(figures: Sequence[Figure], by_breast: Scored) -> dict[str, object]:
    curves = _curves(by_breast)
    groups = [
        Scores(str(outcome), by_breast.score[by_breast.outcome == outcome], series)
        for series, outcome in enumerate(SHOWN_OUTCOMES)
        if (by_breast.outcome == outcome).any()
    ]
    return {
        "makers": [
            (curve.name, line_style(curve.series), _auc_of(figures, curve.name)) for curve in curves
        ],
        "roc": roc_svg(curves, "ROC curves by maker; the table beside it gives their areas."),
        "histogram": histogram_svg(
            groups, f"Histograms of breast scores: {', '.join(group.name for group in groups)}."
        ),
        "selections": _selections(figures),
        "cancers": [o for o in OUTCOMES if any(f.outcome == o for f in figures)],
        "outcomes": [str(outcome) for outcome in EXAM_OUTCOMES],
    }


def _curves(by_breast: Scored) -> list[Curve]:
    """A curve for all makers and each one that has breasts with and without cancer."""
    curves = []
    for series, maker in enumerate((ALL, *makers_among(by_breast.maker))):
        rows = by_breast.where(by_breast.known & ((by_breast.maker == maker) | (maker == ALL)))
        empty = np.empty(0)
        both = rows.cancer.any() and not rows.cancer.all()
        points = roc_curve(rows.score, rows.cancer) if both else (empty, empty)
        curves.append(Curve(maker, *points, series))
    return curves


def _auc_of(figures: Sequence[Figure], maker: str) -> dict[str, Cell]:
    return {f.unit: Cell(f.estimate) for f in figures if f.name == "auc" and f.maker == maker}


def _selections(figures: Sequence[Figure]) -> list[tuple[str, list[dict[str, object]]]]:
    """Per rule, a row for each selection rate: the share selected and each sensitivity."""
    tables: dict[str, dict[float, dict[str, object]]] = {}
    for figure in figures:
        if figure.rule is not None and figure.selection_rate is not None:
            rates = tables.setdefault(figure.rule, {})
            row = rates.setdefault(figure.selection_rate, {"rate": figure.selection_rate})
            row[str(figure.outcome)] = Cell(figure.estimate, 100, 1)
    return [(rule, list(rates.values())) for rule, rates in tables.items()]


def _counts(by_breast: Scored, by_exam: Scored) -> dict[str, dict[str, int]]:
    return {
        rows.unit: {
            "scored": len(rows.score),
            "without score": rows.unscored,
            "label unknown": int((~rows.known).sum()),
            "cancers": int(rows.cancer.sum()),
            **{str(outcome): int((rows.outcome == outcome).sum()) for outcome in Outcome},
        }
        for rows in (by_breast, by_exam)
    }
