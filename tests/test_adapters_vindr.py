"""VinDr-Mammo's table of breasts as registry tables and overrides."""

from pathlib import Path

import polars as pl
import pytest
from made_collections import FOUR, put, put_image, rows_of, table, to_cohort

from mim.adapters.adapt import read_dataset
from mim.adapters.settings import Dataset
from mim.cohort.settings import CohortSettings, SplitSettings
from mim.errors import InputError

HEADER = (
    "study_id,series_id,laterality,view_position,image_id,height,width,breast_birads,"
    "breast_density,split"
)


def exam(study: str, split: str, density: str = "DENSITY C") -> list[str]:
    return [
        f"{study},s,{side},{view},{study}{side}{view},8,6,BI-RADS 4,{density},{split}"
        for side, view in FOUR
    ]


def lay(folder: Path, *rows: str) -> None:
    put(folder / "breast-level_annotations.csv", table(HEADER, *rows))
    for number, row in enumerate(rows):
        study, _, _, _, image, *_ = row.split(",")
        # Headers that say left CC of every image: the table's word counts.
        put_image(folder / "images" / study / f"{image}.dicom", number)


def test_density_and_split_are_all_that_is_known(tmp_path: Path) -> None:
    lay(tmp_path, *exam("aa", "training"), *exam("bb", "test", "DENSITY A"))
    tables = read_dataset(Dataset.vindr, tmp_path, tmp_path / "out").tables
    assert rows_of(tables["exams"], "exam_id", "woman_id", "given_split", "exam_date") == [
        ("aa", "aa", "train", None),
        ("bb", "bb", "test", None),
    ]
    assert rows_of(tables["density"], "exam_id", "breast", "density") == [
        ("aa", "L", "c"),
        ("aa", "R", "c"),
        ("bb", "L", "a"),
        ("bb", "R", "a"),
    ]
    assert set(tables["outcomes"]["outcome"]) == {"unknown"}


def test_the_collection_becomes_a_cohort_without_outcomes(tmp_path: Path) -> None:
    lay(tmp_path / "vindr", *exam("aa", "training"), *exam("bb", "test", "DENSITY A"))
    settings = CohortSettings(splits=SplitSettings(from_registry=True, validation=0))
    adapted, exams = to_cohort(Dataset.vindr, tmp_path / "vindr", tmp_path / "out", settings)
    assert not adapted.notices
    assert rows_of(exams, "split", "density", "left_outcome", "right_cancer", "exam_date") == [
        ("test", "a", "unknown", None, None),
        ("train", "c", "unknown", None, None),
    ]
    assert exams["woman"].n_unique() == 2
    images = pl.read_parquet(tmp_path / "out" / "cohort" / "images.parquet")
    assert images.group_by("exam").len()["len"].to_list() == [4, 4]


def test_an_exam_in_both_parts_is_told(tmp_path: Path) -> None:
    lay(tmp_path, *exam("aa", "training")[:2], *exam("aa", "test")[2:])
    adapted = read_dataset(Dataset.vindr, tmp_path, tmp_path / "out")
    assert adapted.notices == ["1 exams are in training and test at once; they count as test"]
    assert adapted.tables["exams"]["given_split"].to_list() == ["test"]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "breast-level_annotations.csv", table(HEADER, *exam("aa", "test")))
    with pytest.raises(InputError, match=r"images: no such folder"):
        read_dataset(Dataset.vindr, tmp_path, tmp_path / "out")
