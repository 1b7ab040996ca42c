"""Ordered densities: probabilities that add up, and their likelihood far out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mim.model.density import (
    DensityHead,
    DensityOutput,
    density_loss,
    density_probabilities,
    density_scores,
)
from mim.model.seen import Seen

ALL = torch.ones(1, 4, dtype=torch.bool)
UNKNOWN = torch.full((1, 2), math.nan)


def said(head: DensityHead, breasts: torch.Tensor) -> DensityOutput:
    views = torch.zeros(len(breasts), 4, breasts.shape[-1])
    return head(Seen(ALL.expand(len(breasts), -1), views, breasts, None))


@settings(max_examples=40)
@given(
    arrays(np.float32, (5, 2, 3), elements=st.floats(-1e4, 1e4, width=32)),
    arrays(np.float32, 2, elements=st.floats(-100, 100, width=32)),
)
def test_cuts_lie_in_order_and_probabilities_add_up_to_1(breasts, steps):
    head = DensityHead(3)
    with torch.no_grad():
        head.steps.copy_(torch.from_numpy(steps))
        output = said(head, torch.from_numpy(breasts))
    assert (output.beyond.diff(dim=-1) <= 0).all()
    assert ((output.percent >= 0) & (output.percent <= 100)).all()
    probabilities = density_probabilities(output.beyond)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(5, 2), atol=1e-5, rtol=0)


@settings(max_examples=40)
@given(st.floats(-30, 30), st.floats(1e-3, 20), st.floats(1e-3, 20), st.integers(0, 3))
def test_the_loss_is_the_difference_of_two_logistic_curves(first, second, third, density):
    cuts = np.array([first, first + second, first + second + third])
    beyond = torch.tensor(-cuts)[None, None].expand(1, 2, -1)
    above = 1 / (1 + np.exp(cuts))
    likely = -np.diff([1, *above, 0])[density]
    output = DensityOutput(beyond, torch.zeros(1, 2))
    ours = density_loss(output, torch.tensor([[density, -1]]), UNKNOWN, ALL, 1.0).item()
    if likely > 1e-9:
        assert ours == pytest.approx(-math.log(likely), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("density", range(4))
@pytest.mark.parametrize("scale", [-200.0, 200.0])
def test_far_out_the_loss_still_pulls_back(density, scale):
    """At 200, sigmoid has no digits left: b is about e^-200 likely, and so it must be told."""
    beyond = (scale - torch.tensor([-1.0, 0.0, 1.0])).expand(1, 2, 3).clone().requires_grad_()
    output = DensityOutput(beyond, torch.zeros(1, 2))
    loss = density_loss(output, torch.tensor([[density, -1]]), UNKNOWN, ALL, 1.0)
    loss.backward()
    assert beyond.grad is not None
    assert beyond.grad.isfinite().all()
    if density == (3 if scale > 0 else 0):
        assert loss.item() == pytest.approx(0, abs=1e-6)
    else:
        assert loss.item() == pytest.approx(200, abs=2)
        assert beyond.grad.sum().item() == pytest.approx(math.copysign(1, scale), abs=1e-3)


def test_a_class_between_two_equal_cuts_is_unlikely_but_not_impossible():
    beyond = torch.zeros(1, 2, 3, requires_grad=True)
    loss = density_loss(
        DensityOutput(beyond, torch.zeros(1, 2)), torch.tensor([[1, 2]]), UNKNOWN, ALL, 1.0
    )
    loss.backward()
    assert beyond.grad is not None
    assert loss.isfinite()
    assert beyond.grad.isfinite().all()


def test_percent_density_counts_in_tenths_where_it_is_known():
    output = DensityOutput(torch.zeros(1, 2, 3), torch.tensor([[30.0, 60.0]]))
    none = torch.tensor([[-1, -1]])
    percent = torch.tensor([[25.0, math.nan]])
    assert density_loss(output, none, percent, ALL, 2.0).item() == pytest.approx(2 * 0.5)
    assert density_loss(output, none, UNKNOWN, ALL, 2.0).item() == 0


def test_a_breast_without_a_view_has_no_density():
    present = torch.tensor([[False, True, False, False]])
    output = DensityOutput(torch.zeros(1, 2, 3), torch.full((1, 2), 40.0))
    probabilities, percent = density_scores(output, present)
    assert percent.tolist() == [[40.0, 0.0]]
    torch.testing.assert_close(probabilities.sum(-1), torch.tensor([[1.0, 0.0]]))
