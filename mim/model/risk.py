"""The risk task: the probability of a cancer in each breast within 1, 2, ... years.

Each year has a hazard of its own that is never negative. The cumulative hazard of k years is their
sum, so the risk 1 - exp(-sum) rises with k by construction, and the woman's hazard is the sum of her
breasts'.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, has_view, masked_mean, mean_over_views

RARE = -4.0
"""Hazards start near softplus(-4), about 2 % a year."""


class RiskHead(nn.Module):
    """Reads a hazard for each year from each breast, and from its views by themselves."""

    def __init__(self, width: int, years: int) -> None:
        super().__init__()
        self.of_breast = nn.Linear(width, years)
        self.of_view = nn.Linear(width, years)
        nn.init.constant_(self.of_breast.bias, RARE)
        nn.init.zeros_(self.of_view.bias)

    def forward(self, seen: Seen) -> Tensor:
        """Hazard of each year [exam, breast, year], in cancers a year."""
        of_views = mean_over_views(self.of_view(seen.views[:, 0]), seen.present)
        return functional.softplus(self.of_breast(seen.breasts) + of_views)


def risk_loss(
    hazards: Tensor, years_to_cancer: Tensor, years_followed: Tensor, present: Tensor
) -> Tensor:
    """Mean negative log-likelihood of the breasts, for times of diagnosis known to the year.

    A breast that was followed through a year without a cancer adds the year's hazard; one that was
    followed through a part of it adds that part; one with a cancer in it adds -log(1 - exp(-hazard)).
    What comes after the cancer or the end of follow-up adds nothing.

    Args:
        hazards: [exam, breast, year].
        years_to_cancer: [exam, breast]; NaN where none is known.
        years_followed: [exam, breast]; NaN where unknown: such a breast without a cancer is unknown.
        present: bool [exam, view].
    """
    starts = torch.arange(hazards.shape[-1], device=hazards.device, dtype=hazards.dtype)
    end = torch.where(years_to_cancer.isnan(), years_followed, years_to_cancer)
    known = ~end.isnan() & has_view(present)
    end = end.nan_to_num()[..., None]
    sick = ~years_to_cancer.isnan()[..., None] & (end >= starts) & (end < starts + 1)
    through = torch.where(sick, 0.0, (end - starts).clamp(0, 1))
    found = -torch.log(-torch.expm1(-hazards.clamp(min=1e-6)))
    loss = (through * hazards + torch.where(sick, found, 0.0)).sum(dim=-1)
    return masked_mean(loss, known)


def risk_scores(hazards: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Risk of each breast [exam, breast, year], 0 where it has no view, and of the woman [exam, year].

    The woman's is that of a cancer in either breast.
    """
    cumulative = torch.cumsum(hazards, dim=-1) * has_view(present).to(hazards.dtype)[..., None]
    return -torch.expm1(-cumulative), -torch.expm1(-cumulative.sum(dim=1))
