"""Positioning in millimetres and degrees, from the landmarks of an exam's images.

Distances are those at the detector. ``docs/positioning.md`` draws them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mim.vocab import BREASTS, SCREENING_VIEWS, VIEW_SLOTS, View

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CHEST_WALL = -0.5
"""Column of the image's edge along the chest wall; 0 is the centre of the first pixel."""

IS_MLO = np.array([view is View.MLO for _, view in VIEW_SLOTS])


class Measures(NamedTuple):
    """Each ``[..., view]``, NaN where a landmark or the spacing is missing."""

    posterior_nipple_line_mm: Floats
    """MLO: from the nipple at right angles to the pectoral line, or to the chest-wall edge where it
    comes first; CC: from the nipple straight to the chest-wall edge."""
    line_difference_mm: Floats
    """That of the breast's MLO less that of its CC; the same on both images."""
    line_above_pectoral_end_mm: Floats
    """MLO: from where that line meets the pectoral line to the muscle's lower end, along the
    muscle; negative: it would meet it below that end, so it misses the muscle."""
    pectoral_angle_degrees: Floats
    """MLO: between the pectoral line and the chest-wall edge."""
    pectoral_length_mm: Floats
    """MLO: between the ends of the pectoral line."""
    pectoral_below_nipple_mm: Floats
    """MLO: how far below the nipple's level the muscle ends; negative: above it."""


def measure(points: Floats, visible: Bools, spacing_mm: Floats) -> Measures:
    """Measure exams.

    Args:
        points: ``[..., view, landmark, 2]``, column and row in pixels, views in the order of
            ``VIEW_SLOTS``, the chest wall along column 0; NaN missing.
        visible: ``[..., view, landmark]``; a point that is not on its image is missing.
        spacing_mm: ``[..., view]``, distance of the pixels at the detector; NaN unknown.
    """
    found = np.where(visible[..., None], points, np.nan)
    nipple, upper, lower = (found[..., place, :] for place in range(3))
    upper, lower = (np.where(IS_MLO[:, None], end, np.nan) for end in (upper, lower))
    length = np.linalg.norm(lower - upper, axis=-1)
    # Two ends on one spot make no line.
    down = (lower - upper) / np.where(length == 0, np.nan, length)[..., None]
    along = ((nipple - upper) * down).sum(axis=-1)
    meets = upper + along[..., None] * down
    oblique = np.linalg.norm(nipple - meets, axis=-1) * _share_on_image(nipple, meets)
    straight = nipple[..., 0] - CHEST_WALL
    line = np.where(IS_MLO, oblique, straight) * spacing_mm
    right, fall = upper[..., 0] - lower[..., 0], lower[..., 1] - upper[..., 1]
    return Measures(
        line,
        _difference(line),
        (length - along) * spacing_mm,
        np.degrees(np.arctan2(right, fall)),
        length * spacing_mm,
        (lower[..., 1] - nipple[..., 1]) * spacing_mm,
    )


def _share_on_image(nipple: Floats, meets: Floats) -> Floats:
    """How much of the way from the nipple to a point lies before the chest-wall edge, 0 to 1."""
    across = nipple[..., 0] - meets[..., 0]
    outside = meets[..., 0] < CHEST_WALL
    share = (nipple[..., 0] - CHEST_WALL) / np.where(outside, across, 1.0)
    return np.where(outside, share, 1.0)


def _difference(line: Floats) -> Floats:
    """MLO less CC of each breast, on both its images; ``VIEW_SLOTS`` holds CC and MLO in turn."""
    of_breast = line.reshape(*line.shape[:-1], len(BREASTS), len(SCREENING_VIEWS))
    return np.repeat(of_breast[..., 1] - of_breast[..., 0], len(SCREENING_VIEWS), axis=-1)
