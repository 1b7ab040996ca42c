"""Whether risks are as high, and as far apart, as what came; and intervals by closed form."""

import numpy as np

from mim.evaluate.bootstrap import NORMAL_95, Floats, Statistic
from mim.evaluate.calibration import CALIBRATION, calibration_statistic
from mim.evaluate.figures import ClosedForm
from mim.evaluate.survival import Ends, Followed, over

SLOPE = CALIBRATION.index("calibration_slope")


def calibration_slope(risk: Floats, followed: Followed, year: int) -> Statistic:
    """Slope of a logistic regression of what came within some years on the log odds of the risk.

    1 where risks are as far apart as what came; below 1 too far (an overfitted model), above 1 too
    near: the slope of ``mim.evaluate.calibration``, under censoring. Rows with a cancer before the
    year weigh 1 / G(t), rows free of it for as long 1 / G(year), G as in ``concordance``, and
    others nothing (Scheike 2008, doi 10.1093/biomet/asm096). NaN where there are only the ones or
    the others, where all risks are equal, or where risks part the ones from the others.

    Args:
        risk: ``[row]``, probability of a cancer within ``year`` years.
        followed: the rows.
        year: from the exam.
    """
    ends = Ends(followed)
    cases = np.flatnonzero(ends.times[ends.sick_time] < year)
    sick, time = ends.sick[cases], ends.sick_time[cases] + 1
    others = np.flatnonzero(followed.end >= year)
    known = np.append(sick, others)
    regression = calibration_statistic(risk[known], np.arange(len(known)) < len(sick))
    [before] = ends.before(np.array([float(year)]))

    def statistic(weights: Floats) -> Floats:
        if not (weights[sick].any() and weights[others].any()):
            return np.array([np.nan])
        uncensored = ends.uncensored(*ends.counts(weights))
        chance = np.append(uncensored[time], np.full(len(others), uncensored[before]))
        return regression(over(weights[known], chance))[SLOPE : SLOPE + 1]

    return statistic


def share_intervals(followed: Followed, years: Floats) -> list[ClosedForm | None]:
    """Intervals of Kaplan-Meier's shares by Greenwood's variance of log(-log(share free)).

    Kalbfleisch and Prentice 2002, doi 10.1002/9781118032985. Rows count as independent. None where
    no cancer came, or nobody is left.
    """
    found: list[ClosedForm | None] = []
    for free, variance in _greenwood(followed, years):
        if not 0 < free < 1:
            found.append(None)
            continue
        wide = np.exp(NORMAL_95 * np.sqrt(variance) / abs(np.log(free)))
        low, high = 1 - free ** (1 / wide), 1 - free**wide
        found.append(ClosedForm(float(low), float(high), "Greenwood, log-log"))
    return found


def ratio_intervals(expected: Floats, followed: Followed, years: Floats) -> list[ClosedForm | None]:
    """Intervals of expected over observed, the logarithm of the latter with Greenwood's variance.

    Debray 2017, doi 10.1136/bmj.i6460. Expected shares count as known, rows as independent. None
    where no cancer came, or nobody is left.

    Args:
        expected: ``[time]``, mean risk before each of the times.
        followed: the rows.
        years: ``[time]``, from the exam.
    """
    found: list[ClosedForm | None] = []
    for mean, (free, variance) in zip(expected, _greenwood(followed, years), strict=True):
        if not 0 < free < 1:
            found.append(None)
            continue
        wide = np.exp(NORMAL_95 * np.sqrt(variance) * free / (1 - free))
        ratio = mean / (1 - free)
        found.append(ClosedForm(float(ratio / wide), float(ratio * wide), "Greenwood, log"))
    return found


def _greenwood(followed: Followed, years: Floats) -> list[tuple[float, float]]:
    """Share free of cancer before each time and the variance of its logarithm; NaN where unknown."""
    ends = Ends(followed)
    at_risk, cancers = ends.counts(np.ones(len(followed.end)))
    before = ends.before(years)
    parts = np.append(0.0, over(cancers, at_risk * (at_risk - cancers)).cumsum())[before]
    reached = np.append(at_risk, 0.0)[before] > 0
    free = np.where(reached, ends.free(at_risk, cancers)[before], np.nan)
    return list(zip(free.tolist(), parts.tolist(), strict=True))
