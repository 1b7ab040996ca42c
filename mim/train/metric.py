"""The metric that chooses the best checkpoint."""

from mim.errors import InputError
from mim.evaluate.tasks import MAIN_METRIC, task_metrics
from mim.model.settings import TaskSettings
from mim.schemas.scores import OF_TASK
from mim.train.settings import TrainSettings


def chosen_metric(tasks: TaskSettings, train: TrainSettings) -> str:
    """The metric's name, such as ``density/kappa_linear``: the one asked for, or the main one of the
    first task that is learnt.

    Raises:
        InputError: the tasks that are learnt have no such metric.
    """
    learnt = tasks.learnt()
    metric = train.metric or MAIN_METRIC[learnt[0]]
    names = [
        f"{task}/{name}"
        for task in learnt
        for name in task_metrics(task, OF_TASK[task].from_rows([]))
    ]
    if metric not in names:
        raise InputError(f"train.metric: no metric '{metric}'; there are {', '.join(names)}")
    return metric
