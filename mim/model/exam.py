"""The model: one exam with its priors in, what each task says of it out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mim.model.cancer import CancerHead, CancerLogits, cancer_scores
from mim.model.density import DensityHead, DensityOutput, density_scores
from mim.model.encoder import Encoded, ViewEncoder
from mim.model.fusion import Fusion
from mim.model.quality import QualityHead, QualityOutput, quality_scores
from mim.model.risk import RiskHead, risk_scores
from mim.model.seen import Seen, mean_over_views
from mim.model.settings import ModelSettings, TaskSettings
from mim.vocab import Task

SCORE_NAMES = {
    Task.CANCER: ("breast_score", "exam_score"),
    Task.RISK: ("breast_risk", "woman_risk"),
    Task.DENSITY: ("breast_density", "breast_percent"),
    Task.QUALITY: ("landmarks", "landmarks_visible", "criteria"),
}
"""What each task's scores are called, in the order of its ``..._scores`` function."""


class Outputs(NamedTuple):
    """What the heads say; None for tasks that are off."""

    cancer: CancerLogits | None
    risk: Tensor | None
    density: DensityOutput | None
    quality: QualityOutput | None


class ExamModel(nn.Module):
    """Encodes the views that are there, fuses them, and reads each task from them."""

    def __init__(self, settings: ModelSettings, tasks: TaskSettings) -> None:
        super().__init__()
        fusion = settings.fusion
        self.tasks = tasks
        self.encoder = ViewEncoder(settings.encoder, fine=tasks.quality.learn)
        width = fusion.width
        self.project = nn.Sequential(nn.Linear(self.encoder.features, width), nn.LayerNorm(width))
        self.fusion = Fusion(width, fusion.layers, fusion.heads, fusion.dropout)
        self.breast = nn.Sequential(
            nn.Dropout(fusion.dropout), nn.Linear(2 * width, width), nn.GELU()
        )
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
        """What each task says of a batch of exams.

        Args:
            images: uint16 [exam, time, view, 1, height, width].
            present: bool [exam, time, view]; at least one view in the batch must be there.
            months: float [exam, time], months before the exam.
        """
        seen = self._see(images, present, months)
        said = {task: self.heads[task](seen) if task in self.heads else None for task in Task}
        return Outputs(**{task.value: said[task] for task in Task})

    def _see(self, images: Tensor, present: Tensor, months: Tensor) -> Seen:
        there = torch.nonzero(present.flatten()).squeeze(1)
        # The exporter cannot know that a batch without any image never comes.
        torch._check(there.shape[0] > 0)
        encoded = self.encoder(images.flatten(0, 2)[there])
        views = _placed(self.project(encoded.vectors), there, present)
        fused, exam = self.fusion(views, present, months)
        own = mean_over_views(fused[:, 0], present[:, 0])
        breasts = self.breast(torch.cat([own, exam[:, None].expand_as(own)], dim=-1))
        return Seen(present[:, 0], views, breasts, _fine(encoded, there, present))


class ExamScorer(nn.Module):
    """What is exported: probabilities, risks and places instead of log-odds."""

    def __init__(self, model: ExamModel) -> None:
        super().__init__()
        self.model = model
        self.names = score_names(model.tasks)
        """What the outputs are called, in order."""

    def forward(self, images: Tensor, present: Tensor, months: Tensor) -> tuple[Tensor, ...]:
        """The scores of all tasks that are on, as ``names`` says; 0 where nothing is seen."""
        said = self.model(images, present, months)
        now = present[:, 0]
        scores: tuple[Tensor, ...] = ()
        if said.cancer is not None:
            scores += cancer_scores(said.cancer, now)
        if said.risk is not None:
            scores += risk_scores(said.risk, now)
        if said.density is not None:
            scores += density_scores(said.density, now)
        if said.quality is not None:
            scores += quality_scores(said.quality, now)
        return scores


def score_names(tasks: TaskSettings) -> tuple[str, ...]:
    """Names of the scores of all tasks that are on, in the order of ``ExamScorer``."""
    return tuple(name for task in tasks.learnt() for name in SCORE_NAMES[task])


def _placed(values: Tensor, there: Tensor, present: Tensor) -> Tensor:
    """Values of the images that are there [image, ...] at [exam, time, view, ...], 0 elsewhere."""
    empty = values.new_zeros(present.numel(), *values.shape[1:])
    placed: Tensor = empty.index_copy(0, there, values)
    return placed.reshape(*present.shape, *values.shape[1:])


def _fine(encoded: Encoded, there: Tensor, present: Tensor) -> Tensor | None:
    """Fine maps of the exam's own views [exam, view, channel, row, column]."""
    return None if encoded.fine is None else _placed(encoded.fine, there, present)[:, 0]
