"""Random changes to training images: one policy, drawn here, done on the CPU or on the device.

``draw_changes`` turns a seed into numbers, and that is all the chance there is;
``augment_cpu.change_image`` and ``augment_device.change_batch`` do what the numbers say, with
OpenCV in the loader's threads or with torch in batches, in the same order: move, resolution, blur,
noise, sharpness, curve, cut-out. Points are shares of width and height from the image's outer edge: the middle
of column c is (c + 0.5) / width.

Chest wall stays at column 0, and black outside the breast stays black. docs/augmentation.md shows
each change, and says why OpenCV and torch do them.
"""

from math import ceil, floor, log2, sqrt
from typing import Any, Generic, NamedTuple, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
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

LEAST_WEIGHT = 1e-6
"""Of breast around a pixel, so that the mean far outside is a number; nothing is done with it."""
PARTS = 4
"""Of the grey scale, between which a tone curve's rise is divided at random."""
RADII = 0.001, 0.01
"""Least and largest radius of an unsharp mask, in shares of the height: 0.2 and 2 mm of a breast."""

CHANGES_STREAM, SWAP_STREAM, PROCESSING_STREAM = 71, 72, 73
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
    sharpness: Array
    """float32 [...], gain of an unsharp mask before the curve; below 0 it smooths."""
    radius: Array
    """float32 [...], standard deviation of the mask's mean, as a share of the height."""
    cutout: Array
    """float32 [..., 4], top, left, height and width of what is blacked out, in shares."""


def draw_changes(
    settings: AugmentSettings, seed: int, times: int, aspect: float
) -> Changes[NDArray[Any]]:
    """Changes of one exam and its priors, [time, view, ...]; the same seed gives the same.

    Every changed image is moved and given a curve. Every second one is cut out from, every second
    one has noise, and every second one is blurred or loses resolution: clean images are what the
    model will see. All is drawn whatever the settings, so each setting changes its own change only.
    Tone curves and sharpness are a machine's, and so are drawn once for all views of an exam.

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
    tone, sharpness, radius = _processing(settings, seed, times)
    return Changes(
        move=np.where(changed[..., None, None], move, STILL).astype(np.float32),
        curve=_composed(tone, np.where(changed[..., None], curve, LINE)).astype(np.float32),
        noise=(noisy * settings.noise * noise).astype(np.float32),
        noise_seed=random.integers(1 << 62, size=changed.shape),
        blur=((soft & ~coarse) * settings.blur * softness).astype(np.float32),
        resolution=(1 - (soft & coarse) * settings.resolution * softness).astype(np.float32),
        sharpness=np.broadcast_to(sharpness, changed.shape).astype(np.float32),
        radius=np.broadcast_to(radius, changed.shape).astype(np.float32),
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
    return _rising(curve + settings.curve * bend * hill)


def _rising(curve: Doubles) -> Doubles:
    """The curve, made to rise everywhere, from 0 to 1."""
    slopes = np.maximum(np.diff(curve) * (KNOTS - 1), LEAST_SLOPE)
    rising = np.zeros((*slopes.shape[:-1], KNOTS))
    rising[..., 1:] = slopes.cumsum(-1) / slopes.sum(-1, keepdims=True)
    return rising


def _processing(
    settings: AugmentSettings, seed: int, times: int
) -> tuple[Doubles, Doubles, Doubles]:
    """What another machine's processing does: tone curves [time, 1, KNOTS], gains and radii of an
    unsharp mask [time, 1].

    Details are made stronger and weaker alike: 1 + gain is as often a factor as its inverse.
    """
    random = np.random.default_rng([seed, PROCESSING_STREAM])
    toned, sharpened, strength, gain, size = random.random((5, times, 1))
    parts = random.random((times, 1, PARTS))
    tone = _tones((toned < settings.probability) * settings.tone * strength, parts)
    gain = (1 + settings.sharpness) ** (2 * gain - 1) - 1
    least, largest = RADII
    radius = least * (largest / least) ** size
    return tone, np.where(sharpened < settings.probability / 2, gain, 0), radius


def _tones(strength: Doubles, shares: Doubles) -> Doubles:
    """From the line to any rising curve, as far as ``strength`` [...] says: [..., KNOTS].

    Any way to divide the rise between the parts is as likely as any other (Dirichlet), and a monotone
    cubic (Fritsch and Butland 1984, doi 10.1137/0905021) goes through the heights at their ends.
    """
    rises = -np.log1p(-shares)
    heights = np.zeros((*shares.shape[:-1], PARTS + 1))
    heights[..., 1:] = rises.cumsum(-1) / rises.sum(-1, keepdims=True)
    level = LINE.astype(np.float64)
    curve = PchipInterpolator(np.linspace(0, 1, PARTS + 1), heights, axis=-1)(level)
    tones: Doubles = level + strength[..., None] * (_rising(curve) - level)
    return tones


def _composed(first: Doubles, second: Doubles) -> Doubles:
    """One curve after another, both [..., KNOTS]; one that is the line leaves the other's bits."""
    place = np.broadcast_to(first * (KNOTS - 1), second.shape)
    knot = np.minimum(place.astype(np.int64), KNOTS - 1)
    below = np.take_along_axis(second, knot, axis=-1)
    above = np.take_along_axis(second, np.minimum(knot + 1, KNOTS - 1), axis=-1)
    composed: Doubles = below + (above - below) * (place - knot)
    return composed


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


def mask_grid(radius: float) -> tuple[int, float]:
    """Where the mean of an unsharp mask is taken: on averages of step x step pixels.

    A blur of many pixels costs little there. Averaging and going back blur a little themselves, by
    a twelfth and a sixth of the step's square.

    Args:
        radius: standard deviation in pixels.

    Returns:
        The step, and the standard deviation in steps that is left to do.
    """
    if radius < 2:
        return 1, float(np.float32(radius))
    step = 1 << floor(log2(radius))
    return step, float(np.float32(sqrt((radius / step) ** 2 - 1 / 4)))
