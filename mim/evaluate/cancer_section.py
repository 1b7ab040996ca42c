"""The report on cancer: ROC curves, what selection finds, and scores by outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from markupsafe import Markup

from mim.evaluate.charts import Curve, Scores, histogram_svg, line_style, roc_svg
from mim.evaluate.detection import LEAST_SPECIFICITY, Detection
from mim.evaluate.figures import (
    ALL,
    ANY_CANCER,
    MAKER,
    OUTCOMES,
    OWN_RATE,
    STORED_THRESHOLD,
    Figure,
    named,
)
from mim.evaluate.measured import Measured
from mim.evaluate.metrics import roc_curve
from mim.evaluate.scored import EXAM_OUTCOMES, Scored
from mim.evaluate.sections import Cell, Headline, Section, Table
from mim.schemas.score_scale import ScoreScale
from mim.vocab import CANCERS, Outcome, Task

SHOWN_OUTCOMES = (
    Outcome.NEGATIVE,
    *CANCERS,
    Outcome.LATER,
    Outcome.RECALLED,
    Outcome.DISMISSED,
)
"""Outcomes whose scores are drawn, where there are any."""

PROGRAMME = (
    "The Norwegian programme sees about 7.8 cancers in 1,000 exams (6.1 screen-detected, 1.7 "
    "interval; Larsen 2022)."
)


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
            f"one half. The partial AUC counts only specificities from {LEAST_SPECIFICITY:.0%} up and "
            "runs from 0.5 (chance) to 1. Rows whose label is unknown are left out. An exam scores "
            "as its higher breast.",
        ),
        headlines=[
            Headline(
                f"AUC by {unit[:-1]}" + f", {model}" * several,
                unit,
                Cell(_one(figures, "auc", model, unit).estimate),
            )
            for unit, models in units
            for model in models
        ],
        figures=(),
        tables=[
            *(_area_table(figures, unit, [*models]) for unit, models in units),
            *([_maker_table(figures, first, measured)] if measured.makers() else []),
        ],
        pictures=_curves(measured, first),
        anchor="roc",
    )


def selection_section(
    measured: Measured, figures: Sequence[Figure], scales: Mapping[str, ScoreScale]
) -> Section:
    """Cancers found at selection rates and stored thresholds, by each model."""
    figures = [f for model in measured.exams.values() for f in model.figures()]
    exams = measured.sample.exams
    cancers, scored = int(exams.cancer.sum()), len(exams.score)
    found = [model for model in measured.exams if model in scales]
    return Section(
        Task.CANCER,
        "Cancers found at selection rates",
        words=(
            f"{cancers:,} of {scored:,} exams with a score have a cancer: "
            f"{1000 * cancers / scored:.1f} in 1,000. {PROGRAMME} Where cancers are enriched, a share "
            "of these exams is not the same share of the programme's.",
            "Exams with equal scores are selected together or not at all, never more than the share.",
        ),
        headlines=(),
        figures=(),
        tables=[
            *(
                _selection_table(figures, model, fixed, several=len(measured.exams) > 1)
                for model in measured.exams
                for fixed in (False, True)
                if not fixed or model in found
            ),
            *(_threshold_table(model, scales[model]) for model in found),
        ],
        facts={"scales": {model: asdict(scales[model]) for model in found}},
        anchor="selection",
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


def outcome_name(outcome: str) -> str:
    """An outcome as a heading; "cancer" alone would pass for any."""
    words = f"{outcome}, unclear how found" if outcome == Outcome.CANCER else outcome
    return words.capitalize()


def _one(figures: Sequence[Figure], name: str, model: str, unit: str, **wanted: object) -> Figure:
    wanted = {"subgroup": ALL, "outcome": ANY_CANCER} | wanted
    [found] = [
        f
        for f in figures
        if (f.name, f.model, f.unit) == (name, model, unit)
        and all(getattr(f, key) == value for key, value in wanted.items())
    ]
    return found


def _area_table(figures: Sequence[Figure], unit: str, models: list[str]) -> Table:
    """Areas of each model for each kind of cancer."""
    rows: list[tuple[str | Cell, ...]] = []
    for model in models:
        for outcome in _outcomes(figures, model, unit):
            areas = [
                _one(figures, name, model, unit, outcome=outcome)
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
        cells = [Cell(_one(figures, "auc", model, unit, **wanted).estimate) for unit in units]
        count = f"{cells[0].estimate.n:,} {units[0]}, {cells[0].estimate.cases:,} with cancer"
        head = Markup(
            '<svg class="key" viewBox="0 0 36 12" aria-hidden="true"><line {} x1="0" y1="6" x2="36" '
            'y2="6"/></svg>{}<br><small>{}</small>'
        ).format(line_style(series), named(maker or ALL), count)
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
        found.append(roc_svg(curves, "ROC curves by model; the table gives their areas."))
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
    return [*found, roc_svg(curves, "ROC curves by maker; the table gives their areas.")]


def _curve(name: str, detection: Detection, series: int) -> Curve:
    rows = detection.rows.where(detection.rows.known)
    empty = np.empty(0)
    both = rows.cancer.any() and not rows.cancer.all()
    points = roc_curve(rows.score, rows.cancer) if both else (empty, empty)
    return Curve(name, *points, series)


def _outcomes(figures: Sequence[Figure], model: str, unit: str) -> list[str]:
    there = {f.outcome for f in figures if (f.model, f.unit, f.name) == (model, unit, "auc")}
    return [outcome for outcome in OUTCOMES if outcome in there]


def _selection_table(figures: Sequence[Figure], model: str, fixed: bool, several: bool) -> Table:
    """What one model finds at the rates of these exams and of readers, or at stored thresholds."""
    mine = [
        f
        for f in figures
        if (f.model, f.unit, f.subgroup) == (model, "exams", ALL)
        and f.rule is not None
        and (f.rule == STORED_THRESHOLD) == fixed
    ]
    outcomes = [
        o for o in OUTCOMES if any(f.outcome == o and f.name == "sensitivity" for f in mine)
    ]
    rows = [
        _selection_row([f for f in mine if _way(f) == way], outcomes, fixed)
        for way in dict.fromkeys(map(_way, mine))
    ]
    counts = [next(f for f in mine if f.name == "sensitivity" and f.outcome == o) for o in outcomes]
    rows.append(("Cancers", "", "", "", *(f"{f.estimate.cases:,}" for f in counts)))
    what = (
        "Thresholds stored from validation exams, applied to these exams"
        if fixed
        else "The highest-scored share of these exams"
    )
    return Table(
        f"{what}{f', by {model}' if several else ''}. Specificity and sensitivity in % and cancers in "
        "1,000 selected, with 95 % interval.",
        (
            "Rate",
            "Exams selected" + ", %" * fixed,
            "Specificity",
            "Cancers per 1,000",
            *(outcome_name(outcome) for outcome in outcomes),
        ),
        rows,
    )


def _way(figure: Figure) -> tuple[str | None, float | None]:
    return figure.rule, figure.selection_rate


def _selection_row(
    figures: Sequence[Figure], outcomes: Sequence[str], fixed: bool
) -> tuple[str | Cell, ...]:
    """The figures of one way of selecting."""
    by_name = {f.name: f for f in figures}
    sensitivities = {f.outcome: f for f in figures if f.name == "sensitivity"}
    share = by_name["share_selected"].estimate
    return (
        _rate_name(figures[0]),
        Cell(share, 100, 1) if fixed else f"{share.cases:,} of {share.n:,}",
        Cell(by_name["specificity"].estimate, 100, 1),
        Cell(by_name["cancers_per_1000_selected"].estimate, 1, 0),
        *(Cell(sensitivities[outcome].estimate, 100, 1) for outcome in outcomes),
    )


def _rate_name(figure: Figure) -> str:
    rate = f"{100 * (figure.selection_rate or 0):.1f} %"
    if figure.rule in (OWN_RATE, STORED_THRESHOLD):
        return rate
    return f"{rate}, {figure.rule}"


def _threshold_table(model: str, scale: ScoreScale) -> Table:
    """Thresholds of all, each maker and each software version."""
    levels = {named(ALL): scale.whole} | {named(m): level for m, level in scale.makers.items()}
    levels |= {
        f"{named(maker)}, {machine}": level
        for maker, machines in scale.software.items()
        for machine, level in machines.items()
    }
    return Table(
        f"The stored thresholds of {model}: exam scores from which an exam is selected. They were "
        "chosen on validation exams only, each maker's and software's drawn towards the level above "
        "where its exams are few, and travel with the model.",
        ("Exams of", *(f"{100 * rate:.1f} %" for rate in scale.selection_rates), "Exams"),
        [
            (name, *(f"{threshold:.4g}" for threshold in level.thresholds), f"{level.exams:,}")
            for name, level in levels.items()
        ],
    )


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
