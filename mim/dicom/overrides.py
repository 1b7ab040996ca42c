"""The table that replaces what headers say, for files that were stripped or are known to lie."""

import csv
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mim.errors import InputError
from mim.vocab import Kind, Laterality, Maker, Presentation, View

Given = dict[str, object]
"""Columns of the index, by name, that the table decides for one file."""


def _text(cell: str) -> str:
    return cell


def _day(cell: str) -> date:
    if len(cell) == 8 and cell.isdigit():
        return datetime.strptime(cell, "%Y%m%d").date()
    return date.fromisoformat(cell)


class Meaning(NamedTuple):
    """How the cells of a column are read, and what they may be, in words."""

    read: Callable[[str], object]
    expected: str


def _one_of(words: type[StrEnum]) -> Meaning:
    return Meaning(words, f"one of {', '.join(words)}")


COLUMNS = {
    "patient_id": Meaning(_text, "text"),
    "study_uid": Meaning(_text, "text"),
    "accession_number": Meaning(_text, "text"),
    "study_date": Meaning(_day, "a day as 2015-09-29"),
    "laterality": _one_of(Laterality),
    "view": _one_of(View),
    "kind": _one_of(Kind),
    "presentation": _one_of(Presentation),
    "modality": Meaning(_text, "text"),
    "maker": _one_of(Maker),
}


def read_overrides(path: Path) -> dict[str, Given]:
    """What the table gives for each file, by the file's path below the indexed folder.

    The table is CSV (comma, UTF-8, with a header line) or Parquet: a column ``path`` and any of
    ``COLUMNS``. Empty cells give nothing, and rows may be in any order.

    Raises:
        InputError: the file cannot be read, a column is unknown, a cell holds what its column
            cannot, a path is missing, not relative, or there twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected the table of overrides")
    names, rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    if "path" not in names:
        raise InputError(f"{path}: column 'path' is missing; it names the file of each row")
    for name in names:
        if name != "path" and name not in COLUMNS:
            raise InputError(f"{path}: column '{name}' is unknown; expected {', '.join(COLUMNS)}")
    given: dict[str, Given] = {}
    for place, row in rows:
        file = _below(path, place, row.pop("path"))
        if file in given:
            raise InputError(f"{path}: {place}: path '{file}' is there twice; keep one row")
        given[file] = {name: _cell(path, place, name, cell) for name, cell in row.items() if cell}
    return given


Rows = list[tuple[str, dict[str, str]]]
"""Where each row stands, and its cells by column."""


def _csv(path: Path) -> tuple[list[str], Rows]:
    rows: Rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = [name.strip() for name in next(reader, [])]
            for cells in reader:
                place = f"line {reader.line_num}"
                if cells and len(cells) != len(names):
                    raise InputError(
                        f"{path}: {place}: {len(cells)} cells; the header has {len(names)}"
                    )
                if any(cells):
                    rows.append((place, dict(zip(names, map(str.strip, cells), strict=True))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8: {error}") from None
    return names, rows


def _parquet(path: Path) -> tuple[list[str], Rows]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
    rows = [
        (f"row {number}", {name: "" if cell is None else str(cell) for name, cell in row.items()})
        for number, row in enumerate(table.to_pylist(), 1)
    ]
    return table.column_names, rows


def _below(path: Path, place: str, cell: str) -> str:
    file = PurePosixPath(cell)
    if not cell or file.is_absolute() or ".." in file.parts:
        raise InputError(
            f"{path}: {place}: path '{cell}' must be the path below the indexed folder, with /"
        )
    return str(file)


def _cell(path: Path, place: str, name: str, cell: str) -> object:
    try:
        return COLUMNS[name].read(cell)
    except ValueError:
        raise InputError(
            f"{path}: {place}: column '{name}' holds '{cell}'; expected {COLUMNS[name].expected}"
        ) from None
