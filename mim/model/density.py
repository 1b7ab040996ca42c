"""The density task: BI-RADS a to d as an ordered outcome, and percent density."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, has_view, masked_mean, mean_over_views
from mim.vocab import Density

WHOLE = 100.0
"""Per cent."""

LEAST_GAP = 1e-6
"""Cuts nearer than this count as this far apart, so that no class is impossible."""


class DensityOutput(NamedTuple):
    """What is said of each breast's density."""

    beyond: Tensor
    """[exam, breast, cut], log-odds that it is denser than a, than b, than c; never rising."""
    percent: Tensor
    """[exam, breast], 0 to 100."""


class DensityHead(nn.Module):
    """One scale for all cuts (McCullagh 1980, J R Stat Soc B 42:109, proportional odds).

    The cuts lie in order, since each is the one before it and something positive.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_breast = nn.Linear(width, 2)
        self.of_view = nn.Linear(width, 2)
        self.first_cut = nn.Parameter(torch.tensor(-1.5))
        self.steps = nn.Parameter(torch.full((len(Density) - 2,), 1.5))

    def forward(self, seen: Seen) -> DensityOutput:
        """Density of a batch's breasts."""
        of_views = mean_over_views(self.of_view(seen.views), seen.present)
        scale, percent = (self.of_breast(seen.breasts) + of_views).unbind(-1)
        rises = torch.cumsum(functional.softplus(self.steps), dim=0)
        cuts = torch.cat([self.first_cut[None], self.first_cut + rises])
        return DensityOutput(scale[..., None] - cuts, WHOLE * torch.sigmoid(percent))


def density_loss(
    output: DensityOutput, density: Tensor, percent: Tensor, present: Tensor, percent_weight: float
) -> Tensor:
    """Negative log-likelihood of the class, and the absolute error of percent density in tenths.

    Args:
        output: of the batch.
        density: int64 [exam, breast], 0 (a) to 3 (d); negative where unknown.
        percent: [exam, breast], 0 to 100; NaN where unknown.
        present: bool [exam, view].
        percent_weight: weight of the second beside the first.
    """
    seen = has_view(present)
    known = (density >= 0) & seen
    likely = _log_probabilities(output.beyond)
    unlikely = -likely.gather(-1, density.clamp(min=0)[..., None]).squeeze(-1)
    off = (output.percent - percent.nan_to_num()).abs() / 10.0
    return masked_mean(unlikely, known) + percent_weight * masked_mean(off, ~percent.isnan() & seen)


def density_probabilities(beyond: Tensor) -> Tensor:
    """Log-odds of lying beyond each cut [..., cut] to the probability of each class [..., class]."""
    return torch.exp(_log_probabilities(beyond))


def density_scores(output: DensityOutput, present: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of a to d [exam, breast, class] and percent [exam, breast]; 0 without a view."""
    seen = has_view(present).to(output.percent.dtype)
    return density_probabilities(output.beyond) * seen[..., None], output.percent * seen


def _log_probabilities(beyond: Tensor) -> Tensor:
    """Between the cuts u above v it is log(sigmoid(u) - sigmoid(v)), which as
    log sigmoid(u) + log sigmoid(-v) + log(1 - exp(v - u)) is exact however far out both lie."""
    inside, outside = functional.logsigmoid(beyond), functional.logsigmoid(-beyond)
    gap = (beyond[..., :-1] - beyond[..., 1:]).clamp(min=LEAST_GAP)
    between = inside[..., :-1] + outside[..., 1:] + torch.log(-torch.expm1(-gap))
    return torch.cat([outside[..., :1], between, inside[..., -1:]], dim=-1)
