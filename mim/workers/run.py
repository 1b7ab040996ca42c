"""Work that many processes share: the same result whoever does it, and whoever dies of it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, Self, TypeVar

from mim.workers.settings import WorkersSettings


class Task(Protocol):
    """Work for one process. It writes its own result, whole or not at all.

    The process that does it keeps the name of the item in hand in the file ``in_hand``, so that
    one that dies says of what.
    """

    @property
    def in_hand(self) -> Path:
        """File with the name of the item being worked on; on a folder that all workers see."""

    def without(self, item: str) -> Self:
        """The same work once ``item`` has killed a process: the item gets a row with a reason."""


T = TypeVar("T", bound=Task)
R = TypeVar("R")


def run(
    function: Callable[[T], R], tasks: Iterable[T], settings: WorkersSettings
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; a few tasks per process are under way at a time.

    ``function`` and the tasks must be picklable. ``tasks`` is read as the work goes on, so it may
    be a generator of any length.
    """
    if settings.workers == 1:
        for task in tasks:
            yield task, function(task)
        return
    waiting: dict[Future[R], T] = {}
    with ProcessPoolExecutor(settings.workers or None, mp_context=get_context("spawn")) as pool:
        for task in tasks:
            waiting[pool.submit(function, task)] = task
            while len(waiting) >= 8:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)


def _done(waiting: dict[Future[R], T]) -> Iterator[tuple[T, R]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()
