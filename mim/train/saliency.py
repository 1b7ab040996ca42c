"""Where the model looks: gradient-weighted maps of its last feature maps.

Selvaraju et al. 2017, Grad-CAM (doi:10.1109/ICCV.2017.74): each channel of the maps weighs as much
as the score rises with it on average over the map; what speaks for a higher score is drawn.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.data.exams import find_rows
from mim.data.sampler import Draw
from mim.image.contact import contact_sheet
from mim.model.exam import ExamModel, Outputs
from mim.vocab import VIEW_SLOTS, Split, Task

EXAMS_SHOWN = 6

Maps = tuple[Tensor, Tensor | None]
"""The last feature maps, and finer ones."""

HEAT = 0.4
"""How much of the picture the map is, at most."""


def write_saliency(
    model: ExamModel, exams: ExamData, task: Task, scores: pa.Table, path: Path
) -> None:
    """The validation exams that score highest for a task, with their maps drawn over them.

    Args:
        model: on the device where it runs.
        exams: the data.
        task: whose score is explained.
        scores: the task's table of the validation exams; without rows nothing is written.
        path: PNG; a row an exam, its views of the day.
    """
    if not len(scores):
        return
    batch = _highest(exams, task, scores)
    maps = grad_cam(model, batch, TARGETS[task])
    tiles: list[NDArray[np.uint8] | None] = []
    titles = []
    for exam in range(len(batch.exam)):
        for view, (side, projection) in enumerate(VIEW_SLOTS):
            there = bool(batch.present[exam, 0, view])
            image = batch.images[exam, 0, view, 0].numpy()
            tiles.append(_drawn(image, maps[exam, view].numpy()) if there else None)
            titles.append(f"{side} {projection}" if there else "absent")
    contact_sheet(tiles, titles, path, columns=len(VIEW_SLOTS))


def grad_cam(model: ExamModel, batch: ExamBatch, target: Callable[[Outputs], Tensor]) -> Tensor:
    """Maps of the exams' own views, float32 [exam, view, height, width], 0 to 1 in each exam.

    Args:
        model: on the device where it runs; its gradients are left as they are.
        batch: of exams; on the CPU.
        target: a score of each exam [exam].
    """
    device = next(model.parameters()).device
    seen: list[Tensor] = []

    def keep(_module: object, _inputs: object, maps: Maps) -> Maps:
        # A frozen encoder has no gradient of its own: the maps are where it begins.
        seen.append(maps[0].detach().requires_grad_())
        return seen[0], maps[1]

    was_training = model.training
    hook = model.encoder.backbone.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            inputs = (part.to(device) for part in (batch.images, batch.present, batch.months))
            score = target(model.eval()(*inputs)).sum()
            (gradient,) = torch.autograd.grad(score, seen[0])
    finally:
        hook.remove()
        model.train(was_training)
    weights = gradient.float().mean(dim=(2, 3), keepdim=True)
    rising = functional.relu((weights * seen[0].detach().float()).sum(dim=1))
    size = batch.images.shape[-2:]
    whole = functional.interpolate(rising[:, None], size=size, mode="bilinear")[:, 0].cpu()
    placed = torch.zeros(*batch.present.shape, *size)
    placed[batch.present] = whole
    now = placed[:, 0]
    return now / now.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)


def _of_cancer(said: Outputs) -> Tensor:
    assert said.cancer is not None
    return said.cancer.breast.amax(dim=1)


def _of_risk(said: Outputs) -> Tensor:
    assert said.risk is not None
    return said.risk.sum(dim=(1, 2))


def _of_density(said: Outputs) -> Tensor:
    assert said.density is not None
    return said.density.beyond.sum(dim=(1, 2))


def _of_quality(said: Outputs) -> Tensor:
    assert said.quality is not None
    return said.quality.criteria.sum(dim=(1, 2))


TARGETS: dict[Task, Callable[[Outputs], Tensor]] = {
    Task.CANCER: _of_cancer,
    Task.RISK: _of_risk,
    Task.DENSITY: _of_density,
    Task.QUALITY: _of_quality,
}
"""What is explained: log-odds of cancer of the more suspicious breast, those of all years of risk,
of each cut of density, of all criteria."""


def _highest(exams: ExamData, task: Task, scores: pa.Table) -> ExamBatch:
    """The exams with the highest scores, as the model gets them."""
    column = {
        Task.CANCER: "score",
        Task.RISK: "risk",
        Task.DENSITY: "score",
        Task.QUALITY: "nipple_visible",
    }[task]
    values = scores[column]
    if task is Task.RISK:
        values = pc.list_element(values, -1 + len(values.drop_null()[0]))
    ranked = scores.select(["exam"]).append_column("score", pc.fill_null(values, -1.0))
    best = ranked.group_by("exam").aggregate([("score", "max")])
    order = best.sort_by([("score_max", "descending"), ("exam", "ascending")])
    names = order["exam"].slice(0, EXAMS_SHOWN)
    dataset = exams.dataset(Split.VALIDATION)
    rows = find_rows(names, exams.everyone.table["exam"])
    places = np.searchsorted(dataset.rows, rows)
    return dataset[[Draw(int(place), 0) for place in places]]


def _drawn(image: NDArray[np.uint16], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image, uint16 [height, width], with a map of 0 to 1 over it: uint8 [height, width, 3]."""
    grey = cv2.cvtColor((image >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = HEAT * heat[..., None]
    drawn: NDArray[np.uint8] = np.rint(grey * (1 - share) + colours * share).astype(np.uint8)
    return drawn
