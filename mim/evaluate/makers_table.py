"""What one figure of a sweep over makers left out is, and the table of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import pyarrow as pa

from mim.evaluate.bootstrap import Estimate
from mim.evaluate.figures import ALL
from mim.schemas.table import Column, Schema

MISSING_RUN = "missing_run"

TEXT, NUMBER, COUNT = pa.string(), pa.float64(), pa.int64()

MAKERS = Schema(
    "makers",
    key=("method", "maker", "seed", "name", "selection_rate"),
    columns=(
        Column("method", TEXT, "how the runs were trained", False),
        Column("maker", TEXT, "whose exams; all: mean over makers; none: a run that saw all"),
        Column("makers", TEXT, "those that a mean is over"),
        Column("seed", COUNT, "of the training; missing: mean over seeds"),
        Column("name", TEXT, "the figure; docs/metrics.md defines each", False),
        Column("selection_rate", NUMBER, "wanted share of exams selected"),
        Column("value", NUMBER, "the figure; missing: not defined"),
        Column("low", NUMBER, "lower end of the 95 % interval by bootstrap over women"),
        Column("high", NUMBER, "upper end of it"),
        Column("p_value", NUMBER, "chance of as large a difference where there is none"),
        Column("p_adjusted", NUMBER, "that, corrected for all methods"),
        Column("exams", COUNT, "test exams behind the figure"),
        Column("cancers", COUNT, "those with a cancer"),
        Column("women", COUNT, "women they belong to"),
        Column("reason", TEXT, "why the figure, its interval or the run is missing"),
    ),
)


@dataclass(frozen=True)
class Missing:
    """A run that a sweep lacks, or that cannot be measured."""

    method: str
    left_out: str | None
    seed: int
    reason: str

    def row(self) -> dict[str, object]:
        """As a row of ``MAKERS``."""
        return {
            "method": self.method,
            "maker": self.left_out,
            "seed": self.seed,
            "name": MISSING_RUN,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class MakerFigure:
    """One figure of a method.

    Attributes:
        method: how the runs were trained.
        maker: whose exams it is of; "all": the mean over makers.
        makers: those that it is a mean over.
        seed: of the training; None: mean over seeds.
        name: such as "auc_unseen".
        estimate: with its interval.
        exams: test exams behind it.
        cancers: those with a cancer.
        rate: wanted share of exams selected; None for others.
        p_value: of a difference, 0 to 1.
        p_adjusted: the same, corrected for multiplicity.
    """

    method: str
    maker: str
    makers: tuple[str, ...]
    seed: int | None
    name: str
    estimate: Estimate
    exams: int
    cancers: int
    rate: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None

    def row(self) -> dict[str, object]:
        """As a row of ``MAKERS``."""
        found = asdict(self.estimate)
        ends = {name: found[name] for name in ("value", "low", "high", "women", "reason")}
        mine = {name: getattr(self, name) for name in ("method", "maker", "seed", "name")}
        tests = {"p_value": self.p_value, "p_adjusted": self.p_adjusted}
        counts = {"exams": self.exams, "cancers": self.cancers, "selection_rate": self.rate}
        mine["makers"] = ", ".join(self.makers)
        return mine | ends | tests | counts


@dataclass(frozen=True)
class MakerFigures:
    """All figures of a sweep.

    Attributes:
        methods: in the order of the sweep; the first is the baseline.
        makers: those measured.
        judged: those with five women with a cancer, and five without; means are over them.
        best_in_domain: the method with the highest in-domain AUC over makers judged, if any has one.
        figures: all of them.
    """

    methods: Sequence[str]
    makers: Sequence[str]
    judged: Sequence[str]
    best_in_domain: str | None
    figures: Sequence[MakerFigure]

    @cached_property
    def _by_key(self) -> dict[tuple[object, ...], MakerFigure]:
        return {(f.name, f.method, f.maker, f.seed, f.rate): f for f in self.figures}

    def of(
        self,
        name: str,
        method: str,
        maker: str = ALL,
        seed: int | None = None,
        rate: float | None = None,
    ) -> MakerFigure | None:
        """The one of a method, of all makers and over seeds unless others are wanted."""
        return self._by_key.get((name, method, maker, seed, rate))

    def seeds(self, method: str) -> list[int]:
        """Seeds of a method, where it has several."""
        return sorted({f.seed for f in self.figures if f.method == method and f.seed is not None})
