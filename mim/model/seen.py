"""What the heads read of a batch, and how views make up breasts."""

from typing import NamedTuple

import torch
from torch import Tensor

from mim.vocab import BREASTS, SCREENING_VIEWS


class Seen(NamedTuple):
    """A batch as the encoder and the fusion see it."""

    present: Tensor
    """bool [exam, view], views of the exam itself."""
    views: Tensor
    """[exam, view, width], each view of the exam by itself; 0 where absent."""
    breasts: Tensor
    """[exam, breast, width], each breast fused with all else that is there."""
    fine: Tensor | None
    """[exam, view, channel, row, column], fine feature maps of the exam's own views, 0 where
    absent; only where a head asks for them."""

    def whole(self) -> "Seen":
        """The same in float32."""
        fine = None if self.fine is None else self.fine.float()
        return Seen(self.present, self.views.float(), self.breasts.float(), fine)


def by_breast(views: Tensor) -> Tensor:
    """[exam, slot, ...] to [exam, breast, view, ...]; slots as in ``vocab.VIEW_SLOTS``."""
    return views.reshape(views.shape[0], len(BREASTS), len(SCREENING_VIEWS), *views.shape[2:])


def of_other_breast(views: Tensor) -> Tensor:
    """[exam, slot, ...] with each slot's place taken by the same view of the other breast."""
    return by_breast(views).flip(1).flatten(1, 2)


def has_view(present: Tensor) -> Tensor:
    """bool [exam, view] to bool [exam, breast]: whether any view of the breast is there."""
    return by_breast(present).any(dim=-1)


def newest_prior(present: Tensor) -> Tensor:
    """bool [exam, time, view]: where each view was last seen before the exam; at most once each."""
    earlier = present & (torch.arange(present.shape[1], device=present.device) > 0)[:, None]
    return earlier & (earlier.cumsum(dim=1) == 1)


def mean_over_views(values: Tensor, present: Tensor) -> Tensor:
    """[exam, view, n] to [exam, breast, n]: mean over the views that are there, or 0.

    ``present`` is bool [exam, view].
    """
    seen = by_breast(present).to(values.dtype)
    weights = seen / seen.sum(dim=-1, keepdim=True).clamp(min=1.0)
    mean: Tensor = (by_breast(values) * weights[..., None]).sum(dim=-2)
    return mean


def masked_mean(loss: Tensor, known: Tensor) -> Tensor:
    """Mean of the losses that are known; 0 where none is, without a gradient."""
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1)
