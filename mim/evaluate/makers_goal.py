"""Whether a method holds on makers never seen: what it loses, and what its thresholds select.

Judged by intervals, with three outcomes: the goal is reached where every one lies within its bound,
missed where one lies wholly beyond, and open between. All intervals have to agree before a goal
counts as reached, so looking at many makers and rates makes that no likelier (the intersection-union
test: Berger 1982, doi 10.1080/00401706.1982.10487790); it makes a miss likelier.
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
    """What figures and their intervals say of a bound."""

    REACHED = "reached"
    WITHIN = "open, the figure is within"
    BEYOND = "open, the figure is beyond"
    MISSED = "missed"
    UNKNOWN = "not known"

    @property
    def outcome(self) -> str:
        """In a word: reached, open, missed or not known."""
        return self.value.partition(",")[0]


WORST_FIRST = (Judged.MISSED, Judged.UNKNOWN, Judged.BEYOND, Judged.WITHIN, Judged.REACHED)
"""Of two parts of a goal the one that settles it."""


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
        loses_little: AUC, by both differences.
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
    def goal(self) -> Judged:
        """Whether it reaches the goal: by the worse of the two parts."""
        return min(self.loses_little, self.selects_right, key=WORST_FIRST.index)

    def facts(self) -> dict[str, object]:
        """For ``metrics.json``."""
        return {
            "method": self.method,
            "goal": str(self.goal),
            "loses_little": str(self.loses_little),
            "selects_right": str(self.selects_right),
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
    """Whether all figures lie within bounds, and their intervals."""
    known = [(e.value, e.low, e.high) if e else (None, None, None) for e in found]
    # What is missing is NaN, of which nothing is true.
    value, first, last = np.array(known, np.float64).reshape(-1, 3).T
    if ((last < low) | (first > high)).any():
        return Judged.MISSED
    if not len(value) or np.isnan(value).any():
        return Judged.UNKNOWN
    if ((value < low) | (value > high)).any():
        return Judged.BEYOND
    return Judged.REACHED if ((low <= first) & (last <= high)).all() else Judged.WITHIN


def _facts(worst: Worst | None) -> dict[str, object] | None:
    if worst is None:
        return None
    found = worst.estimate
    ends = {"ratio": found.value, "low": found.low, "high": found.high}
    return {"maker": worst.maker, "selection_rate": worst.rate, **ends}
