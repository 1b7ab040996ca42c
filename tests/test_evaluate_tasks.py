"""The figures of an epoch: their names, planted values, and what no row can give."""

import numpy as np
import pytest
from made_report import quality_table, tables

from mim.evaluate.tasks import LOWER_IS_BETTER, MAIN_METRIC, task_metrics
from mim.schemas.scores import OF_TASK, QUALITY_SCORES
from mim.vocab import Task

NAMES = {
    Task.CANCER: {"auc"},
    Task.RISK: {"c_index", "expected_over_observed"},
    Task.DENSITY: {
        *("kappa_linear", "kappa_quadratic", "auc", "auc_beyond_a", "auc_beyond_c"),
        "percent_error",
    },
    Task.QUALITY: {"nipple_mm", "pectoral_mm", "criteria_auc", "grade_kappa"},
}


def test_every_task_has_its_figures_and_one_that_chooses() -> None:
    found = {task: task_metrics(task, table) for task, table in tables("test", 1).items()}
    assert {task: set(figures) for task, figures in found.items()} == NAMES
    assert not any(np.isnan(value) for figures in found.values() for value in figures.values())
    logged = {f"{task}/{name}" for task, names in NAMES.items() for name in names}
    assert {*MAIN_METRIC.values(), *LOWER_IS_BETTER} <= logged


@pytest.mark.parametrize("task", Task)
def test_no_rows_give_no_figures(task: Task) -> None:
    found = task_metrics(task, OF_TASK[task].from_rows([]))
    assert set(found) == NAMES[task]
    assert all(np.isnan(value) for value in found.values())


def test_landmarks_are_off_by_what_was_planted() -> None:
    rows = [
        row
        | {f"{name}_x": row[f"known_{name}_x"] for name in ("nipple", "pectoral_upper")}
        | {f"{name}_y": row[f"known_{name}_y"] for name in ("nipple", "pectoral_upper")}
        for row in quality_table("test", 1, women=4).to_pylist()
    ]
    for row in rows:
        row["nipple_x"] += 20  # of 0.3 mm
        if row["view"] == "MLO":
            row["pectoral_upper_y"] += 10
            row["pectoral_lower_x"] = row["known_pectoral_lower_x"] + 30
            row["pectoral_lower_y"] = row["known_pectoral_lower_y"] + 40
    found = task_metrics(Task.QUALITY, QUALITY_SCORES.from_rows(rows))
    assert found["nipple_mm"] == pytest.approx(6)
    assert found["pectoral_mm"] == pytest.approx((3 + 15) / 2)
