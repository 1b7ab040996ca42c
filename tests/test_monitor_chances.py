"""The stability index and its chance, shares selected and theirs, against hand, law and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, chi2, entropy

from mim.monitor.chances import (
    bin_of,
    expected_share,
    selection_chance,
    spread_chance,
    stability_index,
)
from mim.monitor.reference import independent, spread_of
from mim.schemas.monitored import Spread

HALVES = Spread(1000, [0.5], [0.5, 0.5], [0.1, 0.5, 0.9])


def spread(values: np.ndarray, weight: np.ndarray | None = None) -> Spread:
    ones = np.ones(len(values))
    return spread_of(values, ones if weight is None else weight, np.arange(len(values)))


def test_the_index_is_that_computed_by_hand():
    """30 of 100 exams below the median: shares 30.5 / 101 and 70.5 / 101, against a half each."""
    values = np.repeat([0.2, 0.8], [30, 70])
    assert stability_index(values, HALVES) == pytest.approx(0.19802 * np.log(70.5 / 30.5), abs=1e-5)
    assert stability_index(np.repeat([0.2, 0.8], 50), HALVES) == pytest.approx(0, abs=1e-12)


def test_the_index_is_the_sum_of_both_relative_entropies():
    random = np.random.default_rng(2)
    reference = spread(random.normal(size=5000))
    values = random.normal(0.3, 1.2, 100_000)
    here = np.bincount(bin_of(values, reference.edges), minlength=10) / len(values)
    there = np.array(reference.shares)
    both = entropy(here, there) + entropy(there, here)
    assert stability_index(values, reference) == pytest.approx(both, rel=0.02)


@pytest.mark.parametrize(("exams", "reference_exams"), [(60, 400), (300, 400), (2000, 1000)])
def test_a_spread_seems_changed_as_seldom_as_is_said(exams, reference_exams):
    random = np.random.default_rng(3)
    chances = []
    for _ in range(700):
        reference = spread(random.normal(size=reference_exams))
        chances.append(spread_chance(random.normal(size=exams), reference))
    for level in (0.05, 0.01):
        found = np.mean(np.array(chances) <= level)
        assert found <= level + 3 * np.sqrt(level / 700)
        assert found >= 0.4 * level


@pytest.mark.parametrize(("exams", "reference_exams"), [(50, 400), (100, 400), (200, 5000)])
@pytest.mark.parametrize(
    ("draws", "tail"), [(30_000, 1e-3), pytest.param(1_000_000, 1e-4, marks=pytest.mark.slow)]
)
def test_few_exams_seldom_seem_to_have_changed_far_out_in_the_tail(
    draws, tail, exams, reference_exams
):
    """Where alarms are made. Bins hold a tenth of the reference exams each, so their true shares are
    spacings of order statistics; the index and its own law are wrong by 2.8 there (100 of 400)."""
    random = np.random.default_rng(4)
    held = reference_exams / 10
    shares = random.dirichlet(np.append(np.full(9, held), held + 1), draws)
    counts = random.multinomial(exams, shares)
    statistic = ((counts / exams - 0.1) ** 2 / (counts + held)).sum(1) * exams * reference_exams
    far = int(np.argsort(statistic)[-int(tail * draws)])
    reference = Spread(reference_exams, list(np.arange(9.0)), [0.1] * 10, [0, 0, 0])
    values = np.repeat(np.arange(10) - 0.5, counts[far])
    assert spread_chance(values, reference) >= 0.6 * tail


def test_the_chance_of_a_spread_is_that_of_a_table_worked_by_hand():
    """30 and 70 of 100 against 500 and 500: 1100 (30 x 500 - 70 x 500)^2 / (100 x 1000 x 530 x 570)."""
    values = np.repeat([0.2, 0.8], [30, 70])
    statistic = 1100 * (30 * 500 - 70 * 500) ** 2 / (100 * 1000 * 530 * 570)
    assert spread_chance(values, HALVES) == pytest.approx(chi2.sf(statistic, 1))


def test_every_bin_tells():
    """Of ten bins the last alone holds too many: 28 of 100, where 10 are expected, 8 in the others."""
    values = np.repeat(np.arange(10) - 0.5, [8] * 9 + [28])
    reference = Spread(1000, list(np.arange(9.0)), [0.1] * 10, [0, 0, 0])
    here, there = np.array([8] * 9 + [28]), np.full(10, 100)
    expected = (here + there) / 1100
    statistic = sum(
        ((seen - n * expected) ** 2 / (n * expected)).sum()
        for seen, n in ((here, 100), (there, 1000))
    )
    assert spread_chance(values, reference) == pytest.approx(chi2.sf(statistic, 9))
    assert spread_chance(values, reference) < 1e-3


def test_a_spread_of_one_value_has_changed_where_the_value_has():
    reference = spread(np.full(200, 0.085))
    assert spread_chance(np.full(60, 0.085), reference) == 1
    assert stability_index(np.full(60, 0.085), reference) < 0.1
    assert spread_chance(np.full(60, 0.07), reference) < 1e-12
    assert stability_index(np.full(60, 0.07), reference) > 1


def test_edges_are_deciles_and_no_value_lies_on_one():
    values = np.random.default_rng(5).normal(size=1000)
    found = spread(values)
    assert found.edges == pytest.approx(np.quantile(values, np.arange(1, 10) / 10), abs=0.03)
    assert found.shares == pytest.approx([0.1] * 10)
    assert not np.isin(found.edges, values).any()
    assert found.quantiles == pytest.approx(np.quantile(values, [0.1, 0.5, 0.9]), abs=0.03)
    assert found.exams == pytest.approx(1000)


def test_a_value_that_many_share_has_a_bin_of_its_own():
    values = np.repeat([0.07, 0.085], [60, 140])
    found = spread(values)
    assert sum(found.shares) == pytest.approx(1)
    assert {round(share, 6) for share in found.shares} == {0, 0.3, 0.7}
    for other in (0.05, 0.08, 0.1):
        assert found.shares[int(bin_of(np.array([other]), found.edges)[0])] == 0
        assert stability_index(np.full(100, other), found) > 5
    assert stability_index(values, found) < 0.01
    single = spread(np.full(80, 0.085))
    assert single.shares == [0, 1, 0]
    assert stability_index(np.full(60, 0.085), single) < 0.01
    assert spread_chance(np.full(60, 0.1), single) < 1e-10


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 4))
def test_weight_counts_as_so_many_exams(numbers, times):
    values = np.array(numbers, np.float64)
    weight = np.where(values > 5, float(times), 1.0)
    heavy = spread(values, weight)
    repeated = spread(np.repeat(values, weight.astype(int)))
    assert heavy.edges == repeated.edges
    assert heavy.shares == pytest.approx(repeated.shares)
    assert np.all(np.diff(heavy.edges) > 0)


def test_exams_of_one_woman_count_as_one():
    weight = np.ones(100)
    assert independent(weight, np.arange(100)) == pytest.approx(100)
    assert independent(weight, np.repeat(np.arange(50), 2)) == pytest.approx(50)
    assert independent(np.repeat([1.0, 3.0], 50), np.arange(100)) == pytest.approx(80)


@pytest.mark.parametrize(("rate", "reference_exams"), [(0.032, 400), (0.111, 200), (0.058, 2000)])
def test_a_share_selected_seems_changed_as_seldom_as_is_said(rate, reference_exams):
    """The threshold is a score of the reference exams, of which so many lie at or above it."""
    random = np.random.default_rng(6)
    chosen = int(rate * reference_exams)
    chances = []
    for _ in range(1000):
        threshold = np.sort(random.random(reference_exams))[-chosen]
        found = int(random.binomial(300, 1 - threshold))
        chances.append(selection_chance(found, 300, chosen / reference_exams, reference_exams))
    found = np.mean(np.array(chances) <= 0.05)
    assert 0.01 <= found <= 0.05 + 3 * np.sqrt(0.05 / 1000)


def test_the_chance_of_a_share_lies_between_those_of_both_order_statistics():
    """At or below the m-th of N scores, a share follows a beta law of m or m + 1."""
    for found in (4, 10, 25, 40):
        ends = [
            2 * min(betabinom.cdf(found, 300, m, 201 - m), betabinom.sf(found - 1, 300, m, 201 - m))
            for m in (11, 12)
        ]
        said = selection_chance(found, 300, 11 / 200, 200)
        assert min(*ends, 1) * 0.9 <= said <= min(max(ends), 1) * 1.1


def test_a_share_known_of_many_exams_is_expected_within_little():
    low, high = expected_share(0.058, 1e6)
    assert low == pytest.approx(0.0575, abs=1e-4)
    assert high == pytest.approx(0.0585, abs=1e-4)
    low, high = expected_share(0.0, 60)
    assert 0 <= low < 0.001
    assert 0.03 < high < 0.06
