"""What a run was taught: labels of its training exams, counted, and what follows for its outputs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.data.datamodule import ExamData
from mim.data.exams import Exams
from mim.data.known import seen_breasts
from mim.errors import InputError
from mim.model.exam import SCORE_NAMES
from mim.model.settings import TaskSettings
from mim.schemas.learnt import Learnt
from mim.vocab import Criterion, Density, Landmark, Task

Counts = Mapping[str, Any]


def count_labels(exams: Exams, rows: NDArray[np.int64], task: Task) -> dict[str, Any]:
    """How many labels of a task some exams teach, by kind; of breasts and views that have an image.

    Criteria, and whether a landmark lies on the image, are counted as ``[false, true]``.
    """
    labels, breasts = exams.labels, seen_breasts(exams, rows)
    views = exams.images[rows] >= 0
    match task:
        case Task.CANCER:
            cancer = labels.cancer[rows][breasts]
            return {"breasts": _known(cancer), "cancers": int((cancer == 1).sum())}
        case Task.RISK:
            to_cancer, followed = (
                times[rows][breasts] for times in (labels.years_to_cancer, labels.years_followed)
            )
            either = ~np.isnan(to_cancer) | ~np.isnan(followed)
            return {"breasts": int(either.sum()), "cancers": _known(to_cancer)}
        case Task.DENSITY:
            density, percent = labels.density[rows][breasts], labels.percent[rows][breasts]
            classes = {str(name): int((density == at).sum()) for at, name in enumerate(Density)}
            return {"classes": classes, "percent": _known(percent)}
        case Task.QUALITY:
            visible, criteria = labels.visible[rows][views], labels.criteria[rows][views]
            known = ~np.isnan(visible).all(-1) | ~np.isnan(criteria).all(-1)
            places = labels.landmarks[rows][views][..., 0]
            return {
                "images": int(known.sum()),
                "landmarks": {str(n): _known(places[:, at]) for at, n in enumerate(Landmark)},
                "landmarks_visible": _answers(visible, tuple(Landmark)),
                "criteria": _answers(criteria, tuple(Criterion)),
            }


def count_all_labels(exams: ExamData, tasks: TaskSettings) -> dict[str, Counts]:
    """How many labels of each task that is on the training exams teach."""
    rows = exams.training.rows
    return {str(task): count_labels(exams.everyone, rows, task) for task in tasks.learnt()}


def learnt_outputs(labels: Mapping[str, Counts], tasks: TaskSettings) -> Learnt:
    """Which outputs the labels taught.

    A criterion that all images fulfilled, or none, was not: a model can only repeat it; so with
    density of one class. Nor was what weighed nothing in its task's loss.

    Args:
        labels: counts by task.
        tasks: how the tasks were learnt.
    """
    learnt: dict[str, bool | dict[str, bool]] = {}
    if density := labels.get(Task.DENSITY):
        learnt["breast_density"] = sum(count > 0 for count in density["classes"].values()) > 1
        learnt["breast_percent"] = density["percent"] > 0 < tasks.density.percent_weight
    if quality := labels.get(Task.QUALITY):
        weight = tasks.quality.landmark_weight
        learnt["landmarks"] = {n: count > 0 < weight for n, count in quality["landmarks"].items()}
        for output in ("landmarks_visible", "criteria"):
            learnt[output] = {name: min(counts) > 0 for name, counts in quality[output].items()}
    return learnt


def require_learnt(cohort: Path, learnt: Learnt, tasks: TaskSettings) -> None:
    """Refuse a task of which no output is learnt.

    Raises:
        InputError: names the task.
    """
    for task in tasks.learnt():
        outputs = [learnt.get(name, True) for name in SCORE_NAMES[task]]
        parts = [part for output in outputs for part in _parts(output)]
        if not any(parts):
            raise InputError(
                f"{cohort}: the labels of the task '{task}' teach nothing: density of one class, "
                "criteria with one answer, or a weight of 0 in its loss; give other labels or "
                f"weights, or set tasks.{task}.learn=false"
            )


def _parts(learnt: bool | Mapping[str, bool]) -> Iterable[bool]:
    return [learnt] if isinstance(learnt, bool) else learnt.values()


def _known(values: NDArray[Any]) -> int:
    return int((~np.isnan(values)).sum())


def _answers(values: NDArray[Any], names: Sequence[str]) -> dict[str, list[int]]:
    """How many images [image, name] are known not to be so, and how many to be so."""
    return {
        str(name): [int((values[:, at] == answer).sum()) for answer in (0, 1)]
        for at, name in enumerate(names)
    }
