"""Intervals and chances against published values, SciPy and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.audit.chances import auc_interval, binomial_chance, hypergeometric_chance, wilson

stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


@pytest.mark.parametrize(
    ("cases", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_intervals_newcombe_published(
    cases: int, n: int, low: float, high: float
) -> None:
    """Newcombe 1998, Stat Med 17:857, table I, method 3."""
    assert wilson(cases, n) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=40)
@given(st.integers(1, 5000), st.data())
def test_wilson_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    cases = data.draw(st.integers(0, n))
    reference = stats.binomtest(cases, n).proportion_ci(method="wilson")
    assert wilson(cases, n) == pytest.approx((reference.low, reference.high), abs=1e-9)


@settings(max_examples=40)
@given(st.integers(1, 400), st.floats(0.01, 0.99), st.data())
def test_a_binomial_chance_is_twice_the_smaller_tail(
    n: int, share: float, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, n))
    tails = stats.binom.cdf(count, n, share), stats.binom.sf(count - 1, n, share)
    assert binomial_chance(count, n, share) == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_a_chance_of_groups_is_fishers(ours: int, theirs: int, data: st.DataObject) -> None:
    cases, other_cases = (data.draw(st.integers(0, n)) for n in (ours, theirs))
    table = [[cases, ours - cases], [other_cases, theirs - other_cases]]
    tails = [stats.fisher_exact(table, side).pvalue for side in ("less", "greater")]
    found = hypergeometric_chance(cases, ours, cases + other_cases, ours + theirs)
    assert found == pytest.approx(min(1, 2 * min(tails)), rel=1e-6, abs=1e-12)


def test_chances_of_a_whole_programme_are_exact_too() -> None:
    found = hypergeometric_chance(700, 100_000, 8_000, 1_300_000)
    tail = stats.hypergeom.sf(699, 1_300_000, 8_000, 100_000)
    assert found == pytest.approx(2 * tail, rel=1e-4)


def test_the_ends_of_an_interval_are_where_the_auc_is_just_not_refuted() -> None:
    """With the standard error that Hanley and McNeil 1982 give, in Newcombe's form, at each end."""
    auc, cases, others = 0.8926, 51, 58
    for end in auc_interval(auc, cases, others):
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        ties = (cases + others) / 2 - 1
        variance = (end * (1 - end) + ties * (q1 - end**2) + ties * (q2 - end**2)) / (
            cases * others
        )
        assert abs(auc - end) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)


def test_an_auc_of_one_has_an_interval_too() -> None:
    low, high = auc_interval(1.0, 20, 200)
    assert 0.8 < low < 0.99
    assert high == 1
    assert auc_interval(0.0, 20, 200) == pytest.approx((1 - high, 1 - low))


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "others"), [(10, 200), (40, 400)])
@pytest.mark.parametrize("shift", [0.0, 1.2])
def test_intervals_of_an_auc_hold_the_truth_as_often_as_they_say(
    cases: int, others: int, shift: float
) -> None:
    """Scores of few values, as a maker's or a site's are; 2,000 draws."""
    from mim.evaluate.metrics import auc

    generator = np.random.default_rng(5)
    sick = np.arange(cases + others) < cases

    def scores() -> np.ndarray:
        return np.round(generator.normal(size=cases + others) + shift * sick)

    truth = np.mean([auc(scores(), sick) for _ in range(4000)])
    held = [
        low <= truth <= high
        for low, high in (auc_interval(auc(scores(), sick), cases, others) for _ in range(2000))
    ]
    assert 0.93 < np.mean(held) < 0.99
