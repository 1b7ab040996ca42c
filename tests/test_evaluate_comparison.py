"""Two models on the same exams: published counts, each resample done anew by hand, closed forms."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from made_programme import noisy, programme
from sklearn.metrics import roc_auc_score

from mim.evaluate.bootstrap import Floats, over_blocks
from mim.evaluate.comparison_section import (
    comparison_section,
    difference_figures,
    found_figures,
)
from mim.evaluate.delong import auc_difference, delong
from mim.evaluate.detection import Selection, detect
from mim.evaluate.figures import (
    ANY_CANCER,
    FIGURES,
    OWN_RATE,
    STORED_THRESHOLD,
    Figure,
)
from mim.evaluate.measured import Measured, measure
from mim.evaluate.model_pair import Pair
from mim.evaluate.multiplicity import holm
from mim.evaluate.paired import Pairs, difference_interval, mcnemar
from mim.evaluate.proportions import wilson
from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Section
from mim.evaluate.settings import EvaluateSettings, PrevalenceSettings
from mim.vocab import SELECTION_RATES, Outcome

SETTINGS = EvaluateSettings(resamples=100)
SCREENED, SYMPTOMS = str(Outcome.SCREEN_DETECTED), str(Outcome.INTERVAL)


def measured(sample: Sample, settings: EvaluateSettings = SETTINGS) -> Measured:
    """Models measured at the rates of these exams; readers and parts are not needed here."""
    own = [Selection(OWN_RATE, rate) for rate in SELECTION_RATES]
    found = {m: detect(sample.exams, m, own, settings.bootstrap()) for m in sample.models}
    return Measured(sample, found, {}, [], [], [])


def section(sample: Sample, settings: EvaluateSettings = SETTINGS) -> Section:
    found = comparison_section(measured(sample, settings), settings)
    assert found is not None
    return found


def one(figures: list[Figure], **wanted: str | float | None) -> Figure:
    [found] = [f for f in figures if all(getattr(f, k) == v for k, v in wanted.items())]
    return found


def published() -> Pair:
    """Calls of two models with the counts of Radiology: AI 2025;7 (nr.no/en/publication/2391664): of
    741 screen-detected cancers, A found 611 at the top 3.2 %, B 606, both 565."""
    both, only_a, only_b, neither = 565, 611 - 565, 606 - 565, 741 - 611 - 606 + 565
    a = np.repeat([1, 1, 0, 0, 0], [both, only_a, only_b, neither, 2000])
    b = np.repeat([1, 0, 1, 0, 0], [both, only_a, only_b, neither, 2000])
    rows = pl.DataFrame(
        {
            "woman": np.arange(len(a)).astype(str),
            "cancer": np.arange(len(a)) < 741,
            "outcome": np.where(np.arange(len(a)) < 741, SCREENED, "negative"),
        }
    )
    exams = Scored("exams", rows, {"A": a.astype(float), "B": b.astype(float)}, 0)
    found = [
        detect(exams, m, [Selection(STORED_THRESHOLD, 0.032, 0.5)], SETTINGS.bootstrap())
        for m in ("A", "B")
    ]
    return Pair(*found)


def test_published_counts_of_two_models() -> None:
    found = found_figures(published(), SETTINGS.bootstrap())
    counts = {(f.name, f.model): f.estimate.cases for f in found if f.outcome == SCREENED}
    assert counts == {
        ("found_by_both", "A and B"): 565,
        ("found_by_either", "A and B"): 652,
        ("found_by_neither", "A and B"): 89,
        ("found_alone", "A, not B"): 46,
        ("found_alone", "B, not A"): 41,
    }
    both = one(found, name="found_by_both", outcome=SCREENED)
    assert both.estimate.value == pytest.approx(0.7625, abs=5e-5)
    assert both.closed == wilson(565, 741)
    assert both.estimate.low < both.estimate.value < both.estimate.high


def test_closed_forms_of_published_counts() -> None:
    figures = difference_figures(published())
    pairs = Pairs(565, 46, 41, 89)
    found = one(figures, name="sensitivity_difference", outcome=SCREENED)
    assert found.estimate.value == pytest.approx(5 / 741)
    assert found.closed == difference_interval(pairs)
    assert found.p_value == mcnemar(pairs)
    assert (found.rule, found.selection_rate) == (STORED_THRESHOLD, 0.032)
    # Without a threshold of their own, two models have no specificities to compare.
    same = one(figures, name="specificity_difference")
    assert (same.estimate.value, same.p_value) == (0, 1)


def by_hand(sample: Sample, resamples: int) -> np.ndarray:
    """Of rows written out as often as drawn: differences of AUC and of sensitivity at two rates."""
    exams = sample.exams
    woman, known = exams.woman - 1, exams.known
    draws = over_blocks(
        lambda times: times.astype(float), int(woman.max()) + 1, resamples=resamples, seed=1
    )
    found = []
    for times in np.concatenate([*draws]).astype(int):
        rows = np.repeat(np.arange(len(woman)), times[woman])
        judged, sick = rows[known[rows]], exams.cancer[rows]
        each = []
        for score in exams.scores.values():
            figures = [roc_auc_score(exams.cancer[judged], score[judged])]
            for rate in (0.058, 0.111):
                highest = np.sort(score[rows])[::-1]
                most = int(rate * len(rows) + 1e-9)
                selected = score[rows] > highest[most]
                figures.append(selected[sick].mean())
            each.append(figures)
        found.append(np.subtract(*each))
    return np.array(found)


def test_every_resample_is_that_of_its_rows_written_out() -> None:
    """With women of two exams, ties, and unknown outcomes."""
    coarse = {
        "A": lambda v, c: np.round(30 * noisy(0.5)(v, c)),
        "B": lambda v, c: np.round(30 * noisy(1.5)(v, c)),
    }
    sample = programme(300, 0.3, coarse, exams_each=2)
    figures = difference_figures(Pair(*measured(sample).exams.values()))
    drawn = by_hand(sample, SETTINGS.resamples)
    wanted = [
        one(figures, name="auc_difference", outcome=ANY_CANCER),
        *(
            one(figures, name="sensitivity_difference", outcome=ANY_CANCER, selection_rate=rate)
            for rate in (0.058, 0.111)
        ),
    ]
    for figure, resamples in zip(wanted, drawn.T, strict=True):
        low, high = np.quantile(resamples, [0.025, 0.975])
        assert figure.estimate.low == pytest.approx(low, abs=1e-6)
        assert figure.estimate.high == pytest.approx(high, abs=1e-6)


def test_delong_is_paired_and_of_each_kind_against_the_healthy() -> None:
    sample = programme(400, exams_each=2)
    figures = difference_figures(Pair(*measured(sample).exams.values()))
    exams = sample.exams
    healthy = exams.known & ~exams.cancer
    for outcome in (ANY_CANCER, SCREENED, SYMPTOMS):
        cases = exams.cancer if outcome == ANY_CANCER else exams.outcome == outcome
        used = cases | healthy
        scores = np.array([score[used] for score in exams.scores.values()])
        wanted = auc_difference(delong(scores, cases[used], exams.woman[used]), 0, 1)
        found = one(figures, name="auc_difference", outcome=outcome)
        assert found.p_value == pytest.approx(wanted.p_value)
        assert found.closed.low == pytest.approx(wanted.closed.low)
        one_area, other_area = (roc_auc_score(cases[used], score) for score in scores)
        assert found.estimate.value == pytest.approx(one_area - other_area)
        assert found.model == "A less B"


def test_counts_add_up_and_are_those_of_the_selected() -> None:
    pair = Pair(*measured(programme(500)).exams.values())
    figures = found_figures(pair, SETTINGS.bootstrap())
    exams = pair.one.rows
    for rate in SELECTION_RATES:
        for outcome in (ANY_CANCER, SCREENED, SYMPTOMS):
            cases = exams.cancer if outcome == ANY_CANCER else exams.outcome == outcome
            mine, theirs = (
                d.rows.score[cases] > np.sort(d.rows.score)[::-1][int(rate * 500 + 1e-9)]
                for d in (pair.one, pair.other)
            )
            wanted = {
                ("found_by_both", "A and B"): (mine & theirs).sum(),
                ("found_by_either", "A and B"): (mine | theirs).sum(),
                ("found_by_neither", "A and B"): (~mine & ~theirs).sum(),
                ("found_alone", "A, not B"): (mine & ~theirs).sum(),
                ("found_alone", "B, not A"): (~mine & theirs).sum(),
            }
            there = [f for f in figures if (f.outcome, f.selection_rate) == (outcome, rate)]
            assert {(f.name, f.model): f.estimate.cases for f in there} == wanted
            assert {f.estimate.n for f in there} == {cases.sum()}


def test_stored_thresholds_are_paired_by_their_rate_whatever_they_are() -> None:
    exams = programme(500).exams
    first = [Selection(STORED_THRESHOLD, rate, cut) for rate, cut in ((0.058, 2.0), (0.111, 1.5))]
    second = [Selection(STORED_THRESHOLD, 0.111, np.full(500, 2.5))]
    pair = Pair(
        detect(exams, "A", first, SETTINGS.bootstrap()),
        detect(exams, "B", second, SETTINGS.bootstrap()),
    )
    figures = [f for f in difference_figures(pair) if f.rule == STORED_THRESHOLD]
    assert {f.selection_rate for f in figures} == {0.111}
    healthy = exams.known & ~exams.cancer
    a, b = exams.scores["A"] >= 1.5, exams.scores["B"] >= 2.5
    found = one(figures, name="specificity_difference")
    assert found.estimate.value == pytest.approx((~a)[healthy].mean() - (~b)[healthy].mean())
    found = one(figures, name="sensitivity_difference", outcome=SYMPTOMS)
    late = exams.outcome == SYMPTOMS
    assert found.estimate.value == pytest.approx(a[late].mean() - b[late].mean())


def test_a_model_against_itself_differs_in_nothing() -> None:
    sample = programme(400, models={"A": noisy(1)})
    scores = {"A": sample.exams.score, "again": sample.exams.score}
    found = section(replace(sample, exams=replace(sample.exams, scores=scores)))
    for figure in found.figures:
        if figure.name.endswith("difference"):
            assert figure.estimate.value == 0
            assert figure.estimate.low is None
            assert figure.p_value in (1, None)
        if figure.name == "found_alone":
            assert figure.estimate.cases == 0


def tenths(score: Floats) -> Floats:
    """Exam scores 1 to 10 by tenths of these exams."""
    return np.ceil(10 * (score.argsort().argsort() + 1) / len(score) - 1e-9)


def in_tenths(exams: int, share: float = 0.2) -> Sample:
    """A model, and the same one as a product that tells no more than tenths."""
    sample = programme(exams, share, models={"ours": noisy(0.5)})
    scores = {"ours": sample.exams.score, "product": tenths(sample.exams.score)}
    return replace(sample, exams=replace(sample.exams, scores=scores))


def test_a_model_against_itself_in_tenths_does_not_differ() -> None:
    """At 3.2 to 8.8 % the product selects none, for its 10s are more, and at 11.1 % too few. They are compared at its scores."""
    sample = in_tenths(1000)
    found = comparison_section(measure(sample, {}, SETTINGS), SETTINGS)
    assert found is not None
    apart = [
        f for f in found.figures if f.name in ("sensitivity_difference", "specificity_difference")
    ]
    rates = {f.selection_rate for f in apart if f.rule == OWN_RATE}
    assert rates == set(), "a tenth is not 11.1 %"
    by_score = {f.rule for f in apart} - {OWN_RATE}
    assert by_score == {f"score {n} or more of product" for n in (10, 9, 8)}
    for figure in apart:
        assert figure.estimate.value == pytest.approx(0)
        assert figure.p_value == 1
    for figure in found.figures:
        if figure.name == "found_alone":
            assert figure.estimate.cases == 0
    assert not [f for f in found.figures if f.rule == OWN_RATE]
    [told] = [words for words in found.words if words.startswith("product gives so many")]
    assert [word for word in ("3.2 %", "5.8 %", "8.8 %", "11.1 %") if word in told] == [
        *("3.2 %", "5.8 %", "8.8 %", "11.1 %")
    ]
    check_page(found)


def test_a_stored_threshold_that_equal_scores_keep_from_its_rate_is_not_compared() -> None:
    exams = in_tenths(1000).exams
    healthy = exams.known & ~exams.cancer
    pairs = [
        Pair(
            detect(exams, "ours", [Selection(STORED_THRESHOLD, 0.088, cut)], SETTINGS.bootstrap()),
            detect(
                exams, "product", [Selection(STORED_THRESHOLD, 0.088, of)], SETTINGS.bootstrap()
            ),
        )
        for cut, of in ((2.0, 11.0), (9.0, 9.0), (2.0, 9.0))
    ]
    compared = [[f for f in difference_figures(pair) if f.rule] for pair in pairs]
    assert compared[0] == []
    assert [pair.kept_from for pair in pairs[:2]] == [
        {(STORED_THRESHOLD, 0.088): ["product"]},
        {},
    ], "a fine score that selects none of these exams is a finding"
    selected = exams.scores["ours"] >= 2, exams.scores["product"] >= 9
    specific = one(compared[2], name="specificity_difference").estimate
    first, second = ((~rows)[healthy].mean() for rows in selected)
    assert specific.value == pytest.approx(first - second)
    assert (specific.n, specific.cases) == (healthy.sum(), None)


def test_a_better_model_is_found_better() -> None:
    sample = programme(800, 0.3, {"sees": noisy(0.2), "guesses": noisy(20)})
    figures = section(sample).figures
    for outcome in (ANY_CANCER, SCREENED):
        found = one([*figures], name="auc_difference", outcome=outcome)
        assert found.estimate.low > 0
        assert found.p_adjusted < 0.001


def test_no_closed_form_of_shares_where_a_woman_has_two_cancers() -> None:
    figures = difference_figures(Pair(*measured(programme(400, 0.5, exams_each=4)).exams.values()))
    for figure in figures:
        assert (figure.closed is None) == (figure.name != "auc_difference")
        assert (figure.p_value is None) == (figure.name != "auc_difference")


def test_no_closed_form_of_any_cancer_where_exams_stand_for_others() -> None:
    settings = replace(SETTINGS, prevalence=PrevalenceSettings(6.1, 1.7))
    found = measure(programme(400), {}, settings)
    figures = difference_figures(Pair(*found.exams.values()))
    assert {f.outcome for f in figures if f.p_value is not None} == {SCREENED, SYMPTOMS}
    assert all(f.closed is None for f in figures if f.outcome == ANY_CANCER)


def test_all_pairs_are_compared_and_corrected_together() -> None:
    models = {"A": noisy(0.5), "B": noisy(1), "C": noisy(2)}
    found = section(programme(400, models=models))
    assert {f.model for f in found.figures if f.name == "auc_difference"} == {
        "A less B",
        "A less C",
        "B less C",
    }
    tested = [f for f in found.figures if f.p_value is not None]
    assert len(tested) == 3 * 3 * 5
    p_values = np.array([f.p_value for f in tested])
    assert [f.p_adjusted for f in tested] == pytest.approx(holm(p_values))
    assert any(words.startswith("54 differences were looked at. 45") for words in found.words)
    check_page(found)
    [headline] = found.headlines
    assert headline.title == "Difference of AUC, A less B"


def test_one_model_makes_no_section() -> None:
    sample = programme(200, models={"A": noisy(1)})
    assert comparison_section(measured(sample), SETTINGS) is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_class_gives_reasons(share) -> None:
    found = section(programme(120, share))
    areas = [f for f in found.figures if f.name == "auc_difference"]
    assert areas
    assert all(f.estimate.value is None and f.estimate.reason for f in areas)
    check_page(found)


def test_one_woman_gives_reasons() -> None:
    found = section(programme(60, 0.4, exams_each=60))
    assert all(f.estimate.low is None and f.estimate.reason for f in found.figures)
    check_page(found)


def check_page(found: Section) -> None:
    for table in found.tables:
        assert {len(row) for row in table.rows} == {len(table.heads)}
        assert not any("nan" in cell for row in table.rows for cell in row if isinstance(cell, str))
    rows = pl.DataFrame(pl.from_arrow(FIGURES.from_rows([f.row() for f in found.figures])))
    assert not rows.select(FIGURES.key).is_duplicated().any()
    json.dumps(found.facts, allow_nan=False)


@pytest.mark.slow
def test_between_equal_models_a_corrected_p_value_is_seldom_small() -> None:
    """Holm holds a false difference among all of a section's to 5 %."""
    false = 0
    for seed in range(300):
        sample = programme(400, 0.3, {"A": noisy(1), "B": noisy(1)}, seed=seed)
        figures = difference_figures(
            Pair(*measured(sample, EvaluateSettings(resamples=1)).exams.values())
        )
        p_values = [np.nan if f.p_value is None else f.p_value for f in figures]
        false += np.nanmin(holm(np.array(p_values))) <= 0.05
    assert false / 300 <= 0.08
