"""Changes of whole batches, with torch, where the model runs.

``affine_grid`` and convolutions are avoided: both may run in TF32, ten bits of mantissa.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from mim.data.augment import LEAST_WEIGHT, LEVELS, STEP, WHITE, Changes, blur_reach, mask_grid

IMAGES_AT_ONCE = 8
"""Each takes some 80 MB while it is changed."""


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
    reach = min(blur_reach(each.blur.max()), *(n - 1 for n in images.shape[-2:]))
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
    _sharpen(soft, images > 0, changes)
    soft = torch.where(images > 0, soft.round().clamp(1, WHITE), 0)
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


def _blurred(images: Tensor, blur: Tensor, reach: int, beyond: str = "reflect") -> Tensor:
    """Sums of shifted images: convolutions, too, may be rounded to TF32."""
    sigma = blur.clamp(min=1e-6)[:, None]
    apart = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (apart / sigma) ** 2) * (apart.abs() <= (3 * sigma).ceil())
    weights = weights / weights.sum(1, keepdim=True)
    for edges, axis in (((reach, reach, 0, 0), 3), ((0, 0, reach, reach), 2)):
        padded, images = pad(images, edges, mode=beyond), torch.zeros_like(images)
        for at in range(2 * reach + 1):
            images += _each(weights[:, at]) * padded.narrow(axis, at, images.shape[axis])
    return images


def _sharpen(images: Tensor, inside: Tensor, changes: Changes[Tensor]) -> None:
    """In place, image by image, for each has a grid of its own for its radius."""
    radii = (changes.radius.double() * images.shape[-2]).tolist()
    for image, breast, gain, radius in zip(
        images, inside, changes.sharpness.tolist(), radii, strict=True
    ):
        if gain:
            image.add_(image - _tissue_mean(image, breast, radius), alpha=gain)


def _tissue_mean(image: Tensor, inside: Tensor, radius: float) -> Tensor:
    """Mean of the breast around each pixel of the breast, [1, height, width]."""
    height, width = image.shape[-2:]
    step, sigma = mask_grid(radius)
    both = torch.stack([image * inside, inside.to(image.dtype)])
    both = avg_pool2d(pad(both, (0, -width % step + step, 0, -height % step)), step)
    blur = both.new_full((2,), sigma)
    tissue, weight = _blurred(both, blur, blur_reach(sigma), "constant")
    mean: Tensor = (tissue / weight.clamp(min=LEAST_WEIGHT))[None]
    if step > 1:
        mean = interpolate(mean, scale_factor=step, mode="bilinear")
    return mean[0, :, :height, :width]


def _shaded(images: Tensor, curve: Tensor) -> Tensor:
    place = images.flatten(1) / STEP
    knot = place.long()
    below, above = curve.gather(1, knot), curve.gather(1, knot + 1)
    grey = (below + (above - below) * (place - knot)) * LEVELS
    return torch.where(images > 0, grey.round().clamp(1, WHITE).view_as(images), 0)


def _blacked_out(images: Tensor, cutout: Tensor) -> Tensor:
    x, y = _middles(images)
    top, left, height, width = map(_each, cutout.unbind(1))
    inside = (x > left) & (x < left + width) & (y > top) & (y < top + height)
    return torch.where(inside, 0, images)
