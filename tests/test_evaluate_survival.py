"""Survival figures against scikit-survival and closed forms."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sksurv.metrics import concordance_index_ipcw
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from mim.evaluate.bootstrap import Floats, bootstrap_by_woman
from mim.evaluate.risk import risks
from mim.evaluate.survival import (
    Followed,
    concordance,
    expected_and_observed,
    expected_over_observed,
    kaplan_meier,
    running_sums,
    together,
)
from mim.schemas.scores import RISK_SCORES

rows = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 6), st.integers(0, 3)),
    min_size=2,
    max_size=40,
)


def split(found: list[tuple[int, bool, int, int]]) -> tuple[Followed, Floats, Floats]:
    end, cancer, risk, weight = (np.array(part) for part in zip(*found, strict=True))
    return Followed(end / 2, cancer), risk / 10, weight.astype(float)


def ones(followed: Followed) -> Floats:
    return np.ones(len(followed.end))


@given(rows, st.integers(2, 14))
@settings(max_examples=60)
def test_concordance_is_scikit_survivals_with_ties_censoring_and_truncation(found, until) -> None:
    followed, risk, _ = split(found)
    ours = concordance(risk, followed, until / 2)(ones(followed))[0]
    truth = Surv.from_arrays(followed.cancer, followed.end)
    try:
        theirs = concordance_index_ipcw(truth, truth, risk, tau=until / 2)[0]
    except ValueError:  # no cancer, no pair, or nobody left uncensored at a cancer
        return
    assert ours == pytest.approx(theirs, abs=1e-10, nan_ok=True)


def test_concordance_is_scikit_survivals_on_many_rows() -> None:
    generator = np.random.default_rng(8)
    hazard = np.exp(generator.normal(-2, 1, 1500))
    years, censored = generator.exponential(1 / hazard), generator.uniform(0, 9, 1500)
    followed = Followed(np.minimum(years, censored), years < censored)
    truth = Surv.from_arrays(followed.cancer, followed.end)
    for until in (3.0, 6.0, None):
        ours = concordance(hazard, followed, until or np.inf)(ones(followed))[0]
        assert ours == pytest.approx(
            concordance_index_ipcw(truth, truth, hazard, tau=until)[0], abs=1e-10
        )


@given(rows)
@settings(max_examples=40)
def test_a_weight_is_that_many_copies_of_the_row(found) -> None:
    followed, risk, weight = split(found)
    times = np.repeat(np.arange(len(weight)), weight.astype(int))
    copies = Followed(followed.end[times], followed.cancer[times])
    both = np.column_stack([risk / 2, risk])
    for make, take in (
        (lambda f, r: concordance(r[:, 1], f), 1),
        (lambda f, r: kaplan_meier(f, np.array([1.0, 3.5])), 2),
        (lambda f, r: expected_over_observed(r, f), 2),
    ):
        weighted = make(followed, both)(weight)
        assert len(weighted) == take
        np.testing.assert_allclose(weighted, make(copies, both[times])(ones(copies)), rtol=1e-9)


@given(rows)
@settings(max_examples=40)
def test_kaplan_meier_is_scikit_survivals(found) -> None:
    followed, _, _ = split(found)
    times, free = kaplan_meier_estimator(followed.cancer, followed.end)
    # Just after each time: a cancer at a time is none before it.
    ours = kaplan_meier(followed, times[:-1] + 0.25)(ones(followed))
    np.testing.assert_allclose(ours, 1 - free[:-1], atol=1e-12)


def test_shares_are_unknown_beyond_the_longest_follow_up() -> None:
    followed = Followed(np.array([0.5, 1.5, 2.5]), np.array([False, True, False]))
    found = kaplan_meier(followed, np.array([1.0, 2.0, 3.0]))(np.ones(3))
    np.testing.assert_allclose(found, [0.0, 0.5, np.nan])


def test_expected_over_observed_has_the_closed_form_without_censoring() -> None:
    followed = Followed(np.array([0.4, 1.2, 2.0, 2.0]), np.array([True, True, False, False]))
    risk = np.array([[0.5, 0.5], [0.1, 0.7], [0.2, 0.2], [0.0, 0.2]])
    found = expected_over_observed(risk, followed)(np.ones(4))
    np.testing.assert_allclose(found, [0.2 / 0.25, 0.4 / 0.5])


def test_risks_of_the_truth_are_calibrated_under_censoring() -> None:
    generator = np.random.default_rng(3)
    hazard = generator.choice([0.02, 0.1, 0.3], 20_000)
    years, censored = generator.exponential(1 / hazard), generator.uniform(0, 6, 20_000)
    followed = Followed(np.minimum(years, censored), years < censored)
    risk = 1 - np.exp(-np.outer(hazard, np.arange(1, 5)))
    found = expected_over_observed(risk, followed)(ones(followed))
    np.testing.assert_allclose(found, 1, atol=0.04)


def test_no_cancer_gives_no_figure_and_one_gives_its_pairs() -> None:
    followed = Followed(np.array([1.0, 2.0, 3.0]), np.array([False, False, False]))
    assert np.isnan(concordance(np.array([0.1, 0.2, 0.3]), followed)(np.ones(3)))
    assert np.isnan(expected_over_observed(np.full((3, 2), 0.1), followed)(np.ones(3))).all()
    one = Followed(followed.end, np.array([False, True, False]))
    assert concordance(np.array([0.9, 0.2, 0.1]), one)(np.ones(3)) == [1.0]


def pairs_by_hand(risk: Floats, followed: Followed, weigh: Floats) -> float:
    """Share of pairs in which the row with the earlier cancer has the higher risk, all pairs made."""
    sick = np.flatnonzero(followed.cancer)
    longer = followed.end > followed.end[sick, None]
    higher = (risk < risk[sick, None]) * longer
    return float(weigh[sick] @ higher.sum(axis=1) / (weigh[sick] @ longer.sum(axis=1)))


def test_weights_of_censoring_find_the_truth_that_weights_of_events_miss() -> None:
    """Cancers of the first year show in the marker, later ones hardly; follow-up ends all along.

    So early pairs, of which censoring takes few, say more than the truth. Mirai's and Sybil's
    public code estimates G with the cancers for events, which is little better than no weights.
    """
    generator, last = np.random.default_rng(2), 5.0
    found = []
    for _ in range(20):
        marker = generator.normal(size=3000)
        early = generator.exponential(50 * np.exp(-1.5 * marker))
        late = generator.exponential(60 * np.exp(-0.1 * marker))
        years = np.where(early < 1, early, 1 + late)
        censored = generator.uniform(0, 6, 3000)
        whole = Followed(np.minimum(years, last), years < last)
        seen = Followed(np.minimum(whole.end, censored), (years < last) & (years < censored))
        times, free = kaplan_meier_estimator(seen.cancer, seen.end)
        of_events = free[np.searchsorted(times, seen.end)]
        found.append(
            (
                pairs_by_hand(marker, whole, np.ones(3000)),
                concordance(marker, seen)(np.ones(3000))[0],
                pairs_by_hand(marker, seen, 1 / of_events**2),
                pairs_by_hand(marker, seen, np.ones(3000)),
            )
        )
    truth, ours, by_events, unweighted = np.mean(found, axis=0)
    assert ours == pytest.approx(truth, abs=0.01)
    assert by_events - truth > 0.04
    assert by_events - truth > 0.8 * (unweighted - truth), "it corrects hardly anything"


def coverage(simulations: int, resamples: int) -> tuple[float, float]:
    """How often intervals hold the true C-index and the true ratio, at about 100 cancers.

    Two breasts a woman, alike in their hazard; the risks told are true, so the ratio is 1.
    """
    generator, women, last = np.random.default_rng(11), 500, 4

    def drawn(women: int) -> tuple[Floats, Floats]:
        shared = np.repeat(generator.normal(size=women), 2)
        hazard = 0.02 * np.exp(shared + 0.5 * generator.normal(size=2 * women))
        return hazard, generator.exponential(1 / hazard)

    hazard, years = drawn(10_000)
    truth = pairs_by_hand(hazard, Followed(np.minimum(years, last), years < last), np.ones(20_000))
    held = np.zeros(2)
    for simulation in range(simulations):
        hazard, years = drawn(women)
        censored = np.minimum(generator.uniform(1, 8, 2 * women), last)
        followed = Followed(np.minimum(years, censored), years < censored)
        risk = 1 - np.exp(-np.outer(hazard, [float(last)]))
        statistic = together(
            concordance(hazard, followed),
            expected_and_observed(risk, followed, np.array([float(last)])),
        )
        found = bootstrap_by_woman(
            statistic,
            np.repeat(np.arange(women), 2),
            [followed.cancer] * 4,
            resamples=resamples,
            seed=simulation,
        )
        for place, (estimate, value) in enumerate(((found[0], truth), (found[3], 1.0))):
            assert estimate.low is not None
            assert estimate.high is not None
            held[place] += estimate.low < value < estimate.high
    return held[0] / simulations, held[1] / simulations


def test_intervals_hold_the_truth_in_a_few_simulations() -> None:
    assert min(coverage(40, 60)) >= 0.85


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    of_concordance, of_ratio = coverage(2000, 400)
    assert 0.93 <= of_concordance <= 0.97
    assert 0.93 <= of_ratio <= 0.97


def test_sums_are_those_of_the_first_rows() -> None:
    order, weights = np.array([3, 0, 2, 1]), np.array([1.0, 10.0, 100.0, 1000.0])
    sums, (some, others) = running_sums(order, np.array([4, 1, 1]), np.array([0, 2]))
    assert sums(weights)[some].tolist() == [1111, 1000, 1000]
    assert sums(weights)[others].tolist() == [0, 1001]
    nothing, (none,) = running_sums(order, np.array([0]))
    assert nothing(weights)[none].tolist() == [0]


def table(*breasts: tuple[str, str, list[float] | None, float | None, float | None]) -> pa.Table:
    names = ("exam", "breast", "risk", "years_to_cancer", "years_followed")
    other = {"woman": "w", "maker": "ge", "split": "test", "priors": 0}
    return RISK_SCORES.from_rows([dict(zip(names, row, strict=True)) | other for row in breasts])


def test_a_cancer_after_the_last_year_is_a_breast_followed_through() -> None:
    breasts, _ = risks(
        table(
            ("e", "L", [0.1, 0.2], 2.0, 2.0),
            ("e", "R", [0.1, 0.3], 1.9, 5.0),
            ("f", "L", [0.1, 0.4], None, 1.5),
            ("f", "R", None, 1.0, 1.0),
            ("g", "L", [0.1, 0.5], None, None),
        )
    )
    assert breasts.followed.end.tolist() == [2.0, 1.9, 1.5]
    assert breasts.followed.cancer.tolist() == [False, True, False]
    assert breasts.last.tolist() == [0.2, 0.3, 0.4]


def test_an_exams_risk_and_end_are_those_of_either_breast() -> None:
    _, exams = risks(
        table(
            ("e", "L", [0.1, 0.2], None, 2.0),
            ("e", "R", [0.5, 0.5], 0.5, 2.0),
            ("f", "R", [0.1, 0.4], None, 1.5),
            ("g", "L", [0.1, 0.5], None, None),
            ("g", "R", [0.1, 0.5], None, 2.0),
            ("h", "L", [0.0, 0.0], None, 1.0),
            ("h", "R", [0.0, 0.0], 1.2, 1.2),
        )
    )
    np.testing.assert_allclose(exams.risk, [[0.6, 0.7], [0.1, 0.4], [0, 0]])
    assert exams.followed.end.tolist() == [0.5, 1.5, 1.0]
    assert exams.followed.cancer.tolist() == [True, False, False]
