"""What a table is: named, typed, documented columns, checked on reading and before writing."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mim.errors import InputError


class TableError(InputError):
    """A table breaks its schema. The message names the file, the column and the remedy."""


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and whether a value may be missing.

    ``values`` closes the set of allowed values; ``required`` False lets a registry table go
    without the column.
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True
    values: tuple[str, ...] | None = None
    required: bool = True


@dataclass(frozen=True)
class Schema:
    """A table's name, columns and key (the columns that together name a row)."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def arrow(self) -> pa.Schema:
        """The Arrow schema, with each column's meaning in its metadata."""
        return pa.schema(
            [pa.field(c.name, c.type, c.nullable, {"meaning": c.meaning}) for c in self.columns],
            {"table": self.name},
        )

    def from_rows(self, rows: list[dict[str, object]]) -> pa.Table:
        """Rows (dictionaries; a missing key is a missing value) as a table of this schema."""
        return pa.Table.from_pylist(rows, schema=self.arrow())


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet so that ``path`` holds either the whole table or what it held before."""
    with whole_file(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def read_table(path: Path, schema: Schema) -> pa.Table:
    """Read a Parquet table that mim wrote, one file or a folder of ``part-*.parquet``.

    Raises:
        TableError: the file is missing or damaged, or its columns are not those of ``schema``.
    """
    if not path.is_file() and not any(path.glob("part-*.parquet")):
        raise TableError(f"{path}: no such file; expected the table '{schema.name}'")
    wanted = schema.arrow()
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise damaged(path) from error
    if missing := [name for name in wanted.names if name not in table.column_names]:
        raise lacks_column(path, schema, missing[0])
    return table.select(wanted.names).cast(wanted)


def lacks_column(path: Path, schema: Schema, column: str) -> TableError:
    """The error of a table that mim wrote before it knew a column."""
    return TableError(
        f"{path}: column '{column}' is missing from the table '{schema.name}'; "
        "it was written by another version of mim: write it again"
    )


def damaged(path: Path) -> TableError:
    """The error of a file that is no Parquet, or is cut short."""
    return TableError(f"{path}: no Parquet, or cut short; write its folder again")


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes so that ``path`` holds either all of them or what it held before."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(data)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``path`` at the end, or nothing where the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two machines may write one file at once, and their processes may have one number.
    name = f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.unfinished"
    unfinished = path.with_name(name)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON, whole or not at all."""
    write_whole(path, f"{json.dumps(content, indent=2)}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that mim wrote.

    Raises:
        InputError: the file is missing or no JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; is {path.parent} the folder meant?")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no JSON ({error}); write its folder again") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: no JSON object; write its folder again")
    return found
