"""What one figure of a report is, and the table of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mim.evaluate.bootstrap import Estimate
from mim.schemas.table import Column, Schema
from mim.vocab import CANCERS, Maker, Task, maker_name

ALL = "all"
ANY_CANCER = "any cancer"
OUTCOMES = (ANY_CANCER, *(str(outcome) for outcome in CANCERS))
OWN_RATE = "share of these exams"
STORED_THRESHOLD = "validation threshold"

TEXT = pa.string()

FIGURES = Schema(
    "figures",
    key=("task", "name", "unit", "maker", "of", "outcome", "rule", "selection_rate"),
    columns=(
        Column("task", TEXT, "the task measured", False, tuple(Task)),
        Column("name", TEXT, "the figure; docs/metrics.md defines each", False),
        Column("unit", TEXT, "what was counted: breasts, exams or images", False),
        Column("maker", TEXT, "maker of the mammograph, or all", False, (ALL, *Maker)),
        Column("of", TEXT, "the years, landmark, criterion, measure or grade that it is about"),
        Column("outcome", TEXT, "the cancers looked for", True, (ALL, *OUTCOMES)),
        Column("rule", TEXT, "how exams are selected", True, (OWN_RATE, STORED_THRESHOLD)),
        Column("selection_rate", pa.float64(), "wanted share of exams selected"),
        Column("value", pa.float64(), "the figure; missing: not defined"),
        Column("low", pa.float64(), "lower end of the 95 % interval by bootstrap over women"),
        Column("high", pa.float64(), "upper end of it"),
        Column("n", pa.int64(), "breasts, exams or images behind the figure", False),
        Column("cases", pa.int64(), "those among them that the figure looks for"),
        Column("women", pa.int64(), "women they belong to", False),
        Column("reason", TEXT, "why the figure or its interval is missing"),
    ),
)


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    Attributes:
        task: what is measured.
        name: such as "auc" or "kappa_linear".
        unit: "breasts", "exams" or "images".
        maker: a maker, or "all".
        estimate: the figure with its interval.
        of: the years, landmark, criterion, measure or grade that it is about, if any.
        outcome: the cancers looked for: "any cancer", or one of ``Outcome``.
        rule: how exams are selected: the highest-scored share of these exams, or the threshold
            stored from validation exams; missing for an AUC.
        selection_rate: the wanted share; missing for an AUC.
    """

    task: Task
    name: str
    unit: str
    maker: str
    estimate: Estimate
    of: str | None = None
    outcome: str | None = None
    rule: str | None = None
    selection_rate: float | None = None

    def row(self) -> dict[str, object]:
        """As a row of ``FIGURES``."""
        fields: dict[str, object] = asdict(self)
        del fields["estimate"]
        return fields | asdict(self.estimate)


def find(figures: Sequence[Figure], name: str, **wanted: str | None) -> Estimate:
    """The one figure of a name, of all makers unless another is wanted."""
    wanted.setdefault("maker", ALL)
    [found] = [
        figure
        for figure in figures
        if figure.name == name and all(getattr(figure, key) == v for key, v in wanted.items())
    ]
    return found.estimate


def makers_among(makers: npt.NDArray[np.str_]) -> list[str]:
    """Makers of rows ``[row]``, in the order of the vocabulary."""
    return [str(maker) for maker in Maker if (makers == maker).any()]


def named(maker: str) -> str:
    """A maker, or all of them, in running text."""
    return "All makers" if maker == ALL else maker_name(maker)
