"""What the registry says of density and positioning, of the breasts and images of a cohort."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mim.cohort.images import scan_index_images
from mim.cohort.registry import Registry
from mim.schemas import registry as schemas
from mim.vocab import Criterion, Landmark, Laterality, View

DENSITY = tuple(column.name for column in schemas.DENSITY.columns[2:])
QUALITY = tuple(column.name for column in schemas.QUALITY.columns[3:])
LANDMARKS = tuple(column.name for column in schemas.LANDMARKS.columns[1:])
"""Columns that say something."""

COUNTED = {
    "density, breasts": ("density", ("density",)),
    "percent density, breasts": ("density", ("percent",)),
    "grade, images": ("quality", ("grade",)),
    "criteria, images": ("quality", tuple(Criterion)),
    "landmarks, images": ("quality", LANDMARKS),
}
"""What is counted of each exam: of which table, and the columns of which one must be known."""


@dataclass(frozen=True)
class LabelTables:
    """``density``: exam, breast, density, percent. ``quality``: exam, image, grade, the criteria
    and the landmarks. Rows that say nothing are in neither. ``notices``: lines for the user.
    """

    density: pl.DataFrame
    quality: pl.DataFrame
    notices: list[str]


def find_labels(
    registry: Registry, exams: pl.DataFrame, images: pl.DataFrame, index: Path
) -> LabelTables:
    """The registry's density, quality and landmarks of ``exams`` and of those ``images`` in use.

    What is said of a view is said of the image in use; landmarks are of the image whose SOP
    Instance UID they name, and of no other. ``exams``: examination, exam_id, exam. ``images``: as
    ``choose_images`` gives them.
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
    marked, notices = _landmarks(registry.landmarks, index)
    quality = (
        graded.select("image", *QUALITY)
        .join(marked.filter(_known(LANDMARKS)), on="image", how="full", coalesce=True)
        .join(used.select("image", "examination"), on="image")
        .join(names, on="examination")
    )
    return LabelTables(
        density.select("exam", "breast", *DENSITY),
        quality.select("exam", "image", *QUALITY, *LANDMARKS),
        notices,
    )


def count_labels(exams: pl.DataFrame, labels: LabelTables) -> pl.DataFrame:
    """The exams with a column for each of ``COUNTED``."""
    for table in ("density", "quality"):
        sums = {
            name: _known(columns).sum() for name, (of, columns) in COUNTED.items() if of == table
        }
        counts = getattr(labels, table).group_by("exam").agg(**sums)
        exams = exams.join(counts, on="exam", how="left", maintain_order="left")
    return exams.with_columns(pl.col(*COUNTED).fill_null(0))


def _known(columns: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col(*columns).is_not_null())


def _landmarks(landmarks: pl.DataFrame, index: Path) -> tuple[pl.DataFrame, list[str]]:
    """``image`` and its landmarks as they hold; a point outside its image is unknown."""
    if landmarks.is_empty():
        return landmarks.rename({"sop_uid": "image"}), []
    about = scan_index_images(index, ("sop_uid", "image", "rows", "columns", "reason"))
    found = about.join(landmarks.lazy(), on="sop_uid").collect(engine="streaming")
    # Copies of an image share its names; the one in use is left out for no reason, or for one that
    # the copies have too.
    found = found.sort(pl.col("reason").is_not_null(), "rows", "columns")
    found = found.unique("image", keep="first", maintain_order=True)
    strange = landmarks.height - found.height
    outside = found.select(_outside(name).alias(name) for name in Landmark)
    points = int(outside.sum().sum_horizontal().item())
    counts = {
        "images are marked that the index does not have; not used": strange,
        "landmarks lie outside their image; they count as unknown": points,
    }
    notices = [f"landmarks: {count} {words}" for words, count in counts.items() if count]
    return found.select("image", *(column for n in Landmark for column in _settled(n))), notices


def _outside(name: Landmark) -> pl.Expr:
    """Whether a point that is not said to lie elsewhere has a place beyond the image's pixels."""
    inside = [
        pl.col(f"{name}_{axis}").is_between(-0.5, pl.col(size) - 0.5)
        for axis, size in (("x", "columns"), ("y", "rows"))
    ]
    elsewhere = (~pl.col(f"{name}_visible")).fill_null(False)
    return ~pl.all_horizontal(inside).fill_null(True) & ~elsewhere


def _settled(name: Landmark) -> list[pl.Expr]:
    """A place only of points on the image, and whether the point is, where a place tells."""
    places = [f"{name}_x", f"{name}_y"]
    visible = pl.coalesce(f"{name}_visible", pl.when(pl.col(places[0]).is_not_null()).then(True))
    visible = pl.when(~_outside(name)).then(visible)
    return [
        *(pl.when(visible).then(place).alias(place) for place in places),
        visible.alias(f"{name}_visible"),
    ]
