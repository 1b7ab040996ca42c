"""The one recipe: what it keeps, what it ignores, and that it stays the same."""

import hashlib
import warnings
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mim.dicom.pixels import PixelError, StoredImage
from mim.image.findings import look
from mim.image.phantom import phantom
from mim.image.recipe import fingerprint, prepare_stored
from mim.image.settings import NoWindow, RecipeSettings
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
        (RecipeSettings(height=256, width=128), "043e808d979e8fe5"),
        (RecipeSettings(height=600, width=400), "434fcf11aa619beb"),
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


def test_signed_values_of_the_same_tissue_give_the_same_picture():
    signed = changed(
        phantom(),
        phantom().pixels.astype(np.int16) - 2048,
        PixelRepresentation=1,
        WindowCenter=2095.0 - 2048,
    )
    np.testing.assert_array_equal(prepared(signed), prepared(phantom()))


def test_twelve_bits_say_something_and_the_lower_four_are_0():
    pixels = prepared(phantom(), RecipeSettings(height=600, width=400))
    assert not (pixels & 15).any()
    assert len(np.unique(pixels >> 4)) > 1000
    white = changed(phantom(), WindowCenter=3900.0, WindowWidth=1600.0)
    assert prepared(white).max() == 4095 << 4


def test_padding_is_black_and_does_not_bleed():
    """White padding that covers part of the breast, against air in its place."""
    pixels, air = phantom().pixels.copy(), phantom().pixels.copy()
    pixels[:150, 250:], air[:150, 250:] = 7, 4095  # 7 is white in MONOCHROME1
    padded = changed(phantom(), pixels, PixelPaddingValue=7)
    np.testing.assert_array_equal(prepared(padded), prepared(changed(phantom(), air)))
    ranged = changed(phantom(), pixels, PixelPaddingValue=5, PixelPaddingRangeLimit=9)
    np.testing.assert_array_equal(prepared(ranged), prepared(changed(phantom(), air)))


@pytest.mark.parametrize(
    ("signed", "padding", "limit", "there", "padded"),
    [
        # Padding Value, Range Limit, a value that lies on pixels, and whether that is padding.
        (False, 7, None, 7, True),
        (False, 7, None, 8, False),
        (False, 5, 9, 8, True),
        (False, 9, 5, 8, True),
        (False, 5, 9, 10, False),
        (False, 4095, 3000, 3100, True),
        # Twelve bits hold no such value: whatever is white there is white.
        (False, 65535, None, 0, False),
        (False, 4096, None, 0, False),
        (True, -2041, None, -2041, True),
        (True, -2043, -2039, -2040, True),
        # Written as US though the pixels are signed.
        (True, 65536 - 2041, None, -2041, True),
        (True, "odd", None, -2041, False),
    ],
)
def test_padding_is_told_from_tissue(signed, padding, limit, there, padded):
    pixels = phantom().pixels.astype(np.int16 if signed else np.uint16)
    air = 4095
    if signed:
        pixels, air = pixels - 2048, 2047
    elements = {"PixelRepresentation": int(signed)}
    if signed:
        elements["WindowCenter"] = 2095.0 - 2048
    hidden, black = pixels.copy(), pixels.copy()
    hidden[:150, 250:], black[:150, 250:] = there, air
    dataset = changed(phantom(), hidden, **elements).dataset
    dataset.add_new("PixelPaddingValue", "LO" if padding == "odd" else "SL", padding)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", "SL", limit)
        low, high = sorted((padding, limit))
        black[(black >= low) & (black <= high)] = air
    found = prepared(StoredImage(hidden, dataset))
    as_air = prepared(changed(phantom(), black, **elements))
    assert np.array_equal(found, as_air) is padded


def test_padding_of_sixteen_bits_is_no_negative_number():
    window = {"BitsStored": 16, "WindowCenter": 2095.0 * 16, "WindowWidth": 2600.0 * 16}
    pixels = (65535 - 16 * phantom().pixels).astype(np.uint16)
    white, air = pixels.copy(), pixels.copy()
    white[:150, 250:], air[:150, 250:] = 65535, 0
    window |= {"PhotometricInterpretation": "MONOCHROME2"}
    padded = changed(phantom(), white, PixelPaddingValue=65535, **window)
    np.testing.assert_array_equal(prepared(padded), prepared(changed(phantom(), air, **window)))


def test_an_image_for_processing_gives_nearly_the_picture_of_its_attenuation():
    """Exposures that fall by a hundredth for each 16 values of the phantom's own attenuation."""
    attenuation = (4095.0 - phantom().pixels) / 1600.0
    through = np.round(16000 * np.exp(-attenuation)).astype(np.uint16)
    raw = changed(
        phantom(),
        through,
        BitsStored=14,
        PhotometricInterpretation="MONOCHROME2",
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=1,
    )
    found = prepare_stored(raw, Laterality.RIGHT, View.CC, SMALL)
    assert found.voi_rule == "attenuation"
    dataset = changed(phantom()).dataset
    del dataset.WindowCenter, dataset.WindowWidth
    wanted = prepare_stored(
        StoredImage(phantom().pixels, dataset), Laterality.RIGHT, View.CC, SMALL
    )
    assert wanted.voi_rule == "breast range"
    difference = np.abs(found.pixels.astype(int) - wanted.pixels)
    # Averaging exposures is not averaging their logarithms, and the edge is where they differ.
    assert np.median(difference[wanted.pixels > 0]) < 0.01 * 65535


def test_without_a_window_the_recipe_refuses_if_told_to():
    dataset = changed(phantom(), WindowWidth=0).dataset
    stored = StoredImage(phantom().pixels, dataset)
    rule = prepare_stored(stored, Laterality.RIGHT, View.CC, SMALL).voi_rule
    assert rule == "breast range (window LINEAR: width 0)"
    with pytest.raises(PixelError) as caught:
        prepared(stored, replace(SMALL, no_window=NoWindow.refuse))
    assert caught.value.reason is Reason.NO_WINDOW


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


DAMAGED = [
    ("WindowCenter", "DS"),
    ("WindowWidth", "DS"),
    ("VOILUTFunction", "CS"),
    ("VOILUTSequence", "SQ"),
    ("ModalityLUTSequence", "SQ"),
    ("RescaleSlope", "DS"),
    ("RescaleIntercept", "DS"),
    ("PixelPaddingValue", "US"),
    ("PixelPaddingRangeLimit", "SS"),
    ("PixelRepresentation", "US"),
    ("PatientOrientation", "CS"),
    ("PhotometricInterpretation", "CS"),
    ("PresentationIntentType", "CS"),
    ("PixelIntensityRelationshipSign", "SS"),
]


@settings(max_examples=60)
@given(st.sampled_from(DAMAGED), st.binary(max_size=20))
def test_damage_in_an_element_is_a_rule_or_a_reason_and_no_crash(element, value):
    name, vr = element
    stored = changed(phantom())
    tag = Tag(name)
    stored.dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        looked = look(stored, Laterality.RIGHT, View.CC)
        assert looked.picture.shape == (320, 240)
        with suppress(PixelError):
            assert prepared(stored).any()


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
    assert one != fingerprint(RecipeSettings(height, width, NoWindow.refuse))


@settings(max_examples=25)
@given(st.integers(20, 300), st.integers(20, 300))
def test_any_size_of_input_is_filled_and_never_left(height, width):
    pixels = prepared(phantom(), RecipeSettings(height=height, width=width))
    assert pixels.shape == (height, width)
    assert pixels.any()
