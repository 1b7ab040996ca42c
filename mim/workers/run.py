"""Work that many processes share: the same result whoever does it, and whoever dies of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mim.workers.local import in_processes
from mim.workers.settings import Executor, WorkersSettings
from mim.workers.task import Task, work_on

T = TypeVar("T", bound=Task)
R = TypeVar("R")


def run(
    function: Callable[[T], R], tasks: Iterable[T], settings: WorkersSettings
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; one or two per process are under way at a time.

    ``function`` and the tasks must be picklable. ``tasks`` is read as the work goes on, so it may
    be a generator of any length. A process that dies costs its task a second start, and an item
    that kills twice is left out (``Task.without``); an exception of ``function`` ends the work.
    Where the caller stops reading, the processes stop.

    Raises:
        InputError: a task kills its processes without an item to blame, or the Dask scheduler
            cannot be used.
    """
    match settings:
        case WorkersSettings(executor=Executor.dask):
            from mim.workers.cluster import on_cluster  # noqa: PLC0415 (dask is an extra)

            yield from on_cluster(function, tasks, settings)
        case WorkersSettings(workers=1):
            for task in tasks:
                yield task, work_on(function, task)
        case _:
            yield from in_processes(function, tasks, settings.workers)
