"""The report on several models: each against each on the same exams, paired."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np

from mim.evaluate.bootstrap import (
    Base,
    Estimate,
    Floats,
    base_of,
    bootstrap_by_woman,
    estimate,
)
from mim.evaluate.delong import auc_difference, delong
from mim.evaluate.detection import Detection, Quantity
from mim.evaluate.differences import (
    closed_words,
    corrected,
    multiplicity_words,
    p_words,
    paired_calls,
    value_words,
)
from mim.evaluate.figures import (
    ALL,
    ANY_CANCER,
    OUTCOMES,
    OWN_RATE,
    ClosedForm,
    Figure,
)
from mim.evaluate.measured import Measured
from mim.evaluate.model_pair import Pair, is_score_rule, key_of
from mim.evaluate.paired import (
    paired_sensitivity,
    paired_specificity,
)
from mim.evaluate.proportions import wilson_by_woman
from mim.evaluate.sections import Cell, Headline, Section, Table, in_words
from mim.evaluate.settings import BootstrapSettings, EvaluateSettings
from mim.vocab import Task

BOTH, EITHER, NEITHER = "found_by_both", "found_by_either", "found_by_neither"
ALONE = "found_alone"

BY_SCORE = "scores of one model, and the same share by the other"
"""What a table of all rules by score is about."""

WORDS = (
    "Both models are measured on the same exams, and every resample of women holds the same women "
    "for both; so what is easy or hard for both does not blur their difference. The interval by "
    "bootstrap is the one to trust.",
    "DeLong's interval and test are those of the AUC, clustered by woman. Tango's interval and "
    "McNemar's test are those of a sensitivity or specificity; they take the thresholds as given, "
    "and stand only where no woman has two of the exams counted. No closed form knows of the "
    "programme's prevalence: where it is given, any cancer has none.",
    "At a share of these exams both models select about as many. One whose equal scores keep it from "
    "that share is not compared there, but at its scores, where the other selects the same share.",
)


def comparison_section(measured: Measured, settings: EvaluateSettings) -> Section | None:
    """Every two models on the same exams; None where there is only one."""
    pairs = [Pair(one, other) for one, other in combinations(measured.exams.values(), 2)]
    if not pairs:
        return None
    apart = corrected([figure for pair in pairs for figure in difference_figures(pair)])
    counted = [f for pair in pairs for f in found_figures(pair, settings.bootstrap())]
    return Section(
        Task.CANCER,
        "Models compared",
        words=(*WORDS, *_kept_words(pairs), multiplicity_words(apart)),
        headlines=[
            Headline(f"Difference of AUC, {f.model}", "exams", Cell(f.estimate))
            for f in apart
            if (f.name, f.outcome) == ("auc_difference", ANY_CANCER) and f.model == pairs[0].name
        ],
        figures=[*apart, *counted],
        tables=[table for pair in pairs for table in _tables(pair, apart, counted)],
        anchor="comparison",
        summary=[
            f"{f.model}: the AUC by exam differs by {in_words(f.estimate, 100, 1)} points"
            + ("" if f.p_adjusted is None else f"; corrected p {p_words(f.p_adjusted)}")
            + "."
            for f in apart
            if (f.name, f.outcome) == ("auc_difference", ANY_CANCER)
            and f.estimate.value is not None
        ],
    )


def difference_figures(pair: Pair) -> list[Figure]:
    """One model less another, of what is compared: ``auc_difference`` and the like.

    Areas; sensitivities at shares of these exams that both can select; with the specificity at
    stored thresholds, and at the scores of a model that has few.
    """
    found = []
    for (name, outcome, rule, rate), (mine, theirs) in pair.shared.items():
        (value, drawn), (less_value, less_drawn) = pair.one.at(mine), pair.other.at(theirs)
        closed, p_value = _closed(pair, mine)
        found.append(
            Figure(
                Task.CANCER,
                f"{name}_difference",
                pair.one.rows.unit,
                ALL,
                None,
                estimate(value - less_value, drawn - less_drawn, _base(pair.one, mine)),
                outcome=outcome,
                rule=rule,
                selection_rate=rate,
                model=pair.name,
                closed=closed,
                p_value=p_value,
            )
        )
    return found


def found_figures(pair: Pair, settings: BootstrapSettings) -> list[Figure]:
    """Shares of the cancers that both models select, either, neither, or one alone.

    At each selection that both were measured at. The threshold counts as given, and so does every
    cancer, whatever the programme's prevalence. Of an estimate's n cancers, cases are counted.
    """
    outcomes = dict.fromkeys(outcome for _, outcome, _, _ in pair.shared)
    return [
        figure
        for outcome in outcomes
        if pair.selected and pair.one.cases(outcome).any()
        for figure in _found(pair, outcome, settings)
    ]


def _kept_words(pairs: Sequence[Pair]) -> list[str]:
    """Models that cannot be compared at a share."""
    found: dict[str, dict[str, None]] = {}
    for pair in pairs:
        for (rule, rate), models in pair.kept_from.items():
            for model in models:
                if not is_score_rule(rule):
                    found.setdefault(model, {})[f"{100 * (rate or 0):.1f} % ({rule})"] = None
    return [
        f"{model} gives so many exams one score that it is compared at none of: {', '.join(rates)}."
        for model, rates in found.items()
    ]


def _base(one: Detection, quantity: Quantity) -> Base:
    woman = one.rows.woman
    if quantity.name == "specificity":
        return base_of(woman[one.healthy], None)
    cases = one.cases(quantity.outcome)
    used = cases | one.healthy
    return base_of(woman[used], cases[used])


def _closed(pair: Pair, mine: Quantity) -> tuple[ClosedForm | None, float | None]:
    """The interval of a difference by a closed form, and its p-value, where there are any."""
    one, other = pair.one, pair.other
    if pair.weighed and mine.outcome == ANY_CANCER and mine.name != "specificity":
        return None, None
    woman, cases = one.rows.woman, one.cases(mine.outcome)
    if mine.name == "auc":
        used = cases | one.healthy
        both = np.array([one.rows.score[used], other.rows.score[used]])
        found = auc_difference(delong(both, cases[used], woman[used]), 0, 1)
        return found.closed, found.p_value
    if mine.selection is None:
        return None, None
    first, second = pair.selected[key_of(mine)[2:]]
    if mine.name == "sensitivity":
        return paired_calls(paired_sensitivity(first, second, cases), woman[cases])
    return paired_calls(paired_specificity(first, second, ~one.healthy), woman[one.healthy])


def _found(pair: Pair, outcome: str, settings: BootstrapSettings) -> list[Figure]:
    """Which model selects the cancers of a kind, for each selection of both."""
    cases = pair.one.cases(outcome)
    woman, (one, other) = pair.one.rows.woman[cases], (pair.one.model, pair.other.model)
    named = [
        (name, model, way, rows)
        for way, chosen in pair.selected.items()
        for mine, theirs in ([rows[cases] for rows in chosen],)
        for name, model, rows in (
            (BOTH, f"{one} and {other}", mine & theirs),
            (EITHER, f"{one} and {other}", mine | theirs),
            (NEITHER, f"{one} and {other}", ~(mine | theirs)),
            (ALONE, f"{one}, not {other}", mine & ~theirs),
            (ALONE, f"{other}, not {one}", theirs & ~mine),
        )
    ]
    counted = np.array([rows for *_, rows in named], np.float64)

    def statistic(weights: Floats) -> Floats:
        return np.asarray(counted @ weights / weights.sum(), np.float64)

    estimates = bootstrap_by_woman(
        statistic, woman, [rows for *_, rows in named], **asdict(settings)
    )
    return [
        Figure(
            *(Task.CANCER, name, pair.one.rows.unit, ALL, None, found),
            outcome=outcome,
            rule=rule,
            selection_rate=rate,
            model=model,
            closed=wilson_by_woman(rows, woman),
        )
        for (name, model, (rule, rate), rows), found in zip(named, estimates, strict=True)
    ]


def _tables(pair: Pair, apart: Sequence[Figure], counted: Sequence[Figure]) -> list[Table]:
    """What stands on the page of one pair."""
    one, other = pair.one.model, pair.other.model
    names = (f"{one} and {other}", f"{one}, not {other}", f"{other}, not {one}")
    mine = [f for f in apart if f.model == pair.name]
    both = [f for f in counted if f.model in names]
    about = dict.fromkeys(_about(rule) for rule, _ in pair.selected)
    return [
        _area_table(pair, mine),
        *(_selection_table(pair, mine, which) for which in about),
        *(_found_table(pair, both, which) for which in about if both),
    ]


def _about(rule: str | None) -> str | None:
    """What the table of a rule is about: rules by score share one."""
    return BY_SCORE if is_score_rule(rule) else rule


def _way_words(rule: str | None, rate: float | None) -> str:
    share = f"{100 * (rate or 0):.1f} %"
    return f"{str(rule).capitalize()}, {share}" if is_score_rule(rule) else share


def _area_table(pair: Pair, mine: Sequence[Figure]) -> Table:
    one, other = pair.one, pair.other
    rows: list[tuple[str | Cell, ...]] = []
    by_name = {(f.name, f.outcome): f for f in mine if f.rule is None}
    for outcome in (o for o in OUTCOMES if ("auc_difference", o) in by_name):
        auc = by_name["auc_difference", outcome]
        values = [d.at(Quantity("auc", outcome))[0] for d in (one, other)]
        rows.append(
            (
                outcome.capitalize(),
                *(value_words(value) for value in values),
                Cell(auc.estimate),
                closed_words(auc.closed),
                p_words(auc.p_value),
                p_words(auc.p_adjusted),
                Cell(by_name["partial_auc_difference", outcome].estimate),
            )
        )
    return Table(
        f"{pair.name}: AUC by exam with 95 % intervals.",
        (
            *("Cancers", one.model, other.model, "Difference", "By DeLong", "p", "p, corrected"),
            "Difference of partial AUC",
        ),
        rows,
    )


def _selection_table(pair: Pair, mine: Sequence[Figure], about: str | None) -> Table:
    """Sensitivities, and specificities at stored thresholds and by scores."""
    one, other = pair.one, pair.other
    rows: list[tuple[str | Cell, ...]] = []
    for (name, outcome, its, rate), (ours, theirs) in pair.shared.items():
        if its is None or _about(its) != about:
            continue
        [figure] = [
            f
            for f in mine
            if (f.name, f.outcome, f.rule, f.selection_rate)
            == (f"{name}_difference", outcome, its, rate)
        ]
        what = outcome if name == "sensitivity" else name
        rows.append(
            (
                f"{_way_words(its, rate)}, {what}",
                value_words(one.at(ours)[0], 100, 1),
                value_words(other.at(theirs)[0], 100, 1),
                Cell(figure.estimate, 100, 1),
                closed_words(figure.closed, 100, 1),
                p_words(figure.p_value),
                p_words(figure.p_adjusted),
            )
        )
    return Table(
        f"{pair.name}: sensitivity{' and specificity' * (about != OWN_RATE)} in %, "
        f"at {_whose(about)}, with 95 % intervals.",
        (
            *("Rate and cancers", one.model, other.model, "Difference", "By Tango", "p"),
            "p, corrected",
        ),
        rows,
    )


def _whose(about: str | None) -> str:
    return f"{about}" if about == BY_SCORE else f"each one's {about}"


def _found_table(pair: Pair, both: Sequence[Figure], about: str | None) -> Table:
    """Cancers by which of two models selects them."""
    one, other = pair.one.model, pair.other.model
    there = [f for f in both if _about(f.rule) == about]
    ways = dict.fromkeys((f.rule, f.selection_rate, f.outcome) for f in there)
    rows = []
    for rule, rate, outcome in ways:
        five = [f for f in there if (f.rule, f.selection_rate, f.outcome) == (rule, rate, outcome)]
        head = f"{_way_words(rule, rate)}, {outcome}: {five[0].estimate.n:,}"
        rows.append((head, *(_count_words(figure.estimate) for figure in five)))
    return Table(
        f"Cancers that {one} and {other} select, at {_whose(about)}: how many, and in % "
        "with 95 % interval.",
        (
            *("Rate and cancers", "By both", "By either", "By neither"),
            *(f"By {model} alone" for model in (one, other)),
        ),
        rows,
    )


def _count_words(found: Estimate) -> str:
    share = Cell(found, 100, 1)
    interval = f", {share.interval}" if found.low is not None else ""
    return f"{found.cases:,} ({share.value}{interval})"
