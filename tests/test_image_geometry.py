"""The planted breast is found, and nothing that only looks bright."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.image.geometry import find_breast, inside_frame, is_upside_down
from mim.vocab import Laterality, View

ROWS, COLUMNS = 500, 400


def breast(radius: float = 150.0, middle: int = 260, noise: float = 5.0) -> np.ndarray:
    """A half disc at the left edge, tissue 1000 to 1600, air about 40."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = np.hypot(x, y - middle) < radius
    random = np.random.default_rng(1)
    picture = np.where(inside, 1000 + 600 * (1 - x / radius), 40.0)
    return (picture + random.normal(0, noise, picture.shape)).astype(np.float32)


def box(picture: np.ndarray) -> tuple[int, int, int, int]:
    found = find_breast(picture)
    assert found is not None
    return found.top, found.bottom, found.left, found.right


def test_the_box_holds_the_planted_breast_and_little_more():
    top, bottom, left, right = box(breast())
    assert left == 0
    assert 100 <= top <= 130
    assert 390 <= bottom <= 420
    assert 150 <= right <= 156


def test_the_mask_covers_the_tissue():
    picture = breast()
    found = find_breast(picture)
    assert found is not None
    tissue = picture > 500
    # Where the half disc is narrower than a strip of glow may be, its corners go.
    assert (found.mask[tissue] > 0).mean() > 0.97


def with_letters(picture: np.ndarray) -> np.ndarray:
    letters = np.zeros(picture.shape, np.uint8)
    cv2.putText(letters, "L CC", (250, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4)
    return np.where(letters > 0, np.float32(4000), picture)


def with_glow(picture: np.ndarray) -> np.ndarray:
    return np.maximum(picture, 700 * np.exp(-np.arange(COLUMNS) / 8.0)[None]).astype(np.float32)


@pytest.mark.parametrize("thickness", [1, 3, 9, 20])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_white_frame_is_cut_off_and_a_breast_at_the_edge_is_not(thickness, inverted):
    picture = breast(radius=180)
    assert inside_frame(-picture if inverted else picture, inverted) == (0, ROWS, 0, COLUMNS)
    framed = picture.copy()
    framed[:thickness] = framed[-thickness:] = framed[:, :thickness] = 4000
    top, bottom, left, right = inside_frame(-framed if inverted else framed, inverted)
    assert (top, bottom, left, right) == (thickness, ROWS - thickness, thickness, COLUMNS)


@pytest.mark.parametrize("spoil", [with_letters, with_glow])
def test_letters_and_glow_do_not_rule_the_crop(spoil):
    wanted = np.array(box(breast()))
    assert np.abs(np.array(box(spoil(breast()))) - wanted).max() <= 12


def test_letters_lie_outside_the_mask():
    found = find_breast(with_letters(breast()))
    assert found is not None
    assert not found.mask[30:90, 250:].any()


@given(st.integers(90, 190), st.integers(200, 300), st.booleans(), st.floats(0.2, 50.0))
def test_the_chest_wall_is_found_on_either_side_at_any_scale(radius, middle, right, scale):
    picture = breast(radius, middle) * np.float32(scale)
    found = find_breast(picture[:, ::-1] if right else picture)
    assert found is not None
    assert found.chest_wall_left is not right


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((ROWS, COLUMNS), np.float32),
        np.full((ROWS, COLUMNS), 7.0, np.float32),
        np.pad(np.full((9, 9), 900.0, np.float32), ((200, 291), (200, 191))),
    ],
)
def test_an_empty_picture_has_no_breast(picture):
    assert find_breast(picture) is None


@pytest.mark.parametrize(
    ("orientation", "side", "view", "upside_down"),
    [
        # What the IHE mammography profile shows: MLO runs to the feet, CC to the middle.
        (["A", "F"], Laterality.LEFT, View.MLO, False),
        (["P", "FL"], Laterality.RIGHT, View.MLO, False),
        (["A", "H"], Laterality.LEFT, View.MLO, True),
        (["P", "HL"], Laterality.RIGHT, View.MLO, True),
        (["A", "R"], Laterality.LEFT, View.CC, False),
        (["P", "L"], Laterality.RIGHT, View.CC, False),
        (["A", "L"], Laterality.LEFT, View.CC, True),
        (["P", "R"], Laterality.RIGHT, View.CC, True),
        # CBIS-DDSM writes the view there; others nothing.
        (["MLO"], Laterality.LEFT, View.MLO, False),
        ([], Laterality.LEFT, View.CC, False),
        (["A"], Laterality.LEFT, View.CC, False),
        (["A", "L"], Laterality.UNKNOWN, View.CC, False),
    ],
)
def test_upside_down_by_patient_orientation(orientation, side, view, upside_down):
    assert is_upside_down(orientation, side, view) is upside_down
