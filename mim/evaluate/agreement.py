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
    steps = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    cost = (steps if weighting is Weighting.LINEAR else steps**2).astype(np.float64)
    cell = one * classes + other

    def statistic(weights: Floats) -> Floats:
        table = np.bincount(cell, weights, classes**2).reshape(classes, classes)
        by_chance = np.sum(cost * np.outer(table.sum(1), table.sum(0)))
        total = table.sum()
        return np.array([1 - total * np.sum(cost * table) / by_chance if by_chance else np.nan])

    return statistic
