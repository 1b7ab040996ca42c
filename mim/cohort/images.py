"""Which images of the index the cohort uses: at most one of each view of each exam."""

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from tqdm import tqdm

from mim.cohort.join import STUDY
from mim.dicom.screening import choose_screening_images
from mim.errors import InputError
from mim.schemas.table import TableError
from mim.vocab import BREASTS, SCREENING_VIEWS, Laterality, Maker, Reason, View

USED = {
    "laterality": pl.Enum(Laterality),
    "view": pl.Enum(View),
    # By name, so that the first of equals is the first by name.
    "maker": pl.Enum(sorted(maker.value for maker in Maker)),
    "model": pl.Categorical(),
    "software_version": pl.Categorical(),
    "age_years": pl.Int32(),
    "row_spacing_mm": pl.Float64(),
    "column_spacing_mm": pl.Float64(),
    "reason": pl.Enum(Reason),
    "image": pl.String(),
}
"""What is read of every image; coded words become numbers, as text they would fill the memory."""

WEIGHED = ("path", "detail", "sop_uid", "acquired", "view_modifiers", "kind", "presentation")
"""What besides decides between images of one view; read only where there is a choice."""

COLUMNS = ("exam", *USED, *WEIGHED)
"""Columns of the index that images are chosen by."""

SQUARE = 0.01
"""Pixels are square where the distances of rows and of columns differ by no more than this share."""

CHUNK = 100_000
"""Rows turned into Python objects at a time."""


def require_index(index: Path) -> None:
    """Refuse a folder that no finished run of ``mim index`` left (``InputError``)."""
    if not (index / "index.json").is_file():
        raise InputError(f"{index / 'index.json'}: no index here; make it with 'mim index'")


def read_studies(index: Path) -> pl.DataFrame:
    """What the studies of an index are joined by: its distinct rows of ``STUDY``.

    More than one of a study where its images differ in them.
    """
    rows = scan_index_images(index, STUDY).drop_nulls("exam")
    return rows.unique().collect(engine="streaming")


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
    images: pl.LazyFrame, studies: pl.DataFrame, stand_ins: Collection[Reason] = ()
) -> pl.DataFrame:
    """The index's usable images, each with its examination and why the cohort leaves it out.

    Images that the index left out for a reason of ``stand_ins`` count as usable too. Of the images
    of an examination the rule of ``mim.dicom.screening`` takes one of each view; it is asked only
    where there is a choice.

    ``images``: ``COLUMNS`` of the index. ``studies``: a row for each study that joined, with
    ``exam`` (its pseudonym), ``examination`` (a whole number), ``days_after`` (of its registry exam
    after the examination's first) and ``after_diagnosis``. The result has ``examination`` (missing:
    none), the columns of ``USED``, ``spacing_mm`` in place of the two spacings (missing: unknown, or
    the pixels are not square), and ``left_out`` (missing: the cohort uses the image).
    """
    images = images.with_row_index("row")
    slot = pl.col("laterality").is_in(list(BREASTS)) & pl.col("view").is_in(list(SCREENING_VIEWS))
    left_out = (
        pl.when(pl.col("examination").is_null())
        .then(pl.lit(Reason.NO_REGISTRY_EXAM.value))
        .when("after_diagnosis")
        .then(pl.lit(Reason.AFTER_DIAGNOSIS.value))
        .when(~slot)
        .then(pl.lit(Reason.NOT_SCREENING_VIEW.value))
    )
    square = (pl.col("row_spacing_mm") / pl.col("column_spacing_mm") - 1).abs() <= SQUARE
    usable = (
        images.select("row", "exam", *USED)
        .filter(pl.col("reason").is_null() | pl.col("reason").is_in(list(stand_ins)))
        .cast(USED)  # type: ignore[arg-type]
        .join(studies.lazy(), on="exam", how="left")
        .with_columns(left_out=left_out, spacing_mm=pl.when(square).then("row_spacing_mm"))
        .drop("exam", "row_spacing_mm", "column_spacing_mm")
        .collect(engine="streaming")
    )
    candidates = usable.filter(pl.col("examination").is_not_null() & ~pl.col("after_diagnosis"))
    of_view = pl.struct("examination", "laterality", "view")
    choice = candidates.filter(of_view.is_duplicated() | pl.col("reason").is_not_null())
    chosen = _choose(choice, images, stand_ins)
    marked = usable.update(chosen, on="row", how="left", include_nulls=True)
    return marked.drop("row", "days_after", "after_diagnosis")


def _choose(
    choice: pl.DataFrame, images: pl.LazyFrame, stand_ins: Collection[Reason]
) -> pl.DataFrame:
    """``row`` of each image among others of its view, and why it is left out, if it is."""
    weighed = images.select("row", *WEIGHED).join(choice.lazy(), on="row")
    rows = weighed.collect(engine="streaming").sort("examination")
    left_out: dict[int, str | None] = {}
    about = {"desc": "choosing views", "unit": "image", "disable": not rows.height}
    with tqdm(total=rows.height, **about) as progress:
        named = rows.iter_rows(named=True, buffer_size=CHUNK)
        for _, group in groupby(named, key=itemgetter("examination")):
            kept, left = choose_screening_images(list(group), stand_ins)
            left_out |= {row["row"]: None for row in kept.values()}
            left_out |= {row["row"]: reason.value for row, reason, _ in left}
            progress.update(len(kept) + len(left))
    types = {"row": rows.schema["row"], "left_out": pl.String()}
    return pl.DataFrame([list(left_out), list(left_out.values())], schema=types)
