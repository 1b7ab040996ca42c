"""The quality task: landmarks of each view, and what is judged of its positioning and technique.

A landmark is read from a heat map over cells of the fine feature maps, with one ring of cells around
the image, so that a point on its border lies between cells too. The map learns to share a point out
over the four cells around it as bilinear interpolation does; then its expectation is the point.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, masked_mean, of_other_breast
from mim.vocab import Criterion, Landmark

HIDDEN = 64
"""Channels of the maps from which landmarks are read."""

SHARPER = 3.0
"""The place around which a map is read is the expectation of its probabilities to this power: near
the highest cell, but not jumping from one to another by a rounding error."""

REACH = 2.0
"""Cells in each direction that are read around that place ..."""

FALL = 10.0
"""... and how fast the log-probability of those further out is taken down, per cell. What lies far
away would pull a point towards the middle of the image (Gu 2021, ICCV: bias of integral regression)."""

SYMMETRIC = list(Criterion).index(Criterion.SYMMETRIC)


class QualityOutput(NamedTuple):
    """What is said of each view of the exam; meaningless where absent."""

    points: Tensor
    """[exam, view, landmark, 2], column and row as shares of width and height: 0 the left or upper
    edge of the image, 1 the right or lower one."""
    visible: Tensor
    """[exam, view, landmark], log-odds that it lies on the image."""
    criteria: Tensor
    """[exam, view, criterion], log-odds."""
    heat: Tensor
    """[exam, view, landmark, row, column], log-odds of the cells; the first and last row and
    column are the ring around the image."""


class QualityHead(nn.Module):
    """Heat maps from fine maps; visibility and criteria from the view, and from what its fine maps
    hold anywhere. ``symmetric`` compares the view with the same one of the other breast.
    """

    def __init__(self, width: int, fine_channels: int) -> None:
        super().__init__()
        self.cells = nn.Sequential(
            nn.GroupNorm(1, fine_channels),
            nn.Conv2d(fine_channels, HIDDEN, 3, padding=2),
            nn.GELU(),
            nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
            nn.GELU(),
        )
        self.heat = nn.Conv2d(HIDDEN, len(Landmark), 1)
        summary = width + 2 * HIDDEN
        self.visible = nn.Linear(summary, len(Landmark))
        self.criteria = nn.Linear(summary, len(Criterion) - 1)
        self.symmetric = nn.Sequential(
            nn.Linear(summary + 2 * len(Landmark) + 1, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1)
        )

    def forward(self, seen: Seen) -> QualityOutput:
        """Quality of a batch's views."""
        assert seen.fine is not None, "the quality head reads fine maps"
        cells = self.cells(seen.fine.flatten(0, 1)).unflatten(0, seen.present.shape)
        heat = self.heat(cells.flatten(0, 1)).unflatten(0, seen.present.shape)
        points = read_points(heat)
        summary = torch.cat([seen.views, cells.mean(dim=(3, 4)), cells.amax(dim=(3, 4))], dim=-1)
        symmetric = self._symmetric(summary, points.detach(), seen.present)
        criteria = self.criteria(summary)
        judged = torch.cat([criteria[..., :SYMMETRIC], symmetric, criteria[..., SYMMETRIC:]], -1)
        return QualityOutput(points, self.visible(summary), judged, heat)

    def _symmetric(self, summary: Tensor, points: Tensor, present: Tensor) -> Tensor:
        """The same for both views of a pair, since only the size of their difference is seen."""
        tenths = 10.0 * points.flatten(2)
        compared = torch.cat([summary, tenths], dim=-1)
        both = (present & of_other_breast(present)).to(compared.dtype)[..., None]
        difference = (compared - of_other_breast(compared)).abs() * both
        logits: Tensor = self.symmetric(torch.cat([difference, both], dim=-1))
        return logits


def read_points(heat: Tensor) -> Tensor:
    """Log-odds of cells [..., row, column], a ring included, to points [..., 2] as shares."""
    rows = torch.arange(heat.shape[-2], device=heat.device, dtype=heat.dtype)
    columns = torch.arange(heat.shape[-1], device=heat.device, dtype=heat.dtype)
    down, across = _expected(SHARPER * heat, rows, columns)
    far_down = (rows - down[..., None]).abs()[..., :, None]
    far_across = (columns - across[..., None]).abs()[..., None, :]
    beyond = functional.relu(torch.maximum(far_down, far_across) - REACH)
    row, column = _expected(heat - FALL * beyond.detach(), rows, columns)
    return torch.stack([(column - 0.5) / (len(columns) - 2), (row - 0.5) / (len(rows) - 2)], dim=-1)


def shared_out(points: Tensor, rows: int, columns: int) -> Tensor:
    """Points [..., 2] as shares to what each cell, a ring included, has of them [..., row, column]."""
    size = points.new_tensor([columns - 2, rows - 2])
    last = points.new_tensor([columns - 1, rows - 1])
    place = (points * size + 0.5).clamp(min=0).minimum(last)
    across = torch.arange(columns, device=points.device, dtype=points.dtype)
    down = torch.arange(rows, device=points.device, dtype=points.dtype)
    of_columns = functional.relu(1.0 - (across - place[..., :1]).abs())
    of_rows = functional.relu(1.0 - (down - place[..., 1:]).abs())
    return of_rows[..., :, None] * of_columns[..., None, :]


def quality_loss(
    output: QualityOutput,
    landmarks: Tensor,
    visible: Tensor,
    criteria: Tensor,
    present: Tensor,
    landmark_weight: float,
) -> Tensor:
    """Cross-entropy of the landmarks' cells, of visibility and of criteria, where known.

    Args:
        output: of the batch.
        landmarks: [exam, view, landmark, 2] as in the output; NaN unknown or not on the image.
        visible: [exam, view, landmark], 1 or 0; NaN unknown.
        criteria: [exam, view, criterion], 1 or 0; NaN unknown.
        present: bool [exam, view].
        landmark_weight: weight of the landmarks' loss beside the others.
    """
    known = ~landmarks.isnan().any(dim=-1) & present[..., None]
    cells = shared_out(landmarks.nan_to_num(), *output.heat.shape[-2:]).flatten(-2)
    likely = torch.log_softmax(output.heat.flatten(-2), dim=-1)
    off = -(cells * likely).sum(dim=-1)
    return (
        landmark_weight * masked_mean(off, known)
        + _judged(output.visible, visible, present)
        + _judged(output.criteria, criteria, present)
    )


def quality_scores(output: QualityOutput, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points on the image, probabilities of visibility and criteria; 0 where the view is absent."""
    seen = present.to(output.points.dtype)[..., None]
    return (
        output.points.clamp(0.0, 1.0) * seen[..., None],
        torch.sigmoid(output.visible) * seen,
        torch.sigmoid(output.criteria) * seen,
    )


def _expected(heat: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Expected row and column of maps [..., row, column], each [...]."""
    weight = torch.softmax(heat.flatten(-2), dim=-1).reshape(heat.shape)
    return (weight.sum(dim=-1) * rows).sum(dim=-1), (weight.sum(dim=-2) * columns).sum(dim=-1)


def _judged(logits: Tensor, truth: Tensor, present: Tensor) -> Tensor:
    loss = functional.binary_cross_entropy_with_logits(logits, truth.nan_to_num(), reduction="none")
    return masked_mean(loss, ~truth.isnan() & present[..., None])
