"""Whether two prepared images show one picture, however it was stored, resized or windowed.

All breasts look alike when they are shrunk: a bright half disc. What tells one from another is the
structure inside. So the breast is brought to one place and size by its moments, what lies around
each point is taken away and contrast made equal, and the rim, which is alike in all, fades out.
Measured in docs/near-duplicates.md.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Structure = NDArray[np.float32]

SIGNATURE_BYTES = 32

NO_SIGNATURE = bytes(SIGNATURE_BYTES)
"""Signature of a picture without structure; it is like nothing."""

ROWS, COLUMNS = 64, 32
"""Size of the picture that a signature is made of."""

HALF_HEIGHT, MEAN_COLUMN = 0.25, 0.42
"""Standard deviation of the breast's rows, and mean of its columns, as share of height and width."""

AROUND, RIM = 3.0, 7.0
"""Pixels of a signature's picture: standard deviation of what lies around, width of the rim."""

LEAST_CONTRAST = 1e-3
"""Share of the breast's mean grey level below which differences are rounding."""

LEAST_FREQUENCY = 2.0
"""Cosine waves across the width, or twice so many along the height, that a signature begins with."""

SHIFT = 4
"""Pixels of the finer picture that one of two may lie aside when they are compared."""


def _frequencies(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    waves = np.hypot(rows / 2, columns).ravel()
    order = np.argsort(waves, kind="stable")
    chosen = order[waves[order] >= LEAST_FREQUENCY][:count]
    return chosen // COLUMNS, chosen % COLUMNS


FREQUENCIES = _frequencies(SIGNATURE_BYTES * 4)
"""Rows and columns of the cosine transform whose signs, and those of sums and differences of two
neighbours, are the signature: 128 coefficients make 256 bits."""


def signature(pixels: NDArray[np.uint16]) -> bytes:
    """256 bits of a prepared image (background 0, chest wall at column 0), in 32 bytes.

    Copies of one image differ in few bits, other images in about half of them. Grey levels times a
    factor give the same bits, and so does, but for rounding, another size of the recipe.
    """
    structure = fine_structure(pixels, 1)
    return as_signatures(as_waves(structure)).tobytes() if structure.any() else NO_SIGNATURE


def as_waves(structure: Structure) -> Structure:
    """The 128 cosine coefficients of a structure, [64, 32], whose signs say what it is like."""
    return np.asarray(cv2.dct(structure), np.float32)[FREQUENCIES]


def as_signatures(waves: Structure) -> NDArray[np.uint8]:
    """Signatures, [..., 32] bytes, of coefficients, [..., 128].

    Eight bytes each of the signs of one neighbour, of the other, of their sum, of their difference.
    """
    one, other = waves[..., ::2], waves[..., 1::2]
    return np.packbits(np.concatenate([one, other, one + other, one - other], -1) > 0, axis=-1)


def fine_structure(pixels: NDArray[np.uint16], finer: int) -> Structure:
    """Structure of a prepared image, [64, 32] times ``finer``; all 0 where there is none."""
    level, covered = _in_place(pixels, finer)
    inside = covered > 0.5
    weight = _fading(inside, RIM * finer)
    level /= np.maximum(covered, np.float32(0.5))
    mean_level = float((level * weight).sum()) / max(float(weight.sum()), 1.0)
    least = LEAST_CONTRAST * mean_level
    around = _blurred(level * weight, AROUND * finer) / _divisor(weight, AROUND * finer)
    difference = (level - around) * weight
    wide = 2 * AROUND * finer
    contrast = np.sqrt(_blurred(difference**2, wide) / _divisor(weight, wide))
    if not least or contrast.max() < least:
        return np.zeros_like(level)
    return np.asarray(difference / (contrast + least) * weight, np.float32)


def correlation(one: Structure, other: Structure) -> float:
    """Highest correlation, -1 to 1, of two structures, one of them shifted by up to ``SHIFT``."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    if not size:
        return 0.0
    inner = one[SHIFT:-SHIFT, SHIFT:-SHIFT]
    return float(cv2.matchTemplate(other, inner, cv2.TM_CCORR_NORMED).max())


def _in_place(pixels: NDArray[np.uint16], finer: int) -> tuple[Structure, Structure]:
    """Grey levels, and the share of each pixel that the breast covers, at one place and size."""
    rows, columns = ROWS * finer, COLUMNS * finer
    shape = (2 * columns, 2 * rows)
    mask = (pixels > 0) * np.uint8(255)
    level = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    covered = cv2.resize(mask, shape, interpolation=cv2.INTER_AREA) / np.float32(255)
    by_row, by_column = covered.sum(1), covered.sum(0)
    total = float(by_row.sum())
    if not total:
        return np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    at_row, at_column = np.arange(2 * rows), np.arange(2 * columns) + 0.5
    middle = float(by_row @ at_row) / total
    spread = max(float(np.sqrt(by_row @ (at_row - middle) ** 2 / total)), 1.0)
    down = HALF_HEIGHT * rows / spread
    across = MEAN_COLUMN * columns / (float(by_column @ at_column) / total)
    place = np.array(
        [[across, 0, across / 2 - 0.5], [0, down, (rows - 1) / 2 - down * middle]], np.float32
    )
    moved = (cv2.warpAffine(each, place, (columns, rows)) for each in (level, covered))
    at_place, share = (np.asarray(each, np.float32) for each in moved)
    return at_place, share


def _fading(inside: NDArray[np.bool_], rim: float) -> Structure:
    """1 within the breast, falling to 0 at its rim, but not at the chest wall."""
    wall = int(np.ceil(rim))
    padded = np.pad(inside.astype(np.uint8), ((0, 0), (wall, 0)), "edge")
    distance = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5))[:, wall:]
    return np.asarray(np.minimum(distance / rim, 1), np.float32)


def _blurred(picture: Structure, deviation: float) -> Structure:
    blurred = cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float32)


def _divisor(weight: Structure, deviation: float) -> Structure:
    return np.maximum(_blurred(weight, deviation), np.float32(1e-3))
