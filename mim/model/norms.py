"""What becomes of an encoder's batch normalisation, which carries the makers it was trained on."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

MOST_GROUPS = 32
LEAST_CHANNELS = 4
"""A group of fewer channels loses how strong a feature is beside the others."""


class GroupNormAct(nn.GroupNorm):
    """Group normalisation with a batch normalisation's factors, dropping and activation.

    Group normalisation (doi:10.1007/978-3-030-01261-8_1) sees one image at a time, so it holds
    nothing of the images it was trained on but its factors.
    """

    def __init__(self, old: nn.BatchNorm2d) -> None:
        channels = old.num_features
        super().__init__(groups_of(channels), channels, eps=old.eps, affine=old.affine)
        if old.affine:
            self.weight, self.bias = old.weight, old.bias
        self.drop: nn.Module = nn.Identity()
        self.act: nn.Module = nn.Identity()
        if isinstance(old, BatchNormAct2d):
            self.drop, self.act = old.drop, old.act

    def forward(self, input: Tensor) -> Tensor:
        """[image, channel, row, column]."""
        changed: Tensor = self.act(self.drop(super().forward(input)))
        return changed


def groups_of(channels: int) -> int:
    """The most groups, at most 32, that divide the channels into fours or more; else one."""
    return max(
        groups
        for groups in range(1, MOST_GROUPS + 1)
        if groups == 1 or (channels % groups == 0 and channels // groups >= LEAST_CHANNELS)
    )


def batch_norms(net: nn.Module) -> list[_BatchNorm]:
    """The batch normalisations of a net, of every kind."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def to_group_norm(net: nn.Module) -> None:
    """Put group normalisation in the place of every two-dimensional batch normalisation."""
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            net.set_submodule(name, GroupNormAct(module))


def hold(modules: Iterable[nn.Module]) -> None:
    """Keep modules in evaluation mode and their parameters out of training."""
    for module in modules:
        module.eval()
        module.requires_grad_(False)


@torch.no_grad()
def fit_statistics(net: nn.Module, batches: Iterable[Tensor], share: float = 1.0) -> None:
    """Take a net's batch normalisation statistics from images, in one pass; nothing else changes.

    Each mean and variance is the exact one of the layer's inputs over all images, whatever the
    batches. Only what stands before a layer depends on them: there each batch is normalised by its
    own statistics, as in training, so that one batch of all images gives statistics in which every
    layer agrees with those before it, and large mixed batches nearly do. This is AdaBN (Li et al.
    2018, doi:10.1016/j.patcog.2018.03.005); variances are those of the population.

    Args:
        net: is called on each batch; in evaluation mode afterwards.
        batches: of images, all on the net's device.
        share: of the images' statistics; the rest is that of the old ones (Schneider et al. 2020,
            arXiv:2006.16971).
    """
    norms = [norm for norm in batch_norms(net.eval()) if norm.track_running_stats]
    old: dict[nn.Module, list[Tensor]] = {
        norm: [part.to(torch.float64, copy=True) for part in _kept(norm)] for norm in norms
    }
    seen: dict[nn.Module, Moments] = {}

    def put(norm: nn.Module, found: Moments) -> None:
        for before, now, kept in zip(old[norm], found.statistics(), _kept(norm), strict=True):
            kept.copy_(before.lerp(now, share))

    def of_batch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found = Moments.of(inputs[0])
        put(norm, found)
        seen[norm] = seen[norm].joined(found) if norm in seen else found

    handles = [norm.register_forward_pre_hook(of_batch) for norm in norms]
    try:
        for images in batches:
            net(images)
    finally:
        for handle in handles:
            handle.remove()
    for norm, found in seen.items():
        put(norm, found)


class Moments(NamedTuple):
    """What a layer has seen, in double precision."""

    cells: int
    """How many values of each channel."""
    values: Tensor
    """[channel], their sum."""
    squares: Tensor
    """[channel], the sum of their squares."""

    @classmethod
    def of(cls, maps: Tensor) -> "Moments":
        """Of maps [image, channel, ...]."""
        flat = maps.reshape(*maps.shape[:2], -1)
        # Image by image, since sums over a whole batch lose digits in single precision.
        variance, mean = (part.double() for part in torch.var_mean(flat, dim=2, correction=0))
        cells = flat.shape[2]
        squares = (variance + mean.square()).sum(dim=0)
        return cls(len(flat) * cells, cells * mean.sum(dim=0), cells * squares)

    def joined(self, other: "Moments") -> "Moments":
        """Of both."""
        return Moments(
            self.cells + other.cells, self.values + other.values, self.squares + other.squares
        )

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance [channel]."""
        mean = self.values / self.cells
        return mean, (self.squares / self.cells - mean.square()).clamp(min=0)


def _kept(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The buffers of a batch normalisation's mean and variance."""
    return norm.get_buffer("running_mean"), norm.get_buffer("running_var")
