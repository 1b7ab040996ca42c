"""The metric that chooses the best checkpoint."""

from mim.errors import InputError
from mim.evaluate.tasks import CHOOSES_NOTHING, MAIN_METRIC, task_metrics
from mim.model.settings import TaskSettings
from mim.schemas.scores import OF_TASK
from mim.train.settings import TrainSettings

LAST_EPOCH = "last"
"""In a metric's place: no figure chooses, the last epoch is kept."""


def chosen_metric(tasks: TaskSettings, train: TrainSettings) -> str:
    """The metric's name, such as ``density/kappa_linear``: the one asked for, which may be
    ``LAST_EPOCH``, or the main one of the first task that is learnt.

    Raises:
        InputError: the tasks that are learnt have no such metric, or no epoch is best by it.
    """
    learnt = tasks.learnt()
    metric = train.metric or MAIN_METRIC[learnt[0]]
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
