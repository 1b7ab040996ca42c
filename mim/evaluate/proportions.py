"""Closed-form 95 % intervals of a share: sensitivity, specificity, share selected, cancers per 1,000."""

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from mim.evaluate.bootstrap import NORMAL_95, Bools, Floats, Ints
from mim.evaluate.figures import ClosedForm

WILSON = "Wilson"
WILSON_BY_WOMAN = "Wilson, effective number"
EXACT = "Clopper-Pearson"


def wilson(found: int, n: int) -> ClosedForm | None:
    """Wilson's score interval (1927, doi 10.1080/01621459.1927.10502953); None where n is 0.

    It holds the truth in about 95 %, in the mean over true shares (Newcombe 1998, doi
    10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E). Larsen 2022 gives it.

    Args:
        found: rows counted, such as cancers selected, 0 to ``n``.
        n: rows in all, one for each woman; else see ``wilson_by_woman``.
    """
    return _wilson(found / n, n, WILSON) if n else None


def exact(found: int, n: int) -> ClosedForm | None:
    """Clopper and Pearson's interval (1934, doi 10.1093/biomet/26.4.404); None where n is 0.

    It holds the truth in 95 % or more whatever the truth is, so it is wider than Wilson's.

    Args:
        found: rows counted, 0 to ``n``.
        n: rows in all, one for each woman.
    """
    if not n:
        return None
    low = float(beta.ppf(0.025, found, n - found + 1)) if found else 0.0
    return ClosedForm(low, float(upper_bound(found, n, 0.975)), EXACT)


def upper_bound(found: Ints | int, n: Ints | int, confidence: float) -> Floats:
    """Clopper and Pearson's one-sided upper bounds ``[...]`` of shares; 1 where nothing is known.

    Args:
        found: ``[...]``, rows counted, such as cancers missed, 0 to ``n``.
        n: ``[...]``, rows in all, one for each woman.
        confidence: the least chance that the truth lies at or below the bound, such as 0.95.
    """
    rest = np.subtract(n, found)
    bounds = beta.ppf(confidence, np.add(found, 1), np.maximum(rest, 1))
    return np.asarray(np.where(rest > 0, bounds, 1.0), np.float64)


def wilson_by_woman(found: Bools, women: npt.NDArray[np.generic]) -> ClosedForm | None:
    """Wilson's interval with rows counted for what they tell; None without rows.

    Rows of one woman are alike, so n rows tell as much as n over the design effect independent
    ones (Rao and Scott 1992, doi 10.2307/2532311): the variance of the share with rows taken by
    woman over that with rows taken singly. Never more than n, and with one row for each woman just
    n. Where all rows are found, or none, likeness cannot be seen, and a woman's rows count as
    wholly alike (Kish 1965: n² over the sum of the women's squared numbers of rows).

    Args:
        found: ``[row]``, which rows are counted.
        women: ``[row]``, the woman of each row, as numbers or text.
    """
    if not len(found):
        return None
    n = len(found)
    share = float(found.mean())
    _, woman, rows = np.unique(women, return_inverse=True, return_counts=True)
    if len(rows) == n:
        return wilson(int(found.sum()), n)
    rest = np.subtract(found, share, dtype=np.float64)
    return _wilson(share, _effective(rest, woman, rows), WILSON_BY_WOMAN)


def _effective(rest: Floats, woman: npt.NDArray[np.intp], rows: npt.NDArray[np.intp]) -> float:
    """The number of independent rows that tell as much.

    Args:
        rest: ``[row]``, found or not, less the share found.
        woman: ``[row]``, from 0 on.
        rows: ``[woman]``, how many rows she has.
    """
    n = len(rest)
    alike = n**2 / float((rows**2).sum())
    if len(rows) == 1 or not rest.any():
        return alike
    by_woman = float((np.bincount(woman, rest) ** 2).sum()) * len(rows) / (len(rows) - 1)
    singly = float((rest**2).sum()) * n / (n - 1)
    return n / max(by_woman / singly, 1.0)


def _wilson(share: float, n: float, name: str) -> ClosedForm:
    squared = NORMAL_95**2
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + squared / (4 * n**2)) / (1 + squared / n)
    # Rounding would leave a hair below 0 of none, and above 1 of all.
    low = 0.0 if share == 0 else float(middle - half)
    high = 1.0 if share == 1 else float(middle + half)
    return ClosedForm(low, high, name)
