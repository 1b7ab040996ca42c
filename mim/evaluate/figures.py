"""What one figure of a report is, and the table of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mim.evaluate.bootstrap import Estimate
from mim.schemas.table import Column, Schema
from mim.vocab import CANCERS, Maker, Outcome, Task, maker_name

ALL = "all"
MAKER = "maker"
ANY_CANCER = "any cancer"
OUTCOMES = (ANY_CANCER, *(str(outcome) for outcome in CANCERS))
OWN_RATE = "share of these exams"
STORED_THRESHOLD = "validation threshold"

TEXT, NUMBER = pa.string(), pa.float64()

FIGURES = Schema(
    "figures",
    key=(
        *("task", "model", "name", "unit", "subgroup", "level"),
        *("of", "outcome", "rule", "selection_rate"),
    ),
    columns=(
        Column("task", TEXT, "the task measured", False, tuple(Task)),
        Column("model", TEXT, "the model, or who or what else is measured; missing: the only one"),
        Column("name", TEXT, "the figure; docs/metrics.md defines each", False),
        Column("unit", TEXT, "what was counted: breasts, exams, women or images", False),
        Column("subgroup", TEXT, "what the rows have in common: maker, age, ...; or all", False),
        Column("level", TEXT, "which maker, age, ... it is; missing: all"),
        Column("of", TEXT, "the years, landmark, criterion, measure or grade that it is about"),
        Column("outcome", TEXT, "the cancers looked for", True, (ALL, *OUTCOMES)),
        Column("rule", TEXT, "how exams are selected"),
        Column("selection_rate", NUMBER, "wanted share of exams selected"),
        Column("value", NUMBER, "the figure; missing: not defined"),
        Column("low", NUMBER, "lower end of the 95 % interval by bootstrap over women"),
        Column("high", NUMBER, "upper end of it"),
        Column("closed_low", NUMBER, "lower end of the 95 % interval by a closed form"),
        Column("closed_high", NUMBER, "upper end of it"),
        Column("closed_form", TEXT, "which closed form"),
        Column("p_value", NUMBER, "chance of as large a difference where there is none"),
        Column("p_adjusted", NUMBER, "that, corrected for all that were looked at beside it"),
        Column("n", pa.int64(), "breasts, exams, women or images behind the figure", False),
        Column("cases", pa.int64(), "those among them that the figure looks for"),
        Column("women", pa.int64(), "women they belong to", False),
        Column("reason", TEXT, "why the figure or its interval is missing"),
    ),
)


@dataclass(frozen=True)
class ClosedForm:
    """A 95 % interval by a formula, and which."""

    low: float
    high: float
    name: str


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    Attributes:
        task: what is measured.
        name: such as "auc" or "kappa_linear".
        unit: "breasts", "exams" or "images".
        subgroup: "all", or what the rows have in common, such as "maker".
        level: which maker; missing where ``subgroup`` is "all".
        estimate: the figure with its interval.
        of: the years, landmark, criterion, measure or grade that it is about, if any.
        outcome: the cancers looked for: "any cancer", or one of ``Outcome``.
        rule: how exams are selected: the highest-scored share of these exams, or the threshold
            stored from validation exams; missing for an AUC.
        selection_rate: the wanted share; missing for an AUC.
        model: whose scores are measured, where there are several.
        closed: the interval by a closed form, where one exists.
        p_value: of a difference, 0 to 1.
        p_adjusted: the same, corrected for multiplicity.
    """

    task: Task
    name: str
    unit: str
    subgroup: str
    level: str | None
    estimate: Estimate
    of: str | None = None
    outcome: str | None = None
    rule: str | None = None
    selection_rate: float | None = None
    model: str | None = None
    closed: ClosedForm | None = None
    p_value: float | None = None
    p_adjusted: float | None = None

    @property
    def maker(self) -> str:
        """The maker it is about, "all" for every maker; empty for another subgroup."""
        return self.level or ALL if self.subgroup in (ALL, MAKER) else ""

    def row(self) -> dict[str, object]:
        """As a row of ``FIGURES``."""
        fields: dict[str, object] = asdict(self)
        del fields["estimate"], fields["closed"]
        closed = self.closed
        return (
            fields
            | asdict(self.estimate)
            | {
                "closed_low": closed and closed.low,
                "closed_high": closed and closed.high,
                "closed_form": closed and closed.name,
            }
        )


def find(figures: Sequence[Figure], name: str, **wanted: str | None) -> Estimate:
    """The one figure of a name, of all makers unless another is wanted."""
    wanted.setdefault("maker", ALL)
    [found] = [
        figure
        for figure in figures
        if figure.name == name and all(getattr(figure, key) == v for key, v in wanted.items())
    ]
    return found.estimate


def find_one(
    figures: Sequence[Figure], name: str, model: str, unit: str, **wanted: object
) -> Figure:
    """The one figure of a model, of all rows and any cancer unless others are wanted."""
    wanted = {"subgroup": ALL, "outcome": ANY_CANCER} | wanted
    [found] = [
        figure
        for figure in figures
        if (figure.name, figure.model, figure.unit) == (name, model, unit)
        and all(getattr(figure, key) == value for key, value in wanted.items())
    ]
    return found


def outcomes_of(figures: Sequence[Figure], model: str, unit: str) -> list[str]:
    """The cancers by which a model's AUC is measured, any cancer first."""
    there = {f.outcome for f in figures if (f.model, f.unit, f.name) == (model, unit, "auc")}
    return [outcome for outcome in OUTCOMES if outcome in there]


def of_maker(maker: str) -> tuple[str, str | None]:
    """Subgroup and level of a maker's rows, or of all."""
    return (ALL, None) if maker == ALL else (MAKER, maker)


def makers_among(makers: npt.NDArray[np.str_]) -> list[str]:
    """Makers of rows ``[row]``, in the order of the vocabulary."""
    return [str(maker) for maker in Maker if (makers == maker).any()]


def named(maker: str) -> str:
    """A maker, or all of them, in running text."""
    return "All makers" if maker == ALL else maker_name(maker)


def outcome_name(outcome: str) -> str:
    """An outcome as a heading; "cancer" alone would pass for any."""
    words = f"{outcome}, unclear how found" if outcome == Outcome.CANCER else outcome
    return words.capitalize()
