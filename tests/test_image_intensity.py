"""Grey levels against pydicom's own look-up functions and the standard's formulas."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mim.image.intensity import grey_scale

STORED = np.arange(0, 4096, 7, dtype=np.uint16)
TISSUE = (100.0, 3000.0)


def image(**elements: object) -> Dataset:
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def lookup(first: int, values: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.add_new(0x00283006, "OW", np.array(values, "<u2").tobytes())
    return item


VOI = lookup(500, [int(1023 * (i / 1999) ** 2) for i in range(2000)], 10)
MODALITY = lookup(0, [4000 - i // 2 for i in range(4096)], 16)


@pytest.mark.parametrize(
    ("elements", "rule"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 1500}, "window LINEAR"),
        ({"WindowCenter": [1500, 9], "WindowWidth": [900, 3]}, "window LINEAR"),
        (
            {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR_EXACT"},
            "window LINEAR_EXACT",
        ),
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
    shown, found = grey_scale(dataset).shown(STORED.astype(float), TISSUE)
    output = apply_modality_lut(STORED, dataset)
    dataset.BitsStored = 12
    theirs = apply_voi_lut(output, dataset, index=0, prefer_lut=True).astype(float)
    top = 1023.0 if rule == "VOI LUT" else _highest(dataset, theirs, output)
    low = 0.0 if rule == "VOI LUT" else _lowest(dataset)
    np.testing.assert_allclose(shown, (theirs - low) / (top - low), atol=2e-3)
    assert found == rule


def _lowest(dataset: Dataset) -> float:
    """What pydicom maps black to: the lowest value after the modality LUT."""
    if "RescaleSlope" in dataset:
        return float(dataset.RescaleIntercept)
    return 0.0


def _highest(dataset: Dataset, theirs: np.ndarray, output: np.ndarray) -> float:
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
    assert grey_scale(dataset).shown(np.array([value], float), TISSUE)[0] == pytest.approx(expected)


def test_a_width_of_one_is_a_threshold():
    dataset = image(WindowCenter=1000, WindowWidth=1)
    shown, _ = grey_scale(dataset).shown(np.array([999.0, 1000.0]), TISSUE)
    assert shown.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", [None, "INVERSE"])
def test_monochrome1_is_inverted_once(shape):
    plain = image(WindowCenter=2000, WindowWidth=1500)
    inverse = image(WindowCenter=2000, WindowWidth=1500, PhotometricInterpretation="MONOCHROME1")
    if shape:
        inverse.PresentationLUTShape = shape
    one, _ = grey_scale(plain).shown(STORED.astype(float), TISSUE)
    other, _ = grey_scale(inverse).shown(STORED.astype(float), TISSUE)
    np.testing.assert_allclose(other, 1 - one)
    assert grey_scale(inverse).inverted
    assert not grey_scale(plain).inverted


def test_a_falling_modality_lut_turns_the_scale():
    assert grey_scale(image(ModalityLUTSequence=[MODALITY])).inverted
    both = image(ModalityLUTSequence=[MODALITY], PhotometricInterpretation="MONOCHROME1")
    assert not grey_scale(both).inverted


@pytest.mark.parametrize(
    "elements",
    [{}, {"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": 5, "WindowWidth": 0}],
)
def test_without_a_usable_window_the_breast_sets_it(elements):
    shown, rule = grey_scale(image(**elements)).shown(np.array([100.0, 1550.0, 3000.0]), TISSUE)
    np.testing.assert_allclose(shown, [0.0, 0.5, 1.0])
    assert rule == "breast range"


def test_signed_images_begin_below_zero():
    scale = grey_scale(image(PixelRepresentation=1))
    assert (scale.lowest, scale.highest) == (-2048, 2047)
