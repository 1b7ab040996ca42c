"""Random changes to training images: one policy, drawn here, done on the CPU or on the device.

``draw_changes`` turns a seed into numbers, and that is all the chance there is;
``augment_cpu.change_image`` and ``augment_device.change_batch`` do what the numbers say, with
OpenCV in the loader's threads or with torch in batches, in the same order: move, resolution, blur,
noise, curve, cut-out. Points are shares of width and height from the image's outer edge: the middle
of column c is (c + 0.5) / width.

Chest wall stays at column 0, and black outside the breast stays black. docs/augmentation.md shows
each change, and says why OpenCV and torch do them.
"""

from math import ceil
from typing import Any, Generic, NamedTuple, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mim.data.settings import AugmentSettings
from mim.vocab import VIEW_SLOTS, Landmark

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Array = TypeVar("Array", NDArray[Any], Tensor)

LEVELS = 1 << 16
WHITE = LEVELS - 1
KNOTS = 33
"""Points of a curve; a power of two and one, so that whole grey levels fall on them."""
STEP = LEVELS // (KNOTS - 1)
LEAST_SLOPE = 0.1
"""Of a curve: what was brighter stays brighter, whatever is asked for."""

STILL = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
LINE = np.linspace(0, 1, KNOTS, dtype=np.float32)

CHANGES_STREAM, SWAP_STREAM = 71, 72
"""What else is drawn from an exam's seed is independent of these."""


class Changes(NamedTuple, Generic[Array]):
    """What is to be done to images, arrays or tensors; [...] is one entry for each image."""

    move: Array
    """float32 [..., 2, 3], from a point's x and y on the image to where it lies on the changed one."""
    curve: Array
    """float32 [..., KNOTS], grey level in shares of full scale at evenly spaced levels; rises from 0."""
    noise: Array
    """float32 [...], standard deviation as a share of full scale, before the curve."""
    noise_seed: Array
    """int64 [...], which noise."""
    blur: Array
    """float32 [...], standard deviation in pixels."""
    resolution: Array
    """float32 [...], share of the pixels of a row, and of a column, that is kept; 1 keeps all."""
    cutout: Array
    """float32 [..., 4], top, left, height and width of what is blacked out, in shares."""


def draw_changes(
    settings: AugmentSettings, seed: int, times: int, aspect: float
) -> Changes[NDArray[Any]]:
    """Changes of one exam and its priors, [time, view, ...]; the same seed gives the same.

    Every changed image is moved and given a curve. Every second one is cut out from, every second
    one has noise, and every second one is blurred or loses resolution: clean images are what the
    model will see. All is drawn whatever the settings, so each setting changes its own change only.

    Args:
        times: length of the time axis.
        aspect: height of the model's input over its width.
    """
    random = np.random.default_rng([seed, CHANGES_STREAM])

    def shares(count: int, same: bool = False) -> Doubles:
        drawn = random.random((count, times, len(VIEW_SLOTS)))
        return np.broadcast_to(drawn[:, :1], drawn.shape) if same else drawn

    changed = shares(1, settings.same_for_priors)[0] < settings.probability
    move = _moves(settings, shares(4, settings.same_for_priors), aspect)
    curve = _curves(settings, shares(4))
    cutout = _cutouts(settings, shares(3), aspect)
    noise, softness = shares(2)
    noisy, soft, cut = (changed & (share < 0.5) for share in shares(3))
    coarse = shares(1)[0] < 0.5
    return Changes(
        move=np.where(changed[..., None, None], move, STILL).astype(np.float32),
        curve=np.where(changed[..., None], curve, LINE).astype(np.float32),
        noise=(noisy * settings.noise * noise).astype(np.float32),
        noise_seed=random.integers(1 << 62, size=changed.shape),
        blur=((soft & ~coarse) * settings.blur * softness).astype(np.float32),
        resolution=(1 - (soft & coarse) * settings.resolution * softness).astype(np.float32),
        cutout=(cut[..., None] * cutout).astype(np.float32),
    )


def draw_swap(settings: AugmentSettings, seed: int) -> bool:
    """Whether left and right change places: the exam of the woman's mirror image."""
    return bool(np.random.default_rng([seed, SWAP_STREAM]).random() < settings.swap_sides)


def _moves(settings: AugmentSettings, shares: Doubles, aspect: float) -> Doubles:
    """Moves that leave the chest wall upright and covered: [..., 2, 3].

    The breast turns up or down about its base, which is a shear along the chest wall. It moves along
    the wall, or into it, as if less of it lay on the detector: moved away, or turned as a whole, it
    would leave a black gap there, which no real image has. It shrinks and does not grow, for the
    recipe's crop is as tight as it can be.
    """
    size, turn, along, into = shares
    scale = 1 - settings.scale * size
    slope = np.tan(np.radians(settings.rotation_degrees * (2 * turn - 1))) / aspect
    move = np.zeros((*size.shape, 2, 3))
    move[..., 0, 0] = move[..., 1, 1] = scale
    move[..., 0, 2] = -settings.shift * into
    move[..., 1, 0] = scale * slope
    move[..., 1, 2] = (1 - scale) / 2 + settings.shift * (2 * along - 1)
    return move


def _curves(settings: AugmentSettings, shares: Doubles) -> Doubles:
    """Rising curves from 0 to 1: brighter or darker in the middle, steeper or flatter there, and
    bent at any level: [..., KNOTS]."""
    brightness, contrast, bend = (2 * shares[:3] - 1)[..., None]
    peak = (1 + shares[3, ..., None]) / 3
    level = LINE.astype(np.float64)
    hill = (level / peak) ** (3 * peak) * ((1 - level) / (1 - peak)) ** (3 - 3 * peak)
    arch = 4 * level * (1 - level)
    curve = level + arch * (
        settings.brightness * brightness + settings.contrast * contrast * (level - 0.5)
    )
    slopes = np.diff(curve + settings.curve * bend * hill) * (KNOTS - 1)
    slopes = np.maximum(slopes, LEAST_SLOPE)
    rising = np.zeros((*slopes.shape[:-1], KNOTS))
    rising[..., 1:] = slopes.cumsum(-1) / slopes.sum(-1, keepdims=True)
    return rising


def _cutouts(settings: AugmentSettings, shares: Doubles, aspect: float) -> Doubles:
    """Squares whose middle lies where most images have breast: [..., 4]."""
    size, down, across = shares
    height = settings.cutout * size
    width = height * aspect
    top, left = 0.15 + 0.7 * down - height / 2, 0.6 * across - width / 2
    return np.stack([top, left, height, width], axis=-1)


def move_points(points: Floats, move: Floats) -> Floats:
    """Where points lie on the changed image.

    Args:
        points: [..., point, 2], x and y; NaN stays NaN.
        move: [..., 2, 3].
    """
    moved = np.einsum("...ij,...pj->...pi", move[..., :2], points) + move[..., None, :, 2]
    return np.asarray(moved, np.float32)


def move_landmarks(landmarks: Floats, move: Floats) -> Floats:
    """Landmarks on the changed image, the pectoral line cut where it leaves that image.

    Args:
        landmarks: [..., landmark, 2] in the order of ``vocab.Landmark``; NaN where unknown.
        move: [..., 2, 3].
    """
    moved = move_points(landmarks, move)
    order = list(Landmark)
    upper, lower = order.index(Landmark.PECTORAL_UPPER), order.index(Landmark.PECTORAL_LOWER)
    start, along = moved[..., lower, :], moved[..., upper, :] - moved[..., lower, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        edges = np.stack([-start / along, (1 - start) / along])
    enters = edges.min(axis=0).max(axis=-1).clip(min=0)[..., None]
    leaves = edges.max(axis=0).min(axis=-1).clip(max=1)[..., None]
    seen = enters < leaves
    moved[..., upper, :] = np.where(seen, start + leaves * along, moved[..., upper, :])
    moved[..., lower, :] = np.where(seen, start + enters * along, start)
    return moved


def blur_reach(blur: SupportsFloat) -> int:
    """Pixels from its middle at which a blur ends: three standard deviations."""
    return ceil(3 * float(blur))
