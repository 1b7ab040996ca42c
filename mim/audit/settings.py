"""Settings of audits."""

from dataclasses import dataclass


@dataclass
class AuditSettings:
    least_correlation: float = 0.8
    """Two images are near-duplicates where their fine structure correlates at least so much."""
    examples: int = 20
    """Examples that each finding names."""
