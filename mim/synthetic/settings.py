"""Settings of the made-up screening programme."""

from dataclasses import dataclass


@dataclass
class ProgrammeSettings:
    women: int = 100
    """Women invited."""
    rounds: int = 3
    """Biennial rounds; a woman attends most of them."""
    seed: int = 1
    """Seed of everything; the same seed gives the same bytes."""
    shrink: int = 1
    """Detector matrix divided by this, pixel spacing multiplied by it; 1 is the full detector."""
    cancer_share: float = 0.03
    """Share of women with a cancer found in or after one of their rounds; raise it for a small demo."""
    lookalike_share: float = 0.0
    """Share of women with a benign lesion that looks like a cancer and stays as it is: only a prior tells it from one."""
    software_update: bool = False
    """From 2015 on the Siemens machines run new software, whose processing is brighter and harder."""
    maker_gap: float = 1.0
    """How unlike the makers' processing is: 0 all alike, 1 as the makers are here, 2 far more unlike."""
    workers: int = 0
    """Processes that write images; 0 takes one per core."""
