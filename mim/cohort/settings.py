"""Settings of outcomes, priors and splits."""

from dataclasses import dataclass, field

from mim.vocab import Reason


@dataclass
class OutcomeSettings:
    screen_detected_days: int = 183
    """A cancer this soon after an exam that led to recall counts as found by it."""
    interval_days: int = 731
    """The screening interval, unless the next exam ends it sooner. A cancer in it that no exam found is an interval cancer. Norway screens every two years."""
    clear_days: int = 365
    """A breast whose cancer comes after the next exam is a negative only if it was free of cancer this long; sooner, its label is missing."""
    registry_date: str | None = None
    """Day up to which the cancer registry is complete, YYYY-MM-DD; missing: the latest diagnosis or end of follow-up in it."""


@dataclass
class PriorSettings:
    most: int = 1
    """Priors kept for each exam, newest first."""
    least_gap_months: float = 6.0
    """An exam nearer than this is no prior."""
    same_exam_days: int = 7
    """Exams of a woman this soon after her first of them are the same examination, done again or sent as two studies."""


@dataclass
class SplitSettings:
    validation: float = 0.15
    """Share of women for choosing checkpoints and thresholds."""
    test: float = 0.25
    """Share of women never looked at while training."""
    salt: int = 0
    """Another number gives another division."""
    best_of: int = 1
    """Salts tried, from `splits.salt` on; the one that spreads outcomes and makers most evenly is taken and named, to be given as `splits.salt` from then on."""
    folds: int = 0
    """Women are divided into this many folds; 0: none. The test women are then those of `splits.fold`."""
    fold: int = 1
    """Fold whose women are the test women, from 1."""
    held_out_maker: str | None = None
    """Every woman with an exam of this maker is a test woman."""
    held_out_site: str | None = None
    """Every woman with an exam at this site is a test woman."""
    held_out_from: str | None = None
    """Day, YYYY-MM-DD: exams from then on are scored in test women and left out in others; the test women's exams before are priors only."""
    from_registry: bool = False
    """Take the division that the registry's column exams.given_split gives, and no other."""


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
    mirai_csv: bool = False
    """Write mirai.csv too: a row for each image, with the columns that Mirai reads."""
