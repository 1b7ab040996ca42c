"""The metric that chooses the best checkpoint."""

from collections.abc import Mapping

from mim.errors import InputError
from mim.evaluate.tasks import CHOOSES_NOTHING, MAIN_METRIC, task_metrics
from mim.model.settings import TaskSettings
from mim.schemas.learnt import Learnt
from mim.schemas.scores import OF_TASK
from mim.train.settings import TrainSettings
from mim.vocab import Landmark, Task

LAST_EPOCH = "last"
"""In a metric's place: no figure chooses, the last epoch is kept."""


def chosen_metric(tasks: TaskSettings, train: TrainSettings, taught: Learnt) -> str:
    """The metric's name, such as ``density/kappa_linear``: the one asked for, which may be
    ``LAST_EPOCH``, or the main one of the first task that is learnt.

    Where what that one measures was not taught, another one of the task takes its place: the error
    of percent density, or the AUC of criteria.

    Raises:
        InputError: the tasks that are learnt have no such metric, or no epoch is best by it.
    """
    learnt = tasks.learnt()
    metric = train.metric or _main_metric(learnt[0], taught)
    names = [
        f"{task}/{name}"
        for task in learnt
        for name in task_metrics(task, OF_TASK[task].from_rows([]))
        if f"{task}/{name}" not in CHOOSES_NOTHING
    ]
    if metric not in (*names, LAST_EPOCH):
        there = ", ".join([*names, LAST_EPOCH])
        raise InputError(f"train.metric: no metric '{metric}'; there are {there}")
    return metric


def _main_metric(task: Task, taught: Learnt) -> str:
    landmarks = taught.get("landmarks", True)
    if task is Task.DENSITY and taught.get("breast_density") is False:
        return "density/percent_error"
    if task is Task.QUALITY and isinstance(landmarks, Mapping) and not landmarks[Landmark.NIPPLE]:
        return "quality/criteria_auc"
    return MAIN_METRIC[task]
