"""Weighted kappa against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from mim.evaluate.agreement import Weighting, kappa


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1))
@settings(max_examples=50)
def test_kappa_is_scikit_learns_and_a_weight_is_that_many_copies(found) -> None:
    one, other, times = (np.array(part) for part in zip(*found, strict=True))
    for way in Weighting:
        copies = np.repeat(one, times), np.repeat(other, times)
        ours = kappa(one, other, 4, way)(times.astype(float))[0]
        if not times.any() or len(np.unique(np.concatenate(copies))) == 1:
            assert np.isnan(ours)
            continue
        theirs = cohen_kappa_score(*copies, labels=range(4), weights=way.value)
        assert ours == pytest.approx(theirs, abs=1e-12)
