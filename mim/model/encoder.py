"""One view to one vector: any timm model that gives feature maps."""

from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mim.errors import InputError
from mim.image.intensity import FULL_SCALE
from mim.model.settings import EncoderSettings

FINE_STRIDE = 8
"""Fine maps have at least a cell for every so many pixels."""


class Encoded(NamedTuple):
    """What the encoder makes of images."""

    vectors: Tensor
    """[image, feature]."""
    maps: Tensor
    """[image, channel, row, column], the last feature maps."""
    fine: Tensor | None
    """[image, channel, row, column], maps with a cell for every ``FINE_STRIDE`` pixels."""


class ViewEncoder(nn.Module):
    """Feature maps and vectors of single views.

    The grey levels are normalised here, inside the module, so that they are also inside the
    exported graph. Mean and maximum over the feature map stand side by side: the mean tells
    texture, the maximum a small lesion.

    Args:
        settings: which encoder.
        fine: whether fine maps are wanted.

    Raises:
        InputError: no such model, no feature maps, or weights that do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: EncoderSettings, fine: bool) -> None:
        super().__init__()
        name = settings.name
        if not timm.is_model(name):
            near = ", ".join(get_close_matches(name, timm.list_models()))
            raise InputError(
                f"model.encoder.name: timm has no model '{name}'; near it: {near or 'none'}"
            )
        self.backbone = timm.create_model(name, in_chans=1, num_classes=0, global_pool="")
        if settings.weights is not None:
            _load(self.backbone, Path(settings.weights))
        channels, self._channels_last = _layout(self.backbone, name)
        self.features = 2 * channels
        self._fine = fine
        self.fine_channels = channels
        trained_with = timm.get_pretrained_cfg(name, allow_unregistered=False)
        for level in ("mean", "std"):
            colours = getattr(trained_with, level)
            self.register_buffer(level, torch.tensor(sum(colours) / len(colours) * FULL_SCALE))

    def forward(self, images: Tensor) -> Encoded:
        """Encode uint16 [image, 1, height, width]."""
        normal = (images.to(self.mean.dtype) - self.mean) / self.std
        maps: Tensor = self.backbone(normal)
        if self._channels_last:
            maps = maps.permute(0, 3, 1, 2)
        vectors = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return Encoded(vectors, maps, maps if self._fine else None)


def _layout(backbone: nn.Module, name: str) -> tuple[int, bool]:
    """Channels of the feature maps, and whether they stand last."""
    was_training = backbone.training
    try:
        with torch.no_grad():
            maps = backbone.eval()(torch.zeros(1, 1, 128, 64))
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"model.encoder.name: '{name}' takes no 128 x 64 image: {error}"
        ) from error
    backbone.train(was_training)
    if maps.ndim != 4:
        raise InputError(
            f"model.encoder.name: '{name}' gives no feature maps; choose a convolutional one"
        )
    known = (getattr(backbone, "head_hidden_size", None), getattr(backbone, "num_features", None))
    if maps.shape[1] in known:
        return int(maps.shape[1]), False
    if maps.shape[3] in known:
        return int(maps.shape[3]), True
    raise InputError(
        f"model.encoder.name: '{name}' gives maps of an unknown layout {tuple(maps.shape)}"
    )


def _load(backbone: nn.Module, path: Path) -> None:
    """Weights of one channel or, summed over the colours, of three; the head may be missing."""
    if not path.is_file():
        raise InputError(f"model.encoder.weights: no such file: {path}")
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = backbone.state_dict()
    for key, value in state.items():
        if key in wanted and value.ndim == 4 and wanted[key].shape[1] == 1 and value.shape[1] == 3:
            state[key] = value.sum(dim=1, keepdim=True)
    bad = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if bad:
        raise InputError(
            f"model.encoder.weights: {path} lacks or misfits {len(bad)} of {len(wanted)} tensors, "
            f"first '{bad[0]}'; is it of the encoder in model.encoder.name?"
        )
    backbone.load_state_dict({key: state[key] for key in wanted})
