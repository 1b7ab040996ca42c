"""Where the breast lies in the picture, and how it is turned."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.vocab import Laterality, View

Mask = NDArray[np.uint8]
Picture = NDArray[np.float32]

COARSE_ROWS = 512
"""The breast is sought in a picture of about this many rows; finer ones only cost time."""

FRAME_SHARE = 0.05
"""A white film frame is at most this share of height or width thick (CBIS-DDSM: below 2 %)."""

FRAME_FALL = 0.12
"""By how much of full scale the mean brightness of lines falls within ``FRAME_EDGE`` of the height
or width where a frame ends; at a chest wall it falls slowly."""

FRAME_EDGE = 0.006

STRIP_SHARE = 0.07
"""A body narrower than this share of the width is glow along the film's edge, or belly."""

SKIN_SHARE = 0.05
"""Skin begins at this share of the way from background to the brightest tissue."""

LEAST_AREA = 0.01
"""A breast covers at least this share of the picture."""

SPARSE = np.s_[::2, ::2]
"""Pixels of a coarse picture that its percentiles are taken of; more tell nothing more."""


class Tissue(NamedTuple):
    """Levels of a picture: air, the 5th and 95th percentile of the breast, and its 99.9th."""

    background: float
    dark: float
    bright: float
    brightest: float


class Breast(NamedTuple):
    """The breast in a coarse picture.

    ``mask`` is [rows, columns], 1 inside the breast and a narrow rim, 0 outside; ``top``,
    ``bottom``, ``left``, ``right`` bound it (half open); ``chest_wall_left`` says on which side
    the chest wall lies.
    """

    mask: Mask
    top: int
    bottom: int
    left: int
    right: int
    tissue: Tissue
    chest_wall_left: bool


def coarse_step(rows: int) -> int:
    """Every how manieth pixel is looked at when the breast is sought."""
    return max(1, round(rows / COARSE_ROWS))


def inside_frame(pixels: NDArray[Any], inverted: bool) -> tuple[int, int, int, int]:
    """Top, bottom, left and right (half open) without the white frame that scanned film brings.

    Args:
        pixels: [rows, columns], stored values.
        inverted: larger values are darker.
    """
    step = coarse_step(pixels.shape[0])
    low, high = np.percentile(pixels[::step, ::step][SPARSE], [1.0, 99.0])
    if inverted:
        low, high = high, low
    across, down = pixels[:, ::step], pixels[::step].T
    ends = [
        _frame_thickness(lines, float(low), float(high))
        for lines in (across, across[::-1], down, down[::-1])
    ]
    return ends[0], pixels.shape[0] - ends[1], ends[2], pixels.shape[1] - ends[3]


def _frame_thickness(lines: NDArray[Any], black: float, white: float) -> int:
    """Lines to cut from the start: up to the last steep fall of brightness within a frame's reach."""
    reach, edge = max(1, int(FRAME_SHARE * len(lines))), max(2, round(FRAME_EDGE * len(lines)))
    first = lines[: reach + edge].astype(np.float32)
    grey = np.clip((first - black) / ((white - black) or 1.0), 0.0, 1.0).mean(axis=1)
    falls = np.flatnonzero(grey[:reach] - grey[edge : reach + edge] >= FRAME_FALL)
    if not len(falls):
        return 0
    return int(np.argmax(grey <= grey[falls[-1] + edge] + FRAME_FALL / 4))


def find_breast(picture: Picture) -> Breast | None:
    """The largest bright body of a picture in which tissue is brighter than air.

    Letters and labels are no part of it. None where nothing is found.

    Args:
        picture: [rows, columns], any scale.
    """
    inside = np.asarray(cv2.medianBlur(np.ascontiguousarray(picture), 3), np.float32)
    background, brightest = _levels(inside)
    if brightest <= background:
        return None
    bright = (inside > background + SKIN_SHARE * (brightest - background)).astype(np.uint8)
    body = _largest_body(bright)
    if body is None or body.sum() < LEAST_AREA * picture.size:
        return None
    mask = np.asarray(cv2.dilate(body, _disc(7)), np.uint8)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    levels = np.percentile(inside[SPARSE][body[SPARSE] > 0], [5.0, 95.0, 99.9])
    tissue = Tissue(background, *(float(level) for level in levels))
    return Breast(mask, *box, tissue, _chest_wall_left(mask, box))


def is_upside_down(orientation: Sequence[str], laterality: Laterality, view: View) -> bool:
    """Whether the file shows the breast upside down.

    Down the columns an MLO runs to the feet and a CC to the middle of the body, by Patient
    Orientation (0020,0020), PS3.3 C.7.6.1.1.1. Missing or odd values: not upside down.
    """
    down = orientation[1][:1] if len(orientation) == 2 else ""
    if view is View.CC:
        return laterality is not Laterality.UNKNOWN and down == laterality.value
    return down == "H"


def _levels(picture: Picture) -> tuple[float, float]:
    """Grey level of the background and of bright tissue.

    The background is the most frequent level of the darkest quarter of the range; air behind a
    breast is flat while tissue is spread.
    """
    sparse = picture[SPARSE]
    low, high = (float(v) for v in np.percentile(sparse, [0.5, 99.5]))
    dark = sparse[sparse <= low + 0.25 * (high - low)]
    if high <= low or not dark.size:
        return low, high
    counts, edges = np.histogram(dark, bins=64)
    peak = int(np.argmax(counts))
    return float(edges[peak] + edges[peak + 1]) / 2, high


def _largest_body(bright: Mask) -> Mask | None:
    width = 2 * round(STRIP_SHARE * bright.shape[1] / 2) + 1
    # OpenCV takes what lies beyond the edge for bright; a dark margin says otherwise.
    margin = cv2.copyMakeBorder(bright, 0, 0, width, width, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(margin, cv2.MORPH_OPEN, np.ones((1, width), np.uint8))
    opened = cv2.morphologyEx(opened[:, width:-width], cv2.MORPH_OPEN, _disc(5))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    body = np.zeros_like(bright)
    return np.asarray(cv2.drawContours(body, [largest], -1, 1, cv2.FILLED))


def _chest_wall_left(mask: Mask, box: tuple[int, int, int, int]) -> bool:
    """The chest wall is where the breast is tall, the nipple where it is not."""
    top, bottom, left, right = box
    heights = mask[top:bottom, left:right].sum(axis=0, dtype=np.int64)
    edge = max(1, len(heights) // 10)
    return bool(heights[:edge].sum() >= heights[-edge:].sum())


def _disc(size: int) -> Mask:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
