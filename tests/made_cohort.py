"""A small cohort without faults, written through the schemas, for tests to put faults into."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from mim.cohort.settings import CohortSettings
from mim.schemas.cohort import ATTRITION, EXAMS, IMAGES
from mim.schemas.table import write_json, write_table
from mim.vocab import VIEW_SLOTS

Row = dict[str, Any]
MAKERS = ("siemens", "hologic", "ge")
SPLITS = ("train", "train", "validation", "test")
DAYS = 730


@dataclass
class MadeCohort:
    """Rows of a cohort's tables, and the settings it was made with."""

    exams: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    settings: Row = field(default_factory=lambda: asdict(CohortSettings()))
    registry_end: str | None = None
    attrition: list[Row] | None = None
    """Missing: one that fits the rows."""

    def exam(self, name: str) -> Row:
        """The row of an exam, to be changed."""
        return next(row for row in self.exams if row["exam"] == name)

    def write(self, folder: Path) -> Path:
        """Write the cohort's four files."""
        write_table(EXAMS.from_rows(self.exams), folder / "exams.parquet")
        write_table(IMAGES.from_rows(self.images), folder / "images.parquet")
        rows = fitting(self) if self.attrition is None else self.attrition
        write_table(ATTRITION.from_rows(rows), folder / "attrition.parquet")
        about = {"mim": "0", "index": "index", "note": "made up", "settings": self.settings}
        about["registry_end"] = self.registry_end
        write_json(folder / "cohort.json", about)
        return folder


def fitting(made: MadeCohort) -> list[Row]:
    """An attrition table that says what the rows say."""
    images, exams = len(made.images), len(made.exams)
    counts = (
        ("index", "images", "kept", images + 2),
        ("index", "images", "spot", 1),
        ("cohort", "exams", "kept", exams),
        ("cohort", "exams", "no image", 3),
        ("cohort", "images", "kept", images),
        ("cohort", "images", "repeated view", 2),
    )
    return [dict(zip(("step", "unit", "reason", "count"), row, strict=True)) for row in counts]


def exam_row(exam: str, woman: str, day: date | None, **changes: Any) -> Row:
    """An exam without cancer and without priors."""
    return {
        "exam": exam,
        "woman": woman,
        "exam_date": day,
        "split": "train",
        "maker": "siemens",
        "site": "North",
        "age_years": 60,
        "left_cancer": False,
        "right_cancer": False,
        "left_outcome": "negative",
        "right_outcome": "negative",
        "left_years_followed": 4.0,
        "right_years_followed": 4.0,
        "priors": [],
        "months_before": [],
        "prior_makers": [],
        "joined_by": "study uid",
    } | changes


def image_rows(exam: Row) -> list[Row]:
    """Its four views."""
    return [
        {
            "image": f"{exam['exam']}-{side}-{view}",
            "exam": exam["exam"],
            "laterality": side,
            "view": view,
            "maker": exam["maker"],
        }
        for side, view in VIEW_SLOTS
    ]


def made_cohort(women: int = 24) -> MadeCohort:
    """Women with two exams each, ``w0a`` two years before ``w0b``; every second has a cancer.

    Women go to train, train, validation, test in turn, and makers change within each.
    """
    made = MadeCohort()
    made.settings["splits"] |= {"validation": 0.25, "test": 0.25}
    for number in range(women):
        turn = number // len(SPLITS)
        sick = turn % 2 == 1
        same = {
            "woman": f"w{number}",
            "split": SPLITS[number % len(SPLITS)],
            "site": ("North", "South")[turn // 2 % 2],
        }
        day = date(2015, 1, 1) + timedelta(days=number)
        earlier, later = MAKERS[number % 3], MAKERS[turn % 3]
        before = exam_row(f"w{number}a", day=day, **same, maker=earlier)
        exam = exam_row(f"w{number}b", day=day + timedelta(days=DAYS), **same, maker=later)
        exam |= {
            "priors": [before["exam"]],
            "months_before": [DAYS / 30.4375],
            "prior_makers": [earlier],
        }
        if sick:
            before |= {"left_outcome": "later cancer", "left_years_to_cancer": (DAYS + 9) / 365.25}
            exam |= {"left_outcome": "screen-detected cancer", "left_cancer": True}
            exam |= {"left_years_to_cancer": 9 / 365.25}
        made.exams += [before, exam]
        made.images += [*image_rows(before), *image_rows(exam)]
    return made


def with_fault(fault: Callable[[MadeCohort], object]) -> MadeCohort:
    """The cohort with a fault put in."""
    made = made_cohort()
    fault(made)
    return made


def audited(made: MadeCohort, folder: Path) -> tuple[int, list[Row]]:
    """Problems counted by an audit, and its findings."""
    from mim.audit.audit import audit_cohort
    from mim.audit.settings import AuditSettings

    made.write(folder / "cohort")
    problems = audit_cohort(folder / "cohort", None, folder / "audit", AuditSettings())
    findings: list[Row] = json.loads((folder / "audit" / "audit.json").read_text())["findings"]
    return problems, findings
