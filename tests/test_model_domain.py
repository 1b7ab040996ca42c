"""Discrepancies by their definitions, reversed gradients, and what the adversary may not take away."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mim.model.domain import (
    BANDWIDTHS,
    MakerDomain,
    breast_kinds,
    coral,
    mmd,
    reversal,
    reverse_gradient,
)
from mim.model.settings import Domain, DomainSettings, TaskSettings

SEEDS = st.integers(0, 2**31)
NAN = math.nan


def made_up(seed: int, breasts: int = 14, features: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, and makers of which some have a single breast."""
    generator = torch.Generator().manual_seed(seed)
    makers = torch.randint(0, 6, (breasts,), generator=generator)
    values = torch.randn(breasts, features, generator=generator, dtype=torch.float64)
    return values * (1 + makers[:, None]) + makers[:, None], makers


def several(values: np.ndarray, makers: np.ndarray) -> list[np.ndarray]:
    """Breasts of each maker that has two or more."""
    groups = [values[makers == maker] for maker in np.unique(makers)]
    return [group for group in groups if len(group) >= 2]


@given(SEEDS)
def test_mmd_by_its_definition(seed):
    """Gretton 2012, lemma 6, element by element."""
    features, makers = made_up(seed)
    groups = several(features.numpy(), makers.numpy())
    everyone = np.concatenate(groups)
    distances = [
        ((one - other) ** 2).sum()
        for i, one in enumerate(everyone)
        for j, other in enumerate(everyone)
        if i != j
    ]
    median = np.sort(distances)[(len(distances) - 1) // 2]

    def kernel(one, other):
        squared = ((one - other) ** 2).sum()
        return np.mean([np.exp(-squared / (2 * width * median)) for width in BANDWIDTHS])

    def within(group):
        pairs = [kernel(a, b) for i, a in enumerate(group) for j, b in enumerate(group) if i != j]
        return np.mean(pairs)

    expected = [
        within(one) + within(other) - 2 * np.mean([kernel(a, b) for a in one for b in other])
        for one, other in combinations(groups, 2)
    ]
    assert float(mmd(features, makers)) == pytest.approx(np.mean(expected), abs=1e-9)


@given(SEEDS)
def test_coral_by_its_definition(seed):
    features, makers = made_up(seed)
    groups = several(features.numpy(), makers.numpy())
    expected = [
        ((one.mean(0) - other.mean(0)) ** 2).mean()
        + ((np.cov(one.T) - np.cov(other.T)) ** 2).sum() / (4 * one.shape[1] ** 2)
        for one, other in combinations(groups, 2)
    ]
    assert float(coral(features, makers)) == pytest.approx(np.mean(expected))


def test_mmd_is_nothing_on_average_where_makers_do_not_differ():
    generator = torch.Generator().manual_seed(3)
    makers = torch.arange(12) % 3
    found = [mmd(torch.randn(12, 4, generator=generator), makers) for _ in range(500)]
    figures = torch.stack(found)
    assert abs(float(figures.mean())) < 3 * float(figures.std()) / 500**0.5
    moved = torch.randn(12, 4, generator=generator) + 2.0 * makers[:, None]
    assert float(mmd(moved, makers)) > 0.2


@pytest.mark.parametrize("differ", [mmd, coral])
def test_who_is_left_out(differ):
    features, makers = made_up(1)
    features.requires_grad_()
    single = torch.cat([features, features[:1] + 9]), torch.cat([makers, torch.tensor([11])])
    torch.testing.assert_close(differ(*single), differ(features, makers))
    for makers_left in (torch.zeros(14, dtype=torch.int64), torch.full((14,), 3)):
        loss = differ(features, makers_left)
        assert float(loss) == 0
        assert not loss.requires_grad
    assert float(differ(features[:0], makers[:0])) == 0
    assert float(differ(features[:2], torch.tensor([0, 1]))) == 0
    alike = torch.ones(6, 5, requires_grad=True)
    loss = differ(alike, torch.arange(6) % 2)
    loss.backward()
    assert float(loss.detach()) == 0
    assert alike.grad.isfinite().all()


@pytest.mark.parametrize("differ", [mmd, coral])
def test_steps_against_a_discrepancy_bring_makers_together(differ):
    generator = torch.Generator().manual_seed(4)
    makers = torch.arange(40) % 2
    features = torch.randn(40, 3, generator=generator) + 3.0 * makers[:, None]
    features.requires_grad_()
    optimizer = torch.optim.Adam([features], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        differ(features, makers).backward()
        optimizer.step()
    means = [features[makers == maker].mean(0) for maker in (0, 1)]
    assert float((means[0] - means[1]).detach().abs().max()) < 0.5


@given(st.floats(0, 1))
def test_the_reversal_rises_as_ganin_has_it(done):
    assert reversal(done) == pytest.approx(2 / (1 + math.exp(-10 * done)) - 1, abs=1e-12)


def test_a_reversed_gradient_and_the_same_values():
    values = torch.randn(5, 3, requires_grad=True)
    factors = torch.randn(5, 3)
    assert torch.equal(reverse_gradient(values, 0.7), values)
    (reverse_gradient(values, 0.7) * factors).sum().backward()
    torch.testing.assert_close(values.grad, -0.7 * factors)


def batch(exams: int = 12):
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(exams, 2, 6, generator=generator)
    seen = torch.rand(exams, 2, generator=generator) < 0.7
    makers = torch.randint(0, 3, (exams,), generator=generator)
    kinds = torch.randint(0, 3, (exams, 2), generator=generator)
    return features, seen, makers, kinds


@pytest.mark.parametrize("method", [Domain.adversary, Domain.mmd, Domain.coral])
def test_absent_breasts_do_not_enter(method):
    features, seen, makers, kinds = batch()
    torch.manual_seed(0)
    domain = MakerDomain(DomainSettings(method, begin=0), 6)
    features.requires_grad_()
    loss = domain(features, seen, makers, kinds, 0.5).loss
    loss.backward()
    assert features.grad[seen].abs().sum() > 0
    assert features.grad[~seen].abs().sum() == 0
    other = torch.where(seen[..., None], features.detach(), 99.0)
    assert torch.equal(domain(other, seen, makers, kinds, 0.5).loss, loss)


@pytest.mark.parametrize("method", [Domain.adversary, Domain.mmd, Domain.coral])
def test_a_batch_without_any_breast_has_no_loss(method):
    """Such as one whose exams have images of priors only."""
    features, seen, makers, kinds = batch()
    domain = MakerDomain(DomainSettings(method, begin=0), 6)
    said = domain(features, torch.zeros_like(seen), makers, kinds, 0.5)
    assert float(said.loss) == 0


def test_the_adversary_counts_makers_alike_and_its_gradient_is_reversed():
    features, seen, makers, kinds = batch()
    torch.manual_seed(0)
    domain = MakerDomain(DomainSettings(Domain.adversary, weight=2.0, begin=0.5), 6)
    one_hot = torch.eye(5)[kinds[seen]]
    inputs = features[seen].requires_grad_()
    logits = domain.adversary(torch.cat([inputs, one_hot], dim=1))
    of_breast = makers[:, None].expand(-1, 2)[seen]
    losses = -torch.log_softmax(logits, 1)[torch.arange(len(logits)), of_breast]
    told = (logits.argmax(1) == of_breast).double()
    present = of_breast.unique()
    loss = torch.stack([losses[of_breast == maker].mean() for maker in present]).mean()
    accuracy = torch.stack([told[of_breast == maker].mean() for maker in present]).mean()
    own = list(domain.adversary.parameters())
    plain, *of_adversary = torch.autograd.grad(loss, [inputs, *own])
    features.requires_grad_()
    said = domain(features, seen, makers, kinds, 0.75)
    torch.testing.assert_close(said.loss, loss)
    assert float(said.accuracy) == pytest.approx(float(accuracy))
    said.loss.backward()
    torch.testing.assert_close(features.grad[seen], -2.0 * math.tanh(2.5) * plain)
    for part, gradient in zip(own, of_adversary, strict=True):
        torch.testing.assert_close(part.grad, gradient)


@pytest.mark.parametrize("method", [Domain.adversary, Domain.mmd, Domain.coral])
def test_half_precision_gives_float32(method):
    features, seen, makers, kinds = batch()
    domain = MakerDomain(DomainSettings(method, begin=0), 6)
    whole = domain(features, seen, makers, kinds, 0.5).loss
    with torch.autocast("cpu", torch.bfloat16):
        half = domain(features, seen, makers, kinds, 0.5).loss
    assert half.dtype == torch.float32
    assert torch.equal(half, whole)


CANCER, TO_COME, FOLLOWED = (
    torch.tensor([[NAN, 0.0], [1.0, 0.0], [NAN, NAN]]),
    torch.tensor([[NAN, NAN], [0.2, 2.0], [4.9, 5.1]]),
    torch.tensor([[4.0, 6.0], [0.2, 2.0], [4.9, 5.1]]),
)
DENSITY = torch.tensor([[-1, 0], [1, 2], [3, -1]])


@pytest.mark.parametrize(
    ("learnt", "kinds"),
    [
        (("cancer",), [[0, 1], [2, 1], [0, 0]]),
        (("risk",), [[0, 1], [3, 3], [3, 1]]),
        (("cancer", "risk"), [[0, 1], [2, 3], [3, 1]]),
        (("density",), [[0, 1], [2, 3], [4, 0]]),
        (("cancer", "density"), [[0, 1], [2, 1], [0, 0]]),
        (("quality",), [[0, 0], [0, 0], [0, 0]]),
    ],
    ids=str,
)
def test_kinds_are_the_labels_learnt(learnt, kinds):
    tasks = TaskSettings()
    for name in ("cancer", "risk", "density", "quality"):
        getattr(tasks, name).learn = name in learnt
    found = breast_kinds(CANCER, TO_COME, FOLLOWED, DENSITY, tasks)
    assert found.tolist() == kinds


def separation(told: bool) -> float:
    """How far apart an adversary leaves cancers and others, whose share goes with the maker.

    The one feature is the label and noise; nothing but the label has to do with the maker.
    """
    torch.manual_seed(0)
    domain = MakerDomain(DomainSettings(Domain.adversary, begin=0), 1)
    scale = torch.ones((), requires_grad=True)
    optimizer = torch.optim.Adam([{"params": domain.parameters(), "lr": 0.01}, {"params": [scale]}])
    optimizer.param_groups[1]["lr"] = 0.005
    label = torch.arange(128) % 2
    seen = torch.ones(128, 2, dtype=torch.bool)
    kinds = (label + 1)[:, None].expand(-1, 2) if told else torch.zeros(128, 2).long()
    for _ in range(150):
        makers = torch.where(torch.rand(128) < 0.9, label, 1 - label)
        features = (scale * label + 0.3 * torch.randn(128))[:, None, None].expand(-1, 2, 1)
        optimizer.zero_grad()
        domain(features, seen, makers, kinds, 1.0).loss.backward()
        optimizer.step()
    return float(scale.detach())


def test_an_adversary_that_knows_the_label_leaves_it():
    """One that does not takes the label away, which is all that it tells the maker by."""
    kept, taken = separation(told=True), separation(told=False)
    print(f"label's scale of 1 after the adversary: {kept:.2f} told the label, {taken:.2f} not")
    assert abs(kept - 1) < 0.3
    assert taken < 0.5
