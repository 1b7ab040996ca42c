"""Settings that several tests share."""

from mim.model.settings import RiskSettings, TaskSettings
from mim.vocab import Task


def all_tasks(years: int = RiskSettings.years) -> TaskSettings:
    """Every task on, risks over some years."""
    tasks = TaskSettings(risk=RiskSettings(years=years))
    for task in Task:
        getattr(tasks, task.value).learn = True
    return tasks
