"""The attrition table as the report shows it: what went in, what was left out, what went on."""

from dataclasses import dataclass

import pyarrow as pa

from mim.errors import InputError
from mim.evaluate.sample import Sample
from mim.schemas.cohort import ATTRITION, KEPT


@dataclass(frozen=True)
class Step:
    """One step and unit: ``total`` is ``kept`` and all of ``left_out`` together."""

    step: str
    unit: str
    total: int
    left_out: tuple[tuple[str, int], ...]
    kept: int
    remark: str = ""

    def rows(self) -> list[dict[str, object]]:
        """As rows of a table: what was left out and why, then what was kept."""
        counts = [*self.left_out, (KEPT, self.kept)]
        return [
            {"step": self.step, "unit": self.unit, "reason": reason, "count": count}
            for reason, count in counts
        ]


def steps(attrition: pa.Table | None, sample: Sample | None, split: str) -> list[Step]:
    """Steps in the order of the table, then the evaluation's own of what cancer scores rest on.

    A remark says so where a step starts from another number than its forerunner kept.

    Raises:
        InputError: a column of the attrition table is missing.
    """
    found = {} if attrition is None else _counts(attrition)
    for rows in (sample.breasts, sample.exams) if sample else ():
        if rows is not None:
            unknown = int((~rows.known).sum())
            found[f"evaluate, {split} only", rows.unit] = {
                "no score": rows.unscored,
                "label unknown": unknown,
                KEPT: len(rows.score) - unknown,
            }
    return _steps(found)


def table_steps(attrition: pa.Table) -> list[Step]:
    """The steps of an attrition table alone, in its order (``InputError`` as in ``steps``)."""
    return _steps(_counts(attrition))


def _counts(attrition: pa.Table) -> dict[tuple[str, str], dict[str, int]]:
    """Counts by reason of each step and unit."""
    names = [column.name for column in ATTRITION.columns]
    if missing := [name for name in names if name not in attrition.column_names]:
        raise InputError(f"attrition: column '{missing[0]}' is missing; run the steps again")
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in attrition.select(names).to_pylist():
        reasons = found.setdefault((row["step"], row["unit"]), {})
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["count"]
    return found


def _steps(found: dict[tuple[str, str], dict[str, int]]) -> list[Step]:
    made: list[Step] = []
    for (step, unit), reasons in found.items():
        kept_before = [earlier.kept for earlier in made if earlier.unit == unit]
        made.append(_step(step, unit, reasons, kept_before[-1] if kept_before else None))
    return made


def _step(step: str, unit: str, reasons: dict[str, int], kept_before: int | None) -> Step:
    total = sum(reasons.values())
    left_out = sorted(
        ((reason, count) for reason, count in reasons.items() if reason != KEPT and count),
        key=lambda pair: (-pair[1], pair[0]),
    )
    remark = ""
    if kept_before is not None and kept_before != total:
        remark = f"the step before kept {kept_before}"
    return Step(step, unit, total, tuple(left_out), reasons.get(KEPT, 0), remark)
