"""Paired calls against published examples, statsmodels, plain likelihood and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.paired import (
    TANGO,
    Pairs,
    difference_interval,
    equal_specificity,
    mcnemar,
    non_inferiority,
    paired_sensitivity,
    paired_specificity,
)

# Tango's 95 % intervals, from the tests of the R packages ratesci and contingencytables.
PUBLISHED = {
    Pairs(4, 9, 3, 16): (-0.027, 0.390),  # Tango 1998
    Pairs(53, 16, 8, 9): (-0.020, 0.207),  # Agresti and Min 2005
    Pairs(1, 1, 7, 12): (-0.517, -0.026),  # Fagerland 2014, airways (Bentur 2009)
    Pairs(59, 6, 16, 80): (-0.1240, -0.0054),  # Fagerland 2014, myeloma (Cavo 2012)
}
MYELOMA = Pairs(59, 6, 16, 80)

pairs = st.tuples(*[st.integers(0, 60)] * 4).map(lambda four: Pairs(*four)).filter(lambda p: p.n)
rows = st.lists(
    st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), min_size=1, max_size=40
)


def split(found: list[tuple[int, bool, bool]]) -> tuple[Floats, Bools, Bools]:
    score, cancer, positive = zip(*found, strict=True)
    return np.array(score) / 12, np.array(cancer), np.array(positive)


def ends(found: Pairs) -> tuple[float, float]:
    interval = difference_interval(found)
    assert interval is not None
    assert interval.name == TANGO
    return interval.low, interval.high


def likeliest_z(found: Pairs, difference: float) -> float:
    """The score statistic with the shares under a difference by search, not by Tango's formula."""

    def against(behind: float) -> float:
        ahead, alike = behind + difference, 1 - 2 * behind - difference
        terms = ((found.only_one, ahead), (found.only_other, behind))
        terms += ((found.both + found.neither, alike),)
        return -sum(count * np.log(max(share, 1e-300)) for count, share in terms if count)

    bounds = max(0.0, -difference), (1 - difference) / 2
    behind = minimize_scalar(against, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * behind + difference - difference**2) * found.n
    return (found.only_one - found.only_other - found.n * difference) / np.sqrt(variance)


@pytest.mark.parametrize("found", PUBLISHED)
def test_published_intervals(found) -> None:
    low, high = PUBLISHED[found]
    digits = 4 if found == MYELOMA else 3
    assert tuple(round(end, digits) for end in ends(found)) == (low, high)


def test_non_inferiority_agrees_with_published_90_per_cent_intervals() -> None:
    """A margin at the lower end of a 90 % interval has p = 0.05."""
    lenses = Pairs(43, 0, 1, 0)  # Tango 1998: -0.096 to 0.037
    for found, low in ((lenses, 0.096), (Pairs(43, 1, 0, 0), 0.037)):
        assert non_inferiority(found, low - 0.0005) > 0.05
        assert non_inferiority(found, low + 0.0005) < 0.05
    # PropCIs' scoreci.mp(25, 28, 618, 0.90): -0.0148 to 0.0247.
    for found, low in ((Pairs(500, 28, 25, 65), 0.0148), (Pairs(500, 25, 28, 65), 0.0247)):
        assert non_inferiority(found, low - 0.00005) > 0.05
        assert non_inferiority(found, low + 0.00005) < 0.05


def test_mcnemar_is_that_of_statsmodels_and_r() -> None:
    # statsmodels 0.15.0: mcnemar([[59, 6], [16, 80]], exact=True); contingencytables has 0.052479.
    assert mcnemar(MYELOMA) == pytest.approx(0.052478790283203125, rel=1e-10)
    # R 4.2.2: mcnemar.test(matrix(c(794, 86, 150, 570), 2), correct = FALSE), Agresti's ratings.
    many = mcnemar(Pairs(794, 150, 86, 570))
    assert many == pytest.approx(3.09929344105e-05, rel=1e-10)


def test_exact_below_25_discordant_rows() -> None:
    exact = 2 * binom.cdf(4, 24, 0.5)
    assert mcnemar(Pairs(0, 20, 4, 0)) == pytest.approx(exact, rel=1e-10)
    by_normal = 2 * norm.sf(15 / 5)
    assert mcnemar(Pairs(0, 20, 5, 0)) == pytest.approx(by_normal, rel=1e-10)
    assert mcnemar(Pairs(9, 0, 0, 2)) == 1


@given(pairs)
@settings(max_examples=60)
def test_the_score_at_each_end_is_that_of_the_likeliest_shares(found) -> None:
    low, high = ends(found)
    assert -1 <= low <= found.difference <= high <= 1
    if -0.999 < low < found.difference - 1e-6:
        assert likeliest_z(found, low) == pytest.approx(norm.ppf(0.975), abs=1e-3)
    if found.difference + 1e-6 < high < 0.999:
        assert likeliest_z(found, high) == pytest.approx(norm.ppf(0.025), abs=1e-3)


@given(pairs)
def test_the_other_way_round_is_the_mirror(found) -> None:
    low, high = ends(found)
    other = Pairs(found.both, found.only_other, found.only_one, found.neither)
    assert ends(other) == pytest.approx((-high, -low), abs=1e-10)
    assert mcnemar(other) == pytest.approx(mcnemar(found), abs=1e-12)


@given(pairs, st.floats(0.01, 0.9))
def test_non_inferior_is_what_the_interval_says(found, margin) -> None:
    low, _ = ends(found)
    if abs(low + margin) > 1e-9:
        assert (non_inferiority(found, margin) < 0.025) == (low > -margin)


def test_no_discordant_row_leaves_as_much_as_none_of_n_by_wilson() -> None:
    squared = norm.ppf(0.975) ** 2
    bound = squared / (100 + squared)
    assert ends(Pairs(80, 0, 0, 20)) == pytest.approx((-bound, bound), abs=1e-10)


def test_extremes() -> None:
    assert ends(Pairs(0, 9, 0, 0))[1] == 1
    assert ends(Pairs(0, 0, 9, 0))[0] == -1
    nothing = Pairs(0, 0, 0, 0)
    assert np.isnan(nothing.difference)
    assert difference_interval(nothing) is None
    assert mcnemar(nothing) is None
    assert non_inferiority(nothing, 0.05) is None
    for margin in (0, 1, -0.1):
        with pytest.raises(InputError, match="margin"):
            non_inferiority(MYELOMA, margin)


def test_sensitivity_counts_cancers_and_specificity_the_others() -> None:
    one = np.array([True, True, False, False, True, False])
    other = np.array([True, False, True, False, False, False])
    cancer = np.array([True, True, True, True, False, False])
    assert paired_sensitivity(one, other, cancer) == Pairs(1, 1, 1, 1)
    assert paired_specificity(one, other, cancer) == Pairs(1, 0, 1, 0)


def samples(count: int, seed: int, rows: int, lack: float) -> list[Pairs]:
    """Made-up sensitivities 0.80 less a lack, and 0.80, of calls that are alike."""
    generator = np.random.default_rng(seed)
    ahead, behind = 0.06, 0.06 + lack
    shares = [0.80 - behind, ahead, behind, 0.20 - ahead]
    return [Pairs(*map(int, four)) for four in generator.multinomial(rows, shares, count)]


def errors(count: int, seed: int, rows: int) -> tuple[float, float, float]:
    """How often the interval holds no difference, McNemar finds one, a lack of 0.05 is passed."""
    alike, lacking = samples(count, seed, rows, 0), samples(count, seed + 1, rows, 0.05)
    held = np.mean([low <= 0 <= high for low, high in map(ends, alike)])
    found = np.mean([mcnemar(one) <= 0.05 for one in alike])
    passed = np.mean([non_inferiority(one, 0.05) < 0.025 for one in lacking])
    return float(held), float(found), float(passed)


def test_errors_are_as_rare_as_they_say_with_100_cancers() -> None:
    held, found, passed = errors(1500, 1, rows=100)
    assert 0.93 <= held <= 0.97
    assert 0.005 <= found <= 0.05  # about 12 discordant rows: the exact test is cautious
    assert 0.01 <= passed <= 0.035


@pytest.mark.slow
def test_errors_are_as_rare_as_they_say_in_many_samples() -> None:
    held, found, passed = errors(20000, 3, rows=750)
    assert 0.94 <= held <= 0.96
    assert 0.04 <= found <= 0.055
    assert 0.02 <= passed <= 0.03


@given(rows)
def test_equal_specificity_is_the_closest_that_is_not_lower(found) -> None:
    score, cancer, positive = split(found)
    point = equal_specificity(score, cancer, positive)
    if cancer.all():
        assert np.isnan([point.threshold, point.specificity, point.surplus]).all()
        assert not point.selected.any()
        return
    np.testing.assert_array_equal(point.selected, score >= point.threshold)
    hers = (~positive[~cancer]).mean()
    assert point.specificity == (~point.selected[~cancer]).mean() >= hers
    assert point.surplus == pytest.approx(point.specificity - hers, abs=1e-12)
    lower = score[~point.selected]
    if lower.size:  # one more group of equal scores is one too many
        assert (score[~cancer] < lower.max()).mean() < hers


@given(rows, st.permutations(range(40)))
def test_without_ties_equal_is_equal(found, order) -> None:
    _, cancer, positive = split(found)
    score = np.array(order[: len(cancer)], dtype=float)
    surplus = equal_specificity(score, cancer, positive).surplus
    assert np.isnan(surplus) or surplus == 0


def test_equal_points_by_hand() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.7, 0.4, 0.2, 0.1])
    cancer = np.array([True, False, True, False, True, False, False])
    positive = np.array([True, False, False, True, True, False, True])
    point = equal_specificity(score, cancer, positive)  # two of the four others are positive
    assert point.threshold == pytest.approx(0.3)
    assert (point.specificity, point.surplus) == (0.5, 0)
    assert point.selected.tolist() == [True] * 5 + [False] * 2
    positive[3] = False
    tied = equal_specificity(score, cancer, positive)  # one other: 0.8 alone, 0.7 is a tie
    assert tied.threshold == pytest.approx(0.75)
    assert (tied.specificity, tied.surplus) == (0.75, 0)
    score[1] = 0.7
    tied = equal_specificity(score, cancer, positive)
    assert (tied.specificity, tied.surplus) == (1, 0.25)
    assert tied.threshold == pytest.approx(0.8)
