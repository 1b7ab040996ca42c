"""Settings of the watch over a bundle in use."""

from dataclasses import dataclass
from enum import StrEnum


class Period(StrEnum):
    """How long exams are gathered before they are compared."""

    month = "month"
    quarter = "quarter"


@dataclass
class MonitorSettings:
    period: Period = Period.month
    """Calendar time over which the exams of one machine are compared with the reference."""
    least_exams: int = 50
    """Exams of one machine that a period needs; those with fewer are counted in its whole time only."""
