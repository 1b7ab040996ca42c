"""Outcomes: one row for each meaning of the decision table, and a slow second opinion."""

from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.labels import label_exams
from mim.cohort.registry import Registry, read_registry
from mim.cohort.settings import OutcomeSettings
from mim.vocab import Outcome

DAY = date(2000, 1, 1)
SDC, IC, NEG, UNK = Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.NEGATIVE, Outcome.UNKNOWN


def after(days: int) -> date:
    return DAY + timedelta(days=days)


def registry_of(
    exams: dict[int, bool | None],
    cancers: list[tuple[str, int]],
    followup: int | None,
    decided: bool = True,
) -> Registry:
    """One woman: exams by day with recall (None: no decision), cancers by side and day."""
    recalls = {day: recall for day, recall in exams.items() if recall is not None}
    tables: dict[str, list[tuple[object, ...]]] = {
        "exams": [(f"E{day}", "W", after(day)) for day in exams],
        "cancers": [("W", after(day), side) for side, day in cancers],
        "women": [("W", None if followup is None else after(followup))],
        "decisions": [(f"E{day}", recall, recall) for day, recall in recalls.items() if decided],
    }
    columns = {
        "exams": "exam_id,woman_id,exam_date",
        "cancers": "woman_id,diagnosis_date,breast",
        "women": "woman_id,followup_end",
        "decisions": "exam_id,consensus,recalled",
    }
    with TemporaryDirectory() as folder:
        for name, rows in tables.items():
            lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
            Path(folder, f"{name}.csv").write_text("\n".join([columns[name], *lines]) + "\n")
        return read_registry(Path(folder))


def outcomes(registry: Registry) -> dict[str, tuple[str, str]]:
    labels = label_exams(registry, OutcomeSettings(screen_detected_days=183, interval_days=731))
    return {
        row["exam_id"]: (row["left_outcome"], row["right_outcome"])
        for row in labels.iter_rows(named=True)
    }


LONG = 5000
L, R = "L", "R"


@pytest.mark.parametrize(
    ("exams", "cancers", "followup", "expected"),
    [
        # Screen-detected: recalled, and diagnosed on day 0 to 183.
        ({0: True}, [(L, 0)], LONG, (SDC, NEG)),
        ({0: True}, [(L, 183)], LONG, (SDC, NEG)),
        ({0: True}, [(R, 183)], LONG, (NEG, SDC)),
        ({0: True}, [(L, 184)], LONG, (IC, NEG)),
        # Not recalled: an interval cancer, however soon.
        ({0: False}, [(L, 20)], LONG, (IC, NEG)),
        # No decision known: the window alone decides.
        ({0: None}, [(L, 183)], LONG, (SDC, NEG)),
        ({0: None}, [(L, 184)], LONG, (IC, NEG)),
        # The interval's last day, and the day after.
        ({0: False}, [(L, 731)], LONG, (IC, NEG)),
        ({0: False}, [(L, 732)], LONG, (NEG, NEG)),
        # Found at the next round, or missed there: the next exam takes the cancer over.
        ({0: False, 700: True}, [(L, 710)], LONG, (UNK, NEG)),
        ({0: False, 700: False}, [(L, 710)], LONG, (UNK, NEG)),
        ({0: False, 700: True}, [(L, 700)], LONG, (UNK, NEG)),
        ({0: False, 701: True}, [(L, 700)], LONG, (IC, NEG)),
        ({0: False, 730: True}, [(L, 740)], LONG, (NEG, NEG)),
        # Recalled twice within the window: both exams led to the same diagnosis.
        ({0: True, 10: True}, [(L, 40)], LONG, (SDC, NEG)),
        # Recalled without cancer.
        ({0: True}, [], LONG, (NEG, NEG)),
        # Negative needs follow-up to the interval's last day.
        ({0: False}, [], 731, (NEG, NEG)),
        ({0: False}, [], 730, (UNK, UNK)),
        # A later exam is follow-up, whatever the follow-up date says; nothing known counts none.
        ({0: False, 731: False}, [], 100, (NEG, NEG)),
        ({0: False, 730: False}, [], 100, (UNK, UNK)),
        ({0: False}, [], None, (UNK, UNK)),
        # So is a later diagnosis.
        ({0: False}, [(L, 732)], 100, (NEG, NEG)),
        # The other breast is followed on after the diagnosis, and may have its own cancer.
        ({0: True}, [(L, 20)], 730, (SDC, UNK)),
        ({0: True}, [(L, 20)], 731, (SDC, NEG)),
        ({0: True}, [(L, 20), (R, 30)], LONG, (SDC, SDC)),
        ({0: True}, [(L, 20), (R, 500)], LONG, (SDC, IC)),
        # Only the first cancer of a breast counts.
        ({0: True}, [(L, 20), (L, 900)], LONG, (SDC, NEG)),
        # After a diagnosis in either breast nothing is said any more.
        ({0: False}, [(L, -1)], LONG, (UNK, UNK)),
        ({0: False}, [(R, -1000), (L, 20)], LONG, (UNK, UNK)),
    ],
)
def test_decision_table(
    exams: dict[int, bool | None],
    cancers: list[tuple[str, int]],
    followup: int | None,
    expected: tuple[Outcome, Outcome],
) -> None:
    assert outcomes(registry_of(exams, cancers, followup))["E0"] == expected


def test_cancer_is_true_false_or_missing() -> None:
    registry = registry_of({0: True, 3000: False, 9000: False}, [(L, 3100)], 9100)
    labels = label_exams(registry, OutcomeSettings()).sort("exam_id")
    assert labels["exam_id"].to_list() == ["E0", "E3000", "E9000"]
    assert labels["left_cancer"].to_list() == [False, True, None]
    assert labels["right_cancer"].to_list() == [False, False, None]
    assert labels["after_diagnosis"].to_list() == [False, False, True]
    assert labels["recalled"].to_list() == [True, False, False]


def test_exam_on_the_day_of_diagnosis_is_not_after_it() -> None:
    labels = label_exams(registry_of({0: True}, [(L, 0)], LONG), OutcomeSettings())
    assert labels["after_diagnosis"].to_list() == [False]


def test_without_followup_dates_the_last_day_of_the_registry_counts() -> None:
    registry = registry_of({0: False}, [], None)
    stranger = registry.cancers.clear().vstack(
        pl.DataFrame(
            {"woman_id": ["X"], "diagnosis_date": [after(731)], "breast": ["L"]},
        ).with_columns(invasive=pl.lit(None, pl.Boolean), size_mm=pl.lit(None, pl.Float64))
    )
    registry.cancers = stranger
    assert outcomes(registry)["E0"] == (NEG, NEG)


def slow_outcome(
    day: int, side: str, exams: dict[int, bool | None], cancers: list[tuple[str, int]], end: int
) -> Outcome:
    """The decision table once more, in plain loops."""
    if any(found < day for _, found in cancers):
        return UNK
    hers = sorted(found - day for breast, found in cancers if breast == side)
    if hers and hers[0] <= 183 and exams[day] is not False:
        return SDC
    if hers and hers[0] <= 731:
        return UNK if any(day < later <= day + hers[0] for later in exams) else IC
    end = max([end, *exams, *(found for _, found in cancers)])
    return NEG if end - day >= 731 else UNK


DAYS = st.integers(0, 2200)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(DAYS, st.sampled_from([True, False, None]), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from("LR"), DAYS), max_size=3, unique=True),
    DAYS,
)
def test_same_as_plain_loops(
    exams: dict[int, bool | None], cancers: list[tuple[str, int]], followup: int
) -> None:
    expected = {
        f"E{day}": tuple(slow_outcome(day, side, exams, cancers, followup) for side in "LR")
        for day in exams
    }
    assert outcomes(registry_of(exams, cancers, followup)) == expected
