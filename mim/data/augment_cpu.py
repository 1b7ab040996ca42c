"""Changes of one image at a time, with OpenCV, in the loader's threads."""

from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.data.augment import (
    LEAST_WEIGHT,
    LEVELS,
    LINE,
    STEP,
    STILL,
    WHITE,
    Changes,
    Doubles,
    Floats,
    blur_reach,
    draw_changes,
    mask_grid,
    move_landmarks,
)
from mim.data.settings import AugmentSettings

Image = NDArray[np.uint16]


def change_image(image: Image, changes: Changes[NDArray[Any]], out: Image) -> None:
    """Write the changed image into ``out``; both uint16 [height, width], apart in memory.

    Background, 0, stays 0, and what is breast does not become 0 but by the cut-out. ``changes`` are
    those of this image alone.
    """
    across = _columns(image, changes)
    breast = out[:, :across]
    if (changes.move == STILL).all():
        np.copyto(out, image)
    else:
        out[:, across:] = 0
        back, how = _back_in_pixels(changes.move, image.shape), cv2.INTER_LINEAR
        cv2.warpAffine(image, back, (across, len(out)), breast, how | cv2.WARP_INVERSE_MAP)
    if changes.resolution < 1 or _needs_floats(changes):
        inside = np.asarray(cv2.threshold(breast, 0, WHITE, cv2.THRESH_BINARY)[1], np.uint16)
        _soften(out, across, inside, changes)
        cv2.max(breast, np.ones(1), dst=breast)
        cv2.bitwise_and(breast, inside, dst=breast)
    if (changes.curve != LINE).any():
        cv2.LUT(breast, _table(changes.curve), dst=breast)
    start, size = changes.cutout.reshape(2, 2)
    edges = np.rint(np.stack([start, start + size]) * out.shape).clip(min=0).astype(int)
    out[edges[0, 0] : edges[1, 0], edges[0, 1] : edges[1, 1]] = 0


def _columns(image: Image, changes: Changes[NDArray[Any]]) -> int:
    """How many columns of the changed image matter; the others are background, far from a breast."""
    filled, width = np.flatnonzero(image.max(axis=0)), int(image.shape[1])
    along_x, along_y, right = map(float, changes.move[0])
    edge = along_x * (2 + int(filled[-1:].sum())) / width + max(along_y, 0) + right
    return min(width, max(0, ceil(edge * width)) + 1 + blur_reach(changes.blur))


def _back_in_pixels(move: Floats, shape: tuple[int, ...]) -> Doubles:
    """The way back, from a pixel of the changed image to where it came from: [2, 3]."""
    height, width = shape
    forth = np.vstack([move, [0, 0, 1]]).astype(np.float64)
    to_shares = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
    back: Doubles = np.linalg.inv(forth @ to_shares) @ to_shares
    return back[:2]


def _needs_floats(changes: Changes[NDArray[Any]]) -> bool:
    return bool(changes.blur > 0 or changes.noise > 0 or changes.sharpness != 0)


def _soften(out: Image, across: int, inside: Image, changes: Changes[NDArray[Any]]) -> None:
    """Loss of resolution, blur, noise and sharpness, in place.

    The breast lies in the columns to ``across``; of these, ``inside`` is above 0 in the breast.
    """
    height, width = out.shape
    fewer = [int(np.rint(changes.resolution * np.float32(length))) for length in (width, height)]
    if fewer != [width, height]:
        coarse = cv2.resize(out, fewer, interpolation=cv2.INTER_LINEAR)
        cv2.resize(coarse, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
        out[:, across:] = 0
    if not _needs_floats(changes):
        return
    breast = out[:, :across]
    # Blur and noise cost half as much in float32 as on uint16, conversions included.
    fine = breast.astype(np.float32)
    if changes.blur > 0:
        weights = _normal(float(changes.blur))
        cv2.sepFilter2D(fine, -1, weights, weights, dst=fine)
    start = int(changes.noise_seed % out.size)
    noise = _noise(2 * out.size)[start : start + fine.size].reshape(fine.shape)
    strength = float(changes.noise * LEVELS)
    if not changes.sharpness:
        cv2.addWeighted(fine, 1.0, noise, strength, 0.0, dst=breast, dtype=cv2.CV_16U)
        return
    if strength:
        cv2.addWeighted(fine, 1.0, noise, strength, 0.0, dst=fine)
    mean = _tissue_mean(fine, inside, float(changes.radius) * height)
    gain = float(changes.sharpness)
    cv2.addWeighted(fine, 1 + gain, mean, -gain, 0.0, dst=breast, dtype=cv2.CV_16U)


def _normal(sigma: float) -> Doubles:
    """Weights of a blur of that many pixels."""
    reach = blur_reach(sigma)
    weights: Doubles = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights


def _tissue_mean(fine: Floats, inside: Image, radius: float) -> Floats:
    """Mean of the breast around each pixel of the breast, by the weights of a blur.

    What is not breast has no weight, or sharpening would light up the skin.
    """
    height, width = fine.shape
    step, sigma = mask_grid(radius)
    weight = (inside > 0).astype(np.float32)
    both: NDArray[Any] = cv2.merge([fine * weight, weight])
    if step > 1:
        # Going back, the breast's last columns ask for the step beyond them.
        below, right = -height % step, -width % step + step
        both = cv2.copyMakeBorder(both, 0, below, 0, right, cv2.BORDER_CONSTANT)
        both = cv2.resize(both, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
    weights = _normal(sigma)
    both = cv2.sepFilter2D(both, -1, weights, weights, borderType=cv2.BORDER_CONSTANT)
    mean: NDArray[Any] = both[..., 0] / np.maximum(both[..., 1], LEAST_WEIGHT)
    if step > 1:
        mean = cv2.resize(mean, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    return np.asarray(mean[:height, :width], np.float32)


@lru_cache(maxsize=1)
def _noise(length: int) -> Floats:
    """Normal noise, of which each image takes a part: drawing it anew takes twenty times as long."""
    return np.random.default_rng(0).standard_normal(length, np.float32)


def _table(curve: Floats) -> Image:
    """The curve's grey level for each of 65536; 0 for 0 alone."""
    between = np.arange(STEP, dtype=np.float32) / STEP
    levels = (curve[:-1, None] + np.diff(curve)[:, None] * between).ravel() * LEVELS
    table = np.asarray(np.rint(levels).clip(1, WHITE), np.uint16)
    table[0] = 0
    return table


def augmented_versions(
    image: Image, landmarks: Floats, settings: AugmentSettings, seed: int, count: int
) -> tuple[Image, Floats]:
    """An image and versions of it for people to look at: all changed, or none where training changes none.

    Args:
        image: uint16 [height, width].
        landmarks: [landmark, 2], shares; NaN where unknown.

    Returns:
        uint16 [1 + count, height, width] and float32 [1 + count, landmark, 2], the first unchanged.
    """
    probability = 1.0 if settings.probability else 0.0
    apart = replace(settings, same_for_priors=False, probability=probability)
    changes = draw_changes(apart, seed, count, image.shape[0] / image.shape[1])
    versions = np.stack([image] * (1 + count))
    for version, out in enumerate(versions[1:]):
        change_image(image, Changes(*(part[version, 0] for part in changes)), out)
    return versions, np.stack([landmarks, *move_landmarks(landmarks, changes.move[:, 0])])
