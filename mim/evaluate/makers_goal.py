"""Whether a method holds on makers never seen: what it loses, and what its thresholds select.

Both are judged by the figures, and the interval says how sure that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mim.evaluate.bootstrap import Estimate
from mim.evaluate.makers_figures import DIFFERENCE, FROM_BEST, IN_DOMAIN, UNSEEN
from mim.evaluate.makers_table import MakerFigures
from mim.vocab import SELECTION_RATES

MOST_LOST = 0.02
"""AUC that an unseen maker may lose."""

FACTOR = 1.5
"""By which the share selected may be off the wanted one, up or down."""


class Judged(StrEnum):
    """What a figure and its interval say of a bound."""

    SURELY = "yes, and so says the whole interval"
    YES = "yes, but the interval reaches beyond"
    NO = "no, but the interval leaves it open"
    SURELY_NOT = "no, and so says the whole interval"
    UNKNOWN = "not known"

    @property
    def holds(self) -> bool:
        """Whether the figure itself is within the bound."""
        return self in (Judged.SURELY, Judged.YES)


@dataclass(frozen=True)
class Worst:
    """The maker and rate whose share selected is farthest from the wanted one, as a ratio."""

    maker: str
    rate: float
    estimate: Estimate


@dataclass(frozen=True)
class Verdict:
    """How one method stands to the goal.

    Attributes:
        method: its name.
        own: unseen AUC less its own in-domain AUC, mean over makers.
        best: unseen AUC less the highest in-domain AUC of any method.
        worst: of the unseen makers and rates; chosen for being worst, so it looks worse than it is;
            None: no run has thresholds.
        control: the same of the runs that have seen all makers: what chance alone does.
        loses_little: AUC, by the worse of the two differences.
        selects_right: the worst of the unseen makers and rates.
    """

    method: str
    own: Estimate | None
    best: Estimate | None
    worst: Worst | None
    control: Worst | None
    loses_little: Judged
    selects_right: Judged

    @property
    def holds(self) -> bool:
        """Whether its figures reach the goal."""
        return self.loses_little.holds and self.selects_right.holds

    def facts(self) -> dict[str, object]:
        """For ``metrics.json``."""
        return {
            "method": self.method,
            "holds": self.holds,
            "loses_at_most_0.02": str(self.loses_little),
            "selects_within_1.5": str(self.selects_right),
            "worst_unseen": _facts(self.worst),
            "worst_in_domain": _facts(self.control),
        }


def verdicts(found: MakerFigures) -> list[Verdict]:
    """One for each method; only makers with enough cancers are judged."""
    return [_verdict(found, method) for method in found.methods]


def _verdict(found: MakerFigures, method: str) -> Verdict:
    own, best = (
        figure.estimate if (figure := found.of(name, method)) else None
        for name in (f"auc_{DIFFERENCE}", FROM_BEST)
    )
    unseen, control = (_ratios(found, method, side) for side in (UNSEEN, IN_DOMAIN))
    return Verdict(
        method,
        own,
        best,
        _worst(unseen),
        _worst(control),
        _within([own, best], -MOST_LOST, np.inf),
        _within([one.estimate for one in unseen], 1 / FACTOR, FACTOR),
    )


def _ratios(found: MakerFigures, method: str, side: str) -> list[Worst]:
    """The ratio of every maker judged at every rate."""
    figures = [
        found.of(f"selection_ratio_{side}", method, maker, rate=rate)
        for maker in found.judged
        for rate in SELECTION_RATES
    ]
    return [Worst(f.maker, f.rate, f.estimate) for f in figures if f and f.rate is not None]


def _worst(ratios: Sequence[Worst]) -> Worst | None:
    """The one farthest from 1, up or down; None where none is known."""
    known = [one for one in ratios if one.estimate.value is not None]
    return max(known, key=lambda one: _off(one.estimate.value or 0.0), default=None)


def _off(ratio: float) -> float:
    """How far a ratio is from 1: as 2 is, so is a half; none selected is farthest."""
    return abs(float(np.log(ratio))) if ratio > 0 else float("inf")


def _within(found: Sequence[Estimate | None], low: float, high: float) -> Judged:
    """Whether all figures lie within bounds; if one does not, whether its interval says so too."""
    known = [(e.value, e.low, e.high) if e else (None, None, None) for e in found]
    # What is missing is NaN, of which nothing is true.
    value, first, last = np.array(known, np.float64).reshape(-1, 3).T
    beyond = (value < low) | (value > high)
    if beyond.any():
        surely = (last[beyond] < low) | (first[beyond] > high)
        return Judged.SURELY_NOT if surely.any() else Judged.NO
    if not len(value) or np.isnan(value).any():
        return Judged.UNKNOWN
    return Judged.SURELY if ((low <= first) & (last <= high)).all() else Judged.YES


def _facts(worst: Worst | None) -> dict[str, object] | None:
    if worst is None:
        return None
    found = worst.estimate
    ends = {"ratio": found.value, "low": found.low, "high": found.high}
    return {"maker": worst.maker, "selection_rate": worst.rate, **ends}
