"""One table that a user gives: its file, columns, cells and keys, with every fault of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mim.schemas import registry as schemas
from mim.schemas.table import Schema, TableError
from mim.tables.cells import Fault, read_cells
from mim.tables.files import open_table
from mim.vocab import Landmark

ROW = "row"
"""Number of a row as a spreadsheet counts, the header being row 1."""


@dataclass
class Table:
    """A table as it was found; ``path`` None: it was not given.

    ``rows`` has the schema's columns and types, and ``row``. Cells that were empty or at fault are
    missing; so is every cell of the columns in ``unread``.
    """

    path: Path | None
    rows: pl.DataFrame
    unread: set[str]
    faults: list[str]
    notices: list[str]


def absent_table(schema: Schema) -> Table:
    """A table that was not given: no rows."""
    table = pl.from_arrow(schema.arrow().empty_table())
    assert isinstance(table, pl.DataFrame)
    return Table(None, table.with_row_index(ROW), set(), [], [])


def read_given(path: Path, schema: Schema, beside: Schema | None = None) -> Table:
    """Read one file and check it by itself; faults are listed, not raised.

    Args:
        path: the file.
        schema: what is read of it.
        beside: another table that the same file may hold; its columns are not unknown.
    """
    table = absent_table(schema)
    table.path, table.unread = path, {column.name for column in schema.columns}
    try:
        raw = open_table(path)
    except TableError as error:
        table.faults.append(str(error))
        return table
    if not table.unread.intersection(raw.columns):
        table.faults.append(
            f"{path}: the first row names no column of the table '{schema.name}'; "
            f"it needs {schemas.needed_columns(schema)}"
        )
        return table
    known = {column.name for column in beside.columns} if beside else set[str]()
    names = [name for name in raw.columns if name in table.unread or name not in known]
    _compare_columns(table, schema, names)
    raw = raw.select(name for name in raw.columns if name in table.unread)
    blank = raw.select(pl.all_horizontal(pl.all().is_null())).to_series()
    raw = raw.with_row_index(ROW, offset=2)
    faults = _read_columns(table, schema, raw.filter(~blank) if blank.any() else raw)
    _find_repeats(table, schema.key, faults)
    if schema.name == schemas.LANDMARKS.name:
        _find_half_places(table, faults)
    if schema.name == schemas.EXAMS.name:
        if table.rows.is_empty():
            table.faults.append(f"{path}: no exam in it; add the exams, one a row")
        _find_repeats(table, ("study_uid",), faults)
    return table


def locate(rows: pl.Series) -> str:
    """Numbers of rows in words: the first one, and how many more."""
    first = rows.min()
    assert isinstance(first, int)
    return f"row {first} and {rows.len() - 1} more" if rows.len() > 1 else f"row {first}"


def _compare_columns(table: Table, schema: Schema, names: list[str]) -> None:
    """Columns that are missing or too many, each with the name that was meant, if one is near."""
    assert table.path is not None
    extra = set(names) - table.unread
    absent = [column for column in schema.columns if column.name not in names]
    for column in absent:
        if not column.required:
            continue
        near = schemas.nearest(column.name, extra)
        hint = f"; is it '{near}'? then rename that" if near else "; add it"
        table.faults.append(
            f"{table.path}: column '{column.name}' ({column.meaning}) is missing{hint}"
        )
    said = [column.name for column in schema.columns if column.name not in schema.key]
    if schema in schemas.MORE_THAN_A_KEY and not set(said).intersection(names):
        like = [name for name in sorted(extra) if schemas.nearest(name, said)]
        hint = f"is '{like[0]}' one of them? then rename that" if like else "add one of them"
        table.faults.append(f"{table.path}: has none of the columns {', '.join(said)}; {hint}")
    if extra:
        ignored = (_with_hint(name, [column.name for column in absent]) for name in sorted(extra))
        table.notices.append(f"{table.path.name}: unknown columns, ignored: {', '.join(ignored)}")


def _with_hint(name: str, names: Iterable[str]) -> str:
    near = schemas.nearest(name, names)
    return f"{name} (if '{near}' is meant, rename it)" if near else name


def _read_columns(table: Table, schema: Schema, raw: pl.DataFrame) -> dict[str, list[Fault]]:
    """Fill in ``rows`` and ``unread``, and say what is at fault with the cells of each column."""
    faults: dict[str, list[Fault]] = {}
    values = {ROW: raw[ROW]}
    for column in schema.columns:
        name = column.name
        if name in raw.columns:
            read, faults[name] = read_cells(raw[name], raw[ROW], column)
            if read is not None:
                values[name] = read
                table.unread.remove(name)
        elif not column.required:
            table.unread.remove(name)
        for fault in faults.get(name, []):
            where = f"{locate(fault.rows)}, " if fault.rows.len() else ""
            table.faults.append(f"{table.path}: {where}column '{name}' {fault.what}")
    table.rows = pl.DataFrame(values).select(
        pl.col(name).cast(kind) if name in values else pl.lit(None, kind).alias(name)
        for name, kind in table.rows.schema.items()
    )
    return faults


def _find_repeats(table: Table, key: tuple[str, ...], faults: dict[str, list[Fault]]) -> None:
    """Rows whose key an earlier row has; rows at fault in their key and empty keys have none."""
    if table.unread.intersection(key):
        return
    keys = table.rows.select(ROW, *key)
    keys = keys.filter(~pl.all_horizontal(pl.col(key).is_null()))
    if spoilt := [fault.rows for name in key for fault in faults.get(name, [])]:
        keys = keys.filter(~pl.col(ROW).is_in(pl.concat(spoilt).implode()))
    # Millions of keys are compared by their hashes; only where some are equal, by themselves.
    if keys.select(key).hash_rows().n_unique() == keys.height:
        return
    again = keys.filter(~pl.struct(key).is_first_distinct())
    if again.height:
        first = keys.join(again.head(1), on=key, how="semi", nulls_equal=True)[ROW][0]
        table.faults.append(
            f"{table.path}: {locate(again[ROW])}, column '{', '.join(key)}' repeats row {first}; "
            "keep one of them"
        )


def _find_half_places(table: Table, faults: dict[str, list[Fault]]) -> None:
    """Landmarks with a column and no row, or a row and no column, that is not at fault itself."""
    for name in Landmark:
        both = (f"{name}_x", f"{name}_y")
        for there, lacking in (both, both[::-1]):
            half = table.rows.filter(pl.col(there).is_not_null() & pl.col(lacking).is_null())[ROW]
            for fault in faults.get(lacking, []):
                half = half.filter(~half.is_in(fault.rows.implode()))
            if half.len() and lacking not in table.unread:
                table.faults.append(
                    f"{table.path}: {locate(half)}, column '{lacking}' is empty where '{there}' "
                    "is not; fill in both, or neither"
                )
