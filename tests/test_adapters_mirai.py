"""A table of Mirai's columns as registry tables and overrides."""

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from made_collections import FOUR, put, put_image, rows_of, table, to_cohort

from mim.adapters.adapt import read_dataset
from mim.adapters.adapted import Adapted
from mim.adapters.settings import Dataset
from mim.cohort.mirai import write_mirai
from mim.errors import InputError

HEADER = "patient_id,exam_id,laterality,view,file_path,years_to_cancer,years_to_last_followup,split_group"


def exam(
    woman: str, name: str, years: dict[str, str], followed: str = "5", split: str = "train"
) -> list[str]:
    return [
        f"{woman},{name},{side},{view},{woman}/{name}{side}{view}.dcm,{years[side]},{followed},{split}"
        for side, view in FOUR
    ]


def both(years: str) -> dict[str, str]:
    return {"L": years, "R": years}


def lay(folder: Path, *rows: str, header: str = HEADER, **kwargs: bool | str) -> None:
    put(folder / "metadata.csv", table(header, *rows, **kwargs))
    for number, row in enumerate(rows):
        put_image(folder / row.split(",")[4], number, ImageLaterality=None, ViewPosition=None)


def adapt(folder: Path, *rows: str, header: str = HEADER, **kwargs: bool | str) -> Adapted:
    lay(folder, *rows, header=header, **kwargs)
    return read_dataset(Dataset.mirai, folder, folder / "out")


EXAMS = [
    # years to cancer and of follow-up, outcome, years to cancer and followed in the registry
    ("100", "5", "negative", None, 5.0),
    ("100", "2", "negative", None, 2.0),
    ("100", "1", "censored", None, 1.0),
    ("100", "", "censored", None, None),
    ("100", "150", "negative", None, 99.0),
    ("0", "3", "unknown", None, None),
    ("3", "3", "unknown", None, None),
    ("", "3", "unknown", None, None),
    ("-1", "3", "unknown", None, None),
]


@pytest.mark.parametrize(("years", "followed", "outcome", "to_cancer", "until"), EXAMS)
def test_years_of_the_exam_tell_no_breast_of_a_cancer(
    tmp_path: Path,
    years: str,
    followed: str,
    outcome: str,
    to_cancer: float | None,
    until: float | None,
) -> None:
    adapted = adapt(tmp_path, *exam("7", "1", both(years), followed))
    found = adapted.tables["outcomes"]
    assert rows_of(found, "breast", "outcome", "years_to_cancer", "years_followed") == [
        (side, outcome, to_cancer, until) for side in "LR"
    ]
    assert any("whose breast the table does not tell" in words for words in adapted.notices) == (
        years in ("0", "3")
    )


def test_years_that_differ_by_laterality_are_of_each_breast(tmp_path: Path) -> None:
    rows = [
        *exam("7", "1", {"L": "0", "R": "100"}),
        *exam("7", "2", {"L": "100", "R": "4"}),
        # Most exams with cancer differ, so the table is by breast, and this one has two cancers.
        *exam("8", "1", both("1")),
    ]
    found = adapt(tmp_path, *rows).tables["outcomes"]
    assert rows_of(found, "exam_id", "breast", "outcome", "years_to_cancer") == [
        ("7 1", "L", "cancer", 0.0),
        ("7 1", "R", "negative", None),
        ("7 2", "L", "negative", None),
        ("7 2", "R", "later cancer", 4.0),
        ("8 1", "L", "later cancer", 1.0),
        ("8 1", "R", "later cancer", 1.0),
    ]


def test_one_exam_that_differs_does_not_make_cancers_of_both_breasts(tmp_path: Path) -> None:
    rows = [row for name in "123" for row in exam("8", name, both("0"))]
    adapted = adapt(tmp_path, *exam("7", "1", {"L": "0", "R": "100"}), *rows)
    assert rows_of(adapted.tables["outcomes"], "outcome")[:2] == [("cancer",), ("negative",)]
    assert adapted.tables["outcomes"].filter(outcome=pl.lit("unknown")).height == 6


def test_of_two_ends_of_follow_up_the_earlier_counts(tmp_path: Path) -> None:
    rows = [*exam("7", "1", both("100"), "5")[:2], *exam("7", "1", both("100"), "1")[2:]]
    found = adapt(tmp_path, *rows).tables["outcomes"]
    assert rows_of(found, "outcome", "years_followed") == [("censored", 1.0)] * 2


def test_the_table_becomes_a_cohort(tmp_path: Path) -> None:
    rows = [
        *exam("007", "1", {"L": "0", "R": "100"}, split="train"),
        *exam("7", "1", both("100"), split="dev"),
        *exam("8", "1", both("100"), split="test"),
    ]
    lay(tmp_path / "mirai", *rows, end="\r\n", bom=True)
    adapted, exams = to_cohort(Dataset.mirai, tmp_path / "mirai", tmp_path / "out")
    assert adapted.notices == []
    assert rows_of(exams, "left_outcome", "left_cancer", "right_cancer", "exam_date") == [
        ("cancer", True, False, None),
        ("negative", False, False, None),
        ("negative", False, False, None),
    ]
    assert exams["woman"].n_unique() == 3
    images = pl.read_parquet(tmp_path / "out" / "cohort" / "images.parquet")
    assert images.height == 12
    assert rows_of(adapted.tables["exams"], "exam_id", "given_split") == [
        ("007 1", "train"),
        ("7 1", "validation"),
        ("8 1", "test"),
    ]


def test_png_pictures_become_dicom_files(tmp_path: Path) -> None:
    rows = [row.replace(".dcm", ".png") for row in exam("7", "a/b", both("100"))]
    folder = tmp_path / "mirai"
    # One is named by its absolute path, one is no picture.
    put(folder / "metadata.csv", table(HEADER, rows[0].replace("7/", f"{folder}/7/"), *rows[1:]))
    pixels = np.random.default_rng(4).integers(0, 65536, (16, 12), np.uint16)
    for row in rows[:3]:
        put(folder / row.split(",")[4], cv2.imencode(".png", pixels)[1].tobytes())
    put(folder / rows[3].split(",")[4], b"no picture")
    adapted, exams = to_cohort(Dataset.mirai, folder, tmp_path / "out")
    assert adapted.notices == ["1 pictures are left out: no PGM, PNG or TIFF, or cut short"]
    assert exams.height == 1
    assert adapted.overrides.height == 3
    images = pl.read_parquet(tmp_path / "out" / "cohort" / "images.parquet")
    assert rows_of(images, "laterality", "view") == list(FOUR[:3])


def test_what_is_odd_is_told_with_counts(tmp_path: Path) -> None:
    rows = exam("7", "1", both("100"))
    rows += [*rows[:1], *exam("7", "2", both("100"), split="test")]
    rows += ["8,1,,CC,8.dcm,100,5,odd", "9,1,R,cc,gone.dcm,100,5,Train"]
    rows += ["8,1,L,CC,9.dcm,100,5,train", "8,1,L,MLO,10.dcm,3,5,train"]
    header = f"{HEADER},spot_mag,desc,density"
    rows = [f"{row},{int('10.dcm' in row)},x,2" for row in rows]
    lay(tmp_path, *rows, header=header)
    (tmp_path / "gone.dcm").unlink()
    assert read_dataset(Dataset.mirai, tmp_path, tmp_path / "out").notices == [
        "columns that are not used: density",
        "1 rows of metadata.csv repeat another and are left out",
        "2 breasts have no years_to_cancer, or several; their outcomes are unknown",
        "1 women are in several parts of split_group",
        "1 rows are in no part that is known (train, dev, test)",
        "1 rows name no side and count for no breast",
        "1 rows are special views (spot_mag) and count as of unknown view",
        "1 of the 12 images in metadata.csv are not there",
    ]


def test_a_folder_without_the_table_or_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 tables of Mirai's columns"):
        read_dataset(Dataset.mirai, tmp_path, tmp_path / "out")
    put(tmp_path / "one.csv", table(HEADER, *exam("7", "1", both("100"))))
    with pytest.raises(InputError, match="none of the 4 files"):
        read_dataset(Dataset.mirai, tmp_path, tmp_path / "out")
    put(tmp_path / "two.csv", table(HEADER))
    with pytest.raises(InputError, match="2 tables of Mirai's columns"):
        read_dataset(Dataset.mirai, tmp_path, tmp_path / "out")


def test_files_and_pictures_in_one_table_are_refused(tmp_path: Path) -> None:
    rows = exam("7", "1", both("100"))
    with pytest.raises(InputError, match="DICOM files and pictures; make two tables"):
        adapt(tmp_path, rows[0].replace(".dcm", ".png"), *rows[1:])


def written(cohort: Path, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cohort's exams, and what ``write_mirai`` makes of them, beside files of its names."""
    exams = pl.read_parquet(cohort / "exams.parquet")
    folder.mkdir()
    write_mirai(exams, pl.read_parquet(cohort / "images.parquet"), folder / "mirai.csv")
    rows = pl.read_csv(folder / "mirai.csv")
    for number, name in enumerate(rows["file_path"]):
        put_image(folder / name, number)
    return exams, rows


def test_what_the_cohort_writes_for_mirai_is_read_again(cohort: Path, tmp_path: Path) -> None:
    _, rows = written(cohort, tmp_path / "mirai")
    tables = read_dataset(Dataset.mirai, tmp_path / "mirai", tmp_path / "out").tables
    of_exam = rows.group_by("patient_id", "exam_id", "years_to_cancer").agg(
        pl.col("split_group", "years_to_last_followup").first()
    )
    assert 0 < of_exam.filter(pl.col("years_to_cancer") < 100).height < of_exam.height
    words = {"train": "train", "dev": "validation", "test": "test"}
    assert rows_of(tables["exams"], "exam_id", "given_split") == sorted(
        (f"{woman} {exam}", words[split])
        for woman, exam, split in of_exam.select("patient_id", "exam_id", "split_group").rows()
    )
    free = of_exam.filter(years_to_cancer=100)
    assert rows_of(
        tables["outcomes"].filter(pl.col("outcome") != "unknown"), "exam_id", "years_followed"
    ) == sorted(
        (f"{woman} {exam}", float(years))
        for woman, exam, years in free.select(
            "patient_id", "exam_id", "years_to_last_followup"
        ).rows()
        for _ in range(2)
    )


def test_with_years_of_each_breast_the_years_come_back(cohort: Path, tmp_path: Path) -> None:
    exams, rows = written(cohort, tmp_path / "mirai")
    years = pl.concat(
        exams.select(
            exam_id="exam",
            laterality=pl.lit(side[0].upper()),
            years=pl.col(f"{side}_years_to_cancer").floor().cast(pl.Int64).fill_null(100),
        )
        for side in ("left", "right")
    )
    by_breast = rows.join(years, on=["exam_id", "laterality"])
    by_breast = by_breast.with_columns(years_to_cancer="years").drop("years")
    by_breast.write_csv(tmp_path / "mirai" / "mirai.csv")
    tables = read_dataset(Dataset.mirai, tmp_path / "mirai", tmp_path / "out").tables
    expected = by_breast.select(
        pl.concat_str("patient_id", pl.lit(" "), "exam_id"), "laterality", "years_to_cancer"
    ).unique()
    assert expected.filter(pl.col("years_to_cancer") < 100).height > 0
    found = tables["outcomes"].with_columns(pl.col("years_to_cancer").fill_null(100).cast(pl.Int64))
    assert rows_of(found, "exam_id", "breast", "years_to_cancer") == sorted(
        expected.rows(), key=str
    )


def test_other_separators_are_read(tmp_path: Path) -> None:
    rows = exam("1", "a", both("100"))
    lay(tmp_path, *rows)
    put(tmp_path / "metadata.csv", table(HEADER, *rows).replace(b",", b";"))
    assert read_dataset(Dataset.mirai, tmp_path, tmp_path / "out").tables["exams"].height == 1
