"""Intervals and chances in closed form: of a share, of an AUC, of a count that should be another."""

from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np

from mim.evaluate.bootstrap import Floats

Z = 1.959963984540054
"""Half the width of a 95 % interval in standard errors."""


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def wilson(cases: int, n: int) -> Interval:
    """Interval of a share ``cases / n`` (Wilson 1927, doi 10.1080/01621459.1927.10502953); ``n`` > 0."""
    share = cases / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def auc_interval(auc: float, cases: int, others: int) -> Interval:
    """Interval of an AUC from the numbers alone (Newcombe 2006, doi 10.1002/sim.2324, method 5).

    All AUCs from which ``auc`` lies less than 1.96 standard errors away, each with the standard
    error that Hanley and McNeil give to that AUC. So an AUC of 1 has an interval too, unlike by
    bootstrap. ``cases`` and ``others`` > 0 are numbers of women: a woman's exams are alike.
    """
    high = 1 - _lower_end(1 - auc, cases, others)
    return Interval(_lower_end(auc, cases, others), high)


def _lower_end(auc: float, cases: int, others: int) -> float:
    low, high = 0.0, auc
    for _ in range(60):
        middle = (low + high) / 2
        if auc - middle > Z * _auc_error(middle, cases, others):
            low = middle
        else:
            high = middle
    return high


def _auc_error(auc: float, cases: int, others: int) -> float:
    half = (cases + others) / 2 - 1
    spread = 1 + half * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    return sqrt(auc * (1 - auc) * spread / (cases * others))


def binomial_chance(count: int, n: int, share: float) -> float:
    """Chance of a count as far off as this or farther, where each of ``n`` has this ``share``.

    Exact and two-sided: twice the smaller tail. 0 < ``share`` < 1.
    """
    counts = np.arange(n + 1)
    weights = counts * np.log(share) + (n - counts) * np.log1p(-share)
    return _two_sided(_log_choices(n, counts) + weights, count)


def hypergeometric_chance(cases: int, n: int, all_cases: int, all_n: int) -> float:
    """Chance that ``n`` drawn of ``all_n``, of which ``all_cases`` are cases, hold so few or many.

    Fisher's exact test of one group against the others, two-sided: twice the smaller tail.
    """
    lowest = max(0, n - (all_n - all_cases))
    counts = np.arange(lowest, min(n, all_cases) + 1)
    weights = _log_choices(all_cases, counts) + _log_choices(all_n - all_cases, n - counts)
    return _two_sided(weights, cases - lowest)


def _two_sided(log_weights: Floats, place: int) -> float:
    weights = np.exp(log_weights - log_weights.max())
    tail = min(weights[: place + 1].sum(), weights[place:].sum())
    return min(1.0, float(2 * tail / weights.sum()))


def _log_choices(n: int, chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Floats:
    table = _log_factorials(1 << n.bit_length())
    return np.asarray(table[n] - table[chosen] - table[n - chosen])


@cache
def _log_factorials(most: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
