"""A sweep's folder: what is planned, and how far each of its runs is.

``sweep.json`` holds the plan; each job is a run folder beside it, named after its swept values, with
a ``job.json`` of its own that says how far it is. So many machines can share a sweep, each writing
only of its own jobs.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mim.errors import InputError
from mim.schemas.table import read_json, write_json

PLAN = "sweep.json"
STATE = "job.json"
LOG = "log.txt"


class State(StrEnum):
    """How far a job is; one that is being trained is waiting, as is one that was stopped."""

    DONE = "done"
    FAILED = "failed"
    WAITING = "waiting"


@dataclass(frozen=True)
class SweepPlan:
    """What ``sweep.json`` holds.

    ``overrides`` are the words of the command as given, ``keys`` the dotted keys that are swept,
    ``fixed`` the words that all jobs share, and ``jobs`` the swept values of each job by its name,
    which is that of its folder: such as ``{"method": "plain", "data.leave_out_maker": None}``.
    """

    overrides: list[str]
    keys: list[str]
    fixed: list[str]
    jobs: dict[str, dict[str, Any]]

    def write(self, out: Path) -> None:
        """Write it into the folder of a sweep."""
        write_json(out / PLAN, asdict(self))


@dataclass(frozen=True)
class JobState:
    """What ``job.json`` holds.

    ``reason`` says why a job failed, ``seconds`` how long its last try took, ``settings`` is a
    checksum of the values that it was started with.
    """

    state: State = State.WAITING
    reason: str | None = None
    seconds: float | None = None
    settings: str = ""

    def write(self, run: Path) -> None:
        """Write it into the folder of a job."""
        write_json(run / STATE, asdict(self))


def read_plan(out: Path) -> SweepPlan:
    """The plan of a sweep.

    Raises:
        InputError: the folder holds no sweep.
    """
    if not (out / PLAN).is_file():
        raise InputError(f"{out}: no {PLAN} here; expected a folder that 'mim train -m' wrote")
    return SweepPlan(**_fields(out / PLAN, ("overrides", "keys", "fixed", "jobs")))


def read_state(run: Path) -> JobState:
    """How far a job is, from its run folder; one that has not begun is waiting."""
    if not (run / STATE).is_file():
        return JobState()
    found = _fields(run / STATE, ("state", "reason", "seconds", "settings"))
    return JobState(**found | {"state": State(found["state"])})


def _fields(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    found = read_json(path)
    if set(found) != set(names):
        raise InputError(f"{path}: written by another version of mim; choose another out")
    return found
