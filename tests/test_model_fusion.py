"""How views and priors make up breasts: what each way sees, and that it treats both sides alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from mim.model.change import ChangeMaps
from mim.model.fusion import MonthsBefore, SideDifference, make_fusion
from mim.model.seen import newest_prior
from mim.model.settings import Fuse, FusionSettings

WIDTH = 8
SWAPPED = [2, 3, 0, 1]
"""Slots with left and right changed over."""


@pytest.fixture(scope="module", params=list(Fuse))
def kind(request) -> Fuse:
    return request.param


@pytest.fixture(scope="module")
def fusion(kind) -> nn.Module:
    torch.manual_seed(0)
    return make_fusion(FusionSettings(kind=kind, width=WIDTH, layers=2, heads=2)).eval()


def exams(count: int = 3, times: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    views = torch.randn(count, times, 4, WIDTH, generator=generator)
    months = torch.tensor([0.0, 24.0, 50.0][:times]).repeat(count, 1)
    return views, torch.ones(count, times, 4, dtype=torch.bool), months


@torch.no_grad()
@pytest.mark.parametrize("view", [0, 1, 2, 3, None])
def test_a_single_view_or_none_gives_finite_numbers(fusion, view):
    views, present, months = exams()
    present[0] = False
    if view is not None:
        present[0, 0, view] = True
    assert fusion(views, present, months).isfinite().all()


@torch.no_grad()
def test_left_and_right_changed_over_change_over_the_breasts(fusion):
    views, present, months = exams()
    present[0, 0, 1] = present[1, 1, 2] = present[2, 0, 2:] = False
    ours = fusion(views, present, months)
    theirs = fusion(views[:, :, SWAPPED], present[:, :, SWAPPED], months)
    torch.testing.assert_close(theirs, ours.flip(1))


@torch.no_grad()
def test_absent_views_and_their_months_weigh_nothing(fusion):
    views, present, months = exams()
    present[:, 1:] = False
    present[0, 0, 2] = False
    before = fusion(views, present, months)
    torch.testing.assert_close(fusion(views[:, :1], present[:, :1], months[:, :1]), before)
    views[:, 1:] += 5.0
    views[0, 0, 2] -= 5.0
    months[:, 1:] = 7.0
    torch.testing.assert_close(fusion(views, present, months), before)


@torch.no_grad()
def test_exams_do_not_see_each_other(fusion):
    parts = exams()
    order = [2, 0, 1]
    ours = fusion(*parts)[order]
    torch.testing.assert_close(fusion(*(part[order] for part in parts)), ours)


def test_without_fusion_a_breast_is_the_mean_of_its_views():
    views, present, months = exams()
    present[0, 0, 1] = False
    breasts = make_fusion(FusionSettings(kind=Fuse.views))(views, present, months)
    torch.testing.assert_close(breasts[0, 0], views[0, 0, 0])
    torch.testing.assert_close(breasts[0, 1], views[0, 0, 2:].mean(0))


@torch.no_grad()
@pytest.mark.parametrize("kind", [Fuse.pair, Fuse.transformer], indirect=True)
def test_priors_and_their_months_weigh_something(fusion):
    views, present, months = exams()
    before = fusion(views, present, months)
    months[:, 1] = 120.0
    later = fusion(views, present, months)
    assert not torch.allclose(later, before)
    present[:, 1:] = False
    assert not torch.allclose(fusion(views, present, months), later)


@torch.no_grad()
@pytest.mark.parametrize("kind", [Fuse.pair], indirect=True)
def test_a_pair_sees_the_newest_prior_of_each_view_and_no_other_breast(fusion):
    views, present, months = exams()
    present[:, 1, 0] = False
    before = fusion(views, present, months)
    views[:, 2, 1] += 1
    views[:, :, 2:] += 1
    torch.testing.assert_close(fusion(views, present, months)[:, 0], before[:, 0])
    views[:, 2, 0] += 1
    assert not torch.allclose(fusion(views, present, months)[:, 0], before[:, 0])


@torch.no_grad()
def test_a_head_of_attention_may_leave_out_the_other_breast():
    torch.manual_seed(0)
    module = make_fusion(FusionSettings(width=WIDTH, layers=1, heads=2)).eval()
    nn.init.constant_(module.layers[0].other_breast, -1e4)
    views, present, months = exams()
    tokens: list[torch.Tensor] = []
    module.norm.register_forward_hook(
        lambda _, __, out: tokens.append(out[:, 1:].unflatten(1, (3, 4)))
    )
    module(views, present, months)
    views[:, :, 2:] += 1
    module(views, present, months)
    torch.testing.assert_close(tokens[0][:, :, :2], tokens[1][:, :, :2])
    views[:, :, 0] += 1
    module(views, present, months)
    assert not torch.allclose(tokens[1][:, :, 1], tokens[2][:, :, 1])


def test_no_gap_is_too_long_and_none_too_short():
    torch.manual_seed(0)
    embed = MonthsBefore(WIDTH)
    months = torch.tensor([0.0, 0.5, 6, 12, 24, 48, 120, 240, 600], requires_grad=True)
    embedded = embed(months)
    embedded.sum().backward()
    assert embedded.isfinite().all()
    assert months.grad is not None
    assert months.grad.isfinite().all()
    steps = embedded.diff(dim=0).norm(dim=1)
    assert (steps > 0.02).all(), "each differs from the next"
    assert steps.max() < 1, "and none by far the most"


@settings(max_examples=40)
@given(arrays(bool, (2, 3, 4)))
def test_the_newest_prior_is_the_first_one_there_after_the_exam(present):
    found = newest_prior(torch.from_numpy(present)).numpy()
    for exam, view in np.ndindex(2, 4):
        seen = [time for time in (1, 2) if present[exam, time, view]]
        assert np.flatnonzero(found[exam, :, view]).tolist() == seen[:1]


@pytest.fixture
def difference() -> SideDifference:
    torch.manual_seed(0)
    module = SideDifference(WIDTH)
    nn.init.normal_(module.add.weight)
    return module.eval()


@torch.no_grad()
def test_breasts_are_compared_view_by_view(difference):
    views, present, _ = exams(2, 1)
    views, present = views[:, 0], present[:, 0]
    present[0, 3] = False
    ours = difference(views, present)
    theirs = difference(views[:, SWAPPED], present[:, SWAPPED])
    torch.testing.assert_close(theirs, ours.flip(1))
    assert not torch.allclose(ours[:, 0], ours[:, 1])
    views[0, 1] += 1
    torch.testing.assert_close(difference(views, present)[0], ours[0])
    views[:, 2:] = views[:, :2]
    alike = difference(views, present)
    torch.testing.assert_close(alike[:, 0], alike[:, 1])


@torch.no_grad()
def test_a_missing_breast_is_told_from_an_equal_one(difference):
    views = torch.ones(1, 4, WIDTH)
    both = torch.ones(1, 4, dtype=torch.bool)
    alone = torch.tensor([[True, True, False, False]])
    apart = torch.tensor([[True, False, False, True]])
    assert not torch.allclose(difference(views, both), difference(views, alone))
    torch.testing.assert_close(difference(views * 3, alone), difference(views, apart))


def test_comparisons_begin_with_nothing():
    views, present, _ = exams(2, 1)
    assert not SideDifference(WIDTH)(views[:, 0], present[:, 0]).any()
    maps, there = torch.randn(24, 3, 4, 2), torch.arange(24)
    assert not ChangeMaps(3, WIDTH)(maps, there, torch.ones(2, 3, 4, dtype=torch.bool)).any()


@torch.no_grad()
@settings(max_examples=30)
@given(arrays(bool, (2, 3, 4)), st.integers(0, 1000))
def test_changes_are_those_since_the_newest_prior_of_the_same_view(present, seed):
    there = np.flatnonzero(present)
    if not len(there):
        return
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(len(there), 3, 4, 2, generator=generator)
    change = ChangeMaps(3, 6)
    nn.init.eye_(change.project.weight)
    added = change(maps, torch.from_numpy(there), torch.from_numpy(present))
    for image, place in enumerate(there):
        exam, time, view = np.unravel_index(place, present.shape)
        priors = [t for t in (1, 2) if present[exam, t, view]]
        if time > 0 or not priors:
            assert not added[image].any()
            continue
        prior = np.flatnonzero(there == np.ravel_multi_index((exam, priors[0], view), (2, 3, 4)))
        less = (maps[image] - maps[int(prior[0])]) / maps[image].std()
        by_hand = torch.cat([less.mean(dim=(1, 2)), less.amax(dim=(1, 2))])
        torch.testing.assert_close(added[image], by_hand, rtol=1e-3, atol=1e-4)


def test_even_maps_have_a_gradient_too():
    maps = torch.zeros(2, 3, 4, 2, requires_grad=True)
    change = ChangeMaps(3, 6)
    nn.init.eye_(change.project.weight)
    present = torch.zeros(1, 2, 4, dtype=torch.bool)
    present[0, :, 0] = True
    change(maps, torch.tensor([0, 4]), present).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
