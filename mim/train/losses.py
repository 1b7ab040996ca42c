"""The loss of each task, from what the model says and what is known."""

from torch import Tensor

from mim.data.dataset import Labels
from mim.model.cancer import cancer_loss
from mim.model.density import density_loss
from mim.model.exam import Outputs
from mim.model.quality import quality_loss
from mim.model.risk import risk_loss
from mim.model.settings import TaskSettings
from mim.vocab import Task


def task_losses(
    outputs: Outputs, labels: Labels, present: Tensor, weight: Tensor, tasks: TaskSettings
) -> dict[Task, Tensor]:
    """Weighted loss of each task that is on; what is unknown weighs nothing.

    Args:
        outputs: of the batch.
        labels: of the batch.
        present: bool [exam, view], views of the exams themselves.
        weight: [exam], of the exams in what must be calibrated: the risks.
        tasks: weights, and choices of each loss.
    """
    losses: dict[Task, Tensor] = {}
    if outputs.cancer is not None:
        loss = cancer_loss(outputs.cancer, labels.cancer, present, tasks.cancer)
        losses[Task.CANCER] = tasks.cancer.weight * loss
    if outputs.risk is not None:
        times = labels.years_to_cancer, labels.years_followed
        loss = risk_loss(outputs.risk, *times, present, weight)
        losses[Task.RISK] = tasks.risk.weight * loss
    if outputs.density is not None:
        loss = density_loss(
            outputs.density, labels.density, labels.percent, present, tasks.density.percent_weight
        )
        losses[Task.DENSITY] = tasks.density.weight * loss
    if outputs.quality is not None:
        loss = quality_loss(
            outputs.quality,
            labels.landmarks,
            labels.visible,
            labels.criteria,
            present,
            tasks.quality.landmark_weight,
        )
        losses[Task.QUALITY] = tasks.quality.weight * loss
    return losses
