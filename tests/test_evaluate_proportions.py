"""Intervals of shares against scipy, R, Larsen 2022, Newcombe 1998 and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mim.evaluate.figures import ClosedForm
from mim.evaluate.proportions import (
    EXACT,
    WILSON,
    WILSON_BY_WOMAN,
    exact,
    upper_bound,
    wilson,
    wilson_by_woman,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40)

# The examples of Newcombe 1998: Wilson by prop.test(correct = FALSE), Clopper-Pearson by binom.test,
# both of R 4.2.2.
NEWCOMBE = {
    (81, 263): ((0.255288519878, 0.366209576983), (0.252736745585, 0.367621922601)),
    (15, 148): ((0.0623863995307, 0.1604872417233), (0.0578440100834, 0.1616504903495)),
    (0, 20): ((0.0, 0.161125158053), (0.0, 0.168433470983)),
    (1, 29): ((0.00611321429276, 0.17175521879320), (0.00087264688358, 0.17764429548872)),
}
# Larsen 2022, table 2: cancers per 1,000 of 122,969 exams that a scenario finds at best.
LARSEN = {
    721 + 77: (6.5, 6.1, 7.0),
    729 + 100: (6.7, 6.3, 7.2),
    735 + 45: (6.3, 5.9, 6.8),
    653 + 33: (5.6, 5.2, 6.0),
    651 + 28: (5.5, 5.1, 6.0),
    205 - 100: (0.9, 0.7, 1.0),
}


def ends(interval: ClosedForm | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


@pytest.mark.parametrize("case", NEWCOMBE)
def test_published_intervals(case) -> None:
    by_score, by_tail = NEWCOMBE[case]
    assert ends(wilson(*case)) == pytest.approx(by_score, abs=1e-11)
    assert ends(exact(*case)) == pytest.approx(by_tail, abs=1e-11)


@pytest.mark.parametrize("found", LARSEN)
def test_the_intervals_of_larsen_2022(found) -> None:
    share, *interval = LARSEN[found]
    assert round(1000 * found / 122969, 1) == share
    assert [round(1000 * end, 1) for end in ends(wilson(found, 122969))] == interval


@given(counts)
def test_intervals_are_scipys(case) -> None:
    found, n = case
    theirs = binomtest(found, n)
    assert ends(wilson(found, n)) == pytest.approx(theirs.proportion_ci(method="wilson"), abs=1e-12)
    assert ends(exact(found, n)) == pytest.approx(theirs.proportion_ci(method="exact"), abs=1e-9)


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_upper_bound_is_scipys(case, confidence) -> None:
    theirs = binomtest(*case, alternative="less").proportion_ci(confidence, method="exact").high
    assert upper_bound(*case, confidence) == pytest.approx(theirs, abs=1e-9)


def test_none_missed_is_the_rule_of_three() -> None:
    assert upper_bound(0, 1000, 0.95) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-12)
    assert upper_bound(0, 1000, 0.95) == pytest.approx(3 / 1000, rel=0.01)


def test_nothing_none_and_all() -> None:
    assert wilson(0, 0) is None
    assert exact(0, 0) is None
    assert wilson_by_woman(np.array([], dtype=bool), np.array([])) is None
    assert upper_bound(0, 0, 0.95) == 1
    assert upper_bound(7, 7, 0.95) == 1
    assert ends(wilson(0, 7))[0] == ends(exact(0, 7))[0] == 0
    assert ends(wilson(7, 7))[1] == ends(exact(7, 7))[1] == 1
    assert {wilson(1, 2).name, exact(1, 2).name} == {WILSON, EXACT}


@given(rows)
def test_one_row_a_woman_is_wilson(found) -> None:
    hits = np.array([hit for hit, _ in found])
    assert wilson_by_woman(hits, np.arange(len(hits)).astype(str)) == wilson(
        int(hits.sum()), len(hits)
    )


@given(rows)
def test_rows_of_one_woman_never_tell_more_than_as_many_women(found) -> None:
    hits, women = (np.array(part) for part in zip(*found, strict=True))
    low, high = ends(wilson_by_woman(hits, women))
    alone = ends(wilson(int(hits.sum()), len(hits)))
    assert 0 <= low <= alone[0] + 1e-12
    assert 1 >= high >= alone[1] - 1e-12


@given(rows, st.integers(1, 4))
def test_copies_of_a_row_tell_nothing(found, copies) -> None:
    hits = np.array([hit for hit, _ in found])
    women = np.repeat(np.arange(len(hits)), copies)
    low, high = ends(wilson_by_woman(np.repeat(hits, copies), women))
    # All alike or not, n rows of n women: the effective number is n, less one in n for copies.
    few, many = (wilson_of(hits.mean(), n) for n in (max(len(hits) - 1, 1), len(hits)))
    assert few[0] - 1e-9 <= low <= many[0] + 1e-9
    assert many[1] - 1e-9 <= high <= few[1] + 1e-9


def wilson_of(share: float, n: float) -> tuple[float, float]:
    """The roots of the score equation, (share - p)² = z² p (1 - p) / n."""
    z = 1.959963984540054**2 / n
    low, high = sorted(np.roots([1 + z, -2 * share - z, share**2]).real)
    return float(low), float(high)


def test_two_breasts_that_go_together_count_half() -> None:
    hits = np.repeat(np.arange(1000) < 200, 2)
    interval = wilson_by_woman(hits, np.repeat(np.arange(1000), 2))
    assert interval is not None
    assert interval.name == WILSON_BY_WOMAN
    # Var by woman: 4 S 1000/999, singly: 2 S 2000/1999, S the sum of squares over women.
    told = 2000 / (2 * (1000 / 999) / (2000 / 1999))
    assert ends(interval) == pytest.approx(wilson_of(0.2, told), abs=1e-9)


def coverage(samples: int, seed: int) -> tuple[float, float]:
    """How often the interval by woman, and the plain one, hold a true share of 0.85."""
    generator = np.random.default_rng(seed)
    held = np.zeros(2)
    women = np.repeat(np.arange(120), 3)
    for _ in range(samples):
        hits = generator.uniform(size=360) < generator.beta(0.85, 0.15, 120)[women]
        for place, interval in enumerate((wilson_by_woman(hits, women), wilson(hits.sum(), 360))):
            low, high = ends(interval)
            held[place] += low <= 0.85 <= high
    return tuple(held / samples)


def test_three_alike_rows_a_woman_need_the_interval_by_woman() -> None:
    by_woman, plain = coverage(1000, seed=1)
    assert 0.93 <= by_woman <= 0.97
    assert plain <= 0.87


@pytest.mark.slow
def test_interval_by_woman_holds_the_truth_in_many_samples() -> None:
    assert 0.94 <= coverage(20000, seed=2)[0] <= 0.96
