"""A planted shortcut: in training the maker tells nine cancers in ten, and nothing elsewhere.

Features of breasts are made up: a lesion that is hard to see, and a mark of the maker that is not.
Those of the maker that is left out have marks of any strength between the others', whatever the
label. Without a method the head leans on the mark, and the maker never seen is read worse.
"""

from statistics import mean
from typing import NamedTuple

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mim.model.domain import MakerDomain
from mim.model.settings import Domain, DomainSettings

FEATURES, WIDTH, BREASTS, STEPS, RATE = 12, 8, 64, 600, 3e-3
WAY_OF_FEATURES = torch.randn(2, FEATURES, generator=torch.Generator().manual_seed(9))


class Breasts(NamedTuple):
    values: torch.Tensor
    cancer: torch.Tensor
    maker: torch.Tensor


def drawn(count: int, random: torch.Generator, tells: float, unseen: bool = False) -> Breasts:
    """Breasts of two makers, whose number is the label in a share of them; or of another maker."""
    cancer = torch.randint(0, 2, (count,), generator=random)
    maker = torch.where(torch.rand(count, generator=random) < tells, cancer, 1 - cancer)
    strength = torch.rand(count, generator=random) if unseen else maker
    lesion = cancer + 0.7 * torch.randn(count, generator=random)
    mark = 2.0 * strength - 1.0 + 0.3 * torch.randn(count, generator=random)
    noise = 0.3 * torch.randn(count, FEATURES, generator=random)
    return Breasts(torch.stack([lesion, mark], 1) @ WAY_OF_FEATURES + noise, cancer, maker)


def auc_of_the_unseen(method: Domain, weight: float, seed: int) -> float:
    """After the training of a small net with and without a method."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, WIDTH))
    head = nn.Linear(WIDTH, 1)
    domain = None
    if method is not Domain.none:
        domain = MakerDomain(DomainSettings(method, weight, begin=0.3), WIDTH)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], RATE)
    seen = torch.ones(BREASTS, 1, dtype=torch.bool)
    for step in range(STEPS):
        values, cancer, maker = drawn(BREASTS, random, tells=0.9)
        features = encoder(values)
        loss = binary_cross_entropy_with_logits(head(features)[:, 0], cancer.float())
        if domain is not None and step / STEPS >= 0.3:
            kinds = (cancer + 1)[:, None]
            loss = loss + domain(features[:, None], seen, maker, kinds, step / STEPS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values, cancer, _ = drawn(4000, random, tells=0.5, unseen=True)
    with torch.no_grad():
        return float(roc_auc_score(cancer, head(encoder(values))[:, 0]))


@pytest.mark.slow
@pytest.mark.parametrize("method", [Domain.coral, Domain.mmd])
def test_a_discrepancy_takes_the_shortcut_away(method):
    """Mean of three seeds; 0.84 is the best that the lesion allows."""
    plain, fought = (
        mean(auc_of_the_unseen(one, 10.0, seed) for seed in range(3))
        for one in (Domain.none, method)
    )
    print(f"AUC on the maker never seen: plain {plain:.3f}, {method} {fought:.3f}")
    assert fought > plain + 0.03
