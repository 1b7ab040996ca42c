"""What goes wrong with single images besides how the breast is laid: one fault at most each."""

from enum import StrEnum
from hashlib import blake2b

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.vocab import Laterality, Quality, View

Field = NDArray[np.float32]


class Fault(StrEnum):
    """A fault of one image."""

    NIPPLE_TURNED = "nipple not in profile"
    SKIN_FOLD = "skin fold"
    BLURRED = "blurred by movement"


SHARES = {Fault.NIPPLE_TURNED: 0.07, Fault.SKIN_FOLD: 0.05, Fault.BLURRED: 0.04}
"""Share of the images with each."""

BEST_GRADE = {
    Fault.NIPPLE_TURNED: Quality.MODERATE,
    Fault.SKIN_FOLD: Quality.MODERATE,
    Fault.BLURRED: Quality.INADEQUATE,
}
"""The best grade that an image with it can have."""

FOLD_FROM_SKIN_MM = 9.0
"""How far from the skin line a fold runs."""
FOLD_WIDTH_MM = 1.2
FOLD_DENSE_MM = 14.0
"""Dense tissue that a fold adds along the ray."""
MOVED_MM = 2.5
"""How far a breast moves during a blurred exposure."""


def fault_of(key: tuple[int, int], number: int, side: Laterality, view: View) -> Fault | None:
    """The fault of a woman's image in one round; by a hash, so that it changes no other draw."""
    text = f"fault {key[0]} {key[1]} {number} {side} {view}"
    digest = blake2b(text.encode(), digest_size=8).digest()
    drawn = int.from_bytes(digest, "big") / 2**64
    for fault, share in SHARES.items():
        if drawn < share:
            return fault
        drawn -= share
    return None


def worse(one: Quality, other: Quality) -> Quality:
    """The worse of two grades."""
    order = list(Quality)
    return order[max(order.index(one), order.index(other))]


def fold(inside: Field, height_mm: Field, nipple_mm: float) -> Field:
    """Dense tissue (mm along the ray) of a fold that follows the skin below the nipple.

    Args:
        inside: [row, column], distance from the skin (mm).
        height_mm: [row, 1], distance of each row from the image's upper edge.
        nipple_mm: that of the nipple.
    """
    along = 1 / (1 + np.exp(-(height_mm - nipple_mm - 18.0) / 3.0))
    across = np.exp(-(((inside - FOLD_FROM_SKIN_MM) / FOLD_WIDTH_MM) ** 2))
    return np.asarray(FOLD_DENSE_MM * along * across, np.float32)


def moved(attenuation: Field, pitch_mm: float) -> Field:
    """The attenuation smeared by a movement across the ray, downwards and outwards."""
    length = max(2, round(MOVED_MM / pitch_mm))
    kernel = np.eye(length, dtype=np.float32) / length
    return np.asarray(
        cv2.filter2D(attenuation, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.float32
    )
