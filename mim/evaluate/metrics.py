"""The AUC and the ROC curve of one score."""

import numpy as np

from mim.evaluate.bootstrap import Bools, Floats, Statistic


def auc(scores: Floats, cancer: Bools) -> float:
    """Share of pairs (cancer, none) in which the cancer scores higher; a tie counts one half.

    NaN without cancers, without others, or where a score is NaN.
    """
    return float(auc_statistic(scores, cancer)(np.ones(len(scores)))[0])


def auc_statistic(scores: Floats, cancer: Bools) -> Statistic:
    """The AUC as a function of weights: one sort in all, one cumulative sum per resample."""
    healthy, sick = np.flatnonzero(~cancer), np.flatnonzero(cancer)
    healthy = healthy[np.argsort(scores[healthy], kind="stable")]
    lower = np.searchsorted(scores[healthy], scores[sick], side="left")
    not_higher = np.searchsorted(scores[healthy], scores[sick], side="right")
    broken = bool(np.isnan(scores).any())

    def statistic(weights: Floats) -> Floats:
        below = np.concatenate([[0.0], np.cumsum(weights[healthy])])
        pairs = weights[sick].sum() * below[-1]
        if pairs == 0 or broken:
            return np.array([np.nan])
        return np.array([weights[sick] @ (below[lower] + below[not_higher]) / (2 * pairs)])

    return statistic


def roc_curve(scores: Floats, cancer: Bools) -> tuple[Floats, Floats]:
    """False and true positive rate ``[point]`` at every distinct score, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(cancer[order])[last_of_tie]
    others = np.cumsum(~cancer[order])[last_of_tie]
    return np.append(0, others / others[-1]), np.append(0, found / found[-1])
