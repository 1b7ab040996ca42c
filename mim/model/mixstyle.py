"""Styles mixed between the images of a batch: MixStyle (Zhou 2021, arXiv 2104.02008)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from mim.errors import InputError

STAGES = 2
"""The first stages, whose channels' means and deviations say how an image was made."""

ALPHA = 0.1
"""Of the beta distribution of shares: mostly near 0 or 1."""

LEAST_VARIANCE = 1e-6


class MixStyle:
    """What a stage's maps become in training mode, as a forward hook; in evaluation mode the same.

    Whether a batch is mixed, with which images and by which shares, is drawn from torch's
    generator on the CPU, whatever the device.

    Args:
        share: of batches that are mixed.
        channels_last: whether the stage's maps are [image, row, column, channel].
    """

    def __init__(self, share: float, channels_last: bool) -> None:
        self._share = share
        self._places = (1, 2) if channels_last else (2, 3)

    def __call__(self, stage: nn.Module, _: object, maps: Tensor) -> Tensor:
        """The stage's maps, mixed or as they are."""
        if not stage.training or torch.rand(()) >= self._share:
            return maps
        images = maps.shape[0]
        partners = torch.randperm(images)
        # In float64: in float32 a share of so low an alpha can come out as 0 / 0.
        alpha = torch.tensor(ALPHA, dtype=torch.float64)
        own = Beta(alpha, alpha).sample((images,)).to(torch.float32)
        return mix_styles(maps, partners.to(maps.device), own.to(maps.device), self._places)


def mix_styles(maps: Tensor, partners: Tensor, own: Tensor, places: tuple[int, int]) -> Tensor:
    """Maps whose channels have means and deviations between their own and a partner's.

    Both are taken over the image's places, and as constants in the backward pass.

    Args:
        maps: 4 axes, the first of which is the image.
        partners: int64 [image].
        own: [image], share of the own style.
        places: axes of rows and columns.
    """
    values = maps.float()
    mean = values.mean(dim=places, keepdim=True).detach()
    variance = values.var(dim=places, keepdim=True, unbiased=False).detach()
    deviation = (variance + LEAST_VARIANCE).sqrt()
    shares = own[:, None, None, None]
    to_mean = shares * mean + (1.0 - shares) * mean[partners]
    to_deviation = shares * deviation + (1.0 - shares) * deviation[partners]
    return ((values - mean) / deviation * to_deviation + to_mean).to(maps.dtype)


def mix_first_stages(net: nn.Module, share: float, probe: Tensor, named: str) -> None:
    """Have the first stages of a timm model mix styles in training mode.

    Args:
        net: changed in place.
        share: of batches that are mixed, by each of the stages.
        probe: an image [1, 1, height, width] on which the stages' maps are looked at.
        named: the model, for the error.

    Raises:
        InputError: the model does not say which its stages are, or does not run through them.
    """
    try:
        said: Any = net.feature_info
        stages = [_last(net.get_submodule(said[place]["module"])) for place in range(STAGES)]
        channels = [said[place]["num_chs"] for place in range(STAGES)]
        shapes = _shapes(net, stages, probe)
        if not all(number in shape[1::2] for number, shape in zip(channels, shapes, strict=True)):
            raise ValueError(shapes)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{named} does not say which are its stages, whose styles model.encoder.mixstyle "
            "would mix; choose another, or set model.encoder.mixstyle=0"
        ) from error
    for stage, number, shape in zip(stages, channels, shapes, strict=True):
        stage.register_forward_hook(MixStyle(share, channels_last=shape[1] != number))


def _last(stage: nn.Module) -> nn.Module:
    """The block of a stage that gives its maps: with checkpointing timm calls blocks by themselves."""
    return stage[-1] if isinstance(stage, nn.Sequential) else stage


@torch.no_grad()
def _shapes(net: nn.Module, stages: list[nn.Module], probe: Tensor) -> list[tuple[int, ...]]:
    """Shapes of the stages' maps; ``ValueError`` unless each stage gives maps once."""
    found: list[tuple[nn.Module, tuple[int, ...]]] = []

    def look(stage: nn.Module, _: object, maps: Tensor) -> None:
        found.append((stage, tuple(maps.shape)))

    hooks = [stage.register_forward_hook(look) for stage in stages]
    net.eval()(probe)
    for hook in hooks:
        hook.remove()
    if [stage for stage, _ in found] != stages or any(len(shape) != 4 for _, shape in found):
        raise ValueError(found)
    return [shape for _, shape in found]
