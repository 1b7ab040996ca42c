"""Which exams something is known of that a task can learn from."""

from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mim.data.exams import Exams
from mim.errors import InputError
from mim.vocab import BREASTS, SCREENING_VIEWS, Task

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

WHERE = {
    Task.CANCER: "'cancers' or 'outcomes'",
    Task.RISK: "'cancers' and 'women', or 'outcomes',",
    Task.DENSITY: "'density'",
    Task.QUALITY: "'landmarks', or criteria in 'quality',",
}
"""Tables of the registry that hold the labels of each task."""


class Years(Protocol):
    """Settings of the risk task, as far as they concern the data."""

    years: int


class Tasks(Protocol):
    """Settings of the tasks, as far as they concern the data; ``mim.model.settings`` has them."""

    @property
    def risk(self) -> Years:
        """Of the risk task."""

    def learnt(self) -> tuple[Task, ...]:
        """The tasks that are learnt."""


def known_exams(exams: Exams, rows: Rows, task: Task) -> Mask:
    """Which exams have a label of a task, of a breast or a view that has an image."""
    labels = exams.labels
    match task:
        case Task.CANCER:
            unknown = np.isnan(labels.cancer[rows])
        case Task.RISK:
            unknown = np.isnan(labels.years_to_cancer[rows]) & np.isnan(labels.years_followed[rows])
        case Task.DENSITY:
            unknown = (labels.density[rows] < 0) & np.isnan(labels.percent[rows])
        case Task.QUALITY:
            unknown = np.all(np.isnan(labels.visible[rows]), axis=-1)
            unknown &= np.all(np.isnan(labels.criteria[rows]), axis=-1)
    seen = exams.images[rows] >= 0 if task is Task.QUALITY else seen_breasts(exams, rows)
    return np.asarray(np.any(seen & ~unknown, axis=1))


def find_cases(exams: Exams, rows: Rows, tasks: Tasks) -> Mask:
    """Which exams have a breast with cancer, or, for the risk task, one to come within its years."""
    sick = np.zeros((len(rows), len(BREASTS)), bool)
    if Task.CANCER in tasks.learnt():
        sick |= exams.labels.cancer[rows] == 1
    if Task.RISK in tasks.learnt():
        sick |= exams.labels.years_to_cancer[rows] < tasks.risk.years
    return np.asarray(np.any(sick & seen_breasts(exams, rows), axis=1))


def require_labels(cohort: Path, exams: Exams, rows: Rows, tasks: Tasks) -> None:
    """Refuse training exams that teach one of the tasks nothing.

    Raises:
        InputError: a task has no label, cancer has labels of one kind only, or risk has no cancer,
            or a year that nobody was followed into.
    """
    for task in tasks.learnt():
        if not known_exams(exams, rows, task).any():
            raise InputError(
                f"{cohort}: no training exam has a label of the task '{task}'; give the registry "
                f"the table {WHERE[task]} and run 'mim cohort' again, or set "
                f"tasks.{task}.learn=false"
            )
    if Task.CANCER in tasks.learnt():
        cancer = exams.labels.cancer[rows][seen_breasts(exams, rows)]
        for value, kind in ((1, "with"), (0, "without")):
            if value not in cancer:
                raise InputError(
                    f"{cohort}: no training breast {kind} cancer; nothing can be learnt"
                )
    if Task.RISK in tasks.learnt():
        _require_years(cohort, exams, rows, tasks.risk.years)


def _require_years(cohort: Path, exams: Exams, rows: Rows, years: int) -> None:
    seen = seen_breasts(exams, rows)
    to_come, followed = (
        times[rows][seen] for times in (exams.labels.years_to_cancer, exams.labels.years_followed)
    )
    if not (to_come < years).any():
        raise InputError(
            f"{cohort}: no training breast with a cancer within {years} years; "
            "no risk can be learnt, set tasks.risk.learn=false or raise tasks.risk.years"
        )
    longest = float(np.nanmax(np.where(np.isnan(to_come), followed, to_come)))
    if longest <= years - 1:
        raise InputError(
            f"{cohort}: no training breast is followed for more than {longest:.1f} years, so nothing "
            f"teaches year {years}; set tasks.risk.years={max(1, ceil(longest))} or less"
        )


def seen_breasts(exams: Exams, rows: Rows) -> Mask:
    """Which breasts [exam, breast] of some exams have an image."""
    views = exams.images[rows] >= 0
    of_breasts = views.reshape(len(rows), len(BREASTS), len(SCREENING_VIEWS))
    return np.asarray(np.any(of_breasts, axis=-1))
