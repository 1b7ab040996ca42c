"""A timm model as a maker of feature maps."""

import os
import shutil
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg, group_parameters
from torch import Tensor, nn

from mim.errors import InputError
from mim.model.mixstyle import mix_first_stages
from mim.model.norms import batch_norms, hold, to_group_norm
from mim.model.settings import EncoderSettings, Norm
from mim.model.weights import load_weights

PROBE = (128, 64)
"""Height and width of the image on which a model is tried."""


class Backbone(nn.Module):
    """A timm model of one channel, without its head.

    Args:
        settings: which model, its weights, and what is changed about it.
        stride: pixels a cell of the finer maps may span at most; missing: no finer maps.
        key: the setting that names the model, for errors.

    Raises:
        InputError: no such model, no feature maps, weights that do not fit, or a setting that
            this model or machine cannot follow.
    """

    channels: int
    """Channels of the maps."""
    finer_channels: int
    """Channels of the finer maps; 0 without."""

    def __init__(
        self,
        settings: EncoderSettings,
        stride: float | None = None,
        key: str = "model.encoder.name",
    ) -> None:
        super().__init__()
        self._settings = settings
        self._named = f"{key}: '{settings.name}'"
        net, self.report = _make(settings, key)
        """Lines on what was loaded, and on settings that change nothing."""
        self.net: Any = net
        self._channels_last, self.channels = self._layout()
        self._stage: int | None = None
        self.finer_channels = 0
        if stride is not None:
            self._stage, self.finer_channels = self._finer(stride)
        self._normalise()
        if settings.checkpointing:
            self._checkpoint()
        if settings.mixstyle:
            mix_first_stages(self.net, settings.mixstyle, _probe(), self._named)
        if settings.channels_last:
            self.net.to(memory_format=torch.channels_last)
        self.train()
        if settings.compile:
            _require_compiler()
            self.compile()

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode, but for what is frozen."""
        super().train(mode)
        if self._settings.frozen:
            hold([self.net])
        elif self._settings.norm is Norm.frozen:
            hold(batch_norms(self.net))
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps, and finer ones if wanted, of float [image, 1, height, width]."""
        if self._stage is None:
            return self._channels_first(self.net(images)), None
        last, stages = self.net.forward_intermediates(images, indices=[self._stage])
        return self._channels_first(self.net.forward_head(last)), stages[0]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters that are learnt, from the first layers to the last."""
        parameters = dict(self.net.named_parameters())
        groups = [list(parameters)]
        if hasattr(self.net, "group_matcher"):
            by_layer = group_parameters(self.net, self.net.group_matcher(coarse=False))
            groups = [by_layer[layer] for layer in sorted(by_layer)]
        learnt = [[parameters[n] for n in names if parameters[n].requires_grad] for names in groups]
        return [group for group in learnt if group]

    def _channels_first(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 3, 1, 2) if self._channels_last else maps

    @torch.no_grad()
    def _layout(self) -> tuple[bool, int]:
        """Whether the maps' channels stand last, and how many there are."""
        try:
            maps = self.net.eval()(_probe())
        except (AssertionError, RuntimeError) as error:
            raise InputError(
                f"{self._named} fails on an image of {PROBE[0]} x {PROBE[1]}; "
                "choose one that takes images of any size"
            ) from error
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            raise InputError(
                f"{self._named} gives no feature maps; "
                "choose a convolutional model, or one of windows such as Swin"
            )
        known = {getattr(self.net, name, None) for name in ("head_hidden_size", "num_features")}
        for axis in (1, 3):
            if maps.shape[axis] in known:
                return axis == 3, int(maps.shape[axis])
        raise InputError(
            f"{self._named} gives maps of an unknown layout {tuple(maps.shape)}; choose another"
        )

    @torch.no_grad()
    def _finer(self, stride: float) -> tuple[int, int]:
        """The last stage whose cells span ``stride`` pixels at most, and its channels."""
        try:
            stages = self.net.forward_intermediates(_probe(), intermediates_only=True)
            fine = [at for at, maps in enumerate(stages) if maps.shape[2] * stride >= PROBE[0]]
            last, _ = self.net.forward_intermediates(_probe(), indices=fine[-1:] or [0])
            same = torch.allclose(self.net.forward_head(last), self.net(_probe()), atol=1e-4)
        except (AttributeError, AssertionError, RuntimeError):
            same = False
        if not same:
            raise InputError(
                f"{self._named} gives no maps between its stages, which "
                "landmarks need; choose another, or turn tasks.quality off"
            )
        if not fine:
            raise InputError(
                f"{self._named} has no stage with a cell for every "
                f"{stride:g} pixels, which landmarks need; choose another, or a lower "
                "model.encoder.reduce"
            )
        return fine[-1], int(stages[fine[-1]].shape[1])

    def _normalise(self) -> None:
        norm = self._settings.norm
        if norm is not Norm.keep and not batch_norms(self.net):
            self.report.append(
                f"model.encoder.norm={norm.value} changes nothing: "
                f"{self._settings.name} has no batch normalisation"
            )
        elif norm is Norm.group:
            to_group_norm(self.net)

    def _checkpoint(self) -> None:
        try:
            self.net.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise InputError(
                "model.encoder.checkpointing: timm does not offer it for "
                f"'{self._settings.name}'; turn it off or choose another encoder"
            ) from error


def trained_as(name: str) -> PretrainedCfg:
    """How timm's own weights of a model were trained: grey levels, size, where they come from."""
    return get_pretrained_cfg(name, allow_unregistered=False) or PretrainedCfg()


def _probe() -> Tensor:
    rows, columns = PROBE
    return torch.linspace(-1, 1, rows * columns).reshape(1, 1, rows, columns)


def _make(settings: EncoderSettings, key: str) -> tuple[nn.Module, list[str]]:
    """The timm model with its weights, and lines on what was loaded."""
    name = settings.name
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models()))
        raise InputError(f"{key}: timm has no model '{name}'; near it: {near or 'none'}")
    base, tagged, _ = name.partition(".")
    if tagged and name not in (known := timm.list_models(f"{base}.*", pretrained=True)):
        raise InputError(
            f"{key}: timm has no weights '{name}'; it has {', '.join(known) or 'none'}"
        )
    if settings.pretrained and settings.weights is not None:
        raise InputError("model.encoder: has both weights and pretrained; choose one")
    try:
        net = _create(name, pretrained=False)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise InputError(
            f"{key}: '{name}' cannot be made without a head, for one channel and "
            "images of any size; choose another"
        ) from error
    if settings.pretrained:
        return _pretrained(name)
    if settings.weights is not None:
        return net, [load_weights(net, Path(settings.weights))]
    return net, []


def _create(name: str, pretrained: bool) -> nn.Module:
    # Window transformers insist on the size of their training images unless told otherwise.
    any_size: dict[str, Any] = (
        {"strict_img_size": False} if trained_as(name).fixed_input_size else {}
    )
    net: nn.Module = timm.create_model(
        name, pretrained=pretrained, in_chans=1, num_classes=0, global_pool="", **any_size
    )
    return net


def _pretrained(name: str) -> tuple[nn.Module, list[str]]:
    """The model with timm's own weights; timm sums three colours to one channel itself."""
    own = trained_as(name)
    if not own.has_weights:
        raise InputError(
            f"model.encoder.pretrained: timm has no weights of '{name}'; "
            "choose another model, or give a file in model.encoder.weights"
        )
    try:
        net = _create(name, pretrained=True)
    except Exception as error:  # whatever the network, a proxy or the hub may raise
        raise InputError(
            f"model.encoder.pretrained: the weights of '{name}' ({own.hf_hub_id or own.url}) did "
            f"not come ({type(error).__name__}); fetch them where there is a network and give the "
            "file in model.encoder.weights"
        ) from error
    return net, [f"timm's own weights {own.hf_hub_id or own.url}, colours summed to one"]


def _require_compiler() -> None:
    """Compiling needs a C++ compiler when the first batch comes; better to know now."""
    names = (os.environ.get("CXX", "g++"), "clang++", "cl")
    if not any(shutil.which(name) for name in names):
        raise InputError(
            "model.encoder.compile: this machine has no C++ compiler; install g++, or turn it off"
        )
