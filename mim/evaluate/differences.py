"""Differences of two on the same rows: closed forms, p-values corrected together, and their words."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from mim.evaluate.bootstrap import Estimate, Floats
from mim.evaluate.figures import ClosedForm, Figure
from mim.evaluate.multiplicity import holm
from mim.evaluate.paired import Pairs, difference_interval, mcnemar


def less(one: str, other: str) -> str:
    """What a difference is of."""
    return f"{one} less {other}"


def paired_calls(
    pairs: Pairs, women: npt.NDArray[np.generic]
) -> tuple[ClosedForm | None, float | None]:
    """Tango's interval and McNemar's p-value; neither where a woman has more than one row.

    Args:
        pairs: the rows by which call is right.
        women: ``[row]``, the woman of each.
    """
    if len(np.unique(women)) < len(women):
        return None, None
    return difference_interval(pairs), mcnemar(pairs)


def p_by_resamples(found: Estimate, drawn: Floats) -> float | None:
    """The p-value, two-sided, of no difference; None where there is no interval.

    The normal test of the difference over the standard deviation of its resamples ``[resample]``. As
    a threshold is found anew in each of them, the test knows of its spread, which McNemar's does not.
    Of 1,000 made-up samples (2,000 of the last) in which a model finds as many cancers as a reader
    at her specificity of 90 %, so many in per cent had p at most 0.05::

        cancers, others    this test    McNemar's
             20, 2,000           5.1          0.4
             50, 3,000           5.9          2.4
             30,   500           5.0          1.6
            150,   500           4.6         10.6
    """
    if found.value is None or found.low is None:
        return None
    return float(2 * norm.sf(abs(found.value) / np.nanstd(drawn, ddof=1)))


def corrected(figures: Sequence[Figure]) -> list[Figure]:
    """The figures with all their p-values corrected together (Holm)."""
    adjusted = holm(np.array([np.nan if f.p_value is None else f.p_value for f in figures]))
    return [
        replace(figure, p_adjusted=None if np.isnan(p) else float(p))
        for figure, p in zip(figures, adjusted, strict=True)
    ]


def multiplicity_words(figures: Sequence[Figure]) -> str:
    """How many differences were looked at, how many were tested, and what remains."""
    tested = [f.p_adjusted for f in figures if f.p_adjusted is not None]
    apart = sum(p <= 0.05 for p in tested)
    return (
        f"{len(figures)} differences were looked at. {len(tested)} of them have a p-value; these are "
        "corrected together (Holm), so that a false one among those at most 0.05 comes with a chance "
        f"of about 5 % at most: {apart} are. Intervals are not corrected: of 100 true differences of none, "
        "about 5 intervals leave it out."
    )


def p_words(p: float | None) -> str:
    """A p-value in a table; a dash where there is none."""
    if p is None:
        return "-"
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def closed_words(closed: ClosedForm | None, scale: float = 1.0, digits: int = 3) -> str:
    """A closed form's interval in a table; a dash where there is none."""
    if closed is None:
        return "-"
    return f"{closed.low * scale:z.{digits}f} to {closed.high * scale:z.{digits}f}"


def value_words(value: float, scale: float = 1.0, digits: int = 3) -> str:
    """A figure without its interval in a table; a dash where it is not defined."""
    return "-" if np.isnan(value) else f"{value * scale:z.{digits}f}"
