"""Parts of the page of a sweep over makers left out: thresholds, each maker, the probe, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mim.evaluate.bootstrap import Estimate
from mim.evaluate.figures import ALL
from mim.evaluate.makers_draws import SPECIFICITY
from mim.evaluate.makers_figures import DIFFERENCE, IN_DOMAIN, UNSEEN
from mim.evaluate.makers_picture import ratio_picture
from mim.evaluate.makers_table import MakerFigures, Missing
from mim.evaluate.sections import Cell, Section, Table, counted
from mim.vocab import SELECTION_RATES, Task, maker_name


@dataclass(frozen=True)
class Probed:
    """How well the maker can be told from the features of one run.

    Attributes:
        method: of the run.
        left_out: the maker it has not seen; None: it has seen all.
        seed: of its training.
        accuracy: balanced accuracy over makers.
        chance: that of features that hold nothing; None without two makers.
    """

    method: str
    left_out: str | None
    seed: int
    accuracy: Estimate
    chance: float | None

    def row(self) -> dict[str, object]:
        """As a row of a table."""
        found = self.accuracy
        return {
            "method": self.method,
            "left_out": self.left_out,
            "seed": self.seed,
            "balanced_accuracy": found.value,
            "low": found.low,
            "high": found.high,
            "chance": self.chance,
            "exams": found.n,
            "women": found.women,
            "reason": found.reason,
        }


def thresholds_section(found: MakerFigures, weighed: bool) -> Section:
    """What thresholds of the makers seen select of one that is not.

    Args:
        found: every figure.
        weighed: whether exams count by the programme's prevalence.
    """
    counted_as = (
        "Exams count by the prevalence that was given."
        if weighed
        else "Exams count as they are: where cancers are enriched, no share is one of a programme's."
    )
    return Section(
        Task.CANCER,
        "Thresholds of the makers seen, on an unseen one",
        words=(
            "Each run's thresholds are fixed on its own validation exams, which are of the makers "
            "that it has seen, and then select among the test exams of the maker; those of a run "
            "that was fitted to the maker afterwards, on the exams it was fitted to. A ratio of 2 is "
            "twice the exams that were wanted. The intervals take the thresholds as given. In-domain "
            "runs, whose thresholds are of all makers together, show what chance and the makers' own "
            f"levels do by themselves. {counted_as}",
        ),
        headlines=(),
        figures=(),
        tables=[_ratio_table(found, side) for side in (UNSEEN, IN_DOMAIN)],
        pictures=[ratio_picture(found, rate) for rate in SELECTION_RATES],
        anchor="thresholds",
    )


def _ratio_table(found: MakerFigures, side: str) -> Table:
    """Geometric mean over makers, and the maker farthest off, at each rate."""
    rows: list[tuple[str | Cell, ...]] = []
    for method in found.methods:
        for rate in SELECTION_RATES:
            name = f"selection_ratio_{side}"
            makers = [found.of(name, method, maker, rate=rate) for maker in found.makers]
            rows.append(
                (
                    f"{method}, {100 * rate:.1f} %",
                    cell_of(found, name, method, rate=rate, digits=2),
                    *(cell(f.estimate if f else None, digits=2) for f in makers),
                )
            )
    where = "an unseen maker" if side == UNSEEN else "each maker, by runs that have seen it"
    return Table(
        f"Share selected over the wanted one on {where}: geometric mean over makers, and each of "
        "them, with 95 % intervals.",
        ("Method and rate", "Mean", *map(maker_name, found.makers)),
        rows,
    )


def each_maker_section(found: MakerFigures) -> Section:
    """Areas and sensitivities of every method on every maker."""
    tables = []
    for name, scale, digits, what in (
        ("auc", 1.0, 3, "AUC by exam"),
        ("sensitivity", 100.0, 1, f"Sensitivity in % at {100 * SPECIFICITY:g} % specificity"),
    ):
        rows: list[tuple[str | Cell, ...]] = []
        for method in found.methods:
            for maker in found.makers:
                cells = [
                    cell_of(found, f"{name}_{side}", method, maker, scale=scale, digits=digits)
                    for side in (IN_DOMAIN, UNSEEN, DIFFERENCE)
                ]
                figure = found.of(f"{name}_{UNSEEN}", method, maker)
                counts = (f"{figure.exams:,}", f"{figure.cancers:,}") if figure else ("-", "-")
                rows.append((f"{method}, {maker_name(maker)}", *cells, *counts))
        heads = ("Method and maker", "In-domain", "Unseen", "Difference", "Exams", "Cancers")
        tables.append(Table(f"{what}, by maker, with 95 % intervals.", heads, rows))
    return Section(
        Task.CANCER,
        "Each maker",
        words=("Mean over seeds; each seed stands in makers.csv.",),
        headlines=(),
        figures=(),
        tables=tables,
        anchor="each-maker",
    )


def probe_section(found: MakerFigures, probes: Sequence[Probed]) -> Section | None:
    """How well the maker can be told from the features; None where no run was probed."""
    if not probes:
        return None
    rows: list[tuple[str | Cell, ...]] = []
    for method in found.methods:
        sides = [
            [p for p in probes if p.method == method and (p.left_out is None) == seen_all]
            for seen_all in (True, False)
        ]
        chance = sorted({f"{p.chance:.3f}" for side in sides for p in side if p.chance})
        rows.append((method, *map(_accuracy, sides), " or ".join(chance) or "-"))
    return Section(
        Task.CANCER,
        "Can the maker be told from the features?",
        words=(
            "A linear probe, fitted on the validation exams and measured on the test exams of all "
            "makers: mean over makers of the share of its exams taken for its, mean over runs. A "
            "method whose features hold no maker is at chance; features may hold it and the score "
            "be none the worse. Every run with its interval stands in probes.csv.",
        ),
        headlines=(),
        figures=(),
        tables=[
            Table(
                "Balanced accuracy of telling the maker.",
                ("Method", "Runs that have seen all", "Runs with a maker left out", "Chance"),
                rows,
            )
        ],
        anchor="probe",
    )


def _accuracy(probes: Sequence[Probed]) -> str:
    known = [p.accuracy.value for p in probes if p.accuracy.value is not None]
    return f"{np.mean(known):.3f} ({counted(len(known), 'run')})" if known else "-"


def missing_section(missing: Sequence[Missing]) -> Section | None:
    """Runs that a sweep lacks; None where nothing is missing."""
    if not missing:
        return None
    rows = [
        (m.method, maker_name(m.left_out) if m.left_out else "none", str(m.seed), m.reason)
        for m in missing
    ]
    return Section(
        Task.CANCER,
        "Runs that are missing",
        words=(
            "What the sweep lacks, or what of it could not be measured. The rest is measured: a mean "
            "over seeds is over the seeds that a maker has, a mean over makers over those with runs.",
        ),
        headlines=(),
        figures=(),
        tables=[Table("Runs left out.", ("Method", "Maker left out", "Seed", "Reason"), rows)],
        anchor="missing",
        summary=[f"{counted(len(missing), 'run')} of the sweep missing: see the table."],
    )


def cell_of(
    found: MakerFigures,
    name: str,
    method: str,
    maker: str = ALL,
    rate: float | None = None,
    scale: float = 1.0,
    digits: int = 3,
) -> str | Cell:
    """A figure of a method in a table; a dash where there is none."""
    figure = found.of(name, method, maker, rate=rate)
    return "-" if figure is None else Cell(figure.estimate, scale, digits)


def cell(estimate: Estimate | None, digits: int = 3) -> str | Cell:
    """A figure in a table; a dash where there is none."""
    return "-" if estimate is None else Cell(estimate, digits=digits)
