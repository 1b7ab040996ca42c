"""Reading the registry: one folder of CSV or Parquet tables, checked cell by cell.

The first fault stops the reading with one line that names file, row (as a spreadsheet counts,
the header being row 1), column and remedy. Cells are never printed: they may be identifiers.
"""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.schemas import registry as schemas
from mim.schemas.table import Column, Schema, TableError

ROW = "row"
EARLIEST = date(1900, 1, 1)


@dataclass
class Registry:
    """The registry's tables; a table or optional column that was not given is empty.

    ``notices`` are lines for the user: what was ignored, and what is odd but allowed.
    """

    women: pl.DataFrame
    exams: pl.DataFrame
    readings: pl.DataFrame
    decisions: pl.DataFrame
    cancers: pl.DataFrame
    outcomes: pl.DataFrame
    density: pl.DataFrame
    quality: pl.DataFrame
    risk_factors: pl.DataFrame
    notices: list[str]


def read_registry(folder: Path) -> Registry:
    """Read and check every table of ``mim.schemas.registry`` in ``folder``.

    Raises:
        TableError: a needed table or column is missing, a cell is empty or not of its kind, a
            key is there twice, or a row belongs to an exam or a woman that nobody knows.
    """
    if not folder.is_dir():
        raise TableError(f"{folder}: no such folder; expected the registry's tables")
    paths = {schema.name: schemas.find_table(folder, schema) for schema in schemas.REGISTRY}
    notices = _ignored_files(
        folder, {folder / "note.txt", *(path for path in paths.values() if path)}
    )
    tables = {}
    for schema in schemas.REGISTRY:
        path = paths[schema.name]
        tables[schema.name] = _empty(schema) if path is None else _read(path, schema, notices)
    _check_links(tables, paths)
    strangers = tables["cancers"].join(tables["exams"], on="woman_id", how="anti").height
    if strangers:
        notices.append(f"cancers: {strangers} of women without an exam, not used")
    return Registry(**{name: table.drop(ROW) for name, table in tables.items()}, notices=notices)


def _ignored_files(folder: Path, used: set[Path]) -> list[str]:
    tables = sorted(
        p.name for p in folder.iterdir() if p.suffix in schemas.SUFFIXES and p not in used
    )
    return [f"{folder}: not tables of the registry, ignored: {', '.join(tables)}"] * bool(tables)


def _empty(schema: Schema) -> pl.DataFrame:
    table = pl.from_arrow(schema.arrow().empty_table())
    assert isinstance(table, pl.DataFrame)
    return table.with_row_index(ROW)


def _read(path: Path, schema: Schema, notices: list[str]) -> pl.DataFrame:
    raw = _read_text(path)
    known = [column.name for column in schema.columns]
    if extra := [name for name in raw.columns if name not in known]:
        notices.append(f"{path}: unknown columns, ignored: {', '.join(extra)}")
    for column in schema.columns:
        if column.required and column.name not in raw.columns:
            raise TableError(
                f"{path}: column '{column.name}' ({column.meaning}) is missing; "
                f"the table needs the columns {schemas.needed_columns(schema)}"
            )
    raw = raw.select(name for name in known if name in raw.columns).with_row_index(ROW, offset=2)
    raw = raw.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    types = _empty(schema).schema
    table = raw.select(
        raw[ROW],
        *(
            _parse(path, raw[c.name], raw[ROW], c).cast(types[c.name])
            if c.name in raw.columns
            else pl.lit(None, types[c.name]).alias(c.name)
            for c in schema.columns
        ),
    )
    _check_unique(path, table, schema.key)
    if schema is schemas.EXAMS:
        if table.is_empty():
            raise TableError(f"{path}: no exam in it; add the exams, one a row")
        _check_unique(path, table.drop_nulls("study_uid"), ("study_uid",))
    return table


def _read_text(path: Path) -> pl.DataFrame:
    """The table with every cell as stripped text; an empty cell is missing."""
    try:
        if path.suffix == ".csv":
            table = pl.read_csv(path, infer_schema=False)
        else:
            table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: cannot be read; {_why(path, error)}") from error
    if len(table.columns) == 1 and ";" in table.columns[0]:
        raise TableError(f"{path}: columns are separated by ';'; write it with commas")
    for name, kind in table.schema.items():
        if kind.is_float() and name.endswith(("_id", "_uid")):
            raise TableError(
                f"{path}: column '{name}' holds floating-point numbers; write it as text"
            )
        if isinstance(kind, pl.Datetime):
            table = table.with_columns(pl.col(name).cast(pl.Date))
    text = pl.all().cast(pl.String).str.strip_chars()
    table = table.select(text.replace("", None))
    return table.rename({name: name.strip() for name in table.columns})


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


def _parse(path: Path, text: pl.Series, rows: pl.Series, column: Column) -> pl.Series:
    if not column.nullable and (empty := rows.filter(text.is_null())).len():
        raise TableError(
            f"{_where(path, empty, column.name)} is empty; "
            f"fill in {column.meaning}, or remove the row"
        )
    values, expected = _typed(text, column)
    if (bad := rows.filter(text.is_not_null() & values.is_null())).len():
        raise TableError(f"{_where(path, bad, column.name)} is not {expected}; correct it")
    if column.values is not None:
        allowed = [str(value) for value in column.values]
        if (bad := rows.filter(~values.cast(pl.String).is_in(allowed).fill_null(True))).len():
            raise TableError(
                f"{_where(path, bad, column.name)} is none of {', '.join(allowed)}; correct it"
            )
    return values


def _where(path: Path, rows: pl.Series, column: str) -> str:
    more = f" (and {rows.len() - 1} more rows)" if rows.len() > 1 else ""
    return f"{path}: row {rows[0]}{more}, column '{column}'"


def _typed(text: pl.Series, column: Column) -> tuple[pl.Series, str]:
    """The cells as ``column.type`` (missing where they are not), and what was expected."""
    if column.type == pa.date32():
        day = text.str.to_date("%Y-%m-%d", strict=False)
        fits = text.str.contains(r"^\d{4}-\d{2}-\d{2}$") & day.is_between(EARLIEST, date.today())
        return _keep(day, fits), f"a day as YYYY-MM-DD, from {EARLIEST} to today"
    if column.type == pa.bool_():
        words = {"true": True, "1": True, "false": False, "0": False}
        flag = text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        return flag, "true or false"
    if column.type == pa.float64():
        number = text.cast(pl.Float64, strict=False)
        return _keep(number, number.is_finite()), "a number with a decimal point"
    if column.type == pa.int32():
        number = text.cast(pl.Float64, strict=False)
        fits = number.is_finite() & (number == number.round()) & (number.abs() < 2**31)
        return _keep(number, fits).cast(pl.Int32), "a whole number"
    return text, "text"


def _keep(values: pl.Series, fits: pl.Series) -> pl.Series:
    return pl.select(pl.when(fits).then(values).alias(values.name)).to_series()


def _check_unique(path: Path, table: pl.DataFrame, key: tuple[str, ...]) -> None:
    again = table.filter(~pl.struct(key).is_first_distinct())[ROW]
    if again.len():
        first = table.join(table.filter(row=again[0]), on=key, how="semi")[ROW][0]
        raise TableError(
            f"{_where(path, again, ', '.join(key))} repeats row {first}; keep one of them"
        )


def _check_links(tables: dict[str, pl.DataFrame], paths: dict[str, Path | None]) -> None:
    """Every row but a cancer's belongs to an exam, and every exam to a woman if women are given."""
    links = [(name, "exam_id", "exams") for name in ("readings", "decisions", "density", "quality")]
    if paths["women"]:
        links.append(("exams", "woman_id", "women"))
    for name, column, owner in links:
        path = paths[name]
        lost = tables[name].join(tables[owner], on=column, how="anti")[ROW].sort()
        if path and lost.len():
            raise TableError(
                f"{_where(path, lost, column)} is not in the table '{owner}'; "
                f"add it there, or remove the row"
            )
