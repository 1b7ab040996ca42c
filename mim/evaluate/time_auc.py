"""How well risks tell those with a cancer within some years from those free of it for as long."""

import numpy as np

from mim.evaluate.bootstrap import Floats, Statistic
from mim.evaluate.survival import Ends, Followed, over, running_sums


def auc_within(risk: Floats, followed: Followed) -> Statistic:
    """AUC within 1, 2, ... years, cumulative and dynamic, under censoring; figures ``[year]``.

    Of all pairs of a row with a cancer before year k and a row known to be free of it for k years:
    the share in which the former's risk within k years is higher, a tie counting one half (Uno
    2007, doi 10.1198/016214507000000149; Hung and Chiang 2010, doi 10.1002/cjs.10046). A cancer at
    t stands for 1 / G(t) cancers, G as in ``concordance``: as many as would be seen if nobody's
    follow-up ended. Rows whose follow-up ends before year k are in no pair. NaN where no cancer
    came or nobody was followed for k years.

    Args:
        risk: ``[row, year]``, probability of a cancer within 1, 2, ... years.
        followed: the rows.
    """
    ends = Ends(followed)
    time = ends.times[ends.sick_time]
    years = []
    for year, foretold in enumerate(risk.T, 1):
        cases = np.flatnonzero(time < year)
        others = np.flatnonzero(followed.end >= year)
        others = others[np.argsort(foretold[others], kind="stable")]
        levels = foretold[ends.sick[cases]]
        sums, (below, not_above) = running_sums(
            others,
            np.searchsorted(foretold[others], levels, "left"),
            np.searchsorted(foretold[others], levels, "right"),
        )
        years.append((cases, others, below, not_above, sums))

    def statistic(weights: Floats) -> Floats:
        uncensored = ends.uncensored(*ends.counts(weights))[ends.sick_time + 1]
        weigh = over(weights[ends.sick], uncensored)
        figures = []
        for cases, others, below, not_above, sums in years:
            pairs = weigh[cases].sum() * weights[others].sum()
            lower = sums(weights)
            half = weigh[cases] @ (lower[below] + lower[not_above]) / 2
            figures.append(half / pairs if pairs else np.nan)
        return np.array(figures)

    return statistic
