"""Processes of this machine, each of which may die without taking another's work along."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connection
from typing import Generic, TypeVar

from mim.workers.task import Attempt, Task, work_on

T = TypeVar("T", bound=Task)
R = TypeVar("R")

SPAWN = get_context("spawn")

DEATHS = 2
"""Deaths with one item in hand that leave the item out, or with none that end the work."""


def in_processes(
    function: Callable[[T], R], tasks: Iterable[T], workers: int
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; ``workers`` 0 takes one process per core."""
    waiting = iter(tasks)
    stop, lifeline = SPAWN.Pipe(duplex=False)
    free = [Slot(function, stop) for _ in range(workers or cores())]
    busy: dict[Future[R], Slot[T, R]] = {}
    done: list[tuple[T, R]] = []
    try:
        while True:
            while free and (task := next(waiting, None)) is not None:
                slot = free.pop()
                busy[slot.start(Attempt(task))] = slot
            yield from done
            if not busy:
                return
            done = list(_finished(busy, free))
    finally:
        # Closing the pipe ends the processes whatever they are at; see _begin.
        lifeline.close()
        stop.close()
        for slot in (*free, *busy.values()):
            slot.close()


def _finished(
    busy: "dict[Future[R], Slot[T, R]]", free: "list[Slot[T, R]]"
) -> Iterator[tuple[T, R]]:
    for future in wait(busy, return_when=FIRST_COMPLETED).done:
        slot = busy.pop(future)
        try:
            result = future.result()
        except BrokenProcessPool:
            busy[slot.again()] = slot
        else:
            free.append(slot)
            yield slot.attempt.given, result


class Slot(Generic[T, R]):
    """A process and the task it is at. Each has a pool of its own, so a death has one suspect."""

    attempt: Attempt[T]

    def __init__(self, function: Callable[[T], R], stop: Connection) -> None:
        self._function = function
        self._stop = stop
        self._pool: ProcessPoolExecutor | None = None

    def start(self, attempt: Attempt[T]) -> Future[R]:
        """Work on a task, in the process that is there or else a new one."""
        self.attempt = attempt
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=SPAWN, initializer=_begin, initargs=(self._stop,)
            )
        return self._pool.submit(work_on, self._function, attempt.task)

    def again(self) -> Future[R]:
        """Start over in a new process after a death, without the item that has killed too often."""
        self.close()
        self.attempt.died(enough=DEATHS, nameless=DEATHS)
        return self.start(self.attempt)

    def close(self) -> None:
        """Let the process go."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def cores() -> int:
    """Cores that this process may use, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin(stop: Connection) -> None:
    """In each new process: Ctrl-C is the parent's business, and no process outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(stop,), daemon=True).start()


def _die_with_parent(stop: Connection) -> None:
    wait_for_connection([stop])  # nothing is ever sent: it becomes readable when the parent is gone
    os._exit(1)
