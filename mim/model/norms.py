"""What becomes of an encoder's batch normalisation, which carries the makers it was trained on."""

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


def batch_norms(net: nn.Module) -> list[nn.Module]:
    """The batch normalisations of a net, of every kind."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def to_group_norm(net: nn.Module) -> None:
    """Put group normalisation in the place of every two-dimensional batch normalisation."""
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            net.set_submodule(name, GroupNormAct(module))


def hold(modules: list[nn.Module]) -> None:
    """Keep modules in evaluation mode and their parameters out of training."""
    for module in modules:
        module.eval()
        module.requires_grad_(False)
