"""Amplitudes of spatial frequencies, mixed with those of another exam of the batch.

The phase keeps what lies where, the amplitude how strong it is: of another maker's image, it carries
the maker (Yang and Soatto 2020, doi 10.1109/CVPR42600.2020.00414; Xu et al. 2021, doi
10.1109/CVPR46437.2021.01415). Both mix the amplitude of each frequency by itself, which leaves the
ghost of the other breast. Here it is the mean amplitude of all frequencies about as high, octave by
octave, in the tissue alone: no more than a filter, the same in all directions. docs/augmentation.md
shows both.
"""

from collections.abc import Sequence
from math import ceil, pi
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mim.data.augment import WHITE
from mim.data.settings import AugmentSettings

AMPLITUDE_STREAM = 74
"""Apart from those of ``augment``."""

ROWS = 512
"""At most, of the grid on which amplitudes are mixed: details finer than 1 mm stay as they are."""

AROUND = 0.03
"""Standard deviation of the blur that goes on beyond the skin, as a share of the height."""
FAINT = 1e-3
"""Weight of the whole breast's mean beside that blur; far from the breast there is nothing else."""

STRONGEST = 4.0
"""Of an octave: as many times as strong, or as weak, at most."""

IMAGES_AT_ONCE = 8
"""Each takes some 50 MB while it is changed."""


class AmplitudeMix(NamedTuple):
    """Whose amplitudes each exam and its priors get, and how much of them."""

    partner: Tensor
    """int64 [exam, time], place in the batch of the exam whose own images are mixed in."""
    share: Tensor
    """float32 [exam, time], 0 changes nothing, 1 takes the partner's amplitudes."""


def draw_mix(
    settings: AugmentSettings,
    seeds: Sequence[int],
    exams: NDArray[np.int64],
    makers: NDArray[np.int64],
    times: int,
) -> AmplitudeMix | None:
    """Partners in a batch, of another maker where it has one; None where the setting is 0.

    Every second changed exam, or prior, is mixed, for all its views alike.

    Args:
        seeds: of each exam's draw.
        exams: int64 [exam], which exam each is; one drawn twice is not its own partner.
        makers: int64 [exam].
        times: length of the time axis.
    """
    if not settings.amplitude:
        return None
    partner = np.repeat(np.arange(len(exams))[:, None], times, axis=1)
    share = np.zeros(partner.shape, np.float32)
    for place, seed in enumerate(seeds):
        others = np.flatnonzero(exams != exams[place])
        of_others = others[makers[others] != makers[place]]
        those = of_others if len(of_others) else others
        random = np.random.default_rng([seed, AMPLITUDE_STREAM])
        mixed, strength, which = random.random((3, times))
        if len(those):
            partner[place] = those[(which * len(those)).astype(np.int64)]
            share[place] = (mixed < settings.probability / 2) * settings.amplitude * strength
    return AmplitudeMix(torch.from_numpy(partner), torch.from_numpy(share))


@torch.no_grad()
def mix_amplitudes(images: Tensor, present: Tensor, mix: AmplitudeMix) -> Tensor:
    """The images with amplitudes of their partners' same views; those of absent views are not mixed.

    Background, 0, stays 0, and tissue stays above it.

    Args:
        images: uint16 [exam, time, view, 1, height, width], on any device, like the others.
        present: bool [exam, time, view].
        mix: partners and shares.
    """
    # Every device can gather and scatter int16; uint16 not.
    whole = images.view(torch.int16)
    mixed = whole.clone()
    wanted = present & present[:, 0][mix.partner] & (mix.share > 0)[..., None]
    places = wanted.nonzero()
    for start in range(0, len(places), IMAGES_AT_ONCE):
        exam, time, view = places[start : start + IMAGES_AT_ONCE].unbind(1)
        own = whole[exam, time, view].view(torch.uint16).float()
        other = whole[mix.partner[exam, time], 0, view].view(torch.uint16).float()
        chunk = _mixed(own, other, mix.share[exam, time])
        mixed[exam, time, view] = chunk.to(torch.uint16).view(torch.int16)
    return mixed.view(torch.uint16)


def _mixed(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """A few images, float32 [image, 1, height, width], whole grey levels in and out."""
    height, width = own.shape[-2:]
    step = ceil(height / ROWS)
    size = ceil(height / step), ceil(width / step)
    frequency = _frequencies(size, own.device)
    (spectrum, area), (others, others_area) = (
        _tissue(images, size, frequency) for images in (own, other)
    )
    gain = _gain(spectrum, others, area / others_area.clamp(min=FAINT), frequency)
    change = _image(spectrum * share[:, None, None, None] * (gain - 1))
    finer = interpolate(change, (height, width), mode="bilinear")
    return torch.where(own > 0, (own + finer).round().clamp(1, WHITE), 0)


def _frequencies(size: tuple[int, int], device: torch.device) -> Tensor:
    """In cycles on the height, for each place of a ``_spectrum``: [2 * height, width + 1]."""
    height, width = size
    down = torch.fft.fftfreq(2 * height, 1 / height, device=device)
    across = torch.fft.rfftfreq(2 * width, 1 / height, device=device)
    return torch.hypot(down[:, None], across)


def _spectrum(images: Tensor) -> Tensor:
    """Of images mirrored at their right and lower edges: an edge like the chest wall, of breast on
    one side and nothing on the other, would be an edge of the spectrum's own."""
    wide = torch.cat([images, images.flip(-1)], dim=-1)
    spectrum: Tensor = torch.fft.rfft2(torch.cat([wide, wide.flip(-2)], dim=-2))
    return spectrum


def _image(spectrum: Tensor) -> Tensor:
    """What ``_spectrum`` was made of."""
    height, width = spectrum.shape[-2], 2 * (spectrum.shape[-1] - 1)
    mirrored: Tensor = torch.fft.irfft2(spectrum, (height, width))
    return mirrored[..., : height // 2, : width // 2]


def _tissue(images: Tensor, size: tuple[int, int], frequency: Tensor) -> tuple[Tensor, Tensor]:
    """Spectrum of the breast on a coarser grid, and the share of the image it covers, [image, 1, 1, 1].

    Beyond the skin it goes on as a blur of what is near, so that outline and background have no part.
    """
    tissue = interpolate(images, size, mode="area")
    weight = interpolate((images > 0).float(), size, mode="area")
    blur = torch.exp(-2 * (pi * AROUND * frequency) ** 2)
    near, near_weight = (_image(_spectrum(part) * blur) for part in (tissue, weight))
    area = weight.mean((-2, -1), keepdim=True)
    mean = tissue.mean((-2, -1), keepdim=True) / area.clamp(min=FAINT)
    beyond = (near + FAINT * mean) / (near_weight.clamp(min=0) + FAINT)
    filled = torch.where(weight > 0, tissue / weight.clamp(min=FAINT), beyond)
    return _spectrum(filled), area


def _gain(own: Tensor, other: Tensor, areas: Tensor, frequency: Tensor) -> Tensor:
    """What makes one's amplitudes those of the other, octave by octave: [image, 1, row, column].

    Each octave's is the root of its mean square, for as much tissue; frequencies between two octaves
    have a share of both gains. The mean grey level, of frequency 0, is by itself.
    """
    octave = torch.log2(2 * frequency.clamp(min=1 / 8))
    power, others = own.abs().square(), other.abs().square()
    # Where both are flat, a grey level more or less is not a thousand times as much.
    least = 4 * power[0].numel()
    gain = torch.zeros_like(power)
    for ring in range(ceil(float(octave.max())) + 1):
        weight = (1 - (octave - ring).abs()).clamp(min=0)
        whole = weight.sum()
        here, there = (
            (some * weight).sum((-2, -1), keepdim=True) / whole for some in (power, others)
        )
        ratio = ((areas * there + least) / (here + least)).sqrt()
        gain += weight * ratio.clamp(1 / STRONGEST, STRONGEST)
    level = (others[..., 0, 0] / power[..., 0, 0].clamp(min=1)).sqrt()
    gain[..., 0, 0] = level.clamp(1 / STRONGEST, STRONGEST)
    return gain
