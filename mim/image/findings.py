"""What looks wrong in a picture, and the letters burnt into it.

Nothing is left out for what is found here; somebody should look.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.dicom.elements import codes
from mim.dicom.pixels import PixelError, StoredImage
from mim.image.geometry import Picture, Tissue
from mim.image.intensity import GreyScale, grey_scale
from mim.image.letters import FINE_ROWS, Box, bodies_outside, letters_inside
from mim.image.recipe import Found, find_in_stored, grey_table, spread
from mim.image.settings import NoWindow
from mim.vocab import Finding, Laterality, Reason, View

PICTURE_ROWS = 320

CORNER = 0.06
"""Height and width of a corner as share of the picture's."""

LEVEL = 0.25
"""Air lies within this share of the range from its end."""

CALM = 0.04
"""Air varies by less than this share of the range."""

UNSURE = 0.2
"""Where the breast's heights at both edges differ by less, nobody can say where the chest wall is."""

CHEST_WALL = {"A": True, "P": False}
"""Whether the chest wall lies at column 0, by what the rows run to: Patient Orientation (0020,0020),
first value, PS3.3 C.7.6.1.1.1."""

DIRECTIONS = frozenset("APRLFH")
"""Letters of Patient Orientation; whatever else stands there is not repeated in words."""


class Looked(NamedTuple):
    """A stored image as a reader would see it, and what is suspicious about it.

    ``picture`` is uint8 [rows, columns] of the whole stored image, at most 320 rows, black 0;
    ``findings`` are pairs of what was found and words for people.
    """

    picture: NDArray[np.uint8]
    findings: list[tuple[Finding, str]]


def look(stored: StoredImage, laterality: Laterality, view: View) -> Looked:
    """Picture of an image and what its pixels look suspicious for."""
    scale = grey_scale(stored.dataset)
    found = find_in_stored(stored, scale)
    shown = _picture(stored, scale, found)
    if words := _inverted(found.coarse):
        # What was taken for the breast is air, and nothing is known of the breast itself.
        return Looked(shown, [(Finding.INVERTED, words)])
    findings = [] if view is View.SPECIMEN else _turned(found, stored, laterality)
    if words := letters_inside(found):
        findings.append((Finding.LETTERS_IN_BREAST, words))
    return Looked(shown, findings)


def picture(stored: StoredImage) -> NDArray[np.uint8]:
    """The whole stored image by its grey policy, uint8 [rows, columns], at most 320 rows.

    Works for images of any kind that could be decoded: for processing, spot, no breast found.
    """
    scale = grey_scale(stored.dataset)
    return _picture(stored, scale, find_in_stored(stored, scale))


def letters_outside(stored: StoredImage) -> list[Box]:
    """Boxes of bodies in the air beside the breast: burnt-in letters, labels and markers.

    Half-open (top, bottom, left, right) in stored pixels; no box touches the breast, nor a body that
    hangs together with it.

    Raises:
        PixelError: no breast is found, so that nobody can say what lies outside it.
    """
    scale = grey_scale(stored.dataset)
    found = find_in_stored(stored, scale)
    if found.breast is None:
        raise PixelError(Reason.BREAST_NOT_FOUND, "no body brighter than the background")
    rows, columns = found.pixels.shape
    step = max(1, round(rows / FINE_ROWS))
    size = (-(-columns // step), -(-rows // step))
    small = np.asarray(cv2.resize(found.pixels, size, interpolation=cv2.INTER_AREA))
    row, column = found.place
    return [
        (top + row, bottom + row, left + column, right + column)
        for top, bottom, left, right in bodies_outside(
            found, scale.upright(small.astype(np.float32))
        )
    ]


def _picture(stored: StoredImage, scale: GreyScale, found: Found) -> NDArray[np.uint8]:
    tissue = found.breast.tissue if found.breast else _any_tissue(found.coarse)
    table, _ = grey_table(scale, tissue, NoWindow.breast_range)
    rows, columns = stored.pixels.shape
    step = max(1, rows // (2 * PICTURE_ROWS))
    sparse = np.ascontiguousarray(stored.pixels[::step, ::step])
    shrink = min(1.0, PICTURE_ROWS / rows)
    size = (max(1, round(columns * shrink)), max(1, round(rows * shrink)))
    small = cv2.resize(spread(sparse, scale), size, interpolation=cv2.INTER_AREA)
    shown: NDArray[np.uint8] = (table[small] >> 8).astype(np.uint8)
    return shown


def _any_tissue(coarse: Picture) -> Tissue:
    """Levels of a picture in which no breast is found."""
    return Tissue(*(float(level) for level in np.percentile(coarse, [1.0, 5.0, 95.0, 99.9])))


def _inverted(coarse: Picture) -> str | None:
    """Words on air that is brighter than tissue, or None.

    Away from the chest wall both corners are air: calm, and dark unless the picture is inverted.
    """
    low, high = np.percentile(coarse[::2, ::2], [0.5, 99.5])
    if high <= low:
        return None
    rows, columns = (max(2, round(CORNER * side)) for side in coarse.shape)
    sides = [
        [(side[:rows] - low) / (high - low), (side[-rows:] - low) / (high - low)]
        for side in (coarse[:, :columns], coarse[:, -columns:])
    ]
    dark = any(all(np.median(corner) < LEVEL for corner in side) for side in sides)
    bright = any(all(_is_calm_and_bright(corner) for corner in side) for side in sides)
    return "air is brighter than tissue" if bright and not dark else None


def _is_calm_and_bright(corner: Picture) -> bool:
    level = float(np.median(corner))
    return level > 1.0 - LEVEL and float(np.median(np.abs(corner - level))) < CALM


def _turned(found: Found, stored: StoredImage, laterality: Laterality) -> list[tuple[Finding, str]]:
    """Whether the chest wall lies where side and Patient Orientation say it does."""
    if found.breast is None or laterality is Laterality.UNKNOWN:
        return []
    heights = found.breast.mask[:, found.breast.left : found.breast.right].sum(0, dtype=np.int64)
    edge = max(1, len(heights) // 10)
    first, last = heights[:edge].sum(), heights[-edge:].sum()
    usual = laterality is Laterality.LEFT
    at_left = found.breast.chest_wall_left
    if at_left is usual or abs(int(first) - int(last)) < UNSURE * max(first, last):
        return []
    where = f"chest wall at the {'left' if at_left else 'right'} of a picture of side {laterality}"
    orientation = codes(stored.dataset, "PatientOrientation")
    if len(orientation) != 2 or not DIRECTIONS.issuperset("".join(orientation)):
        return [(Finding.SIDE_DISAGREES, f"{where}, without Patient Orientation")]
    words = f"{where}, Patient Orientation " + "\\".join(orientation)
    mirrored = CHEST_WALL.get(orientation[0][0]) is at_left
    return [(Finding.STORED_MIRRORED if mirrored else Finding.SIDE_DISAGREES, words)]
