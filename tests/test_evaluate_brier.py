"""Brier scores against scikit-survival, scikit-learn and a truth that is planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sksurv.metrics import brier_score, integrated_brier_score
from sksurv.util import Surv

from mim.evaluate.bootstrap import Floats
from mim.evaluate.brier import brier
from mim.evaluate.survival import Followed, kaplan_meier

YEARS = 4
level = st.integers(0, 10)
rows = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 3), level, level, level, level),
    min_size=2,
    max_size=40,
)


def split(found: list[tuple[int, ...]]) -> tuple[Followed, Floats, Floats]:
    """Rows whose risks and ends have many ties; ends lie half a year apart."""
    table = np.array(found)
    return (
        Followed(table[:, 0] / 2, table[:, 1] == 1),
        table[:, 3:] / 10,
        table[:, 2].astype(float),
    )


@given(rows)
@settings(max_examples=60)
def test_it_is_scikit_survivals_with_ties_and_censoring(found) -> None:
    followed, risk, _ = split(found)
    ours = brier(risk, followed, 0)(np.ones(len(risk)))
    truth = Surv.from_arrays(followed.cancer, followed.end)
    shares = kaplan_meier(followed, np.arange(1.0, YEARS + 1))(np.ones(len(risk)))
    for year in range(1, YEARS + 1):
        # Just before the year: scikit-survival counts a cancer at its time as one within it.
        time, free = [year - 0.25], np.full(len(risk), 1 - shares[year - 1])
        try:
            theirs = brier_score(truth, truth, 1 - risk[:, year - 1], time)[1][0]
            null = brier_score(truth, truth, free, time)[1][0]
        except ValueError:  # no row beyond the year or before it
            continue
        assert ours[year - 1] == pytest.approx(theirs, abs=1e-10)
        scaled = 1 - theirs / null if null > 1e-12 else np.nan
        assert ours[YEARS + year - 1] == pytest.approx(scaled, abs=1e-10, nan_ok=True)


def many(rows: int = 3000) -> tuple[Followed, Floats, Floats]:
    """Risks that are true, times to cancer, and what of them is seen."""
    generator = np.random.default_rng(8)
    hazard = np.exp(generator.normal(-2, 1, rows))
    years, censored = generator.exponential(1 / hazard), generator.uniform(0, 9, rows)
    risk = 1 - np.exp(-np.outer(hazard, np.arange(1, YEARS + 1)))
    return Followed(np.minimum(years, censored), years < censored), risk, years


def test_scores_and_their_integral_are_scikit_survivals_on_many_rows() -> None:
    followed, risk, _ = many()
    truth, times = Surv.from_arrays(followed.cancer, followed.end), np.arange(1.0, YEARS + 1)
    ours = brier(risk, followed, YEARS)(np.ones(len(risk)))
    assert ours[:YEARS] == pytest.approx(brier_score(truth, truth, 1 - risk, times)[1], abs=1e-10)
    whole = integrated_brier_score(truth, truth, 1 - risk, times)
    assert ours[-1] == pytest.approx(whole, abs=1e-10)
    part = integrated_brier_score(truth, truth, 1 - risk[:, :2], times[:2])
    assert brier(risk, followed, 2)(np.ones(len(risk)))[-1] == pytest.approx(part, abs=1e-10)
    assert len(brier(risk, followed, 1)(np.ones(len(risk)))) == 2 * YEARS, (
        "one year has no integral"
    )


@given(rows)
@settings(max_examples=40)
def test_a_weight_is_that_many_copies_of_the_row(found) -> None:
    followed, risk, weight = split(found)
    times = np.repeat(np.arange(len(weight)), weight.astype(int))
    copies = Followed(followed.end[times], followed.cancer[times])
    np.testing.assert_allclose(
        brier(risk, followed, YEARS)(weight),
        brier(risk[times], copies, YEARS)(np.ones(len(times))),
        rtol=1e-9,
        atol=1e-12,
    )


def test_censoring_does_not_move_it() -> None:
    followed, risk, years = many(40_000)
    ours = brier(risk, followed, YEARS)(np.ones(len(risk)))
    for year in range(1, YEARS + 1):
        came, foretold = years < year, risk[:, year - 1]
        whole = brier_score_loss(came, foretold)
        assert ours[year - 1] == pytest.approx(whole, abs=0.004)
        scaled = 1 - whole / (came.mean() * (1 - came.mean()))
        assert ours[YEARS + year - 1] == pytest.approx(scaled, abs=0.015)


def test_the_share_alone_scales_to_0_and_the_outcome_to_1() -> None:
    end = np.array([0.5, 1.5, 1.2, 2.0, 2.0, 2.0])
    followed = Followed(end, np.array([True, True, False, False, False, False]))
    shares = kaplan_meier(followed, np.array([1.0, 2.0]))(np.ones(6))
    told = np.tile(shares, (6, 1))
    assert brier(told, followed, 0)(np.ones(6))[2:] == pytest.approx(0, abs=1e-12)
    outcome = (followed.cancer[:, None] & (end[:, None] < [1.0, 2.0])).astype(float)
    assert brier(outcome, followed, 0)(np.ones(6)).tolist() == [0, 0, 1, 1]


def test_no_cancer_has_no_scale_and_short_follow_up_no_score() -> None:
    followed = Followed(np.array([1.5, 2.5]), np.array([False, True]))
    found = brier(np.full((2, 4), 0.5), followed, 4)(np.ones(2))
    np.testing.assert_allclose(found[:4], 0.25)
    np.testing.assert_array_equal(np.isnan(found[4:]), [True, True, True, True, False])
    censored = Followed(np.array([1.5, 2.5]), np.array([True, False]))
    found = brier(np.full((2, 4), 0.5), censored, 4)(np.ones(2))
    np.testing.assert_array_equal(np.isnan(found), [0, 0, 1, 1, 1, 0, 1, 1, 1])
