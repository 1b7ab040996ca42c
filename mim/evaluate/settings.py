"""Settings of the evaluation."""

from dataclasses import dataclass, field
from enum import StrEnum


class ScoredPart(StrEnum):
    """The parts of a cohort that can be measured."""

    train = "train"
    validation = "validation"
    test = "test"


@dataclass
class BootstrapSettings:
    resamples: int = 2000
    """Bootstrap resamples of women behind every interval."""
    seed: int = 1
    """Seed of the bootstrap."""


@dataclass
class PrevalenceSettings:
    """What the programme sees, where these exams hold more cancers or fewer (both or neither)."""

    screen_detected_per_1000: float | None = None
    """Exams with a screen-detected cancer per 1,000 of the programme; missing: exams count as they are."""
    interval_per_1000: float | None = None
    """Exams with an interval cancer per 1,000 of the programme."""

    @property
    def given(self) -> bool:
        """Whether exams are to stand for the programme's."""
        return self.screen_detected_per_1000 is not None


@dataclass
class RuleOutSettings:
    """How exams that are surely negative are picked out."""

    missed_at_most: float = 0.02
    """Largest share of cancers that may lie among the exams ruled out."""
    confidence: float = 0.95
    """Chance, over validation data like these, that the share missed keeps that bound."""
    by_maker: bool = False
    """Keep the bound for each maker by itself."""


@dataclass
class EvaluateSettings(BootstrapSettings):
    prevalence: PrevalenceSettings = field(default_factory=PrevalenceSettings)
    rule_out: RuleOutSettings = field(default_factory=RuleOutSettings)
    margin: float = 0.05
    """Sensitivity that a model may lack, at equal specificity, and still be not inferior to readers."""

    single_readers: bool = False
    """Measure every reader by herself too; the page then tells who finds what."""

    def bootstrap(self) -> BootstrapSettings:
        """The part of them that concerns the bootstrap."""
        return BootstrapSettings(self.resamples, self.seed)
