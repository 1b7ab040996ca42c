"""The AUC within some years against scikit-survival, a plain AUC, and a truth that is planted."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sksurv.metrics import cumulative_dynamic_auc
from sksurv.util import Surv

from mim.evaluate.bootstrap import Floats
from mim.evaluate.survival import Followed
from mim.evaluate.time_auc import auc_within

YEARS = 4
level = st.integers(0, 5)
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


def theirs(risk: Floats, followed: Followed, year: int) -> float:
    """Scikit-survival's, just before the year: it counts a cancer at its time as one within it."""
    truth = Surv.from_arrays(followed.cancer, followed.end)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cumulative_dynamic_auc(truth, truth, risk[:, year - 1], [year - 0.25])[0][0])


@given(rows)
@settings(max_examples=60)
def test_it_is_scikit_survivals_with_ties_and_censoring(found) -> None:
    followed, risk, _ = split(found)
    ours = auc_within(risk, followed)(np.ones(len(risk)))
    for year in range(1, YEARS + 1):
        try:
            expected = theirs(risk, followed, year)
        except ValueError:  # no row beyond the year or before it, or nobody left at a cancer
            continue
        assert ours[year - 1] == pytest.approx(expected, abs=1e-10, nan_ok=True)


def test_it_is_scikit_survivals_on_many_rows() -> None:
    generator = np.random.default_rng(8)
    hazard = np.exp(generator.normal(-2, 1, 1500))
    years = np.ceil(generator.exponential(1 / hazard) * 20) / 20 + 0.01
    censored = np.ceil(generator.uniform(0, 9, 1500) * 20) / 20 + 0.01
    followed = Followed(np.minimum(years, censored), years <= censored)
    risk = np.outer(hazard, np.arange(1, YEARS + 1)) * generator.lognormal(0, 1, (1500, YEARS))
    risk = np.round(risk / (1 + risk), 2)
    truth = Surv.from_arrays(followed.cancer, followed.end)
    ours = auc_within(risk, followed)(np.ones(1500))
    times = np.arange(1.0, YEARS + 1)
    assert ours == pytest.approx(cumulative_dynamic_auc(truth, truth, risk, times)[0], abs=1e-10)


@given(rows)
@settings(max_examples=40)
def test_a_weight_is_that_many_copies_of_the_row(found) -> None:
    followed, risk, weight = split(found)
    times = np.repeat(np.arange(len(weight)), weight.astype(int))
    copies = Followed(followed.end[times], followed.cancer[times])
    np.testing.assert_allclose(
        auc_within(risk, followed)(weight),
        auc_within(risk[times], copies)(np.ones(len(times))),
        rtol=1e-9,
    )


def test_without_censoring_it_is_the_auc() -> None:
    generator = np.random.default_rng(1)
    end, risk = generator.uniform(0, 5, 300), np.round(generator.random((300, YEARS)), 1)
    ours = auc_within(risk, Followed(end, np.full(300, True)))(np.ones(300))
    for year in range(1, YEARS + 1):
        assert ours[year - 1] == pytest.approx(roc_auc_score(end < year, risk[:, year - 1]))


def test_censoring_does_not_move_it() -> None:
    """Early cancers are easy to foretell and late ones are not: leaving rows out would mislead."""
    generator = np.random.default_rng(5)
    marker = generator.normal(size=40_000)
    early, late = (
        generator.exponential(30 * np.exp(-1.5 * marker)),
        generator.exponential(20, 40_000),
    )
    years = np.where(early < 1, early, 1 + late)
    censored = generator.uniform(0, 3.2, 40_000)
    followed = Followed(np.minimum(years, censored), years < censored)
    risk = np.column_stack([marker] * 3)
    weighed = auc_within(risk, followed)(np.ones(40_000))[2]
    truth = roc_auc_score(years < 3, marker)
    known = followed.cancer & (followed.end < 3) | (followed.end >= 3)
    assert weighed == pytest.approx(truth, abs=0.015)
    assert (
        roc_auc_score(followed.cancer[known] & (followed.end[known] < 3), marker[known])
        > truth + 0.03
    )


def test_a_year_without_cancers_or_without_anyone_free_of_it_has_none() -> None:
    followed = Followed(np.array([1.5, 2.5, 2.7]), np.array([True, False, True]))
    found = auc_within(np.full((3, 4), 0.1), followed)(np.ones(3))
    np.testing.assert_array_equal(found, [np.nan, 0.5, np.nan, np.nan])
