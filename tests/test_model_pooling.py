"""Poolings against their closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.model.pooling import GatedAttention, GeneralisedMean, make_pool
from mim.model.settings import Pool

MAPS = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) + 0.1


def pooled(kind: Pool, maps: torch.Tensor = MAPS) -> torch.Tensor:
    torch.manual_seed(0)
    pool, features = make_pool(kind, maps.shape[1])
    vectors = pool(maps)
    assert vectors.shape == (len(maps), features)
    return vectors


def test_mean_and_maximum():
    by_hand = [[list(channel.flatten()) for channel in image] for image in MAPS]
    mean = torch.tensor([[sum(cells) / 20 for cells in image] for image in by_hand])
    most = torch.tensor([[max(cells) for cells in image] for image in by_hand])
    torch.testing.assert_close(pooled(Pool.mean), mean)
    torch.testing.assert_close(pooled(Pool.max), most)
    torch.testing.assert_close(pooled(Pool.mean_max), torch.cat([mean, most], 1))


def test_gem_is_the_mean_at_power_one_and_nears_the_maximum():
    pool = GeneralisedMean()
    pool.power.data.fill_(1.0)
    torch.testing.assert_close(pool(MAPS), pooled(Pool.mean))
    pool.power.data.fill_(80.0)
    torch.testing.assert_close(pool(MAPS), pooled(Pool.max), atol=0.05, rtol=0)
    pool(MAPS).sum().backward()
    assert pool.power.grad.abs() > 0


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(Pool), st.permutations(range(20)))
def test_where_a_cell_lies_does_not_matter(kind, order):
    moved = MAPS.flatten(2)[..., order].reshape(MAPS.shape)
    torch.testing.assert_close(pooled(kind, moved), pooled(kind))


@torch.no_grad()
@pytest.mark.parametrize("kind", [Pool.mean, Pool.max, Pool.gem, Pool.attention])
def test_a_constant_map_gives_its_constant(kind):
    torch.testing.assert_close(pooled(kind, torch.full((1, 3, 4, 5), 0.7)), torch.full((1, 3), 0.7))


@torch.no_grad()
def test_attention_token_by_token():
    torch.manual_seed(1)
    attention = GatedAttention(3, hidden=4)
    tokens, prior = torch.randn(1, 3, 3), torch.tensor([[0.2, 0.5, 0.3]])
    weights = []
    for token, before in zip(tokens[0], prior[0], strict=True):
        gated = attention.content(token).tanh() * attention.gate(token).sigmoid()
        weights.append(attention.score(gated).exp() * before)
    mean = sum(w * t for w, t in zip(weights, tokens[0], strict=True)) / sum(weights)
    torch.testing.assert_close(attention(tokens, prior)[0], mean)
