"""Which images of the index the cohort uses: at most one of each view of each exam."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from tqdm import tqdm

from mim.cohort.join import STUDY
from mim.dicom.screening import choose_screening_images
from mim.errors import InputError
from mim.schemas.table import TableError
from mim.vocab import Reason

COLUMNS = (
    *("path", "reason", "detail", "image", *STUDY),
    *("sop_uid", "acquired", "maker", "laterality", "view", "view_modifiers", "age_years"),
    *("kind", "presentation"),
)
"""What the cohort reads of the index's rows; all of them would fill the memory at full size."""

CHUNK = 100_000
"""Rows turned into Python objects at a time."""


def require_index(index: Path) -> None:
    """Refuse a folder that no finished run of ``mim index`` left (``InputError``)."""
    if not (index / "index.json").is_file():
        raise InputError(f"{index / 'index.json'}: no index here; make it with 'mim index'")


def read_index_images(index: Path) -> pl.DataFrame:
    """``COLUMNS`` of an index's ``images/`` (``TableError`` where it cannot serve)."""
    return scan_index_images(index, COLUMNS).collect()


def scan_index_images(index: Path, columns: Sequence[str]) -> pl.LazyFrame:
    """``columns`` of an index's ``images/``, unread (``TableError`` where it cannot serve)."""
    path = index / "images"
    parts = sorted(path.glob("part-*.parquet"))
    if not parts:
        raise TableError(f"{path}: holds no table; make the index with 'mim index'")
    there = pq.read_schema(parts[0]).names
    if missing := [column for column in columns if column not in there]:
        raise TableError(f"{path}: column '{missing[0]}' is missing; make the index again")
    return pl.scan_parquet(parts).select(columns)


def choose_images(
    images: pl.DataFrame, exams: pl.DataFrame, stand_ins: Collection[Reason] = ()
) -> pl.DataFrame:
    """The index's usable images, each with its exam and why the cohort leaves it out.

    Images that the index left out for a reason of ``stand_ins`` count as usable too.

    ``images``: rows of the index. ``exams``: one row per study that joined, with ``exam`` (the
    study's pseudonym), ``exam_id`` and ``after_diagnosis``. The result has ``exam_id`` and
    ``left_out`` (missing: the cohort uses the image) beside the index's columns.
    """
    usable = (
        images.filter(pl.col("reason").is_null() | pl.col("reason").is_in(list(stand_ins)))
        .join(exams.select("exam", "exam_id", "after_diagnosis"), on="exam", how="left")
        .with_columns(
            left_out=pl.when(pl.col("exam_id").is_null())
            .then(pl.lit(Reason.NO_REGISTRY_EXAM.value))
            .when("after_diagnosis")
            .then(pl.lit(Reason.AFTER_DIAGNOSIS.value))
        )
        .sort("exam_id", "path")
    )
    candidates = usable.filter(pl.col("left_out").is_null()).drop("left_out")
    rest = usable.filter(pl.col("left_out").is_not_null())
    return pl.concat([candidates.with_columns(left_out=_choose(candidates, stand_ins)), rest])


def _choose(candidates: pl.DataFrame, stand_ins: Collection[Reason]) -> pl.Series:
    """For each row (sorted by exam) why it is left out, if it is."""
    marks: list[str | None] = [None] * candidates.height
    chosen = 0
    with tqdm(total=candidates.height, desc="choosing views", unit="image") as progress:
        for _, group in groupby(_rows(candidates), key=lambda row: row["exam_id"]):
            rows = list(group)
            kept, left = choose_screening_images(rows, stand_ins)
            for row, reason, _ in left:
                marks[row["row"]] = reason.value
            chosen += len(kept)
            progress.update(len(rows))
    assert chosen == marks.count(None), "an image was neither chosen nor left out"
    return pl.Series("left_out", marks, pl.String)


def _rows(frame: pl.DataFrame) -> Iterator[dict[str, object]]:
    return frame.with_row_index("row").iter_rows(named=True, buffer_size=CHUNK)
