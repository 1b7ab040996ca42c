"""Landmarks between the stored image and the model's input, as ``mim.image.recipe`` places them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.image.recipe import Prepared
from mim.image.settings import RecipeSettings

MARGIN = 0.02
"""Share of the input's width or height by which a point may lie outside and count as on its edge:
the ends of the pectoral line lie on the edge, and the crop is found to a few pixels."""


def stored_to_shares(
    points: NDArray[np.float64],
    box: NDArray[np.int64],
    scale: NDArray[np.float64],
    mirrored: NDArray[np.bool_],
    upside_down: NDArray[np.bool_],
    recipe: RecipeSettings,
) -> NDArray[np.float32]:
    """Where points of stored images lie in the model's input, as ``mim.image.recipe`` places them.

    Args:
        points: [image, landmark, 2], column and row of the stored image, 0 the centre of its first
            pixel; NaN where unknown.
        box: [image, 4], top, bottom, left, right (half open) of the crop.
        scale: [image], model pixels per stored pixel.
        mirrored: [image], turned left to right.
        upside_down: [image], turned top to bottom.
        recipe: height and width of the input.

    Returns:
        [image, landmark, 2], shares of width and height: 0 is the left or upper edge of the first
        pixel, 1 the right or lower edge of the last, so pixel p has its centre at (p + 0.5) / size.
    """
    top, bottom, left, right = box.T.astype(np.float64)
    sides = []
    for axis, start, stored, most, turned in (
        (0, left, right - left, recipe.width, mirrored),
        (1, top, bottom - top, recipe.height, upside_down),
    ):
        shown = np.clip(np.round(stored * scale), 1, most)
        share_of_crop = (points[..., axis] + 0.5 - start[:, None]) / stored[:, None]
        share_of_crop = np.where(turned[:, None], 1 - share_of_crop, share_of_crop)
        before = (most - shown) // 2 if axis else np.zeros_like(shown)
        sides.append((before[:, None] + share_of_crop * shown[:, None]) / most)
    return np.stack(sides, axis=-1).astype(np.float32)


def shares_to_pixels(points: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
    """Shares of width and height [..., 2] as column and row; 0 is the centre of the first pixel."""
    pixels: NDArray[np.float64] = points * np.array([width, height], np.float64) - 0.5
    return pixels


def shares_to_stored(
    points: NDArray[np.float64], prepared: Prepared, recipe: RecipeSettings
) -> NDArray[np.float64]:
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


def keep_inside(
    points: NDArray[np.float32], visible: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points and their visibility, NaN where a point does not lie on the input.

    A point that a crop or a shift has put outside is unknown, and so is whether it can be seen: the
    nipple is gone, but the pectoral line leaves the image at another place, which nobody marked.

    Args:
        points: [..., 2] shares of the input.
        visible: [...], 1 on the image, 0 not, NaN unknown.
    """
    outside = np.any((points < -MARGIN) | (points > 1 + MARGIN), axis=-1)
    inside = np.where(outside[..., None], np.float32(np.nan), points.clip(0, 1))
    return inside, np.where(outside, np.float32(np.nan), visible)
