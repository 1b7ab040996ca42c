"""The quality task: landmarks of each view, and what is judged of its positioning and technique."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, masked_mean
from mim.vocab import Criterion, Landmark


class QualityOutput(NamedTuple):
    """What is said of each view of the exam; meaningless where absent."""

    points: Tensor
    """[exam, view, landmark, 2], column and row as shares of width and height: 0 the left or upper
    edge of the image, 1 the right or lower one."""
    visible: Tensor
    """[exam, view, landmark], log-odds that it lies on the image."""
    criteria: Tensor
    """[exam, view, criterion], log-odds."""


class QualityHead(nn.Module):
    """Landmarks as the centre of mass of a heat map, with a correction within each cell."""

    def __init__(self, width: int, fine_channels: int) -> None:
        super().__init__()
        self.heat = nn.Sequential(
            nn.Conv2d(fine_channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, 3 * len(Landmark), 1),
        )
        self.visible = nn.Linear(width, len(Landmark))
        self.criteria = nn.Linear(width, len(Criterion))

    def forward(self, seen: Seen) -> QualityOutput:
        """Quality of a batch's views."""
        assert seen.fine is not None, "the quality head reads fine maps"
        exams, views = seen.fine.shape[:2]
        maps = self.heat(seen.fine.flatten(0, 1)).unflatten(1, (len(Landmark), 3))
        rows, columns = maps.shape[-2:]
        weight = torch.softmax(maps[:, :, 0].flatten(2), dim=-1)
        across = (torch.arange(columns, device=maps.device, dtype=maps.dtype) + 0.5) / columns
        down = (torch.arange(rows, device=maps.device, dtype=maps.dtype) + 0.5) / rows
        centres = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=0).flatten(1)
        cell = torch.tensor([1.0 / columns, 1.0 / rows], device=maps.device, dtype=maps.dtype)
        shifted = centres + torch.tanh(maps[:, :, 1:].flatten(3)) * cell[:, None]
        points = (weight[:, :, None] * shifted).sum(dim=-1).reshape(exams, views, len(Landmark), 2)
        own = seen.views[:, 0]
        return QualityOutput(points, self.visible(own), self.criteria(own))


def quality_loss(
    output: QualityOutput,
    landmarks: Tensor,
    visible: Tensor,
    criteria: Tensor,
    present: Tensor,
    landmark_weight: float,
) -> Tensor:
    """Loss of the landmarks that are known, and of visibility and criteria.

    Args:
        output: of the batch.
        landmarks: [exam, view, landmark, 2] as in the output; NaN unknown or not on the image.
        visible: [exam, view, landmark], 1 or 0; NaN unknown.
        criteria: [exam, view, criterion], 1 or 0; NaN unknown.
        present: bool [exam, view].
        landmark_weight: weight of the landmarks' loss beside the others.
    """
    known = ~landmarks.isnan() & present[..., None, None]
    off = functional.smooth_l1_loss(
        output.points, landmarks.nan_to_num(), reduction="none", beta=0.02
    )
    return (
        landmark_weight * masked_mean(off, known)
        + _judged(output.visible, visible, present)
        + _judged(output.criteria, criteria, present)
    )


def quality_scores(output: QualityOutput, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points, and probabilities of visibility and criteria; 0 where the view is absent."""
    seen = present.to(output.points.dtype)[..., None]
    return (
        output.points * seen[..., None],
        torch.sigmoid(output.visible) * seen,
        torch.sigmoid(output.criteria) * seen,
    )


def _judged(logits: Tensor, truth: Tensor, present: Tensor) -> Tensor:
    loss = functional.binary_cross_entropy_with_logits(logits, truth.nan_to_num(), reduction="none")
    return masked_mean(loss, ~truth.isnan() & present[..., None])
