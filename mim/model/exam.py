"""The model: one exam with its priors in, a cancer score for each breast out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mim.model.encoder import ViewEncoder
from mim.model.fusion import Fusion
from mim.model.settings import ModelSettings
from mim.vocab import BREASTS, SCREENING_VIEWS


class Logits(NamedTuple):
    """Log-odds of cancer."""

    breast: Tensor
    """[exam, breast], left and right, from all views and priors."""
    view: Tensor
    """[exam, time, view], from each view by itself; meaningless where absent."""


class ExamModel(nn.Module):
    """Encodes the views that are there, fuses them, and reads each breast from its own views."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.encoder = ViewEncoder(settings.encoder, settings.weights)
        self.project = nn.Sequential(
            nn.Linear(self.encoder.features, settings.width), nn.LayerNorm(settings.width)
        )
        self.fusion = Fusion(settings.width, settings.layers, settings.heads, settings.dropout)
        self.view_head = nn.Linear(settings.width, 1)
        self.breast_head = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(2 * settings.width, settings.width),
            nn.GELU(),
            nn.Linear(settings.width, 1),
        )

    def forward(self, images: Tensor, present: Tensor, months: Tensor) -> Logits:
        """Log-odds of an exam's breasts and views.

        Args:
            images: uint16 [exam, time, view, 1, height, width].
            present: bool [exam, time, view]; at least one view in the batch must be there.
            months: float [exam, time], months before the exam.
        """
        vectors = self._encode_present(images, present)
        fused, exam = self.fusion(vectors, present, months)
        view = self.view_head(vectors).squeeze(-1)
        seen = _by_breast(present[:, 0]).to(fused.dtype)
        own = _mean_of_seen(_by_breast(fused[:, 0]), seen)
        by_views = _mean_of_seen(_by_breast(view[:, 0, :, None]), seen).squeeze(-1)
        both = torch.cat([own, exam[:, None].expand_as(own)], dim=-1)
        return Logits(self.breast_head(both).squeeze(-1) + by_views, view)

    def _encode_present(self, images: Tensor, present: Tensor) -> Tensor:
        """[exam, time, view, width]; absent views are zero and never pass the encoder."""
        there = torch.nonzero(present.flatten()).squeeze(1)
        # The exporter cannot know that a batch without any image never comes.
        torch._check(there.shape[0] > 0)
        chosen = images.flatten(0, 2)[there]
        encoded = self.project(self.encoder(chosen))
        empty = encoded.new_zeros(present.numel(), encoded.shape[-1])
        filled: Tensor = empty.index_copy(0, there, encoded)
        return filled.reshape(*present.shape, -1)


class ExamScorer(nn.Module):
    """What is exported: scores from 0 to 1 instead of log-odds."""

    def __init__(self, model: ExamModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, present: Tensor, months: Tensor) -> tuple[Tensor, Tensor]:
        """Score of each breast [exam, breast], 0 where it has no view, and of the exam [exam].

        The exam's score is the higher of its breasts'.
        """
        logits = self.model(images, present, months).breast
        seen = _by_breast(present[:, 0]).any(dim=-1)
        breasts = torch.sigmoid(logits) * seen.to(logits.dtype)
        return breasts, breasts.amax(dim=1)


def _by_breast(views: Tensor) -> Tensor:
    """[exam, slot, ...] to [exam, breast, view, ...]; slots as in ``vocab.VIEW_SLOTS``."""
    return views.reshape(views.shape[0], len(BREASTS), len(SCREENING_VIEWS), *views.shape[2:])


def _mean_of_seen(values: Tensor, seen: Tensor) -> Tensor:
    """[exam, breast, view, n] to [exam, breast, n]: mean over the views that are there, or 0."""
    weights = seen / seen.sum(dim=-1, keepdim=True).clamp(min=1.0)
    return (values * weights[..., None]).sum(dim=-2)
