"""Calibration against scikit-learn, closed forms, and a truth that is planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration as sklearn_calibration
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from mim.evaluate.bootstrap import Bools, Floats, bootstrap_by_woman
from mim.evaluate.calibration import (
    CALIBRATION,
    calibration_figures,
    calibration_statistic,
    closed_forms,
    equal_groups,
)
from mim.evaluate.figures import ALL
from mim.evaluate.settings import BootstrapSettings
from mim.schemas.score_scale import log_odds


def drawn(rows: int, seed: int, intercept: float = 0.0, slope: float = 1.0) -> tuple[Floats, Bools]:
    """Probabilities, and cancers whose true log odds are intercept + slope x those said."""
    random = np.random.default_rng(seed)
    said = random.normal(-2.5, 1.3, rows)
    truth = 1 / (1 + np.exp(-(intercept + slope * said)))
    return 1 / (1 + np.exp(-said)), random.random(rows) < truth


def ones(cancer: Bools) -> Floats:
    return np.ones(len(cancer))


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_are_scikit_learns(weighted: bool) -> None:
    chance, cancer = drawn(3000, 1)
    weights = np.random.default_rng(2).poisson(1, 3000).astype(float) if weighted else ones(cancer)
    ratio, intercept, slope, brier = calibration_statistic(chance, cancer)(weights)
    of_log_odds = log_odds(chance)[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    fitted.fit(of_log_odds, cancer, sample_weight=weights)
    assert slope == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert brier == pytest.approx(brier_score_loss(cancer, chance, sample_weight=weights))
    assert ratio == pytest.approx((weights @ chance) / (weights @ cancer))
    moved = 1 / (1 + np.exp(-(intercept + log_odds(chance))))
    assert weights @ moved == pytest.approx(weights @ cancer, rel=1e-4), "its defining equation"


def test_planted_intercept_and_slope_are_found() -> None:
    chance, cancer = drawn(200_000, 3, intercept=-0.7, slope=0.6)
    _, _, slope, _ = calibration_statistic(chance, cancer)(ones(cancer))
    assert slope == pytest.approx(0.6, abs=0.02)
    chance, cancer = drawn(200_000, 4, intercept=-0.7)
    ratio, intercept, slope, _ = calibration_statistic(chance, cancer)(ones(cancer))
    assert intercept == pytest.approx(-0.7, abs=0.03)
    assert slope == pytest.approx(1, abs=0.03)
    assert ratio > 1.5, "too high"


@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60)
def test_a_weight_counts_as_so_many_rows(rows) -> None:
    chance, cancer = (np.array(part) for part in zip(*rows, strict=True))
    chance, cancer = chance / 10, cancer.astype(bool)
    weights = np.arange(len(rows)) % 3
    repeated = np.repeat(chance, weights), np.repeat(cancer, weights)
    once = calibration_statistic(chance, cancer)(weights.astype(float))
    again = calibration_statistic(*repeated)(np.ones(weights.sum()))
    assert once == pytest.approx(again, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("chance", "cancer", "missing"),
    [
        ([0.1, 0.2, 0.3], [False] * 3, CALIBRATION[:3]),
        ([0.1, 0.2, 0.3], [True] * 3, CALIBRATION[:3]),
        ([0.2, 0.2, 0.2], [True, False, False], ["calibration_slope"]),
        ([0.1, 0.2, 0.9], [False, False, True], ["calibration_slope"]),
        ([0.0, 0.2, 0.5, 1.0], [False, True, False, True], []),
        ([], [], CALIBRATION),
    ],
)
def test_what_is_not_defined_is_missing(chance, cancer, missing) -> None:
    cancer = np.array(cancer, bool)
    found = calibration_statistic(np.array(chance), cancer)(ones(cancer))
    assert [name for name, v in zip(CALIBRATION, found, strict=True) if np.isnan(v)] == [*missing]


def test_groups_are_scikit_learns() -> None:
    chance, cancer = drawn(2000, 5)
    group = equal_groups(chance, ones(cancer), 10)
    observed, expected = sklearn_calibration.calibration_curve(
        cancer, chance, n_bins=10, strategy="quantile"
    )
    assert np.bincount(group).tolist() == [200] * 10
    assert np.bincount(group, cancer) / 200 == pytest.approx(observed)
    assert np.bincount(group, chance) / 200 == pytest.approx(expected)


def test_groups_of_weighted_and_equal_probabilities() -> None:
    chance = np.array([0.1] * 6 + [0.5, 0.9])
    group = equal_groups(chance, np.array([1.0] * 6 + [6, 6]), 3)
    assert group.tolist() == [0] * 6 + [1, 2]
    assert len(equal_groups(np.array([]), np.array([]), 3)) == 0


def test_closed_forms_are_those_of_the_textbook() -> None:
    chance, cancer = drawn(4000, 9)
    ratio, intercept, slope, brier = closed_forms(chance, cancer)
    found = calibration_statistic(chance, cancer)(ones(cancer))
    for form, value in zip((ratio, intercept, slope, brier), found, strict=True):
        assert form.low < value < form.high
    assert np.log(ratio.high / ratio.low) == pytest.approx(
        2 * 1.96 * np.sqrt(1 / cancer.sum() - 1 / 4000), rel=1e-4
    )
    refit = 1 / (1 + np.exp(-found[1] - log_odds(chance)))
    assert intercept.high - intercept.low == pytest.approx(
        2 * 1.96 / np.sqrt((refit * (1 - refit)).sum()), rel=1e-3
    )
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds(chance)[:, None], cancer)
    design = np.column_stack([np.ones(4000), log_odds(chance)])
    p = fitted.predict_proba(log_odds(chance)[:, None])[:, 1]
    covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    assert slope.high - slope.low == pytest.approx(2 * 1.96 * covariance[1, 1] ** 0.5, rel=1e-3)
    assert brier.name == "normal"


def coverage(sets: int, rows: int) -> Floats:
    """How often each closed interval holds what is true of probabilities that are right."""
    held = np.zeros(3)
    for seed in range(sets):
        chance, cancer = drawn(rows, 1000 + seed)
        for place, (form, truth) in enumerate(
            zip(closed_forms(chance, cancer)[:3], (1, 0, 1), strict=True)
        ):
            held[place] += form.low <= truth <= form.high
    return held / sets


def test_closed_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert (np.abs(coverage(300, 800) - 0.95) < 0.045).all()


@pytest.mark.slow
def test_closed_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of expected over observed a little more often: its formula takes the expected for fixed."""
    ratio, intercept, slope = coverage(3000, 800)
    assert 0.95 < ratio < 0.98
    assert abs(intercept - 0.95) < 0.015
    assert abs(slope - 0.95) < 0.015


def test_bootstrap_and_closed_intervals_agree_and_weights_leave_only_the_former() -> None:
    chance, cancer = drawn(1500, 10)
    once = calibration_figures(
        chance, cancer, np.arange(1500), ones(cancer), ALL, BootstrapSettings(400, 1)
    )
    assert [figure.name for figure in once] == list(CALIBRATION)
    for figure in once:
        assert figure.closed is not None
        wide = figure.closed.high - figure.closed.low
        assert figure.estimate.high - figure.estimate.low == pytest.approx(wide, rel=0.25)
    weighted = calibration_figures(
        chance, cancer, np.arange(1500), 2 - cancer, ALL, BootstrapSettings(20, 1)
    )
    assert all(figure.closed is None for figure in weighted)
    assert weighted[0].estimate.value == pytest.approx(((2 - cancer) @ chance) / cancer.sum())


@pytest.mark.parametrize("enriched", [False, True])
def test_rows_put_in_cells_have_the_intervals_of_rows_taken_singly(enriched: bool) -> None:
    """Cells are 1 / 128 of a log odd wide: what they cost is far less than an interval's width.

    The value too may differ by it: rows that weigh unlike each other have cells of their own.
    """
    chance, cancer = drawn(6000, 11)
    weights = np.where(cancer, 1 + (np.arange(6000) % 2), 3.0) if enriched else ones(cancer)
    woman, bootstrap = np.arange(6000) // 3, {"resamples": 64, "seed": 4}
    found = calibration_figures(chance, cancer, woman, weights, ALL, BootstrapSettings(**bootstrap))
    statistic = calibration_statistic(chance, cancer)
    singly = bootstrap_by_woman(
        lambda times: statistic(times * weights), woman, [cancer] * 4, **bootstrap
    )
    for figure, row in zip(found, singly, strict=True):
        wide = row.high - row.low
        assert figure.estimate.value == pytest.approx(row.value, abs=wide / 200)
        assert figure.estimate.low == pytest.approx(row.low, abs=wide / 200)
        assert figure.estimate.high == pytest.approx(row.high, abs=wide / 200)
