"""The report on cancer: ROC curves, what selection finds, and scores by outcome."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mim.evaluate.axes import Axis
from mim.evaluate.charts import Curve, Line, Scores, histogram_svg, line_style, lines_svg, roc_svg
from mim.evaluate.detection import LEAST_SPECIFICITY, Detection
from mim.evaluate.figures import (
    ALL,
    MAKER,
    Figure,
    find_one,
    named,
    outcome_name,
    outcomes_of,
)
from mim.evaluate.measured import Measured
from mim.evaluate.metrics import roc_curve
from mim.evaluate.ranked import UNKNOWN
from mim.evaluate.sample import Sample
from mim.evaluate.scored import EXAM_OUTCOMES, Scored
from mim.evaluate.sections import Cell, Headline, Section, Table, counted, in_words
from mim.vocab import CANCERS, Outcome, Task

SHOWN_OUTCOMES = (
    Outcome.NEGATIVE,
    *CANCERS,
    Outcome.LATER,
    Outcome.RECALLED,
    Outcome.DISMISSED,
)
"""Outcomes whose scores are drawn, where there are any."""


def roc_section(measured: Measured, figures: Sequence[Figure]) -> Section:
    """Areas and curves of every model, and of the first one by maker."""
    first = measured.sample.models[0]
    units = [("breasts", measured.breasts)] * bool(measured.breasts) + [("exams", measured.exams)]
    several = len(measured.exams) > 1
    return Section(
        Task.CANCER,
        "Cancer: ROC",
        words=(
            "The AUC is the chance that one with cancer scores higher than one without; a tie counts "
            f"one half. The partial AUC counts only specificities from {100 * LEAST_SPECIFICITY:.0f} % up and "
            "runs from 0.5 (chance) to 1. Rows whose label is unknown are left out. An exam scores "
            "as its higher breast.",
        ),
        headlines=[
            Headline(
                f"AUC by {unit[:-1]}" + f", {model}" * several,
                unit,
                Cell(find_one(figures, "auc", model, unit).estimate),
            )
            for unit, models in units
            for model in models
        ],
        figures=(),
        tables=[
            *(_area_table(figures, unit, [*models]) for unit, models in units),
            *([_maker_table(figures, first, measured)] if measured.makers() else []),
        ],
        pictures=[*_curves(measured, first), _precision_recall(measured)],
        anchor="roc",
        summary=[_of_what(measured.sample.exams), *(_ranked(figures, m) for m in measured.exams)],
    )


def outcome_section(measured: Measured) -> Section:
    """Scores by what became of breasts or exams, and how many there are of each."""
    sample = measured.sample
    units = [rows for rows in (sample.breasts, sample.exams) if rows is not None]
    counts = {rows.unit: _counts(rows) for rows in units}
    return Section(
        Task.CANCER,
        "Scores by outcome",
        words=(
            "Each panel has its own height: the tallest bar fills it. Unknown and censored ones are "
            "not shown.",
            *(
                f"{count['label unknown']:,} {unit} have no label: it is not known whether they had a "
                "cancer."
                for unit, count in counts.items()
            ),
        ),
        headlines=(),
        figures=(),
        tables=[
            Table(
                "What became of those with a score. An exam goes by the first in this list that "
                "either breast has.",
                ("Outcome", *(rows.unit.capitalize() for rows in units)),
                [
                    (outcome_name(outcome), *(f"{counts[r.unit][outcome]:,}" for r in units))
                    for outcome in EXAM_OUTCOMES
                ],
            )
        ],
        pictures=[
            _histogram(rows, model, several=len(rows.scores) > 1)
            for rows in units[:1]
            for model in rows.scores
        ],
        facts={"counts": counts},
        anchor="scores",
    )


def outcome_rows(sample: Sample) -> list[dict[str, object]]:
    """How many breasts and exams have each outcome, as rows of a table."""
    return [
        {"unit": rows.unit, "outcome": str(outcome), "count": _counts(rows)[outcome]}
        for rows in (sample.breasts, sample.exams)
        if rows is not None
        for outcome in EXAM_OUTCOMES
    ]


def _of_what(exams: Scored) -> str:
    """How many exams, women and cancers stand behind the page."""
    counts = {kind: int((exams.outcome == kind).sum()) for kind in CANCERS}
    kinds = ", ".join(counted(count, str(kind)) for kind, count in counts.items() if count)
    women = len(np.unique(exams.woman))
    size = f"{counted(len(exams.score), 'exam')} of {women:,} {'woman' if women == 1 else 'women'}"
    return f"Measured on {size}. Cancers: {kinds or 'none'}."


def _ranked(figures: Sequence[Figure], model: str) -> str:
    area = find_one(figures, "auc", model, "exams").estimate
    if area.value is None:
        return f"{model}: no AUC, since there are {area.reason}."
    upside_down = area.high is not None and area.high < 0.5
    return (
        f"{model}: of 100 pairs of an exam with a cancer and one without, it gives the higher score "
        f"to the former in {in_words(area, 100, 1)}."
        + upside_down
        * " Are its scores the other way round, the lowest the most suspicious?"
    )


def _area_table(figures: Sequence[Figure], unit: str, models: list[str]) -> Table:
    """Areas of each model for each kind of cancer."""
    rows: list[tuple[str | Cell, ...]] = []
    for model in models:
        for outcome in outcomes_of(figures, model, unit):
            areas = [
                find_one(figures, name, model, unit, outcome=outcome)
                for name in ("auc", "partial_auc", "average_precision")
            ]
            closed = areas[0].closed
            rows.append(
                (
                    f"{model}, {outcome}" if len(models) > 1 else outcome_name(outcome),
                    *(Cell(area.estimate) for area in areas),
                    f"{closed.low:.3f} to {closed.high:.3f}" if closed else "-",
                    f"{areas[0].estimate.cases:,}",
                )
            )
    return Table(
        f"By {unit[:-1]}, with 95 % interval by bootstrap over women; of the AUC also by DeLong's "
        "formula, clustered by woman.",
        ("Cancers", "AUC", "Partial AUC", "Average precision", "AUC by DeLong", "Cancers"),
        rows,
    )


def _maker_table(figures: Sequence[Figure], model: str, measured: Measured) -> Table:
    """The AUC of each maker, with the line of its curve."""
    units = ["breasts"] * (model in measured.breasts) + ["exams"]
    rows: list[tuple[str | Cell, ...]] = []
    levels = [part.subgroup.level for part in measured.makers()]
    for series, maker in enumerate((None, *levels)):
        wanted = {"subgroup": MAKER, "level": maker} if maker else {}
        cells = [Cell(find_one(figures, "auc", model, unit, **wanted).estimate) for unit in units]
        count = f"{cells[0].estimate.n:,} {units[0]}, {cells[0].estimate.cases:,} with cancer"
        head = Markup("{}{}<br><small>{}</small>").format(_key(series), named(maker or ALL), count)
        rows.append((head, *cells))
    return Table(
        f"AUC of {model} by maker with 95 % interval.",
        ("Maker", *(f"By {unit[:-1]}" for unit in units)),
        rows,
    )


def _curves(measured: Measured, first: str) -> list[Markup]:
    """Curves of all models by exam, where there are several, and of the first one by maker."""
    found = []
    if len(measured.exams) > 1:
        curves = [
            _curve(model, detection, series)
            for series, (model, detection) in enumerate(measured.exams.items())
        ]
        words = "ROC curves by model, by exam; the table gives their areas."
        found.append(_captioned(words, [*measured.exams], roc_svg(curves, words)))
    by_breast = first in measured.breasts
    whole = (measured.breasts if by_breast else measured.exams)[first]
    parts = measured.breasts_by_maker if by_breast else measured.makers()
    levels = [part.subgroup.level for part in measured.makers()]
    curves = [_curve(named(ALL), whole, 0)] + [
        _curve(
            named(part.subgroup.level),
            part.detections[first],
            1 + levels.index(part.subgroup.level),
        )
        for part in parts
        if part.subgroup.level in levels
    ]
    words = f"ROC curves of {first} by maker; the table gives their areas."
    return [*found, _captioned(words, [curve.name for curve in curves], roc_svg(curves, words))]


def _captioned(words: str, names: Sequence[str], picture: Markup) -> Markup:
    """A picture of lines with its words above it and the names of its lines below."""
    keys = Markup(" ").join(
        Markup('<span class="whole">{}{}</span>').format(_key(series), name)
        for series, name in enumerate(names)
    )
    return Markup('<p class="quiet">{}</p>{}<p class="quiet">{}</p>').format(words, picture, keys)


def _key(series: int) -> Markup:
    return Markup(
        '<svg class="key" viewBox="0 0 36 12" aria-hidden="true"><line {} x1="0" y1="6" x2="36" y2="6"/>'
        "</svg>"
    ).format(line_style(series))


def _precision_recall(measured: Measured) -> Markup:
    """By exam, for any cancer; at the programme's prevalence where that is given."""
    lines = []
    for series, (model, detection) in enumerate(measured.exams.items()):
        once = detection.ranking.once()
        recall, precision = once.precision_recall(range(UNKNOWN + 1, detection.ranking.kinds))
        lines.append(Line(model, recall[:, 0], precision[:, 0], series))
    return lines_svg(
        [line for line in lines if len(line.across) and not np.isnan(line.across).any()],
        Axis("cancers found (recall)", 0, 1, percent=True),
        Axis("cancers among those selected (precision)", 0, 1, percent=True),
        "Share of cancers among the exams selected against share of cancers found, by model.",
    )


def _curve(name: str, detection: Detection, series: int) -> Curve:
    rows = detection.rows.where(detection.rows.known)
    empty = np.empty(0)
    both = rows.cancer.any() and not rows.cancer.all()
    points = roc_curve(rows.score, rows.cancer) if both else (empty, empty)
    return Curve(name, *points, series)


def _histogram(rows: Scored, model: str, several: bool) -> Markup:
    groups = [
        Scores(str(outcome), rows.scores[model][rows.outcome == outcome], series)
        for series, outcome in enumerate(SHOWN_OUTCOMES)
        if (rows.outcome == outcome).any()
    ]
    names = ", ".join(group.name for group in groups)
    of = f" of {model}" if several else ""
    return histogram_svg(groups, f"Histograms of scores{of} by outcome: {names}.")


def _counts(rows: Scored) -> dict[str, int]:
    words, counts = np.unique(rows.outcome, return_counts=True)
    found = dict(zip(words.tolist(), counts.tolist(), strict=True))
    return {
        "scored": len(rows.score),
        "without score": rows.unscored,
        "label unknown": int((~rows.known).sum()),
        "cancers": int(rows.cancer.sum()),
        **{str(outcome): int(found.get(outcome, 0)) for outcome in Outcome},
    }
