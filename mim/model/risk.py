"""The risk task: the probability of a cancer in each breast within 1, 2, ... years.

Each year has a hazard of its own that is never negative. The cumulative hazard of k years is their
sum, so the risk 1 - exp(-sum) rises with k by construction. The woman's risk is the sum of her
breasts', at most 1.

The head says log-odds x of a cancer within a year for a breast without one at its beginning. The
hazard is softplus(x) = log(1 + exp(x)), for then 1 - exp(-hazard) = sigmoid(x), and neither the
likelihood nor its gradient can overflow.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, has_view, mean_over_views

TINY = 1e-6
"""Of weights: what a batch without a known breast is divided by."""

RARE = -4.0
"""Log-odds of a year before anything is learnt, about 2 %."""


class RiskHead(nn.Module):
    """Reads every year's log-odds from each breast, and from its views by themselves."""

    def __init__(self, width: int, years: int) -> None:
        super().__init__()
        self.of_breast = nn.Linear(width, years)
        self.of_view = nn.Linear(width, years)
        nn.init.constant_(self.of_breast.bias, RARE)
        nn.init.zeros_(self.of_view.bias)

    def forward(self, seen: Seen) -> Tensor:
        """Log-odds of a cancer in each year, none having come before [exam, breast, year]."""
        of_views = mean_over_views(self.of_view(seen.views), seen.present)
        logits: Tensor = self.of_breast(seen.breasts) + of_views
        return logits


def risk_loss(
    logits: Tensor,
    years_to_cancer: Tensor,
    years_followed: Tensor,
    present: Tensor,
    weight: Tensor,
) -> Tensor:
    """Mean negative log-likelihood of the breasts, for times of diagnosis known to the year.

    A breast that was followed through a year without a cancer adds the year's hazard; one that was
    followed through a part of it adds that part; one with a cancer in it adds -log(1 - exp(-hazard)).
    What comes after the cancer or the end of follow-up adds nothing, and a cancer after the last
    year says that all years passed without one (interval censoring with hazards constant within
    a year: Kalbfleisch and Prentice 2002, doi 10.1002/9781118032985).

    So censored breasts pull no estimate up. The cross-entropy of each cumulative risk, masked where
    follow-up ends before its year, does: it keeps all early cancers and drops the healthy who were
    not followed for long.

    Args:
        logits: [exam, breast, year].
        years_to_cancer: [exam, breast]; NaN where none is known. Year 1 is 0 up to, not with, 1.
        years_followed: [exam, breast]; NaN where unknown: such a breast without a cancer is unknown.
        present: bool [exam, view].
        weight: [exam]; where cases are drawn more often than others, without it risks would be as
            many times too high.
    """
    sick = ~years_to_cancer.isnan()
    end = torch.where(sick, years_to_cancer, years_followed)
    known = (end >= 0) & has_view(present)
    starts = torch.arange(logits.shape[-1], device=logits.device)
    passed = end.nan_to_num()[..., None] - starts
    found = sick[..., None] & (passed >= 0) & (passed < 1)
    free = torch.where(found, 0.0, passed.clamp(0, 1))
    loss = free * functional.softplus(logits) + found * functional.softplus(-logits)
    weights = weight[:, None] * known
    return (weights * loss.sum(dim=-1)).sum() / weights.sum().clamp(min=TINY)


def risk_scores(logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Risk of each breast [exam, breast, year], 0 where it has no view, and of the woman [exam, year].

    The woman's is that of a cancer in either breast: the sum of both, at most 1, for hardly a woman
    has both. Of women with breast cancer 1.0 to 2.6 % have it in both breasts at once (Surgery 2000,
    128:702-707). As if the breasts were independent, enriched cohorts came out a tenth too low.
    """
    hazards = functional.softplus(logits) * has_view(present).to(logits.dtype)[..., None]
    breasts = -torch.expm1(-torch.cumsum(hazards, dim=-1))
    return breasts, breasts.sum(dim=1).clamp(max=1.0)
