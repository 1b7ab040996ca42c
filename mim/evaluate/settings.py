"""Settings of the evaluation."""

from dataclasses import dataclass


@dataclass
class EvaluateSettings:
    resamples: int = 2000
    """Bootstrap resamples of women behind every interval."""
    seed: int = 1
    """Seed of the bootstrap."""
