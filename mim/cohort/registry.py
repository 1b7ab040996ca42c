"""Reading the registry: one folder of CSV or Parquet tables, checked cell by cell.

Every fault of every table is found in one run, and named in one line: file, row (as a spreadsheet
counts, the header being row 1), column and remedy. Cells are never printed: they may be
identifiers. What is checked stands in ``docs/registry.md``.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mim.cohort.contradictions import lost_rows, mixed_scores, odd_rows
from mim.schemas import registry as schemas
from mim.schemas.table import Schema, TableError
from mim.tables.given import ROW, Table, absent_table, read_given

NOTE = "note.txt"


@dataclass
class Registry:
    """The registry's tables; a table or optional column that was not given is empty.

    ``notices`` are lines for the user: what was ignored, and what is odd but allowed.
    """

    women: pl.DataFrame
    exams: pl.DataFrame
    readings: pl.DataFrame
    decisions: pl.DataFrame
    scores: pl.DataFrame
    cancers: pl.DataFrame
    outcomes: pl.DataFrame
    density: pl.DataFrame
    quality: pl.DataFrame
    landmarks: pl.DataFrame
    lesions: pl.DataFrame
    risk_factors: pl.DataFrame
    notices: list[str]


def read_registry(folder: Path) -> Registry:
    """Read and check every table of ``mim.schemas.registry`` in ``folder``.

    Raises:
        TableError: one line for each kind of fault of a table's column. A needed table or column
            is missing, a cell is empty or not of its kind, a key is there twice, or a row belongs
            to an exam or a woman that nobody knows.
    """
    if not folder.is_dir():
        raise TableError(f"{folder}: no such folder; expected the registry's tables")
    paths, faults = _find_tables(folder)
    tables: dict[str, Table] = {}
    for schema in schemas.REGISTRY:
        path = paths[schema]
        dated = paths[schemas.OUTCOMES] is None
        tables[schema.name] = (
            read_given(path, _with_dates(schema) if dated else schema)
            if path
            else absent_table(schema)
        )
        faults += tables[schema.name].faults
    faults += [*lost_rows(tables), *mixed_scores(tables["scores"])]
    if faults:
        raise TableError("\n".join(faults))
    notices = _ignored_files(folder, paths)
    notices += [notice for table in tables.values() for notice in table.notices]
    notices += odd_rows(tables)
    rows = {name: table.rows.drop(ROW) for name, table in tables.items()}
    return Registry(**rows, notices=notices)


def _find_tables(folder: Path) -> tuple[dict[Schema, Path | None], list[str]]:
    paths: dict[Schema, Path | None] = dict.fromkeys(schemas.REGISTRY)
    faults: dict[Schema, str] = {}
    for schema in schemas.REGISTRY:
        try:
            paths[schema] = schemas.find_table(folder, schema)
        except TableError as error:
            faults[schema] = str(error)
    lines = list(faults.values())
    if not any(paths[schema] or schema in faults for schema in schemas.EITHER):
        ways = ", or ".join(
            f"'{schema.name}': {schemas.how_to_write(schema)}" for schema in schemas.EITHER
        )
        lines.append(f"{folder}: one of two tables is needed: {ways}")
    return paths, lines


def _with_dates(schema: Schema) -> Schema:
    """The exams' schema where nothing but dates says what became of an exam."""
    columns = (
        replace(column, nullable=False) if column.name == "exam_date" else column
        for column in schema.columns
    )
    return replace(schema, columns=tuple(columns))


def _ignored_files(folder: Path, paths: dict[Schema, Path | None]) -> list[str]:
    """Tables by other names, with the name that may be meant."""
    absent = [schema.name for schema, path in paths.items() if path is None]
    used = {folder / NOTE, *paths.values()}
    ignored = []
    for path in sorted(folder.iterdir()):
        if path in used or path.suffix not in (*schemas.SUFFIXES, *schemas.OTHER_SUFFIXES):
            continue
        near = schemas.nearest(path.stem, absent)
        ignored.append(path.name + (f" (if '{near}' is meant, rename it)" if near else ""))
    what = f"not tables of the registry, ignored: {', '.join(ignored)}"
    return [f"{folder.name}: {what}"] if ignored else []
