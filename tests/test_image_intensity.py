"""Grey levels against pydicom's own look-up functions, the standard's formulas and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mim.dicom.pixels import PixelError
from mim.image.geometry import Tissue
from mim.image.intensity import grey_scale
from mim.image.settings import NoWindow
from mim.vocab import Reason

STORED = np.arange(0, 4096, 7, dtype=np.uint16)
LEVELS = (100.0, 1400.0, 2600.0, 3000.0)
"""Stored values of air, of dark and bright tissue, and of the brightest."""


def image(**elements: object) -> Dataset:
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def lookup(
    first: int, values: list[int], bits: int, count: int | None = None, entry: str = "<u2"
) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values) if count is None else count, first, bits]
    item["LUTDescriptor"].VR = "US"
    item.add_new(0x00283006, "OW", np.array(values, entry).tobytes())
    return item


def shown(
    dataset: Dataset, stored: object, no_window: NoWindow = NoWindow.breast_range
) -> tuple[np.ndarray, str]:
    """Grey levels of an image with ``LEVELS``, turned round where its scale falls, and the rule."""
    scale = grey_scale(dataset)
    levels = np.array(LEVELS, np.float32)
    tissue = Tissue(*scale.upright(4095 - levels if scale.falling else levels).tolist())
    return scale.shown(np.asarray(stored, float), tissue, no_window)


CURVE = [int(1023 * (i / 1999) ** 2) for i in range(2000)]
VOI = lookup(500, CURVE, 10)
MODALITY = lookup(0, [4000 - i // 2 for i in range(4096)], 16)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 1500}


@pytest.mark.parametrize(
    ("elements", "rule"),
    [
        (WINDOW, "window LINEAR"),
        ({"WindowCenter": [1500, 9], "WindowWidth": [900, 3]}, "window LINEAR"),
        ({**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, "window LINEAR_EXACT"),
        (
            {"WindowCenter": 2653, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
            "window SIGMOID",
        ),
        ({"VOILUTSequence": [VOI]}, "VOI LUT"),
        # Where a file has both, either may be used: the table is the maker's more exact word.
        ({"VOILUTSequence": [VOI], "WindowCenter": 2000, "WindowWidth": 50}, "VOI LUT"),
        (
            {"RescaleSlope": 0.5, "RescaleIntercept": -20, "WindowCenter": 900, "WindowWidth": 700},
            "window LINEAR",
        ),
        (
            {"ModalityLUTSequence": [MODALITY], "WindowCenter": 3000, "WindowWidth": 1500},
            "window LINEAR",
        ),
    ],
)
def test_grey_levels_are_those_of_pydicom(elements, rule):
    dataset = image(**elements)
    dataset.RescaleType = "US"
    ours, found = shown(dataset, STORED)
    output = apply_modality_lut(STORED, dataset)
    theirs = apply_voi_lut(output, dataset, index=0, prefer_lut=True).astype(float)
    top = 1023.0 if rule == "VOI LUT" else _highest(dataset)
    low = 0.0 if rule == "VOI LUT" else _lowest(dataset)
    np.testing.assert_allclose(ours, (theirs - low) / (top - low), atol=2e-3)
    assert found == rule


def _lowest(dataset: Dataset) -> float:
    """What pydicom maps black to: the lowest value after the modality LUT."""
    if "RescaleSlope" in dataset:
        return float(dataset.RescaleIntercept)
    return 0.0


def _highest(dataset: Dataset) -> float:
    if "ModalityLUTSequence" in dataset:
        return 65535.0
    if "RescaleSlope" in dataset:
        return 4095 * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    return 4095.0


@pytest.mark.parametrize(
    ("value", "expected"),
    # PS3.3 C.11.2.1.2.1, example of the note: center 2048, width 4096.
    [(0, 0.0), (4095, 1.0), (1000, (1000 - 2047.5) / 4095 + 0.5)],
)
def test_the_standards_example_of_a_linear_window(value, expected):
    dataset = image(WindowCenter=2048, WindowWidth=4096)
    assert shown(dataset, [value])[0] == pytest.approx(expected)


def test_a_width_of_one_is_a_threshold():
    dataset = image(WindowCenter=2000, WindowWidth=1)
    assert shown(dataset, [1999.0, 2000.0])[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", [None, "INVERSE"])
def test_monochrome1_is_inverted_once(shape):
    inverse = image(**WINDOW, PhotometricInterpretation="MONOCHROME1")
    if shape:
        inverse.PresentationLUTShape = shape
    np.testing.assert_allclose(shown(inverse, STORED)[0], 1 - shown(image(**WINDOW), STORED)[0])
    assert grey_scale(inverse).falling
    assert not grey_scale(image(**WINDOW)).falling


def test_a_falling_modality_lut_turns_the_scale():
    assert grey_scale(image(ModalityLUTSequence=[MODALITY])).falling
    both = image(ModalityLUTSequence=[MODALITY], PhotometricInterpretation="MONOCHROME1")
    assert not grey_scale(both).falling


SHORT = lookup(500, CURVE[:1000], 10, count=2000)
LOUD = lookup(500, CURVE, 9)
QUIET = lookup(500, CURVE, 12)
BITLESS = lookup(500, CURVE, 0)
BARE = Dataset()
NOTHING = lookup(4000, CURVE, 10)


@pytest.mark.parametrize(
    ("elements", "rule"),
    [
        # No word at all, and words that cannot be right.
        ({}, "breast range"),
        ({"WindowCenter": "", "WindowWidth": ""}, "breast range"),
        ({"VOILUTSequence": []}, "breast range"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "breast range (window LINEAR: width 0)"),
        ({"WindowCenter": 5, "WindowWidth": -3}, "breast range (window LINEAR: width -3)"),
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "breast range (window LINEAR: width 0.5)"),
        # The second window where the first is broken.
        (
            {"WindowCenter": ["NaN", 2000], "WindowWidth": [900, 1500]},
            "window LINEAR (window LINEAR: no numbers)",
        ),
        (
            {**WINDOW, "VOILUTFunction": "CUBIC"},
            "window LINEAR (window LINEAR: unknown function)",
        ),
        # A table that contradicts its own descriptor.
        ({"VOILUTSequence": [SHORT]}, "breast range (VOI LUT: 1000 of 2000 entries)"),
        ({"VOILUTSequence": [LOUD]}, "breast range (VOI LUT: entries beyond 9 bits)"),
        ({"VOILUTSequence": [QUIET]}, "breast range (VOI LUT: entries far below 12 bits)"),
        ({"VOILUTSequence": [BITLESS]}, "breast range (VOI LUT: 0 bits)"),
        ({"VOILUTSequence": [BARE], **WINDOW}, "window LINEAR (VOI LUT: cannot be read)"),
        # Words that may be right for another picture: of this breast they show nothing.
        (
            {"WindowCenter": 3500, "WindowWidth": 200},
            "breast range (window LINEAR: shows nothing)",
        ),
        (
            {"WindowCenter": 300, "WindowWidth": 200},
            "breast range (window LINEAR: shows nothing)",
        ),
        ({"VOILUTSequence": [NOTHING], **WINDOW}, "window LINEAR (VOI LUT: shows nothing)"),
        (
            {**WINDOW, "ModalityLUTSequence": [BARE]},
            "window LINEAR (Modality LUT: cannot be read)",
        ),
        ({**WINDOW, "RescaleSlope": 0}, "window LINEAR (Rescale: no numbers)"),
    ],
)
def test_a_word_that_cannot_be_followed_gives_way_to_the_next_and_is_named(elements, rule):
    assert shown(image(**elements), STORED)[1] == rule


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_without_a_usable_window_the_breast_sets_it(photometric):
    dataset = image(PhotometricInterpretation=photometric)
    values = np.array([50.0, 100.0, 1550.0, 3000.0, 3500.0])
    if photometric == "MONOCHROME1":
        values = 4095 - values
    np.testing.assert_allclose(shown(dataset, values)[0], [0.0, 0.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("elements", [{}, {"WindowCenter": 300, "WindowWidth": 200}])
def test_the_policy_may_refuse_images_without_a_usable_window(elements):
    with pytest.raises(PixelError) as caught:
        shown(image(**elements), STORED, NoWindow.refuse)
    assert caught.value.reason is Reason.NO_WINDOW
    shown(image(**WINDOW), STORED, NoWindow.refuse)


@pytest.mark.parametrize("entry", ["u1", "<u2"])
def test_tables_of_eight_bits_may_lie_in_bytes_or_words(entry):
    steps = [i // 16 for i in range(4096)]
    grey, rule = shown(image(VOILUTSequence=[lookup(0, steps, 8, entry=entry)]), STORED)
    np.testing.assert_allclose(grey, (STORED // 16) / 255)
    assert rule == "VOI LUT"


def test_a_table_of_all_16_bit_values_says_zero_entries():
    item = lookup(0, list(range(65536)), 16, count=0)
    np.testing.assert_allclose(shown(image(VOILUTSequence=[item]), STORED)[0], STORED / 65535)


def test_a_table_of_a_signed_image_may_begin_below_zero():
    """LUT Descriptor is read as US or SS; 64536 is -1000."""
    ramp = lookup(64536, list(range(3000)), 12)
    dataset = image(PixelRepresentation=1, VOILUTSequence=[ramp])
    grey, rule = shown(dataset, [-1001, -1000, 0, 1999, 2000])
    np.testing.assert_allclose(grey, np.array([0, 0, 1000, 2999, 2999]) / 4095)
    assert rule == "VOI LUT"


PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("named", "relationship", "sign", "falling", "rule"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "LIN", 1, True, "attenuation"),
        ({"SOPClassUID": PROCESSING}, "LIN", 1, True, "attenuation"),
        ({"SOPClassUID": PROCESSING}, "LIN", -1, False, "attenuation"),
        ({"SOPClassUID": PROCESSING}, "LOG", 1, True, "attenuation, logarithm by the maker"),
        ({"SOPClassUID": PROCESSING}, "LOG", -1, False, "attenuation, logarithm by the maker"),
        (
            {"SOPClassUID": PROCESSING},
            None,
            None,
            True,
            "attenuation (no Pixel Intensity Relationship: taken for LIN)",
        ),
    ],
)
def test_images_for_processing_show_attenuation(
    named, relationship, sign, falling, rule, photometric
):
    """A body of which each step lets a tenth less through is a ladder of equal grey steps."""
    dataset = image(**named, **WINDOW, PhotometricInterpretation=photometric)
    if relationship:
        dataset.PixelIntensityRelationship = relationship
        dataset.PixelIntensityRelationshipSign = sign
    through = 4000 * 0.9 ** np.arange(11.0)
    stored = 400 * np.log(through) if relationship == "LOG" else through
    stored = stored if falling else 4095 - stored
    scale = grey_scale(dataset)
    assert scale.falling is falling
    upright = scale.upright(stored.astype(np.float32))
    tissue = Tissue(float(upright[0]), float(upright[3]), float(upright[8]), float(upright[10]))
    grey, found = scale.shown(stored, tissue, NoWindow.refuse)
    np.testing.assert_allclose(grey, np.linspace(0, 1, 11), atol=1e-3)
    assert found == rule


def test_a_detector_that_counts_nothing_is_no_infinity():
    dataset = image(SOPClassUID=PROCESSING, PixelRepresentation=1)
    tissue = Tissue(-7.0, -5.0, -4.0, -1.0)
    grey, _ = grey_scale(dataset).shown(np.array([-3.0, 0.0]), tissue, NoWindow.refuse)
    assert grey.tolist() == [1.0, 1.0]


def test_signed_images_begin_below_zero():
    scale = grey_scale(image(PixelRepresentation=1))
    assert (scale.lowest, scale.highest) == (-2048, 2047)


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", ""]),
)
def test_no_window_gives_greys_beyond_black_and_white(center, width, function):
    dataset = Dataset()
    dataset.update(image(VOILUTFunction=function))
    # A text (DS) of such a number would be refused when it is set, not when it is read.
    dataset.add_new("WindowCenter", "FD", center)
    dataset.add_new("WindowWidth", "FD", width)
    grey, rule = shown(dataset, STORED)
    assert grey.min() >= 0.0
    assert grey.max() <= 1.0
    assert np.ptp(grey) > 0.0, rule
