"""Rows ranked by their score, and what the ranking is worth, for many resamples at once.

Rows with equal scores are one group, and a resample is a count for each kind of row and group: one
product of a sparse matrix for a whole block of resamples. Every figure of a ranking (areas, shares
at a selection rate or a threshold) is a function of these counts, so none sorts anything again.

Where there are very many different scores, neighbouring ones of rows without a cancer share a group.
No area and no sensitivity feels it: a score that a cancer has is always a group of its own. The
share selected is exact to one such group: 1 in 16,384 of the rows, and those of one score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mim.evaluate.bootstrap import Counted, Floats, Ints, Times, share

Counts = npt.NDArray[np.float32]

MOST_GROUPS = 16384
"""Different scores of rows without a cancer that stand alone; of more, neighbours are joined."""

HEALTHY, UNKNOWN = 0, 1
"""The first two kinds: rows known to have no cancer, and rows of which that is not known."""


Shares = Mapping[tuple[int, ...], float]
"""How often rows of some kinds, together, come among all of a programme's."""


class Factors(NamedTuple):
    """How much rows count so that they stand for a programme's."""

    kinds: Floats
    """``[kind]`` or ``[kind, resample]``, of a row among all rows."""
    healthy: Floats
    """``[...]``, of a row without a cancer among those alone of which that is known."""


@dataclass(frozen=True)
class Ranked:
    """Rows counted from the highest score down, in each of some resamples.

    Attributes:
        upto: ``[kind, 1 + group, resample]``, rows in the first groups; none of them first.
        weighing: how much rows count, for each resample.
        with_cancer: the groups that hold a cancer.
    """

    upto: Counts
    weighing: Factors
    with_cancer: Ints

    @property
    def factors(self) -> Floats:
        """``[kind, resample]``, how much a row of a kind counts among all rows."""
        return self.weighing.kinds

    @property
    def totals(self) -> Floats:
        """``[kind, resample]``, rows of each kind."""
        return self.upto[:, -1].astype(np.float64)

    def within(self, rates: Sequence[float]) -> Ints:
        """Groups ``[rate, resample]`` that stay within shares of all rows, 0 to 1.

        Rows with equal scores are selected together or not at all, and never more than the share.
        """
        if (self.factors == 1).all():
            selected = self.upto.sum(axis=0)
        else:
            selected = np.einsum("kgr,kr->gr", self.upto, self.factors)
        # A share such as 0.111 x 1000 may come out a hair below the whole number it means.
        allowed = [rate * selected[-1].astype(np.float64) * (1 + 1e-9) for rate in rates]
        return np.array([(selected <= most).sum(axis=0) - 1 for most in allowed], np.int64)

    def selected(self, groups: Ints) -> Floats:
        """``[kind, resample]``, rows of each kind in the first ``groups`` ``[resample]``."""
        return np.take_along_axis(self.upto, groups[None, None], axis=1)[:, 0].astype(np.float64)

    def auc(self, kinds: Sequence[int]) -> Floats:
        """``[resample]``, share of pairs (cancer of some kinds, none) in which the cancer is higher.

        A tie counts one half. NaN without cancers or without others.
        """
        cancers, above, not_below = self._cancers(kinds)
        lower = np.einsum("gr,gr->r", cancers, 1 - (above + not_below) / 2)
        return share(lower, cancers.sum(axis=0))

    def partial_auc(self, kinds: Sequence[int], least_specificity: float) -> Floats:
        """``[resample]``, the AUC above a specificity, from 0.5 (chance) to 1 (McClish 1989,
        doi 10.1177/0272989X8900900307)."""
        most = 1 - least_specificity
        cancers, above, not_below = self._cancers(kinds)
        left, right = np.minimum(above, most), np.minimum(not_below, most)
        # Of a tie, the healthy rows come evenly before and after the cancer.
        inside = share(right - left, not_below - above)
        each = np.where(not_below > above, inside * (most - (left + right) / 2), most - left)
        area = share(np.einsum("gr,gr->r", cancers, each), cancers.sum(axis=0))
        chance = most**2 / 2
        return np.asarray((1 + (area - chance) / (most - chance)) / 2, np.float64)

    def average_precision(self, kinds: Sequence[int]) -> Floats:
        """``[resample]``, mean share of cancers among those selected, over the cancers.

        Rows of which it is not known whether they have a cancer are left out.
        """
        recall, precision = self.precision_recall(kinds)
        steps = np.diff(recall, axis=0, prepend=0)
        found = np.sum(steps * np.nan_to_num(precision), axis=0)
        defined = (self.totals[list(kinds)].sum(axis=0) > 0) & (self.totals[HEALTHY] > 0)
        return np.where(defined, found, np.nan)

    def precision_recall(self, kinds: Sequence[int]) -> tuple[Floats, Floats]:
        """Share of the cancers of some kinds that is selected, and share of cancers among those selected.

        Both ``[point, resample]``, at every score that a cancer of any kind has, highest first.
        """
        cancers, _, not_below = self._cancers(kinds)
        found = np.cumsum(cancers, axis=0)
        others = not_below * self.totals[HEALTHY] * self.weighing.healthy
        return share(found, cancers.sum(axis=0)), share(found, found + others)

    def _cancers(self, kinds: Sequence[int]) -> tuple[Floats, Floats, Floats]:
        """Of each group with a cancer ``[group, resample]``: the cancers of some kinds, the share of
        healthy rows that score higher, and of those that score as high or higher."""
        ends = np.stack([self.with_cancer, self.with_cancer + 1])
        before, after = self.upto[np.array(kinds)[:, None, None], ends].transpose(1, 0, 2, 3)
        cancers = np.einsum("kgr,kr->gr", after - before, self.factors[list(kinds)])
        above, not_below = share(self.upto[HEALTHY][ends], self.totals[HEALTHY])
        return cancers, above, not_below


class Ranking:
    """Rows in the order of one model's scores.

    Args:
        scores: ``[row]``, higher is more suspicious.
        kind: ``[row]``, ``HEALTHY``, ``UNKNOWN``, or from 2 on the kind of cancer.
        woman: ``[row]``, a number for each woman.
        weighing: what rows stand for: shares that hold in every resample, or factors that are given;
            missing: themselves.
    """

    def __init__(
        self,
        scores: Floats,
        kind: Ints,
        woman: Ints,
        weighing: Shares | Factors | None = None,
    ) -> None:
        self.kinds = max(int(kind.max(initial=0)) + 1, UNKNOWN + 2)
        self._weighing = weighing
        values, place, rows = np.unique(-scores, return_inverse=True, return_counts=True)
        starts = _group_starts(rows, place[kind > UNKNOWN])
        self.groups = len(starts)
        self._highest, self._lowest = (
            -values[starts],
            -values[np.append(starts, len(values))[1:] - 1],
        )
        group = np.searchsorted(starts, place, side="right") - 1
        self._with_cancer = np.unique(group[kind > UNKNOWN])
        self.women, number = _numbered(woman)
        cell = kind * self.groups + group
        self._rows = Counted(cell, number, (self.kinds * self.groups, self.women))

    def at_least(self, score: float, ranked: Ranked) -> Floats:
        """``[kind, resample]``, ranked rows with a score or more."""
        groups = int(np.searchsorted(-self._lowest, -score, side="right"))
        return ranked.upto[:, groups].astype(np.float64)

    def threshold(self, groups: int) -> float:
        """What selects just the first groups: halfway from their lowest score to the next."""
        if not 0 < groups < self.groups:
            return np.inf if groups == 0 else -np.inf
        middle = (self._lowest[groups - 1] + self._highest[groups]) / 2
        return float(middle if middle > self._highest[groups] else self._lowest[groups - 1])

    def ranked(self, times: Times) -> Ranked:
        """The rows counted, each as often as its woman was drawn: ``times`` ``[resample, woman]``."""
        counts = self._rows.counts(times).reshape(self.kinds, self.groups, len(times))
        upto = np.zeros((self.kinds, self.groups + 1, len(times)), np.float32)
        np.cumsum(counts, axis=1, out=upto[:, 1:])
        weighing = self._factors(upto[:, -1].astype(np.float64))
        return Ranked(upto, weighing, self._with_cancer)

    def once(self) -> Ranked:
        """The rows as they are."""
        return self.ranked(np.ones((1, self.women), np.uint8))

    def _factors(self, totals: Floats) -> Factors:
        """For rows ``[kind, resample]``."""
        kinds, healthy = np.ones(totals.shape), np.ones(totals.shape[1])
        if isinstance(self._weighing, Factors):
            kinds *= self._weighing.kinds[: len(kinds)].reshape(-1, 1)
            return Factors(kinds, healthy * self._weighing.healthy)
        for some, part in (self._weighing or {}).items():
            theirs = [kind for kind in some if kind < self.kinds]
            wanted = part * totals.sum(axis=0)
            kinds[theirs] = wanted * share(1.0, totals[theirs].sum(axis=0))
            if HEALTHY in some:
                healthy = wanted * share(1.0, totals[HEALTHY])
        return Factors(np.nan_to_num(kinds), np.nan_to_num(healthy))


def _group_starts(rows: Ints, cancers: Ints) -> Ints:
    """Places of the different scores, highest first, at which a group starts.

    Args:
        rows: ``[score]``, how many have it.
        cancers: places of the scores that a cancer has.
    """
    if len(rows) <= MOST_GROUPS:
        return np.arange(len(rows))
    before = np.cumsum(rows) - rows
    part = before // -(-rows.sum() // MOST_GROUPS)
    every = np.flatnonzero(np.diff(part, prepend=-1))
    starts = np.unique(np.concatenate([cancers, cancers + 1, every]))
    return np.asarray(starts[starts < len(rows)], np.int64)


def _numbered(woman: Ints) -> tuple[int, Ints]:
    names, number = np.unique(woman, return_inverse=True)
    return len(names), number
