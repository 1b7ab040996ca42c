"""Settings of pseudonymised copies."""

from dataclasses import dataclass


@dataclass
class PseudonymiseSettings:
    shift_days: int = 365
    """Dates of a woman move by one number of days, from 1 to this, into the past; 0 keeps dates."""
