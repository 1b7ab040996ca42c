"""Thresholds at the selection rates of a screening programme.

One rule holds here and in ``mim.evaluate.ranked``: exams are taken from the highest score
downwards, exams with equal scores together or not at all, and never more than the wanted share.
So with ties, or few exams, fewer than the wanted share are selected.
"""

from dataclasses import dataclass

import numpy as np

from mim.evaluate.bootstrap import Bools, Floats


@dataclass(frozen=True)
class Threshold:
    """The exam score from which an exam is selected; ``dataclasses.asdict`` gives its JSON.

    Attributes:
        selection_rate: wanted share of exams, at most.
        threshold: selected is ``exam score >= threshold``. It lies halfway between the lowest
            selected score and the next lower one, so that rounding moves no exam across. Where
            none can be selected it lies just above the highest score.
        exams: validation exams with a score.
        selected: how many of them are selected.
        share_selected: the share of them, or of the programme's where they stand for it by weights.
    """

    selection_rate: float
    threshold: float
    exams: int
    selected: int
    share_selected: float


def groups_within(cumulative: Floats, rate: float) -> int:
    """How many of the highest groups of equal scores stay within a selection rate.

    Args:
        cumulative: ``[group]``, highest score first: exams (or their weight) up to each group.
        rate: share of all exams, 0 to 1.
    """
    # A share such as 0.111 x 1000 may come out a hair below the whole number it means.
    allowed = rate * cumulative[-1] * (1 + 1e-12)
    return int(np.searchsorted(cumulative, allowed, side="right"))


def highest_share(scores: Floats, rate: float) -> Bools:
    """The exams ``[row]`` that the rule selects at a rate."""
    values, counts = np.unique(scores, return_counts=True)
    groups = groups_within(np.cumsum(counts[::-1]).astype(np.float64), rate)
    return scores >= values[-groups] if groups else np.zeros(len(scores), dtype=np.bool_)


def threshold_at(scores: Floats, weights: Floats, rate: float) -> Threshold:
    """The threshold at a selection rate of exams ``[row]`` that count by their weights ``[row]``."""
    values, place = np.unique(scores, return_inverse=True)
    highest_first = len(values) - 1 - place
    cumulative = np.cumsum(np.bincount(highest_first, weights, len(values)).astype(np.float64))
    groups = groups_within(cumulative, rate)
    return Threshold(
        selection_rate=rate,
        threshold=_between(values[::-1], groups),
        exams=len(scores),
        selected=int((highest_first < groups).sum()),
        share_selected=float(cumulative[groups - 1] / cumulative[-1]) if groups else 0.0,
    )


def _between(values: Floats, groups: int) -> float:
    if groups == 0:
        return float(np.nextafter(values[0], np.inf))
    lowest = values[groups - 1]
    below = values[groups] if groups < len(values) else 0.0
    middle = (lowest + below) / 2
    return float(middle if middle > below else lowest)
