"""Attrition: whether every image and exam is accounted for from step to step."""

import numpy as np
import polars as pl

from mim.audit.findings import Finding, found
from mim.audit.tables import Cohort
from mim.evaluate.attrition import Step
from mim.vocab import Reason

STAND_INS = {"synthetic_2d": Reason.SYNTHETIC_2D, "for_processing": Reason.FOR_PROCESSING}
"""What each setting of stand-ins lets in that the index left out."""


def count_findings(cohort: Cohort, most: int) -> list[Finding]:
    """Where the attrition table does not add up, or its tables do not hold what it counts."""
    faults = [fault for fault in _sums(cohort) if fault]
    # Images of an exam that stands twice are all at its first row.
    first = cohort.exams["exam"].is_first_distinct().to_numpy()
    without = cohort.exams["exam"].gather(np.flatnonzero(first & (cohort.views.sum(1) == 0)))
    orphans = cohort.images.filter(pl.col("row").is_null())["image"]
    return [
        *(Finding("attrition does not add up", 1, fault) for fault in faults),
        *found("exam without images", without, most),
        *found("image of no exam", orphans, most),
    ]


def _sums(cohort: Cohort) -> list[str]:
    """A sentence for each pair of numbers that should be equal and is not."""
    steps = {(step.step, step.unit): step for step in cohort.steps}
    index, images = steps.get(("index", "images")), steps.get(("cohort", "images"))
    exams = steps.get(("cohort", "exams"))
    if index is None or images is None or exams is None:
        return ["The attrition table lacks the index's images, or the cohort's images or exams."]
    given = index.kept + _stand_ins(index, cohort.settings["stand_ins"])
    return [
        _differ("The index hands on", given, "the cohort accounts for", images.total, "images"),
        _differ("The cohort kept", images.kept, "its table has", cohort.images.height, "images"),
        _differ("The cohort kept", exams.kept, "its table has", cohort.exams.height, "exams"),
    ]


def _stand_ins(index: Step, accepted: dict[str, bool]) -> int:
    reasons = {reason for name, reason in STAND_INS.items() if accepted[name]}
    return sum(count for reason, count in index.left_out if reason in reasons)


def _differ(first: str, one: int, second: str, other: int, unit: str) -> str:
    return "" if one == other else f"{first} {one:,} {unit}, {second} {other:,}."
