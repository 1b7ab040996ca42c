"""Corrected p-values against published examples, R's p.adjust and their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.evaluate.bootstrap import Floats
from mim.evaluate.multiplicity import holm

# The example of Benjamini and Hochberg 1995 (trial of thrombolysis by Neuhaus 1992): they find 3
# differences by Bonferroni's rule.
FEW = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
NEUHAUS = np.array([*FEW, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])
# p.adjust of R 4.2.2 says of them:
BY_HOLM = [0.0015, 0.0056, 0.0247, 0.1140, 0.2211, 0.2780, 0.2780, 0.2780, 0.3213] + [1.0] * 6

p_values = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=25).map(np.array)


def test_published_example() -> None:
    assert (holm(NEUHAUS) <= 0.05).sum() == (15 * NEUHAUS <= 0.05).sum() == 3
    assert holm(NEUHAUS) == pytest.approx(BY_HOLM, abs=1e-12)


def test_missing_p_values_stay_missing_and_count_as_no_test() -> None:
    found = np.array([0.01, 0.02, np.nan, 0.03, 0.005, 0.2])  # and p.adjust of R 4.2.2:
    assert holm(found) == pytest.approx([0.04, 0.06, np.nan, 0.06, 0.025, 0.2], nan_ok=True)


def test_nothing_to_correct() -> None:
    assert holm(np.array([])).shape == (0,)
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()
    assert holm(np.array([0.04])) == pytest.approx([0.04])


@given(p_values)
def test_never_smaller_never_above_one_and_in_the_same_order(found: Floats) -> None:
    adjusted = holm(found)
    known = ~np.isnan(found)
    np.testing.assert_array_equal(np.isnan(adjusted), ~known)
    assert (adjusted[known] >= found[known] * (1 - 1e-15)).all()
    assert (adjusted[known] <= 1).all()
    assert (np.diff(adjusted[known][np.argsort(found[known], kind="stable")]) >= 0).all()


@given(p_values.filter(lambda found: len(found) > 0))
def test_at_most_bonferronis(found: Floats) -> None:
    known = ~np.isnan(found)
    bonferroni = np.minimum(found[known] * known.sum(), 1)
    assert (holm(found)[known] <= bonferroni * (1 + 1e-12)).all()


@given(p_values, st.floats(0.001, 0.5))
def test_holm_rejects_as_his_steps_do(found: Floats, level: float) -> None:
    known = np.sort(found[~np.isnan(found)])
    rejected = 0
    while rejected < len(known) and known[rejected] * (len(known) - rejected) <= level:
        rejected += 1
    assert (holm(found) <= level).sum() == rejected
