"""The model: one exam with its priors in, what each task says of it out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mim.model.cancer import CancerHead, CancerLogits, cancer_scores
from mim.model.change import ChangeMaps
from mim.model.density import DensityHead, DensityOutput, density_scores
from mim.model.encoder import ViewEncoder
from mim.model.fusion import SideDifference, make_fusion
from mim.model.quality import QualityHead, QualityOutput, quality_scores
from mim.model.risk import RiskHead, risk_scores
from mim.model.seen import Seen, has_view, mean_over_views
from mim.model.settings import ModelSettings, TaskSettings
from mim.vocab import Task

SCORE_NAMES = {
    Task.CANCER: ("breast_score", "exam_score"),
    Task.RISK: ("breast_risk", "woman_risk"),
    Task.DENSITY: ("breast_density", "breast_percent"),
    Task.QUALITY: ("landmarks", "landmarks_visible", "criteria"),
}
"""What each task's scores are called, in the order of its function in ``SCORES``."""

SCORES: dict[Task, Callable[[Any, Tensor], tuple[Tensor, ...]]] = {
    Task.CANCER: cancer_scores,
    Task.RISK: risk_scores,
    Task.DENSITY: density_scores,
    Task.QUALITY: quality_scores,
}
"""From what each head says, and which views are there, to its scores."""

LEAST_VARIANCE = 1e-12
"""Of an image's features: those of some encoders are all below a thousandth."""


class Outputs(NamedTuple):
    """What the heads say, None for tasks that are off, and what they say it of."""

    cancer: CancerLogits | None
    risk: Tensor | None
    density: DensityOutput | None
    quality: QualityOutput | None
    features: Tensor
    """[exam, breast, 2 x width], what the heads read of each breast: its vector by the fusion, and
    the mean of its own views' vectors; 0 where it has no view."""


class ExamModel(nn.Module):
    """Encodes the views that are there, fuses them, and reads each task from them.

    Features are normalised image by image before they are projected, and not after: on frozen
    features of few exams only this did as well as a logistic regression (docs/models.md).
    """

    def __init__(self, settings: ModelSettings, tasks: TaskSettings) -> None:
        super().__init__()
        fusion = settings.fusion
        width = fusion.width
        self.tasks = tasks
        self.encoder = ViewEncoder(settings.encoder, settings.patches, fine=tasks.quality.learn)
        features = self.encoder.features
        self.project = nn.Sequential(
            nn.LayerNorm(features, eps=LEAST_VARIANCE), nn.Linear(features, width)
        )
        self.change = ChangeMaps(self.encoder.channels, width) if fusion.change_maps else None
        self.fusion = make_fusion(fusion)
        self.compare = SideDifference(width) if fusion.compare_sides else None
        self.dropout = nn.Dropout(fusion.dropout)
        self.heads = nn.ModuleDict()
        if tasks.cancer.learn:
            self.heads["cancer"] = CancerHead(width)
        if tasks.risk.learn:
            self.heads["risk"] = RiskHead(width, tasks.risk.years)
        if tasks.density.learn:
            self.heads["density"] = DensityHead(width)
        if tasks.quality.learn:
            self.heads["quality"] = QualityHead(width, self.encoder.fine_channels)

    def forward(self, images: Tensor, present: Tensor, months: Tensor) -> Outputs:
        """What each task says of a batch of exams, in float32.

        Args:
            images: uint16 [exam, time, view, 1, height, width].
            present: bool [exam, time, view]; at least one view in the batch must be there.
            months: float [exam, time], months before the exam.
        """
        seen = self._see(images, present, months)
        if not torch.is_autocast_enabled(images.device.type):
            return self._say(seen)
        # Eight bits of log-odds are too few for rare cancers, whose scores lie close together.
        with torch.autocast(images.device.type, enabled=False):
            return self._say(seen.whole())

    def _say(self, seen: Seen) -> Outputs:
        said = {task: self.heads[task](seen) if task in self.heads else None for task in Task}
        return Outputs(**{task.value: said[task] for task in Task}, features=_features(seen))

    def _see(self, images: Tensor, present: Tensor, months: Tensor) -> Seen:
        there = torch.nonzero(present.flatten()).squeeze(1)
        # The exporter cannot know that a batch without any image never comes.
        torch._check(there.shape[0] > 0)
        encoded = self.encoder(_chosen(images.flatten(0, 2), there))
        vectors = self.project(encoded.vectors)
        if self.change is not None:
            vectors = vectors + self.change(encoded.maps, there, present)
        views = _placed(vectors, there, present)
        own = views[:, 0]
        breasts = self.fusion(views, present, months)
        if self.compare is not None:
            breasts = breasts + self.compare(own, present[:, 0])
        fine = None if encoded.fine is None else _placed(encoded.fine, there, present)[:, 0]
        return Seen(present[:, 0], own, self.dropout(breasts), fine)


def _features(seen: Seen) -> Tensor:
    both = torch.cat([seen.breasts, mean_over_views(seen.views, seen.present)], dim=-1)
    return both * has_view(seen.present)[..., None]


class ExamScorer(nn.Module):
    """What is exported: probabilities, risks and places instead of log-odds."""

    def __init__(self, model: ExamModel) -> None:
        super().__init__()
        self.model = model
        self.names = score_names(model.tasks)
        """What the outputs are called, in order."""

    def forward(self, images: Tensor, present: Tensor, months: Tensor) -> tuple[Tensor, ...]:
        """The scores of all tasks that are on, as ``names`` says; 0 where nothing is seen."""
        return exam_scores(self.model(images, present, months), present[:, 0])


def exam_scores(said: Outputs, present: Tensor) -> tuple[Tensor, ...]:
    """The scores of all tasks that are on, in the order of ``score_names``.

    Args:
        said: of a batch.
        present: bool [exam, view], views of the exams themselves.
    """
    scores: tuple[Tensor, ...] = ()
    for task, of_task in SCORES.items():
        if (output := getattr(said, task.value)) is not None:
            scores += of_task(output, present)
    return scores


def score_names(tasks: TaskSettings) -> tuple[str, ...]:
    """Names of the scores of all tasks that are on, in the order of ``ExamScorer``."""
    return tuple(name for task in tasks.learnt() for name in SCORE_NAMES[task])


def _chosen(images: Tensor, there: Tensor) -> Tensor:
    """Some of the images. Not every device can pick uint16; every one can pick int16."""
    if images.is_cpu:
        return images[there]
    return images.view(torch.int16)[there].view(torch.uint16)


def _placed(values: Tensor, there: Tensor, present: Tensor) -> Tensor:
    """Values of the images that are there [image, ...] at [exam, time, view, ...], 0 elsewhere."""
    empty = values.new_zeros(present.numel(), *values.shape[1:])
    placed: Tensor = empty.index_copy(0, there, values)
    return placed.reshape(*present.shape, *values.shape[1:])
