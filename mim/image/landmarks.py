"""Places in the model's input as places in the stored image: the recipe undone."""

import numpy as np
from numpy.typing import NDArray

from mim.image.recipe import Prepared
from mim.image.settings import RecipeSettings

Points = NDArray[np.float64]


def shares_to_stored(points: Points, prepared: Prepared, recipe: RecipeSettings) -> Points:
    """Where places of one prepared image lie in the stored one.

    Args:
        points: [..., 2], column and row as shares of the input's width and height: 0 the left or
            upper edge, 1 the right or lower one.
        prepared: the image, which knows its crop, its scale and how it was turned.
        recipe: the one it was prepared by.

    Returns:
        [..., 2], column and row, 0 the centre of the stored image's first pixel; outside of the
        image where a place lies beyond its crop.
    """
    top, bottom, left, right = prepared.box
    # What the recipe rounds, and then centres between top and bottom.
    columns = min(recipe.width, max(1, round((right - left) * prepared.scale)))
    rows = min(recipe.height, max(1, round((bottom - top) * prepared.scale)))
    across = points[..., 0] * recipe.width / columns
    down = (points[..., 1] * recipe.height - (recipe.height - rows) // 2) / rows
    across = 1 - across if prepared.mirrored else across
    down = 1 - down if prepared.upside_down else down
    places = (left + across * (right - left), top + down * (bottom - top))
    return np.stack(places, axis=-1) - 0.5
