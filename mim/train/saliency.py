"""Where the model looks: gradient-weighted maps of its last feature maps.

Selvaraju et al. 2017, Grad-CAM (doi:10.1109/ICCV.2017.74): each channel of the maps weighs as much
as the score rises with it on average over the map; what speaks for a higher score is drawn.
"""

from collections.abc import Callable, Sequence
from functools import reduce
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
from mim.model.seen import has_view
from mim.vocab import VIEW_SLOTS, Criterion, Split, Task

EXAMS_SHOWN = 6

Maps = tuple[Tensor, Tensor | None]
"""The last feature maps, and finer ones."""

Target = Callable[[Outputs, Tensor], Tensor]
"""A score [exam] of what the model says and of bool [exam, view], which views are there."""

HEAT = 0.4
"""How much of the picture the map is, at most."""


def write_saliency(
    model: ExamModel, exams: ExamData, task: Task, scores: pa.Table, path: Path
) -> None:
    """The validation exams that score highest for a task, with their maps drawn over them.

    Of quality, all criteria that were learnt are summed.

    Args:
        model: on the device where it runs.
        exams: the data.
        task: whose score is explained.
        scores: the task's table of the validation exams; where nothing is said of any, nothing is
            written.
        path: PNG; a row an exam, its views of the day.
    """
    judged = [name for name in Criterion if task is Task.QUALITY and scores[name].drop_null()]
    values = _values(task, scores, judged)
    if not values.drop_null():
        return
    batch = _highest(exams, scores["exam"], values)
    shown = drawn_views(model, batch, _criteria(judged) if judged else TARGETS[task])
    tiles = [tile for views in shown for tile in views]
    names = [f"{side} {projection}" for side, projection in VIEW_SLOTS] * len(shown)
    titles = ["absent" if t is None else name for t, name in zip(tiles, names, strict=True)]
    contact_sheet(tiles, titles, path, columns=len(VIEW_SLOTS))


def drawn_views(
    model: ExamModel, batch: ExamBatch, target: Target
) -> list[list[NDArray[np.uint8] | None]]:
    """For each exam its own views with their maps over them, in the order of ``VIEW_SLOTS``.

    Args:
        model: on the device where it runs; left as it is.
        batch: of exams; on the CPU.
        target: what is explained.

    Returns:
        uint8 [height, width, 3] of blue, green and red; None where a view is absent.
    """
    maps = grad_cam(model, batch, target)
    return [
        [
            _drawn(batch.images[exam, 0, view, 0].numpy(), maps[exam, view].numpy())
            if batch.present[exam, 0, view]
            else None
            for view in range(len(VIEW_SLOTS))
        ]
        for exam in range(len(batch.exam))
    ]


def grad_cam(model: ExamModel, batch: ExamBatch, target: Target) -> Tensor:
    """Maps of the exams' own views, float32 [exam, view, height, width], 0 to 1 in each exam.

    Exams go through one by one, and no gradient goes into the encoder: as much memory as scoring
    one exam.

    Args:
        model: on the device where it runs; its gradients are left as they are.
        batch: of exams; on the CPU.
        target: what is explained.
    """
    learning = {weight: weight.requires_grad for weight in model.parameters()}
    was_training = model.training
    try:
        model.eval().requires_grad_(False)
        parts = (batch.images, batch.present, batch.months)
        exams = zip(*(torch.split(part, 1) for part in parts), strict=True)
        maps = [_of_exam(model, images, there, ago, target) for images, there, ago in exams]
        return torch.cat(maps)
    finally:
        model.train(was_training)
        for weight, learns in learning.items():
            weight.requires_grad_(learns)


def _of_exam(
    model: ExamModel, images: Tensor, present: Tensor, months: Tensor, target: Target
) -> Tensor:
    device = next(model.parameters()).device
    seen: list[Tensor] = []

    def keep(_module: object, _inputs: object, maps: Maps) -> Maps:
        seen.append(maps[0].detach().requires_grad_())
        return seen[0], maps[1]

    hook = model.encoder.backbone.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            inputs = [part.to(device) for part in (images, present, months)]
            score = target(model(*inputs), inputs[1][:, 0]).sum()
            (gradient,) = torch.autograd.grad(score, seen[0])
    finally:
        hook.remove()
    weights = gradient.float().mean(dim=(2, 3), keepdim=True)
    rising = functional.relu((weights * seen[0].detach().float()).sum(dim=1))
    size = images.shape[-2:]
    whole = functional.interpolate(rising[:, None], size=size, mode="bilinear")[:, 0].cpu()
    placed = torch.zeros(*present.shape, *size)
    placed[present] = whole
    now = placed[:, 0]
    return now / now.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)


def _of_cancer(said: Outputs, present: Tensor) -> Tensor:
    assert said.cancer is not None
    return said.cancer.breast.masked_fill(~has_view(present), -torch.inf).amax(dim=1)


def _of_risk(said: Outputs, present: Tensor) -> Tensor:
    assert said.risk is not None
    return (said.risk * has_view(present)[..., None]).sum(dim=(1, 2))


def _of_density(said: Outputs, present: Tensor) -> Tensor:
    assert said.density is not None
    return (said.density.beyond * has_view(present)[..., None]).sum(dim=(1, 2))


def _criteria(names: Sequence[Criterion]) -> Target:
    places = [list(Criterion).index(name) for name in names]

    def of_quality(said: Outputs, present: Tensor) -> Tensor:
        assert said.quality is not None
        return (said.quality.criteria[..., places] * present[..., None]).sum(dim=(1, 2))

    return of_quality


TARGETS: dict[Task, Target] = {
    Task.CANCER: _of_cancer,
    Task.RISK: _of_risk,
    Task.DENSITY: _of_density,
}
"""What is explained: log-odds of cancer of the more suspicious breast, those of all years of risk,
of each cut of density."""


def _values(task: Task, scores: pa.Table, judged: Sequence[Criterion]) -> pa.ChunkedArray:
    """What rows are ranked by; missing where nothing is said."""
    match task:
        case Task.CANCER | Task.DENSITY:
            return scores["score"]
        case Task.RISK:
            years = pc.max(pc.list_value_length(scores["risk"])).as_py() or 1
            return pc.list_element(scores["risk"], years - 1)
        case Task.QUALITY:
            columns = [pc.fill_null(scores[name], 0.0) for name in judged]
            return reduce(pc.add, columns) if columns else pa.chunked_array([], pa.float64())


def _highest(exams: ExamData, names: pa.ChunkedArray, values: pa.ChunkedArray) -> ExamBatch:
    """The exams with the highest values, as the model gets them."""
    ranked = pa.table({"exam": names, "score": pc.fill_null(values, -np.inf)})
    best = ranked.group_by("exam").aggregate([("score", "max")])
    order = best.sort_by([("score_max", "descending"), ("exam", "ascending")])
    dataset = exams.dataset(Split.VALIDATION)
    rows = find_rows(order["exam"].slice(0, EXAMS_SHOWN), exams.everyone.table["exam"])
    places = np.searchsorted(dataset.rows, rows)
    return dataset[[Draw(int(place), 0) for place in places]]


def _drawn(image: NDArray[np.uint16], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image, uint16 [height, width], with a map of 0 to 1 over it: uint8 [height, width, 3]."""
    grey = cv2.cvtColor((image >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = HEAT * heat[..., None]
    drawn: NDArray[np.uint8] = np.rint(grey * (1 - share) + colours * share).astype(np.uint8)
    return drawn
