"""The report on what is found at selection rates and at stored thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from mim.evaluate.figures import (
    ALL,
    OUTCOMES,
    OWN_RATE,
    STORED_THRESHOLD,
    Figure,
    find_one,
    named,
    outcome_name,
    outcomes_of,
)
from mim.evaluate.measured import Measured, is_own_score
from mim.evaluate.sections import Cell, Section, Table, counted, in_words
from mim.schemas.score_scale import ScoreScale
from mim.vocab import Task

COARSE = 0.9
"""Part of a rate below which equal scores are to be named as what keeps it from being reached."""

SUMMARY_RATE = 0.088
"""The rate of the page's first words: the programme's consensus (Larsen 2022)."""

ENRICHED = (
    "Where cancers are enriched, a share of these exams is not the same share of the programme's."
)
WEIGHED = (
    "Exams count by the prevalence that was given, so a share is one of the programme's exams; "
    "numbers of exams are those that are here."
)

PROGRAMME = (
    "The Norwegian programme sees about 7.8 cancers in 1,000 exams (6.1 screen-detected, 1.7 "
    "interval; Larsen 2022)."
)


def selection_section(
    measured: Measured, figures: Sequence[Figure], scales: Mapping[str, ScoreScale], weighed: bool
) -> Section:
    """Cancers found at selection rates and stored thresholds, by each model.

    ``weighed`` says that exams count by the programme's prevalence.
    """
    exams = measured.sample.exams
    cancers, scored = int(exams.cancer.sum()), len(exams.score)
    found = [model for model in measured.exams if model in scales]
    return Section(
        Task.CANCER,
        "Cancers found at selection rates",
        words=(
            f"{cancers:,} of {scored:,} exams with a score have a cancer: "
            f"{1000 * cancers / scored:.1f} in 1,000. {PROGRAMME} {WEIGHED if weighed else ENRICHED}",
            "Exams with equal scores are selected together or not at all, never more than the share.",
        ),
        headlines=(),
        figures=(),
        tables=[
            *(
                _selection_table(figures, model, fixed, weighed, several=len(measured.exams) > 1)
                for model in measured.exams
                for fixed in (False, True)
                if not fixed or model in found
            ),
            *(_threshold_table(model, scales[model]) for model in found),
        ],
        facts={"scales": {model: asdict(scales[model]) for model in found}},
        anchor="selection",
        summary=[_found_at(figures, model, SUMMARY_RATE, weighed) for model in measured.exams],
    )


def _found_at(figures: Sequence[Figure], model: str, rate: float, weighed: bool) -> str:
    """What selecting a share of the exams finds, or the highest score where no share can be selected."""
    at: tuple[str | None, float | None] = (OWN_RATE, rate)
    chosen = find_one(figures, "share_selected", model, "exams", **_at(at, ALL)).estimate
    if chosen.value is not None and chosen.value < COARSE * rate:
        ways = [_way(f) for f in figures if f.model == model and is_own_score(f.rule, model)]
        at = ways[0] if ways else at
    found = []
    for outcome in outcomes_of(figures, model, "exams")[1:]:
        share = find_one(figures, "sensitivity", model, "exams", **_at(at, outcome)).estimate
        if share.value is not None and share.cases is not None:
            selected = round(share.value * share.cases)
            ends = in_words(share, 100, 1)
            found.append(f"{selected:,} of {counted(share.cases, outcome)}, {ends} %")
    if not found:
        return f"{model}: there are no cancers to find."
    if at[0] == OWN_RATE:
        what = (
            f"the highest-scored {100 * rate:.1f} % of {_whose(weighed)}, the share that the programme "
            "takes to consensus, hold"
        )
    else:
        what = f"{str(at[0]).removesuffix(f' of {model}')}, {100 * (at[1] or 0):.1f} % of {_whose(weighed)}, holds"
    return f"{model}: {what} {'; '.join(found)}."


def _at(way: tuple[str | None, float | None], outcome: str) -> dict[str, object]:
    return {"outcome": outcome, "rule": way[0], "selection_rate": way[1]}


def _whose(weighed: bool) -> str:
    return "a programme's exams" if weighed else "these exams"


def _selection_table(
    figures: Sequence[Figure], model: str, fixed: bool, weighed: bool, several: bool
) -> Table:
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
        else f"The highest-scored share of {_whose(weighed)}"
    )
    return Table(
        f"{what}{f', by {model}' if several else ''}. Specificity and sensitivity in %, and "
        "cancers in 1,000 selected whose outcome is known, with 95 % interval.",
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
