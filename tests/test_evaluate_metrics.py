"""AUC and sensitivity against scikit-learn, pair counts and plain copies of rows."""

from math import floor

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.figures import ALL, ANY_CANCER, OWN_RATE, STORED_THRESHOLD, Figure
from mim.evaluate.metrics import (
    auc,
    auc_figure,
    auc_statistic,
    rate_statistic,
    roc_curve,
    selection_figures,
)
from mim.evaluate.operating import Threshold
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import SELECTION_RATES, Outcome

SETTINGS = BootstrapSettings(resamples=60, seed=3)

rows = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda found: len({cancer for _, cancer, _ in found}) == 2)


def split(found: list[tuple[int, bool, int]]) -> tuple[Floats, Bools, Floats]:
    score, cancer, weight = zip(*found, strict=True)
    return np.array(score) / 40, np.array(cancer), np.array(weight, dtype=float)


def exams(score: Floats, outcome: list[str], women: Floats | None = None) -> Scored:
    cancer = {Outcome.UNKNOWN: None, Outcome.SCREEN_DETECTED: True, Outcome.INTERVAL: True}
    rows = {
        "woman": np.arange(len(score)) if women is None else women,
        "cancer": [cancer.get(Outcome(word), False) for word in outcome],
        "outcome": outcome,
        "maker": (["ge", "hologic"] * len(score))[: len(score)],
    }
    types = {"cancer": pl.Boolean, "outcome": pl.String}
    return Scored("exams", pl.DataFrame(rows, schema_overrides=types), {"a": score}, 0)


def pick(figures: list[Figure], **wanted: object) -> list[Figure]:
    return [f for f in figures if all(getattr(f, k) == v for k, v in wanted.items())]


@given(rows)
def test_auc_counts_pairs_with_half_for_ties(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, _ = split(found)
    pairs = [(s > h) + 0.5 * (s == h) for s in score[cancer] for h in score[~cancer]]
    assert auc(score, cancer) == pytest.approx(float(np.mean(pairs)), abs=1e-12)
    assert auc(score, cancer) == pytest.approx(float(roc_auc_score(cancer, score)), abs=1e-12)


@given(rows)
def test_a_weight_counts_as_so_many_copies_of_the_row(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, weight = split(found)
    copies = np.repeat(np.arange(len(score)), weight.astype(int))
    value = auc_statistic(score, cancer)(weight)[0]
    if len(set(cancer[copies])) < 2:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(roc_auc_score(cancer[copies], score[copies]), abs=1e-12)


@given(rows)
def test_roc_curve_is_that_of_scikit_learn(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, _ = split(found)
    false_positive, true_positive = roc_curve(score, cancer)
    theirs = sklearn_roc_curve(cancer, score, drop_intermediate=False)
    np.testing.assert_allclose(false_positive, theirs[0])
    np.testing.assert_allclose(true_positive, theirs[1])


def test_auc_of_one_class_is_missing() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([False, False])))


def test_auc_leaves_unknown_labels_and_other_makers_out() -> None:
    outcome = [Outcome.NEGATIVE, Outcome.INTERVAL, Outcome.UNKNOWN, Outcome.SCREEN_DETECTED]
    table = exams(np.array([0.3, 0.2, 0.99, 0.9]), [str(o) for o in outcome])
    every = auc_figure(table, ALL, SETTINGS).estimate
    assert (every.value, every.n, every.cases) == (0.5, 3, 2)
    ge = auc_figure(table, "ge", SETTINGS).estimate
    assert (ge.value, ge.n, ge.cases) == (None, 1, 0)


def test_sensitivity_at_each_rate_by_hand() -> None:
    # 1,000 exams, score falls with rank; cancers at ranks that straddle each cut.
    score = np.linspace(1, 0, 1000)
    outcome = [str(Outcome.NEGATIVE)] * 1000
    for rank in (0, 31, 32, 57, 58, 87, 88, 110, 111, 999):
        outcome[rank] = str(Outcome.SCREEN_DETECTED)
    for rank in (5, 100):
        outcome[rank] = str(Outcome.INTERVAL)
    figures = pick(selection_figures(exams(score, outcome), [], SETTINGS), rule=OWN_RATE)
    for kind, found in (
        (str(Outcome.SCREEN_DETECTED), [0.2, 0.4, 0.6, 0.8]),
        (str(Outcome.INTERVAL), [0.5, 0.5, 0.5, 1.0]),
        (ANY_CANCER, [3 / 12, 5 / 12, 7 / 12, 10 / 12]),
    ):
        chosen = pick(figures, name="sensitivity", outcome=kind)
        assert [f.selection_rate for f in chosen] == list(SELECTION_RATES)
        assert [f.estimate.value for f in chosen] == pytest.approx(found)
        assert {f.estimate.n for f in chosen} == {1000}
    shares = pick(figures, name="share selected")
    assert [f.estimate.cases for f in shares] == [32, 58, 88, 111]


def test_exams_of_unknown_outcome_take_up_places_of_the_selection() -> None:
    score = np.linspace(1, 0, 100)
    outcome = [str(Outcome.UNKNOWN)] * 3 + [str(Outcome.SCREEN_DETECTED)] * 5
    outcome += [str(Outcome.NEGATIVE)] * 92
    figures = pick(
        selection_figures(exams(score, outcome), [], SETTINGS),
        name="sensitivity",
        outcome=ANY_CANCER,
    )
    assert [f.estimate.value for f in figures] == pytest.approx([0, 2 / 5, 5 / 5, 5 / 5])


def test_stored_thresholds_are_applied_as_they_are() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6])
    kinds = [Outcome.INTERVAL, Outcome.NEGATIVE, Outcome.SCREEN_DETECTED, Outcome.NEGATIVE]
    thresholds = [Threshold(0.032, 0.8, 50, 1, 0.02)]
    figures = pick(
        selection_figures(exams(score, [str(k) for k in kinds]), thresholds, SETTINGS),
        rule=STORED_THRESHOLD,
    )
    assert [f.estimate.value for f in figures] == [0.5, 0.5, 0.0, 1.0]


@given(rows)
def test_sensitivity_too_counts_a_weight_as_copies(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, weight = split(found)
    copies = np.repeat(np.arange(len(score)), weight.astype(int))
    assume(cancer[copies].any())
    mine = rate_statistic(score, [cancer])(weight)
    for place, rate in enumerate(SELECTION_RATES):
        chosen, sick = plainly_selected(score[copies], rate), cancer[copies]
        assert mine[2 * place] == pytest.approx(chosen.mean())
        assert mine[2 * place + 1] == pytest.approx((chosen & sick).sum() / sick.sum())


def plainly_selected(score: Floats, rate: float) -> Bools:
    """The rule of the docs, the long way: add tied groups from the top while they fit."""
    most = floor(rate * len(score) + 1e-9)
    chosen = np.zeros(len(score), dtype=np.bool_)
    for value in sorted(set(score), reverse=True):
        if (score >= value).sum() > most:
            break
        chosen = score >= value
    return chosen
