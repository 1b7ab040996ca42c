"""Agreement of two judges on ordered classes."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from mim.evaluate.bootstrap import Floats, Statistic


class Weighting(StrEnum):
    """How much a disagreement weighs by the classes between: as they are, or squared."""

    LINEAR = "linear"
    QUADRATIC = "quadratic"


def kappa(
    one: npt.NDArray[np.integer],
    other: npt.NDArray[np.integer],
    classes: int,
    weighting: Weighting,
) -> Statistic:
    """Cohen's weighted kappa (1968, doi 10.1037/h0026256), at most 1; 0 is chance.

    One less the weighted disagreement over that of two judges who know nothing of each other. NaN
    where both call everything one class.

    Args:
        one: ``[row]``, classes from 0 on.
        other: ``[row]``, the other judge's.
        classes: how many there are.
        weighting: what a disagreement weighs.
    """
    cell = one * classes + other

    def statistic(weights: Floats) -> Floats:
        table = np.bincount(cell, weights, classes**2).astype(np.float64)
        return np.atleast_1d(kappa_of(table.reshape(classes, classes), weighting))

    return statistic


def kappa_of(table: Floats, weighting: Weighting) -> Floats:
    """Cohen's weighted kappa of one table of counts, or of many; NaN as for ``kappa``.

    Args:
        table: ``[class, class, ...]``, rows by the one judge's class and the other's.
        weighting: what a disagreement weighs.

    Returns:
        ``[...]``, a kappa for each table.
    """
    steps = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table))))
    cost = (steps if weighting is Weighting.LINEAR else steps**2).astype(np.float64)
    seen = np.tensordot(cost, table, 2) * table.sum(axis=(0, 1))
    by_chance = np.sum(np.tensordot(cost, table.sum(axis=0), 1) * table.sum(axis=1), axis=0)
    nothing = np.full(np.shape(by_chance), np.nan)
    return np.asarray(1 - np.divide(seen, by_chance, nothing, where=by_chance > 0), np.float64)
