"""The registry's tables with the names and the shifted dates of the pseudonymised images."""

import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mim.errors import InputError
from mim.pseudonyms.aliases import Aliases
from mim.schemas.registry import REGISTRY, SUFFIXES, find_table
from mim.schemas.table import Column, Schema, write_table, write_whole


def cover_registry(folder: Path, out: Path, aliases: Aliases) -> None:
    """Write the tables of ``mim.schemas.registry`` that ``folder`` holds, CSV or Parquet as they are.

    Identifiers become those of the pseudonymised files, dates move by each woman's days, and rows are
    sorted anew. Columns and tables that the schemas do not have are dropped and named.

    Raises:
        InputError: a needed table or column is missing or cannot be read, a cell is not of its kind,
            or a row with a date belongs to no woman.
    """
    if not folder.is_dir():
        raise InputError(f"registry={folder}: no such folder; expected the registry's tables")
    paths = {schema.name: find_table(folder, schema) for schema in REGISTRY}
    for other in sorted(folder.iterdir()):
        if other.suffix in SUFFIXES and other not in paths.values():
            print(f"{other}: no table of the registry, dropped")
    for schema in REGISTRY:
        if path := paths[schema.name]:
            table = _covered(path, schema, aliases)
            _write(table, out / path.name)


def _covered(path: Path, schema: Schema, aliases: Aliases) -> pa.Table:
    cells = _read(path)
    known = [column for column in schema.columns if column.name in cells.column_names]
    if extra := sorted(set(cells.column_names) - {column.name for column in known}):
        print(f"{path}: columns dropped: {', '.join(extra)}")
    for column in schema.columns:
        if column.required and column not in known:
            raise InputError(
                f"{path}: column '{column.name}' ({column.meaning}) is missing; add it"
            )
    columns = {column.name: _covered_column(path, column, cells, aliases) for column in known}
    fields = [pa.field(column.name, column.type) for column in known]
    table = pa.table(columns, schema=pa.schema(fields))
    return table.sort_by([(name, "ascending") for name in schema.key])


def _covered_column(path: Path, column: Column, cells: pa.Table, aliases: Aliases) -> pa.Array:
    """One column as its type, with pseudonyms or shifted dates where it holds such."""
    names: dict[str, Callable[[str], object]] = {
        "woman_id": aliases.woman,
        "exam_id": aliases.exam,
        "study_uid": aliases.uid,
        "sop_uid": aliases.uid,
        "reader": partial(aliases.other, "reader"),
        "site": partial(aliases.other, "site"),
    }
    if alias := names.get(column.name):
        return _mapped(cells[column.name], alias, pa.string())
    values = _typed(path, column, cells[column.name])
    if column.type != pa.date32():
        return values
    days = _mapped(cells["woman_id"], aliases.days, pa.int32())
    if lost := pc.sum(pc.and_(pc.is_valid(values), pc.is_null(days))).as_py():
        raise InputError(f"{path}: {lost} rows have a date and no woman_id; fill it in")
    return pc.subtract(values.cast(pa.int32()), days).cast(pa.date32())


def _mapped(cells: pa.Array, alias: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """``alias`` of every cell; each different one is asked for once."""
    coded = cells.combine_chunks().dictionary_encode()
    named = pa.array([alias(value) for value in coded.dictionary.to_pylist()], kind)
    return named.take(coded.indices)


def _typed(path: Path, column: Column, cells: pa.Array) -> pa.Array:
    """Text as the column's type. Errors quote no cell: it may be an identifier in a wrong place."""
    allowed = [str(value) for value in column.values or ()]
    fits = pc.is_in(cells, pa.array(allowed, pa.string())) if allowed else pc.is_valid(cells)
    if column.type == pa.date32():
        fits = pc.match_substring_regex(cells, r"^\d{4}-\d{2}-\d{2}$")
    try:
        if pc.any(pc.invert(pc.fill_null(pc.or_(fits, pc.is_null(cells)), True))).as_py():
            raise pa.ArrowInvalid
        if pa.types.is_integer(column.type):
            cells = cells.cast(pa.float64())
        return cells.cast(column.type).combine_chunks()
    except pa.ArrowInvalid:
        raise InputError(
            f"{path}: column '{column.name}' holds a cell that is not {_expected(column)}; "
            "`mim cohort` on the original names the row"
        ) from None


def _expected(column: Column) -> str:
    if column.values:
        return f"one of {', '.join(map(str, column.values))}"
    return "a day as YYYY-MM-DD" if column.type == pa.date32() else f"{column.type}"


def _read(path: Path) -> pa.Table:
    """The table with every cell as stripped text; an empty cell is missing."""
    try:
        table = _read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as {path.suffix[1:]}; write it again") from None
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_floating(column.type) and name.endswith(("_id", "_uid")):
            raise InputError(f"{path}: column '{name}' holds floating-point numbers; write text")
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.date32())
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        columns[name.strip()] = pc.if_else(pc.equal(text, ""), None, text)
    return pa.table(columns)


def _read_csv(path: Path) -> pa.Table:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        names = next(csv.reader(lines), [])
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pa.csv.read_csv(path, convert_options=options)


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        write_table(table, path)
        return
    text = io.BytesIO()
    pa.csv.write_csv(table, text)
    write_whole(path, text.getvalue())
