"""The registry's tables: what is read, and what each fault is called."""

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.registry import Registry, read_registry
from mim.errors import InputError
from mim.schemas.registry import REGISTRY

EXAMS = "exam_id,woman_id,exam_date,study_uid,site\nE1,W1,2010-03-01,,north\nE2,W2,2011-04-02,,\n"
CANCERS = "woman_id,diagnosis_date,breast,invasive,size_mm\nW1,2010-03-20,L,true,11.5\n"
DENSITY = "exam_id,breast,density,percent\n"
LANDMARKS = "sop_uid,nipple_x,nipple_y\n"
SCORED = "exam_id,model,breast,score\n"
LESIONS = "sop_uid,x,y,width,height,kind,malignant\n"


def write(folder: Path, **tables: str) -> Path:
    for name, text in {"exams": EXAMS, "cancers": CANCERS, **tables}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_reads_types_and_leaves_missing_cells_missing(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path))
    assert registry.exams.rows() == [
        ("E1", "W1", date(2010, 3, 1), None, "north", None),
        ("E2", "W2", date(2011, 4, 2), None, None, None),
    ]
    assert registry.cancers.rows() == [("W1", date(2010, 3, 20), "L", True, 11.5, None, None)]
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
    (tmp_path / "map.csv").write_text("place\n")
    typo, columns, strangers = read_registry(tmp_path).notices
    assert typo.endswith("ignored: map.csv, reading.csv (if 'readings' is meant, rename it)")
    assert columns == "exams.csv: unknown columns, ignored: unit"
    assert strangers == "cancers.csv: row 3: of a woman without an exam; not used"


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
        ({"exams": EXAMS.replace("2011-04-02", "2999-01-01")}, "row 3, .* is after today; correct"),
        ({"exams": EXAMS.replace("2011-04-02", "0211-04-02")}, "row 3, .* is before 1900-01-01; c"),
        ({"exams": EXAMS.replace("2010-", "").replace("2011-", "")}, "row 2 and 1 more, column"),
        ({"exams": EXAMS.replace("2011-04-02", "")}, "row 3, column 'exam_date' is empty; fill in"),
        ({"exams": EXAMS.replace("W2", "NULL")}, "row 3, column 'woman_id' is a word or sign for"),
        ({"exams": EXAMS.replace("04-02,,", "04-02,,NULL")}, "row 3, column 'site' is a word or s"),
        ({"exams": EXAMS.splitlines()[0] + "\n"}, "exams.csv: no exam in it; add"),
        ({"cancers": CANCERS.replace(",L,", ",left,")}, "row 2, column 'breast' is none of L, R"),
        ({"cancers": CANCERS.replace("true", "yes")}, "column 'invasive' is not true or false"),
        ({"cancers": CANCERS.replace("11.5", "large")}, "'size_mm' is not a number with a decimal"),
        ({"cancers": CANCERS.replace("11.5", "11 mm")}, "'size_mm' carries a unit; write the num"),
        ({"cancers": CANCERS.replace("11.5", '"11,5"')}, "'size_mm' has a decimal comma; write a"),
        ({"cancers": CANCERS.replace("11.5", "nan")}, "'size_mm' is a word or sign for a missing"),
        (
            {"cancers": CANCERS.replace("11.5", "301")},
            "'size_mm' is outside 0.1 to 300 mm; correct",
        ),
        ({"cancers": CANCERS.replace("11.5", "0")}, "or leave the cell empty"),
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
            {"outcomes": "exam_id,breast,outcome\nE9,L,negative\n"},
            "outcomes.csv: row 2, column 'exam_id' is not in the table 'exams'",
        ),
        (
            {"risk_factors": "exam_id,height_cm\nE9,170\n"},
            "risk_factors.csv: row 2, column 'exam_id' is not in the table 'exams'",
        ),
        ({"risk_factors": "exam_id,height_cm\nE1,1.70\n"}, "'height_cm' looks like metres; write"),
        ({"risk_factors": "exam_id,height_cm\nE1,67\n"}, "'height_cm' is outside 100 to 230 cm"),
        ({"risk_factors": "exam_id,weight_kg\nE1,7\n"}, "'weight_kg' is outside 25 to 300 kg"),
        ({"women": "woman_id,birth_year\nW1,50\nW2,\n"}, "'birth_year' is no year from 1880 to"),
        (
            {"women": "woman_id,birth_year\nW1,1950.5\nW2,\n"},
            "women.csv: row 2, column 'birth_year' is not a whole number",
        ),
        # Labels of breasts and images.
        (
            {"density": "exam_id,breast\nE1,L\n"},
            "density.csv: has none of the columns density, percent; add one of them",
        ),
        (
            {"density": "exam_id,breast,percentage\nE1,L,3\n"},
            "density, percent; is 'percentage' one of them",
        ),
        ({"density": "exam_id,breast,percent\nE1,L,101\n"}, "'percent' is outside 0 to 100 per c"),
        ({"density": "exam_id,breast,percent\nE1,L,10 %\n"}, "'percent' carries a unit; write the"),
        ({"density": DENSITY + "E1,L,e,\n"}, "row 2, column 'density' is none of a, b, c, d"),
        ({"density": DENSITY + "E1,L,a,\nE1,L,,5\n"}, "row 3, column 'exam_id, breast' repeats"),
        ({"density": DENSITY + "E9,L,a,\n"}, "density.csv: row 2, column 'exam_id' is not in the"),
        (
            {"quality": "exam_id,breast,view\nE1,L,CC\n"},
            "quality.csv: has none of the columns grade, nipple_in_profile, .*; add one of them",
        ),
        (
            {"quality": "exam_id,breast,view,blurred\nE1,L,CC,maybe\n"},
            "quality.csv: row 2, column 'blurred' is not true or false",
        ),
        ({"quality": "exam_id,breast,view,grade\nE1,L,ML,P\n"}, "'view' is none of CC, MLO"),
        (
            {"landmarks": LANDMARKS + "1.2,5,\n"},
            "row 2, column 'nipple_y' is empty where 'nipple_x'",
        ),
        ({"landmarks": LANDMARKS + "1.2,5,6\n1.3,,6\n"}, "row 3, column 'nipple_x' is empty where"),
        (
            {"landmarks": "sop_uid,nipple_x\n1.2,5\n1.3,5\n"},
            "row 2 and 1 more, column 'nipple_y' is empty where 'nipple_x' is not; fill in both",
        ),
        ({"landmarks": LANDMARKS + "1.2,5,here\n"}, r"^[^\n]*'nipple_y' is not a number[^\n]*$"),
        ({"landmarks": LANDMARKS + "1.2,5,6\n1.2,5,6\n"}, "row 3, column 'sop_uid' repeats row 2"),
        ({"landmarks": LANDMARKS + "?,5,6\n"}, "row 2, column 'sop_uid' is a word or sign for a"),
        ({"lesions": "sop_uid,x,y,width\n1.2,1,1,1\n"}, "lesions.csv: column 'height' .* is miss"),
        ({"lesions": LESIONS + "1.2,1,1,0,2,,\n"}, "'width' is outside 0.1 to 100000 pixels; corr"),
        ({"lesions": LESIONS + "1.2,1,1,1,-2,,\n"}, "'height' is outside 0.1 to 100000 pixels; co"),
        ({"lesions": LESIONS + "1.2,1,,1,2,,\n"}, "row 2, column 'y' is empty; fill in upper edge"),
        ({"lesions": LESIONS + "1.2,1,1,1,2,lump,\n"}, "'kind' is none of mass, calcification, di"),
        ({"lesions": LESIONS + "1.2,1,1,1,2,,yes\n"}, "'malignant' is not true or false"),
        (
            {"scores": SCORED + "E1,a,,1\nE1,b,,2\nE1,a,,3\n"},
            "scores.csv: row 4, column 'exam_id, model, breast' repeats row 2; keep one",
        ),
        (
            {"scores": SCORED + "E1,a,L,1\nE1,b,,1\nE2,a,,2\n"},
            "scores.csv: row 4, column 'breast' is empty where other rows of the model have one; g",
        ),
        ({"scores": SCORED + "E1,a,,inf\n"}, "'score' is not a number with a decimal point; corr"),
        ({"scores": SCORED + "E1,a,,\n"}, "row 2, column 'score' is empty; fill in"),
        ({"scores": SCORED + "E9,a,,1\n"}, "scores.csv: row 2, column 'exam_id' is not in the tab"),
        (
            {"lesions": LESIONS + "1.2,1,1,1,2,,\n1.2,1,2,1,2,,\n1.2,1,1.0,9,9,,\n"},
            "lesions.csv: row 4, column 'sop_uid, x, y' repeats row 2; keep one",
        ),
        (
            {"readings": "exam_id,reader,breast,score,reading\nE1,a,L,1,3\n"},
            "readings.csv: row 2, column 'reading' is none of 1, 2; correct it, or leave",
        ),
        # Files.
        ({"exams": EXAMS.replace(",", ";")}, "exams.csv: columns are separated by semicolons; w"),
        ({"exams": EXAMS.replace(",", "\t")}, "exams.csv: columns are separated by tabs; write"),
        (
            {"exams": "\ufeffsep=,\n" + EXAMS},
            "exams.csv: the first line is a word to Excel; delete",
        ),
        ({"exams": EXAMS.replace("site", "exam_id")}, "exams.csv: two columns have one name"),
        ({"exams": EXAMS.split("\n", 1)[1]}, "the first row names no column of the table 'exams'"),
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
    with pytest.raises(InputError, match=r"'cancers': write it as cancers\.csv or .* 'outcomes': "):
        read_registry(tmp_path)
    (tmp_path / "exams.csv").rename(tmp_path / "exam.csv")
    both = r"'exams' is missing; .*\(is it 'exam'\? then rename that\)\n.* one of two tables is"
    with pytest.raises(InputError, match=both):
        read_registry(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_registry(tmp_path / "nowhere")


def test_table_given_twice(tmp_path: Path) -> None:
    read_registry(write(tmp_path)).exams.write_parquet(tmp_path / "exams.parquet")
    with pytest.raises(InputError, match=r"also there as exams\.parquet; keep one"):
        read_registry(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            EXAMS.replace("north", "Tromsø").encode("latin-1"),
            "it is not UTF-8; save it as CSV UTF-8",
        ),
        (EXAMS.encode("utf-16"), "it is UTF-16; save it as CSV UTF-8"),
        (EXAMS.encode("utf-16-le"), "it is UTF-16; save it as CSV UTF-8"),
        (b"PK\x03\x04rest of a workbook", "it is an Excel file; save it as CSV UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    write(tmp_path)
    (tmp_path / "exams.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"exams\.csv: .*{words}"):
        read_registry(tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    write(tmp_path, exams=f"\ufeff{EXAMS}")
    assert read_registry(tmp_path).exams["exam_id"].to_list() == ["E1", "E2"]


def test_a_table_in_another_format_is_not_lost_in_silence(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "readings.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"readings\.xlsx: .*; save it as readings\.csv"):
        read_registry(tmp_path)
    (tmp_path / "readings.xlsx").rename(tmp_path / "Readings.CSV")
    with pytest.raises(InputError, match=r"small letters: readings\.csv"):
        read_registry(tmp_path)
    (tmp_path / "Readings.CSV").unlink()
    (tmp_path / "cancers.csv").rename(tmp_path / "cancers.tsv")
    with pytest.raises(InputError, match=r"^[^\n]*; save it as cancers\.csv [^\n]*$"):
        read_registry(tmp_path)


def test_a_workbook_beside_the_table_is_only_ignored(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "exams.xlsx").write_bytes(b"PK")
    (notice,) = read_registry(tmp_path).notices
    assert notice.endswith("ignored: exams.xlsx")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["02.04.2011"], "is DD.MM.YYYY; write days as YYYY-MM-DD"),
        (["2/4/2011", "2/13/2011"], "is MM/DD/YYYY; write days as YYYY-MM-DD"),
        (["12/4/2011", "13/2/2011"], "is DD/MM/YYYY; write"),
        (["2/4/2011"], "is DD/MM/YYYY or MM/DD/YYYY; write"),
        (["2/14/2011", "14/2/2011"], "is partly DD/MM/YYYY and partly MM/DD/YYYY; write"),
        (["02-14-2011"], "is MM-DD-YYYY; write"),
        (["20110402"], "is YYYYMMDD; write"),
        (["2011-04-02 00:00:00", "2.4.2011 12:30"], "carries a time of day; write days as"),
        (["02.04.11", "2/4/11"], "has a year of two digits; write"),
        (["40635", "40635.0"], "is a serial number of Excel; give the column the format yyyy-mm"),
        (["2011-14-02"], "is YYYY-DD-MM; write"),
        (["2011-02-30"], "is no day of the calendar; correct it"),
        (["2011-4-2", "2011/04/02"], "is a day without its zeros or hyphens; write"),
        (["2011", "2011-04"], "is a year or month without a day; write"),
        (["02APR2011", "2. april 2011"], "has the month as a word; write"),
        (["unknown"], "is not a day as YYYY-MM-DD; correct it"),
        (["NA", "."], "is a word or sign for a missing value; leave such cells empty"),
    ],
)
def test_forms_of_dates_are_recognised(tmp_path: Path, cells: list[str], words: str) -> None:
    women = [f"W{n},{cell}" for n, cell in enumerate(["", "2015-03-01", *cells], start=1)]
    text = "\n".join(["woman_id,followup_end", *women])
    more = f" and {len(cells) - 1} more" * (len(cells) > 1)
    with pytest.raises(InputError) as caught:
        read_registry(write(tmp_path, women=text))
    assert f"women.csv: row 4{more}, column 'followup_end' {words}" in str(caught.value)


def exams_on(days: list[date]) -> str:
    rows = [f"E{n},W{n},{day}" for n, day in enumerate(days, start=1)]
    return "\n".join(["exam_id,woman_id,exam_date", *rows])


def test_swapped_days_and_months_are_seen_in_many_dates(tmp_path: Path) -> None:
    """Days up to the 12th stay valid when swapped, so a swapped column has no other."""
    days = [date(2010 + k % 5, 1 + k % 12, 1 + k // 6) for k in range(70)]
    assert len(set(days)) == len(days)
    assert max(day.day for day in days) == 12
    for more in ("", "\nX,X,NA"):
        with pytest.raises(InputError, match="column 'exam_date' has no day after the 12th"):
            read_registry(write(tmp_path, exams=exams_on(days) + more))
    fine = (
        [*days[1:], date(2010, 1, 13)],  # one day after the 12th
        days[:59],  # too few to tell
        [day.replace(year=1950 + k, day=1) for k, day in enumerate(days)],  # no days known
    )
    for kept in fine:
        assert read_registry(write(tmp_path, exams=exams_on(kept))).exams.height == len(kept)


def test_swapped_days_that_cannot_be_dates_are_named_alone(tmp_path: Path) -> None:
    days = [date(2010 + k % 5, 1 + k % 12, 1 + k // 6) for k in range(70)]
    exams = f"{exams_on(days)}\nX,X,2010-13-01\n"
    with pytest.raises(InputError) as caught:
        read_registry(write(tmp_path, exams=exams))
    assert re.findall("column .*", str(caught.value)) == [
        "column 'exam_date' is YYYY-DD-MM; write days as YYYY-MM-DD"
    ]


def test_keys_at_fault_are_not_repeats_but_equal_unknown_sides_are(tmp_path: Path) -> None:
    text = "woman_id,diagnosis_date,breast\nW1,2010-03-20,{}\nW1,2010-03-20,{}\n"
    with pytest.raises(InputError) as caught:
        read_registry(write(tmp_path, cancers=text.format("left", "right")))
    assert re.findall("row .*;", str(caught.value)) == [
        "row 2 and 1 more, column 'breast' is none of L, R;"
    ]
    with pytest.raises(InputError, match="row 3, column .* repeats row 2"):
        read_registry(write(tmp_path, cancers=text.format("", "")))


def test_sizes_in_centimetres_are_seen_in_many(tmp_path: Path) -> None:
    sizes = [0.4 + n * 0.1 for n in range(25)]

    def cancers(factor: float, kept: int) -> str:
        rows = [
            f"W1,20{10 + n // 12}-{1 + n % 12:02}-01,L,{sizes[n] * factor:.1f}" for n in range(kept)
        ]
        return "\n".join(["woman_id,diagnosis_date,breast,size_mm", *rows])

    with pytest.raises(InputError, match="column 'size_mm' looks like centimetres"):
        read_registry(write(tmp_path, cancers=cancers(1, 25)))
    read_registry(write(tmp_path, cancers=cancers(10, 25)))
    read_registry(write(tmp_path, cancers=cancers(1, 19)))


def test_a_column_under_another_name_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'woman_id' .* is missing; is it 'Woman ID'. then rename"):
        read_registry(write(tmp_path, exams=EXAMS.replace("woman_id", "Woman ID")))
    write(tmp_path, women="woman_id,birthyear\nW1,1950\nW2,1950\n")
    (notice,) = read_registry(tmp_path).notices
    assert notice.endswith("ignored: birthyear (if 'birth_year' is meant, rename it)")


def test_every_fault_is_found_in_one_run(tmp_path: Path) -> None:
    tables = {
        "women": "woman_id,birth_year\nW1,1950\nW1,x\n",
        "exams": "exam_id,woman_id,exam_date\nE1,W1,01.02.2010\n,W1,2010-01-01\nE1,W2,40000\n",
        "cancers": "woman_id,breast\nW1,L\n",
        "readings": "exam_id,reader,breast,score\nE1,a,L,9\nE1,a,left,\nE7,a,L,1\n",
        "decisions": "exam_id;recalled\n",
    }
    with pytest.raises(InputError) as caught:
        read_registry(write(tmp_path, **tables))
    found = [
        line.replace(f"{tmp_path}/", "").split("; ")[0] for line in str(caught.value).split("\n")
    ]
    assert found == [
        "women.csv: row 3, column 'birth_year' is not a whole number",
        "women.csv: row 3, column 'woman_id' repeats row 2",
        "exams.csv: row 3, column 'exam_id' is empty",
        "exams.csv: row 2, column 'exam_date' is DD.MM.YYYY",
        "exams.csv: row 4, column 'exam_date' is a serial number of Excel",
        "exams.csv: row 4, column 'exam_id' repeats row 2",
        "readings.csv: row 3, column 'breast' is none of L, R",
        "readings.csv: row 3, column 'score' is empty",
        "readings.csv: row 2, column 'score' is none of 1, 2, 3, 4, 5",
        "decisions.csv: columns are separated by semicolons",
        "cancers.csv: column 'diagnosis_date' (day of the diagnosis) is missing",
        "readings.csv: row 4, column 'exam_id' is not in the table 'exams'",
        "exams.csv: row 4, column 'woman_id' is not in the table 'women'",
    ]


def test_dates_and_cancers_may_lack_where_outcomes_are_given(tmp_path: Path) -> None:
    write(
        tmp_path,
        exams="exam_id,woman_id,exam_date\nE1,W1,\n",
        outcomes="exam_id,breast,outcome,years_to_cancer\nE1,L,cancer,0\nE1,R,unknown,\n",
    )
    (tmp_path / "cancers.csv").unlink()
    registry = read_registry(tmp_path)
    assert registry.exams["exam_date"].to_list() == [None]
    assert registry.outcomes["years_to_cancer"].to_list() == [0.0, None]
    assert registry.cancers.is_empty()


def test_the_side_of_a_cancer_may_be_unknown(tmp_path: Path) -> None:
    assert read_registry(write(tmp_path, cancers=CANCERS.replace(",L,", ",,"))).cancers[
        "breast"
    ].to_list() == [None]


WOMEN = "woman_id,followup_end,emigration_date,death_date\n"
READINGS = "exam_id,reader,breast,score\n"
ORDERED = "exam_id,reader,breast,score,reading\n"
DECISIONS = "exam_id,recalled\n"


@pytest.mark.parametrize(
    ("tables", "notice"),
    [
        (
            {"cancers": CANCERS.replace("2010", "2009")},
            "cancers.csv: row 2: diagnosed before her first exam; her exams are left out as after",
        ),
        (
            {"women": WOMEN + "W1,,,2010-03-19\nW2,,,\n"},
            "cancers.csv: row 2: diagnosed after her death",
        ),
        (
            {"women": WOMEN + "W1,,2010-03-19,\nW2,,,\n"},
            "cancers.csv: row 2: diagnosed after her emigration",
        ),
        ({"women": WOMEN + "W1,,,\nW2,,,2011-04-01\n"}, "exams.csv: row 3: exam after her death"),
        (
            {"women": WOMEN + "W2,2011-04-01,,\nW1,2011-04-01,,\n"},
            "women.csv: row 2: followup_end is before her first exam",
        ),
        (
            {"readings": READINGS + "E1,a,L,1\nE1,a,R,1\n", "decisions": DECISIONS + "E1,true\n"},
            "decisions.csv: row 2: recalled, though no reading of the exam is 2 or more",
        ),
        (
            {
                "readings": READINGS + "E1,a,L,3\nE1,a,R,1\nE1,b,L,1\nE1,b,R,2\nE2,a,L,1\n",
                "decisions": DECISIONS + "E2,false\n",
            },
            "readings.csv: row 2 and 1 more: every reader scored 2 or more, and the exam has no row",
        ),
        (
            {"readings": ORDERED + "E1,a,L,1,1\nE1,b,L,1,1\nE1,c,L,1,2\nE1,a,R,1,1\n"},
            "readings.csv: row 2 and 1 more: two readers have the same reading of one breast; whose",
        ),
        (
            {"exams": EXAMS + "E3,w1,2012-01-01,,\nE4,0W1,2012-01-01,,\nE5,W1.0,2012-01-01,,\n"},
            "exams.csv: row 2 and 3 more: woman_id is another's but for case or zeros",
        ),
        ({"density": DENSITY + "E1,L,,\nE1,R,a,\n"}, "density.csv: row 2: says nothing; not used"),
        (
            {"quality": "exam_id,breast,view,grade,cut_off\nE1,L,CC,P,\nE1,R,CC,,\n"},
            "quality.csv: row 3: says nothing; not used",
        ),
        ({"landmarks": LANDMARKS + "1.2,,\n"}, "landmarks.csv: row 2: says nothing; not used"),
        (
            {"landmarks": "sop_uid,nipple_x,nipple_y,nipple_visible\n1.2,5,6,false\n"},
            "landmarks.csv: row 2: nipple has a place, but nipple_visible is false; place not used",
        ),
    ],
)
def test_what_is_odd_is_noticed(tmp_path: Path, tables: dict[str, str], notice: str) -> None:
    notices = read_registry(write(tmp_path, **tables)).notices
    assert any(line.startswith(notice) for line in notices), notices
    assert not any(name in line for line in notices for name in ("E1", "W1", "W2"))


@pytest.mark.parametrize(
    "tables",
    [
        {"women": WOMEN + "W1,2010-03-20,2010-03-20,2010-03-20\nW2,2011-04-02,,2011-04-02\n"},
        {"cancers": CANCERS.replace("03-20", "03-01")},
        {"readings": READINGS + "E2,a,L,1\n", "decisions": DECISIONS + "E1,true\n"},
        {"readings": READINGS + "E1,a,L,1\nE1,b,R,2\n", "decisions": DECISIONS + "E1,true\n"},
        {"readings": READINGS + "E1,a,L,2\nE1,b,R,1\n", "decisions": DECISIONS + "E2,false\n"},
        {"readings": READINGS + "E1,a,L,2\nE1,b,R,2\n", "decisions": DECISIONS + "E1,false\n"},
        {"readings": READINGS + "E1,a,L,2\nE1,b,R,2\n"},
        {"readings": ORDERED + "E1,a,L,1,1\nE1,b,L,1,2\nE1,b,R,1,1\nE1,c,L,1,\nE1,d,L,1,\n"},
        {"lesions": LESIONS + "1.2,-0.5,1,1,2,,\n1.2,-0.5,2,1,2,mass,true\n"},
        {"density": DENSITY + "E1,L,,0\nE1,R,a,\n"},
        {"landmarks": "sop_uid,nipple_x,nipple_y,nipple_visible\n1.2,5,6,\n1.3,,,false\n"},
    ],
)
def test_what_is_usual_is_not_noticed(tmp_path: Path, tables: dict[str, str]) -> None:
    assert read_registry(write(tmp_path, **tables)).notices == []


def as_parquet(folder: Path, columns: dict[str, pa.Array]) -> Path:
    write(folder)
    (folder / "exams.csv").unlink()
    pq.write_table(pa.table(columns), folder / "exams.parquet")
    return folder


MIDNIGHT = datetime(2010, 3, 1)


@pytest.mark.parametrize(
    ("exam_id", "day"),
    [
        (pa.array(["E1"]).dictionary_encode(), pa.array([MIDNIGHT], pa.timestamp("ns"))),
        (pa.array(["E1"], pa.large_string()), pa.array([MIDNIGHT], pa.timestamp("us"))),
        (pa.array(["E1"], pa.string_view()), pa.array([MIDNIGHT.date()], pa.date64())),
        (
            pa.array([" E1 "]),
            pa.array(
                [MIDNIGHT.replace(tzinfo=ZoneInfo("Europe/Oslo"))],
                pa.timestamp("ms", "Europe/Oslo"),
            ),
        ),
        (pa.array(["E1"]), pa.array([MIDNIGHT.date()]).dictionary_encode()),
        (pa.array(["E1"]), pa.array(["2010-03-01"])),
    ],
)
def test_parquet_types_that_mean_the_same_read_the_same(
    tmp_path: Path, exam_id: pa.Array, day: pa.Array
) -> None:
    columns = {"exam_id": exam_id, "woman_id": pa.array([1]), "exam_date": day, "site": pa.nulls(1)}
    registry = read_registry(as_parquet(tmp_path, columns))
    assert registry.exams.rows() == [("E1", "1", MIDNIGHT.date(), None, None, None)]
    assert registry.exams.schema["site"] == pl.String


def test_parquet_numbers_and_flags_of_any_width_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    scores = {"exam_id": ["E1"] * 2, "reader": [1, 2], "breast": ["L", "L"]}
    for kind in (pa.int64(), pa.int8(), pa.float64(), pa.float32(), pa.decimal128(20, 0)):
        cells = pa.array([1, 4]).cast(kind)
        pq.write_table(pa.table(scores | {"score": cells}), tmp_path / "readings.parquet")
        assert read_registry(tmp_path).readings["score"].to_list() == [1, 4]
    for cells in (pa.array([True, False]), pa.array([1, 0]), pa.array([1.0, 0.0])):
        flags = pa.table({"exam_id": ["E1", "E2"], "recalled": cells})
        pq.write_table(flags, tmp_path / "decisions.parquet")
        assert read_registry(tmp_path).decisions["recalled"].to_list() == [True, False]


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (pa.array([MIDNIGHT.replace(hour=23)]), "'exam_date' carries a time of day"),
        (pa.array([20100301]), "'exam_date' is YYYYMMDD"),
        (pa.array([40238]), "'exam_date' is a serial number of Excel"),
        (pa.array([[1]]), "'exam_date' is neither text nor numbers nor days"),
        (pa.array([b"2010-03-01"]), "'exam_date' is neither text nor numbers nor days"),
        (pa.array([date(2999, 1, 1)]), "'exam_date' is after today"),
    ],
)
def test_parquet_cells_at_fault_are_named_too(tmp_path: Path, day: pa.Array, words: str) -> None:
    columns = {"exam_id": pa.array(["E1"]), "woman_id": pa.array(["W1"]), "exam_date": day}
    with pytest.raises(InputError, match=words):
        read_registry(as_parquet(tmp_path, columns))


def test_broken_parquet_is_named(tmp_path: Path) -> None:
    columns = {"exam_id": pa.array(["E1"]), "woman_id": pa.array(["W1"])}
    whole = (as_parquet(tmp_path, columns) / "exams.parquet").read_bytes()
    for broken in (b"", b"PAR1", whole[:-20], whole[:10] + whole[30:]):
        (tmp_path / "exams.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=r"exams\.parquet: cannot be read; it is not Parquet"):
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


def test_percent_density_as_shares_is_seen_in_many_numbers(tmp_path: Path) -> None:
    exams = exams_on([date(2010, 3, 1)] * 20)
    shares = [f"E{n},L,,{n / 20}" for n in range(1, 21)]
    with pytest.raises(InputError, match=r"density\.csv: column 'percent' looks like shares of 1"):
        read_registry(write(tmp_path, exams=exams, density=DENSITY + "\n".join(shares)))
    for fine in ([*shares[1:], "E1,L,,1.5"], shares[:19]):
        read_registry(write(tmp_path, exams=exams, density=DENSITY + "\n".join(fine)))


def test_the_page_names_every_table_and_column() -> None:
    page = (Path(__file__).parents[1] / "docs" / "registry.md").read_text(encoding="utf-8")
    for schema in REGISTRY:
        part = page.split(f"## `{schema.name}`", 1)[1].split("\n## ", 1)[0]
        for column in schema.columns:
            assert f"| `{column.name}` |" in part
            assert all(str(value) in part for value in column.values or ())


# What holds of any registry.

IDS = st.sampled_from(["1", "2", "3", "03", "x"])
DAYS = st.sampled_from(["", "2010-01-02", "2010-07-02", "2011-03-04", "2012-05-06"])
FAULTY_DAYS = st.sampled_from(["02.01.2010", "2010-13-01", "40000", "2999-01-01", "?"])
SIDES = st.sampled_from(["L", "R"])
SCORES = st.sampled_from(["1", "2", "3", "5"])
FLAG_WORDS = st.sampled_from(["true", "false"])


def rows(*cells: st.SearchStrategy[str], key: int, most: int = 6) -> st.SearchStrategy[list[str]]:
    """Rows of a table, of different keys."""
    drawn = st.lists(st.tuples(*cells), max_size=most, unique_by=lambda row: row[:key])
    return drawn.map(lambda found: [",".join(row) for row in found])


@st.composite
def registries(draw: st.DrawFn, faulty: bool) -> dict[str, list[str]]:
    """By table: header and rows. Good ones but for oddities, or with any faults."""
    strange = FAULTY_DAYS if faulty else st.nothing()
    key = 0 if faulty else 1
    women = draw(rows(IDS, DAYS | strange, DAYS, key=1))
    exams = draw(rows(IDS, IDS, DAYS.filter(bool) | strange, key=1).filter(bool))
    known = st.sampled_from([row.split(",")[0] for row in exams])
    of = IDS if faulty else known
    readings = draw(
        rows(of, IDS, SIDES, SCORES | (st.just("6") if faulty else st.nothing()), key=3)
    )
    decisions = draw(rows(of, FLAG_WORDS, FLAG_WORDS, key=1))
    cancers = draw(rows(IDS, DAYS.filter(bool) | strange, SIDES | st.just(""), key=3))
    if not faulty:
        missing = {row.split(",")[1] for row in exams} - {row.split(",")[0] for row in women}
        women += [f"{woman},," for woman in sorted(missing)]
    if key == 0:
        exams += draw(st.sampled_from([[], exams[:1], exams]))
    return {
        "women": ["woman_id,followup_end,death_date", *women],
        "exams": ["exam_id,woman_id,exam_date", *exams],
        "readings": ["exam_id,reader,breast,score", *readings],
        "decisions": ["exam_id,consensus,recalled", *decisions],
        "cancers": ["woman_id,diagnosis_date,breast", *cancers],
    }


def read_lines(tables: dict[str, list[str]]) -> Registry | list[str]:
    """The registry of these tables, or its faults without row numbers."""
    with TemporaryDirectory() as folder:
        written = {name: "\n".join(lines) for name, lines in tables.items()}
        try:
            registry = read_registry(write(Path(folder), **written))
        except InputError as error:
            return without_numbers(str(error).replace(folder, "").split("\n"))
    return replace(registry, notices=without_numbers(registry.notices))


def without_numbers(lines: list[str]) -> list[str]:
    return [re.sub(r"row \d+", "row", line) for line in lines]


def contents(read: Registry | list[str]) -> object:
    if isinstance(read, list):
        return read
    return {
        name: sorted(value, key=str) if name == "notices" else sorted(value.rows(), key=str)
        for name, value in vars(read).items()
    }


@settings(max_examples=15)
@given(registries(True), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_but_their_numbers(
    tables: dict[str, list[str]], random: Random
) -> None:
    shuffled = {
        name: [lines[0], *random.sample(lines[1:], len(lines) - 1)]
        for name, lines in tables.items()
    }
    assert contents(read_lines(shuffled)) == contents(read_lines(tables))


@settings(max_examples=8)
@given(registries(False))
def test_a_good_registry_reads_alike_from_csv_and_parquet(tables: dict[str, list[str]]) -> None:
    from_csv = read_lines(tables)
    assert isinstance(from_csv, Registry), from_csv
    with TemporaryDirectory() as folder:
        for name in tables:
            getattr(from_csv, name).write_parquet(Path(folder) / f"{name}.parquet")
        from_parquet = read_registry(Path(folder))
    said = [line.replace(".parquet", ".csv") for line in without_numbers(from_parquet.notices)]
    assert contents(replace(from_parquet, notices=said)) == contents(from_csv)
