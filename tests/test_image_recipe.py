"""The one recipe: what it keeps, what it ignores, and that it stays the same."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mim.dicom.pixels import PixelError, StoredImage
from mim.image.phantom import phantom
from mim.image.recipe import fingerprint, prepare_stored
from mim.image.settings import RecipeSettings
from mim.vocab import Laterality, Reason, View

SMALL = RecipeSettings(height=160, width=80)


def prepared(stored: StoredImage, recipe: RecipeSettings = SMALL) -> np.ndarray:
    return prepare_stored(stored, Laterality.RIGHT, View.CC, recipe).pixels


def changed(stored: StoredImage, pixels: np.ndarray | None = None, **elements) -> StoredImage:
    dataset = Dataset()
    dataset.update(stored.dataset)
    for name, value in elements.items():
        setattr(dataset, name, value)
    return StoredImage(stored.pixels if pixels is None else pixels, dataset)


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        (RecipeSettings(height=256, width=128), "129bfe2d908b1a2a"),
        (RecipeSettings(height=600, width=400), "bba2b169d216a71f"),
    ],
)
def test_golden_pixels(recipe, digest):
    """Who changes these raises ``recipe.VERSION`` and says so in the CHANGELOG."""
    pixels = prepared(phantom(), recipe)
    # Rounding of another OpenCV build moves single levels; the upper ten bits stay.
    assert hashlib.blake2b((pixels >> 6).tobytes(), digest_size=8).hexdigest() == digest


def test_shape_type_and_place():
    pixels = prepared(phantom())
    assert pixels.shape == (160, 80)
    assert pixels.dtype == np.uint16
    touched = np.flatnonzero((pixels > 0).any(0))
    assert touched[0] == 0, "the chest wall lies at column 0"
    rows = np.flatnonzero((pixels > 0).any(1))
    assert abs((rows[0]) - (159 - rows[-1])) <= 1, "centred between top and bottom"


def test_a_label_in_the_corner_of_the_crop_is_black():
    labelled = phantom().pixels.copy()
    labelled[80:110, 190:240] = 4095 - 3800  # bright, inside the box and outside the breast
    np.testing.assert_array_equal(prepared(changed(phantom(), labelled)), prepared(phantom()))


def test_a_mirrored_file_gives_the_same_picture():
    mirrored = prepared(changed(phantom(), phantom().pixels[:, ::-1])).astype(int)
    # Along the mask's edge a pixel more or less may lie inside.
    assert (np.abs(mirrored - prepared(phantom())) > 2).mean() < 1e-3


def test_a_file_stored_upside_down_gives_the_same_picture():
    turned = changed(phantom(), phantom().pixels[::-1], PatientOrientation=["P", "R"])
    difference = np.abs(prepared(turned).astype(int) - prepared(phantom()).astype(int))
    assert difference.mean() < 400


def test_monochrome1_and_2_give_the_same_picture():
    pixels = phantom().pixels
    # Both windows show the same tissue: 4095 - (centre - 0.5) - 0.5 for the mirrored one.
    other = changed(
        phantom(),
        4095 - pixels,
        PhotometricInterpretation="MONOCHROME2",
        WindowCenter=4095 - 2095.0 + 1.0,
    )
    difference = np.abs(prepared(other).astype(int) - prepared(phantom()).astype(int))
    assert difference.max() <= 48


def test_more_bits_of_the_same_tissue_give_the_same_picture():
    # 14 bits, values times 4, window times 4.
    deep = changed(
        phantom(),
        (phantom().pixels * 4 + 3).astype(np.uint16),
        BitsStored=14,
        HighBit=13,
        WindowCenter=2095.0 * 4 + 2,
        WindowWidth=2600.0 * 4,
    )
    difference = np.abs(prepared(deep).astype(int) - prepared(phantom()).astype(int))
    assert difference.max() <= 96


def test_padding_is_black_and_does_not_bleed():
    """White padding that covers part of the breast, against air in its place."""
    pixels, air = phantom().pixels.copy(), phantom().pixels.copy()
    pixels[:150, 250:], air[:150, 250:] = 7, 4095  # 7 is white in MONOCHROME1
    padded = changed(phantom(), pixels, PixelPaddingValue=7)
    np.testing.assert_array_equal(prepared(padded), prepared(changed(phantom(), air)))
    ranged = changed(phantom(), pixels, PixelPaddingValue=5, PixelPaddingRangeLimit=9)
    np.testing.assert_array_equal(prepared(ranged), prepared(changed(phantom(), air)))


def test_shrinking_averages_areas():
    """Against block means, where the factor is a whole number and the window does not clip."""
    x = np.mgrid[0:640, 0:320][1]
    random = np.random.default_rng(3)
    tissue = np.where(x < 301, 1000 + random.integers(0, 1000, x.shape), 0)
    dataset = phantom().dataset
    stored = changed(
        StoredImage(tissue.astype(np.uint16), dataset),
        PhotometricInterpretation="MONOCHROME2",
        WindowCenter=2048,
        WindowWidth=4096,
    )
    found = prepare_stored(stored, Laterality.LEFT, View.CC, RecipeSettings(height=160, width=80))
    top, bottom, left, right = found.box
    assert found.scale == pytest.approx(0.25)
    assert (top, bottom, left, right) == (0, 640, 0, 304)
    blocks = tissue[:, : right // 4 * 4].reshape(160, 4, right // 4, 4).mean((1, 3))
    wanted = (blocks - 2047.5) / 4095 + 0.5
    inner = slice(0, 70)
    np.testing.assert_allclose(found.pixels[:, inner] / 65535, wanted[:, inner], atol=3e-4)


def test_no_breast_is_a_reason():
    empty = changed(phantom(), np.full((640, 480), 4000, np.uint16))
    with pytest.raises(PixelError) as caught:
        prepared(empty)
    assert caught.value.reason is Reason.BREAST_NOT_FOUND


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_the_fingerprint_tells_recipes_apart(height, width):
    one = fingerprint(RecipeSettings(height=height, width=width))
    assert one == fingerprint(RecipeSettings(height=height, width=width))
    assert one != fingerprint(RecipeSettings(height=height + 1, width=width))
    assert one != fingerprint(RecipeSettings(height=height, width=width + 1))


@settings(max_examples=25)
@given(st.integers(20, 300), st.integers(20, 300))
def test_any_size_of_input_is_filled_and_never_left(height, width):
    pixels = prepared(phantom(), RecipeSettings(height=height, width=width))
    assert pixels.shape == (height, width)
    assert pixels.any()
