"""The one recipe: from a DICOM file to the model's input.

The cache writer, the predictor of the bundle and the tests all call ``prepare``. Whoever changes
what comes out of it raises ``VERSION``; golden tests see to that.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.dicom.pixels import PixelError, Pixels, StoredImage, read_image
from mim.image.geometry import Breast, coarse_step, find_breast, inside_frame, is_upside_down
from mim.image.intensity import FULL_SCALE, GreyScale, grey_scale
from mim.image.settings import RecipeSettings
from mim.vocab import Laterality, Reason, View

VERSION = 1
"""Version of the recipe's code; part of the fingerprint."""


class Prepared(NamedTuple):
    """One image as the model sees it.

    ``pixels`` is uint16 [height, width], black 0 to white 65535: the breast with the chest wall
    at column 0, centred between top and bottom, everything outside it 0. ``box`` is its place in
    the stored image (top, bottom, left, right; half open), ``scale`` model pixels per stored
    pixel, ``mirrored`` and ``upside_down`` what was turned, ``voi_rule`` what gave the grey
    levels.
    """

    pixels: NDArray[np.uint16]
    box: tuple[int, int, int, int]
    scale: float
    mirrored: bool
    upside_down: bool
    voi_rule: str


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
    whole = _without_padding(stored, scale)
    top, bottom, left, right = inside_frame(whole, scale.inverted)
    pixels = whole[top:bottom, left:right]
    step = coarse_step(pixels.shape[0])
    coarse = pixels[::step, ::step].astype(np.float32)
    breast = find_breast(-coarse if scale.inverted else coarse)
    if breast is None:
        raise PixelError(Reason.BREAST_NOT_FOUND, "no body brighter than the background")
    box = _full_box(breast, step, pixels.shape)
    resized, mask, factor = _resize(pixels, breast, box, scale, settings)
    table, rule = _table(scale, breast)
    shown = np.where(mask > 0, table[resized], np.uint16(0))
    mirrored = not breast.chest_wall_left
    upside_down = is_upside_down(stored.dataset.get("PatientOrientation"), laterality, view)
    place = (box[0] + top, box[1] + top, box[2] + left, box[3] + left)
    turned = shown[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    canvas = np.zeros((settings.height, settings.width), np.uint16)
    above = (settings.height - turned.shape[0]) // 2
    canvas[above : above + turned.shape[0], : turned.shape[1]] = turned
    return Prepared(canvas, place, factor, mirrored, upside_down, rule)


def _without_padding(stored: StoredImage, scale: GreyScale) -> Pixels:
    """Pixel Padding Value (0028,0120) to Range Limit (0028,0121) become black; PS3.3 C.7.5.1.1.2."""
    padding = stored.dataset.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return stored.pixels
    limit = stored.dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((padding, limit if isinstance(limit, int) else padding))
    black = scale.highest if scale.inverted else scale.lowest
    if low == high == black:
        return stored.pixels
    padded = (stored.pixels >= low) & (stored.pixels <= high)
    return np.where(padded, stored.pixels.dtype.type(black), stored.pixels)


def _full_box(breast: Breast, step: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
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
    values = (pixels[top:bottom, left:right].astype(np.int32) - scale.lowest).astype(np.uint16)
    spread = np.left_shift(values, np.uint16(16 - scale.bits))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(spread, size, interpolation=how), np.uint16)
    inside = breast.mask[breast.top : breast.bottom, breast.left : breast.right]
    mask = np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return resized, mask, factor


def _table(scale: GreyScale, breast: Breast) -> tuple[NDArray[np.uint16], str]:
    """Grey level of every spread value, 0 to 65535."""
    stored = scale.lowest + np.arange(1 << 16, dtype=np.float64) / (1 << (16 - scale.bits))
    sign = -1.0 if scale.inverted else 1.0
    shown, rule = scale.shown(stored, (sign * breast.background, sign * breast.brightest))
    return np.round(shown * FULL_SCALE).astype(np.uint16), rule
