"""Settings of the one recipe."""

from dataclasses import dataclass


@dataclass
class RecipeSettings:
    height: int = 2048
    """Rows of the model's input."""
    width: int = 1024
    """Columns of the model's input; the chest wall lies at column 0."""
