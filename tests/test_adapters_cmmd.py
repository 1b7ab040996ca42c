"""CMMD: side by header, silence about the other breast; counts of the real table against plain csv."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from made_collections import put_image, rows_of, to_cohort

from mim.adapters.cmmd import read
from mim.adapters.settings import Dataset
from mim.errors import InputError

TABLES = Path(__file__).parents[2] / "shared" / "data" / "tables"
"""Real tables of the collection, where this machine has them."""

TABLE = "CMMD_clinicaldata_revision.csv"
ROWS = (
    "ID1,LeftRight,Age,number,abnormality,classification,subtype\n"
    "D1-0001,R,44,2,calcification,Benign,\n"
    "D1-0087,L,50,2,mass,Benign,\n"
    "D1-0087,R,50,2,mass,Malignant,\n"
    "D2-0001,L,39,2,both,Malignant,Luminal A\n"
    "D2-0002,L,40,2,both,Malignant,Luminal B\n"
)
IMAGED = {"D1-0001": "R", "D1-0087": "LR", "D2-0001": "LR", "D9-0001": "L"}


@pytest.fixture
def source(tmp_path) -> Path:
    """Three women of the table with images, one without, and one whom the table does not know."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / TABLE).write_text(ROWS)
    for woman, sides in IMAGED.items():
        for number, (side, view) in enumerate([(s, v) for s in sides for v in ("CC", "MLO")], 1):
            put_image(
                folder / "CMMD" / woman / "07-18-2010-NA-NA-1" / f"1-{number}.dcm",
                int(woman[1] + woman[3:]) * 10 + number,
                PatientID=woman,
                StudyInstanceUID=f"1.2.3.{woman[-4:].lstrip('0')}.{woman[1]}",
                StudyDate="20100718",
                ImageLaterality=side,
                ViewPosition=view,
            )
    return folder


def test_only_breasts_with_a_row_have_an_outcome(source, tmp_path):
    outcomes = read(source, tmp_path / "out").tables["outcomes"]
    assert rows_of(outcomes, "exam_id", "breast", "outcome", "years_to_cancer") == [
        ("D1-0001", "R", "recalled without cancer", None),
        ("D1-0087", "L", "recalled without cancer", None),
        ("D1-0087", "R", "cancer", 0.0),
        ("D2-0001", "L", "cancer", 0.0),
        ("D2-0002", "L", "cancer", 0.0),
    ]


def test_what_lacks_and_what_nobody_names_is_counted(source, tmp_path):
    lacking, strange, silent = read(source, tmp_path / "out").notices
    assert lacking.startswith("1 of the 4 women")
    assert strange.startswith("1 women in the folder")
    assert silent.startswith("1 imaged breasts have no row")


def test_the_cohort_has_three_exams_without_days_or_priors(source, tmp_path):
    _, exams = to_cohort(Dataset.cmmd, source, tmp_path)
    assert exams.height == 3
    assert exams["exam_date"].null_count() == 3
    assert exams["priors"].list.len().sum() == 0
    assert rows_of(exams, "left_cancer", "right_cancer") == [
        (False, True),
        (None, False),
        (True, None),
    ]


def test_a_word_that_is_not_published_is_refused(source, tmp_path):
    (source / TABLE).write_text(ROWS.replace("Benign", "Unsure", 1))
    with pytest.raises(InputError, match=r"'classification' holds no value as published in 1 rows"):
        read(source, tmp_path / "out")


def test_real_table(tmp_path):
    if not TABLES.is_dir():
        pytest.skip("the real tables are not on this machine")
    source = tmp_path / "source"
    source.mkdir()
    (source / TABLE).symlink_to(TABLES / "cmmd_annotations.csv")
    put_image(source / "1-1.dcm", 1, PatientID="D1-0001")
    adapted = read(source, tmp_path / "out")
    with (TABLES / "cmmd_annotations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with gzip.open(TABLES / "cmmd_mg_series.csv.gz", "rt") as series:
        days = Counter(row["StudyDate"][5:] for row in csv.DictReader(series))
    assert adapted.tables["exams"].height == len({row["ID1"] for row in rows}) == 1775
    counts = Counter(row["classification"] for row in rows)
    assert counts == {"Malignant": 1316, "Benign": 556}
    outcomes = dict(adapted.tables["outcomes"].group_by("outcome").agg(pl.len()).rows())
    assert outcomes == {"cancer": 1316, "recalled without cancer": 556}
    assert set(days) == {"07-18", "07-17"}, "study dates would be worth another look"


def test_rows_of_one_breast_are_one_or_refused(source, tmp_path):
    (source / TABLE).write_text(ROWS + "D2-0002,L,40,2,both,Malignant,Luminal B\n")
    adapted = read(source, tmp_path / "out")
    assert adapted.tables["outcomes"].height == 5
    assert f"1 rows of {TABLE} repeat another and are left out" in adapted.notices
    (source / TABLE).write_text(ROWS + "D2-0002,L,40,2,both,Benign,\n")
    with pytest.raises(InputError, match="2 rows share their ID1 and LeftRight but differ"):
        read(source, tmp_path / "out")
