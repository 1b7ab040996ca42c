"""The table of overrides: what it gives, and how it says what is wrong with it."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mim.dicom.overrides import COLUMNS, read_overrides
from mim.errors import InputError
from mim.ingest.settings import IndexSettings
from mim.vocab import Laterality, Maker, View

TABLE = """path,patient_id,study_date,laterality,view,maker
a/1.dcm,P1,2020-01-31,L,CC,ge
./a/2.dcm,,20200131,R,,

"a/3, old.dcm",P2,,,MLO,unknown
"""

MEANING = {
    "a/1.dcm": {
        "patient_id": "P1",
        "study_date": date(2020, 1, 31),
        "laterality": Laterality.LEFT,
        "view": View.CC,
        "maker": Maker.GE,
    },
    "a/2.dcm": {"study_date": date(2020, 1, 31), "laterality": Laterality.RIGHT},
    "a/3, old.dcm": {"patient_id": "P2", "view": View.MLO, "maker": Maker.UNKNOWN},
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_table_gives_its_filled_cells(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "overrides.csv"
    path.write_bytes(TABLE.replace("\n", end).encode(encoding))
    assert read_overrides(path) == MEANING


def test_a_parquet_table_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "overrides.parquet"
    rows = [{"path": file, **given} for file, given in MEANING.items()]
    fields = [pa.field(name, pa.string()) for name in ("path", *COLUMNS) if name != "study_date"]
    schema = pa.schema([*fields, pa.field("study_date", pa.date32())])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    assert read_overrides(path) == MEANING


WRONG = [
    # the table, what the message says
    ("file,view\na,CC\n", r"column 'path' is missing"),
    ("path,veiw\na,CC\n", r"column 'veiw' is unknown; expected patient_id, .*view"),
    ("path,view\na,CC\nb,cc\n", r"line 3: column 'view' holds 'cc'; expected one of CC, MLO"),
    (
        "path,laterality\na,left\n",
        r"line 2: column 'laterality' holds 'left'; expected one of L, R",
    ),
    ("path,study_date\na,31.01.2020\n", r"'31.01.2020'; expected a day as 2015-09-29"),
    ("path,study_date\na,20200132\n", r"'20200132'; expected a day"),
    ("path,view\na,CC\n./a,MLO\n", r"line 3: path 'a' is there twice"),
    ("path,view\n/a,CC\n", r"line 2: path '/a' must be the path below"),
    ("path,view\n../a,CC\n", r"path '../a' must be the path below"),
    ("path,view\n,CC\n", r"line 2: path '' must be the path below"),
    ("path,view\na,CC,L\n", r"line 2: 3 cells; the header has 2"),
    ('path,view\n"a,CC\n', r"cannot be read as CSV"),
    ("", r"column 'path' is missing"),
]


@pytest.mark.parametrize(("table", "message"), WRONG)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(table)
    with pytest.raises(InputError, match=message) as error:
        read_overrides(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["overrides.csv", "overrides.parquet"])
def test_files_that_are_no_tables_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="no such file"):
        read_overrides(path)
    path.write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(InputError, match="cannot be read as"):
        read_overrides(path)


def test_the_help_text_names_the_columns() -> None:
    import inspect

    source = inspect.getsource(IndexSettings)
    assert all(column in source for column in COLUMNS)
