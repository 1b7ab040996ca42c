"""AUC and ROC curve against scikit-learn, pair counts and plain copies of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.metrics import auc, auc_statistic, roc_curve

rows = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda found: len({cancer for _, cancer, _ in found}) == 2)


def split(found: list[tuple[int, bool, int]]) -> tuple[Floats, Bools, Floats]:
    score, cancer, weight = zip(*found, strict=True)
    return np.array(score) / 40, np.array(cancer), np.array(weight, dtype=float)


@given(rows)
def test_auc_counts_pairs_with_half_for_ties(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, _ = split(found)
    pairs = [(s > h) + 0.5 * (s == h) for s in score[cancer] for h in score[~cancer]]
    assert auc(score, cancer) == pytest.approx(float(np.mean(pairs)), abs=1e-12)
    assert auc(score, cancer) == pytest.approx(float(roc_auc_score(cancer, score)), abs=1e-12)


@given(rows)
def test_a_weight_counts_as_so_many_copies_of_the_row(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, weight = split(found)
    copies = np.repeat(np.arange(len(score)), weight.astype(int))
    value = auc_statistic(score, cancer)(weight)[0]
    if len(set(cancer[copies])) < 2:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(roc_auc_score(cancer[copies], score[copies]), abs=1e-12)


@given(rows)
def test_roc_curve_is_that_of_scikit_learn(found: list[tuple[int, bool, int]]) -> None:
    score, cancer, _ = split(found)
    false_positive, true_positive = roc_curve(score, cancer)
    theirs = sklearn_roc_curve(cancer, score, drop_intermediate=False)
    np.testing.assert_allclose(false_positive, theirs[0])
    np.testing.assert_allclose(true_positive, theirs[1])


def test_auc_of_one_class_is_missing() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([False, False])))
