"""Settings of the one recipe."""

from dataclasses import dataclass
from enum import StrEnum


class NoWindow(StrEnum):
    """What becomes of an image whose file does not say which values to show."""

    breast_range = "breast_range"
    refuse = "refuse"


class Harmonise(StrEnum):
    """How makers' grey levels are made alike, after the recipe's other steps."""

    voi = "voi"
    landmarks = "landmarks"
    histogram = "histogram"
    tissue = "tissue"


@dataclass
class RecipeSettings:
    height: int = 2048
    """Rows of the model's input."""
    width: int = 1024
    """Columns of the model's input; the chest wall lies at column 0."""
    no_window: NoWindow = NoWindow.breast_range
    """What becomes of an image for presentation that has no VOI LUT and no window, or none that can be used. breast_range: shown from its background to its brightest tissue. refuse: left out for the reason 'no window'."""
