"""What the registry says of the exams, breasts and images of a cohort, beside their outcomes."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mim.cohort.marked_images import find_marks
from mim.cohort.programme_tables import (
    find_cancers,
    find_decisions,
    find_readings,
    find_scores,
)
from mim.cohort.registry import Registry
from mim.schemas import registry as schemas
from mim.vocab import Criterion, Laterality, View

DENSITY = tuple(column.name for column in schemas.DENSITY.columns[2:])
QUALITY = tuple(column.name for column in schemas.QUALITY.columns[3:])
LANDMARKS = tuple(column.name for column in schemas.LANDMARKS.columns[1:])
LESIONS = tuple(column.name for column in schemas.LESIONS.columns[1:])
CANCERS = tuple(column.name for column in schemas.CANCERS.columns[3:6])
"""Columns that say something."""

COUNTED = {
    "readings": ("readings", ("score",)),
    "decisions, exams": ("decisions", ("recalled",)),
    "scores of other models": ("scores", ("score",)),
    "cancers described, breasts": ("cancers", CANCERS),
    "density, breasts": ("density", ("density",)),
    "percent density, breasts": ("density", ("percent",)),
    "grade, images": ("quality", ("grade",)),
    "criteria, images": ("quality", tuple(Criterion)),
    "landmarks, images": ("quality", LANDMARKS),
    "lesions": ("lesions", ("x",)),
}
"""What is counted of each exam: of which table, and the columns of which one must be known."""


@dataclass(frozen=True)
class LabelTables:
    """``density``: exam, breast, density, percent. ``quality``: exam, image, grade, the criteria
    and the landmarks. Rows that say nothing are in neither. ``lesions``: exam, image, laterality,
    view, and what the registry says of each. ``readings``, ``decisions``, ``scores`` and
    ``cancers``: as ``mim.cohort.programme_tables`` gives them. ``notices``: lines for the user.
    """

    density: pl.DataFrame
    quality: pl.DataFrame
    lesions: pl.DataFrame
    readings: pl.DataFrame
    decisions: pl.DataFrame
    scores: pl.DataFrame
    cancers: pl.DataFrame
    notices: list[str]


def find_labels(
    registry: Registry, exams: pl.DataFrame, images: pl.DataFrame, index: Path
) -> LabelTables:
    """What the registry says of ``exams`` and of those ``images`` that are in use.

    What is said of a view is said of the image in use; landmarks and lesions are of the image whose
    SOP Instance UID they name, and of no other. ``exams``: as ``find_exams`` gives them. ``images``:
    as ``choose_images`` does.
    """
    used = images.select("examination", "image", "laterality", "view", "left_out")
    used = used.filter(pl.col("left_out").is_null())
    names = exams.select("examination", "exam_id", "exam")
    density = registry.density.filter(_known(DENSITY)).join(names, on="exam_id")
    graded = (
        registry.quality.filter(_known(QUALITY))
        .join(names, on="exam_id")
        .cast({"breast": pl.Enum(Laterality), "view": pl.Enum(View)})
        .join(used.rename({"laterality": "breast"}), on=["examination", "breast", "view"])
    )
    landmarks, lesions, notices = find_marks(registry, index)
    quality = (
        graded.select("image", *QUALITY)
        .join(landmarks.filter(_known(LANDMARKS)), on="image", how="full", coalesce=True)
        .join(used.select("image", "examination"), on="image")
        .join(names, on="examination")
    )
    shown = lesions.join(used, on="image").join(names, on="examination")
    return LabelTables(
        density=density.select("exam", "breast", *DENSITY),
        quality=quality.select("exam", "image", *QUALITY, *LANDMARKS),
        lesions=shown.select("exam", "image", "laterality", "view", *LESIONS),
        readings=find_readings(registry, names),
        decisions=find_decisions(registry, names),
        scores=find_scores(registry, names),
        cancers=find_cancers(registry, exams),
        notices=notices,
    )


def count_labels(exams: pl.DataFrame, labels: LabelTables) -> pl.DataFrame:
    """The exams with a column for each of ``COUNTED``."""
    for table in {of: None for of, _ in COUNTED.values()}:
        sums = {
            name: _known(columns).sum() for name, (of, columns) in COUNTED.items() if of == table
        }
        counts = getattr(labels, table).group_by("exam").agg(**sums)
        exams = exams.join(counts, on="exam", how="left", maintain_order="left")
    return exams.with_columns(pl.col(*COUNTED).fill_null(0))


def _known(columns: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col(*columns).is_not_null())
