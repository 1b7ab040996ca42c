"""How far risks are from what came, by the Brier score under censoring."""

import numpy as np

from mim.evaluate.bootstrap import Floats, Statistic
from mim.evaluate.survival import Ends, Followed, over


def brier(risk: Floats, followed: Followed, last: int) -> Statistic:
    """Brier scores within 1, 2, ... years, the scaled ones, and the integrated one up to a year.

    The score within k years is the mean of (1 - risk)^2 over rows with a cancer before year k and
    of risk^2 over rows free of it for k years; 0 is best (Graf 1999, doi 10.1002/(SICI)1097-0258
    (19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5). The former weigh 1 / G(t) by the time t of
    their cancer, the latter 1 / G(k), G as in ``concordance``; rows whose follow-up ends before
    year k count in the mean only. NaN where nobody was followed for k years.

    The scaled score is 1 less the score over that of telling every row the share with a cancer by
    Kaplan-Meier: 1 is best, 0 knows no more than the share (Kattan and Gerds 2018, doi
    10.1186/s41512-018-0029-2). NaN where no cancer came. The integrated score is the mean of the
    scores over the time from the first year to ``last``, by trapezes.

    Args:
        risk: ``[row, year]``, probability of a cancer within 1, 2, ... years.
        followed: the rows.
        last: year, of those in ``risk``, up to which scores are integrated.

    Returns as figures the scores ``[year]``, the scaled ones ``[year]``, and from ``last`` 2 on
    the integrated one.
    """
    years = np.arange(1.0, risk.shape[1] + 1)
    ends = Ends(followed)
    before = ends.before(years)
    found = (ends.times[ends.sick_time][:, None] < years).astype(np.float64)
    missed = found * (1 - risk[ends.sick]) ** 2
    alarmed = (followed.end[:, None] >= years) * risk**2

    def statistic(weights: Floats) -> Floats:
        at_risk, cancers = ends.counts(weights)
        free = ends.free(at_risk, cancers)[before]
        uncensored = ends.uncensored(at_risk, cancers)
        reaching = np.append(at_risk, 0.0)[before]
        weigh = over(weights[ends.sick], uncensored[ends.sick_time + 1])
        total = np.where((reaching > 0) | (free == 0), weights.sum(), np.nan)
        scores = (weigh @ missed + over(weights @ alarmed, uncensored[before])) / total
        shares = weigh @ found * free**2 + over(reaching, uncensored[before]) * (1 - free) ** 2
        scaled = 1 - scores / np.where(shares > 0, shares / total, np.nan)
        whole = [np.trapezoid(scores[:last]) / (last - 1)] if last > 1 else []
        return np.concatenate([scores, scaled, whole])

    return statistic
