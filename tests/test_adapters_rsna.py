"""RSNA's table of the Kaggle challenge as registry tables and overrides."""

from pathlib import Path

import polars as pl
import pytest
from made_collections import FOUR, put, put_image, rows_of, table, to_cohort

from mim.adapters.adapted import Adapted
from mim.adapters.rsna import read
from mim.adapters.settings import Dataset
from mim.errors import InputError

HEADER = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,"
    "machine_id,difficult_negative_case"
)


def line(woman: str, image: str, side: str, view: str, **more: str) -> str:
    cells = {"cancer": "0", "biopsy": "0", "BIRADS": "1.0", "implant": "0", "density": "B"} | more
    given = (cells[name] for name in ("cancer", "biopsy"))
    rest = (cells[name] for name in ("BIRADS", "implant", "density"))
    return ",".join(["1", woman, image, side, view, "61.0", *given, "0", *rest, "49", "False"])


def woman(name: str, left: dict[str, str], right: dict[str, str]) -> list[str]:
    return [
        line(name, f"{name}{number}", side, view, **(left if side == "L" else right))
        for number, (side, view) in enumerate(FOUR)
    ]


def adapt(folder: Path, *rows: str, **kwargs: bool | str) -> Adapted:
    """Read a table beside the images of woman 1."""
    put(folder / "train.csv", table(HEADER, *rows, **kwargs))
    for number in range(4):
        put(folder / "train_images" / "1" / f"1{number}.dcm", b"")
    return read(folder, folder / "out")


PLAIN: dict[str, str] = {}


def test_each_breast_gets_its_outcome(tmp_path: Path) -> None:
    adapted = adapt(
        tmp_path,
        *woman("1", {"cancer": "1", "biopsy": "1", "BIRADS": "0"}, PLAIN),
        *woman("2", {"BIRADS": "0"}, {"biopsy": "1", "BIRADS": ""}),
        *woman("3", {"BIRADS": "", "density": ""}, {"cancer": "", "BIRADS": "2"}),
    )
    outcomes = adapted.tables["outcomes"]
    assert rows_of(outcomes, "exam_id", "breast", "outcome", "years_to_cancer") == [
        ("1", "L", "cancer", 0.0),
        ("1", "R", "negative", None),
        ("2", "L", "recalled without cancer", None),
        ("2", "R", "recalled without cancer", None),
        ("3", "L", "negative", None),
        ("3", "R", "unknown", None),
    ]
    # Of the third woman's left breast nobody says whether it was recalled.
    assert rows_of(adapted.tables["decisions"], "exam_id", "recalled") == [("1", True), ("2", True)]
    assert ("3", "R", "b") in rows_of(adapted.tables["density"], "exam_id", "breast", "density")
    assert ("3", "L", None) not in rows_of(
        adapted.tables["density"], "exam_id", "breast", "density"
    )


def test_the_collection_becomes_a_cohort(tmp_path: Path) -> None:
    rows = [*woman("0012", {"cancer": "1", "density": "D"}, PLAIN), *woman("12", PLAIN, PLAIN)[:3]]
    rows.append(line("12", "99", "R", "AT"))
    put(tmp_path / "kaggle" / "train.csv", table(HEADER, *rows))
    # Headers say nothing, or of the axillary tail that it is an oblique view.
    bare = {"SOPClassUID": None, "Modality": None, "ImageLaterality": None}
    for number, row in enumerate(rows):
        _, name, image, _, view, *_ = row.split(",")
        path = tmp_path / "kaggle" / "train_images" / name / f"{image}.dcm"
        put_image(path, number, ViewPosition="MLO" if view == "AT" else None, **bare)
    adapted, exams = to_cohort(Dataset.rsna, tmp_path, tmp_path / "out")
    assert not adapted.notices
    assert rows_of(exams, "left_cancer", "right_cancer", "density", "site", "exam_date") == [
        (False, False, "b", "1", None),
        (True, False, "d", "1", None),
    ]
    assert exams["priors"].list.len().sum() == 0
    assert exams["woman"].n_unique() == 2
    assert pl.read_parquet(tmp_path / "out" / "cohort" / "images.parquet").height == 7


def test_what_is_odd_is_told_with_counts(tmp_path: Path) -> None:
    rows = woman("1", {"implant": "1"}, PLAIN)
    one = line("2", "20", "l", "mlo", cancer="1")
    rows += [one, one, line("2", "21", "L", "CC"), line("2", "22", "", "CC")]
    adapted = adapt(tmp_path, *rows, end="\r\n", bom=True)
    assert adapted.notices == [
        "1 rows of train.csv repeat another and are left out",
        "3 of the 7 images in train.csv are not in the folder; fine where only a part was downloaded",
        "1 women have implants; nothing else tells them from others here",
        "1 images name no side and count for no breast",
        "1 breasts have images that disagree on cancer; they count as cancer",
    ]
    assert ("2", "L", "cancer") in rows_of(
        adapted.tables["outcomes"], "exam_id", "breast", "outcome"
    )


WRONG = [
    (HEADER.replace("biopsy", "biopsied"), [], "column 'biopsy' is missing"),
    (HEADER, [line("", "1", "L", "CC")], "column 'patient_id' is empty in 1 rows"),
    (
        HEADER,
        [line("1", "1", "L", "CC"), line("1", "1", "R", "CC")],
        "2 rows share their patient_id and image_id but differ",
    ),
]


@pytest.mark.parametrize(("header", "rows", "words"), WRONG)
def test_a_table_that_is_not_as_published_is_named(
    tmp_path: Path, header: str, rows: list[str], words: str
) -> None:
    put(tmp_path / "train.csv", table(header, *rows, *woman("7", PLAIN, PLAIN)))
    (tmp_path / "train_images").mkdir()
    with pytest.raises(InputError, match=words):
        read(tmp_path, tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no train.csv"):
        read(tmp_path, tmp_path)
    put(tmp_path / "train.csv", table(HEADER))
    with pytest.raises(InputError, match=r"train_images: no such folder"):
        read(tmp_path, tmp_path)
