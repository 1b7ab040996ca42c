"""A given table's file as columns, before any cell is looked at; what is no such file is named."""

import csv
from pathlib import Path

import polars as pl

from mim.schemas.registry import SUFFIXES
from mim.schemas.table import TableError

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "'|'"}

UTF_16 = "it is UTF-16; save it as CSV UTF-8"
OTHER_FORMATS = {
    b"PK\x03\x04": "it is an Excel file; save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "it is an Excel file; save it as CSV UTF-8",
    b"PAR1": "it is Parquet; name it .parquet",
    b"\xff\xfe": UTF_16,
    b"\xfe\xff": UTF_16,
}
"""First bytes of files that are named .csv and are none."""


def open_table(path: Path) -> pl.DataFrame:
    """The file's columns by their names without blanks around them.

    Text is stripped, and missing where nothing is left. CSV is text throughout, Parquet has its
    own types.

    Raises:
        TableError: the file is not CSV or Parquet, or two columns have one name.
    """
    try:
        if path.suffix not in SUFFIXES:
            raise TableError(
                f"{path}: tables are read from CSV and Parquet alone; save it as CSV UTF-8, named .csv"
            )
        if path.suffix == ".csv":
            _check_csv(path)
            table = pl.read_csv(path, infer_schema=False)
        else:
            table = pl.read_parquet(path, use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: cannot be read; {_why(path, error)}") from error
    names = [name.strip() for name in table.columns]
    if len(set(names)) < len(names):
        raise TableError(f"{path}: two columns have one name; rename or remove one of them")
    table.columns = names
    return table.with_columns(_stripped(column) for column in table if _is_text(column))


def _is_text(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)


def _stripped(cells: pl.Series) -> pl.Series:
    text = cells.cast(pl.String).str.strip_chars()
    return text.replace("", None) if (text.str.len_bytes() == 0).any() else text


def _check_csv(path: Path) -> None:
    """What polars would misread without a word, or would blame on something else."""
    with path.open("rb") as file:
        start = file.read(4096)
    for signature, what in OTHER_FORMATS.items():
        if start.startswith(signature):
            raise TableError(f"{path}: {what}")
    if b"\0" in start:
        raise TableError(f"{path}: {UTF_16}")
    header = start.decode("utf-8-sig", errors="ignore").splitlines()[:1]
    names = [name.strip() for name in next(csv.reader(header), [])]
    if len(set(names)) < len(names):
        raise TableError(f"{path}: two columns have one name; rename or remove one of them")
    if header and header[0].lower().startswith("sep="):
        raise TableError(f"{path}: the first line is a word to Excel; delete that line")
    for separator, what in SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise TableError(f"{path}: columns are separated by {what}; write it with commas")


def _why(path: Path, error: Exception) -> str:
    """The fault and its remedy; a CSV row with too many cells is looked up for its number."""
    if isinstance(error, pl.exceptions.NoDataError):
        return "the file is empty; write at least the header"
    if path.suffix != ".csv":
        return "it is not Parquet; write it again"
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.reader(lines)
            width = len(next(rows))
            for number, cells in enumerate(rows, start=2):
                if len(cells) > width:
                    return (
                        f"row {number} has {len(cells)} cells and the header {width}; "
                        "put cells that contain a comma in double quotes"
                    )
    except UnicodeDecodeError:
        return "it is not UTF-8; save it as CSV UTF-8"
    except (csv.Error, OSError):
        pass
    return "it is not CSV with commas and double quotes; write it again"
