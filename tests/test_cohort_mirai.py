"""Mirai's columns, read back as Mirai reads them: one number of years for each exam."""

import csv
from pathlib import Path

import polars as pl
import pytest

from mim.cohort.mirai import write_mirai
from mim.schemas.cohort import EXAMS, IMAGES
from mim.vocab import VIEW_SLOTS, Outcome, Split

NEG, SDC, LATER = Outcome.NEGATIVE, Outcome.SCREEN_DETECTED, Outcome.LATER
UNK, CENSORED, CANCER = Outcome.UNKNOWN, Outcome.CENSORED, Outcome.CANCER

Breast = tuple[Outcome, float | None, float | None]
"""Outcome, years to cancer, years followed."""

FREE: Breast = (NEG, None, 6.9)


def exam(name: str, left: Breast, right: Breast, split: Split = Split.TRAIN) -> dict[str, object]:
    row: dict[str, object] = {"exam": name, "woman": f"w-{name}", "split": split, "maker": "ge"}
    for side, breast in (("left", left), ("right", right)):
        names = (f"{side}_outcome", f"{side}_years_to_cancer", f"{side}_years_followed")
        row |= dict(zip(names, breast, strict=True))
    return row | {"priors": [], "months_before": [], "prior_makers": [], "joined_by": "exam"}


def written(rows: list[dict[str, object]], out: Path) -> tuple[int, list[dict[str, str]]]:
    images = [
        {
            "image": f"i-{row['exam']}-{side}-{view}",
            "exam": row["exam"],
            "laterality": side,
            "view": view,
            "maker": "ge",
        }
        for row in rows
        for side, view in VIEW_SLOTS
    ]
    tables = [pl.DataFrame(EXAMS.from_rows(rows)), pl.DataFrame(IMAGES.from_rows(images))]
    left_out = write_mirai(tables[0], tables[1], out / "mirai.csv")
    with (out / "mirai.csv").open(newline="") as lines:
        return left_out, list(csv.DictReader(lines))


@pytest.mark.parametrize(
    ("left", "right", "to_cancer", "to_followup"),
    [
        # 100 where none is known; whole years, rounded down.
        (FREE, FREE, "100", "6"),
        (FREE, (NEG, None, 3.0), "100", "3"),
        ((CENSORED, None, 0.4), (CENSORED, None, 0.4), "100", "0"),
        # The first cancer of either breast is the exam's.
        ((SDC, 0.1, 6.9), FREE, "0", "6"),
        (FREE, (LATER, 2.99, 6.9), "2", "6"),
        ((LATER, 4.0, 6.9), (SDC, 0.0, 6.9), "0", "6"),
        # A cancer shows that she was followed until then, and needs no other follow-up.
        ((LATER, 8.2, 6.9), FREE, "8", "8"),
        ((CANCER, 0.0, None), (NEG, None, None), "0", "0"),
    ],
)
def test_years_of_an_exam(
    left: Breast, right: Breast, to_cancer: str, to_followup: str, tmp_path: Path
) -> None:
    left_out, rows = written([exam("e", left, right)], tmp_path)
    found = {(row["years_to_cancer"], row["years_to_last_followup"]) for row in rows}
    assert (left_out, len(rows), found) == (0, 4, {(to_cancer, to_followup)})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (FREE, (UNK, None, None)),
        ((SDC, 0.1, 6.9), (UNK, None, 6.9)),
        ((SDC, None, 6.9), FREE),
        ((LATER, None, 6.9), FREE),
        ((CANCER, None, None), (SDC, 0.1, 6.9)),
        (FREE, (NEG, None, None)),
    ],
)
def test_exams_whose_years_are_unknown_are_left_out_and_counted(
    left: Breast, right: Breast, tmp_path: Path
) -> None:
    left_out, rows = written([exam("odd", left, right), exam("good", FREE, FREE)], tmp_path)
    assert (left_out, {row["exam_id"] for row in rows}) == (1, {"good"})


def test_columns_names_and_split_groups(tmp_path: Path) -> None:
    rows = [exam(split.value, FREE, FREE, split) for split in Split]
    left_out, found = written(rows, tmp_path)
    assert left_out == 1
    assert found[0] == {
        "patient_id": "w-test",
        "exam_id": "test",
        "laterality": "L",
        "view": "CC",
        "file_path": "i-test-L-CC",
        "years_to_cancer": "100",
        "years_to_last_followup": "6",
        "split_group": "test",
    }
    groups = {row["exam_id"]: row["split_group"] for row in found}
    assert groups == {"train": "train", "validation": "dev", "test": "test"}
    assert len({row["file_path"] for row in found}) == 12
