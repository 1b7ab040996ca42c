"""What a bundle's reference exams were like, so that ``mim monitor`` can compare later ones."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mim.schemas.scores import INPUT_MEASURES

SCORE = "exam_score"

MEASURES = (SCORE, *(column.name for column in INPUT_MEASURES))
"""Columns of ``mim.schemas.scores.PREDICTIONS`` that are compared."""

SHOWN = (0.1, 0.5, 0.9)
"""Quantiles that stand for a measure on the page."""


class Level(StrEnum):
    """Which reference exams an exam is compared with."""

    MACHINE = "its machine's"
    MAKER = "its maker's"
    ALL = "all"


@dataclass(frozen=True)
class Spread:
    """How one measure lies over reference exams.

    Attributes:
        exams: as how many independent ones they count.
        edges: of its bins, rising; a value at an edge belongs to the bin above it.
        shares: of the exams in each bin, one more than there are edges.
        quantiles: at ``SHOWN``.
    """

    exams: float
    edges: list[float]
    shares: list[float]
    quantiles: list[float]


@dataclass(frozen=True)
class Group:
    """Reference exams of all machines, of one maker, or of one machine.

    Attributes:
        exams: how many they are.
        independent: as how many independent ones they count.
        selected: share of them selected at each rate, by the thresholds of the group.
        measures: those of ``MEASURES`` that are known of enough of them.
    """

    exams: int
    independent: float
    selected: list[float]
    measures: dict[str, Spread]


@dataclass(frozen=True)
class MonitorReference:
    """Reference exams in counts and quantiles; ``dataclasses.asdict`` gives its JSON.

    Attributes:
        selection_rates: of ``Group.selected``.
        whole: all of them.
        makers: those of each maker that has a level in the score scale.
        software: by maker and machine (model and software version), likewise.
        machines: exams of every machine among them, by maker and machine.
    """

    selection_rates: list[float]
    whole: Group
    makers: dict[str, Group]
    software: dict[str, dict[str, Group]]
    machines: dict[str, dict[str, int]]

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "MonitorReference":
        """The reference of what ``dataclasses.asdict`` gave."""
        makers = {maker: _group(group) for maker, group in said["makers"].items()}
        software = {
            maker: {machine: _group(group) for machine, group in machines.items()}
            for maker, machines in said["software"].items()
        }
        return cls(
            **said | {"whole": _group(said["whole"]), "makers": makers, "software": software}
        )

    def of(self, maker: str, machine: str) -> tuple[Level, Group]:
        """What exams of a machine are compared with: its own, else its maker's, else all."""
        if found := self.software.get(maker, {}).get(machine):
            return Level.MACHINE, found
        if found := self.makers.get(maker):
            return Level.MAKER, found
        return Level.ALL, self.whole

    def knows(self, maker: str, machine: str) -> bool:
        """Whether any reference exam is of a machine."""
        return machine in self.machines.get(maker, {})


def _group(said: dict[str, Any]) -> Group:
    measures = {name: Spread(**spread) for name, spread in said["measures"].items()}
    return Group(**said | {"measures": measures})
