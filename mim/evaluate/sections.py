"""A part of the report on one task: its figures, and how the page shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mim.evaluate.bootstrap import (
    NO_INTERVAL,
    Bools,
    Estimate,
    Floats,
    Ints,
    Statistic,
    bootstrap_by_woman,
)
from mim.evaluate.figures import Figure, of_maker
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import Task

MOST_NARROW = 4
"""Columns of a table that fit beside another."""


@dataclass(frozen=True)
class Cell:
    """A figure in a table, multiplied by ``scale`` and written with ``digits`` after the point."""

    estimate: Estimate
    scale: float = 1.0
    digits: int = 3

    @property
    def value(self) -> str:
        """The figure in words; a dash where it is missing."""
        found = self.estimate.value
        return "-" if found is None else f"{found * self.scale:z.{self.digits}f}"

    @property
    def interval(self) -> str:
        """Its ends, or why there are none."""
        low, high = self.estimate.low, self.estimate.high
        if low is None or high is None:
            return self.estimate.reason or "-"
        return f"{low * self.scale:z.{self.digits}f} to {high * self.scale:z.{self.digits}f}"

    @property
    def brief(self) -> str:
        """The same, short enough for a table; the page says what the words mean."""
        reason = self.estimate.reason or ""
        if reason.startswith(NO_INTERVAL):
            return "few women" if "needs" in reason else "no spread"
        return self.interval


@dataclass(frozen=True)
class Table:
    """A table of the page: what it is about, its heads, and rows whose first cell is the row's head."""

    about: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]

    @property
    def wide(self) -> bool:
        """Whether it needs the width of the page."""
        return len(self.heads) > MOST_NARROW


@dataclass(frozen=True)
class Headline:
    """A figure at the top of the page, named in a few words.

    Attributes:
        title: its name.
        unit: what it is counted in.
        cell: the figure.
        cases: what is said of its cases.
    """

    title: str
    unit: str
    cell: Cell
    cases: str = "with cancer"

    def __str__(self) -> str:
        known = "95 % interval " * (self.cell.estimate.low is not None)
        return f"{self.title}: {self.cell.value} ({known}{self.cell.interval})"


@dataclass(frozen=True)
class Section:
    """One task's part of the report.

    Attributes:
        task: the task.
        title: of the section.
        words: paragraphs before tables and pictures.
        headlines: for the top of the page.
        figures: all of them, for the files.
        tables: of the page.
        pictures: SVG.
        facts: what ``metrics.json`` holds beside the figures.
        anchor: its place in the page; missing: the task's name.
        summary: what it found, in sentences for the top of the page.
    """

    task: Task
    title: str
    words: Sequence[str]
    headlines: Sequence[Headline]
    figures: Sequence[Figure]
    tables: Sequence[Table]
    pictures: Sequence[Markup] = ()
    facts: dict[str, object] = field(default_factory=dict)
    anchor: str | None = None
    summary: Sequence[str] = ()

    @property
    def place(self) -> str:
        """The section's name in addresses within the page."""
        return self.anchor or str(self.task)


def in_words(found: Estimate, scale: float = 1.0, digits: int = 3) -> str:
    """A figure with its interval within a sentence."""
    cell = Cell(found, scale, digits)
    known = found.low is not None
    return f"{cell.value} ({cell.interval})" if known else cell.value


def counted(count: int, what: str) -> str:
    """A number of things, as "1 exam" and "2 exams"."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def unsaid(said: Mapping[str, Floats]) -> list[str]:
    """A sentence on columns ``[row]``, by their names, in which nothing is said; none: no sentence."""
    silent = [name for name, column in said.items() if len(column) and np.isnan(column).all()]
    if not silent:
        return []
    return [
        f"The model says nothing of: {', '.join(silent)}. Nobody taught it, or no image here is "
        "asked for it."
    ]


@dataclass(frozen=True)
class Measurer:
    """Makes the figures of one task.

    Attributes:
        task: the task.
        unit: what its rows are.
        settings: of the bootstrap.
    """

    task: Task
    unit: str
    settings: BootstrapSettings

    def figures(
        self,
        names: Sequence[tuple[str, str | None]],
        statistic: Statistic,
        women: npt.NDArray[np.generic],
        cases: Sequence[Bools | None] | None,
        maker: str,
        outcome: str | None = None,
        cells: Ints | None = None,
    ) -> list[Figure]:
        """A statistic's figures, each named by (name, of what); they share the draws of women.

        With ``cells`` ``[row]`` the statistic takes weights of these.
        """
        looked_for = [None] * len(names) if cases is None else cases
        found = bootstrap_by_woman(
            statistic, women, looked_for, **asdict(self.settings), cells=cells
        )
        return [
            Figure(self.task, name, self.unit, *of_maker(maker), estimate, of, outcome)
            for (name, of), estimate in zip(names, found, strict=True)
        ]
