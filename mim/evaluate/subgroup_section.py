"""The report on subgroups: whether a model is as good for every maker, age, density, cancer."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from scipy.stats import chi2, chi2_contingency

from mim.evaluate.bootstrap import Estimate
from mim.evaluate.delong import placement_variances
from mim.evaluate.detection import Detection
from mim.evaluate.differences import corrected, p_words
from mim.evaluate.figures import ALL, ANY_CANCER, MAKER, STORED_THRESHOLD, Figure
from mim.evaluate.forest import ForestGroup, ForestRow, forest_svg
from mim.evaluate.measured import AT_CUT_OF_ALL, RATE_OF_PARTS, Measured, Part
from mim.evaluate.metrics import auc
from mim.evaluate.sections import Cell, Section, Table
from mim.vocab import Outcome, Task, maker_name

MOST_MODELS = 3
"""Models that one forest plot tells apart."""

MOST_LEVELS = 20
"""Levels of one kind that the page shows: those with the most cancers."""

LEAST_SPREAD = 5
"""Cancers of a level, found and missed together, that a test of its sensitivity needs."""


def subgroup_section(measured: Measured, figures: Sequence[Figure]) -> Section | None:
    """Every part's AUC and sensitivity, and a test for each kind of part; None without parts.

    Args:
        measured: with its parts.
        figures: of ``measured``, so that nothing is computed twice.
    """
    if not measured.parts:
        return None
    models = measured.sample.models[:MOST_MODELS]
    tests = corrected([*_tests(measured, models)])
    return Section(
        Task.CANCER,
        "Subgroups",
        words=(
            "Every interval is for itself: of twenty parts that are alike, one is expected to leave "
            "the whole's figure out by chance. So each kind of part has one test of whether its "
            f"levels differ at all, and the p-values of the {_done(tests)} tests that could be done are "
            "corrected for looking so often (Holm). Few cancers in a part hide differences: no difference found "
            "is not the same as none.",
            f"Parts are compared at one threshold, which selects {100 * RATE_OF_PARTS:.1f} % of all exams (of a programme's, where its prevalence is given). "
            "Where cancers are told apart by type or size, exams without a cancer are the same in "
            "every part." + _left_to_the_table(measured),
        ),
        headlines=(),
        figures=tests,
        tables=[
            _test_table(tests, several=len(models) > 1),
            *(
                _part_table(figures, measured.parts, kind, model, several=len(models) > 1)
                for model in models
                for kind in _kinds(measured)
            ),
        ],
        pictures=[_forest(figures, measured, models)],
        anchor="subgroups",
        summary=[_differences(tests)],
    )


class LevelAuc(NamedTuple):
    """The AUC of a level and what its variance is made of."""

    auc: float
    of_cancers: float
    """Variance of the cancers' placements."""
    of_others: float
    """Variance of the others'."""
    cancers: int
    """Women with a cancer."""
    others: int
    """Women without."""


def heterogeneity(levels: Sequence[LevelAuc]) -> tuple[float, float]:
    """Cochran's Q of independent AUCs and its p-value (1954, doi 10.2307/3001666).

    A level's own variance is not its weight: of few cancers it is now and then far too small, and
    such a level then outweighs all. So the two spreads of DeLong's variance are estimated from all
    levels together, and each level divides them by its numbers of women. Of 1,500 made-up samples
    without a difference it called one in 4 to 7 %, with 200 cancers in one level and 3 in each of
    three, or 2 to 100 in six; with each level's own variance it was 45 to 65 % (p 0.05).

    NaN with fewer than two levels whose AUC is known.
    """
    known = [level for level in levels if not np.isnan(level.auc)]
    told = [level for level in known if not np.isnan(level.of_cancers)]
    if len(known) < 2 or not told:
        return float("nan"), float("nan")
    sick = np.average([x.of_cancers for x in told], weights=[x.cancers - 1 for x in told])
    healthy = np.average([x.of_others for x in told], weights=[x.others - 1 for x in told])
    variances = np.array([sick / x.cancers + healthy / x.others for x in known])
    if not variances.all():
        return float("nan"), float("nan")
    aucs = np.array([level.auc for level in known])
    mean = np.average(aucs, weights=1 / variances)
    found = float(np.sum((aucs - mean) ** 2 / variances))
    return found, float(chi2.sf(found, len(known) - 1))


def level_auc(detection: Detection) -> LevelAuc:
    """The AUC of one level's rows whose label is known."""
    rows = detection.rows.where(detection.rows.known)
    women = [len(np.unique(rows.woman[mask])) for mask in (rows.cancer, ~rows.cancer)]
    variances = placement_variances(rows.score, rows.cancer)
    return LevelAuc(auc(rows.score, rows.cancer), *variances, *women)


def _tests(measured: Measured, models: Sequence[str]) -> Iterator[Figure]:
    """Whether the levels of each kind of part differ in their AUC, and in their sensitivity.

    A woman in two levels, as of age, counts in both as if she were two; and where cancers are told
    apart, the exams without one are shared. Both matter little, since cancers make the variance.
    """
    for kind, parts in groupby(measured.parts, lambda part: part.subgroup.subgroup):
        levels = [*parts]
        for model in models:
            found = [part.detections[model] for part in levels]
            yield _auc_test(kind, model, found)
            yield _sensitivity_test(kind, model, found)


def _auc_test(kind: str, model: str, found: Sequence[Detection]) -> Figure:
    spread = heterogeneity([level_auc(detection) for detection in found])
    return _test("auc_heterogeneity", kind, model, found, *spread)


def _sensitivity_test(kind: str, model: str, found: Sequence[Detection]) -> Figure:
    counts = []
    for detection in found:
        [cut] = [q.selection for q in detection.quantities if _at_cut(q.selection, q.name)]
        assert cut is not None
        selected = detection.selected(cut)[detection.rows.cancer]
        counts.append((selected.sum(), (~selected).sum()))
    table = np.array([pair for pair in counts if sum(pair) >= LEAST_SPREAD]).reshape(-1, 2)
    if len(table) < 2 or not table.sum(axis=0).all():
        return _test("sensitivity_heterogeneity", kind, model, found, np.nan, np.nan)
    result = chi2_contingency(table, correction=False)
    return _test(
        *("sensitivity_heterogeneity", kind, model, found),
        float(result.statistic),
        float(result.pvalue),
    )


def _at_cut(selection: object, name: str) -> bool:
    return name == "share_selected" and getattr(selection, "rule", None) == AT_CUT_OF_ALL


def _test(
    name: str, kind: str, model: str, found: Sequence[Detection], value: float, p_value: float
) -> Figure:
    rows = sum(len(detection.rows.score) for detection in found)
    cancers = sum(int(detection.rows.cancer.sum()) for detection in found)
    women = len(np.unique(np.concatenate([detection.rows.woman for detection in found])))
    unknown = np.isnan(value)
    reason = "too few cancers" if unknown else "a test: see its p-value"
    estimate = Estimate(None if unknown else value, None, None, rows, cancers, women, reason)
    return Figure(
        *(Task.CANCER, name, "exams", kind, None, estimate),
        outcome=ANY_CANCER,
        model=model,
        p_value=None if unknown else p_value,
    )


def _differences(tests: Sequence[Figure]) -> str:
    """Which kinds of part differ after correction."""
    found = dict.fromkeys(
        f"{test.subgroup} ({'AUC' if test.name.startswith('auc') else 'sensitivity'}, {test.model})"
        for test in tests
        if test.p_adjusted is not None and test.p_adjusted < 0.05
    )
    if not (done := _done(tests)):
        return "Whether subgroups differ cannot be said: there are too few cancers in them."
    looked_at = f"Of {done} questions whether subgroups differ"
    if not found:
        return f"{looked_at}, none has an answer beyond chance; few cancers hide differences."
    return f"{looked_at}, these are answered with yes: {', '.join(found)}."


def _left_to_the_table(measured: Measured) -> str:
    counts = {
        kind: len([p for p in measured.parts if p.subgroup.subgroup == kind])
        for kind in _kinds(measured)
    }
    many = [f"{kind} ({count:,})" for kind, count in counts.items() if count > MOST_LEVELS]
    if not many:
        return ""
    return (
        f" Of {', '.join(many)} the {MOST_LEVELS} levels with the most cancers are shown; all stand in "
        "metrics.csv."
    )


def _done(tests: Sequence[Figure]) -> int:
    return sum(test.p_value is not None for test in tests)


def _kinds(measured: Measured) -> list[str]:
    return [*dict.fromkeys(part.subgroup.subgroup for part in measured.parts)]


def _test_table(tests: Sequence[Figure], several: bool) -> Table:
    rows = []
    for test in tests:
        what = "AUC" if test.name.startswith("auc") else "sensitivity"
        rows.append(
            (
                f"{test.subgroup.capitalize()}, {what}" + f", {test.model}" * several,
                "-" if test.estimate.value is None else f"{test.estimate.value:.2f}",
                p_words(test.p_value),
                p_words(test.p_adjusted),
            )
        )
    return Table(
        "Do the levels differ? AUC by Cochran's Q, with DeLong's variances estimated from all levels; "
        "sensitivity at the one threshold by chi-squared.",
        ("Parts", "Statistic", "p", "p, corrected"),
        rows,
    )


def _part_table(
    figures: Sequence[Figure], parts: Sequence[Part], kind: str, model: str, several: bool
) -> Table:
    mine = [f for f in figures if (f.model, f.unit, f.subgroup) == (model, "exams", kind)]
    levels = [part.subgroup.level for part in _shown(parts, kind)]
    of_model = f", {model}" if several else ""
    columns = {
        "AUC": ("auc", ANY_CANCER, None),
        "Screen-detected found, %": ("sensitivity", str(Outcome.SCREEN_DETECTED), AT_CUT_OF_ALL),
        "Interval found, %": ("sensitivity", str(Outcome.INTERVAL), AT_CUT_OF_ALL),
        "Any found, %": ("sensitivity", ANY_CANCER, AT_CUT_OF_ALL),
        "Exams selected, %": ("share_selected", ALL, AT_CUT_OF_ALL),
        "By stored thresholds, %": ("share_selected", ALL, STORED_THRESHOLD),
    }
    there = {
        head: key
        for head, key in columns.items()
        if any((f.name, f.outcome, f.rule) == key for f in mine)
    }
    return Table(
        f"{kind.capitalize()}{of_model}.",
        ("", *there, "Exams", "Cancers"),
        [_part_row(mine, level, [*there.values()]) for level in levels],
    )


def _part_row(
    figures: Sequence[Figure], level: str, wanted: Sequence[tuple[str, str, str | None]]
) -> tuple[str | Cell, ...]:
    hers = {(f.name, f.outcome, f.rule): f for f in figures if f.level == level}
    area = hers["auc", ANY_CANCER, None]
    cells: list[str | Cell] = []
    for key in wanted:
        figure = hers.get(key)
        scale, digits = (1.0, 3) if key[0] == "auc" else (100.0, 1)
        cells.append("-" if figure is None else Cell(figure.estimate, scale, digits))
    counts = (f"{area.estimate.n:,}", f"{area.estimate.cases:,}")
    return (_level_name(area), *cells, *counts)


def _level_name(figure: Figure) -> str:
    level = figure.level or ALL
    return maker_name(level) if figure.subgroup == MAKER else level


def _forest(figures: Sequence[Figure], measured: Measured, models: Sequence[str]) -> Markup:
    """The AUC of every part against that of all exams."""
    groups = [
        ForestGroup(
            kind.capitalize(),
            [_forest_row(figures, part, models) for part in _shown(measured.parts, kind)],
        )
        for kind in _kinds(measured)
    ]
    return forest_svg(
        _forest_row(figures, None, models),
        groups,
        models,
        "AUC by exam",
        "AUC of every part with its interval; the tables beside it give the numbers.",
    )


def _shown(parts: Sequence[Part], kind: str) -> list[Part]:
    """The parts of a kind with the most cancers, in their own order."""
    of_kind = [part for part in parts if part.subgroup.subgroup == kind]
    cancers = [next(iter(part.detections.values())).rows.cancer.sum() for part in of_kind]
    most = np.sort(np.argsort(-np.array(cancers), kind="stable")[:MOST_LEVELS])
    return [of_kind[place] for place in most]


def _forest_row(figures: Sequence[Figure], part: Part | None, models: Sequence[str]) -> ForestRow:
    place = (part.subgroup.subgroup, part.subgroup.level) if part else (ALL, None)
    found = {
        f.model: f
        for f in figures
        if (f.name, f.unit, f.outcome) == ("auc", "exams", ANY_CANCER)
        and (f.subgroup, f.level) == place
    }
    first = found[models[0]]
    return ForestRow(
        _level_name(first) if part else "All exams",
        f"{first.estimate.n:,} exams, {first.estimate.cases:,} with cancer",
        [Cell(found[model].estimate) for model in models],
    )
