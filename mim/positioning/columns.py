"""Measures and grades as columns of a table: ``mim.schemas.scores.POSITIONING``."""

import numpy as np
import pyarrow as pa

from mim.positioning.measure import Bools, Floats, measure
from mim.positioning.rules import ASKED, GRADES, RULES, grade, lies_on_image


def positioning_columns(
    points: Floats, visible: Floats, criteria: Floats, spacing_mm: Floats
) -> dict[str, pa.Array]:
    """What measures and rules make of a model's landmarks and criteria, a row for each view.

    Args:
        points: ``[exam, view, landmark, 2]``, column and row in pixels of the model's input (0 is
            the centre of the first), views in the order of ``VIEW_SLOTS``; NaN missing.
        visible: ``[exam, view, landmark]``, probability that it lies on the image; NaN unknown,
            and then it is measured from all the same.
        criteria: ``[exam, view, criterion]``, probability; NaN unknown.
        spacing_mm: ``[exam, view]``, distance of those pixels at the detector; NaN unknown.

    Returns:
        Every column, exams one after the other. A view of which nothing is known has only missing
        values.
    """
    found = measure(points, lies_on_image(visible), spacing_mm)
    grades = grade(found, visible, criteria)
    number, none = grades.grade.ravel(), grades.grade.ravel() < 0
    numbers = {
        name: pa.array(values.ravel(), from_pandas=True)  # NaN becomes missing
        for name, values in found._asdict().items()
    }
    return numbers | {
        "grade": pa.array(np.array(GRADES, dtype=object)[number], pa.string(), mask=none),
        "grade_reasons": _lists(grades.broken, [rule.reason for rule in RULES], none),
        "rules_not_judged": _lists(
            ASKED & ~grades.judged, [str(rule.subject) for rule in RULES], none
        ),
    }


def _lists(chosen: Bools, words: list[str], none: Bools) -> pa.ListArray:
    """The words ``[rule]`` chosen ``[..., rule]`` for each row; missing where there is ``none``."""
    rows = chosen.reshape(-1, len(words)) & ~none[:, None]
    ends = np.append(0, np.cumsum(rows.sum(axis=1))).astype(np.int32)
    values = pa.array(words, pa.string()).take(pa.array(np.nonzero(rows)[1]))
    return pa.ListArray.from_arrays(ends, values, mask=pa.array(none))
