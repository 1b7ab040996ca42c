"""The exams of a cohort whose images are in the cache, as columns: no Python object for any exam."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mim.data.cache import Cache
from mim.errors import InputError
from mim.image.landmarks import keep_inside, stored_to_shares
from mim.image.settings import RecipeSettings
from mim.positioning.asked import LANDMARKS_ASKED, criteria_asked
from mim.positioning.measure import Bools
from mim.schemas.cohort import DENSITY, EXAMS, IMAGES, QUALITY, SIDES
from mim.schemas.table import read_table
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    VIEW_SLOTS,
    Criterion,
    Density,
    Landmark,
    Maker,
    Quality,
)

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class ExamLabels(NamedTuple):
    """What is known of exams, as ``mim.data.dataset.Labels`` has it; NaN, or -1 in ``density``, where not.

    Landmarks are places before augmentation; see ``mim.image.landmarks``.
    """

    cancer: Floats
    years_to_cancer: Floats
    years_followed: Floats
    density: NDArray[np.int64]
    percent: Floats
    landmarks: Floats
    visible: Floats
    criteria: Floats


class Exams:
    """The exams of a cohort, with their images, priors and labels.

    Exams none of whose images could be prepared are left out; the cache's attrition counts images.

    Attributes:
        table: rows of the cohort's ``EXAMS`` whose exam has an image in the cache, in its order.
        image_table: rows of the cohort's ``IMAGES`` that are in the cache.
        images: int64 [exam, view], row in ``image_table``; -1 where there is none.
        priors: int64 [exam, prior], row in ``table``, newest first; -1 where there is none.
        months: float32 [exam, prior], from the prior to the exam.
        makers: int64 [exam], place of each exam's maker in ``vocab.Maker``.
        labels: what is known of each exam.
        grades: int8 [exam, view], place in ``vocab.Quality``; -1 where unknown.
        model_spacing_mm: float32 [exam, view], distance of the model's pixels at the detector;
            NaN where unknown.

    Raises:
        InputError: a table of the cohort or of the cache is missing or of another version, or the
            cache is of another cohort.
    """

    def __init__(self, cohort: Path, cache: Cache) -> None:
        exams = read_table(cohort / "exams.parquet", EXAMS)
        images = read_table(cohort / "images.parquet", IMAGES)
        made = cache.made(images["image"])
        exam = find_rows(images["exam"], exams["exam"])
        kept = (exam >= 0) & made["scale"].is_valid().to_numpy()
        if len(images) and not kept.any():
            raise InputError(
                f"{cache.folder}: holds no image of {cohort}; run 'mim cache' with this cohort"
            )
        images, made = (part.filter(pa.array(kept)).combine_chunks() for part in (images, made))
        exam = exam[kept]
        has_image = np.bincount(exam, minlength=len(exams)) > 0
        self.table = exams.filter(pa.array(has_image)).combine_chunks()
        self.image_table = images
        at = (np.cumsum(has_image) - 1)[exam], _slots(images)
        shape = len(self.table), len(VIEW_SLOTS)
        self.images = _spread(np.arange(len(images)), at, shape, -1)
        self.priors, self.months = _priors(self.table)
        self.makers = _code(self.table["maker"], Maker)
        spacing = images["spacing_mm"].to_numpy() / made["scale"].to_numpy()
        self.model_spacing_mm = _spread(spacing.astype(np.float32), at, shape, np.nan)
        image, grades, *of_images = _quality(cohort / "quality.parquet", images, made, cache.recipe)
        graded = at[0][image], at[1][image]
        _forget_what_is_not_asked(graded, self.images >= 0, *of_images)
        self.grades = _spread(grades, graded, shape, -1)
        times = ("cancer", "years_to_cancer", "years_followed")
        of_breasts = [_of_breasts(self.table, column) for column in times]
        density = _density(cohort / "density.parquet", self.table)
        of_views = [_spread(values, graded, shape, np.nan) for values in of_images]
        self.labels = ExamLabels._make([*of_breasts, *density, *of_views])

    def __len__(self) -> int:
        return len(self.table)


def find_rows(wanted: pa.ChunkedArray, names: pa.ChunkedArray) -> Rows:
    """The row of each wanted name among ``names``; -1 where it is not among them."""
    rows: Rows = pc.fill_null(pc.index_in(wanted, names), -1).to_numpy().astype(np.int64)
    return rows


def _code(column: pa.ChunkedArray, words: Iterable[StrEnum]) -> Rows:
    """The place of each word in its vocabulary; -1 where missing."""
    return find_rows(column, pa.chunked_array([[word.value for word in words]]))


def _slots(images: pa.Table) -> Rows:
    side, view = _code(images["laterality"], BREASTS), _code(images["view"], SCREENING_VIEWS)
    return side * len(SCREENING_VIEWS) + view


def _spread(
    values: NDArray[Any], at: tuple[Rows, Rows], shape: tuple[int, int], unknown: float
) -> NDArray[Any]:
    """Values of images by exam and view; where none is known, in no memory."""
    whole = np.broadcast_to(values.dtype.type(unknown), (*shape, *values.shape[1:]))
    if len(values):
        whole = whole.copy()
        whole[at] = values
    return whole


def _priors(table: pa.Table) -> tuple[Rows, Floats]:
    """Rows of each exam's priors that have an image, and months to them."""
    exam = pc.list_parent_indices(table["priors"]).to_numpy()
    prior = find_rows(pc.list_flatten(table["priors"]), table["exam"])
    months = pc.list_flatten(table["months_before"]).to_numpy()
    exam, months, prior = exam[prior >= 0], months[prior >= 0], prior[prior >= 0]
    count = np.bincount(exam, minlength=len(table))
    place = np.arange(len(exam)) - np.repeat(np.cumsum(count) - count, count)
    rows = np.full((len(table), count.max(initial=0)), -1, np.int64)
    gaps = np.zeros(rows.shape, np.float32)
    rows[exam, place], gaps[exam, place] = prior, months
    return rows, gaps


def _of_breasts(table: pa.Table, column: str) -> Floats:
    return np.stack([_floats(table[f"{SIDES[side]}_{column}"]) for side in BREASTS], axis=1)


def _floats(column: pa.ChunkedArray) -> Floats:
    """Numbers, or truths as 1 and 0; NaN where missing."""
    return np.asarray(column.cast(pa.float32()).to_numpy(), np.float32)


def _density(path: Path, table: pa.Table) -> tuple[Rows, Floats]:
    """Density and percent of each breast; without a table of breasts, the exam's for both."""
    percent = np.full((len(table), len(BREASTS)), np.nan, np.float32)
    if not path.is_file():
        return np.stack([_code(table["density"], Density)] * len(BREASTS), axis=1), percent
    rows = read_table(path, DENSITY)
    exam = find_rows(rows["exam"], table["exam"])
    rows, exam = rows.filter(pa.array(exam >= 0)), exam[exam >= 0]
    at = exam, _code(rows["breast"], BREASTS)
    density = np.full(percent.shape, -1, np.int64)
    density[at], percent[at] = _code(rows["density"], Density), _floats(rows["percent"])
    return density, percent


def _quality(
    path: Path, images: pa.Table, made: pa.Table, recipe: RecipeSettings
) -> tuple[NDArray[Any], ...]:
    """Rows of ``images`` of which something is known, and their grades, landmarks, visibility and
    criteria."""
    rows = read_table(path, QUALITY) if path.is_file() else QUALITY.from_rows([])
    row = find_rows(images["image"], rows["image"])
    image = np.flatnonzero(row >= 0)
    rows, made = rows.take(pa.array(row[image])), made.take(pa.array(image))
    grades = _code(rows["grade"], Quality).astype(np.int8)
    criteria = np.stack([_floats(rows[name.value]) for name in Criterion], axis=1)
    stored = np.array([[rows[f"{name}_{axis}"].to_numpy() for axis in "xy"] for name in Landmark])
    stored = stored.transpose(2, 0, 1)
    visible = np.stack([_floats(rows[f"{name}_visible"]) for name in Landmark], axis=1)
    visible[np.isnan(visible) & ~np.isnan(stored).any(axis=-1)] = 1
    stored[visible == 0] = np.nan
    box = np.stack([made[name].to_numpy() for name in ("top", "bottom", "left", "right")], axis=1)
    turned = made["mirrored"].to_numpy(), made["upside_down"].to_numpy()
    shares = stored_to_shares(stored, box, made["scale"].to_numpy(), *turned, recipe)
    return image, grades, *keep_inside(shares, visible), criteria


def _forget_what_is_not_asked(
    at: tuple[Rows, Rows], present: Bools, landmarks: Floats, visible: Floats, criteria: Floats
) -> None:
    """Make labels of images NaN that no model is asked for, such as the muscle on CC."""
    landmarks[~LANDMARKS_ASKED[at[1]]] = np.nan
    visible[~LANDMARKS_ASKED[at[1]]] = np.nan
    criteria[~criteria_asked(present)[at]] = np.nan
