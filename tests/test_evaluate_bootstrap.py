"""Intervals over women: closed forms, coverage by simulation, and what has no interval."""

from math import erf, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from mim.evaluate.bootstrap import (
    LEAST_WOMEN,
    NORMAL_95,
    Counted,
    Estimate,
    Floats,
    alike,
    bootstrap_by_woman,
    resample_women,
    share,
)
from mim.evaluate.metrics import auc_statistic


def mean_of(values: Floats) -> Floats:
    return lambda weights: np.array([weights @ values / weights.sum()])


def auc_estimate(
    scores: Floats,
    cancer: npt.NDArray[np.bool_],
    women: npt.NDArray[np.generic],
    resamples: int = 200,
) -> Estimate:
    statistic = auc_statistic(scores, cancer)
    return bootstrap_by_woman(statistic, women, [cancer], resamples=resamples, seed=5)[0]


def programme(
    generator: np.random.Generator, women: int, sick: int
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Two breasts a woman with a shared part of variance 0.5 in their scores of variance 1."""
    woman = np.repeat(np.arange(women), 2)
    cancer = np.zeros(2 * women, dtype=np.bool_)
    cancer[: 2 * sick : 2] = True
    shared = generator.normal(size=women)[woman]
    scores = sqrt(0.5) * (shared + generator.normal(size=2 * women)) + 1.2 * cancer
    return scores, cancer, woman


def test_interval_of_a_mean_equals_the_normal_closed_form() -> None:
    values = np.random.default_rng(1).normal(size=400)
    cases = np.arange(400) % 2 == 0
    women = np.arange(400)
    [found] = bootstrap_by_woman(mean_of(values), women, [cases], resamples=2000, seed=1)
    half = 1.96 * values.std() / sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_true_auc_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    true = 0.5 * (1 + erf(1.2 / sqrt(2) / sqrt(2)))
    inside = 0
    for _ in range(200):
        found = auc_estimate(*programme(generator, women=100, sick=30))
        inside += found.low <= true <= found.high
    # Three standard errors of 200 simulations round 0.95, and the percentile's known shortfall.
    assert 0.89 <= inside / 200 <= 0.99


def test_breasts_that_go_together_widen_the_interval_by_the_root_of_two() -> None:
    generator = np.random.default_rng(3)
    ratios = []
    for _ in range(10):
        cancer = np.repeat(np.arange(80) < 25, 2)
        scores = np.repeat(generator.normal(size=80), 2) + cancer
        by_woman = auc_estimate(scores, cancer, np.repeat(np.arange(80), 2), resamples=400)
        by_row = auc_estimate(scores, cancer, np.arange(160), resamples=400)
        ratios.append((by_woman.high - by_woman.low) / (by_row.high - by_row.low))
    assert np.mean(ratios) == pytest.approx(sqrt(2), abs=0.12)


def test_equal_seeds_give_equal_intervals_and_other_seeds_others() -> None:
    data = programme(np.random.default_rng(2), women=60, sick=20)
    statistic = auc_statistic(data[0], data[1])
    runs = [resample_women(statistic, data[2], resamples=50, seed=s).drawn for s in (7, 7, 8)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_every_resample_draws_as_many_women_as_there_are_and_moves_them_whole() -> None:
    women = np.array(["a", "a", "b", "c", "c", "c"])
    seen: list[Floats] = []

    def statistic(weights: Floats) -> Floats:
        seen.append(weights)
        return np.array([0.0])

    resample_women(statistic, women, resamples=30, seed=1)
    for weights in seen[1:]:
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]
        assert weights[[0, 2, 3]].sum() == 3


@pytest.mark.parametrize(
    ("sick", "healthy", "value_known", "reason"),
    [
        (0, 40, False, "no cases"),
        (40, 0, False, "only cases"),
        (0, 0, False, "nothing to measure"),
        (LEAST_WOMEN - 1, 40, True, "no interval: needs 5 women"),
        (40, LEAST_WOMEN - 1, True, "no interval: needs 5 women"),
        (LEAST_WOMEN, LEAST_WOMEN, True, None),
    ],
)
def test_too_few_women_give_a_reason(
    sick: int, healthy: int, value_known: bool, reason: str | None
) -> None:
    cancer = np.arange(sick + healthy) < sick
    scores = np.random.default_rng(4).normal(size=sick + healthy)
    found = auc_estimate(scores, cancer, np.arange(sick + healthy))
    assert (found.value is not None) == value_known
    assert (found.low is None) == (found.high is None) == (reason is not None)
    assert (found.reason or "").startswith(reason or "")
    assert (found.n, found.cases, found.women) == (sick + healthy, sick, sick + healthy)


def test_one_woman_has_a_value_and_no_interval() -> None:
    found = auc_estimate(np.array([0.9, 0.1]), np.array([True, False]), np.array(["w", "w"]))
    assert (found.value, found.low, found.high, found.women) == (1.0, None, None, 1)
    assert found.reason


def test_a_perfect_separation_has_no_interval_rather_than_one_without_width() -> None:
    cancer = np.arange(40) < 20
    found = auc_estimate(cancer.astype(float), cancer, np.arange(40))
    assert (found.value, found.low) == (1.0, None)
    assert found.reason == "no interval: every resample gives the same value"


def test_a_score_of_nan_gives_a_missing_estimate() -> None:
    cancer = np.arange(40) < 20
    scores = np.where(np.arange(40) == 3, np.nan, 0.5)
    found = auc_estimate(scores, cancer, np.arange(40))
    assert (found.value, found.low) == (None, None)
    assert found.reason == "not defined on these rows"


def test_a_figure_that_looks_for_no_cases_needs_ten_women() -> None:
    for women, reason in ((9, "no interval: needs 10 women"), (10, None)):
        values = np.arange(2.0 * women)
        woman = np.repeat(np.arange(women), 2)
        [found] = bootstrap_by_woman(mean_of(values), woman, [None], resamples=50, seed=1)
        assert (found.n, found.cases, found.women) == (2 * women, None, women)
        assert found.reason == reason
        assert (found.low is None) == (reason is not None)


def shares_of_kinds(kinds: npt.NDArray[np.int64], weights: Floats) -> Floats:
    counts = np.bincount(kinds, weights, 4).astype(float)
    return share(counts, counts.sum())


@pytest.mark.parametrize("rows", [0, 1, 300, 3000])
def test_rows_in_cells_have_the_figures_of_rows_taken_singly(rows: int) -> None:
    random = np.random.default_rng(8)
    kinds, women = random.integers(0, 4, rows), random.integers(0, 1 + rows // 3, rows)
    cells, first = alike(kinds, kinds == 2)
    singly, together = (
        resample_women(
            lambda weights, of=of: shares_of_kinds(of, weights),
            women,
            resamples=70,
            seed=3,
            cells=number,
        )
        for of, number in ((kinds, None), (kinds[first], cells))
    )
    np.testing.assert_array_equal(singly.values, together.values)
    np.testing.assert_array_equal(singly.drawn, together.drawn)
    by_row, by_cell = (
        bootstrap_by_woman(
            lambda weights, of=of: shares_of_kinds(of, weights),
            women,
            [kinds == kind for kind in range(4)],
            resamples=70,
            seed=3,
            cells=number,
        )
        for of, number in ((kinds, None), (kinds[first], cells))
    )
    assert by_row == by_cell


def test_a_row_of_each_cell_stands_for_its_rows() -> None:
    columns = (np.array([1.5, 1.5, 0.0, 1.5, 0.0]), np.array(["a", "b", "a", "a", "a"]))
    cell, first = alike(*columns)
    for column in columns:
        np.testing.assert_array_equal(column[first][cell], column)
    assert len(first) == 3


@pytest.mark.parametrize(
    ("rows", "kind"), [(200, np.uint16), (300, np.float32), (70_000, np.float64)]
)
def test_counts_are_exact_in_the_smallest_type_that_holds_them(rows: int, kind: type) -> None:
    """One of 255 women has all rows, and is drawn every time."""
    counted = Counted(np.zeros(rows, np.int64), np.zeros(rows, np.int64), (1, 255))
    found = counted.counts(np.array([[255] + [0] * 254], np.uint8))
    assert found.tolist() == [[rows * 255]]
    assert found.dtype == kind


def test_a_part_of_nothing_is_no_share() -> None:
    assert float(share(1, 4)) == 0.25
    np.testing.assert_array_equal(share(np.array([1.0, 0]), np.array([4.0, 0])), [0.25, np.nan])
    assert np.isnan(share(0.0, 0.0))
    assert pytest.approx(norm.ppf(0.975), abs=1e-12) == NORMAL_95
