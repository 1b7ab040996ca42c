"""What made a picture and why it is left out, as tables of meanings: one row per case."""

from typing import Any

import pytest
from made_headers import CAPTURE, CR, MG, MG_RAW, PROJECTION, TOMO, coded, header

from mim.dicom.header import describe
from mim.vocab import Kind, Presentation, Reason

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom warns of the wrong values that the cases are made of."""

REASONS = [
    # elements, reason, words of the detail
    ({"Rows": None}, Reason.NO_PIXELS, "Rows"),
    ({"Columns": 0}, Reason.NO_PIXELS, "Rows"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.50", "Rows": None}, Reason.NO_PIXELS, "CAD SR"),
    ({"Modality": "CR", "SOPClassUID": CR}, Reason.NOT_MAMMOGRAM, "Computed Radiography"),
    ({"Modality": None, "SOPClassUID": None}, Reason.NOT_MAMMOGRAM, "(none)"),
    # Either says enough.
    ({"Modality": None}, None, ""),
    ({"SOPClassUID": None}, None, ""),
    ({"SOPClassUID": CR}, None, ""),
    ({"Modality": "OT", "SOPClassUID": CAPTURE}, Reason.SECONDARY_CAPTURE, "OT"),
    # CBIS-DDSM's films, but neither its cut-outs nor its masks.
    ({"SOPClassUID": CAPTURE}, None, ""),
    ({"SOPClassUID": CAPTURE, "SeriesDescription": "full mammogram images"}, None, ""),
    (
        {"SOPClassUID": CAPTURE, "SeriesDescription": "cropped images"},
        Reason.NOT_SCREENING_VIEW,
        "part",
    ),
    (
        {"SOPClassUID": CAPTURE, "SeriesDescription": "ROI mask images"},
        Reason.NOT_MAMMOGRAM,
        "mask",
    ),
    ({"SOPClassUID": CAPTURE, "SamplesPerPixel": 3}, Reason.SECONDARY_CAPTURE, "colour"),
    ({"QualityControlImage": "YES"}, Reason.NOT_MAMMOGRAM, "phantom"),
    ({"QualityControlImage": "NO"}, None, ""),
    ({"SOPClassUID": MG_RAW}, Reason.FOR_PROCESSING, "detector"),
    ({"PresentationIntentType": "FOR PROCESSING"}, Reason.FOR_PROCESSING, "detector"),
    ({"SOPClassUID": TOMO, "NumberOfFrames": "60"}, Reason.TOMOSYNTHESIS, "60"),
    ({"SOPClassUID": TOMO}, Reason.TOMOSYNTHESIS, "Tomosynthesis"),
    ({"SOPClassUID": PROJECTION}, Reason.TOMOSYNTHESIS, "Projection"),
    ({"NumberOfFrames": "15"}, Reason.TOMOSYNTHESIS, "15"),
    ({"NumberOfFrames": "1"}, None, ""),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, Reason.TOMOSYNTHESIS, "TOMO_PROJ"),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
        Reason.SYNTHETIC_2D,
        "GENERATED_2D",
    ),
    # A stored screen, or tomosynthesis before there was a class for it.
    (
        {"SOPClassUID": CAPTURE, "Manufacturer": "HOLOGIC, Inc."},
        Reason.SECONDARY_CAPTURE,
        "hologic",
    ),
    ({"SOPClassUID": CAPTURE, "Manufacturer": "VIDAR"}, None, ""),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_SCOUT"]}, Reason.SCOUT, "TOMO_SCOUT"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_SCOUT"]}, Reason.SCOUT, "STEREO_SCOUT"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, Reason.SCOUT, "LOCALIZER"),
    ({"ImageType": ["DERIVED", "PRIMARY", "STEREO", "LEFT"]}, Reason.NOT_SCREENING_VIEW, "biopsy"),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]},
        Reason.NOT_SCREENING_VIEW,
        "contrast",
    ),
    (
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]},
        Reason.NOT_SCREENING_VIEW,
        "contrast",
    ),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "", "RECOMBINED"]},
        Reason.NOT_SCREENING_VIEW,
        "contrast",
    ),
    ({"ImageType": ["ORIGINAL", "PRIMARY", ""]}, None, ""),
    ({"PartialView": "YES"}, Reason.PARTIAL_VIEW, "partial"),
    ({"ViewCodeSequence": [coded("127457009")]}, Reason.SPECIMEN, "ViewCodeSequence"),
    ({"ViewPosition": None, "SeriesDescription": "R SPECIMEN"}, Reason.SPECIMEN, "text"),
    ({"ViewPosition": "XCCL"}, Reason.NOT_SCREENING_VIEW, "XCCL"),
    ({"ViewPosition": "ML"}, Reason.NOT_SCREENING_VIEW, "ML"),
    ({"ViewPosition": None}, Reason.VIEW_UNKNOWN, "view"),
    ({"ImageLaterality": None}, Reason.SIDE_UNKNOWN, "side"),
    ({"Laterality": "R"}, Reason.SIDE_UNKNOWN, "against"),
]


@pytest.mark.parametrize(("elements", "reason", "words"), REASONS)
def test_reason(elements: dict[str, Any], reason: Reason | None, words: str) -> None:
    row = describe(header(**elements))
    assert row["reason"] == reason
    assert words in str(row["detail"] or "")


FIRST = [
    # Two things against an image, and the one that the row gives.
    ({"SOPClassUID": MG_RAW, "ViewPosition": "SCC"}, Reason.SPOT),
    ({"SOPClassUID": MG_RAW, "ImageType": ["ORIGINAL", "PRIMARY", "TOMO_SCOUT"]}, Reason.SCOUT),
    ({"SOPClassUID": MG_RAW, "PartialView": "YES"}, Reason.PARTIAL_VIEW),
    ({"SOPClassUID": MG_RAW, "SeriesDescription": "3D_PROJ"}, Reason.TOMOSYNTHESIS),
    ({"SOPClassUID": MG_RAW, "ViewPosition": "ML"}, Reason.FOR_PROCESSING),
    ({"SeriesDescription": "L CC C-View", "ViewPosition": "MCC"}, Reason.MAGNIFIED),
    ({"SeriesDescription": "C-View", "ViewPosition": None}, Reason.SYNTHETIC_2D),
]


@pytest.mark.parametrize(("elements", "reason"), FIRST)
def test_what_keeps_an_image_from_standing_in_comes_first(
    elements: dict[str, Any], reason: Reason
) -> None:
    assert describe(header(**elements))["reason"] == reason


INTENT = "PresentationIntentType"
CLASS = "SOPClassUID"

PRESENTATIONS = [
    ({INTENT: "FOR PRESENTATION"}, Presentation.FOR_PRESENTATION, INTENT),
    ({INTENT: "for processing "}, Presentation.FOR_PROCESSING, INTENT),
    ({CLASS: MG_RAW, INTENT: "FOR PRESENTATION"}, Presentation.FOR_PRESENTATION, INTENT),
    ({CLASS: MG}, Presentation.FOR_PRESENTATION, CLASS),
    ({CLASS: MG_RAW, INTENT: ""}, Presentation.FOR_PROCESSING, CLASS),
    ({CLASS: CAPTURE}, Presentation.UNKNOWN, None),
    ({CLASS: None}, Presentation.UNKNOWN, None),
]


@pytest.mark.parametrize(("elements", "presentation", "rule"), PRESENTATIONS)
def test_presentation(
    elements: dict[str, Any], presentation: Presentation, rule: str | None
) -> None:
    row = describe(header(**elements))
    assert (row["presentation"], row["presentation_rule"]) == (presentation, rule)


FFDM_RULE = "SOPClassUID Digital Mammography X-Ray Image Storage - For Presentation"
TOMO_RULE = "SOPClassUID Breast Tomosynthesis Image Storage"
HOLOGIC, GE = {"Manufacturer": "HOLOGIC, Inc."}, {"Manufacturer": "GE MEDICAL SYSTEMS"}

KINDS = [
    # elements, kind, rule
    ({}, Kind.FFDM, FFDM_RULE),
    ({"ImageType": ["DERIVED", "PRIMARY", ""]}, Kind.FFDM, FFDM_RULE),
    ({CLASS: MG_RAW}, Kind.FFDM, f"{FFDM_RULE[:-12]}Processing"),
    # A storage plate is read by a digitiser, but is no film.
    ({CLASS: CR}, Kind.FFDM, "SOPClassUID Computed Radiography Image Storage"),
    # Spot, magnified, specimen: one exposure of the detector all the same.
    ({"ViewPosition": "MCC"}, Kind.FFDM, FFDM_RULE),
    # The standard's terms, PS3.3 C.8.11.7.1.4; whatever the class.
    (
        {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
        Kind.SYNTHETIC_2D,
        "ImageType GENERATED_2D",
    ),
    (
        {CLASS: TOMO, "ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]},
        Kind.SYNTHETIC_2D,
        "ImageType GENERATED_2D",
    ),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D", "LEFT"]},
        Kind.SYNTHETIC_2D,
        "ImageType TOMO_2D",
    ),
    (
        {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ", "LEFT"]},
        Kind.PROJECTION,
        "ImageType TOMO_PROJ",
    ),
    ({"ImageType": ["DERIVED", "PRIMARY", "TOMO", "LEFT"]}, Kind.TOMOSYNTHESIS, "ImageType TOMO"),
    (
        {CLASS: PROJECTION},
        Kind.PROJECTION,
        "SOPClassUID Breast Projection X-Ray Image Storage - For Presentation",
    ),
    ({CLASS: TOMO, "NumberOfFrames": "60"}, Kind.TOMOSYNTHESIS, TOMO_RULE),
    ({CLASS: TOMO, **HOLOGIC}, Kind.TOMOSYNTHESIS, TOMO_RULE),
    # One frame: of GE and Hologic the synthetic image, of others perhaps a slice.
    ({CLASS: TOMO, "NumberOfFrames": "1"}, Kind.TOMOSYNTHESIS, TOMO_RULE),
    ({CLASS: TOMO, "NumberOfFrames": "60", **GE}, Kind.TOMOSYNTHESIS, TOMO_RULE),
    (
        {CLASS: TOMO, "NumberOfFrames": "1", **GE},
        Kind.SYNTHETIC_2D,
        "NumberOfFrames 1 of ge's Breast Tomosynthesis Image Storage",
    ),
    (
        {CLASS: TOMO, "NumberOfFrames": "1", **HOLOGIC},
        Kind.SYNTHETIC_2D,
        "NumberOfFrames 1 of hologic's Breast Tomosynthesis Image Storage",
    ),
    ({"NumberOfFrames": "15"}, Kind.TOMOSYNTHESIS, "NumberOfFrames 15"),
    # Text, where no coded value speaks.
    (
        {"SeriesDescription": "R MLO C-View"},
        Kind.SYNTHETIC_2D,
        "SeriesDescription C VIEW (text)",
    ),
    (
        {"SeriesDescription": "L CC Intelligent 2D", "ImageType": ["DERIVED", "PRIMARY"]},
        Kind.SYNTHETIC_2D,
        "SeriesDescription INTELLIGENT 2D (text)",
    ),
    (
        {CLASS: TOMO, "SeriesDescription": "V-Preview"},
        Kind.SYNTHETIC_2D,
        "SeriesDescription V PREVIEW (text)",
    ),
    (
        {"SeriesDescription": "LMLO S-View"},
        Kind.SYNTHETIC_2D,
        "SeriesDescription S VIEW (text)",
    ),
    ({"SeriesDescription": "Insight 2D"}, Kind.SYNTHETIC_2D, "SeriesDescription INSIGHT 2D (text)"),
    (
        {CLASS: MG_RAW, "SeriesDescription": "3D_PROJ_RCC"},
        Kind.PROJECTION,
        "SeriesDescription 3D PROJ (text)",
    ),
    # What comes from the detector itself was not computed, whatever its series is called.
    (
        {"SeriesDescription": "TOMO C-VIEW", "ImageType": ["ORIGINAL", "PRIMARY"]},
        Kind.FFDM,
        FFDM_RULE,
    ),
    # Names of a procedure say nothing of the image.
    (
        {"StudyDescription": "SCREEN/TOMO, CVIEW & CAD", "ProtocolName": "C-View"},
        Kind.FFDM,
        FFDM_RULE,
    ),
    ({"SeriesDescription": "RCC VIEW"}, Kind.FFDM, FFDM_RULE),
    ({"ConversionType": "DF"}, Kind.FILM, "ConversionType DF"),
    ({"ConversionType": "WSD"}, Kind.FFDM, FFDM_RULE),
    ({"DetectorType": "FILM"}, Kind.FILM, "DetectorType FILM"),
    ({"DetectorType": "SCINTILLATOR"}, Kind.FFDM, FFDM_RULE),
    ({CLASS: CAPTURE, "Manufacturer": "VIDAR"}, Kind.FILM, "Manufacturer film digitiser"),
    (
        {CLASS: CAPTURE, "Manufacturer": "R2", "ManufacturerModelName": "DigitalNow"},
        Kind.FILM,
        "ManufacturerModelName film digitiser",
    ),
    (
        {CLASS: CAPTURE, "SeriesDescription": "full mammogram images"},
        Kind.FILM,
        "SeriesDescription FULL MAMMOGRAM IMAGES (text)",
    ),
    ({"SeriesDescription": "full mammogram images"}, Kind.FFDM, FFDM_RULE),
    ({CLASS: CAPTURE}, Kind.UNKNOWN, None),
    ({CLASS: None}, Kind.UNKNOWN, None),
    # No mammogram.
    ({CLASS: CR, "Modality": "CR"}, Kind.UNKNOWN, None),
    ({CLASS: CAPTURE, "Modality": "OT", "ConversionType": "DF"}, Kind.UNKNOWN, None),
]


@pytest.mark.parametrize(("elements", "kind", "rule"), KINDS)
def test_kind(elements: dict[str, Any], kind: Kind, rule: str | None) -> None:
    row = describe(header(**elements))
    assert (row["kind"], row["kind_rule"]) == (kind, rule)
