"""Side, spacing and plain values of headers, as tables of meanings: one row per case."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_headers import TOMO, coded, header, item
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mim.dicom.header import describe
from mim.schemas.images import IMAGES
from mim.vocab import Kind, Laterality, Maker, Presentation, Reason, View

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom warns of the wrong values that the cases are made of."""


def test_the_plain_header_is_a_usable_screening_view() -> None:
    row = describe(header())
    assert (row["reason"], row["detail"]) == (None, None)
    assert (row["laterality"], row["view"]) == (Laterality.LEFT, View.CC)


def test_a_row_has_the_columns_of_the_schema() -> None:
    row = describe(header())
    later = {"path", "bytes", "modified_ns", "checksum", "findings", "woman", "exam", "image"}
    assert row.keys() == {column.name for column in IMAGES.columns} - later


def enhanced(side: str) -> list[Dataset]:
    return [item(FrameAnatomySequence=[item(FrameLaterality=side)])]


def region(code_value: str, scheme: str = "SCT") -> list[Dataset]:
    return [coded("76752008", AnatomicRegionModifierSequence=[coded(code_value, scheme)])]


NO_SIDE = {"ImageLaterality": None}
L, R, NEITHER = Laterality.LEFT, Laterality.RIGHT, Laterality.UNKNOWN

SIDES = [
    # elements, side, rule
    ({"ImageLaterality": "R"}, R, "ImageLaterality"),
    ({"ImageLaterality": "r "}, R, "ImageLaterality"),
    ({"ImageLaterality": "LEFT"}, L, "ImageLaterality"),
    ({"ImageLaterality": "R", "Laterality": ""}, R, "ImageLaterality"),
    ({"ImageLaterality": "R", "Laterality": "R"}, R, "ImageLaterality"),
    ({**NO_SIDE, "Laterality": "L"}, L, "Laterality"),
    ({**NO_SIDE, "SharedFunctionalGroupsSequence": enhanced("R")}, R, "FrameLaterality"),
    (
        {**NO_SIDE, "AnatomicRegionSequence": region("24028007")},
        R,
        "AnatomicRegionModifierSequence",
    ),
    (
        {**NO_SIDE, "AnatomicRegionSequence": region("G-A101", "SNM3")},
        L,
        "AnatomicRegionModifierSequence",
    ),
    ({**NO_SIDE, "ViewPosition": "RMLO"}, R, "ViewPosition"),
    (
        {**NO_SIDE, "AcquisitionDeviceProcessingDescription": "L CC"},
        L,
        "AcquisitionDeviceProcessingDescription",
    ),
    # As Fuji writes it.
    (
        {**NO_SIDE, "AcquisitionDeviceProcessingDescription": "R MAMMOGRAPHY,CC"},
        R,
        "AcquisitionDeviceProcessingDescription",
    ),
    # Medial and downwards is foot and left from the right breast, foot and right from the left one.
    (
        {**NO_SIDE, "ViewPosition": "MLO", "PatientOrientation": ["P", "FL"]},
        R,
        "PatientOrientation",
    ),
    (
        {**NO_SIDE, "ViewPosition": "MLO", "PatientOrientation": ["A", "FR"]},
        L,
        "PatientOrientation",
    ),
    (
        {**NO_SIDE, "ViewPosition": "MLO", "PatientOrientation": ["A", "HR"]},
        R,
        "PatientOrientation",
    ),
    # Orientations that only an oblique view can have, on a view that is none.
    ({**NO_SIDE, "PatientOrientation": ["P", "FL"]}, NEITHER, None),
    # The axes of a craniocaudal view are those of either breast.
    ({**NO_SIDE, "PatientOrientation": ["P", "L"]}, NEITHER, None),
    ({**NO_SIDE, "ViewPosition": "ML", "PatientOrientation": ["P", "F"]}, NEITHER, None),
    ({**NO_SIDE, "BodyPartExamined": "Left Breast"}, L, "BodyPartExamined"),
    ({**NO_SIDE, "BodyPartExamined": "BREAST"}, NEITHER, None),
    ({**NO_SIDE, "SeriesDescription": "R CC"}, R, "SeriesDescription (text)"),
    ({**NO_SIDE, "SeriesDescription": "ROUTINE3D_VOL_LMLO"}, L, "SeriesDescription (text)"),
    ({**NO_SIDE, "SeriesDescription": "MAMMO DIAGNOSTIC LEFT"}, L, "SeriesDescription (text)"),
    ({**NO_SIDE, "SeriesDescription": "LEFT AND RIGHT"}, NEITHER, None),
    # A letter by itself is no side.
    ({**NO_SIDE, "SeriesDescription": "L'EXAMEN DES SEINS"}, NEITHER, None),
    # Text never overrules an element made for the side.
    ({"ImageLaterality": "L", "SeriesDescription": "R CC"}, L, "ImageLaterality"),
    # Elements that disagree decide nothing.
    (
        {"ImageLaterality": "L", "Laterality": "R"},
        NEITHER,
        "ImageLaterality L against Laterality R",
    ),
    (
        {"ImageLaterality": "L", "ViewPosition": "RCC"},
        NEITHER,
        "ImageLaterality L against ViewPosition R",
    ),
    ({"ImageLaterality": "B"}, NEITHER, "ImageLaterality B"),
    ({"ImageLaterality": "B", "Laterality": "L"}, NEITHER, "ImageLaterality B"),
    ({**NO_SIDE, "Laterality": "B"}, NEITHER, "Laterality B"),
    ({"ImageLaterality": "U"}, NEITHER, None),
    (NO_SIDE, NEITHER, None),
]


@pytest.mark.parametrize(("elements", "side", "rule"), SIDES)
def test_side(elements: dict[str, Any], side: Laterality, rule: str | None) -> None:
    row = describe(header(**elements))
    assert (row["laterality"], row["laterality_rule"]) == (side, rule)
    assert (row["reason"] == Reason.SIDE_UNKNOWN) == (side == NEITHER and row["view"] == View.CC)


SPACINGS = [
    # elements, spacing between rows and between columns in mm, rule
    ({"ImagerPixelSpacing": ["0.07", "0.065"]}, (0.07, 0.065), "ImagerPixelSpacing"),
    (
        {"ImagerPixelSpacing": ["0.07", "0.07"], "PixelSpacing": ["0.1", "0.1"]},
        (0.07, 0.07),
        "ImagerPixelSpacing",
    ),
    ({"PixelSpacing": ["0.085", "0.085"]}, (0.085, 0.085), "PixelSpacing"),
    ({"NominalScannedPixelSpacing": ["0.05", "0.05"]}, (0.05, 0.05), "NominalScannedPixelSpacing"),
    (
        {"ImagerPixelSpacing": ["0", "0"], "PixelSpacing": ["0.1", "0.1"]},
        (0.1, 0.1),
        "PixelSpacing",
    ),
    ({"ImagerPixelSpacing": ["-0.07", "0.07"]}, (None, None), None),
    ({"ImagerPixelSpacing": "0.07"}, (None, None), None),
    ({"ImagerPixelSpacing": ["0.07", "0.07", "0.07"]}, (None, None), None),
    # Somebody wrote micrometres.
    ({"ImagerPixelSpacing": ["70", "70"]}, (None, None), None),
    ({}, (None, None), None),
]


@pytest.mark.parametrize(("elements", "spacing", "rule"), SPACINGS)
def test_spacing(elements: dict[str, Any], spacing: tuple[float, float], rule: str | None) -> None:
    row = describe(header(**elements))
    assert (row["row_spacing_mm"], row["column_spacing_mm"]) == spacing
    assert row["spacing_rule"] == rule


VALUES = [
    # column, elements, value
    ("study_date", {"StudyDate": "20150929"}, date(2015, 9, 29)),
    ("study_date", {"StudyDate": "2015.09.29"}, date(2015, 9, 29)),
    ("study_date", {"StudyDate": "20150931"}, None),
    ("study_date", {"StudyDate": "00000000"}, None),
    ("study_date", {"StudyDate": "yesterday"}, None),
    (
        "acquired",
        {"AcquisitionDate": "20150929", "AcquisitionTime": "121002.000000"},
        "20150929121002",
    ),
    ("acquired", {"AcquisitionDate": "20150929", "AcquisitionTime": "1210"}, "20150929121000"),
    ("acquired", {"AcquisitionDate": "20150929", "AcquisitionTime": "12:10:02"}, "20150929121002"),
    ("acquired", {"AcquisitionDateTime": "20150929121002.5+0100"}, "20150929121002"),
    ("acquired", {"ContentDate": "20150929", "ContentTime": "121002"}, "20150929121002"),
    (
        "acquired",
        {
            "AcquisitionDate": "20150929",
            "AcquisitionTime": "",
            "ContentDate": "20150930",
            "ContentTime": "010203",
        },
        "20150930010203",
    ),
    ("acquired", {"AcquisitionDate": "20150929", "AcquisitionTime": "256199"}, None),
    ("age_years", {"PatientAge": "052Y"}, 52),
    ("age_years", {"PatientAge": "624M"}, 52),
    ("age_years", {"PatientAge": "52"}, None),
    ("age_years", {"PatientAge": "000Y"}, None),
    ("age_years", {"PatientAge": "999Y"}, None),
    ("software", {"SoftwareVersions": ["VB30", "SL5"]}, "VB30/SL5"),
    ("software", {"SoftwareVersions": "1.8.3"}, "1.8.3"),
    ("software", {"SoftwareVersions": ""}, None),
    ("model_name", {"ManufacturerModelName": " Mammomat Inspiration "}, "Mammomat Inspiration"),
    ("manufacturer", {"Manufacturer": " Metaltronica "}, "Metaltronica"),
    ("series_uid", {"SeriesInstanceUID": "1.2.3.4"}, "1.2.3.4"),
    ("frames", {"NumberOfFrames": "1"}, 1),
    ("frames", {}, None),
    ("rows", {"Rows": 4096}, 4096),
    ("bits_stored", {"BitsStored": 12}, 12),
    ("bits_stored", {"BitsStored": 0}, None),
    ("photometric", {"PhotometricInterpretation": "monochrome1 "}, "MONOCHROME1"),
    ("patient_id", {"PatientID": ""}, None),
    ("modality", {"Modality": "mg"}, "MG"),
]


@pytest.mark.parametrize(("column", "elements", "value"), VALUES)
def test_value(column: str, elements: dict[str, Any], value: object) -> None:
    assert describe(header(**elements))[column] == value


def test_what_is_given_replaces_the_header_before_reasons_are_looked_for() -> None:
    stripped = header(SOPClassUID=None, Modality=None, ImageLaterality=None, ViewPosition=None)
    assert describe(stripped)["reason"] == Reason.NOT_MAMMOGRAM
    row = describe(stripped, {"modality": "MG", "laterality": Laterality.RIGHT, "view": View.MLO})
    assert (row["reason"], row["laterality"], row["view"]) == (None, Laterality.RIGHT, View.MLO)
    assert (row["laterality_rule"], row["view_rule"]) == ("overrides", "overrides")
    assert row["overridden"] == ["laterality", "modality", "view"]


def test_given_values_can_take_an_image_out() -> None:
    row = describe(header(), {"presentation": Presentation.FOR_PROCESSING})
    assert (row["reason"], row["presentation_rule"]) == (Reason.FOR_PROCESSING, "overrides")


def test_a_given_maker_helps_to_find_the_kind() -> None:
    one_frame = header(SOPClassUID=TOMO, NumberOfFrames="1")
    assert describe(one_frame)["kind"] == Kind.TOMOSYNTHESIS
    row = describe(one_frame, {"maker": Maker.GE})
    assert (row["kind"], row["maker_rule"]) == (Kind.SYNTHETIC_2D, "overrides")


def test_a_given_kind_decides() -> None:
    row = describe(header(), {"kind": Kind.SYNTHETIC_2D})
    assert (row["kind"], row["kind_rule"]) == (Kind.SYNTHETIC_2D, "overrides")
    assert row["reason"] == Reason.SYNTHETIC_2D


def test_broken_elements_are_missing_values() -> None:
    """Raw bytes as a file may hold them: no element may stop the row."""
    dataset = header()
    for tag, vr, value in [
        (0x00200013, "IS", b"abc"),
        (0x00181114, "DS", b"NaN "),
        (0x00280101, "DS", b"NaN "),
        (0x00181164, "DS", b"0.07\\x "),
        (0x00280008, "IS", b"1\\2 "),
        (0x00540220, "LO", b"no sequence "),
        (0x00280010, "US", b"\x01"),
        (0x00101010, "AS", b"\xff\xfe"),
        (0x00080020, "DA", b"2015\\2016 "),
    ]:
        dataset._dict[Tag(tag)] = raw(tag, vr, value)
    row = describe(dataset)
    assert row["reason"] == Reason.NO_PIXELS
    assert (row["row_spacing_mm"], row["study_date"], row["age_years"]) == (None, None, None)
    assert (row["view"], row["bits_stored"]) == (View.CC, None)


def raw(tag: int, vr: str, value: bytes) -> Any:
    from pydicom.dataelem import RawDataElement

    return RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


READ = [
    "SOPClassUID",
    "Modality",
    "Rows",
    "Columns",
    "ImageLaterality",
    "Laterality",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "SeriesDescription",
    "AcquisitionDeviceProcessingDescription",
    "ImageType",
    "NumberOfFrames",
    "PresentationIntentType",
    "ImagerPixelSpacing",
    "PixelSpacing",
    "StudyDate",
    "PatientAge",
    "AcquisitionDate",
    "AcquisitionTime",
    "SoftwareVersions",
    "SamplesPerPixel",
    "PatientID",
    "Manufacturer",
    "EstimatedRadiographicMagnificationFactor",
    "SharedFunctionalGroupsSequence",
    "PaddleDescription",
    "ManufacturerModelName",
    "PartialView",
    "PartialViewCodeSequence",
    "ConversionType",
    "DetectorType",
    "BodyPartExamined",
]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(READ),
        st.tuples(
            st.sampled_from(
                ["CS", "DS", "IS", "LO", "US", "UI", "SQ", "DA", "TM", "UN", "FD", "AS", "OB"]
            ),
            st.binary(max_size=24),
        ),
    )
)
def test_any_bytes_in_any_element_give_a_row(elements: dict[str, tuple[str, bytes]]) -> None:
    dataset = header()
    for keyword, (vr, value) in elements.items():
        dataset._dict[Tag(keyword)] = raw(int(Tag(keyword)), vr, value)
    row = describe(dataset)
    wrong = [
        c.name for c in IMAGES.columns if not c.nullable and c.name in row and row[c.name] is None
    ]
    assert not wrong
    IMAGES.from_rows([row | {"path": "a"}]).validate(full=True)
