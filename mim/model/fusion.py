"""Views and priors to one vector for each breast, in one of three ways.

All three treat the breasts alike: with left and right changed over, so are their outputs, to the
last rounding error. Images have their chest wall on one side whatever the breast
(``mim.image.recipe``), so no way needs to know which side it sees.
"""

import torch
from torch import Tensor, nn

from mim.model.seen import by_breast, mean_over_views, newest_prior, of_other_breast
from mim.model.settings import Fuse, FusionSettings
from mim.vocab import BREASTS, SCREENING_VIEWS

ABSENT = -1e4
"""Added to the attention of absent views. Finite, so that no row of the softmax is ever empty;
a boolean mask gives NaN or differs between PyTorch and ONNX Runtime."""

MONTHS_SCALES = (6.0, 12.0, 24.0, 48.0, 96.0, 192.0)
"""Months in which each part of the time embedding runs through two thirds of its range."""


class MonthsBefore(nn.Module):
    """How long before the exam: 1 - exp(-months / scale) at several scales, mixed linearly.

    Each part rises from 0 at the exam itself to 1, so ten years differ from two as two from none,
    and no gap, however long, leaves the range that was seen in training.
    """

    scales: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor(MONTHS_SCALES), persistent=False)
        self.mix = nn.Linear(len(MONTHS_SCALES), width)

    def forward(self, months: Tensor) -> Tensor:
        """[...] to [..., width]."""
        mixed: Tensor = self.mix(-torch.expm1(-months.clamp(min=0.0)[..., None] / self.scales))
        return mixed


class MeanOfViews(nn.Module):
    """Each view by itself, averaged over the breast; nothing is learnt, priors are not looked at."""

    def forward(self, views: Tensor, present: Tensor, months: Tensor) -> Tensor:
        """As ``make_fusion`` says."""
        return mean_over_views(views[:, 0], present[:, 0])


class BreastPair(nn.Module):
    """The breast's CC and MLO side by side, each followed by its newest prior; then two layers.

    A learnt vector stands where a view is absent.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.months = MonthsBefore(width)
        self.absent = nn.Parameter(torch.zeros(2, len(SCREENING_VIEWS), width))
        nn.init.normal_(self.absent, std=0.02)
        places = self.absent.shape[0] * self.absent.shape[1]
        self.mix = nn.Sequential(
            nn.LayerNorm(places * width),
            nn.Linear(places * width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, views: Tensor, present: Tensor, months: Tensor) -> Tensor:
        """As ``make_fusion`` says."""
        newest = newest_prior(present)
        chosen = newest.to(views.dtype)
        gap = (chosen * months[..., None]).sum(dim=1)
        prior = (chosen[..., None] * views).sum(dim=1) + self.months(gap)
        vectors = by_breast(torch.stack([views[:, 0], prior], dim=2))
        there = by_breast(torch.stack([present[:, 0], newest.any(dim=1)], dim=2))
        # Now and prior stand inside each view: [exam, breast, view, now or prior, width].
        placed = torch.where(there[..., None], vectors, self.absent.transpose(0, 1))
        breasts: Tensor = self.mix(placed.flatten(2))
        return breasts


class Layer(nn.Module):
    """A transformer layer, normalised first, that tells absent tokens from present ones.

    What it sees of the other breast weighs ``other_breast`` more in each head's attention. At the
    start half of the heads look at their own breast, half at the other.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.other_breast = nn.Parameter(torch.linspace(-2.0, 2.0, heads))
        self.before_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.after_attention = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, absent: Tensor, other: Tensor) -> Tensor:
        """Changed tokens [exam, token, width].

        Args:
            tokens: [exam, token, width].
            absent: [exam, 1, 1, token], 0, or ``ABSENT``.
            other: [token, token], 1 where the second is of the first one's other breast.
        """
        split = self.queries_keys_values(self.before_attention(tokens)).unflatten(
            -1, (3, self.heads, -1)
        )
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: the exporter gives the fused operator's output the wrong strides.
        alike = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        bias = absent + other * self.other_breast[:, None, None]
        attended = torch.softmax(alike + bias, dim=-1) @ value
        tokens = tokens + self.dropout(self.after_attention(attended.transpose(1, 2).flatten(2)))
        changed: Tensor = tokens + self.dropout(self.mlp(tokens))
        return changed


class ViewTransformer(nn.Module):
    """Every view of the exam and its priors sees every other; each is one token.

    A token for the exam as a whole is always present, so an exam with a single view, or none, gives
    finite numbers. A breast is the mean of its own tokens, and the exam's.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.months = MonthsBefore(width)
        self.projection = nn.Parameter(torch.zeros(len(SCREENING_VIEWS), width))
        self.exam = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.projection, std=0.02)
        nn.init.normal_(self.exam, std=0.02)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.breast = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, views: Tensor, present: Tensor, months: Tensor) -> Tensor:
        """As ``make_fusion`` says."""
        named = views + self.projection.repeat(len(BREASTS), 1) + self.months(months)[:, :, None]
        tokens = torch.cat([self.exam.expand(views.shape[0], -1, -1), named.flatten(1, 2)], dim=1)
        seen = torch.cat([torch.ones_like(present[:, 0, :1]), present.flatten(1)], dim=1)
        absent = (1.0 - seen.to(tokens.dtype))[:, None, None] * ABSENT
        other = _of_other_breast(present)
        for layer in self.layers:
            tokens = layer(tokens, absent, other)
        tokens = self.norm(tokens)
        own = mean_over_views(tokens[:, 1 : 1 + views.shape[2]], present[:, 0])
        whole = tokens[:, :1].expand_as(own)
        breasts: Tensor = self.breast(torch.cat([own, whole], dim=-1))
        return breasts


class SideDifference(nn.Module):
    """What sets each breast apart from the other, view by view; 0 and a flag where it cannot be."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(width + 1, width), nn.GELU())
        self.add = nn.Linear(width, width, bias=False)
        # At the start nothing is added: a run that goes on from one without it begins as that one.
        nn.init.zeros_(self.add.weight)

    def forward(self, views: Tensor, present: Tensor) -> Tensor:
        """[exam, view, width] of the exam itself to [exam, breast, width]."""
        both = present & of_other_breast(present)
        difference = mean_over_views(views - of_other_breast(views), both)
        flag = by_breast(both).any(dim=-1, keepdim=True).to(views.dtype)
        added: Tensor = self.add(self.mix(torch.cat([difference, flag], dim=-1)))
        return added


def make_fusion(settings: FusionSettings) -> nn.Module:
    """A module from views [exam, time, view, width], ``present`` bool [exam, time, view] and
    ``months`` [exam, time] to breasts [exam, breast, width]."""
    match settings.kind:
        case Fuse.views:
            return MeanOfViews()
        case Fuse.pair:
            return BreastPair(settings.width, settings.dropout)
        case Fuse.transformer:
            return ViewTransformer(
                settings.width, settings.layers, settings.heads, settings.dropout
            )


def _of_other_breast(present: Tensor) -> Tensor:
    """float [token, token], 1 where two tokens are of different breasts; the first is the exam's."""
    sides = torch.tensor([[-1.0], [1.0]], device=present.device).expand(-1, len(SCREENING_VIEWS))
    times = sides.flatten().expand(present.shape[1], -1).flatten()
    side = torch.cat([times.new_zeros(1), times])
    return (side[:, None] * side < 0).to(torch.float32)
