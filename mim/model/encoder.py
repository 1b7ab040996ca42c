"""One view to one vector, and to the maps that landmarks and changes are read from."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.errors import InputError
from mim.image.intensity import FULL_SCALE
from mim.model.backbone import Backbone, trained_as
from mim.model.patches import Patches
from mim.model.pooling import make_pool
from mim.model.settings import EncoderSettings, PatchSettings

FINE_STRIDE = 8
"""Fine maps have at least a cell for every so many pixels."""

FINE_CHANNELS = 64


class Encoded(NamedTuple):
    """What the encoder makes of images."""

    vectors: Tensor
    """[image, feature]."""
    maps: Tensor
    """[image, channel, row, column], the last feature maps."""
    fine: Tensor | None
    """[image, channel, row, column], maps with a cell for every ``FINE_STRIDE`` pixels or fewer."""


class ViewEncoder(nn.Module):
    """Feature maps and vectors of single views.

    The grey levels are normalised here, inside the module, so that they are also inside the
    exported graph, and in float32 whatever the precision of training: half precision ends at
    65504.

    Args:
        settings: which encoder.
        patches: whether and how patches are looked at closely.
        fine: whether fine maps are wanted.

    Raises:
        InputError: a reduction below 1, and what ``Backbone`` raises.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: EncoderSettings, patches: PatchSettings, fine: bool) -> None:
        super().__init__()
        if settings.reduce < 1:
            raise InputError(f"model.encoder.reduce={settings.reduce}: must be 1 or more")
        self._reduce = settings.reduce
        self.backbone = Backbone(settings, FINE_STRIDE / settings.reduce if fine else None)
        self.channels = self.backbone.channels
        self.report = self.backbone.report
        """Lines on what was loaded, and on settings that change nothing."""
        self.pool, self.features = make_pool(settings.pool, self.channels)
        self.fine = FineMaps(self.channels, self.backbone.finer_channels) if fine else None
        self.fine_channels = FINE_CHANNELS if fine else 0
        self.patches = Patches(patches, settings, self.channels) if patches.count else None
        if self.patches is not None:
            self.features += self.patches.features
        for level in ("mean", "std"):
            colours = getattr(trained_as(settings.name), level)
            self.register_buffer(level, torch.tensor(sum(colours) / len(colours)))

    def forward(self, images: Tensor) -> Encoded:
        """Encode uint16 [image, 1, height, width]."""
        shares = images.to(torch.float32) / FULL_SCALE
        normal = ((shares - self.mean) / self.std).to(self.mean.dtype)
        reduced = functional.avg_pool2d(normal, self._reduce) if self._reduce > 1 else normal
        maps, finer = self.backbone(reduced)
        vectors = self.pool(maps)
        if self.patches is not None:
            vectors = torch.cat([vectors, self.patches(normal, maps)], dim=1)
        return Encoded(vectors, maps, None if self.fine is None else self.fine(maps, finer))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of the encoder proper that are learnt, from the first layers to the last."""
        return self.backbone.layer_groups()


class FineMaps(nn.Module):
    """What a place is, from the last maps, and where exactly, from those of an earlier stage."""

    def __init__(self, channels: int, finer_channels: int) -> None:
        super().__init__()
        self.what = nn.Conv2d(channels, FINE_CHANNELS, 1)
        self.where = nn.Conv2d(finer_channels, FINE_CHANNELS, 1)

    def forward(self, maps: Tensor, finer: Tensor) -> Tensor:
        """[image, channel, row, column] of the finer maps' rows and columns."""
        what = functional.interpolate(
            self.what(maps), size=finer.shape[-2:], mode="bilinear", align_corners=False
        )
        return functional.gelu(what + self.where(finer))
