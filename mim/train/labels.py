"""What a run was taught: labels of its training exams, counted, and what follows for its outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.data.exams import Exams
from mim.data.known import seen_breasts
from mim.model.settings import TaskSettings
from mim.schemas.learnt import Learnt
from mim.vocab import Criterion, Landmark, Task

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
            graded = labels.density[rows][breasts] >= 0
            percent = labels.percent[rows][breasts]
            return {"breasts": int(graded.sum()), "percent": _known(percent)}
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


def learnt_outputs(labels: Mapping[str, Counts], tasks: TaskSettings) -> Learnt:
    """Which outputs the labels taught.

    A criterion that all images fulfilled, or none, was not: a model can only repeat it. Nor was what
    weighed nothing in its task's loss.

    Args:
        labels: counts by task.
        tasks: how the tasks were learnt.
    """
    learnt: dict[str, bool | dict[str, bool]] = {}
    if density := labels.get(Task.DENSITY):
        learnt["breast_density"] = density["breasts"] > 0
        learnt["breast_percent"] = density["percent"] > 0 < tasks.density.percent_weight
    if quality := labels.get(Task.QUALITY):
        weight = tasks.quality.landmark_weight
        learnt["landmarks"] = {n: count > 0 < weight for n, count in quality["landmarks"].items()}
        for output in ("landmarks_visible", "criteria"):
            learnt[output] = {name: min(counts) > 0 for name, counts in quality[output].items()}
    return learnt


def _known(values: NDArray[Any]) -> int:
    return int((~np.isnan(values)).sum())


def _answers(values: NDArray[Any], names: Sequence[str]) -> dict[str, list[int]]:
    """How many images [image, name] are known not to be so, and how many to be so."""
    return {
        str(name): [int((values[:, at] == answer).sum()) for answer in (0, 1)]
        for at, name in enumerate(names)
    }
