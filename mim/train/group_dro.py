"""Makers of high loss gain weight: group distributionally robust optimisation.

Sagawa 2020 (arXiv 1911.08731), algorithm 1, with makers for groups.
"""

import torch
from torch import Tensor, distributed, nn

from mim.data.dataset import ExamBatch, Labels
from mim.data.sampler import Ranks
from mim.model.exam import Outputs
from mim.model.settings import TaskSettings
from mim.train.losses import task_losses
from mim.vocab import Maker


class MakerWeights(nn.Module):
    """The makers' weights in the loss, which grow with their losses; the same on every rank.

    Args:
        step: step size, by which a weight grows for each unit of loss.
    """

    logs: Tensor
    """float32 [maker], natural logarithms of the weights but for a factor of all; as such no weight
    ever becomes 0 for good."""
    trained: Tensor
    """bool [maker], the makers trained on; known from the data, so not in the checkpoint."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self._step = step
        self.register_buffer("logs", torch.zeros(len(Maker)))
        self.register_buffer("trained", torch.zeros(len(Maker), dtype=torch.bool), persistent=False)

    def begin(self, makers: Tensor) -> None:
        """Say whose exams are trained on, int64 [exam], places in ``vocab.Maker``."""
        self.trained[makers] = True

    def weights(self) -> Tensor:
        """[maker], which sum to 1 over the makers trained on; 0 of others."""
        return self.logs.masked_fill(~self.trained, -torch.inf).softmax(dim=0)

    def forward(self, losses: Tensor, exams: Tensor) -> Tensor:
        """Weigh the makers anew by their losses, and sum these by the new weights.

        Over all ranks: a maker's loss is the mean over its exams wherever they are, and the mean of
        what the ranks return, as their gradients are averaged, is the sum over all. A maker that is
        in no batch keeps its weight but for the common factor, and adds nothing.

        Args:
            losses: [maker], of this rank's batch; 0 of makers that are not in it.
            exams: [maker], how many exams the batch has of each.
        """
        world = Ranks.now().world
        sums = torch.stack([losses.detach() * exams, exams])
        if world > 1:
            distributed.all_reduce(sums)
        together, everywhere = sums[0], sums[1].clamp(min=1.0)
        grown = self.logs + self._step * together / everywhere
        self.logs.copy_(grown - grown[self.trained].max())
        return (self.weights() * (world * exams / everywhere) * losses).sum()


def maker_losses(outputs: Outputs, batch: ExamBatch, tasks: TaskSettings) -> tuple[Tensor, Tensor]:
    """Sum of the tasks' losses of each maker's exams [maker], and how many exams it has [maker].

    A maker's loss is that of the batch with the labels of all others unknown, so it is whatever the
    tasks make of the unknown.
    """
    exams = torch.bincount(batch.maker, minlength=len(Maker)).to(torch.float32)
    losses = []
    for place, count in enumerate(exams.tolist()):
        if count:
            labels = labels_of(batch.labels, batch.maker == place)
            of_tasks = task_losses(outputs, labels, batch.present[:, 0], batch.weight, tasks)
            losses.append(torch.stack(list(of_tasks.values())).sum())
        else:
            losses.append(exams.new_zeros(()))
    return torch.stack(losses), exams


def labels_of(labels: Labels, chosen: Tensor) -> Labels:
    """Labels of the exams chosen, bool [exam]; those of the others unknown."""

    def known(part: Tensor) -> Tensor:
        unknown = torch.nan if part.is_floating_point() else -1
        places = chosen.reshape(-1, *[1] * (part.ndim - 1))
        return torch.where(places, part, torch.full_like(part, unknown))

    return Labels(*map(known, labels))
