"""From arrays of scores to the score tables of ``mim.schemas.scores``, column by column."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mim.data.exams import Exams
from mim.image.landmarks import shares_to_pixels
from mim.image.settings import RecipeSettings
from mim.positioning.asked import only_asked
from mim.positioning.columns import positioning_columns
from mim.schemas.cohort import SIDES
from mim.schemas.scores import OF_TASK
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    VIEW_SLOTS,
    Criterion,
    Density,
    Landmark,
    Quality,
    Task,
)

Rows = dict[str, NDArray[Any]]
"""Arrays [exam, ...]: the scores by the names of ``ExamScorer``, and beside them ``exam``, the row
in ``Exams.table``, ``present`` [exam, view], and ``priors``, how many the model saw."""

Columns = dict[str, Any]


def make_table(task: Task, rows: Rows, known: Exams, recipe: RecipeSettings) -> pa.Table:
    """The score table of a task.

    Args:
        task: which.
        rows: scores, each exam once; NaN where the model has not learnt them.
        known: the exams.
        recipe: size of the model's input.
    """
    match task:
        case Task.CANCER:
            columns = _of_breasts(known, rows) | _cancer(known, rows)
        case Task.RISK:
            columns = _of_breasts(known, rows) | _risk(known, rows)
        case Task.DENSITY:
            columns = _of_breasts(known, rows) | _density(known, rows)
        case Task.QUALITY:
            columns = _quality(known, rows, recipe)
    schema = OF_TASK[task].arrow()
    return pa.Table.from_arrays([columns[f.name].cast(f.type) for f in schema], schema=schema)


def _of_exams(known: Exams, exam: NDArray[np.int64]) -> Columns:
    """What is known of the exam in each row."""
    taken = known.table.select(["woman", "exam", "maker", "split"]).take(pa.array(exam))
    return {name: taken[name] for name in taken.column_names}


def _of_breasts(known: Exams, rows: Rows) -> Columns:
    """What every table of breasts holds: a row for each breast of each exam, left first."""
    return _of_exams(known, np.repeat(rows["exam"], len(BREASTS))) | {
        "breast": pa.array([str(side) for side in BREASTS] * len(rows["exam"])),
        "priors": pa.array(np.repeat(rows["priors"], len(BREASTS))),
    }


def _cancer(known: Exams, rows: Rows) -> Columns:
    return {
        "score": _numbers(rows["breast_score"].ravel(), _unseen(rows)),
        "cancer": _of_sides(known.table, "cancer", rows["exam"]),
        "outcome": _of_sides(known.table, "outcome", rows["exam"]),
    }


def _risk(known: Exams, rows: Rows) -> Columns:
    risk = rows["breast_risk"]
    ends = np.arange(risk[..., 0].size + 1, dtype=np.int32) * risk.shape[-1]
    return {
        "risk": pa.ListArray.from_arrays(
            pa.array(ends), pa.array(risk.ravel()), mask=pa.array(_unseen(rows))
        ),
        "years_to_cancer": _of_sides(known.table, "years_to_cancer", rows["exam"]),
        "years_followed": _of_sides(known.table, "years_followed", rows["exam"]),
    }


def _density(known: Exams, rows: Rows) -> Columns:
    unseen = _unseen(rows)
    chances = rows["breast_density"].reshape(-1, len(Density))
    expected = chances @ np.linspace(0.0, 1.0, len(Density))
    density = known.labels.density[rows["exam"]].ravel()
    return {
        **{
            f"probability_{letter}": _numbers(chances[:, place], unseen)
            for place, letter in enumerate(Density)
        },
        "score": _numbers(expected, unseen),
        "percent": _numbers(rows["breast_percent"].ravel(), unseen),
        "density": _words([str(letter) for letter in Density], density),
        "percent_known": _numbers(known.labels.percent[rows["exam"]].ravel()),
    }


def _quality(known: Exams, rows: Rows, recipe: RecipeSettings) -> Columns:
    """A row for each view of each exam, then only those of the views that are there."""
    there = rows["present"]
    exam, view = there.nonzero()
    at = rows["exam"][exam], view
    image = known.image_table["image"].take(pa.array(known.images[at]))
    size = recipe.height, recipe.width
    points, visible, criteria = only_asked(
        shares_to_pixels(rows["landmarks"], *size),
        rows["landmarks_visible"],
        rows["criteria"],
        there,
    )
    known_points = shares_to_pixels(known.labels.landmarks[at], *size)
    spacing = known.model_spacing_mm[rows["exam"]].astype(np.float64)
    judged = positioning_columns(points, visible, criteria, spacing)
    sides, projections = (list(map(str, names)) for names in zip(*VIEW_SLOTS, strict=True))
    columns = _of_exams(known, at[0]) | {
        "image": image,
        "breast": _words(sides, view),
        "view": _words(projections, view),
        "spacing_mm": _numbers(spacing[there]),
        "known_grade": _words([str(grade) for grade in Quality], known.grades[at]),
    }
    for place, name in enumerate(Landmark):
        for axis, letter in enumerate("xy"):
            columns[f"{name}_{letter}"] = _numbers(points[there][:, place, axis])
            columns[f"known_{name}_{letter}"] = _numbers(known_points[:, place, axis])
        columns[f"{name}_visible"] = _numbers(visible[there][:, place])
        columns[f"known_{name}_visible"] = _truths(known.labels.visible[at][:, place])
    for place, criterion in enumerate(Criterion):
        columns[str(criterion)] = _numbers(criteria[there][:, place])
        columns[f"known_{criterion}"] = _truths(known.labels.criteria[at][:, place])
    kept = pa.array(there.ravel())
    return columns | {name: column.filter(kept) for name, column in judged.items()}


def _unseen(rows: Rows) -> NDArray[np.bool_]:
    """Breasts [exam * breast] without any view."""
    views = rows["present"].reshape(-1, len(BREASTS), len(SCREENING_VIEWS))
    unseen: NDArray[np.bool_] = ~views.any(axis=-1).ravel()
    return unseen


def _of_sides(table: pa.Table, column: str, exam: NDArray[np.int64]) -> pa.ChunkedArray:
    """A column that the table has for each side, a row for each breast of each exam."""
    sides = [table[f"{SIDES[side]}_{column}"].take(pa.array(exam)) for side in BREASTS]
    one_after_other = pa.chunked_array([chunk for side in sides for chunk in side.chunks])
    in_turn = np.arange(len(BREASTS) * len(exam)).reshape(len(BREASTS), -1).T.ravel()
    return one_after_other.take(pa.array(in_turn))


def _numbers(values: NDArray[Any], missing: NDArray[np.bool_] | bool = False) -> pa.Array:
    """Numbers as a column; missing where they are NaN, and where told."""
    return pa.array(values.astype(np.float64), mask=np.isnan(values) | missing)


def _truths(values: NDArray[Any]) -> pa.Array:
    """1 and 0 as true and false; missing where NaN."""
    return pa.array(values == 1, mask=np.isnan(values))


def _words(vocabulary: Sequence[str], places: NDArray[Any]) -> pa.Array:
    """Words by their place in a vocabulary; missing where the place is negative."""
    return pa.array(vocabulary).take(pa.array(places.astype(np.int64), mask=places < 0))
