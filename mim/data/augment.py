"""Random changes to training images: one policy, drawn here, done on the CPU or on the device.

``draw_changes`` turns a seed into numbers, and that is all the chance there is; ``change_image``
and ``change_batch`` do what the numbers say, with OpenCV in the loader's threads or with torch in
batches, in the same order: move, resolution, blur, noise, curve, cut-out. Points are shares of
width and height from the image's outer edge: the middle of column c is (c + 0.5) / width.

Chest wall stays at column 0, and black outside the breast stays black. docs/augmentation.md shows
each change, and says why OpenCV and torch do them.
"""

from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import Any, Generic, NamedTuple, SupportsFloat, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from mim.data.settings import AugmentSettings
from mim.vocab import VIEW_SLOTS, Landmark

Image = NDArray[np.uint16]
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

IMAGES_AT_ONCE = 8
"""On the device: each takes some 80 MB while it is changed."""


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


def change_image(image: Image, changes: Changes[NDArray[Any]], out: Image) -> None:
    """Write the changed image into ``out``; both uint16 [height, width], apart in memory.

    Background, 0, stays 0. ``changes`` are those of this image alone.
    """
    across = _columns(image, changes)
    breast = out[:, :across]
    if (changes.move == STILL).all():
        np.copyto(out, image)
    else:
        out[:, across:] = 0
        back, how = _back_in_pixels(changes.move, image.shape), cv2.INTER_LINEAR
        cv2.warpAffine(image, back, (across, len(out)), breast, how | cv2.WARP_INVERSE_MAP)
    if changes.resolution < 1 or changes.blur > 0 or changes.noise > 0:
        _, inside = cv2.threshold(breast, 0, WHITE, cv2.THRESH_BINARY)
        _soften(out, across, changes)
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
    return min(width, max(0, ceil(edge * width)) + 1 + _reach(changes.blur))


def _reach(blur: SupportsFloat) -> int:
    """Pixels from its middle at which a blur ends: three standard deviations."""
    return ceil(3 * float(blur))


def _back_in_pixels(move: Floats, shape: tuple[int, ...]) -> Doubles:
    """The way back, from a pixel of the changed image to where it came from: [2, 3]."""
    height, width = shape
    forth = np.vstack([move, [0, 0, 1]]).astype(np.float64)
    to_shares = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
    back: Doubles = np.linalg.inv(forth @ to_shares) @ to_shares
    return back[:2]


def _soften(out: Image, across: int, changes: Changes[NDArray[Any]]) -> None:
    """Loss of resolution, blur and noise, in place; the breast lies in the columns to ``across``."""
    height, width = out.shape
    fewer = [int(np.rint(changes.resolution * np.float32(length))) for length in (width, height)]
    if fewer != [width, height]:
        coarse = cv2.resize(out, fewer, interpolation=cv2.INTER_LINEAR)
        cv2.resize(coarse, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    if not (changes.blur > 0 or changes.noise > 0):
        return
    breast = out[:, :across]
    # Blur and noise cost half as much in float32 as on uint16, conversions included.
    fine = breast.astype(np.float32)
    if changes.blur > 0:
        reach = _reach(changes.blur)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / changes.blur) ** 2)
        weights /= weights.sum()
        cv2.sepFilter2D(fine, -1, weights, weights, dst=fine)
    start = int(changes.noise_seed % out.size)
    noise = _noise(2 * out.size)[start : start + fine.size].reshape(fine.shape)
    strength = float(changes.noise * LEVELS)
    cv2.addWeighted(fine, 1.0, noise, strength, 0.0, dst=breast, dtype=cv2.CV_16U)


@lru_cache(maxsize=1)
def _noise(length: int) -> Floats:
    """Normal noise, of which each image takes a part: drawing it anew takes twenty times as long."""
    return np.random.default_rng(0).standard_normal(length, np.float32)


def _table(curve: Floats) -> Image:
    """The curve's grey level for each of 65536."""
    between = np.arange(STEP, dtype=np.float32) / STEP
    levels = (curve[:-1, None] + np.diff(curve)[:, None] * between).ravel() * LEVELS
    return np.asarray(np.rint(levels).clip(0, WHITE), np.uint16)


@torch.no_grad()
def change_batch(images: Tensor, present: Tensor, changes: Changes[Tensor]) -> Tensor:
    """The changed images, as ``change_image`` makes them but for the noise, which is drawn anew.

    Args:
        images: uint16 [..., 1, height, width], on any device, like all the others.
        present: bool [...]; absent images are not touched.
        changes: [..., and what each has for one image].
    """
    each = Changes(*(part.flatten(0, present.dim() - 1) for part in changes))
    wanted = present.flatten().nonzero()[:, 0]
    reach = min(_reach(each.blur.max()), *(n - 1 for n in images.shape[-2:]))
    # Every device can gather and scatter int16; uint16 not.
    changed = images.view(torch.int16).flatten(0, -4).clone()
    for start in range(0, len(wanted), IMAGES_AT_ONCE):
        some = wanted[start : start + IMAGES_AT_ONCE]
        chunk = changed[some].view(torch.uint16).float()
        chunk = _changed(chunk, Changes(*(part[some] for part in each)), reach)
        changed[some] = chunk.to(torch.uint16).view(torch.int16)
    return changed.view(torch.uint16).view(images.shape)


def _changed(images: Tensor, changes: Changes[Tensor], reach: int) -> Tensor:
    """A few images, float32 [image, 1, height, width], whole grey levels in and out."""
    images = _moved(images, changes.move)
    soft = _blurred(_coarsened(images, changes.resolution), changes.blur, reach)
    strengths, seeds = (changes.noise * LEVELS).tolist(), changes.noise_seed.tolist()
    random = torch.Generator(images.device)
    for image, strength, seed in zip(soft, strengths, seeds, strict=True):
        image.add_(torch.empty_like(image).normal_(0, strength, generator=random.manual_seed(seed)))
    soft = torch.where(images > 0, soft.round().clamp(0, WHITE), 0)
    return _blacked_out(_shaded(soft, changes.curve), changes.cutout)


def _each(numbers: Tensor) -> Tensor:
    """One number for each image, as [image, 1, 1, 1]."""
    return numbers[:, None, None, None]


def _middles(images: Tensor) -> tuple[Tensor, Tensor]:
    """Where the middles of columns, [width], and rows, [height, 1], lie, in shares."""
    height, width = images.shape[-2:]
    x, y = ((torch.arange(n, device=images.device) + 0.5) / n for n in (width, height))
    return x, y[:, None]


def _sampled(images: Tensor, x: Tensor, y: Tensor, beyond: str = "border") -> Tensor:
    """Images at x and y, shares [image, 1, height or 1, width or 1]; whole grey levels."""
    # By hand: affine_grid multiplies matrices, to ten bits where the user lets TF32 do that.
    grid = images.new_empty((*images[:, 0].shape, 2))
    grid[..., 0], grid[..., 1] = (2 * x - 1)[:, 0], (2 * y - 1)[:, 0]
    return grid_sample(images, grid, padding_mode=beyond, align_corners=False).round()


def _moved(images: Tensor, move: Tensor) -> Tensor:
    (a, b, right), (c, d, down) = (map(_each, row.unbind(1)) for row in move.double().unbind(1))
    area = a * d - b * c
    to_x, to_y = _middles(images)
    across, along = (to_x - right) / area, (to_y - down) / area
    x = (d * across).float() - (b * along).float()
    y = (a * along).float() - (c * across).float()
    # Where nothing moves, the way there and back would still round, and light up the background.
    still = (move == torch.eye(2, 3, device=move.device)).flatten(1).all(1)
    return torch.where(_each(still), images, _sampled(images, x, y, "zeros"))


def _coarsened(images: Tensor, resolution: Tensor) -> Tensor:
    """Sampled at fewer columns and rows, in the upper left corner, and from there at all again."""
    ways = []
    for middle, size in zip(_middles(images), images.shape[:-3:-1], strict=True):
        kept = _each((resolution * size).round() / size)
        there, back = middle / kept, (middle * kept).clamp(min=0.5 / size)
        ways.append((there, back.minimum(kept - 0.5 / size)))
    (x, coarse_x), (y, coarse_y) = ways
    sampled = _sampled(_sampled(images, x, y), coarse_x, coarse_y)
    return torch.where(_each(resolution < 1), sampled, images)


def _blurred(images: Tensor, blur: Tensor, reach: int) -> Tensor:
    """Sums of shifted images: convolutions, too, may be rounded to TF32."""
    sigma = blur.clamp(min=1e-6)[:, None]
    apart = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (apart / sigma) ** 2) * (apart.abs() <= (3 * sigma).ceil())
    weights = weights / weights.sum(1, keepdim=True)
    for edges, axis in (((reach, reach, 0, 0), 3), ((0, 0, reach, reach), 2)):
        padded, images = pad(images, edges, mode="reflect"), torch.zeros_like(images)
        for at in range(2 * reach + 1):
            images += _each(weights[:, at]) * padded.narrow(axis, at, images.shape[axis])
    return images


def _shaded(images: Tensor, curve: Tensor) -> Tensor:
    place = images.flatten(1) / STEP
    knot = place.long()
    below, above = curve.gather(1, knot), curve.gather(1, knot + 1)
    grey = (below + (above - below) * (place - knot)) * LEVELS
    return grey.round().clamp(0, WHITE).view_as(images)


def _blacked_out(images: Tensor, cutout: Tensor) -> Tensor:
    x, y = _middles(images)
    top, left, height, width = map(_each, cutout.unbind(1))
    inside = (x > left) & (x < left + width) & (y > top) & (y < top + height)
    return torch.where(inside, 0, images)


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
