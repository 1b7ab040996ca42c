"""Risk against what came: Kaplan-Meier, concordance and calibration under censoring.

Everything is a function of weights ``[row]`` (how often a row was drawn), as the bootstrap needs.
A weight of w counts as w rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mim.evaluate.bootstrap import Bools, Floats, Statistic


@dataclass(frozen=True)
class Followed:
    """Rows, each followed from its exam to a cancer or to the end of its follow-up.

    Attributes:
        end: ``[row]``, years from the exam to the one or the other.
        cancer: ``[row]``, whether it ends with a cancer.
    """

    end: Floats
    cancer: Bools


def kaplan_meier(followed: Followed, years: Floats) -> Statistic:
    """The share with a cancer before each of some times (Kaplan 1958, doi 10.2307/2281868).

    A cancer on the very day that another row's follow-up ends counts before that end. Shares are
    NaN beyond the longest follow-up: nothing is known there.

    Args:
        followed: the rows.
        years: ``[time]``, from the exam.
    """
    times, place = np.unique(followed.end, return_inverse=True)
    before = np.searchsorted(times, years, side="left")

    def statistic(weights: Floats) -> Floats:
        free = np.append(1.0, _staying(place, weights, followed.cancer))
        reached = times[place[weights > 0]].max(initial=-np.inf)
        return np.where((years <= reached) | (free[before] == 0), 1 - free[before], np.nan)

    return statistic


def concordance(risk: Floats, followed: Followed, until: float = np.inf) -> Statistic:
    """Uno's concordance (2011, doi 10.1002/sim.4154), 0 to 1; NaN without a pair to compare.

    Of all pairs of a row with a cancer at t, before ``until``, and a row free of it for longer: the
    share in which the former's risk is higher, a tie counting one half. Each pair weighs
    1 / G(t)^2, where G(t) is the chance of not being censored by t, estimated by Kaplan-Meier with
    the ends of follow-up as its events. (Mirai's and Sybil's code takes the cancers for them, which
    corrects nothing.) Pairs where G(t) is 0 are left out.

    Rows are sorted by time and, within every dyadic block of that order, by risk. The rows that
    outlast a cancer are a few such blocks, so a call takes n log(n) steps rather than all pairs.
    """
    place = np.unique(followed.end, return_inverse=True)[1]
    # From the longest followed down; within one time those censored outlast those with a cancer.
    order = np.lexsort((followed.cancer, -followed.end))
    kinds = np.column_stack([-followed.end, followed.cancer])[order]
    sick = np.flatnonzero(followed.cancer & (followed.end < until))
    first = np.append(True, (kinds[1:] != kinds[:-1]).any(axis=1))
    starts = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    position = np.empty(len(order), dtype=np.int64)
    position[order] = starts
    outlasting = position[sick]
    levels = [_level(risk, order, sick, outlasting, bit) for bit in range(len(order).bit_length())]

    def statistic(weights: Floats) -> Floats:
        uncensored = _staying(place, weights, ~followed.cancer, after=followed.cancer)[place[sick]]
        weigh = np.divide(
            weights[sick], uncensored**2, out=np.zeros(len(sick)), where=uncensored > 0
        )
        total = np.append(0.0, np.cumsum(weights[order]))[outlasting]
        lower = np.zeros(len(sick))
        for rows, members, start, below, not_above in levels:
            sums = np.append(0.0, np.cumsum(weights[members]))
            lower[rows] += (sums[below] + sums[not_above]) / 2 - sums[start]
        pairs = weigh @ total
        return np.array([weigh @ lower / pairs if pairs else np.nan])

    return statistic


def expected_over_observed(risk: Floats, followed: Followed) -> Statistic:
    """Mean risk within 1, 2, ... years over the share with a cancer within them, by Kaplan-Meier.

    1 is calibrated, more is too high. NaN where no cancer came, or follow-up does not reach.

    Args:
        risk: ``[row, year]``, probability of a cancer within 1, 2, ... years.
        followed: the rows.
    """
    observed = kaplan_meier(followed, np.arange(1.0, risk.shape[1] + 1))

    def statistic(weights: Floats) -> Floats:
        found = observed(weights)
        expected = weights @ risk / weights.sum() if weights.any() else np.full(len(found), np.nan)
        return np.asarray(expected / np.where(found > 0, found, np.nan), np.float64)

    return statistic


Level = tuple[npt.NDArray[np.int64], ...]


def _level(
    risk: Floats,
    order: npt.NDArray[np.int64],
    sick: npt.NDArray[np.int64],
    outlasting: npt.NDArray[np.int64],
    bit: int,
) -> Level:
    """For the rows whose count of outlasting rows has a bit: the block of 2^bit it stands for.

    Returns (places in ``sick``, rows by block and risk, where each's block starts, where in it the
    rows of lower risk end, and where those of no higher risk end).
    """
    rows = np.flatnonzero(outlasting >> bit & 1)
    # The last block of a prefix ends where the lower bits begin.
    start = (outlasting[rows] >> (bit + 1)) << (bit + 1)
    ranks = np.unique(risk, return_inverse=True)[1]
    key = (np.arange(len(order)) >> bit) * (len(order) + 1) + ranks[order]
    by_key = np.argsort(key, kind="stable")
    wanted = (start >> bit) * (len(order) + 1) + ranks[sick[rows]]
    below = np.searchsorted(key[by_key], wanted, side="left")
    not_above = np.searchsorted(key[by_key], wanted, side="right")
    return rows, order[by_key], start, below, not_above


def _staying(
    place: npt.NDArray[np.int64], weights: Floats, leaving: Bools, after: Bools | None = None
) -> Floats:
    """Kaplan-Meier's share ``[time]`` that is left by each distinct time.

    Args:
        place: ``[row]``, which of the times a row's is.
        weights: ``[row]``.
        leaving: ``[row]``, whether the row leaves at its time or is only no longer seen.
        after: ``[row]``, rows that are gone before others leave at the same time.
    """
    events = np.bincount(place, weights * leaving)
    at_risk = np.cumsum(np.bincount(place, weights)[::-1])[::-1]
    if after is not None:
        at_risk = at_risk - np.bincount(place, weights * after)
    return np.cumprod(1 - np.divide(events, at_risk, out=np.zeros(len(events)), where=at_risk > 0))
