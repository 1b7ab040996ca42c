"""Burnt-in letters: strokes of one value within the breast, bright bodies outside it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.image.geometry import Mask, Picture
from mim.image.recipe import Found, full_box

Box = tuple[int, int, int, int]
"""Top, bottom, left, right of stored pixels, half open."""

FINE_ROWS = 1024
"""Letters are looked at in a picture of about this many rows."""

NEIGHBOURS = 8
"""Values on either side that say how frequent a value would be without letters."""

MOST_VALUES = 4
"""So many values of one image are looked at, those that stand out most."""

COVERED = 50
"""Of 255: where strokes cover less of a fine pixel, it is none of theirs."""

LEAST_HEIGHT, MOST_HEIGHT = 0.009, 0.15
"""Height of a letter as share of the rows."""

LONELY_HEIGHT = 0.02
"""A letter that stands alone is at least this high; clips are smaller."""

STROKE = 0.36
"""A letter's strokes are at most this share of its height wide."""

EDGE, SHARP = 0.35, 0.7
"""Around this share of a letter's rim the picture differs from it by that share of tissue's range."""

BENT, OPEN = 0.75, 0.87
"""A letter fills less than the first share of its hull, and its outline less than the second: rings,
triangles, beads and clips fill theirs."""

OUTSIDE_SHARE = 0.05
"""A body in the air differs from it by this share of the way to the brightest tissue."""

MARGIN = 3
"""Fine pixels around a body in the air that go with it, and around the breast that stay."""

CORE = 8
"""Fine pixels from its border inwards a breast begins; what reaches there hangs together with it."""

LEAST_OUTSIDE = 4
"""Fine pixels that a body in the air is long at least; dust on film is smaller."""

STEEP, LEAST_STEEP = 0.3, 8
"""A body at the picture's edge is a glow unless in so many fine pixels it rises by this share of its
own height within three of them."""


class Glyph(NamedTuple):
    """A body that may be a letter, in fine pixels.

    ``bent`` says that it fills little of its hull, ``open`` that its outline does.
    """

    left: int
    top: int
    width: int
    height: int
    bent: bool
    open: bool

    def stands_beside(self, other: "Glyph") -> bool:
        """Whether both may be letters of one word."""
        tall = max(self.height, other.height)
        level = abs(self.top + self.height / 2 - other.top - other.height / 2) < 0.3 * tall
        alike = min(self.height, other.height) > 0.7 * tall
        gap = max(self.left, other.left) - min(self.left + self.width, other.left + other.width)
        return level and alike and -0.2 * tall < gap < 1.2 * tall


def letters_inside(found: Found) -> str | None:
    """Words on letters that overlap the breast, or None.

    A letter has one value throughout, sharp edges and thin strokes. Two of them side by side count,
    or one alone that is no ring, bead, clip or line. Noise, calcifications and saturated tissue have
    none of this.
    """
    breast = found.breast
    if breast is None:
        return None
    step = max(1, round(found.pixels.shape[0] / FINE_ROWS))
    top, bottom, left, right = full_box(breast, found.step, found.pixels.shape)
    pixels = found.pixels[top:bottom, left:right]
    sparse = pixels[::step, ::step]
    inner = np.asarray(cv2.erode(breast.mask, np.ones((19, 19), np.uint8)), np.uint8)
    inside = _fitted(inner[breast.top : breast.bottom, breast.left : breast.right], sparse.shape)
    within = sparse[inside > 0]
    if not len(within):
        return None
    dark, bright = np.percentile(within[::7], [5.0, 95.0])
    for value in _frequent(within):
        covered = cv2.inRange(pixels, float(value), float(value))
        size = (sparse.shape[1], sparse.shape[0])
        body = np.asarray(cv2.resize(covered, size, interpolation=cv2.INTER_AREA)) > COVERED
        differs = np.abs(sparse.astype(np.float32) - value) > EDGE * (bright - dark)
        rows = found.pixels.shape[0] // step
        if _is_text(list(_glyphs(body.astype(np.uint8), inside, differs, rows)), rows):
            return f"strokes of value {value}"
    return None


def _frequent(values: NDArray[Any]) -> list[int]:
    """Values that are more frequent than those around them, the most outstanding first."""
    lowest = int(values.min())
    counts = np.bincount((values.astype(np.int32) - lowest).ravel())
    values_there = np.flatnonzero(counts)
    frequent = counts[values_there].astype(np.float64)
    window = np.ones(2 * NEIGHBOURS + 1)
    window[NEIGHBOURS] = 0.0
    around = np.convolve(frequent, window)[NEIGHBOURS:-NEIGHBOURS]
    usual = around / np.maximum(
        1.0, np.convolve(np.ones_like(frequent), window)[NEIGHBOURS:-NEIGHBOURS]
    )
    excess = frequent - 1.3 * usual
    order = np.argsort(excess)[: -MOST_VALUES - 1 : -1]
    return [lowest + int(values_there[place]) for place in order if excess[place] > 30]


def _glyphs(body: Mask, inside: Mask, differs: NDArray[np.bool_], rows: int) -> Iterator[Glyph]:
    """Bodies with the size, strokes and edges of letters that overlap the breast."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=8)
    heights = stats[:, cv2.CC_STAT_HEIGHT]
    fitting = (heights >= max(5, LEAST_HEIGHT * rows)) & (heights <= MOST_HEIGHT * rows)
    for label in np.flatnonzero(fitting & (stats[:, cv2.CC_STAT_WIDTH] < 1.6 * heights)):
        left, top, width, height, area = (int(number) for number in stats[label])
        around = np.s_[max(0, top - 3) : top + height + 3, max(0, left - 3) : left + width + 3]
        letter = (labels[around] == label).astype(np.uint8)
        if not inside[around][letter > 0].any():
            continue
        thickness = 2 * float(cv2.distanceTransform(letter, cv2.DIST_L2, 3).max())
        rim = cv2.dilate(letter, np.ones((5, 5))) > cv2.dilate(letter, np.ones((3, 3)))
        if thickness > max(STROKE * height, 3.0) or differs[around][rim].mean() < SHARP:
            continue
        contours, _ = cv2.findContours(letter, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros_like(letter), contours, -1, 1, cv2.FILLED)
        hull = cv2.fillConvexPoly(np.zeros_like(letter), cv2.convexHull(contours[0]), 1)
        whole = float(np.sum(hull))
        yield Glyph(
            left, top, width, height, area < BENT * whole, float(np.sum(filled)) < OPEN * whole
        )


def _is_text(glyphs: list[Glyph], rows: int) -> bool:
    words = any(
        one.stands_beside(other) and (one.bent or other.bent)
        for number, one in enumerate(glyphs)
        for other in glyphs[:number]
    )
    return words or any(glyph.open and glyph.height >= LONELY_HEIGHT * rows for glyph in glyphs)


def bodies_outside(found: Found, upright: Picture) -> list[Box]:
    """Boxes of bodies in the air, half open, in the pixels of ``found``; none touches the breast.

    Args:
        upright: [rows, columns] of the whole picture, shrunk by area, tissue brighter than air.
    """
    assert found.breast is not None
    tissue = found.breast.tissue
    contrast = OUTSIDE_SHARE * (tissue.brightest - tissue.background)
    breast = _fitted(found.breast.mask, upright.shape)
    kept = np.asarray(cv2.dilate(breast, np.ones((2 * MARGIN + 1,) * 2)), np.uint8)
    bodies = _apart(upright, contrast, tissue.background, kept)
    grown = np.asarray(cv2.dilate(bodies, np.ones((2 * MARGIN + 1,) * 2)), np.uint8)
    grown[kept > 0] = 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    down, across = (
        whole / part for whole, part in zip(found.pixels.shape, upright.shape, strict=True)
    )
    boxes = []
    for left, top, width, height, _ in stats[1:]:
        for part in _without(grown, kept, (top, top + height, left, left + width)):
            boxes.append(
                (
                    int(part[0] * down),
                    min(found.pixels.shape[0], int(np.ceil(part[1] * down))),
                    int(part[2] * across),
                    min(found.pixels.shape[1], int(np.ceil(part[3] * across))),
                )
            )
    return boxes


def _apart(levels: Picture, contrast: float, background: float, breast: Mask) -> Mask:
    """Bodies that neither hang together with the breast nor are a glow at the picture's edge."""
    bright = (np.abs(levels - background) > contrast).astype(np.uint8)
    # Letters of one word become one body.
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((5, 5)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    wanted = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) >= LEAST_OUTSIDE
    wanted[0] = False
    core = cv2.erode(breast, np.ones((2 * CORE + 1,) * 2))
    wanted[np.unique(labels[core > 0])] = False
    steepness = cv2.morphologyEx(levels, cv2.MORPH_GRADIENT, np.ones((3, 3)))
    rows, columns = levels.shape
    for label in np.flatnonzero(wanted):
        left, top, width, height, _ = stats[label]
        if left > 0 and top > 0 and left + width < columns and top + height < rows:
            continue
        here = np.s_[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1]
        body = (labels[here] == label).astype(np.uint8)
        rise = float(np.abs(levels[here][body > 0] - background).max())
        wanted[label] = np.sum(steepness[here][body > 0] > STEEP * rise) >= LEAST_STEEP
    return np.asarray(wanted[labels] & (bright > 0), np.uint8)


def _without(bodies: Mask, breast: Mask, box: Box) -> Iterator[Box]:
    """The box, drawn close around its bodies, and cut in halves until no part has any breast."""
    top, bottom, left, right = box
    part = bodies[top:bottom, left:right]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return
    top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    left, right = left + int(columns[0]), left + int(columns[-1]) + 1
    if not breast[top:bottom, left:right].any():
        yield top, bottom, left, right
    elif bottom - top >= right - left:
        middle = (top + bottom) // 2
        yield from _without(bodies, breast, (top, middle, left, right))
        yield from _without(bodies, breast, (middle, bottom, left, right))
    else:
        middle = (left + right) // 2
        yield from _without(bodies, breast, (top, bottom, left, middle))
        yield from _without(bodies, breast, (top, bottom, middle, right))


def _fitted(mask: Mask, shape: tuple[int, ...]) -> Mask:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
