"""A feature map to one vector: [image, channel, row, column] to [image, feature]."""

import torch
from torch import Tensor, nn

from mim.model.settings import Pool

LEAST = 1e-6


class Mean(nn.Module):
    """The mean over the map: texture."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class Max(nn.Module):
    """The maximum over the map: a small lesion."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))


class MeanMax(nn.Module):
    """Mean and maximum side by side."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


class GeneralisedMean(nn.Module):
    """GeM: the mean of powers, between mean (power 1) and maximum (no end to it); the power is learnt.

    What is negative counts as 0. Radenovic et al., doi:10.1109/TPAMI.2018.2846566.
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, maps: Tensor) -> Tensor:
        powers = maps.float().clamp(min=LEAST) ** self.power
        return powers.mean(dim=(2, 3)) ** (1 / self.power)


class GatedAttention(nn.Module):
    """The mean of tokens, weighted by what each of them shows.

    Ilse et al., Attention-based deep multiple instance learning (arXiv:1802.04712), equation 9.
    """

    def __init__(self, features: int, hidden: int = 128) -> None:
        super().__init__()
        self.content = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, tokens: Tensor, prior: Tensor | None = None) -> Tensor:
        """[image, token, feature] to [image, feature].

        ``prior`` [image, token] above 0: how much each token weighs before it is looked at.
        """
        gated = torch.tanh(self.content(tokens)) * torch.sigmoid(self.gate(tokens))
        score = self.score(gated).squeeze(-1).float()
        if prior is not None:
            score = score + prior.float().clamp(min=LEAST).log()
        weight = torch.softmax(score, dim=1)
        return (weight[..., None] * tokens).sum(dim=1)


class AttentionPool(nn.Module):
    """Gated attention over the cells of the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = GatedAttention(channels)

    def forward(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.attention(maps.flatten(2).transpose(1, 2))
        return pooled


def make_pool(kind: Pool, channels: int) -> tuple[nn.Module, int]:
    """The pooling, and how many features it makes of a map's channels."""
    match kind:
        case Pool.mean_max:
            return MeanMax(), 2 * channels
        case Pool.mean:
            return Mean(), channels
        case Pool.max:
            return Max(), channels
        case Pool.gem:
            return GeneralisedMean(), channels
        case Pool.attention:
            return AttentionPool(channels), channels
