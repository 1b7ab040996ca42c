"""AUC intervals against pROC, SAS's example data, plain loops over pairs, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.delong import LOGIT, NORMAL, DeLong, auc_difference, auc_interval, delong
from mim.evaluate.metrics import auc

# The 43 complete rows of DeLong 1988 (ovarian cancer with an obstructed bowel), as public in the
# SAS/STAT guide, PROC LOGISTIC, example 8: albumin, total protein, K-G score, benefit of surgery.
OVARIAN = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0
2.5 5.7  8 0   1.6 5.6  5 1   3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1
4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0   2.3 4.4  6 1   4.2 7.6  4 0
4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1
3.3 6.8  6 0   1.7 4.0  7 0   3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1
2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1   3.3 5.7  6 1   3.7 6.9  5 1
3.6 6.6  5 1
"""
# What pROC 1.18.0 (R 4.2.2) says of them: roc(direction = "<"), then ci.auc, cov and roc.test with
# method = "delong".
PROC_AUC = {0: 0.736559139785, 1: 0.647849462366, 2: 0.725806451613}
PROC_INTERVAL = {
    0: (0.554881559952, 0.918236719618),
    1: (0.451760209474, 0.843938715257),
    2: (0.524279801180, 0.927333102046),
}
PROC_COVARIANCE = [
    [0.00859224179008, 0.00774452927646, 0.00503705981073],
    [0.00774452927646, 0.0100094773612, 0.00481929729133],
    [0.00503705981073, 0.00481929729133, 0.0105722832732],
]
PROC_TEST = {  # z, p, and the interval of the difference
    (0, 2): (0.112778269045, 0.910206347201, -0.176117368735, 0.197622745079),
    (1, 2): (-0.745218389658, 0.456139707507, -0.282988015572, 0.127074037078),
    (0, 1): (1.59002925832, 0.111828210121, -0.0206391109204, 0.1980584657591),
}

rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), st.integers(0, 6)),
    min_size=2,
    max_size=30,
).filter(lambda found: len({cancer for _, _, cancer, _ in found}) == 2)


def split(found: list[tuple[int, int, bool, int]]) -> tuple[Floats, Bools, Floats]:
    one, other, cancer, woman = (np.array(part) for part in zip(*found, strict=True))
    return np.array([one, other]) / 5, cancer, woman


def ovarian() -> DeLong:
    albumin, protein, score, benefit = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    return delong(np.array([albumin, protein, -score]), benefit == 1, np.arange(43))


def by_pairs(scores: Floats, cancer: Bools, women: Floats) -> Floats:
    """Obuchowski's covariance by her sums over clusters and plain loops over pairs."""
    names = sorted(set(women))
    sick, healthy = np.flatnonzero(cancer), np.flatnonzero(~cancer)
    tens, ones = [], []
    for score in scores:
        wins = np.array(
            [[(score[i] > score[j]) + (score[i] == score[j]) / 2 for j in healthy] for i in sick]
        )
        placed, above, area = wins.mean(1), wins.mean(0), wins.mean()
        tens.append(
            [sum(placed[k] - area for k, i in enumerate(sick) if women[i] == w) for w in names]
        )
        ones.append(
            [sum(above[k] - area for k, j in enumerate(healthy) if women[j] == w) for w in names]
        )
    m, n = len(sick), len(healthy)
    m_women, n_women, all_women = len(set(women[cancer])), len(set(women[~cancer])), len(names)
    found = np.full((len(scores), len(scores)), np.nan)
    if min(m_women, n_women) < 2:
        return found
    for r, s in np.ndindex(found.shape):
        s10 = m_women / ((m_women - 1) * m) * np.dot(tens[r], tens[s])
        s01 = n_women / ((n_women - 1) * n) * np.dot(ones[r], ones[s])
        s11 = all_women / (all_women - 1) * (np.dot(tens[r], ones[s]) + np.dot(ones[r], tens[s]))
        found[r, s] = s10 / m + s01 / n + s11 / (m * n)
    return found


def test_aucs_covariance_interval_and_test_are_those_of_proc() -> None:
    found = ovarian()
    assert found.aucs == pytest.approx(list(PROC_AUC.values()), abs=1e-11)
    np.testing.assert_allclose(found.covariance, PROC_COVARIANCE, rtol=1e-10)
    for model, (low, high) in PROC_INTERVAL.items():
        half = norm.ppf(0.975) * np.sqrt(found.covariance[model, model])
        assert (found.aucs[model] - half, found.aucs[model] + half) == pytest.approx(
            (low, high), abs=1e-11
        )
    for (one, other), (z, p, low, high) in PROC_TEST.items():
        compared = auc_difference(found, one, other)
        assert compared.p_value == pytest.approx(p, abs=1e-10)
        assert compared.p_value == pytest.approx(2 * norm.sf(abs(z)), abs=1e-10)
        assert compared.closed is not None
        assert (compared.closed.low, compared.closed.high) == pytest.approx((low, high), abs=1e-11)
        assert compared.closed.name == NORMAL


def test_interval_is_symmetric_in_log_odds_with_the_error_by_the_delta_rule() -> None:
    found = ovarian()
    interval = auc_interval(found, 2)
    assert interval is not None
    assert interval.name == LOGIT
    low, middle, high = (np.log(a / (1 - a)) for a in (interval.low, PROC_AUC[2], interval.high))
    error = np.sqrt(PROC_COVARIANCE[2][2]) / (PROC_AUC[2] * (1 - PROC_AUC[2]))
    assert (high - middle, middle - low) == pytest.approx((1.959963985 * error,) * 2, rel=1e-8)


@given(rows)
@settings(max_examples=80, deadline=None)
def test_covariance_is_that_of_plain_loops_with_ties_and_clusters(found) -> None:
    scores, cancer, women = split(found)
    ours = delong(scores, cancer, women)
    np.testing.assert_allclose(ours.aucs, [auc(score, cancer) for score in scores], atol=1e-12)
    np.testing.assert_allclose(ours.covariance, by_pairs(scores, cancer, women), atol=1e-12)


@given(rows)
@settings(max_examples=50, deadline=None)
def test_with_one_row_a_woman_it_is_delong_by_numpys_covariance(found) -> None:
    scores, cancer, _ = split(found)
    if min(cancer.sum(), (~cancer).sum()) < 2:
        return
    wins = np.sign(scores[:, cancer, None] - scores[:, None, ~cancer]) / 2 + 0.5
    expected = np.cov(wins.mean(2)) / cancer.sum() + np.cov(wins.mean(1)) / (~cancer).sum()
    ours = delong(scores, cancer, np.arange(len(cancer)).astype(str))
    np.testing.assert_allclose(ours.covariance, expected, atol=1e-14)


@given(rows)
@settings(max_examples=50, deadline=None)
def test_intervals_hold_their_figure_and_their_bounds(found) -> None:
    ours = delong(*split(found))
    for model in range(2):
        interval = auc_interval(ours, model)
        if interval is not None:
            assert 0 <= interval.low <= ours.aucs[model] <= interval.high <= 1
    compared, mirrored = auc_difference(ours, 0, 1), auc_difference(ours, 1, 0)
    difference = ours.aucs[0] - ours.aucs[1]
    assert (compared.closed is None) == (mirrored.closed is None)
    if compared.closed is not None and mirrored.closed is not None:
        assert -1 <= compared.closed.low <= difference <= compared.closed.high <= 1
        assert compared.closed.low == pytest.approx(-mirrored.closed.high, abs=1e-12)
        assert compared.p_value == pytest.approx(mirrored.p_value, abs=1e-9)


def test_a_perfect_model_has_no_interval_rather_than_one_without_width() -> None:
    found = delong(np.array([[1.0, 2, 3, 4, 5]]), np.arange(5) > 2, np.arange(5))
    assert (found.aucs[0], found.covariance[0, 0]) == (1, 0)
    assert auc_interval(found) is None


def test_models_that_rank_alike_have_no_test() -> None:
    generator = np.random.default_rng(3)
    score, cancer = generator.uniform(size=60), generator.uniform(size=60) < 0.3
    found = delong(np.array([score, score**3]), cancer, np.arange(60) // 2)
    compared = auc_difference(found, 0, 1)
    assert found.aucs[0] == found.aucs[1]
    assert (compared.closed, compared.p_value) == (None, None)


def test_a_difference_that_does_not_vary_has_no_test() -> None:
    """One model places each cancer a fifth of the others higher; rounding leaves 1e-17 of variance."""
    even, odd = np.arange(2.0, 11, 2), np.arange(1.0, 10, 2)
    scores = np.array([[*even, *odd], [*odd, *even]])
    found = delong(scores, np.arange(10) < 5, np.arange(10))
    compared = auc_difference(found, 0, 1)
    assert found.aucs[0] - found.aucs[1] == pytest.approx(1 / 5)
    assert (compared.closed, compared.p_value) == (None, None)


@pytest.mark.parametrize("cancer", [[], [True, True], [False, False]])
def test_without_both_classes_all_is_missing(cancer) -> None:
    labels = np.array(cancer, dtype=bool)
    found = delong(np.zeros((2, len(labels))), labels, np.arange(len(labels)))
    assert np.isnan(found.aucs).all()
    assert np.isnan(found.covariance).all()
    assert auc_interval(found) is None
    assert auc_difference(found, 0, 1).p_value is None


def test_one_woman_has_an_auc_and_no_interval() -> None:
    found = delong(np.array([[0.2, 0.9]]), np.array([False, True]), np.array(["a", "a"]))
    assert found.aucs[0] == 1
    assert np.isnan(found.covariance[0, 0])
    assert auc_interval(found) is None


def test_a_missing_score_spoils_its_own_model_only() -> None:
    cancer = np.array([False, True, False, True, False])
    scores = np.array([[0.1, 0.5, 0.6, 0.9, 0.2], [0.1, np.nan, 0.6, 0.9, 0.2]])
    found = delong(scores, cancer, np.arange(5))
    assert auc_interval(found, 0) is not None
    assert np.isnan(found.aucs[1])
    assert auc_interval(found, 1) is None
    assert auc_difference(found, 0, 1).closed is None


def sample(
    generator, cancers: int, others: int, each: int, likeness: float
) -> tuple[Floats, Bools, Floats]:
    """Two models' normal scores; the rows of a woman share a part of them; true AUC 0.80."""
    women = np.repeat(np.arange(cancers + others), each)
    cancer = women < cancers
    shared = generator.normal(size=(2, cancers + others))[:, women] * np.sqrt(likeness)
    own = generator.normal(size=(2, len(women))) * np.sqrt(1 - likeness)
    both = generator.normal(size=len(women))
    noise = np.sqrt(0.5) * (shared + own) + np.sqrt(0.5) * both
    return noise + norm.ppf(0.8) * np.sqrt(2) * cancer, cancer, women


def coverage(
    samples: int, seed: int, cancers: int, each: int, by_woman: bool
) -> tuple[float, float]:
    """How often the interval of an AUC, and that of a difference, hold the truth."""
    generator = np.random.default_rng(seed)
    held = np.zeros(2)
    for _ in range(samples):
        scores, cancer, women = sample(generator, cancers, 3 * cancers, each, likeness=0.8)
        found = delong(scores, cancer, women if by_woman else np.arange(len(women)))
        alone, difference = auc_interval(found), auc_difference(found, 0, 1).closed
        assert alone is not None
        assert difference is not None
        held += alone.low <= 0.8 <= alone.high, difference.low <= 0 <= difference.high
    return tuple(held / samples)


def test_intervals_hold_the_truth_in_93_to_97_per_cent_with_100_cancers() -> None:
    for share in coverage(600, seed=1, cancers=100, each=1, by_woman=True):
        assert 0.93 <= share <= 0.97


def test_rows_of_one_woman_taken_as_independent_give_too_narrow_intervals() -> None:
    assert min(coverage(300, seed=2, cancers=100, each=4, by_woman=True)) >= 0.92
    assert max(coverage(300, seed=2, cancers=100, each=4, by_woman=False)) <= 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("cancers", "each"), [(100, 1), (100, 4), (400, 2)])
def test_intervals_hold_the_truth_in_many_samples(cancers, each) -> None:
    for share in coverage(5000, seed=4, cancers=cancers, each=each, by_woman=True):
        assert 0.935 <= share <= 0.965


@pytest.mark.slow
def test_a_womans_healthy_breast_is_like_her_sick_one() -> None:
    """The shared part cancels in the pair of one woman: without the cross term too wide."""
    generator = np.random.default_rng(5)
    held, widths = 0, []
    for _ in range(3000):
        women = np.repeat(np.arange(100), 2)
        cancer = np.arange(200) % 2 == 0
        score = generator.normal(size=100)[women] * 0.9 + generator.normal(size=200) * np.sqrt(0.19)
        found = delong((score + norm.ppf(0.8) * np.sqrt(2) * cancer)[None], cancer, women)
        alone = delong((score + norm.ppf(0.8) * np.sqrt(2) * cancer)[None], cancer, np.arange(200))
        interval = auc_interval(found)
        assert interval is not None
        held += interval.low <= 0.8 <= interval.high
        widths.append(found.covariance[0, 0] / alone.covariance[0, 0])
    assert 0.935 <= held / 3000 <= 0.965
    assert np.median(widths) < 0.6
