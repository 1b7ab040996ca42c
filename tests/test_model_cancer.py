"""The cancer head's losses against closed forms and torchvision, and what has no gradient."""

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from mim.model.cancer import CancerLogits, cancer_loss, cancer_scores
from mim.model.settings import CancerLoss, CancerSettings

ALL = torch.ones(2, 4, dtype=torch.bool)
NONE = torch.zeros(2, 4)


def loss_of(breast: torch.Tensor, cancer: torch.Tensor, **settings) -> torch.Tensor:
    """Of the breasts alone."""
    view = torch.zeros(len(breast), 4)
    settings = CancerSettings(view_weight=0.0, **settings)
    return cancer_loss(CancerLogits(breast, view), cancer, ALL[: len(breast)], settings)


def test_the_loss_is_the_mean_of_the_known():
    cancer = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    present = ALL.clone()
    present[1, 2:] = False
    view = torch.tensor([[0.5, -1.0, 9.0, 9.0], [2.0, 0.0, 9.0, 9.0]])
    logits = CancerLogits(torch.tensor([[2.0, 7.0], [-1.0, 7.0]]), view)
    breasts = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    views = [math.log1p(math.exp(x)) for x in (-0.5, 1.0, 2.0, 0.0)]
    by_hand = breasts + 0.5 * sum(views) / 4
    settings = CancerSettings(view_weight=0.5)
    assert cancer_loss(logits, cancer, present, settings).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_that_of_torchvision(gamma):
    breast = torch.tensor([[2.0, -1.0], [-3.0, 0.3]])
    cancer = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    ours = loss_of(breast, cancer, loss=CancerLoss.focal, focal_gamma=gamma)
    theirs = sigmoid_focal_loss(breast, cancer, alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("loss", list(CancerLoss))
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_certainty_has_a_finite_gradient(loss, size):
    breast = torch.tensor([[size, -size], [-size, size]], requires_grad=True)
    cancer = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss_of(breast, cancer, loss=loss, focal_gamma=0.5).backward()
    assert breast.grad is not None
    assert breast.grad.isfinite().all()
    assert (breast.grad[1] != 0).all(), "what is wrong for certain still learns"


def test_only_cancers_are_smoothed():
    """The least loss lies at 1 - smoothing for a cancer, and at 0 for none."""
    odds = torch.linspace(-12, 12, 4801)
    share = {}
    for cancer in (1.0, 0.0):
        labels = torch.tensor([[cancer, math.nan]])
        losses = [loss_of(x.expand(1, 2), labels, smoothing=0.1).item() for x in odds[::20]]
        share[cancer] = torch.sigmoid(odds[::20][torch.tensor(losses).argmin()]).item()
    assert share[1.0] == pytest.approx(0.9, abs=0.01)
    assert share[0.0] < 1e-4


def test_unknown_labels_and_absent_views_have_no_gradient():
    breast = torch.zeros(2, 2, requires_grad=True)
    view = torch.zeros(2, 4, requires_grad=True)
    cancer = torch.tensor([[1.0, 0.0], [0.0, math.nan]])
    present = ALL.clone()
    present[0, 1] = False
    cancer_loss(CancerLogits(breast, view), cancer, present, CancerSettings()).backward()
    assert breast.grad is not None
    assert view.grad is not None
    assert (breast.grad != 0).tolist() == [[True, True], [True, False]]
    assert (view.grad != 0).tolist() == [[True, False, True, True], [True, True, False, False]]


def test_scores_lie_between_0_and_1_and_the_exam_has_the_higher():
    present = ALL.clone()
    present[0, :2] = False
    breasts, exams = cancer_scores(
        CancerLogits(torch.tensor([[9.0, -1.0], [3.0, 0.0]]), NONE), present
    )
    assert breasts[0, 0] == 0
    torch.testing.assert_close(breasts[1], torch.sigmoid(torch.tensor([3.0, 0.0])))
    torch.testing.assert_close(exams, breasts.max(1).values)
