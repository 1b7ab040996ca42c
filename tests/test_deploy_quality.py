"""Rows of a prediction: landmarks back in the stored image, millimetres, the denser breast."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mim.cohort.settings import PriorSettings, StandInSettings
from mim.deploy.bundle import Bundle
from mim.deploy.exams import Assembled, Exam
from mim.deploy.quality import image_rows, mark_landmarks
from mim.deploy.scored import exam_row
from mim.dicom.pixels import StoredImage
from mim.image.landmarks import shares_to_stored, stored_to_shares
from mim.image.phantom import phantom
from mim.image.recipe import Prepared, prepare_stored
from mim.image.settings import RecipeSettings
from mim.schemas.learnt import hide_unlearnt
from mim.schemas.scores import INPUT_MEASURES, PREDICTED_QUALITY, PREDICTIONS
from mim.vocab import VIEW_SLOTS, Criterion, Landmark, Laterality, Reason, Task, View

RECIPE = RecipeSettings(height=256, width=128)
SPACING_MM = 0.3


def marked(column: int, row: int, mirrored: bool, upside_down: bool) -> StoredImage:
    """The phantom with a mark near a place of the breast, turned as told; and where the mark is."""
    stored = phantom()
    pixels = stored.pixels.copy()
    pixels[row - 4 : row + 5, column - 4 : column + 5] = 0  # MONOCHROME1: white
    dataset = Dataset()
    dataset.update(stored.dataset)
    dataset.PatientOrientation = ["P", "H" if upside_down else "F"]
    # The phantom's chest wall is on the right, so the recipe mirrors it as it is stored.
    turned = pixels[:: -1 if upside_down else 1, :: 1 if mirrored else -1]
    return StoredImage(np.ascontiguousarray(turned), dataset)


@settings(max_examples=15)
@given(
    column=st.integers(280, 460),
    row=st.integers(220, 420),
    mirrored=st.booleans(),
    upside_down=st.booleans(),
    size=st.sampled_from([(256, 128), (200, 200), (640, 100), (301, 77)]),
)
def test_a_mark_found_in_the_input_is_mapped_back_to_its_place(
    column, row, mirrored, upside_down, size
):
    recipe = RecipeSettings(height=size[0], width=size[1])
    stored = marked(column, row, mirrored, upside_down)
    prepared = prepare_stored(stored, Laterality.RIGHT, View.MLO, recipe)
    assert (prepared.mirrored, prepared.upside_down) == (mirrored, upside_down)
    rows, columns = np.nonzero(prepared.pixels > 60000)
    weights = prepared.pixels[rows, columns].astype(float)
    share = np.array(
        [
            (np.average(columns, weights=weights) + 0.5) / recipe.width,
            (np.average(rows, weights=weights) + 0.5) / recipe.height,
        ]
    )
    found = shares_to_stored(share, prepared, recipe)
    wanted = (column if mirrored else 479 - column, 639 - row if upside_down else row)
    assert np.abs(found - wanted).max() < 0.6 / prepared.scale


@given(
    box=st.tuples(*[st.integers(0, 200)] * 2, *[st.integers(20, 3000)] * 2),
    turned=st.tuples(st.booleans(), st.booleans()),
    point=st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)),
)
@settings(max_examples=50)
def test_training_and_hospital_map_landmarks_by_the_same_rule(box, turned, point):
    """The loader's way in, undone by the predictor's way out."""
    top, left, rows, columns = box
    scale = min(RECIPE.height / rows, RECIPE.width / columns)
    prepared = Prepared(
        np.zeros((1, 1), np.uint16), (top, top + rows, left, left + columns), scale, *turned, ""
    )
    stored = shares_to_stored(np.array(point), prepared, RECIPE)
    back = stored_to_shares(
        stored[None, None],
        np.array([prepared.box]),
        np.array([scale]),
        *(np.array([side]) for side in turned),
        RECIPE,
    )
    assert back[0, 0] == pytest.approx(point, abs=1e-4)


PRESENT = np.array([True, False, True, True])
LEFT_CC, RIGHT_MLO = 0, 3


@pytest.fixture
def exam() -> Exam:
    found = Exam("1.2.3")
    for place, slot in enumerate(VIEW_SLOTS):
        if PRESENT[place]:
            found.chosen[slot] = {
                "sop_uid": f"1.2.3.{place}",
                "row_spacing_mm": SPACING_MM,
                "maker": "ge",
                "model": "Senographe",
                "software_version": "1",
            }
    return found


@pytest.fixture(scope="module")
def assembled() -> Assembled:
    image = prepare_stored(phantom(), Laterality.RIGHT, View.CC, RECIPE)
    prepared = {slot: image for slot, there in zip(VIEW_SLOTS, PRESENT, strict=True) if there}
    images = np.zeros((1, 1, 4, 1, RECIPE.height, RECIPE.width), np.uint16)
    inputs = {"images": images, "present": PRESENT[None, None], "months": np.zeros((1, 1))}
    return Assembled(inputs, prepared, PRESENT, 0, [])


@pytest.fixture
def outputs() -> dict[str, np.ndarray]:
    """Every nipple at 100, 128 and the muscle of every view from 40, 0 to 0, 160, all in pixels."""
    pixels = np.array([[100.0, 128.0], [40.0, 0.0], [0.0, 160.0]])
    shares = (pixels + 0.5) / (RECIPE.width, RECIPE.height)
    return {
        "landmarks": np.tile(shares, (1, 4, 1, 1)).astype(np.float32),
        "landmarks_visible": np.full((1, 4, len(Landmark)), 0.9, np.float32),
        "criteria": np.full((1, 4, len(Criterion)), 0.75, np.float32),
        "breast_score": np.array([[0.2, 0.6]], np.float32),
        "exam_score": np.array([0.6], np.float32),
        "breast_risk": np.array([[[0.01, 0.02], [0.03, 0.05]]], np.float32),
        "woman_risk": np.array([[0.04, 0.07]], np.float32),
        "breast_density": np.array([[[0.1, 0.2, 0.6, 0.1], [0.1, 0.5, 0.3, 0.1]]], np.float32),
        "breast_percent": np.array([[30.0, 20.0]], np.float32),
    }


def test_every_image_of_the_exam_has_a_row_of_the_table(exam, assembled, outputs):
    rows = PREDICTED_QUALITY.from_rows(image_rows(exam, assembled, outputs, RECIPE)).to_pylist()
    assert [row["sop_uid"] for row in rows] == ["1.2.3.0", "1.2.3.2", "1.2.3.3"]
    left_cc, _, right_mlo = rows
    prepared = assembled.prepared[VIEW_SLOTS[RIGHT_MLO]]
    mm = SPACING_MM / prepared.scale
    assert left_cc["posterior_nipple_line_mm"] == pytest.approx(100.5 * mm, rel=1e-4)
    assert left_cc["pectoral_upper_x"] is None, "nobody teaches the muscle on CC"
    assert right_mlo["pectoral_angle_degrees"] == pytest.approx(np.degrees(np.arctan(40 / 160)))
    assert right_mlo["pectoral_length_mm"] == pytest.approx(np.hypot(40, 160) * mm, rel=1e-4)
    assert right_mlo["nipple_visible"] == pytest.approx(0.9)
    assert right_mlo["skin_fold"] == pytest.approx(0.75)
    assert right_mlo["grade"] is not None
    assert any("fold of skin" in reason for reason in right_mlo["grade_reasons"])
    # The phantom is mirrored, so a column further right in the input lies further left in the file.
    nipple = prepared.box[3] - 100.5 / prepared.scale - 0.5
    assert right_mlo["nipple_x"] == pytest.approx(nipple, abs=0.6 / prepared.scale)


def test_without_spacing_millimetres_are_missing_and_angles_stay(exam, assembled, outputs):
    for row in exam.chosen.values():
        row["row_spacing_mm"] = None
    for row in image_rows(exam, assembled, outputs, RECIPE):
        assert all(value is None for name, value in row.items() if name.endswith("_mm"))
        assert (row["pectoral_angle_degrees"] is None) == (row["view"] == View.CC)
        assert row["grade"] is not None


def test_landmarks_are_drawn_on_present_images_where_they_are(assembled, outputs):
    outputs["landmarks_visible"][0, 0] = 0.1
    drawn = mark_landmarks(assembled, outputs)
    assert not drawn[LEFT_CC].any(), "none is thought to be visible"
    assert not drawn[1].any(), "the view is absent"
    rows, columns = np.nonzero(drawn[2])
    assert (columns.mean(), rows.mean()) == pytest.approx((100, 128), abs=1)
    assert drawn[RIGHT_MLO, 80, 18:23].any(), "the line runs through the middle of its ends"


def of(*tasks: Task) -> Bundle:
    thresholds = {0.1: 0.7, 0.5: 0.5} if Task.CANCER in tasks else {}
    settings = (RECIPE, PriorSettings(), StandInSettings(), False)
    return Bundle(*settings, tasks, thresholds, about={}, session=None)


def test_the_exams_row_holds_every_task(exam, assembled, outputs):
    [row] = PREDICTIONS.from_rows([exam_row(of(*Task), exam, assembled, outputs)]).to_pylist()
    assert (row["left_score"], row["right_score"]) == pytest.approx((0.2, 0.6))
    assert row["selected_at"] == [0.5]
    assert row["woman_risk"] == pytest.approx([0.04, 0.07]), "the network's own"
    assert row["right_risk"] == pytest.approx([0.03, 0.05])
    assert row["density"] == "c", "the left breast is denser"
    assert row["density_probabilities"] == pytest.approx([0.1, 0.2, 0.6, 0.1])
    assert (row["left_percent"], row["right_percent"]) == (30, 20)
    assert (row["images"], row["reason"]) == (3, None)


@pytest.mark.parametrize("output", ["breast_density", "breast_percent"])
def test_a_density_that_nobody_taught_is_not_said(exam, assembled, outputs, output):
    hidden = hide_unlearnt(outputs, {output: False})
    row = exam_row(of(Task.DENSITY), exam, assembled, hidden)
    assert ("density" in row, "left_percent" in row) == (
        output != "breast_density",
        output != "breast_percent",
    )


def test_landmarks_and_criteria_that_nobody_taught_are_not_said(exam, assembled, outputs):
    taught = {
        "landmarks": {name: name is Landmark.NIPPLE for name in Landmark},
        "landmarks_visible": dict.fromkeys(Landmark, False),
        "criteria": {name: name is not Criterion.SKIN_FOLD for name in Criterion},
    }
    hidden = hide_unlearnt(outputs, taught)
    rows = PREDICTED_QUALITY.from_rows(image_rows(exam, assembled, hidden, RECIPE)).to_pylist()
    for row in rows:
        assert row["nipple_x"] is not None
        assert row["blurred"] == pytest.approx(0.75)
        assert row["pectoral_lower_x"] is row["nipple_visible"] is row["skin_fold"] is None
        assert "skin_fold" in row["rules_not_judged"]
        assert not any("fold of skin" in reason for reason in row["grade_reasons"])
        assert row["pectoral_length_mm"] is None
    assert rows[0]["posterior_nipple_line_mm"] is not None, "unknown visibility hides no place"
    assert mark_landmarks(assembled, hidden)[LEFT_CC].any()


def test_without_thresholds_nobody_says_not_selected(exam, assembled, outputs):
    without = replace(of(Task.CANCER), thresholds={})
    assert exam_row(without, exam, assembled, outputs)["selected_at"] is None


def test_a_breast_without_a_view_says_nothing(exam, assembled, outputs):
    only_right = replace(assembled, present=np.array([False, False, True, True]))
    row = exam_row(of(*Task), exam, only_right, outputs)
    assert [row[f"left_{what}"] for what in ("score", "risk", "percent")] == [None] * 3
    assert row["density"] == "b"


@pytest.mark.parametrize("task", Task)
def test_tasks_that_are_not_learnt_are_empty(exam, assembled, outputs, task):
    said = exam_row(of(task), exam, assembled, outputs)
    [row] = PREDICTIONS.from_rows([said]).to_pylist()
    columns = {
        Task.CANCER: {"left_score", "right_score", "exam_score", "selected_at"},
        Task.RISK: {"left_risk", "right_risk", "woman_risk"},
        Task.DENSITY: {"density", "density_probabilities", "left_percent", "right_percent"},
        Task.QUALITY: set(),
    }
    always = {"study_uid", "maker", "machine", "images", "priors"}
    always |= {column.name for column in INPUT_MEASURES}
    assert {name for name, value in row.items() if value is not None} == columns[task] | always


def test_an_exam_without_an_image_has_its_reason(exam, assembled):
    lost = [("a", Reason.SPOT, "spot view")]
    row = exam_row(of(*Task), exam, Assembled(None, {}, ~PRESENT & PRESENT, 0, lost), None)
    assert (row["images"], row["reason"]) == (0, Reason.SPOT)
    assert row["detail"] == "a: spot view (spot)"
