"""Patches are cut where suspicion is highest, and suspicion learns where that should be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.errors import InputError
from mim.model.encoder import ViewEncoder
from mim.model.patches import choose_patches
from mim.model.settings import EncoderSettings, PatchSettings, Pool

HEIGHT, WIDTH = 96, 64
PLACES = torch.arange(HEIGHT * WIDTH).reshape(1, 1, HEIGHT, WIDTH)
"""An image whose grey levels say where they are."""


def suspicion(seed: int, images: int = 1) -> torch.Tensor:
    cells = torch.rand(images, 1, 12, 8, generator=torch.Generator().manual_seed(seed)) ** 4
    return cells / cells.sum((2, 3), keepdim=True)


def corners(crops: torch.Tensor, width: int = WIDTH) -> list[tuple[int, int]]:
    return [divmod(int(place), width) for place in crops[0, :, 0, 0, 0]]


def one_by_one(cells: np.ndarray, count: int, span: int) -> list[tuple[int, int]]:
    """Greedy choice by loops: the first of the highest sums that overlap nothing chosen."""
    chosen: list[tuple[int, int]] = []
    for _ in range(count):
        free = [
            (row, column)
            for row in range(cells.shape[0] - span + 1)
            for column in range(cells.shape[1] - span + 1)
            if all(abs(row - r) >= span or abs(column - c) >= span for r, c in chosen)
        ]
        chosen.append(
            max(free, key=lambda at: cells[at[0] : at[0] + span, at[1] : at[1] + span].sum())
        )
    return chosen


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_the_choice_is_the_greedy_one(seed, count):
    cells = suspicion(seed)
    crops, scores = choose_patches(PLACES, cells, count, size=16)
    expected = one_by_one(cells[0, 0].double().numpy(), count, span=2)
    assert corners(crops) == [(8 * row, 8 * column) for row, column in expected]
    sums = [cells[0, 0, row : row + 2, column : column + 2].sum() for row, column in expected]
    torch.testing.assert_close(scores[0], torch.stack(sums))


def test_a_crop_is_the_image_there():
    crops, _ = choose_patches(PLACES, suspicion(3), 3, size=24)
    for crop, (top, left) in zip(crops[0, :, 0], corners(crops), strict=True):
        assert torch.equal(crop, PLACES[0, 0, top : top + 24, left : left + 24])


def test_images_of_a_batch_do_not_see_each_other():
    images = torch.cat([PLACES, PLACES + 10_000])
    together, _ = choose_patches(images, torch.cat([suspicion(1), suspicion(2)]), 2, size=24)
    alone, _ = choose_patches(images[1:], suspicion(2), 2, size=24)
    assert torch.equal(together[1:], alone)


@pytest.mark.parametrize(("count", "size"), [(40, 32), (2, 64), (2, 500), (1, 1), (3, 20)])
@pytest.mark.parametrize("cell", [(0, 0), (0, 7), (11, 0), (11, 7)])
def test_patches_lie_inside_the_image_even_where_there_is_no_room(count, size, cell):
    cells = torch.full((1, 1, 12, 8), 1e-4)
    cells[0, 0, cell[0], cell[1]] = 1.0
    crops, scores = choose_patches(PLACES, cells, count, size)
    assert crops.shape == (1, count, 1, min(size, HEIGHT), min(size, WIDTH))
    assert scores.shape == (1, count)
    assert (crops[..., 1:] - crops[..., :-1] == 1).all(), "a crop has left the image"
    assert (crops >= 0).all()
    assert (crops < HEIGHT * WIDTH).all()


def test_suspicion_has_a_gradient_and_frozen_views_keep_it():
    torch.manual_seed(0)
    ours = ViewEncoder(
        EncoderSettings("lcnet_035", frozen=True), PatchSettings(2, 32, "lcnet_035"), fine=False
    )
    images = torch.randint(0, 65536, (2, 1, HEIGHT, WIDTH)).to(torch.uint16)
    vectors = ours(images).vectors
    assert vectors.shape == (2, ours.features)
    vectors.square().sum().backward()
    assert ours.patches.suspicion.weight.grad.abs().sum() > 0
    assert next(ours.patches.backbone.parameters()).grad.abs().sum() > 0


def test_an_encoder_of_patches_that_does_not_exist_is_named_by_its_own_setting():
    with pytest.raises(InputError, match=r"model\.patches\.encoder: timm has no model 'lcnet_03'"):
        ViewEncoder(EncoderSettings("lcnet_035"), PatchSettings(1, 32, "lcnet_03"), fine=False)


class Choice(torch.nn.Module):
    def forward(self, images, cells):
        return choose_patches(images, cells, 3, 24)


@pytest.mark.slow
def test_onnx_runtime_chooses_the_same():
    runtime = pytest.importorskip("onnxruntime")
    images = torch.rand(3, 1, HEIGHT, WIDTH)
    program = torch.onnx.export(
        Choice().eval(),
        (images, suspicion(0, 3)),
        dynamo=True,
        opset_version=20,
        dynamic_shapes={"images": {0: "image"}, "cells": {0: "image"}},
        verbose=False,
    )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    names = [part.name for part in session.get_inputs()]
    for count in (1, 2, 3):
        inputs = images[:count], suspicion(7, count)
        said = session.run(None, dict(zip(names, (part.numpy() for part in inputs), strict=True)))
        for got, expected in zip(said, Choice()(*inputs), strict=True):
            torch.testing.assert_close(torch.from_numpy(got), expected)


def spotted(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy images 256 x 128, every second with a soft bright spot, and where it lies or would."""
    drawn = torch.Generator().manual_seed(seed)
    levels = 20_000 + 1_800 * torch.randn(count, 1, 256, 128, generator=drawn)
    rows = torch.randint(12, 244, (count, 1, 1, 1), generator=drawn)
    columns = torch.randint(12, 116, (count, 1, 1, 1), generator=drawn)
    away = (torch.arange(256)[:, None] - rows) ** 2 + (torch.arange(128) - columns) ** 2
    ill = (torch.arange(count) % 2).float()
    levels += 14_000 * torch.exp(-away / 18) * ill[:, None, None, None]
    places = (rows * 128 + columns).flatten()
    return levels.clamp(0, 65535).to(torch.uint16), ill, places


@pytest.mark.slow
def test_patches_learn_to_lie_on_the_lesion_from_labels_of_images_alone():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    small = "mobilenetv3_small_050"
    ours = ViewEncoder(
        EncoderSettings(small, pool=Pool.mean), PatchSettings(1, 48, small), fine=False
    )
    head = torch.nn.Sequential(
        torch.nn.LayerNorm(ours.features), torch.nn.Linear(ours.features, 1), torch.nn.Flatten(0)
    )
    optimizer = torch.optim.AdamW([*ours.parameters(), *head.parameters()], lr=1e-3)
    for step in range(100):
        images, ill, _ = spotted(16, step)
        said = head(ours.train()(images).vectors)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(said, ill)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, ill, places = spotted(128, 1_000)
    with torch.no_grad():
        maps = ours.eval()(images).maps
        where = torch.arange(256 * 128).reshape(1, 1, 256, 128).expand(128, -1, -1, -1)
        crops = choose_patches(where, ours.patches.attend(maps), 1, 48)[0]
    over = (crops.flatten(1) == places[:, None]).any(1)
    assert over[ill > 0].float().mean() > 0.5
    assert over[ill == 0].float().mean() < 0.2, "the place of no spot is found by chance alone"
