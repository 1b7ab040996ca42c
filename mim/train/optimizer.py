"""The optimiser of a run: which weights it moves, how fast, and when."""

from collections.abc import Callable, Iterator
from math import cos, pi

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from mim.model.exam import ExamModel
from mim.train.settings import Optimizer, Schedule, TrainSettings

MOMENTUM = 0.9
"""Of stochastic gradient descent."""

ADVERSARY_PACE = 3.0
"""How many times as fast as the model its adversary learns. Mirai takes three steps of the adversary
for each of the model; with reversed gradients both step at once, and this takes their place."""

OF_ADVERSARY = "of_adversary"
"""Key that the adversary's parameter groups have."""

DECAYED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weights are matrices or convolutions."""


def make_optimizer(
    model: ExamModel, settings: TrainSettings, steps: int, adversary: nn.Module | None = None
) -> OptimizerLRSchedulerConfig:
    """The optimiser and its schedule, as Lightning takes them.

    Args:
        model: parameters that need no gradient are left out.
        settings: of training.
        steps: optimiser steps of the whole run.
        adversary: of the model, with a learning rate of its own.
    """
    groups = parameter_groups(model, settings)
    if adversary is not None:
        groups += adversary_groups(adversary, settings)
    optimizer: torch.optim.Optimizer
    if settings.optimizer is Optimizer.sgd:
        optimizer = SGD(groups, lr=settings.learning_rate, momentum=MOMENTUM)
    else:
        optimizer = AdamW(groups, lr=settings.learning_rate)
    shape = learning_rate_share(settings.schedule, steps, settings.warmup_share)
    schedule = LambdaLR(optimizer, shape)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(model: ExamModel, settings: TrainSettings) -> list[dict[str, object]]:
    """Parameters by learning rate and weight decay.

    The encoder's last layer group learns ``layer_decay`` times as fast as what stands behind the
    encoder, the group before it ``layer_decay`` times as fast as that one, and so on. Weights of
    matrices and convolutions decay; biases, norms and embeddings do not.
    """
    layers = model.encoder.layer_groups()
    behind = {
        parameter: settings.layer_decay ** (len(layers) - place)
        for place, layer in enumerate(layers)
        for parameter in layer
    }
    decayed = set(_decayed(model))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter in decayed else 0.0
            rate = settings.learning_rate * behind.get(parameter, 1.0)
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def adversary_groups(adversary: nn.Module, settings: TrainSettings) -> list[dict[str, object]]:
    """The adversary's parameters by weight decay; all learn ``ADVERSARY_PACE`` times as fast."""
    decayed = set(_decayed(adversary))
    rate = ADVERSARY_PACE * settings.learning_rate
    parts = {
        settings.weight_decay: [part for part in adversary.parameters() if part in decayed],
        0.0: [part for part in adversary.parameters() if part not in decayed],
    }
    return [
        {"params": part, "lr": rate, "weight_decay": decay, OF_ADVERSARY: True}
        for decay, part in parts.items()
    ]


def learning_rate_share(
    schedule: Schedule, steps: int, warmup_share: float
) -> Callable[[int], float]:
    """Share of the highest learning rate at each step: a straight rise, then as the schedule says."""
    warmup = max(1, round(steps * warmup_share))

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if schedule is Schedule.constant:
            return 1.0
        return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return share


def _decayed(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(module, DECAYED):
            yield module.weight
