"""DICOM files: decoded by other means than they were encoded with, and their headers."""

from dataclasses import replace
from datetime import date

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import config, dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_voi_lut
from pydicom.uid import UID

from mim.synthetic import makers
from mim.synthetic.makers import DEVICES
from mim.synthetic.write import Shot, Study, derive_uid, encode, write_image
from mim.vocab import Laterality, View, ViewModifier

L, R = Laterality.LEFT, Laterality.RIGHT


def ramp(device, rows=61, columns=47):
    """Every kind of value: the device's whole range, noise, and a flat background."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 1 << device.bits_stored, (rows, columns)).astype(np.uint16)
    pixels[:20] = device.greys.background
    pixels[20:25] = np.linspace(0, (1 << device.bits_stored) - 1, columns)
    return pixels


def written(tmp_path, device, pixels=None, side=L, view=View.CC, **shot):
    study = Study("W000001", "W000001R1", "2.25.7", date(2013, 5, 6), 600, 55, "Mill", device, 8)
    path = tmp_path / "1.dcm"
    image = Shot(1, "2.25.8", "2.25.9", side, view, 52.0, mirrored=False)
    write_image(path, study, replace(image, **shot), ramp(device) if pixels is None else pixels)
    return dcmread(path)


def decoded(dataset):
    """pydicom's own decoders, liblj92 and OpenCV: none of them wrote the file."""
    match dataset.file_meta.TransferSyntaxUID:
        case makers.JPEG_LOSSLESS:
            return imagecodecs.ljpeg_decode(
                next(generate_frames(dataset.PixelData, number_of_frames=1))
            )
        case makers.JPEG_2000:
            stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
            return cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
        case _:
            return dataset.pixel_array


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.model)
def test_every_syntax_gives_back_what_was_written(tmp_path, device):
    dataset = written(tmp_path, device)
    assert dataset.file_meta.TransferSyntaxUID == device.transfer_syntax
    assert np.array_equal(decoded(dataset), ramp(device))


@given(
    arrays(
        np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 300)), elements=st.integers(0, 65535)
    )
)
def test_run_length_is_undone_by_another_decoder(pixels):
    stream = encode(pixels, 16, makers.RUN_LENGTH)
    back = imagecodecs.dicomrle_decode(stream, np.dtype("<u2"))
    assert np.array_equal(np.frombuffer(back, "<u2").reshape(pixels.shape), pixels)


def test_jpeg_lossless_uses_selection_value_1(tmp_path):
    stream = encode(ramp(makers.INSPIRATION), 12, makers.JPEG_LOSSLESS)
    scan = stream.index(b"\xff\xda")
    components = stream[scan + 4]
    assert stream[scan + 5 + 2 * components] == 1  # Ss of SOS, ISO 10918-1 H.1.2
    assert b"\xff\xc3" in stream[:64]


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.model)
@pytest.mark.parametrize("processing", [False, True])
def test_every_element_is_valid(tmp_path, device, processing, monkeypatch):
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    dataset = written(tmp_path, device, processing=processing)
    for element in dataset.iterall():
        assert element.value is not None or element.VM == 0
    assert all(UID(dataset[k].value).is_valid for k in ("SOPInstanceUID", "StudyInstanceUID"))
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.PresentationIntentType == (
        "FOR PROCESSING" if processing else "FOR PRESENTATION"
    )
    assert dataset.SOPClassUID.endswith(".2.1" if processing else ".1.2")


@pytest.mark.parametrize(
    ("side", "view", "mirrored", "orientation"),
    [  # PS3.3 C.7.6.1.1.1, letters of PS3.17 on mammography hanging
        (L, View.CC, False, ["A", "R"]),
        (L, View.MLO, False, ["A", "FR"]),
        (R, View.CC, False, ["P", "L"]),
        (R, View.MLO, False, ["P", "FL"]),
        (R, View.CC, True, ["A", "L"]),
        (R, View.MLO, True, ["A", "FL"]),
    ],
)
def test_patient_orientation(tmp_path, side, view, mirrored, orientation):
    dataset = written(tmp_path, makers.INSPIRATION, side=side, view=view, mirrored=mirrored)
    assert list(dataset.PatientOrientation) == orientation


HABITS = [  # device, side in, view position, code scheme, spacing in
    (makers.INSPIRATION, "ImageLaterality", True, None, {"ImagerPixelSpacing"}),
    (makers.REVELATION, "ImageLaterality", True, "SCT", {"ImagerPixelSpacing"}),
    (makers.LORAD, "ImageLaterality", True, "SRT", {"ImagerPixelSpacing"}),
    (makers.DIMENSIONS, "ImageLaterality", True, "SCT", {"ImagerPixelSpacing", "PixelSpacing"}),
    (makers.ESSENTIAL, "ImageLaterality", False, "SRT", {"ImagerPixelSpacing"}),
    (makers.PRISTINA, "Laterality", False, "SCT", {"ImagerPixelSpacing"}),
    (makers.MICRODOSE_L30, None, True, None, {"PixelSpacing"}),
    (makers.MICRODOSE_SI, "Laterality", True, "SCT", {"ImagerPixelSpacing", "PixelSpacing"}),
]
MLO_CODES = {"SCT": "399368009", "SRT": "R-10226"}  # CID 4014


@pytest.mark.parametrize(("device", "side_in", "position", "scheme", "spacing"), HABITS)
def test_each_maker_has_its_habits(tmp_path, device, side_in, position, scheme, spacing):
    dataset = written(tmp_path, device, side=R, view=View.MLO)
    sides = {k: dataset.get(k) for k in ("ImageLaterality", "Laterality") if dataset.get(k)}
    assert sides == ({side_in: "R"} if side_in else {})
    assert dataset.SeriesDescription == "R MLO"
    assert dataset.get("ViewPosition") == ("MLO" if position else None)
    codes = [(c.CodingSchemeDesignator, c.CodeValue) for c in dataset.get("ViewCodeSequence", [])]
    assert codes == ([(scheme, MLO_CODES[scheme])] if scheme else [])
    assert {k for k in ("ImagerPixelSpacing", "PixelSpacing") if k in dataset} == spacing
    pitch = float(dataset[next(iter(spacing))].value[0])
    assert pitch == pytest.approx(device.pitch_mm * 8)


def test_a_hidden_side_and_view_are_still_in_the_description(tmp_path):
    dataset = written(tmp_path, makers.DIMENSIONS, hides_laterality=True, hides_view=True)
    hidden = ("ImageLaterality", "Laterality", "ViewPosition", "ViewCodeSequence")
    assert not any(keyword in dataset for keyword in hidden)
    assert dataset.SeriesDescription == "L CC"


def test_a_spot_view_says_so(tmp_path):
    modifiers = (ViewModifier.SPOT, ViewModifier.MAGNIFIED)
    dataset = written(tmp_path, makers.ESSENTIAL, modifiers=modifiers)
    codes = [c.CodeValue for c in dataset.ViewCodeSequence[0].ViewModifierCodeSequence]
    assert codes == ["R-102D7", "R-102D6"]  # CID 4015: spot compression, magnification
    assert float(dataset.EstimatedRadiographicMagnificationFactor) > 1.5


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.model)
def test_the_window_shows_fat_dark_and_gland_bright(tmp_path, device):
    greys = device.greys
    pixels = np.full((8, 8), greys.background, np.uint16)
    pixels[2], pixels[3] = greys.dark, greys.bright
    shown = apply_voi_lut(pixels, written(tmp_path, device, pixels)).astype(float)
    if device.photometric == "MONOCHROME1":
        shown = -shown
    air, fat, gland = shown[0, 0], shown[2, 0], shown[3, 0]
    span = shown.max() - shown.min()
    assert gland - fat > 0.5 * span
    assert fat - air < 0.3 * span
    assert gland == shown.max()


def test_padding_and_inversion_of_philips(tmp_path):
    dataset = written(tmp_path, makers.MICRODOSE_SI)
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    assert dataset.PresentationLUTShape == "INVERSE"
    assert dataset.PixelPaddingValue == makers.MICRODOSE_SI.greys.background


def test_uids_depend_on_their_parts_alone():
    assert derive_uid("a", 1) == derive_uid("a", 1)
    assert len({derive_uid("a", n) for n in range(1000)}) == 1000
    assert UID(derive_uid("a", 1)).is_valid
    assert derive_uid("a", 1).startswith("2.25.")


def test_no_date_of_today_and_no_name_of_a_person(tmp_path):
    dataset = written(tmp_path, makers.DIMENSIONS)
    dates = {e.value for e in dataset.iterall() if e.VR == "DA" and e.value}
    assert dates == {"20130506"}
    assert dataset.PatientName == "MADE-UP^W000001"
    assert not dataset.PatientBirthDate
