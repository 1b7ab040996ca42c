"""What a task is, and what becomes of one whose process died."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from mim.errors import InputError


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


def work_on(function: Callable[[T], R], task: T) -> R:
    """``function(task)``, with nothing in hand that an earlier process left there."""
    task.in_hand.unlink(missing_ok=True)
    return function(task)


@contextmanager
def holding(in_hand: Path) -> Iterator[Callable[[str], None]]:
    """What ``function`` calls with the name of each item before it begins the item.

    The name stands in ``in_hand`` whatever ends the process; the file goes when the work is done.
    """
    in_hand.parent.mkdir(parents=True, exist_ok=True)
    try:
        with in_hand.open("wb", buffering=0) as file:

            def take(item: str) -> None:
                file.seek(0)
                file.truncate()
                file.write(item.encode())

            yield take
    finally:
        in_hand.unlink(missing_ok=True)


class Attempt(Generic[T]):
    """A task under way, with the deaths that it has seen."""

    def __init__(self, task: T) -> None:
        self.given = task
        self.task = task
        self._deaths: Counter[str] = Counter()

    def died(self, enough: int, nameless: int) -> None:
        """Count a death; ``enough`` of them with one item in hand and the task goes on without it.

        One death of a process alone blames nobody: the system also kills when memory runs out.

        Raises:
            InputError: ``nameless`` deaths without an item in hand, or one more for an item that
                is left out already.
        """
        item = _read(self.task.in_hand)
        self._deaths[item] += 1
        deaths = self._deaths[item]
        if not item and deaths == nameless:
            raise InputError(f"worker processes die before they begin their first item; {CAUSES}")
        if item and deaths > enough:
            # Its name may be a path, and a path may name a woman.
            named = self.task.in_hand
            raise InputError(f"what {named} names kills worker processes though left out; {CAUSES}")
        if item and deaths == enough:
            self.task = self.task.without(item)


CAUSES = (
    "too little memory, or a package that cannot be loaded? What is done is kept: run the command "
    "again with workers=1 to see the fault"
)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
