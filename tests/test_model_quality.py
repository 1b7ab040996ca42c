"""Landmarks read from heat maps to a fraction of a cell, and criteria of pairs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mim.model.quality import (
    SYMMETRIC,
    QualityHead,
    QualityOutput,
    quality_loss,
    quality_scores,
    read_points,
    shared_out,
)
from mim.model.seen import Seen
from mim.vocab import Criterion, Landmark

ROWS, COLUMNS = 18, 10
"""Cells of a 128 x 64 image, with the ring around it."""
IN_CELLS = torch.tensor([COLUMNS - 2.0, ROWS - 2.0])
SHARE = st.floats(0, 1)


def seen(views: torch.Tensor, fine: torch.Tensor, present: torch.Tensor) -> Seen:
    return Seen(present, views, torch.zeros(len(views), 2, views.shape[-1]), fine)


@settings(max_examples=60)
@given(SHARE, SHARE)
def test_a_point_shared_out_over_cells_is_their_mean(x, y):
    """Borders of the image included: the ring of cells around it has the other half."""
    point = torch.tensor([x, y])
    cells = shared_out(point, ROWS, COLUMNS)
    assert cells.sum().item() == pytest.approx(1, abs=1e-5)
    assert (cells > 0).sum() <= 4
    down = ((torch.arange(ROWS) - 0.5) / (ROWS - 2) * cells.sum(1)).sum()
    across = ((torch.arange(COLUMNS) - 0.5) / (COLUMNS - 2) * cells.sum(0)).sum()
    torch.testing.assert_close(torch.stack([across, down]), point, atol=1e-5, rtol=0)


@settings(max_examples=60)
@given(SHARE, SHARE, st.floats(0, 0.4))
def test_a_diffuse_background_does_not_pull_the_point_to_the_middle(x, y, background):
    point = torch.tensor([x, y])
    cells = shared_out(point, ROWS, COLUMNS)
    mixed = (1 - background) * cells + background / cells.numel() + 1e-12
    off = (read_points(mixed.log()) - point) * IN_CELLS
    assert off.abs().max().item() < 0.3


def test_a_point_does_not_jump_where_cells_are_equally_high():
    """ONNX Runtime rounds otherwise than PyTorch; in an even background both read the same."""
    flat = torch.zeros(ROWS, COLUMNS)
    rounded = 1e-6 * torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(read_points(flat), read_points(flat + rounded), atol=1e-5, rtol=0)


def test_the_loss_is_the_cross_entropy_of_the_cells_and_of_the_known():
    heat = torch.zeros(1, 4, len(Landmark), 4, 4)
    heat[0, 0, 0, 1, 2] = 3.0
    points = torch.full((1, 4, len(Landmark), 2), math.nan)
    points[0, 0, 0] = torch.tensor([0.75, 0.25])
    visible = torch.full((1, 4, len(Landmark)), math.nan)
    criteria = torch.full((1, 4, len(Criterion)), math.nan)
    criteria[0, 1, 0] = 1.0
    output = QualityOutput(points, torch.zeros_like(visible), torch.zeros_like(criteria), heat)
    present = torch.ones(1, 4, dtype=torch.bool)
    off = math.log(15 + math.exp(3)) - 3
    ours = quality_loss(output, points, visible, criteria, present, 2.0)
    assert ours.item() == pytest.approx(2 * off + math.log(2), rel=1e-5)
    present[0, :2] = False
    assert quality_loss(output, points, visible, criteria, present, 2.0).item() == 0


def test_points_lie_on_the_image_and_absent_views_say_nothing():
    points = torch.tensor([-0.01, 1.02]).expand(1, 4, len(Landmark), 2)
    heat = torch.zeros(1, 4, len(Landmark), 4, 4)
    output = QualityOutput(points, torch.ones(1, 4, 3), torch.ones(1, 4, len(Criterion)), heat)
    present = torch.tensor([[True, False, False, False]])
    for score in (scores := quality_scores(output, present)):
        assert not score[0, 1:].any()
    assert scores[0][0, 0, 0].tolist() == [0.0, 1.0]


@torch.no_grad()
def test_symmetric_is_said_of_the_pair_and_the_rest_of_each_view():
    torch.manual_seed(0)
    head = QualityHead(8, 5)
    views, fine = torch.randn(2, 4, 8), torch.randn(2, 4, 5, 6, 4)
    present = torch.ones(2, 4, dtype=torch.bool)
    present[1, 2] = False
    ours = head(seen(views, fine, present))
    assert ours.heat.shape[-2:] == (6 + 2, 4 + 2), "a ring of cells around the image"
    symmetric = ours.criteria[..., SYMMETRIC]
    torch.testing.assert_close(symmetric[0, :2], symmetric[0, 2:])
    swapped = [2, 3, 0, 1]
    theirs = head(seen(views[:, swapped], fine[:, swapped], present[:, swapped]))
    torch.testing.assert_close(theirs.criteria[:, swapped], ours.criteria)
    views[:, 2] += 1
    moved = head(seen(views, fine, present)).criteria - ours.criteria
    assert moved[0, [0, 2], SYMMETRIC].all(), "both views of the pair hear of it"
    assert not moved[0, 0, :SYMMETRIC].any(), "the rest is each view's own"
    assert not moved[1, 0].any(), "there is no other view to compare it with"


class Convolutions(nn.Sequential):
    """Features with a cell for every 8 pixels."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for entering, leaving in ((1, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(entering, leaving, 3, 2, 1), nn.GELU()]
        super().__init__(*layers)


def blobs(exams: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright, a dark and a wide blob on noise, one of them on a border: [exam, view, ...]."""
    points = torch.rand(exams, 4, len(Landmark), 2, generator=generator)
    points[:, :, 1, 1] = 0.0
    rows, columns = torch.arange(128) + 0.5, torch.arange(64) + 0.5
    images = torch.randn(exams, 4, 128, 64, generator=generator)
    for place, (height, size) in enumerate(((3.0, 3.0), (-3.0, 5.0), (3.0, 4.5))):
        across, down = (points[:, :, place] * torch.tensor([64.0, 128.0])).unbind(-1)
        blob = ((rows - down[..., None]) ** 2)[..., None] + ((columns - across[..., None]) ** 2)[
            ..., None, :
        ]
        images += height * torch.exp(-blob / (2 * size**2))
    return images.flatten(0, 1)[:, None], points


@pytest.mark.slow
def test_landmarks_are_found_to_a_quarter_of_a_cell():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    features, head = Convolutions(), QualityHead(8, 64)
    optimizer = torch.optim.AdamW([*features.parameters(), *head.parameters()], lr=3e-3)
    unknown = torch.full((4, 4, 1), math.nan)

    def said(images: torch.Tensor) -> QualityOutput:
        fine = features(images).unflatten(0, (-1, 4))
        present = torch.ones(len(fine), 4, dtype=torch.bool)
        return head(seen(torch.zeros(len(fine), 4, 8), fine, present))

    for step in range(300):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 20) * (1 - step / 300)
        images, points = blobs(4, generator)
        loss = quality_loss(
            said(images),
            points,
            unknown.expand(-1, -1, len(Landmark)),
            unknown.expand(-1, -1, len(Criterion)),
            torch.ones(4, 4, dtype=torch.bool),
            1.0,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, points = blobs(64, generator)
    with torch.no_grad():
        off = ((said(images).points - points) * IN_CELLS).norm(dim=-1).flatten(0, 1)
    print(f"median distance in cells: {off.median(0).values.tolist()}")
    assert (off.median(0).values < 0.15).all()
    assert (off.mean(0) < 0.25).all()
