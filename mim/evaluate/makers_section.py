"""The page of a sweep over makers left out: its verdicts, and areas by method."""

from collections.abc import Sequence

from mim.evaluate.differences import less, p_words
from mim.evaluate.makers_draws import SPECIFICITY
from mim.evaluate.makers_figures import (
    DIFFERENCE,
    FROM_BASELINE,
    IN_DOMAIN,
    UNSEEN,
    best_in_domain,
)
from mim.evaluate.makers_goal import FACTOR, MOST_LOST, Verdict, Worst, verdicts
from mim.evaluate.makers_parts import (
    Probed,
    cell,
    cell_of,
    each_maker_section,
    missing_section,
    probe_section,
    thresholds_section,
)
from mim.evaluate.makers_picture import auc_picture
from mim.evaluate.makers_table import MakerFigure, MakerFigures, Missing
from mim.evaluate.sections import Cell, Headline, Section, Table, in_words
from mim.vocab import Task, maker_name

GOAL = (
    f"at most {MOST_LOST:g} AUC lost on a maker never seen, against the method's own and the best "
    f"in-domain AUC, and of every maker a share of exams selected within a factor {FACTOR:g} of the "
    "wanted one at every rate"
)


def maker_sections(
    found: MakerFigures, probes: Sequence[Probed], missing: Sequence[Missing], weighed: bool
) -> list[Section]:
    """Every part of the page, in its order.

    Args:
        found: every figure.
        probes: of the runs.
        missing: runs that are not there or could not be measured.
        weighed: whether exams count by the programme's prevalence.
    """
    judged = verdicts(found)
    sections = [
        _goal_section(found, judged),
        thresholds_section(found, weighed),
        each_maker_section(found),
        probe_section(found, probes),
        missing_section(missing),
    ]
    return [section for section in sections if section is not None]


def _goal_section(found: MakerFigures, judged: Sequence[Verdict]) -> Section:
    best = best_in_domain(found.figures)
    return Section(
        Task.CANCER,
        "Makers never seen",
        words=(
            "For each maker, runs that have seen all makers in training (in-domain) and runs from "
            "which every woman with an exam by this maker was left out (unseen) are measured on the "
            "same test exams of the maker. Figures are means over seeds and then over makers, each "
            "maker as much as any other. All share the draws of women, so every difference is "
            "paired. The intervals are of women alone: other seeds would give other figures, which "
            "the column by seed shows.",
            _looked_often(found),
            f"The highest in-domain AUC, by {best}, was found on these exams too, so a little of it is luck."
            if best is not None
            else "No method has a run that has seen all makers.",
            *_left_out_words(found),
        ),
        headlines=_headlines(found),
        figures=(),
        tables=[
            _goal_table(judged),
            _auc_table(found),
            _sensitivity_table(found),
        ],
        pictures=[auc_picture(found)],
        facts={"best_in_domain": best, "verdicts": [verdict.facts() for verdict in judged]},
        anchor="makers",
        summary=[_reached_words(judged), *(_method_words(v, found) for v in _told(judged, found))],
    )


def _looked_often(found: MakerFigures) -> str:
    tested = [f for f in found.figures if f.name == FROM_BASELINE]
    apart = sum(f.p_adjusted is not None and f.p_adjusted <= 0.05 for f in tested)
    several = len(found.methods)
    if several == 1:
        return "One method alone was looked at."
    return (
        f"{several} methods were looked at. The unseen AUCs of {len(tested)} less that of the first, "
        f"{found.methods[0]}, have p-values that are corrected together (Holm): {apart} are at most "
        "0.05. Intervals and verdicts are not corrected, and the best of many methods looks better "
        "than it is: measure it again on other exams."
    )


def _left_out_words(found: MakerFigures) -> list[str]:
    few = [maker_name(maker) for maker in found.makers if maker not in found.judged]
    if not few:
        return []
    return [
        f"Fewer than five women with a cancer, or without: {', '.join(few)}. Its figures stand for "
        "themselves and are in no mean and no verdict."
    ]


def _headlines(found: MakerFigures) -> list[Headline]:
    """The loss of the first method, and of the one that does best on unseen makers."""
    chosen = dict.fromkeys([found.methods[0], best_unseen(found) or found.methods[0]])
    lost = [found.of(f"auc_{DIFFERENCE}", method) for method in chosen]
    return [
        Headline(f"AUC on unseen makers less in-domain: {f.method}", "exams", Cell(f.estimate))
        for f in lost
        if f is not None
    ]


def best_unseen(found: MakerFigures) -> str | None:
    """The method with the highest mean AUC on makers that it has not seen."""
    figures = [found.of(f"auc_{UNSEEN}", method) for method in found.methods]
    there = {f.method: f.estimate.value for f in figures if f and f.estimate.value is not None}
    return max(there, key=lambda method: there[method], default=None)


def _told(judged: Sequence[Verdict], found: MakerFigures) -> list[Verdict]:
    """The verdicts that the first words tell: the first method's and the best's."""
    told = (found.methods[0], best_unseen(found))
    return [verdict for verdict in judged if verdict.method in told]


def _reached_words(judged: Sequence[Verdict]) -> str:
    reached = [verdict.method for verdict in judged if verdict.holds]
    by = f"by {', '.join(reached)}" if reached else "by no method"
    return f"The goal ({GOAL}) is reached {by}, as far as the figures go; the table tells how sure each is."


def _method_words(verdict: Verdict, found: MakerFigures) -> str:
    """One method in a sentence."""
    inside, unseen = (found.of(f"auc_{side}", verdict.method) for side in (IN_DOMAIN, UNSEEN))
    parts = [
        f"AUC {_said(inside)} in-domain and {_said(unseen)} on unseen makers",
        f"a difference of {in_words(verdict.own)}" if verdict.own else "no difference known",
    ]
    if verdict.worst is not None:
        parts.append(f"share selected at worst {_worst_words(verdict.worst)} times the wanted one")
    if verdict.control is not None:
        parts.append(f"in-domain at worst {_worst_words(verdict.control)}")
    return f"{verdict.method}: {'; '.join(parts)}."


def _said(figure: MakerFigure | None) -> str:
    return "unknown" if figure is None else in_words(figure.estimate)


def _worst_words(worst: Worst) -> str:
    place = f"{maker_name(worst.maker)} at {100 * worst.rate:.1f} %"
    return f"{in_words(worst.estimate, digits=2)}, {place},"


def _goal_table(judged: Sequence[Verdict]) -> Table:
    rows: list[tuple[str | Cell, ...]] = [
        (
            verdict.method,
            "yes" if verdict.holds else "no",
            cell(verdict.own),
            cell(verdict.best),
            str(verdict.loses_little),
            _worst_cell(verdict.worst),
            _worst_cell(verdict.control),
            str(verdict.selects_right),
        )
        for verdict in judged
    ]
    return Table(
        f"Is the goal reached? It is: {GOAL}. The maker farthest off is chosen for it, so it looks "
        "worse than it is; in-domain the same choice shows what chance alone does.",
        (
            *("Method", "Reached", "Unseen less own in-domain AUC", "less best in-domain"),
            *("Loses little", "Worst ratio, unseen", "Worst ratio, in-domain", "Selects right"),
        ),
        rows,
    )


def _auc_table(found: MakerFigures) -> Table:
    rows: list[tuple[str | Cell, ...]] = []
    for method in found.methods:
        baseline = found.of(FROM_BASELINE, method)
        rows.append(
            (
                method,
                *(
                    cell_of(found, f"auc_{side}", method)
                    for side in (IN_DOMAIN, UNSEEN, DIFFERENCE)
                ),
                _by_seed(found, f"auc_{UNSEEN}", method),
                _by_seed(found, f"auc_{DIFFERENCE}", method),
                cell_of(found, FROM_BASELINE, method),
                p_words(baseline.p_value if baseline else None),
                p_words(baseline.p_adjusted if baseline else None),
            )
        )
    return Table(
        "AUC by exam, mean over makers, with 95 % intervals.",
        (
            *("Method", "In-domain", "Unseen", "Difference", "Unseen by seed"),
            *("Difference by seed", f"Unseen {less('', found.methods[0]).strip()}", "p"),
            "p, corrected",
        ),
        rows,
    )


def _sensitivity_table(found: MakerFigures) -> Table:
    sides = (IN_DOMAIN, UNSEEN, DIFFERENCE)
    return Table(
        f"Sensitivity in % at {100 * SPECIFICITY:g} % specificity, mean over makers, with 95 % "
        "intervals. The threshold is that of each run's own scores among the maker's exams: a point "
        "of its ROC curve, which no programme knows beforehand.",
        ("Method", "In-domain", "Unseen", "Difference"),
        [
            (m, *(cell_of(found, f"sensitivity_{side}", m, scale=100, digits=1) for side in sides))
            for m in found.methods
        ],
    )


def _worst_cell(worst: Worst | None) -> str:
    if worst is None:
        return "-"
    where = f"{maker_name(worst.maker)}, {100 * worst.rate:.1f} %"
    return f"{in_words(worst.estimate, digits=2)}: {where}"


def _by_seed(found: MakerFigures, name: str, method: str) -> str:
    """Lowest and highest of the seeds' means over the same makers."""
    whole = found.of(name, method)
    figures = [found.of(name, method, seed=seed) for seed in found.seeds(method)]
    values = [
        f.estimate.value
        for f in figures
        if f and whole and f.estimate.value is not None and f.exams == whole.exams
    ]
    return f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else "-"
