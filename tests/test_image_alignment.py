"""A prior is moved onto its exam's image: by as much as was planted, and never for the worse."""

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.image.alignment import align_prior
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.vocab import Laterality, View

ROWS, COLUMNS = 512, 256
DOTS = ((60, 200), (120, 250), (70, 330))
"""Column and row of marks in the drawn breast."""


def breast() -> np.ndarray:
    """Half an ellipse with texture of several sizes, and marks brighter than all else."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(float)
    inside = (x / 200) ** 2 + ((y - 256) / 200) ** 2 < 1
    texture = np.sin(x / 23) * np.cos(y / 31) + np.sin((x + 2 * y) / 47) + np.cos((3 * x - y) / 90)
    image = np.where(inside, 24000 + 4000 * texture, 0)
    for column, row in DOTS:
        image = np.maximum(image, 65535 * (np.hypot(x - column, y - row) < 4))
    return image.astype(np.uint16)


def warped(image: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]):
    matrix = cv2.getRotationMatrix2D((COLUMNS / 2, ROWS / 2), degrees, scale)
    matrix[:, 2] += shift
    return cv2.warpAffine(image, matrix, (COLUMNS, ROWS), flags=cv2.INTER_LINEAR)


def marks(image: np.ndarray) -> np.ndarray:
    """Centres of the marks, upper first."""
    _, _, _, centres = cv2.connectedComponentsWithStats((image > 50000).astype(np.uint8))
    return centres[1:][np.argsort(centres[1:, 1])]


@settings(max_examples=20)
@given(
    degrees=st.floats(-12, 12),
    scale=st.floats(0.85, 1.2),
    shift=st.tuples(st.floats(-12, 12), st.floats(-30, 30)),
    brightness=st.floats(0.8, 1),
)
def test_a_planted_map_is_found(degrees, scale, shift, brightness):
    current = warped(breast(), degrees, scale, shift)
    wanted = marks(current)
    aligned = align_prior(breast(), (current * brightness).astype(np.uint16))
    assert np.abs(marks(aligned) - wanted).max() < 0.45


def test_what_the_prior_does_not_show_is_black():
    aligned = align_prior(breast(), warped(breast(), 0, 1, (20, 0)))
    assert not aligned[:, :18].any()
    assert aligned[200:300, 22:].any()
    assert not aligned[:30].any(), "above the breast nothing appears"


@pytest.mark.parametrize(
    "current",
    [
        np.zeros((ROWS, COLUMNS), np.uint16),
        np.full((ROWS, COLUMNS), 30000, np.uint16),
        np.random.default_rng(1).integers(0, 65536, (ROWS, COLUMNS), dtype=np.uint16),
        breast()[::-1, ::-1].copy(),
        warped(breast(), 30, 1, (0, 0)),
        warped(breast(), 0, 0.45, (0, 0)),
    ],
    ids=["blank", "flat", "noise", "turned about", "turned by 30 degrees", "less than half"],
)
def test_where_no_likely_map_helps_the_prior_stays(current):
    assert np.array_equal(align_prior(breast(), current), breast())
    assert np.array_equal(align_prior(current, breast()), current)


def test_a_map_that_makes_it_less_alike_is_not_taken():
    """In noise the search finds likely maps that are none."""
    random = np.random.default_rng(0)
    gains = []
    for prior, current in random.integers(0, 65536, (300, 2, 32, 16), dtype=np.uint16):
        aligned = align_prior(prior, current)
        shown = cv2.erode((aligned > 0).astype(np.uint8), np.ones((3, 3))) > 0
        before, after = (
            np.corrcoef(image[shown], current[shown])[0, 1] for image in (prior, aligned)
        )
        gains.append(after - before)
    assert min(gains) > -0.03


def test_an_image_on_itself_stays_where_it_is():
    assert np.abs(marks(align_prior(breast(), breast())) - marks(breast())).max() < 0.1


def test_threads_change_nothing():
    current, before = warped(breast(), 6, 1.1, (8, 20)), cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 2, 7):
            cv2.setNumThreads(threads)
            found.append(align_prior(breast(), current))
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_priors_of_the_programme_become_more_alike(programme):
    recipe = RecipeSettings(height=256, width=128)
    of_view: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for row in pq.read_table(programme / "truth" / "images.parquet").slice(0, 60).to_pylist():
        side, view = Laterality(row["laterality"]), View(row["view"])
        image = prepare(programme / "dicom" / row["path"], side, view, recipe).pixels
        of_view.setdefault((row["patient_id"], side, view), {})[row["exam_id"]] = image
    before, after = [], []
    for images in of_view.values():
        if len(images) > 1:
            prior, current = (images[exam] for exam in sorted(images)[:2])
            before.append(alike(prior, current))
            after.append(alike(align_prior(prior, current), current))
    assert len(before) > 10
    assert np.mean(after) > 0.5 + np.mean(before) / 2, "at least half of the way to 1"


def alike(one: np.ndarray, other: np.ndarray) -> float:
    both = (one > 0) & (other > 0)
    return float(np.corrcoef(one[both], other[both])[0, 1])
