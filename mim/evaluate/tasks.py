"""A few figures of each task from its score table, quick enough for every epoch of training.

The report gives the same figures with intervals. ``docs/metrics.md`` defines them.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mim.evaluate.agreement import Weighting, kappa
from mim.evaluate.bootstrap import Bools, Floats, Statistic
from mim.evaluate.density import CLASSES, CUTS, densities
from mim.evaluate.metrics import auc
from mim.evaluate.quality import GRADES, positioned
from mim.evaluate.risk import risks
from mim.evaluate.scored import breasts, checked
from mim.evaluate.survival import concordance, expected_over_observed
from mim.vocab import Task

MAIN_METRIC = {
    Task.CANCER: "cancer/auc",
    Task.RISK: "risk/c_index",
    Task.DENSITY: "density/kappa_linear",
    Task.QUALITY: "quality/nipple_mm",
}
"""What best tells a model of each task from a better one."""

LOWER_IS_BETTER = frozenset({"density/percent_error", "quality/nipple_mm", "quality/pectoral_mm"})
"""Figures that shrink as a model gets better."""

CHOOSES_NOTHING = frozenset({"risk/expected_over_observed"})
"""Figures by which no epoch is the best: this one is best at 1."""


def task_metrics(task: Task, table: pa.Table) -> dict[str, float]:
    """The figures of a task, by name without the task; NaN where one is not defined.

    Args:
        task: the task.
        table: its scores, by ``mim.schemas.scores.OF_TASK``.
    """
    return OF_TASK[task](table)


def _cancer(table: pa.Table) -> dict[str, float]:
    if not len(table):
        return {"auc": np.nan}
    found = breasts(checked(table))
    return {"auc": auc(found.score[found.known], found.cancer[found.known])}


def _risk(table: pa.Table) -> dict[str, float]:
    found, _ = risks(table)
    ratios = expected_over_observed(found.risk, found.followed)(np.ones(len(found.woman)))
    defined = ratios[~np.isnan(ratios)]
    return {
        "c_index": _value(concordance(found.last, found.followed), len(found.woman)),
        # Of the last year that follow-up reaches.
        "expected_over_observed": float(defined[-1]) if len(defined) else np.nan,
    }


def _density(table: pa.Table) -> dict[str, float]:
    found = densities(table)
    graded = found.graded()
    kappas = {
        f"kappa_{way}": _value(
            kappa(graded.said, graded.known, len(CLASSES), way), len(graded.known)
        )
        for way in Weighting
    }
    cuts = {name: auc(graded.beyond(cut), graded.known >= cut) for name, cut in CUTS.items()}
    return kappas | cuts | {"percent_error": _mean(np.abs(found.percent - found.percent_known))}


def _quality(table: pa.Table) -> dict[str, float]:
    found = positioned(table)
    off = found.off_mm()
    graded = (found.grade >= 0) & (found.known_grade >= 0)
    agreed = kappa(found.grade[graded], found.known_grade[graded], len(GRADES), Weighting.QUADRATIC)
    areas = [
        auc(said[~np.isnan(truth)], truth[~np.isnan(truth)] == 1)
        for said, truth in zip(found.criteria.T, found.known_criteria.T, strict=True)
    ]
    return {
        "nipple_mm": _median(off[:, 0]),
        "pectoral_mm": _median(off[:, 1:]),
        "criteria_auc": _mean(np.array(areas)),
        "grade_kappa": _value(agreed, int(graded.sum())),
    }


OF_TASK: dict[Task, Callable[[pa.Table], dict[str, float]]] = {
    Task.CANCER: _cancer,
    Task.RISK: _risk,
    Task.DENSITY: _density,
    Task.QUALITY: _quality,
}


def _value(statistic: Statistic, rows: int) -> float:
    return float(statistic(np.ones(rows))[0])


def _known(values: Floats) -> Floats:
    known: Bools = ~np.isnan(values)
    return values[known]


def _mean(values: Floats) -> float:
    return float(_known(values).mean()) if len(_known(values)) else np.nan


def _median(values: Floats) -> float:
    return float(np.median(_known(values))) if len(_known(values)) else np.nan
