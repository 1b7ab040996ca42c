"""INbreast: women by file names, months by the table, and no outcome out of a reading."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from made_collections import put_image, rows_of, to_cohort

from mim.adapters.inbreast import read
from mim.adapters.settings import Dataset
from mim.errors import InputError

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads\n"
FIRST, SECOND = "0123456789abcdef", "fedcba9876543210"
ROWS = (  # woman, laterality, view, month, number, ACR, BI-RADS
    (FIRST, "R", "CC", "200801", "20000001", "3", "2"),
    (FIRST, "R", "MLO", "200801", "20000002", "4", "2"),
    (FIRST, "R", "MLO", "201001", "20000003", "3", "5"),
    (FIRST, "L", "CC", "201001", "20000004", "3", "1"),
    (SECOND, "L", "CC", "201001", "20000005", "    ", "6"),
    (SECOND, "L", "MLO", "201001", "20000006", "2", "6"),
    (SECOND, "R", "MLO", "201001", "20000007", "2", "4a"),
)
STRIPPED = dict.fromkeys(("Modality", "ImageLaterality", "ViewPosition"))


@pytest.fixture
def source(tmp_path) -> Path:
    """The release's folder; the last image was not downloaded."""
    folder = tmp_path / "INbreast Release 1.0"
    (folder / "AllDICOMs").mkdir(parents=True)
    lines = [
        f"removed;removed;{side};{view};{rest[0]};{';'.join(rest[1:])}"
        for _, side, view, *rest in ROWS
    ]
    (folder / "INbreast.csv").write_text(HEADER + "\n".join([*lines, ";;;;;;;", ""]))
    for woman, side, view, _, number, *_ in ROWS[:-1]:
        short = "ML" if view == "MLO" else view
        put_image(
            folder / "AllDICOMs" / f"{number}_{woman}_MG_{side}_{short}_ANON.dcm",
            int(number),
            **STRIPPED,
        )
    return folder


def test_only_proven_cancer_is_an_outcome_and_the_rest_is_said_to_be_unknown(source, tmp_path):
    outcomes = read(source, tmp_path / "out").tables["outcomes"]
    assert rows_of(outcomes, "exam_id", "breast", "outcome", "years_to_cancer") == [
        (f"{FIRST}_200801", "L", "unknown", None),
        (f"{FIRST}_200801", "R", "unknown", None),
        (f"{FIRST}_201001", "L", "unknown", None),
        (f"{FIRST}_201001", "R", "unknown", None),
        (f"{SECOND}_201001", "L", "cancer", 0.0),
        (f"{SECOND}_201001", "R", "unknown", None),
    ]


def test_exams_are_a_womans_months_and_density_is_her_densest_image(source, tmp_path):
    tables = read(source, tmp_path / "out").tables
    assert rows_of(tables["exams"], "woman_id", "exam_date") == [
        (FIRST, date(2008, 1, 1)),
        (FIRST, date(2010, 1, 1)),
        (SECOND, date(2010, 1, 1)),
    ]
    assert rows_of(tables["density"], "exam_id", "breast", "density") == [
        (f"{FIRST}_200801", "R", "d"),
        (f"{FIRST}_201001", "L", "c"),
        (f"{FIRST}_201001", "R", "c"),
        (f"{SECOND}_201001", "L", "b"),
    ]


def test_stripped_headers_are_filled_in(source, tmp_path):
    to_cohort(Dataset.inbreast, source, tmp_path)
    rows = pl.read_parquet(tmp_path / "index" / "images" / "*.parquet").drop_nulls("rows")
    assert rows["reason"].null_count() == 6
    assert rows.sort("path").select("laterality", "view").rows() == [
        (side, view) for _, side, view, *_ in ROWS[:-1]
    ]
    assert set(rows["maker"]) == {"siemens"}


def test_the_cohort_pairs_a_woman_with_her_earlier_month(source, tmp_path):
    _, exams = to_cohort(Dataset.inbreast, source, tmp_path)
    assert exams.height == 3
    assert sorted(exams["priors"].list.len()) == [0, 0, 1]
    assert exams["left_cancer"].drop_nulls().to_list() == [True]
    assert exams["right_cancer"].null_count() == 3


def test_what_was_not_downloaded_is_counted(source, tmp_path):
    (notice,) = read(source, tmp_path / "out").notices
    assert notice.startswith("1 of the 7 images in INbreast.csv")


def test_two_copies_of_an_image_are_refused(source, tmp_path):
    image = next((source / "AllDICOMs").iterdir())
    (source / "again").mkdir()
    (source / "again" / image.name).write_bytes(image.read_bytes())
    with pytest.raises(InputError, match="1 images are there twice"):
        read(source, tmp_path / "out")


def test_rows_of_one_image_are_one_or_refused(source, tmp_path):
    table = source / "INbreast.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1]]))
    adapted = read(source, tmp_path / "out")
    assert adapted.overrides["path"].is_unique().all()
    assert "1 rows of INbreast.csv repeat another and are left out" in adapted.notices
    table.write_text("\n".join([*lines, lines[1].replace(";R;", ";L;")]))
    with pytest.raises(InputError, match="2 rows share their File Name but differ"):
        read(source, tmp_path / "out")
