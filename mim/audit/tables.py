"""A cohort's files, read for an audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mim.evaluate.attrition import Step, table_steps
from mim.schemas.cohort import ATTRITION, EXAMS, IMAGES, read_about
from mim.schemas.table import Schema, TableError, damaged, lacks_column, read_table
from mim.vocab import VIEW_SLOTS

UNUSED = {"joined_by", "recalled", "density"}
"""Columns of the exams that no check looks at."""


@dataclass(frozen=True)
class Cohort:
    """What ``mim cohort`` wrote.

    Attributes:
        exams: rows of ``mim.schemas.cohort.EXAMS`` with ``row``, their number, and ``cancer``:
            whether either breast has a cancer, False where both are known to have none, else
            missing.
        images: ``image``, the ``row`` of its exam (missing: it has none; of exams of one name
            the first) and ``slot``, the view's place in ``VIEW_SLOTS`` (after the last: no view
            of a screening exam). Numbers, for there are millions.
        steps: what each step was given, left out and kept.
        about: ``cohort.json``.
    """

    exams: pl.DataFrame
    images: pl.DataFrame
    steps: tuple[Step, ...]
    about: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of ``mim cohort``, by room and name."""
        settings: dict[str, Any] = self.about["settings"]
        return settings

    @cached_property
    def views(self) -> NDArray[np.int64]:
        """How many images each exam has of each view, [exam, slot]."""
        slots = len(VIEW_SLOTS) + 1
        placed = self.images.drop_nulls("row")
        places = placed["row"].to_numpy().astype(np.int64) * slots + placed["slot"].to_numpy()
        return np.bincount(places, minlength=self.exams.height * slots).reshape(-1, slots)


def read_cohort(folder: Path) -> Cohort:
    """Read ``exams.parquet``, ``images.parquet``, ``attrition.parquet`` and ``cohort.json``.

    Raises:
        InputError: one of them is missing or damaged, or of another version of mim.
    """
    about = read_about(folder)
    names = [name for name in EXAMS.arrow().names if name not in UNUSED]
    path = folder / "exams.parquet"
    exams = scan_table(path, EXAMS, names).collect().with_row_index("row")
    _require_words(exams, path)
    images = scan_table(folder / "images.parquet", IMAGES, ("image", "exam", "laterality", "view"))
    steps = table_steps(read_table(folder / "attrition.parquet", ATTRITION))
    return Cohort(
        exams.with_columns(cancer=pl.col("left_cancer") | pl.col("right_cancer")),
        _numbered(images, exams),
        tuple(steps),
        about,
    )


def _require_words(exams: pl.DataFrame, path: Path) -> None:
    for column in EXAMS.columns:
        if column.values is None or column.name in UNUSED:
            continue
        strange = ~exams[column.name].drop_nulls().is_in(column.values)
        if strange.any():
            raise TableError(
                f"{path}: column '{column.name}' has {strange.sum()} values that are none of "
                f"{', '.join(column.values)}; write it again"
            )


def _numbered(images: pl.LazyFrame, exams: pl.DataFrame) -> pl.DataFrame:
    """``Cohort.images``, read in pieces."""
    rows = exams.lazy().select("exam", "row").unique("exam", keep="first", maintain_order=True)
    places = {f"{side} {view}": place for place, (side, view) in enumerate(VIEW_SLOTS)}
    slot = pl.concat_str("laterality", pl.lit(" "), "view").replace_strict(
        places, default=len(places), return_dtype=pl.Int8
    )
    return (
        images.select("image", "exam", slot=slot)
        .join(rows, on="exam", how="left", maintain_order="left")
        .select("image", "row", "slot")
        .collect(engine="streaming")
    )


def scan_table(path: Path, schema: Schema, columns: Sequence[str]) -> pl.LazyFrame:
    """Some columns of a table that mim wrote, unread, of types as Polars knows them.

    Raises:
        TableError: the file is missing or damaged, or lacks a column, or one is of another type.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file; expected the table '{schema.name}'")
    try:
        there = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(path) from error
    if missing := [name for name in columns if name not in there]:
        raise lacks_column(path, schema, missing[0])
    wanted = pl.DataFrame(schema.arrow().empty_table()).schema
    for name in columns:
        if there[name] != wanted[name]:
            raise TableError(
                f"{path}: column '{name}' is {there[name]}, expected {wanted[name]}; write it again"
            )
    return pl.scan_parquet(path).select(columns)
