"""The one recipe: from a DICOM file to the model's input.

The cache writer, the predictor of the bundle and the tests all call ``prepare``. Whoever changes
what comes out of it raises ``VERSION``; golden tests see to that.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.dicom.elements import number, texts
from mim.dicom.pixels import PixelError, StoredImage, read_image
from mim.image.geometry import (
    Breast,
    Picture,
    Tissue,
    coarse_step,
    find_breast,
    inside_frame,
    is_upside_down,
)
from mim.image.intensity import GreyScale, grey_scale
from mim.image.settings import NoWindow, RecipeSettings
from mim.vocab import Laterality, Reason, View

Pixels = NDArray[Any]

VERSION = 2
"""Version of the recipe's code; part of the fingerprint."""

SIGNIFICANT_BITS = 12
"""Bits of a pixel that say something; the lower ones are 0. docs/recipe.md says why twelve."""

SPARE_BITS = 16 - SIGNIFICANT_BITS

ROWS_AT_ONCE = 128


class Prepared(NamedTuple):
    """One image as the model sees it.

    ``pixels`` is uint16 [height, width], black 0 to white 65520 in steps of 16: the breast with the
    chest wall at column 0, centred between top and bottom, everything outside it 0. ``box`` is its
    place in the stored image (top, bottom, left, right; half open), ``scale`` model pixels per
    stored pixel, ``mirrored`` and ``upside_down`` what was turned, ``voi_rule`` what gave the grey
    levels, and in brackets what the file says that was not followed.
    """

    pixels: NDArray[np.uint16]
    box: tuple[int, int, int, int]
    scale: float
    mirrored: bool
    upside_down: bool
    voi_rule: str


class Found(NamedTuple):
    """A breast in a stored image.

    ``pixels`` are stored values without padding and film frame, ``place`` is the first row and
    column of ``pixels`` in the stored image; ``breast`` was found on every ``step``-th of them, in
    ``coarse``, where tissue is brighter than air.
    """

    pixels: Pixels
    place: tuple[int, int]
    step: int
    coarse: Picture
    breast: Breast | None


def fingerprint(settings: RecipeSettings) -> str:
    """Sixteen hexadecimal digits that name the recipe: its fields and its code's version."""
    fields = json.dumps({"version": VERSION, **asdict(settings)}, sort_keys=True)
    return hashlib.blake2b(fields.encode(), digest_size=8).hexdigest()


def prepare(path: Path, laterality: Laterality, view: View, settings: RecipeSettings) -> Prepared:
    """Model input from a file.

    Raises:
        PixelError: the file cannot be decoded, or no breast is found in it.
    """
    return prepare_stored(read_image(path), laterality, view, settings)


def prepare_stored(
    stored: StoredImage, laterality: Laterality, view: View, settings: RecipeSettings
) -> Prepared:
    """Model input from decoded pixels; see ``prepare``."""
    scale = grey_scale(stored.dataset)
    found = find_in_stored(stored, scale)
    if found.breast is None:
        raise PixelError(Reason.BREAST_NOT_FOUND, "no body brighter than the background")
    box = full_box(found.breast, found.step, found.pixels.shape)
    table, rule = grey_table(scale, found.breast.tissue, settings.no_window)
    resized, mask, factor = _resize(found.pixels, found.breast, box, scale, settings)
    mirrored = not found.breast.chest_wall_left
    upside_down = is_upside_down(texts(stored.dataset, "PatientOrientation"), laterality, view)
    shown = _looked_up(resized, table, mask)
    turned = shown[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    canvas = np.zeros((settings.height, settings.width), np.uint16)
    above = (settings.height - turned.shape[0]) // 2
    canvas[above : above + turned.shape[0], : turned.shape[1]] = turned
    row, column = found.place
    place = (box[0] + row, box[1] + row, box[2] + column, box[3] + column)
    return Prepared(canvas, place, factor, mirrored, upside_down, rule)


def find_in_stored(stored: StoredImage, scale: GreyScale) -> Found:
    """Where the breast lies in a stored image; ``breast`` is None where none is found."""
    whole = _without_padding(stored, scale)
    top, bottom, left, right = inside_frame(whole, scale.falling)
    pixels = whole[top:bottom, left:right]
    step = coarse_step(pixels.shape[0])
    coarse = scale.upright(pixels[::step, ::step].astype(np.float32))
    return Found(pixels, (top, left), step, coarse, find_breast(coarse))


def _without_padding(stored: StoredImage, scale: GreyScale) -> Pixels:
    """Pixel Padding Value (0028,0120) to Range Limit (0028,0121) become black; PS3.3 C.7.5.1.1.2."""
    padding, limit = (
        _stored_value(number(stored.dataset, name), scale)
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    )
    if padding is None or {padding, limit} <= {scale.black, None}:
        return stored.pixels
    ends = padding, padding if limit is None else limit
    padded = np.asarray(cv2.inRange(stored.pixels, min(ends), max(ends)))
    if not cv2.countNonZero(padded):
        return stored.pixels
    return np.where(padded, stored.pixels.dtype.type(scale.black), stored.pixels)


def _stored_value(value: float | None, scale: GreyScale) -> float | None:
    """A value of US or SS as a stored one; signed images have it as either."""
    if value is not None and scale.lowest < 0 and value >= 1 << 15:
        return value - (1 << 16)
    return value


def full_box(breast: Breast, step: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right (half open) of a breast in the pixels it was found in."""
    bottom, right = min(breast.bottom * step, shape[0]), min(breast.right * step, shape[1])
    return breast.top * step, bottom, breast.left * step, right


def _resize(
    pixels: Pixels,
    breast: Breast,
    box: tuple[int, int, int, int],
    scale: GreyScale,
    settings: RecipeSettings,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8], float]:
    """Breast and mask at model size, values spread over 16 bits so that averages keep theirs."""
    top, bottom, left, right = box
    factor = min(settings.height / (bottom - top), settings.width / (right - left))
    size = (
        min(settings.width, max(1, round((right - left) * factor))),
        min(settings.height, max(1, round((bottom - top) * factor))),
    )
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    values = spread(pixels[top:bottom, left:right], scale)
    resized = np.asarray(cv2.resize(values, size, interpolation=how), np.uint16)
    inside = breast.mask[breast.top : breast.bottom, breast.left : breast.right]
    mask = np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return resized, mask, factor


def spread(pixels: Pixels, scale: GreyScale) -> NDArray[np.uint16]:
    """Stored values from 0 upwards, in the upper bits of 16."""
    values = pixels.view(f"u{pixels.dtype.itemsize}")
    shift = np.uint16(16 - scale.bits)
    upper = np.left_shift(values, shift, dtype=np.uint16) if shift else values
    # Shifted left, the lowest signed value is this bit alone, and all others follow in a ring.
    return upper ^ np.uint16(1 << 15) if scale.lowest < 0 else upper


def _looked_up(
    resized: NDArray[np.uint16], table: NDArray[np.uint16], mask: NDArray[np.uint8]
) -> NDArray[np.uint16]:
    """Grey levels inside the mask, 0 outside."""
    grey = np.empty_like(resized)
    # numpy turns what it looks up into 64-bit indices first: for a whole image, 16 MB.
    for start in range(0, len(resized), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        table.take(resized[rows], out=grey[rows], mode="clip")
    return np.asarray(cv2.bitwise_and(grey, grey, mask=mask), np.uint16)


def grey_table(
    scale: GreyScale, tissue: Tissue, no_window: NoWindow
) -> tuple[NDArray[np.uint16], str]:
    """Grey level of every spread value, and the rule; raises as ``GreyScale.shown`` does."""
    stored = scale.lowest + np.arange(1 << 16, dtype=np.float64) / (1 << (16 - scale.bits))
    shown, rule = scale.shown(stored, tissue, no_window)
    levels = np.round(shown * ((1 << SIGNIFICANT_BITS) - 1)).astype(np.uint16)
    return np.left_shift(levels, SPARE_BITS), rule
