"""Risk against what came: Kaplan-Meier, concordance and calibration under censoring.

Everything is a function of weights ``[row]`` (how often a row was drawn), as the bootstrap needs.
A weight of w counts as w rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mim.evaluate.bootstrap import Bools, Floats, Statistic

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Followed:
    """Rows, each followed from its exam to a cancer or to the end of its follow-up.

    Attributes:
        end: ``[row]``, years from the exam to the one or the other.
        cancer: ``[row]``, whether it ends with a cancer.
    """

    end: Floats
    cancer: Bools


class Ends:
    """The distinct ends of rows, and how many rows and cancers weights put at each.

    Attributes:
        times: ``[time]``, years from the exam, ascending.
        sick: places ``[cancer]`` of the rows that end with a cancer.
        sick_time: ``[cancer]``, which of the times is theirs.
    """

    def __init__(self, followed: Followed) -> None:
        self.times, time = np.unique(followed.end, return_inverse=True)
        self.sick = np.flatnonzero(followed.cancer)
        self.sick_time = time[self.sick]
        self._by_time = np.argsort(time, kind="stable")
        self._starts = np.searchsorted(time[self._by_time], np.arange(len(self.times)))

    def counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Rows not yet ended at each time, and cancers at it: two of ``[time]``."""
        if not len(self.times):
            return np.zeros(0), np.zeros(0)
        ending = np.add.reduceat(weights[self._by_time], self._starts)
        cancers = np.bincount(self.sick_time, weights[self.sick], len(self.times))
        return ending[::-1].cumsum()[::-1], cancers.astype(np.float64)

    def free(self, at_risk: Floats, cancers: Floats) -> Floats:
        """Kaplan-Meier's share ``[1 + time]`` free of cancer at first, and after each time."""
        return np.cumprod(np.append(1.0, 1 - over(cancers, at_risk)))

    def uncensored(self, at_risk: Floats, cancers: Floats) -> Floats:
        """Share ``[1 + time]`` still followed at first, and after each time.

        Kaplan-Meier with the ends of follow-up as events. Rows with a cancer at a time are gone
        before others' follow-up ends at it.
        """
        leaving = at_risk - np.append(at_risk[1:], 0.0)[: len(at_risk)] - cancers
        return np.cumprod(np.append(1.0, 1 - over(leaving, at_risk - cancers)))

    def before(self, years: Floats) -> Places:
        """For each of some times, how many of the distinct ends come before it."""
        return np.searchsorted(self.times, years, side="left")


def kaplan_meier(followed: Followed, years: Floats) -> Statistic:
    """The share with a cancer before each of some times (Kaplan 1958, doi 10.2307/2281868).

    A cancer on the very day that another row's follow-up ends counts before that end. Shares are
    NaN beyond the longest follow-up: nothing is known there.

    Args:
        followed: the rows.
        years: ``[time]``, from the exam.
    """
    ends = Ends(followed)
    before = ends.before(years)

    def statistic(weights: Floats) -> Floats:
        at_risk, cancers = ends.counts(weights)
        free = ends.free(at_risk, cancers)[before]
        reached = np.append(at_risk, 0.0)[before] > 0
        return np.where(reached | (free == 0), 1 - free, np.nan)

    return statistic


def concordance(risk: Floats, followed: Followed, until: float = np.inf) -> Statistic:
    """Uno's concordance (2011, doi 10.1002/sim.4154), 0 to 1; NaN without a pair to compare.

    Of all pairs of a row with a cancer at t, before ``until``, and a row free of it for longer: the
    share in which the former's risk is higher, a tie counting one half. Each pair weighs
    1 / G(t)^2, where G(t) is the chance of not being censored by t, estimated by Kaplan-Meier with
    the ends of follow-up as its events. (Mirai's and Sybil's code takes the cancers for them, which
    corrects nothing.) Pairs where G(t) is 0 are left out.

    Cancers are few, so only their places matter: rows that outlast the same cancers are a group,
    and those that outlast a cancer are the first groups, from the longest followed down. Within
    every dyadic block of groups rows are sorted by risk; the first groups are a few such blocks.
    So a call takes n log(cancers) steps rather than all pairs.
    """
    ends = Ends(followed)
    counted = ends.times[ends.sick_time] < until
    sick, time = ends.sick[counted], ends.sick_time[counted] + 1
    group, groups = _outlasting(followed, sick)
    case, start, below, not_above, stop, sums = _blocks(risk, group, sick, groups)

    def statistic(weights: Floats) -> Floats:
        uncensored = ends.uncensored(*ends.counts(weights))[time]
        weigh = over(weights[sick], uncensored**2)[case]
        total = sums(weights)
        pairs = weigh @ (total[stop] - total[start])
        lower = (total[below] + total[not_above]) / 2 - total[start]
        return np.array([weigh @ lower / pairs if pairs else np.nan])

    return statistic


def expected_and_observed(risk: Floats, followed: Followed, years: Floats) -> Statistic:
    """Mean risk, share with a cancer by Kaplan-Meier, and the former over the latter.

    Returns as figures ``[time]`` of each in turn. The ratio is 1 where calibrated, more where the
    risks are too high, and NaN where no cancer came or follow-up does not reach.

    Args:
        risk: ``[row, time]``, probability of a cancer before each of the times.
        followed: the rows.
        years: ``[time]``, from the exam.
    """
    shares = kaplan_meier(followed, years)

    def statistic(weights: Floats) -> Floats:
        observed = shares(weights)
        total = weights.sum()
        expected = weights @ risk / total if total else np.full(len(years), np.nan)
        ratio = expected / np.where(observed > 0, observed, np.nan)
        return np.concatenate([expected, observed, ratio])

    return statistic


def expected_over_observed(risk: Floats, followed: Followed) -> Statistic:
    """The ratios ``[year]`` of ``expected_and_observed`` within 1, 2, ... years.

    Args:
        risk: ``[row, year]``, probability of a cancer within 1, 2, ... years.
        followed: the rows.
    """
    years = risk.shape[1]
    all_three = expected_and_observed(risk, followed, np.arange(1.0, years + 1))
    return lambda weights: all_three(weights)[2 * years :]


def together(*statistics: Statistic) -> Statistic:
    """The figures of several statistics of the same rows, which then share the draws of women."""
    return lambda weights: np.concatenate([statistic(weights) for statistic in statistics])


def running_sums(order: Places, *places: Places) -> tuple[Callable[[Floats], Floats], list[Places]]:
    """Sums of weights over the first rows of an order, taken at some places of it only.

    Args:
        order: rows.
        places: how many of the first rows.

    Returns the sums as a function of weights, and where among them those of each place are.
    """
    edges = np.unique(np.concatenate([np.zeros(1, np.int64), *places]))
    members, starts = order[: edges[-1]], edges[:-1]

    def sums(weights: Floats) -> Floats:
        parts = np.add.reduceat(weights[members], starts) if len(starts) else np.zeros(0)
        return np.append(0.0, parts.cumsum())

    return sums, [np.searchsorted(edges, some) for some in places]


def _outlasting(followed: Followed, sick: Places) -> tuple[Places, Places]:
    """The group ``[row]`` of each row, and how many of the first groups outlast each cancer.

    Within one time rows that are censored outlast those with a cancer.
    """
    order = np.lexsort((followed.cancer, -followed.end))
    kinds = np.column_stack([-followed.end, followed.cancer])[order]
    same = np.append(False, (kinds[1:] == kinds[:-1]).all(axis=1))[: len(order)]
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    longer = np.empty(len(order), np.int64)
    longer[order] = first
    cuts, place = np.unique(longer[sick], return_inverse=True)
    return np.searchsorted(cuts, longer, side="right"), place + 1


def _blocks(
    risk: Floats, group: Places, sick: Places, groups: Places
) -> tuple[Places, Places, Places, Places, Places, Callable[[Floats], Floats]]:
    """Every block of groups that a cancer's outlasting rows are made of.

    The first group, mostly of all rows followed to the end, is a block for every cancer.

    Returns, for each block of each cancer: which of ``sick``, and where in the sums it starts, its
    rows of lower risk end, those of no higher risk end, and it stops; and the sums.
    """
    levels, distinct = risk[sick], np.unique(risk[sick])
    # Odd where equal to the risk of a cancer, else between two of them.
    code = np.searchsorted(distinct, risk, "left") + np.searchsorted(distinct, risk, "right")
    width, most = 2 * len(distinct) + 1, int(groups.max(initial=0))
    inner, needed = group - 1, groups - 1
    rows, keys = [np.flatnonzero(group == 0)], [code[group == 0]]
    cases, starts = [np.arange(len(sick))], [np.zeros(len(sick), np.int64)]
    for bit in range(most.bit_length()):
        offset = (1 + bit * (most + 1)) * width
        # A first block ends where the lower bits begin, so only even ones are ever asked for.
        some = np.flatnonzero((inner >= 0) & (inner < most) & (inner >> bit & 1 == 0))
        rows.append(some)
        keys.append(offset + (inner[some] >> bit) * width + code[some])
        asking = np.flatnonzero(needed >> bit & 1)
        cases.append(asking)
        starts.append(offset + (needed[asking] >> (bit + 1) << 1) * width)
    key, case, start = np.concatenate(keys), np.concatenate(cases), np.concatenate(starts)
    by_key = np.argsort(key, kind="stable")
    rank = 2 * np.searchsorted(distinct, levels)[case] + 1
    ends = [np.searchsorted(key[by_key], start + shift) for shift in (0, rank, rank + 1, width)]
    sums, (first, below, not_above, stop) = running_sums(np.concatenate(rows)[by_key], *ends)
    return case, first, below, not_above, stop, sums


def over(part: Floats, whole: Floats) -> Floats:
    """A part ``[...]`` over its whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
