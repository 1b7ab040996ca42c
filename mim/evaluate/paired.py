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
from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.figures import ClosedForm

TANGO = "Tango"
MCNEMAR = "McNemar"
MCNEMAR_EXACT = "McNemar, exact"
EXACT_BELOW = 25
"""Discordant rows below which McNemar's test is the exact binomial one."""

_QUANTILE = float(norm.ppf(0.975))


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
class PairedTest:
    """A two-sided test of no difference.

    Attributes:
        p_value: 0 to 1; missing without rows.
        name: which test.
    """

    p_value: float | None
    name: str


@dataclass(frozen=True)
class NonInferiority:
    """Whether the first call is not inferior to the second.

    Attributes:
        margin: what the first may lack in the share right, as a share.
        p_value: one-sided, of a lack of the margin or more; missing without rows.
        shown: the p-value is below 0.025, or, what is the same, the lower end of Tango's 95 %
            interval of the difference lies above minus the margin.
    """

    margin: float
    p_value: float | None
    shown: bool


@dataclass(frozen=True)
class EqualPoint:
    """Where a model is as specific, or as sensitive, as a reader.

    Attributes:
        threshold: selected is ``score >= threshold``; it lies halfway between the lowest selected
            score and the next lower one. NaN where there is nothing to be equal in.
        selected: ``[row]``, the rows that the model selects.
        sensitivity: the model's, 0 to 1; NaN without cancers, as the reader's.
        specificity: the model's, 0 to 1; NaN without other rows, as the reader's.
        reader_sensitivity: the reader's.
        reader_specificity: the reader's.
        surplus: by how much the model is above the reader in what should be equal, since rows with
            equal scores are never split. 0 without such ties.
    """

    threshold: float
    selected: Bools
    sensitivity: float
    specificity: float
    reader_sensitivity: float
    reader_specificity: float
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


def mcnemar(pairs: Pairs) -> PairedTest:
    """McNemar's test (1947, doi 10.1007/BF02295996).

    Exact binomial with fewer than 25 discordant rows, else chi-squared without a correction for
    continuity. The exact test is cautious: it may find nothing where Tango's interval leaves 0 out.
    """
    discordant = pairs.only_one + pairs.only_other
    name = MCNEMAR_EXACT if discordant < EXACT_BELOW else MCNEMAR
    if not pairs.n:
        return PairedTest(None, name)
    if not discordant:
        return PairedTest(1.0, name)
    if discordant < EXACT_BELOW:
        return PairedTest(float(binomtest(pairs.only_one, discordant).pvalue), name)
    squared = (pairs.only_one - pairs.only_other) ** 2 / discordant
    return PairedTest(float(chi2.sf(squared, 1)), name)


def difference_interval(pairs: Pairs) -> ClosedForm | None:
    """Tango's 95 % score interval of the difference; None without rows."""
    if not pairs.n:
        return None
    flipped = Pairs(pairs.both, pairs.only_other, pairs.only_one, pairs.neither)
    return ClosedForm(_lower(pairs), -_lower(flipped), TANGO)


def non_inferiority(pairs: Pairs, margin: float) -> NonInferiority:
    """Tango's score test that the first lacks less than a margin, one-sided at 2.5 %.

    Args:
        pairs: such as those of ``paired_sensitivity`` at equal specificity.
        margin: the share that it may lack, above 0 and below 1, such as 0.05.

    Raises:
        InputError: the margin is not such a share.
    """
    if not 0 < margin < 1:
        raise InputError(f"margin: {margin} is not above 0 and below 1; give a share such as 0.05")
    if not pairs.n:
        return NonInferiority(margin, None, False)
    excess, error = _score(pairs, -margin)
    p_value = float(norm.sf(excess / error))
    return NonInferiority(margin, p_value, p_value < 0.025)


def equal_specificity(scores: Floats, cancer: Bools, positive: Bools) -> EqualPoint:
    """The lowest threshold at which a model is at least as specific as a reader.

    So as many rows are selected as that allows, rows with equal scores together or not at all.

    Args:
        scores: ``[row]``, without NaN; higher is more suspect.
        cancer: ``[row]``, which rows have one.
        positive: ``[row]``, the reader's calls.
    """
    others = np.sort(scores[~cancer])[::-1]
    allowed = int(positive[~cancer].sum())
    selected = np.ones(len(scores), dtype=np.bool_)
    if allowed < len(others):
        selected = scores > others[allowed]
    return _point(scores, cancer, positive, selected, among=~cancer)


def equal_sensitivity(scores: Floats, cancer: Bools, positive: Bools) -> EqualPoint:
    """The highest threshold at which a model is at least as sensitive as a reader.

    So as few rows are selected as that allows; for the rest as ``equal_specificity``.
    """
    cancers = np.sort(scores[cancer])[::-1]
    wanted = int(positive[cancer].sum())
    selected = np.zeros(len(scores), dtype=np.bool_)
    if wanted:
        selected = scores >= cancers[wanted - 1]
    return _point(scores, cancer, positive, selected, among=cancer)


def _point(
    scores: Floats, cancer: Bools, positive: Bools, selected: Bools, among: Bools
) -> EqualPoint:
    """What is selected, against a reader, where both should select equally many of some rows."""
    if not among.any():
        selected = np.zeros(len(scores), dtype=np.bool_)
    return EqualPoint(
        threshold=_threshold(scores, selected) if among.any() else float("nan"),
        selected=selected,
        sensitivity=_share(selected[cancer]),
        specificity=_share(~selected[~cancer]),
        reader_sensitivity=_share(positive[cancer]),
        reader_specificity=_share(~positive[~cancer]),
        surplus=abs(_share(selected[among]) - _share(positive[among])),
    )


def _share(rows: Bools) -> float:
    return float(rows.mean()) if len(rows) else float("nan")


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
        return excess - _QUANTILE * error

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
