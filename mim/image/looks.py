"""What a prepared image is like beside what it shows: grey levels, size, fine detail.

A change of a mammograph's processing shows in these before anybody sees it in scores. Hospital and
export measure them here, on the recipe's output before any harmonisation. The breast is what is
brighter than black.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.image.intensity import FULL_SCALE
from mim.image.recipe import SIGNIFICANT_BITS, SPARE_BITS

LEVELS = 1 << SIGNIFICANT_BITS

SPARSE = np.s_[::2, ::2]
"""Pixels that percentiles are taken of; more tell nothing more."""

RIM = 3
"""Pixels at the skin that say nothing of fine detail."""

SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0], np.float32)

TO_DEVIATION = float(np.sqrt(np.pi / 2) / 6)
"""From the mean size of second differences along both axes to a standard deviation of noise."""


class Looks(NamedTuple):
    """Measures of one image, or means over an exam's images."""

    dark_grey: float
    """5th percentile of the breast's grey levels, 0 (black) to 1 (white)."""
    middle_grey: float
    """Their median."""
    bright_grey: float
    """Their 95th percentile."""
    breast_share: float
    """Share of the model's input that the breast covers, 0 to 1."""
    fine_detail: float
    """Standard deviation of white noise of as much detail from pixel to pixel, as a share of white."""


def looks(pixels: NDArray[np.uint16]) -> Looks | None:
    """Measures of a prepared image; None where nothing of it is brighter than black.

    Fine detail is the mean size of the second difference along both axes inside the breast, by which
    Immerkaer (1996, doi 10.1006/cviu.1996.0060) measures noise: slopes and edges count little,
    noise, sharpening and smoothing much. It takes 4 ms for 2048 x 1024 on one core.

    Args:
        pixels: uint16 [height, width], ``mim.image.recipe.Prepared.pixels``.
    """
    columns = np.flatnonzero(pixels.any(axis=0))
    if not len(columns):
        return None
    breast = np.ascontiguousarray(pixels[:, : columns[-1] + 1])
    counts = np.bincount((breast[SPARSE] >> SPARE_BITS).ravel(), minlength=LEVELS)
    counts[0] = 0
    if not counts.any():
        return None
    ranks = np.cumsum(counts) / counts.sum()
    dark, middle, bright = np.searchsorted(ranks, (0.05, 0.5, 0.95)) / (LEVELS - 1)
    share = cv2.countNonZero(breast) / pixels.size
    return Looks(float(dark), float(middle), float(bright), share, _fine_detail(breast))


def _fine_detail(breast: NDArray[np.uint16]) -> float:
    inside = cv2.erode(
        (breast > 0).astype(np.uint8),
        np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    found = cv2.sepFilter2D(breast, cv2.CV_32F, SECOND_DIFFERENCE, SECOND_DIFFERENCE)
    size = cv2.mean(np.abs(found), mask=inside)[0]
    return TO_DEVIATION * float(size) / FULL_SCALE


def mean_looks(images: list[NDArray[np.uint16]]) -> Looks | None:
    """Means over an exam's images; None where none shows anything."""
    found = [of_it for pixels in images if (of_it := looks(pixels)) is not None]
    return Looks(*np.mean(found, axis=0).tolist()) if found else None
