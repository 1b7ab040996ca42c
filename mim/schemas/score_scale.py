"""What an exam's score means among the exams of a screening programme: its scale.

``mim.evaluate.scale`` fits it on reference exams, a bundle stores it, hospital and report read it
by the same code: this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HIGHEST = 10
"""Of the scale; the highest tenth of the reference exams has it as its exam score."""

CERTAIN = 1e-9
"""Log odds are those of scores at least this far from 0 and 1."""


def log_odds(share: Floats) -> Floats:
    """Log odds ``[row]`` of shares, those of 0 and 1 taken for very nearly so."""
    said = np.clip(share, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(said / (1 - said)), np.float64)


@dataclass(frozen=True)
class Level:
    """How the scores lie of all reference exams, of one maker's, or of one software version's.

    Attributes:
        exams: reference exams of it.
        cancers: those among them known to have a cancer.
        scores: exam scores, rising.
        ranks: share of exams below each of them, and half of those equal to it, rising.
        thresholds: for each selection rate of the scale, the exam score from which an exam is
            selected.
        intercept: what is added to the log odds of a cancer.
    """

    exams: int
    cancers: int
    scores: list[float]
    ranks: list[float]
    thresholds: list[float]
    intercept: float


class Reading(NamedTuple):
    """Exams read on a scale."""

    scale: Floats
    """``[exam]``, above 0 to 10."""
    score_10: npt.NDArray[np.int64]
    """``[exam]``, 1 to 10."""
    probability: Floats | None
    """``[exam]``, of a cancer found at the exam or before the next one; None where none was fitted."""
    selected: npt.NDArray[np.bool_]
    """``[exam, rate]``"""


@dataclass(frozen=True)
class ScoreScale:
    """A scale of exam scores; ``dataclasses.asdict`` gives its JSON.

    Attributes:
        selection_rates: shares of exams that ``Level.thresholds`` select.
        whole: all reference exams.
        makers: those of each maker with enough of them, drawn towards the whole.
        software: by maker and machine (model and software version), drawn towards the maker's.
        intercept: of log odds(cancer) = intercept + slope x log odds(score); missing: no probability.
        slope: above 0.
        reason: why there is no probability.
        reference: what the reference exams are, in counts.
    """

    selection_rates: list[float]
    whole: Level
    makers: dict[str, Level]
    software: dict[str, dict[str, Level]]
    intercept: float | None
    slope: float | None
    reason: str | None
    reference: dict[str, Any]

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "ScoreScale":
        """The scale of what ``dataclasses.asdict`` gave."""
        makers = {maker: Level(**level) for maker, level in said["makers"].items()}
        software = {
            maker: {machine: Level(**level) for machine, level in machines.items()}
            for maker, machines in said["software"].items()
        }
        return cls(
            **said | {"whole": Level(**said["whole"]), "makers": makers, "software": software}
        )

    def level(self, maker: str | None, machine: str | None) -> Level:
        """The level that an exam is read on: its machine's, else its maker's, else the whole."""
        return self.software.get(maker or "", {}).get(
            machine or "", self.makers.get(maker or "", self.whole)
        )

    def read(
        self, score: Floats, maker: Sequence[str | None], machine: Sequence[str | None]
    ) -> Reading:
        """Exams on this scale, each by its maker and machine.

        Within one level a higher score has no lower scale and a higher probability. Beyond the
        scores that were seen the scale stays where it is.

        Args:
            score: ``[exam]``, 0 to 1.
            maker: ``[exam]``, values of ``Maker``; None: unknown.
            machine: ``[exam]``, model and software version as in the cohort; None: unknown.
        """
        scale = np.empty(len(score))
        odds = np.empty(len(score))
        selected = np.empty((len(score), len(self.selection_rates)), np.bool_)
        rows: dict[tuple[str | None, str | None], list[int]] = {}
        for row, made in enumerate(zip(maker, machine, strict=True)):
            rows.setdefault(made, []).append(row)
        for made, members in rows.items():
            level = self.level(*made)
            hers = score[members]
            scale[members] = HIGHEST * np.interp(hers, level.scores, level.ranks)
            odds[members] = self.log_odds(hers, level)
            selected[members] = hers[:, None] >= np.array(level.thresholds)
        # Rounded, so that 3 stays 3.
        tenth = np.ceil(scale.round(9)).clip(1, HIGHEST).astype(np.int64)
        probability = None if self.slope is None else 1 / (1 + np.exp(-odds))
        return Reading(scale, tenth, probability, selected)

    def as_whole(self, score: Floats, level: Level) -> Floats:
        """Scores ``[exam]`` of a level as the scores of equal rank among all reference exams.

        A line of straight pieces from (0, 0) to (1, 1) that always rises.
        """
        whole = np.interp(level.ranks, self.whole.ranks, self.whole.scores)
        own, theirs = [0.0], [0.0]
        for here, there in zip(level.scores, whole.tolist(), strict=True):
            if own[-1] < here < 1 and theirs[-1] < there < 1:
                own.append(here)
                theirs.append(there)
        return np.interp(score, [*own, 1.0], [*theirs, 1.0])

    def log_odds(self, score: Floats, level: Level) -> Floats:
        """Log odds ``[exam]`` of a cancer, of scores of a level; NaN where none were fitted."""
        if self.slope is None or self.intercept is None:
            return np.full(len(score), np.nan)
        said = log_odds(self.as_whole(score, level))
        return level.intercept + self.intercept + self.slope * said
