"""Weights of makers against the paper's update, on one process and on two."""

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, multiprocessing

from mim.data.dataset import ExamBatch, Labels
from mim.model.cancer import CancerLogits, cancer_loss
from mim.model.exam import Outputs
from mim.model.settings import CancerSettings, TaskSettings
from mim.train.group_dro import MakerWeights, maker_losses
from mim.vocab import Criterion, Landmark, Maker

TRAINED = [0, 2, 3]


def weights_of(step: float) -> MakerWeights:
    weights = MakerWeights(step)
    weights.begin(torch.tensor([3, 0, 2, 2, 0]))
    return weights


def spread(values: list[float]) -> torch.Tensor:
    """Values of the makers trained on, 0 elsewhere."""
    found = torch.zeros(len(Maker))
    found[TRAINED] = torch.tensor(values, dtype=torch.float32)
    return found


@given(st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), max_size=8), st.floats(1e-3, 1))
def test_the_update_of_the_paper(steps, size):
    """Sagawa 2020, algorithm 1: q of the makers in the batch times exp(size x loss), then to sum 1."""
    weights, q = weights_of(size), np.full(3, 1 / 3)
    for losses in steps:
        loss = weights(spread(losses), spread([4, 2, 1]))
        q = q * np.exp(size * np.array(losses))
        q /= q.sum()
        assert weights.weights()[TRAINED].numpy() == pytest.approx(q, rel=1e-4, abs=1e-7)
        assert float(loss) == pytest.approx(q @ np.array(losses), rel=1e-4, abs=1e-6)
    assert float(weights.weights().sum()) == pytest.approx(1)


def test_a_maker_that_is_in_no_batch_keeps_its_share_beside_others_that_are_not():
    weights = weights_of(0.5)
    weights(spread([2.0, 0, 0]), spread([3, 0, 0]))
    q = np.array([math.exp(1), 1, 1]) / (math.exp(1) + 2)
    assert weights.weights()[TRAINED].numpy() == pytest.approx(q)


def test_the_gradient_is_that_of_the_losses_by_the_new_weights():
    weights, losses = weights_of(0.1), spread([1.0, 2.0, 0.5]).requires_grad_()
    weights(losses, spread([1, 1, 1])).backward()
    torch.testing.assert_close(losses.grad, weights.weights())


def test_weight_goes_to_the_maker_of_the_highest_loss_and_none_is_lost_for_good():
    weights = weights_of(1.0)
    for _ in range(1000):
        weights(spread([0.1, 3.0, 0.2]), spread([1, 1, 1]))
    assert weights.weights()[TRAINED].argmax() == 1
    assert float(weights.weights()[2]) == pytest.approx(1)
    assert weights.state_dict()["logs"].isfinite().all()
    for _ in range(1200):
        weights(spread([3.0, 0.1, 0.2]), spread([1, 1, 1]))
    assert float(weights.weights()[0]) > 0.99, "it comes back"


def test_a_checkpoint_goes_on_with_the_same_weights():
    weights, again = weights_of(0.3), weights_of(0.3)
    weights(spread([0.4, 1.0, 2.0]), spread([1, 2, 3]))
    assert weights.state_dict().keys() == {"logs"}
    again.load_state_dict(weights.state_dict())
    assert torch.equal(again.weights(), weights.weights())


def batch(exams: int, seed: int) -> tuple[Outputs, ExamBatch]:
    generator = torch.Generator().manual_seed(seed)
    views = torch.rand(exams, 2, 4, generator=generator) < 0.7
    cancer = torch.rand(exams, 2, generator=generator)
    cancer = torch.where(cancer < 0.2, math.nan, (cancer > 0.6).float())
    nothing = torch.full((exams, 2), math.nan)
    labels = Labels(
        cancer=cancer,
        years_to_cancer=nothing,
        years_followed=nothing,
        density=torch.full((exams, 2), -1),
        percent=nothing,
        landmarks=torch.full((exams, 4, len(Landmark), 2), math.nan),
        visible=torch.full((exams, 4, len(Landmark)), math.nan),
        criteria=torch.full((exams, 4, len(Criterion)), math.nan),
    )
    made = ExamBatch(
        images=torch.zeros(0),
        present=views,
        months=torch.zeros(exams, 2),
        labels=labels,
        changes=None,
        exam=torch.arange(exams),
        maker=torch.tensor(TRAINED)[torch.randint(0, 3, (exams,), generator=generator)],
        weight=torch.ones(exams),
    )
    logits = CancerLogits(
        torch.randn(exams, 2, generator=generator), torch.randn(exams, 4, generator=generator)
    )
    return Outputs(logits, None, None, None, torch.zeros(0)), made


@given(st.integers(1, 9), st.integers(0, 2**31))
def test_a_maker_s_loss_is_that_of_its_exams_by_themselves(exams, seed):
    outputs, made = batch(exams, seed)
    losses, counts = maker_losses(outputs, made, TaskSettings())
    assert int(counts.sum()) == exams
    for place in range(len(Maker)):
        own = made.maker == place
        assert int(counts[place]) == int(own.sum())
        expected = torch.zeros(())
        if own.any():
            alone = CancerLogits(outputs.cancer.breast[own], outputs.cancer.view[own])
            args = made.labels.cancer[own], made.present[own, 0], CancerSettings()
            expected = cancer_loss(alone, *args)
        torch.testing.assert_close(losses[place], expected)


LOSSES = [[1.0, 0.0, 2.0], [3.0, 0.5, 0.0]]
EXAMS = [[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]
"""Of the makers trained on, on each of two processes."""


def one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    weights, losses = weights_of(0.5), spread(LOSSES[rank]).requires_grad_()
    loss = weights(losses, spread(EXAMS[rank]))
    loss.backward()
    torch.save([loss.detach(), weights.weights(), losses.grad], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_weigh_as_one(tmp_path):
    """The mean of their losses is that of all exams in one batch, and so is that of gradients."""
    port = 20_000 + os.getpid() % 20_000
    multiprocessing.spawn(one_of_two, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    exams, losses = np.array(EXAMS), np.array(LOSSES)
    whole = (exams * losses).sum(0) / exams.sum(0)
    q = np.exp(0.5 * whole) / np.exp(0.5 * whole).sum()
    for _, found, _ in (first, second):
        assert found[TRAINED].numpy() == pytest.approx(q)
    assert float(first[0] + second[0]) / 2 == pytest.approx(float(q @ whole))
    for rank, (_, _, gradient) in enumerate((first, second)):
        expected = q * exams[rank] / exams.sum(0)
        assert gradient[TRAINED].numpy() / 2 == pytest.approx(expected)
