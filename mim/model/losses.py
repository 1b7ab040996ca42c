"""Losses; what is unknown weighs nothing."""

from torch import Tensor
from torch.nn import functional

from mim.model.exam import Logits


def cancer_loss(
    logits: Logits, cancer: Tensor, known: Tensor, present: Tensor, view_weight: float
) -> Tensor:
    """Binary cross-entropy of breasts, and beside it that of each current view by itself.

    A view takes the label of its breast; views of priors have none, since a prior's label would
    say what was not yet there to be seen.

    Args:
        logits: of the batch.
        cancer: [exam, breast], 0 or 1.
        known: bool [exam, breast].
        present: bool [exam, time, view].
        view_weight: weight of the views' loss.
    """
    breasts = _masked(logits.breast, cancer, known)
    views = present.shape[2] // cancer.shape[1]
    of_breast = cancer.repeat_interleave(views, dim=1)
    counted = known.repeat_interleave(views, dim=1) & present[:, 0]
    return breasts + view_weight * _masked(logits.view[:, 0], of_breast, counted)


def _masked(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = mask.to(loss.dtype)
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)
