"""Features of a breast that do not tell the maker, so that a maker never seen is like those seen.

Three ways, of which a run takes one: a net that tells the maker is fought by reversed gradients, or
the makers' features are drawn together by their kernel means or by their first two moments.
"""

from math import tanh
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.settings import Domain, DomainSettings, TaskSettings
from mim.vocab import Maker

KINDS = 5
"""Kinds of breasts that ``breast_kinds`` tells apart."""

HIDDEN = 128
"""Width of the adversary."""

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the kernels, in medians of the squared distances."""

LEAST_DISTANCE = 1e-12


class DomainSaid(NamedTuple):
    """What a batch says of makers."""

    loss: Tensor
    """To be added to the tasks' losses."""
    accuracy: Tensor | None
    """Share of breasts whose maker the adversary tells, each maker counting as much."""


class MakerDomain(nn.Module):
    """The loss that keeps features from telling the maker; part of training, never of the model.

    Makers count as much, however many of their breasts are in the batch. Unknown makers are one.

    Args:
        settings: which method; not ``Domain.none``.
        features: how many each breast has.
    """

    def __init__(self, settings: DomainSettings, features: int) -> None:
        super().__init__()
        self._settings = settings
        self.adversary: nn.Module | None = None
        if settings.method is Domain.adversary:
            self.adversary = nn.Sequential(
                nn.Linear(features + KINDS, HIDDEN),
                nn.ReLU(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(),
                nn.Linear(HIDDEN, len(Maker)),
            )

    def forward(
        self, features: Tensor, seen: Tensor, maker: Tensor, kinds: Tensor, progress: float
    ) -> DomainSaid:
        """The loss of a batch, in float32 whatever the precision of training.

        Args:
            features: [exam, breast, feature].
            seen: bool [exam, breast], whether the breast has a view; others do not enter.
            maker: int64 [exam], place in ``vocab.Maker``.
            kinds: int64 [exam, breast], of ``breast_kinds``; only the adversary asks.
            progress: share of the run that is done, 0 to 1.
        """
        makers = maker[:, None].expand_as(seen)[seen]
        with torch.autocast(features.device.type, enabled=False):
            if self.adversary is not None:
                return self._fight(features[seen].float(), makers, kinds[seen], progress)
            differ = mmd if self._settings.method is Domain.mmd else coral
            loss = differ(features[seen].float(), makers)
        return DomainSaid(self._settings.weight * loss, None)

    def _fight(
        self, features: Tensor, makers: Tensor, kinds: Tensor, progress: float
    ) -> DomainSaid:
        assert self.adversary is not None
        begin = self._settings.begin
        strength = self._settings.weight * reversal((progress - begin) / (1.0 - begin))
        known = functional.one_hot(kinds, KINDS).to(features.dtype)
        logits = self.adversary(torch.cat([reverse_gradient(features, strength), known], dim=1))
        loss = functional.cross_entropy(logits, makers, reduction="none")
        told = (logits.detach().argmax(dim=1) == makers).to(loss.dtype)
        return DomainSaid(_mean_of_makers(loss, makers), _mean_of_makers(told, makers))


def breast_kinds(
    cancer: Tensor,
    years_to_cancer: Tensor,
    years_followed: Tensor,
    density: Tensor,
    tasks: TaskSettings,
) -> Tensor:
    """What of a breast's labels may go with its maker, int64 [exam, breast] below ``KINDS``.

    Makers differ in how many cancers they see, by whom they screen and by how they were sampled.
    A net that tells the maker from that alone would have the features forget the cancers; so it is
    told the label, and only what tells the maker among breasts of one label is left to it. It is
    that of the cancer task, with cancers to come where the risks are learnt; the density where
    neither is; unknown is a label of its own, since what is unknown also depends on the maker.

    Args:
        cancer: [exam, breast], 1 or 0; NaN unknown.
        years_to_cancer: [exam, breast]; NaN where none is known.
        years_followed: [exam, breast].
        density: int64 [exam, breast], 0 to 3; -1 unknown.
        tasks: which are learnt.
    """
    if not (tasks.cancer.learn or tasks.risk.learn):
        return density + 1 if tasks.density.learn else torch.zeros_like(density)
    kinds = torch.zeros_like(density)
    if tasks.risk.learn:
        kinds[years_followed >= tasks.risk.years] = 1
    if tasks.cancer.learn:
        kinds[cancer == 0] = 1
    if tasks.risk.learn:
        kinds[years_to_cancer < tasks.risk.years] = 3
    if tasks.cancer.learn:
        kinds[cancer == 1] = 2
    return kinds


def reversal(done: float) -> float:
    """Strength of the reversed gradient when a share of the second stage is done, 0 to 1.

    2 / (1 + exp(-10 done)) - 1, by Ganin 2016 (JMLR 17:59), written as what it equals.
    """
    return tanh(5.0 * done)


def reverse_gradient(values: Tensor, strength: float) -> Tensor:
    """The same values, whose gradient comes back times -strength (Ganin 2016, JMLR 17:59)."""
    held = values.detach()
    return held + strength * (held - values)


def mmd(features: Tensor, makers: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, mean over each two makers of the batch.

    The unbiased estimate (Gretton 2012, JMLR 13:723, lemma 6), 0 on average where makers do not
    differ and so at times below 0; the biased one would draw breasts of a small batch together for
    being few. The kernel is the mean of Gaussians, ``BANDWIDTHS`` wide. Makers with fewer than 2
    breasts are left out; 0 where fewer than 2 makers remain.

    Args:
        features: [breast, feature].
        makers: int64 [breast].
    """
    features, member = _compared(features, makers)
    if member.shape[1] < 2:
        return features.new_zeros(())
    centred = features - features.mean(dim=0).detach()
    length = centred.square().sum(dim=1)
    distance = (length[:, None] + length - 2.0 * centred @ centred.T).clamp(min=0.0)
    others = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    median = distance.detach()[others].median().clamp(min=LEAST_DISTANCE)
    kernels = [torch.exp(distance / (-2.0 * width * median)) for width in BANDWIDTHS]
    kernel = torch.stack(kernels).mean(dim=0) * others
    count = member.sum(dim=0)
    sums = member.T @ kernel @ member
    within = sums.diagonal() / (count * (count - 1.0))
    across = sums / (count[:, None] * count)
    return _mean_of_pairs(within[:, None] + within - 2.0 * across)


def coral(features: Tensor, makers: Tensor) -> Tensor:
    """Squared differences of means and covariances, mean over each two makers of the batch.

    Covariances as in Sun and Saenko 2016 (doi 10.1007/978-3-319-49409-8_35): a quarter of the mean
    over their elements; beside them the mean over the features' means. Who is left out, and when it
    is 0, as for ``mmd``.

    Args:
        features: [breast, feature].
        makers: int64 [breast].
    """
    features, member = _compared(features, makers)
    if member.shape[1] < 2:
        return features.new_zeros(())
    of_makers = [features[own] for own in member.T.bool()]
    means = torch.stack([own.mean(dim=0) for own in of_makers])
    spreads = torch.stack([torch.cov(own.T).reshape(-1) for own in of_makers])
    of_means = (means[:, None] - means).square().mean(dim=2)
    of_spreads = (spreads[:, None] - spreads).square().mean(dim=2)
    return _mean_of_pairs(of_means + of_spreads / 4.0)


def _compared(features: Tensor, makers: Tensor) -> tuple[Tensor, Tensor]:
    """Breasts of makers that have two or more, and to which they belong, 0 or 1 [breast, maker]."""
    member = functional.one_hot(makers, len(Maker)).to(features.dtype)
    member = member[:, member.sum(dim=0) >= 2]
    entering = member.any(dim=1)
    return features[entering], member[entering]


def _mean_of_pairs(values: Tensor) -> Tensor:
    """Mean over each two makers of [maker, maker]."""
    return values[torch.ones_like(values, dtype=torch.bool).triu(diagonal=1)].mean()


def _mean_of_makers(values: Tensor, makers: Tensor) -> Tensor:
    """Mean over the makers of the mean over their breasts [breast]; 0 of none."""
    member = functional.one_hot(makers, len(Maker)).to(values.dtype)
    count = member.sum(dim=0)
    means = (values @ member) / count.clamp(min=1.0)
    return means.sum() / (count > 0).sum().clamp(min=1)
