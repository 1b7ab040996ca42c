"""How far exams lie from reference exams, and whether chance goes so far."""

import numpy as np
import numpy.typing as npt
from scipy.stats import beta as beta_law
from scipy.stats import betabinom, chi2_contingency

from mim.evaluate.bootstrap import Floats
from mim.schemas.monitored import Spread

LARGE = 0.2
"""Population stability index from which a shift counts as large (Siddiqi 2006 has 0.25, and some
shift from 0.1 on; practice has 0.2)."""

ADDED = 0.5
"""Exams added to each bin, so that an empty one has a logarithm."""


def stability_index(values: Floats, reference: Spread) -> float:
    """The population stability index of values ``[exam]``, 0 or more: 0 where they lie alike.

    The sum over bins of (p - q) ln(p / q), where p and q are the bin's shares of the exams and of the
    reference ones, each with half an exam more in every bin (Siddiqi 2006, Credit Risk Scorecards,
    ISBN 978-0-471-75451-0; it is Jeffreys' divergence, 1946, doi 10.1098/rspa.1946.0056).
    """
    bins = len(reference.shares)
    counts = np.bincount(bin_of(values, reference.edges), minlength=bins)
    here = (counts + ADDED) / (len(values) + ADDED * bins)
    there = (np.array(reference.shares) * reference.exams + ADDED) / (
        reference.exams + ADDED * bins
    )
    return float(((here - there) * np.log(here / there)).sum())


def bin_of(values: Floats, edges: list[float]) -> npt.NDArray[np.intp]:
    """The bin ``[exam]`` of each value, from 0 on; one at an edge is in the bin above it."""
    return np.asarray(np.searchsorted(edges, values, side="right"), np.intp)


def spread_chance(values: Floats, reference: Spread) -> float:
    """Chance that values ``[exam]`` lie as far from the reference where nothing has changed.

    Pearson's chi-squared test that exams and reference exams fall into the bins alike (1911, doi
    10.1093/biomet/8.1-2.250). The index itself, over 1 / n + 1 / N, follows the same law where exams
    are many (Yurdakul and Naranjo 2020, doi 10.21314/JRMV.2020.227), yet an empty bin has it run
    ahead: of 100 exams beside 400 it goes where it should once in 10,000 times 2.8 times as often,
    Pearson's 0.5 times (a million draws).
    """
    bins = len(reference.shares)
    counts = np.bincount(bin_of(values, reference.edges), minlength=bins)
    both = np.stack([counts, np.array(reference.shares) * reference.exams])
    occupied = both[:, both.sum(0) > 0]
    return float(chi2_contingency(occupied, correction=False).pvalue)


def selection_chance(selected: int, exams: int, share: float, reference_exams: float) -> float:
    """Chance of a number as far off, on either side, where the share selected has not changed.

    The share is known from reference exams alone, so it is itself spread: by a beta law with half an
    exam added to those selected and to the others (Jeffreys), and the number by a beta-binomial one.
    A threshold that is the m-th highest of N scores selects a share that follows a beta law of m and
    N - m + 1 whatever the scores.
    """
    law = (exams, *_beta(share, reference_exams))
    tail = min(betabinom.cdf(selected, *law), betabinom.sf(selected - 1, *law))
    return min(2 * float(tail), 1.0)


def expected_share(share: float, reference_exams: float) -> tuple[float, float]:
    """95 % interval of the share that thresholds select, as the reference exams tell (Jeffreys)."""
    low, high = beta_law.ppf((0.025, 0.975), *_beta(share, reference_exams)).tolist()
    return low, high


def _beta(share: float, exams: float) -> tuple[float, float]:
    return share * exams + 0.5, (1 - share) * exams + 0.5
