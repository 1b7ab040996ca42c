"""docs/metrics.md defines the figures that a report can hold: all of them, and no others."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from made_programme import programme
from made_report import report, score_table, scored, tables
from made_sweep import MAKERS, loses, made_sample
from test_evaluate_localisation import planted

from mim.evaluate.comparison_section import comparison_section
from mim.evaluate.figures import FIGURES, Figure
from mim.evaluate.localisation import localisation_figures
from mim.evaluate.makers_draws import draw_makers
from mim.evaluate.makers_figures import MakerExams, maker_figures
from mim.evaluate.makers_table import MAKERS as TABLE
from mim.evaluate.makers_table import MISSING_RUN
from mim.evaluate.measured import by_score, measure
from mim.evaluate.reader_section import reader_section
from mim.evaluate.rule_out_section import rule_out_section
from mim.evaluate.settings import EvaluateSettings, RuleOutSettings
from mim.evaluate.tasks import task_metrics
from mim.vocab import Task

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
QUICK = EvaluateSettings(resamples=4)

Rows = dict[str, list[str]]
"""First cells of tables by the head of their first column."""


def tables_of(lines: Iterable[str]) -> Rows:
    """Every table of some lines of Markdown."""
    found: Rows = defaultdict(list)
    rest = iter(lines)
    for line in rest:
        if line.startswith("|"):
            head = line.split("|")[1].strip()
            rows = [row.split("|")[1] for row in takewhile(lambda row: row.startswith("|"), rest)]
            found[head] += rows[1:]
    return found


def parts() -> dict[str, Rows]:
    """Tables of each chapter of the page, by its heading."""
    chapters = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {chapter.split("\n")[0]: tables_of(chapter.split("\n")[1:]) for chapter in chapters[1:]}


def named(cells: Iterable[str]) -> set[str]:
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    """Those of a report on all tasks, of two models beside readers, of marks, and of rule-out."""
    folder = tmp_path_factory.mktemp("figures")
    found = [*report(tables("test", 1), folder / "report", None, resamples=4).figures]
    measured = measure(programme(), {}, QUICK)
    found += measured.figures()
    both = scored([score_table("test", 1), score_table("validation", 2)], folder)
    rule_out = rule_out_section(
        next(iter(both["validation"].values())),
        both["sample"].exams,
        RuleOutSettings(missed_at_most=0.5),
        QUICK.prevalence,
        QUICK.bootstrap(),
    )
    for section in (
        comparison_section(measured, QUICK),
        reader_section(measured, QUICK),
        rule_out,
    ):
        assert section is not None
        found += section.figures
    return [*found, *localisation_figures(planted().located(), "A", QUICK.bootstrap())]


@pytest.mark.parametrize("task", Task)
def test_every_figure_of_a_task_is_defined_and_no_other(task: Task, figures: list[Figure]) -> None:
    made = {figure.name for figure in figures if figure.task is task}
    logged = set(task_metrics(task, tables("test", 1)[task]))
    defined = named(parts()[str(task).capitalize()]["figure"])
    assert made | logged == defined


def test_figures_marked_with_a_star_are_those_logged() -> None:
    for task, table in tables("test", 1).items():
        cells = " ".join(parts()[str(task).capitalize()]["figure"])
        assert set(re.findall(r"`([^`]+)` \*", cells)) == set(task_metrics(task, table))


def test_every_rule_of_selection_is_explained_and_no_other(figures: list[Figure]) -> None:
    rules = {figure.rule for figure in figures if figure.rule is not None}
    coarse = programme(60, models={"ten": lambda visible, _: np.round(visible)})
    rules |= {
        selection.rule
        for selection in by_score(coarse.exams, "ten", np.ones(len(coarse.exams.score)))
    }
    made = {
        re.sub(r"^score \S+ or more of .*", "score k or more of M", named_rule)
        for named_rule in (re.sub(r"^(rate|\w+ity) of .*", r"\1 of R", rule) for rule in rules)
    }
    assert made == named(parts()["Cancer"]["rule"])


def test_every_column_is_explained_and_no_other() -> None:
    [columns] = [found["column"] for found in parts().values() if "column" in found]
    assert named(columns) == {column.name for column in FIGURES.columns}


def test_every_figure_and_column_of_a_sweep_is_defined_and_no_other() -> None:
    exams, runs = made_sample(60, loses(1.0), ("plain", "better"))
    draws = draw_makers(exams, runs, MAKERS, QUICK.prevalence, QUICK.bootstrap())
    found = maker_figures(MakerExams(exams, MAKERS), runs, draws, {}).figures
    tables = parts()["Makers left out"]
    assert named(tables["figure of a sweep"]) == {one.name for one in found} | {MISSING_RUN}
    assert named(tables["column of makers.csv"]) == {column.name for column in TABLE.columns}


def test_names_are_read_from_the_first_cells_of_a_table() -> None:
    cells = tables_of(["| figure | a |", "|---|---|", "| `auc` *, `kappa` (log: `x`) | b |", "end"])
    assert named(cells["figure"]) == {"auc", "kappa", "x"}
