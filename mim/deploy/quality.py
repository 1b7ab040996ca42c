"""Rows of ``mim.schemas.scores.PREDICTED_QUALITY``, and pictures with their landmarks."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.deploy.bundle import Outputs
from mim.deploy.exams import Assembled, Exam
from mim.image.landmarks import shares_to_pixels, shares_to_stored
from mim.image.settings import RecipeSettings
from mim.positioning.asked import only_asked
from mim.positioning.columns import positioning_columns
from mim.positioning.rules import lies_on_image
from mim.vocab import VIEW_SLOTS, Criterion, Landmark

Row = dict[str, object]
Shares = NDArray[np.float64]

RING = 0.02
"""Radius of a drawn landmark's ring, as a share of the picture's height."""


def image_rows(
    exam: Exam, assembled: Assembled, outputs: Outputs, recipe: RecipeSettings
) -> list[Row]:
    """A row for each image of one exam: landmarks in the stored image, measures and grade.

    Landmarks are measured where the model sees the image, which is upright and has the chest wall
    on one side. Without the pixels' spacing in the header, millimetres are missing and angles stay.
    """
    shares, visible, criteria = _said(assembled, outputs)
    measured = positioning_columns(
        shares_to_pixels(shares, recipe.height, recipe.width)[None],
        visible[None],
        criteria[None],
        _spacing_mm(exam, assembled)[None],
    )
    rows: list[Row] = []
    for slot, prepared in assembled.prepared.items():
        place = VIEW_SLOTS.index(slot)
        stored = shares_to_stored(shares[place], prepared, recipe)
        numbers = {name.value: criteria[place, at] for at, name in enumerate(Criterion)}
        for at, name in enumerate(Landmark):
            numbers |= {
                f"{name}_x": stored[at, 0],
                f"{name}_y": stored[at, 1],
                f"{name}_visible": visible[place, at],
            }
        rows.append(
            {
                "study_uid": exam.study_uid,
                "sop_uid": exam.chosen[slot]["sop_uid"],
                "breast": slot[0],
                "view": slot[1],
                **{name: _known(value) for name, value in numbers.items()},
                **{name: column[place].as_py() for name, column in measured.items()},
            }
        )
    return rows


def mark_landmarks(assembled: Assembled, outputs: Outputs) -> NDArray[np.uint16]:
    """The exam's images [view, height, width] with a ring around each landmark that they show.

    A line joins the ends of the pectoral muscle.
    """
    assert assembled.inputs is not None, "an exam without an image has no outputs"
    images = np.asarray(assembled.inputs["images"][0, 0, :, 0].copy(), np.uint16)
    height, width = images.shape[1:]
    radius = max(2, round(RING * height))
    thick = max(1, radius // 4)
    shares, visible, _ = _said(assembled, outputs)
    pixels = shares_to_pixels(shares, height, width)
    places = np.nan_to_num(pixels).round().astype(int).tolist()
    on_image = ~np.isnan(shares[..., 0]) & lies_on_image(visible)
    for image, points, (nipple, *ends) in zip(images, places, on_image, strict=True):
        if all(ends):
            cv2.line(image, points[1], points[2], 65535, thick)
        for point, shown in zip(points, (nipple, *ends), strict=True):
            if shown:
                cv2.circle(image, point, radius + thick, 0, thick)
                cv2.circle(image, point, radius, 65535, thick)
    return images


def _said(assembled: Assembled, outputs: Outputs) -> tuple[Shares, Shares, Shares]:
    """Landmarks [view, landmark, 2], their visibility [view, landmark], criteria [view, criterion]."""
    landmarks, visible, criteria = (
        outputs[name][0].astype(np.float64)
        for name in ("landmarks", "landmarks_visible", "criteria")
    )
    return only_asked(landmarks, visible, criteria, assembled.present)


def _spacing_mm(exam: Exam, assembled: Assembled) -> NDArray[np.float64]:
    """Distance of the model's pixels at the detector [view]; NaN where the header does not say."""
    spacing = np.full(len(VIEW_SLOTS), np.nan)
    for slot, prepared in assembled.prepared.items():
        if stored := exam.chosen[slot]["row_spacing_mm"]:
            spacing[VIEW_SLOTS.index(slot)] = stored / prepared.scale
    return spacing


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
