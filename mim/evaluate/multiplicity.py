"""P-values corrected for looking many times."""

import numpy as np

from mim.evaluate.bootstrap import Floats


def holm(p_values: Floats) -> Floats:
    """P-values ``[test]`` by Holm (1979, www.jstor.org/stable/4615733).

    Among those at most 0.05 there is a false one with a chance of at most 5 %, however the tests
    hang together. NaN stays NaN and counts as no test.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    left = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1.0)
    return adjusted
