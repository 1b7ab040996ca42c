"""The page of a sweep over makers left out: its verdicts, and areas by method."""

from collections.abc import Sequence

from mim.evaluate.differences import less, p_words
from mim.evaluate.makers_draws import SPECIFICITY
from mim.evaluate.makers_figures import DIFFERENCE, FROM_BASELINE, IN_DOMAIN, UNSEEN
from mim.evaluate.makers_goal import FACTOR, MOST_LOST, Judged, Verdict, Worst, verdicts
from mim.evaluate.makers_parts import (
    Probed,
    cell,
    cell_of,
    each_maker_section,
    missing_section,
    probe_section,
    thresholds_section,
)
from mim.evaluate.makers_picture import auc_picture, sensitivity_picture
from mim.evaluate.makers_table import MakerFigure, MakerFigures, Missing
from mim.evaluate.sections import Cell, Headline, Section, Table, in_words
from mim.vocab import Task, maker_name

GOAL = (
    f"at most {MOST_LOST:g} AUC lost on makers never seen, of the method's own in-domain AUC and of "
    f"the best one, and of every such maker {1 / FACTOR:.2f} to {FACTOR:g} times the exams selected "
    "that were wanted, at every rate"
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
    return Section(
        Task.CANCER,
        "Makers never seen",
        words=(
            "For each maker, runs that have seen all makers in training (in-domain) and runs from "
            "which every woman with an exam by this maker was left out (unseen) are measured on the "
            "same test exams of the maker. Figures are means over seeds and then over makers, each "
            "maker as much as any other. All share the draws of women, so every difference is "
            f"paired. The intervals are of women alone: {_seeds_words(found)}",
            *_looked_often(found),
            *_best_words(found),
            *_left_out_words(found),
        ),
        headlines=_headlines(found, judged),
        figures=(),
        tables=[_main_table(found, judged), _goal_table(judged), _auc_table(found)],
        pictures=[auc_picture(found), sensitivity_picture(found)],
        facts={
            "best_in_domain": found.best_in_domain,
            "verdicts": [verdict.facts() for verdict in judged],
        },
        anchor="makers",
        summary=[_goal_words(judged), *(_method_words(v, found) for v in _told(judged, found))],
    )


def _seeds_words(found: MakerFigures) -> str:
    if any(found.seeds(method) for method in found.methods):
        return "other seeds would give other figures, which the columns by seed show."
    return "another seed would give other figures, and every method here has one alone."


def _looked_often(found: MakerFigures) -> list[str]:
    tested = [f for f in found.figures if f.name == FROM_BASELINE]
    if not tested:
        return []
    apart = sum(f.p_adjusted is not None and f.p_adjusted <= 0.05 for f in tested)
    return [
        f"{len(found.methods)} methods were looked at. Each one's unseen AUC less that of the first, "
        f"{found.methods[0]}, has a p-value; these are corrected together (Holm): {apart} of "
        f"{len(tested)} are at most 0.05. Intervals and verdicts are not corrected, and the best of "
        "many methods looks better than it is: choose one by these exams, and measure it on others."
    ]


def _best_words(found: MakerFigures) -> list[str]:
    best = found.best_in_domain
    if best is None:
        return ["No method has a run that has seen all makers on a maker with enough cancers."]
    if len(found.methods) == 1:
        return []
    return [
        f"The best in-domain AUC, by {best}, was found on these exams too: a little of it is luck, "
        "which makes the loss from it look larger than it is."
    ]


def _left_out_words(found: MakerFigures) -> list[str]:
    said = []
    few = [maker_name(maker) for maker in found.makers if maker not in found.judged]
    if few:
        said.append(
            f"Fewer than five women with a cancer, or without: {', '.join(few)}. Its figures stand "
            "for themselves and are in no mean and no verdict."
        )
    for method in found.methods:
        whole = found.of(f"auc_{UNSEEN}", method)
        if whole is not None and 0 < len(whole.makers) < len(found.judged):
            names = ", ".join(map(maker_name, whole.makers))
            said.append(
                f"Means of {method} are over {names} alone, for want of runs: compare it with others "
                "maker by maker."
            )
    return said


def _headlines(found: MakerFigures, judged: Sequence[Verdict]) -> list[Headline]:
    """Of the first method, and of the one that does best on unseen makers: loss and worst ratio."""
    shown = []
    for verdict in _told(judged, found):
        if verdict.own is not None:
            title = f"AUC on unseen makers less in-domain: {verdict.method}"
            shown.append(Headline(title, "exams", Cell(verdict.own)))
        if verdict.worst is not None:
            title = f"Selected over wanted, worst unseen maker: {verdict.method}"
            shown.append(Headline(title, "exams", Cell(verdict.worst.estimate, digits=2)))
    return shown


def best_unseen(found: MakerFigures) -> str:
    """The method whose unseen AUC is highest, each held against the first method's on the same makers."""
    gained = {found.methods[0]: 0.0}
    for method in found.methods:
        figure = found.of(FROM_BASELINE, method)
        if figure is not None and figure.estimate.value is not None:
            gained[method] = figure.estimate.value
    return max(gained, key=lambda method: gained[method])


def _told(judged: Sequence[Verdict], found: MakerFigures) -> list[Verdict]:
    """The verdicts that the first words tell: the first method's and the best's."""
    told = (found.methods[0], best_unseen(found))
    return [verdict for verdict in judged if verdict.method in told]


def _goal_words(judged: Sequence[Verdict]) -> str:
    """Which methods reach the goal, which miss it, and of which the intervals leave it open."""
    outcomes = dict.fromkeys(judged.outcome for judged in Judged)
    by = {word: [v.method for v in judged if v.goal.outcome == word] for word in outcomes}
    by[Judged.REACHED.outcome] = by[Judged.REACHED.outcome] or ["none"]
    said = (f"{word.capitalize()}: {', '.join(names)}." for word, names in by.items() if names)
    return f"Is the goal reached? {' '.join(said)} It is {GOAL}."


def _method_words(verdict: Verdict, found: MakerFigures) -> str:
    """One method in a few short sentences."""
    inside, unseen = (found.of(f"auc_{side}", verdict.method) for side in (IN_DOMAIN, UNSEEN))
    said = (
        f"{verdict.method}: AUC {_said(inside)} in-domain and {_said(unseen)} on makers never seen"
    )
    if verdict.own is not None and verdict.own.value is not None:
        said += f", a difference of {in_words(verdict.own)}"
    said += "."
    if verdict.worst is not None:
        said += (
            f" At worst its thresholds select {_worst_words(verdict.worst)} of a maker never seen"
        )
        if verdict.control is not None:
            said += f"; of makers seen, {_worst_words(verdict.control)}"
        said += "."
    return said


def _said(figure: MakerFigure | None) -> str:
    return "unknown" if figure is None else in_words(figure.estimate)


def _worst_words(worst: Worst) -> str:
    return f"{in_words(worst.estimate, digits=2)} times the wanted share ({_where(worst)})"


def _where(worst: Worst) -> str:
    return f"{maker_name(worst.maker)} at {100 * worst.rate:.1f} %"


def _main_table(found: MakerFigures, judged: Sequence[Verdict]) -> Table:
    sides = (IN_DOMAIN, UNSEEN, DIFFERENCE)
    rows: list[tuple[str | Cell, ...]] = [
        (
            v.method,
            v.goal.outcome,
            *(cell_of(found, f"auc_{side}", v.method) for side in sides),
            *(
                cell_of(found, f"sensitivity_{side}", v.method, scale=100, digits=1)
                for side in sides
            ),
            *(cell(one.estimate if one else None, 2) for one in (v.worst, v.control)),
        )
        for v in judged
    ]
    return Table(
        f"Mean over makers, with 95 % intervals. Sensitivity in % at {100 * SPECIFICITY:g} % "
        "specificity, with the threshold of each run's own scores among the maker's exams: a point of "
        "its ROC curve, which no programme knows beforehand. Ratio: exams selected by thresholds "
        "fixed on validation exams of the makers seen, over those wanted, of the maker and rate "
        "farthest from 1.",
        (
            *("Method", "Goal", "AUC, in-domain", "AUC, unseen", "Difference"),
            *("Sens., in-domain", "Sens., unseen", "Difference"),
            *("Worst ratio, unseen", "Worst ratio, in-domain"),
        ),
        rows,
    )


def _goal_table(judged: Sequence[Verdict]) -> Table:
    rows: list[tuple[str | Cell, ...]] = [
        (
            verdict.method,
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
        f"The goal: {GOAL}. Reached: every interval lies within; missed: one lies wholly beyond; "
        "open: neither. The maker and rate farthest off are chosen for it, so they look worse than "
        "they are; in-domain the same choice shows what chance does.",
        (
            *("Method", "Unseen less own in-domain AUC", "less best in-domain", "Loses little"),
            *("Worst ratio, unseen", "Worst ratio, in-domain", "Selects right"),
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
                _by_seed(found, f"auc_{UNSEEN}", method),
                _by_seed(found, f"auc_{DIFFERENCE}", method),
                cell_of(found, FROM_BASELINE, method),
                p_words(baseline.p_value if baseline else None),
                p_words(baseline.p_adjusted if baseline else None),
            )
        )
    return Table(
        "AUC by exam, mean over makers: lowest to highest of the seeds', and the unseen AUC less that "
        "of the first method on the makers that both have.",
        (
            *("Method", "Unseen by seed", "Difference by seed"),
            *(f"Unseen {less('', found.methods[0]).strip()}", "p", "p, corrected"),
        ),
        rows,
    )


def _worst_cell(worst: Worst | None) -> str:
    return "-" if worst is None else f"{in_words(worst.estimate, digits=2)}, {_where(worst)}"


def _by_seed(found: MakerFigures, name: str, method: str) -> str:
    """Lowest and highest of the seeds' means over the same makers."""
    whole = found.of(name, method)
    figures = [found.of(name, method, seed=seed) for seed in found.seeds(method)]
    values = [
        f.estimate.value
        for f in figures
        if f and whole and f.estimate.value is not None and f.makers == whole.makers
    ]
    return f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else "-"
