"""Two calls on the same rows: which is more often right, and whether one is not inferior.

Of paired calls only the discordant rows tell, in which one call is right and the other is not. The
interval and the test of non-inferiority are Tango's score ones (1998, doi
10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B), so the test decides just as the
interval does. Both take rows as independent: give one row for each woman. With several rows a
woman, or a threshold that was found on the same rows, the bootstrap over women is the one to trust.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2, norm

from mim.errors import InputError
from mim.evaluate.bootstrap import NORMAL_95, Bools, Floats
from mim.evaluate.figures import ClosedForm

TANGO = "Tango"
EXACT_BELOW = 25
"""Discordant rows below which McNemar's test is the exact binomial one."""


@dataclass(frozen=True)
class Pairs:
    """Rows by whether one call and the other are right.

    Attributes:
        both: rows in which both are.
        only_one: rows in which only the first is.
        only_other: rows in which only the second is.
        neither: rows in which neither is.
    """

    both: int
    only_one: int
    only_other: int
    neither: int

    @property
    def n(self) -> int:
        """Rows in all."""
        return self.both + self.only_one + self.only_other + self.neither

    @property
    def difference(self) -> float:
        """Share right of the first less that of the second, -1 to 1; NaN without rows."""
        return (self.only_one - self.only_other) / self.n if self.n else float("nan")


@dataclass(frozen=True)
class EqualPoint:
    """Where a model is as specific as a reader.

    Attributes:
        threshold: selected is ``score >= threshold``; it lies halfway between the lowest selected
            score and the next lower one. NaN without rows free of cancer.
        selected: ``[row]``, the rows that the model selects.
        specificity: the model's, 0 to 1; NaN without rows free of cancer.
        surplus: by how much that is above the reader's, since rows with equal scores are never
            split. 0 without such ties.
    """

    threshold: float
    selected: Bools
    specificity: float
    surplus: float


def paired_sensitivity(one: Bools, other: Bools, cancer: Bools) -> Pairs:
    """Rows with cancer by whether each call ``[row]`` is positive.

    Args:
        one: positive by the first, mostly a model.
        other: positive by the second, mostly a reader.
        cancer: which rows have one.
    """
    return _pairs(one[cancer], other[cancer])


def paired_specificity(one: Bools, other: Bools, cancer: Bools) -> Pairs:
    """Rows without cancer by whether each call ``[row]`` is negative; as ``paired_sensitivity``."""
    return _pairs(~one[~cancer], ~other[~cancer])


def mcnemar(pairs: Pairs) -> float | None:
    """The p-value, two-sided, of McNemar's test (1947, doi 10.1007/BF02295996); None without rows.

    Exact binomial with fewer than 25 discordant rows, else chi-squared without a correction for
    continuity. The exact test is cautious: it may find nothing where Tango's interval leaves 0 out.
    """
    discordant = pairs.only_one + pairs.only_other
    if not pairs.n:
        return None
    if not discordant:
        return 1.0
    if discordant < EXACT_BELOW:
        return float(binomtest(pairs.only_one, discordant).pvalue)
    squared = (pairs.only_one - pairs.only_other) ** 2 / discordant
    return float(chi2.sf(squared, 1))


def difference_interval(pairs: Pairs) -> ClosedForm | None:
    """Tango's 95 % score interval of the difference; None without rows."""
    if not pairs.n:
        return None
    flipped = Pairs(pairs.both, pairs.only_other, pairs.only_one, pairs.neither)
    return ClosedForm(_lower(pairs), -_lower(flipped), TANGO)


def non_inferiority(pairs: Pairs, margin: float) -> float | None:
    """The p-value, one-sided, of a lack of a margin or more by Tango's score test.

    It is below 0.025 just where the lower end of Tango's 95 % interval of the difference lies above
    minus the margin. None without rows.

    Args:
        pairs: such as those of ``paired_sensitivity`` at equal specificity.
        margin: the share that it may lack, above 0 and below 1, such as 0.05.

    Raises:
        InputError: the margin is not such a share.
    """
    if not 0 < margin < 1:
        raise InputError(f"margin: {margin} is not above 0 and below 1; give a share such as 0.05")
    if not pairs.n:
        return None
    excess, error = _score(pairs, -margin)
    return float(norm.sf(excess / error))


def equal_specificity(scores: Floats, cancer: Bools, positive: Bools) -> EqualPoint:
    """The lowest threshold at which a model is at least as specific as a reader.

    So as many rows are selected as that allows, rows with equal scores together or not at all.

    Args:
        scores: ``[row]``, without NaN; higher is more suspect.
        cancer: ``[row]``, which rows have one.
        positive: ``[row]``, the reader's calls.
    """
    healthy, nothing = ~cancer, float("nan")
    if not healthy.any():
        return EqualPoint(nothing, np.zeros(len(scores), np.bool_), nothing, nothing)
    others = np.sort(scores[healthy])[::-1]
    allowed = int(positive[healthy].sum())
    selected = np.ones(len(scores), dtype=np.bool_)
    if allowed < len(others):
        selected = scores > others[allowed]
    return EqualPoint(
        threshold=_threshold(scores, selected),
        selected=selected,
        specificity=float((~selected[healthy]).mean()),
        surplus=(allowed - int(selected[healthy].sum())) / len(others),
    )


def _threshold(scores: Floats, selected: Bools) -> float:
    """Above the highest score where none is selected, the lowest where all are, else between."""
    if not selected.any():
        return float(np.nextafter(scores.max(), np.inf))
    lowest = float(scores[selected].min())
    if selected.all():
        return lowest
    below = float(scores[~selected].max())
    middle = (lowest + below) / 2
    return middle if middle > below else lowest


def _pairs(one: Bools, other: Bools) -> Pairs:
    return Pairs(
        both=int((one & other).sum()),
        only_one=int((one & ~other).sum()),
        only_other=int((~one & other).sum()),
        neither=int((~one & ~other).sum()),
    )


def _lower(pairs: Pairs) -> float:
    """The lowest difference that the score test at 2.5 % does not rule out."""
    if pairs.only_other == pairs.n:
        return -1.0

    def beyond(difference: float) -> float:
        excess, error = _score(pairs, difference)
        return excess - NORMAL_95 * error

    # Without discordant rows the function is zero at the difference itself, and that is not it.
    return float(brentq(beyond, -1.0, pairs.difference - 1e-12, xtol=1e-13))


def _score(pairs: Pairs, difference: float) -> tuple[float, float]:
    """Rows by which the first is ahead beyond a difference, and their standard error under it."""
    n, ahead, behind = pairs.n, pairs.only_one, pairs.only_other
    # The likeliest share of rows in which only the second is right, if the difference holds.
    linear = (2 * n - ahead + behind) * difference - ahead - behind
    constant = -behind * difference * (1 - difference)
    share = (np.sqrt(linear**2 - 8 * n * constant) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    return ahead - behind - n * difference, float(np.sqrt(max(variance, 0.0)))
