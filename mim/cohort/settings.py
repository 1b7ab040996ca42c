"""Settings of outcomes, priors and splits."""

from dataclasses import dataclass, field

from mim.vocab import Reason


@dataclass
class OutcomeSettings:
    screen_detected_days: int = 183
    """A cancer this soon after an exam that led to recall counts as found by it."""
    interval_days: int = 731
    """A cancer this soon after an exam, and not found by it, is an interval cancer; a negative breast needs as long a follow-up. Norway screens every two years."""


@dataclass
class PriorSettings:
    most: int = 1
    """Priors kept for each exam, newest first."""
    least_gap_months: float = 6.0
    """An exam nearer than this is the same examination, not a prior."""


@dataclass
class SplitSettings:
    validation: float = 0.15
    """Share of women for choosing checkpoints and thresholds."""
    test: float = 0.25
    """Share of women never looked at while training."""


@dataclass
class StandInSettings:
    synthetic_2d: bool = False
    """A synthetic 2D image stands in where a view has no other."""
    for_processing: bool = False
    """An image for processing stands in where a view has none for presentation."""

    def reasons(self) -> list[Reason]:
        """Reasons of the index that do not keep an image from standing in."""
        accepted = (
            (self.synthetic_2d, Reason.SYNTHETIC_2D),
            (self.for_processing, Reason.FOR_PROCESSING),
        )
        return [reason for wanted, reason in accepted if wanted]


@dataclass
class CohortSettings:
    outcomes: OutcomeSettings = field(default_factory=OutcomeSettings)
    priors: PriorSettings = field(default_factory=PriorSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    stand_ins: StandInSettings = field(default_factory=StandInSettings)
