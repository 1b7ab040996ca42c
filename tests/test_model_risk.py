"""Risks that rise, a likelihood against a slow one, and the survival that censoring hides."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sksurv.nonparametric import kaplan_meier_estimator

from mim.model.risk import risk_loss, risk_scores

YEARS = 5
ALL = torch.ones(1, 4, dtype=torch.bool)
LOGITS = arrays(np.float32, (3, 2, YEARS), elements=st.floats(-1e4, 1e4, width=32))
TIMES = arrays(np.float32, (3, 2), elements=st.one_of(st.just(math.nan), st.floats(0, 9, width=32)))


@settings(max_examples=40)
@given(LOGITS)
def test_risks_rise_and_the_womans_is_that_of_either_breast(logits):
    present = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    breasts, woman = risk_scores(torch.from_numpy(logits).double(), present)
    assert ((breasts >= 0) & (breasts <= 1)).all()
    assert (breasts.diff(dim=-1) >= 0).all()
    assert (woman.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(woman, (breasts[:, 0] + breasts[:, 1]).clamp(max=1))
    assert not breasts[1, 1].any(), "no view of it"
    assert not woman[2].any()


def slow_loss(logits: np.ndarray, cancer: np.ndarray, followed: np.ndarray) -> float:
    """Breast by breast and year by year, from survival probabilities."""
    total, breasts = 0.0, 0
    for odds, ill, seen in zip(logits.reshape(-1, YEARS), cancer.flat, followed.flat, strict=True):
        if np.isnan(ill) and np.isnan(seen):
            continue
        breasts += 1
        hazard = np.log1p(np.exp(odds.astype(np.float64)))
        last = seen if np.isnan(ill) else ill
        whole = min(int(last), YEARS)
        survived = math.exp(-hazard[:whole].sum())
        if whole < YEARS:
            if np.isnan(ill):
                survived *= math.exp(-hazard[whole] * (last - whole))
            else:
                survived *= 1 - math.exp(-hazard[whole])
        total -= math.log(survived)
    return total / max(breasts, 1)


@settings(max_examples=40)
@given(arrays(np.float32, (3, 2, YEARS), elements=st.floats(-6, 4, width=32)), TIMES, TIMES)
def test_the_loss_is_the_likelihood(logits, cancer, followed):
    ours = risk_loss(
        torch.from_numpy(logits),
        torch.from_numpy(cancer),
        torch.from_numpy(followed),
        ALL.expand(3, -1),
        torch.ones(3),
    )
    assert ours.item() == pytest.approx(slow_loss(logits, cancer, followed), rel=1e-4, abs=1e-6)


@settings(max_examples=40)
@given(LOGITS, TIMES, TIMES)
def test_gradients_are_finite_whatever_is_said_and_known(logits, cancer, followed):
    said = torch.from_numpy(logits).requires_grad_()
    times = torch.from_numpy(cancer), torch.from_numpy(followed)
    loss = risk_loss(said, *times, ALL.expand(3, -1), torch.ones(3))
    loss.backward()
    assert said.grad is not None
    assert loss.isfinite()
    assert said.grad.isfinite().all()
    unknown = times[0].isnan() & times[1].isnan()
    assert not said.grad[unknown].any()


@pytest.mark.parametrize(
    ("ill", "seen", "moved"),
    [
        (0.0, math.nan, [-1, 0, 0, 0, 0]),
        (0.99, 0.5, [-1, 0, 0, 0, 0]),
        (1.0, 9.0, [1, -1, 0, 0, 0]),
        (5.0, 9.0, [1, 1, 1, 1, 1]),
        (7.5, 9.0, [1, 1, 1, 1, 1]),
        (math.nan, 0.0, [0, 0, 0, 0, 0]),
        (math.nan, 2.5, [1, 1, 1, 0, 0]),
        (math.nan, math.nan, [0, 0, 0, 0, 0]),
    ],
)
def test_each_time_moves_the_years_it_says_something_of(ill, seen, moved):
    """A negative gradient raises the year's risk, a positive one lowers it."""
    said = torch.zeros(1, 2, YEARS, requires_grad=True)
    times = torch.tensor([[ill, math.nan]]), torch.tensor([[seen, math.nan]])
    risk_loss(said, *times, ALL, torch.ones(1)).backward()
    assert said.grad is not None
    assert said.grad[0, 0].sign().tolist() == moved


def test_risks_are_those_of_kaplan_and_meier_and_masked_years_are_not():
    """20,000 women, 5 % ill a year, two in three lost before the fifth year at random.

    A model that knows nothing of them but their times is as calibrated as the loss lets it be. The
    cross-entropy of cumulative risks, masked by follow-up, has its least value at the share of
    cancers among those not masked.
    """
    random = np.random.default_rng(1)
    ill_at = random.exponential(1 / 0.05, 20_000)
    lost_at = random.uniform(0, 7, len(ill_at))
    ill = ill_at < lost_at
    cancer = torch.tensor(np.where(ill, ill_at, np.nan), dtype=torch.float32)[:, None]
    followed = torch.tensor(lost_at, dtype=torch.float32)[:, None]

    said = torch.zeros(YEARS, requires_grad=True)
    fit = torch.optim.LBFGS([said], max_iter=50, line_search_fn="strong_wolfe")
    left_only = torch.tensor([[True, True, False, False]]).expand(len(ill), -1)

    def step() -> torch.Tensor:
        fit.zero_grad()
        both = said.expand(len(ill), 2, -1)
        times = cancer.expand(-1, 2), followed.expand(-1, 2)
        loss = risk_loss(both, *times, left_only, torch.ones(len(ill)))
        loss.backward()
        return loss

    fit.step(step)
    ours = risk_scores(said.detach().expand(1, 2, -1), left_only[:1])[1][0].numpy()

    times, survival = kaplan_meier_estimator(ill, np.minimum(ill_at, lost_at))
    known = np.array([1 - survival[times <= year][-1] for year in range(1, YEARS + 1)])
    np.testing.assert_allclose(ours, known, rtol=0.02)

    ends = np.arange(1, YEARS + 1)
    by_then = ill[:, None] & (ill_at[:, None] < ends)
    kept = by_then | (lost_at[:, None] >= ends)
    masked = by_then.sum(0) / kept.sum(0)
    assert masked[-1] > 1.3 * known[-1]
    assert abs(ours[-1] / known[-1] - 1) < 0.02


def test_cases_that_come_again_weigh_as_if_they_came_once():
    said = torch.linspace(-2, 1, 4 * 2 * YEARS).reshape(4, 2, YEARS)
    cancer = torch.full((4, 2), math.nan)
    cancer[0, 0] = 1.5
    followed = torch.full((4, 2), 3.0)
    once = risk_loss(said, cancer, followed, ALL.expand(4, -1), torch.ones(4))
    again = [0, 0, 0, 1, 2, 3]
    weight = torch.tensor([1 / 3, 1 / 3, 1 / 3, 1, 1, 1])
    often = risk_loss(said[again], cancer[again], followed[again], ALL.expand(6, -1), weight)
    torch.testing.assert_close(often, once)
