"""The cancer task: whether each breast has a cancer now or before the next exam."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.seen import Seen, by_breast, has_view, masked_mean, mean_over_views
from mim.model.settings import CancerLoss, CancerSettings

RARE = -3.0
"""Log-odds before anything is learnt, about 5 %: as rare as a cancer in balanced batches. Otherwise
the first hundred steps teach nothing but that (Lin 2017, doi 10.1109/ICCV.2017.324)."""


class CancerLogits(NamedTuple):
    """Log-odds of cancer."""

    breast: Tensor
    """[exam, breast], from all views and priors."""
    view: Tensor
    """[exam, view], from each view of the exam by itself; meaningless where absent."""


class CancerHead(nn.Module):
    """Reads each breast, and beside it each of its views by itself: a lesion may be in one alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_breast = nn.Linear(width, 1)
        self.of_view = nn.Linear(width, 1)
        nn.init.zeros_(self.of_breast.bias)
        nn.init.constant_(self.of_view.bias, RARE)

    def forward(self, seen: Seen) -> CancerLogits:
        """Log-odds of a batch."""
        view = self.of_view(seen.views)
        breast = self.of_breast(seen.breasts) + mean_over_views(view, seen.present)
        return CancerLogits(breast.squeeze(-1), view.squeeze(-1))


def cancer_loss(
    logits: CancerLogits, cancer: Tensor, present: Tensor, settings: CancerSettings
) -> Tensor:
    """Loss of the breasts, and beside it that of each view by itself.

    A view takes the label of its breast; views of priors have none, since a prior's label would
    say what was not yet there to be seen.

    Args:
        logits: of the batch.
        cancer: [exam, breast], 1 or 0; NaN unknown.
        present: bool [exam, view].
        settings: which loss.
    """
    known = ~cancer.isnan() & has_view(present)
    of_view = by_breast(present) & known[..., None]
    breasts = masked_mean(_loss(logits.breast, cancer, settings), known)
    target = cancer[..., None].expand_as(of_view).flatten(1)
    views = masked_mean(_loss(logits.view, target, settings), of_view.flatten(1))
    return breasts + settings.view_weight * views


def cancer_scores(logits: CancerLogits, present: Tensor) -> tuple[Tensor, Tensor]:
    """Score of each breast [exam, breast], 0 where it has no view, and of the exam [exam].

    The exam's score is the higher of its breasts'.
    """
    seen = has_view(present).to(logits.breast.dtype)
    breasts = torch.sigmoid(logits.breast) * seen
    return breasts, breasts.amax(dim=1)


def _loss(logits: Tensor, cancer: Tensor, settings: CancerSettings) -> Tensor:
    """Cross-entropy, or (1 - p)^gamma times it, p being the probability of what is true.

    The power is taken of log(1 - p), so that its gradient is finite where p is 1.
    """
    target = cancer.nan_to_num()
    smoothed = target * (1.0 - settings.smoothing)
    loss = functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
    if settings.loss is CancerLoss.focal:
        missed = functional.logsigmoid(logits * (1.0 - 2.0 * target))
        loss = torch.exp(settings.focal_gamma * missed) * loss
    return loss
