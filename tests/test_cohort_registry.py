"""The registry's tables: what is read, and what each fault is called."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mim.cohort.registry import read_registry
from mim.errors import InputError

EXAMS = "exam_id,woman_id,exam_date,study_uid,site\nE1,W1,2010-03-01,,north\nE2,W2,2011-04-02,,\n"
CANCERS = "woman_id,diagnosis_date,breast,invasive,size_mm\nW1,2010-03-20,L,true,11.5\n"


def write(folder: Path, **tables: str) -> Path:
    for name, text in {"exams": EXAMS, "cancers": CANCERS, **tables}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_reads_types_and_leaves_missing_cells_missing(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path))
    assert registry.exams.rows() == [
        ("E1", "W1", date(2010, 3, 1), None, "north"),
        ("E2", "W2", date(2011, 4, 2), None, None),
    ]
    assert registry.cancers.rows() == [("W1", date(2010, 3, 20), "L", True, 11.5)]
    assert registry.women.is_empty()
    assert registry.women.schema["followup_end"] == pl.Date
    assert registry.notices == []


def test_names_with_leading_zeros_and_blanks_stay_text(tmp_path: Path) -> None:
    exams = "exam_id,woman_id,exam_date\n 007 ,01,2010-03-01\n,,\n"
    registry = read_registry(write(tmp_path, exams=exams, cancers=CANCERS.replace("W1", "01")))
    assert registry.exams.select("exam_id", "woman_id").rows() == [("007", "01")]


def test_csv_and_parquet_read_alike(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "parquet").mkdir()
    from_csv = read_registry(write(tmp_path / "csv"))
    exams = from_csv.exams.with_columns(pl.col("exam_date").cast(pl.Datetime))
    exams.write_parquet(tmp_path / "parquet/exams.parquet")
    from_csv.cancers.write_parquet(tmp_path / "parquet/cancers.parquet")
    from_parquet = read_registry(tmp_path / "parquet")
    assert from_parquet.exams.equals(from_csv.exams)
    assert from_parquet.cancers.equals(from_csv.cancers)


def test_what_is_ignored_is_named(tmp_path: Path) -> None:
    write(tmp_path, exams=EXAMS.replace("site", "unit"), cancers=f"{CANCERS}W9,2010-03-20,L,,\n")
    (tmp_path / "reading.csv").write_text("exam_id\n")
    typo, columns, strangers = read_registry(tmp_path).notices
    assert typo.endswith("ignored: reading.csv")
    assert columns.endswith("exams.csv: unknown columns, ignored: unit")
    assert strangers == "cancers: 1 of women without an exam, not used"


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        # Columns and cells of the needed tables.
        (
            {"exams": "exam_id,exam_date\nE1,2010-03-01\n"},
            "exams.csv: column 'woman_id' .* is missing",
        ),
        (
            {"exams": EXAMS.replace("W2", "")},
            "exams.csv: row 3, column 'woman_id' is empty; fill in",
        ),
        (
            {"exams": EXAMS.replace("2011-04-02", "02.04.2011")},
            "exams.csv: row 3, column 'exam_date' is not a day as YYYY-MM-DD",
        ),
        ({"exams": EXAMS.replace("2011-04-02", "2011-4-2")}, "row 3, column 'exam_date' is not"),
        ({"exams": EXAMS.replace("2011-04-02", "2011-02-30")}, "row 3, column 'exam_date' is not"),
        ({"exams": EXAMS.replace("2011-04-02", "2999-01-01")}, "row 3, .* to today; correct it"),
        ({"exams": EXAMS.replace("2011-04-02", "0211-04-02")}, "row 3, .* from 1900-01-01"),
        ({"exams": EXAMS.replace("2010-", "").replace("2011-", "")}, r"row 2 \(and 1 more rows\)"),
        ({"exams": EXAMS.splitlines()[0] + "\n"}, "exams.csv: no exam in it; add"),
        ({"cancers": CANCERS.replace(",L,", ",left,")}, "row 2, column 'breast' is none of L, R"),
        ({"cancers": CANCERS.replace("true", "yes")}, "column 'invasive' is not true or false"),
        ({"cancers": CANCERS.replace("11.5", "11 mm")}, "'size_mm' is not a number with a decimal"),
        ({"cancers": CANCERS.replace("11.5", "nan")}, "'size_mm' is not a number"),
        # Keys.
        (
            {"exams": EXAMS + "E1,W3,2012-01-01,,\n"},
            "exams.csv: row 4, column 'exam_id' repeats row 2; keep one",
        ),
        (
            {"exams": EXAMS.replace("03-01,", "03-01,1.2").replace("04-02,", "04-02,1.2")},
            "row 3, column 'study_uid' repeats row 2",
        ),
        (
            {"cancers": CANCERS + CANCERS.splitlines()[1]},
            "'woman_id, diagnosis_date, breast' repeats",
        ),
        # The other tables.
        (
            {"readings": "exam_id,reader,breast,score\nE1,a,L,1\nE1,a,R,0\n"},
            "readings.csv: row 3, column 'score' is none of 1, 2, 3, 4, 5",
        ),
        (
            {"readings": "exam_id,reader,breast,score\nE1,a,L,1.5\n"},
            "'score' is not a whole number",
        ),
        (
            {"readings": "exam_id,reader,breast,score\nE1,a,L,1\nE9,a,L,1\n"},
            "readings.csv: row 3, column 'exam_id' is not in the table 'exams'; add it there",
        ),
        (
            {"decisions": "exam_id,consensus,recalled\nE9,true,false\n"},
            "decisions.csv: row 2, column 'exam_id' is not in the table 'exams'",
        ),
        (
            {"women": "woman_id\nW1\n"},
            "exams.csv: row 3, column 'woman_id' is not in the table 'women'",
        ),
        (
            {"women": "woman_id,birth_year\nW1,1950.5\nW2,\n"},
            "women.csv: row 2, column 'birth_year' is not a whole number",
        ),
        # Files.
        (
            {"exams": EXAMS.replace(",", ";")},
            "exams.csv: columns are separated by ';'; write it with",
        ),
        ({"exams": EXAMS + "E3,W1,2012-01-01,,a,b\n"}, "row 4 has 6 cells and the header 5; put"),
        ({"exams": ""}, "exams.csv: cannot be read; the file is empty"),
    ],
)
def test_faults_are_named(tmp_path: Path, tables: dict[str, str], words: str) -> None:
    write(tmp_path, **tables)
    with pytest.raises(InputError, match=words) as caught:
        read_registry(tmp_path)
    message = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in message
    assert not any(identifier in message for identifier in ("E1", "E9", "W1", "W3"))


def test_rows_are_counted_as_in_a_spreadsheet(tmp_path: Path) -> None:
    """A quoted line break and an empty line are cells and a row there."""
    exams = 'exam_id,woman_id,exam_date,site\nE1,W1,2010-03-01,"two\nlines"\n,,,\nE2,W2,nodate,\n'
    with pytest.raises(InputError, match="row 4, column 'exam_date'"):
        read_registry(write(tmp_path, exams=exams))


def test_missing_table_and_folder(tmp_path: Path) -> None:
    (tmp_path / "exams.csv").write_text(EXAMS)
    with pytest.raises(InputError, match=r"'cancers' is missing; write it as cancers\.csv or"):
        read_registry(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_registry(tmp_path / "nowhere")


def test_table_given_twice(tmp_path: Path) -> None:
    read_registry(write(tmp_path)).exams.write_parquet(tmp_path / "exams.parquet")
    with pytest.raises(InputError, match=r"also there as exams\.parquet; keep one"):
        read_registry(tmp_path)


def test_latin_1_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "exams.csv").write_bytes(EXAMS.replace("north", "Tromsø").encode("latin-1"))
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_registry(tmp_path)


def test_names_written_as_floating_point_are_refused(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path))
    (tmp_path / "exams.csv").unlink()
    registry.exams.with_columns(woman_id=pl.lit(12.0)).write_parquet(tmp_path / "exams.parquet")
    with pytest.raises(InputError, match=r"'woman_id' holds floating-point numbers; write it as"):
        read_registry(tmp_path)


def test_whole_numbers_may_carry_a_point(tmp_path: Path) -> None:
    """As pandas writes a column of whole numbers with gaps."""
    women = "woman_id,birth_year\nW1,1950.0\nW2,\n"
    assert read_registry(write(tmp_path, women=women)).women["birth_year"].to_list() == [1950, None]
