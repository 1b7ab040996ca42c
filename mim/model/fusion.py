"""Views and priors to one picture of the exam: a transformer over view tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.vocab import BREASTS, SCREENING_VIEWS

ABSENT = -1e4
"""Added to the attention of absent views. Finite, so that no row of the softmax is ever empty;
a boolean mask gives NaN or differs between PyTorch and ONNX Runtime."""

MONTHS_SCALE = 24.0
"""A biennial round is one unit of time."""


class ViewTokens(nn.Module):
    """Adds to each view's vector what it is a view of: side, projection and months before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.side = nn.Parameter(torch.zeros(len(BREASTS), 1, width))
        self.view = nn.Parameter(torch.zeros(1, len(SCREENING_VIEWS), width))
        self.months = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        nn.init.normal_(self.side, std=0.02)
        nn.init.normal_(self.view, std=0.02)

    def forward(self, vectors: Tensor, months: Tensor) -> Tensor:
        """[exam, time, view, width] and [exam, time] to [exam, time, view, width]."""
        place = (self.side + self.view).flatten(0, 1)
        before: Tensor = self.months((months / MONTHS_SCALE)[..., None])
        return vectors + place + before[:, :, None]


class Layer(nn.Module):
    """A transformer layer, normalised first, that tells absent tokens from present ones."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.after_attention = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """[exam, token, width] and [exam, 1, 1, token] to [exam, token, width]."""
        split = self.queries_keys_values(self.before_attention(tokens)).unflatten(
            -1, (3, self.heads, -1)
        )
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        tokens = tokens + self.dropout(self.after_attention(attended.transpose(1, 2).flatten(2)))
        changed: Tensor = tokens + self.dropout(self.mlp(tokens))
        return changed


class Fusion(nn.Module):
    """Lets every view of the exam and its priors see every other.

    A class token is always present, so an exam with a single view, or none, gives finite numbers.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.tokens = ViewTokens(width)
        self.exam = nn.Parameter(torch.zeros(1, 1, width))
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor, present: Tensor, months: Tensor) -> tuple[Tensor, Tensor]:
        """Fused views [exam, time, view, width] and the exam as a whole [exam, width].

        Args:
            vectors: [exam, time, view, width].
            present: bool [exam, time, view].
            months: [exam, time].
        """
        tokens = self.tokens(vectors, months).flatten(1, 2)
        whole = self.exam.expand(tokens.shape[0], -1, -1)
        tokens = torch.cat([whole, tokens], dim=1)
        seen = torch.cat([torch.ones_like(present[:, 0, :1]), present.flatten(1)], dim=1)
        bias = (1.0 - seen.to(tokens.dtype))[:, None, None] * ABSENT
        for layer in self.layers:
            tokens = layer(tokens, bias)
        tokens = self.norm(tokens)
        return tokens[:, 1:].unflatten(1, vectors.shape[1:3]), tokens[:, 0]
