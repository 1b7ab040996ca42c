"""Header rules as tables of meanings: one row per case."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.tag import Tag

from mim.dicom.header import describe
from mim.dicom.makers import maker
from mim.dicom.views import MODIFIER_CODES, SIDE_CODES, VIEW_CODES, VIEW_LABELS, read_label
from mim.schemas.images import IMAGES
from mim.vocab import Laterality, Maker, Presentation, Reason, View, ViewModifier

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom warns of the wrong values that the cases are made of."""

MG = "1.2.840.10008.5.1.4.1.1.1.2"
MG_RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMO = "1.2.840.10008.5.1.4.1.1.13.1.3"
PROJECTION = "1.2.840.10008.5.1.4.1.1.13.1.4"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CR = "1.2.840.10008.5.1.4.1.1.1"

PLAIN = {
    "SOPClassUID": MG,
    "Modality": "MG",
    "Rows": 40,
    "Columns": 30,
    "ImageLaterality": "L",
    "ViewPosition": "CC",
}


def header(**elements: Any) -> Dataset:
    """A usable left CC image with the given elements changed; None removes one."""
    dataset = Dataset()
    for keyword, value in (PLAIN | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, scheme: str | None = "SCT", **elements: Any) -> Dataset:
    if scheme:
        elements["CodingSchemeDesignator"] = scheme
    return item(CodeValue=value, **elements)


def test_the_plain_header_is_a_usable_screening_view() -> None:
    row = describe(header())
    assert (row["reason"], row["detail"]) == (None, None)
    assert (row["laterality"], row["view"]) == (Laterality.LEFT, View.CC)


def test_a_row_has_the_columns_of_the_schema() -> None:
    row = describe(header())
    later = {"path", "bytes", "woman", "exam", "image"}
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


NO_VIEW = {"ViewPosition": None}
MLO_CODE = [coded("399368009")]

VIEWS = [
    # elements, view, rule
    ({"ViewPosition": "cc"}, View.CC, "ViewPosition"),
    ({"ViewPosition": "MLO"}, View.MLO, "ViewPosition"),
    # A straight lateral is no oblique view.
    ({"ViewPosition": "ML"}, View.ML, "ViewPosition"),
    ({"ViewPosition": "LM"}, View.LM, "ViewPosition"),
    ({"ViewPosition": "LMO"}, View.LMO, "ViewPosition"),
    ({"ViewPosition": "XCCL"}, View.XCCL, "ViewPosition"),
    ({"ViewPosition": "XCC"}, View.XCC, "ViewPosition"),
    ({"ViewPosition": "XCCM"}, View.XCCM, "ViewPosition"),
    ({"ViewPosition": "FB"}, View.FB, "ViewPosition"),
    ({"ViewPosition": "SIO"}, View.SIO, "ViewPosition"),
    ({"ViewPosition": "LCC"}, View.CC, "ViewPosition"),
    ({"ViewPosition": "L-MLO"}, View.MLO, "ViewPosition"),
    ({"ViewPosition": "L_CC"}, View.CC, "ViewPosition"),
    ({"ViewPosition": "MEDIO-LATERAL OBLIQUE"}, View.MLO, "ViewPosition"),
    # Views of other body parts, and both views at once.
    ({"ViewPosition": "AP"}, View.UNKNOWN, None),
    ({"ViewPosition": "CC MLO"}, View.UNKNOWN, None),
    ({**NO_VIEW, "ViewCodeSequence": MLO_CODE}, View.MLO, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("R-10226", "SNM3")]}, View.MLO, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("R-10226", "SRT")]}, View.MLO, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("R-10226", None)]}, View.MLO, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("R-10226", "99MAKER")]}, View.UNKNOWN, None),
    ({"ViewCodeSequence": MLO_CODE, "ViewPosition": "MLO"}, View.MLO, "ViewCodeSequence"),
    ({"ViewCodeSequence": MLO_CODE}, View.MLO, "ViewCodeSequence against ViewPosition CC"),
    ({"ViewCodeSequence": []}, View.CC, "ViewPosition"),
    ({**NO_VIEW, "PatientOrientation": "MLO"}, View.MLO, "PatientOrientation"),
    ({**NO_VIEW, "PatientOrientation": ["A", "R"]}, View.UNKNOWN, None),
    ({**NO_VIEW, "PatientOrientation": ["R", "L"]}, View.UNKNOWN, None),
    (
        {**NO_VIEW, "AcquisitionDeviceProcessingDescription": "MLO"},
        View.MLO,
        "AcquisitionDeviceProcessingDescription",
    ),
    ({**NO_VIEW, "AcquisitionDeviceProcessingDescription": "PREMIUM_VIEW"}, View.UNKNOWN, None),
    ({**NO_VIEW, "SeriesDescription": "L MLO C-View"}, View.MLO, "SeriesDescription (text)"),
    ({**NO_VIEW, "SeriesDescription": "L CC, L MLO"}, View.UNKNOWN, None),
    ({**NO_VIEW, "SeriesDescription": "Screening at 10 weeks"}, View.UNKNOWN, None),
    ({"ViewPosition": "ML", "SeriesDescription": "L MLO"}, View.ML, "ViewPosition"),
    (NO_VIEW, View.UNKNOWN, None),
]


@pytest.mark.parametrize(("elements", "view", "rule"), VIEWS)
def test_view(elements: dict[str, Any], view: View, rule: str | None) -> None:
    row = describe(header(**elements))
    assert (row["view"], row["view_rule"]) == (view, rule)
    expected = {View.CC: None, View.MLO: None, View.UNKNOWN: Reason.VIEW_UNKNOWN}
    assert row["reason"] == expected.get(view, Reason.NOT_SCREENING_VIEW)


VIEWS_BY_CONCEPT = {
    "CranioCaudal": View.CC,
    "MedioLateralObliqueProjection": View.MLO,
    "MedioLateralProjection": View.ML,
    "LateroMedial": View.LM,
    "LateroMedialOblique": View.LMO,
    "CranioCaudalExaggeratedLaterally": View.XCCL,
    "CranioCaudalExaggeratedMedially": View.XCCM,
    "CaudoCranial": View.FB,
    "SuperolateralToInferomedialOblique": View.SIO,
    "InferomedialToSuperolateralOblique": View.ISO,
    "TissueSpecimenFromBreast": View.SPECIMEN,
}

MODIFIERS_BY_CONCEPT = {
    "Cleavage": ViewModifier.CLEAVAGE,
    "AxillaryTail": ViewModifier.AXILLARY_TAIL,
    "RolledLateral": ViewModifier.ROLLED,
    "RolledMedial": ViewModifier.ROLLED,
    "RolledInferior": ViewModifier.ROLLED,
    "RolledSuperior": ViewModifier.ROLLED,
    "ImplantDisplaced": ViewModifier.IMPLANT_DISPLACED,
    "Magnification": ViewModifier.MAGNIFIED,
    "SpotCompression": ViewModifier.SPOT,
    "Tangential": ViewModifier.TANGENTIAL,
    "NippleInProfile": ViewModifier.NIPPLE_IN_PROFILE,
    "InfraMammaryFold": ViewModifier.INFRAMAMMARY_FOLD,
    "AxillaryTissue": ViewModifier.AXILLARY_TISSUE,
    "AnteriorCompression": ViewModifier.ANTERIOR_COMPRESSION,
}

SIDES_BY_CONCEPT = {"Left": Laterality.LEFT, "Right": Laterality.RIGHT}


@pytest.mark.parametrize(
    ("context_group", "meanings", "table"),
    [
        (4014, VIEWS_BY_CONCEPT, VIEW_CODES),
        (4015, MODIFIERS_BY_CONCEPT, MODIFIER_CODES),
        (247, SIDES_BY_CONCEPT, SIDE_CODES),
    ],
)
def test_every_code_of_the_context_group_is_known_in_both_forms(
    context_group: int, meanings: dict[str, str], table: dict[str, str]
) -> None:
    """pydicom's tables, generated from PS3.16 and SNOMED's own mapping, are the oracle."""
    expected = {}
    for concept in cid_concepts[context_group]["SCT"]:
        (code,) = concepts["SCT"][concept]
        expected[code] = expected[mapping["SCT"][code]] = meanings[concept]
    assert table == expected


MODIFIERS = [
    # elements, modifiers, reason
    (
        {"ViewCodeSequence": [coded("399162004", ViewModifierCodeSequence=[coded("399055006")])]},
        ["spot"],
        Reason.SPOT,
    ),
    ({"ViewModifierCodeSequence": [coded("R-102D6", "SRT")]}, ["magnified"], Reason.MAGNIFIED),
    ({"ViewModifierCodeSequence": [coded("R-102D5", "SRT")]}, ["implant displaced"], None),
    ({"ViewModifierCodeSequence": [coded("442581004")]}, ["nipple in profile"], None),
    ({"ViewModifierCodeSequence": [coded("399161006")]}, ["cleavage"], Reason.NOT_SCREENING_VIEW),
    ({"ViewModifierCodeSequence": [coded("399226006")]}, ["rolled"], Reason.NOT_SCREENING_VIEW),
    ({"ViewPosition": "CCID"}, ["implant displaced"], None),
    ({"ViewPosition": "SCC"}, ["spot"], Reason.SPOT),
    ({"ViewPosition": "MCC"}, ["magnified"], Reason.MAGNIFIED),
    ({"ViewPosition": "LSMLO"}, ["spot"], Reason.SPOT),
    ({"ViewPosition": "CCRL"}, ["rolled"], Reason.NOT_SCREENING_VIEW),
    ({"ViewPosition": "AT"}, ["axillary tail"], Reason.NOT_SCREENING_VIEW),
    ({"ViewPosition": "LCV"}, ["cleavage"], Reason.NOT_SCREENING_VIEW),
    (
        {"ViewPosition": "AT", "SeriesDescription": "L MLO"},
        ["axillary tail"],
        Reason.NOT_SCREENING_VIEW,
    ),
    ({"EstimatedRadiographicMagnificationFactor": "1.8"}, ["magnified"], Reason.MAGNIFIED),
    ({"EstimatedRadiographicMagnificationFactor": "1.07"}, [], None),
    ({"EstimatedRadiographicMagnificationFactor": ""}, [], None),
    ({"PaddleDescription": "10CM SPOT"}, ["spot"], Reason.SPOT),
    ({"PaddleDescription": "MAG 7.5CM"}, ["magnified"], Reason.MAGNIFIED),
    ({"PaddleDescription": "18X24CM SCREENING"}, [], None),
    ({"PaddleDescription": "MAG", "ViewPosition": "SCC"}, ["spot", "magnified"], Reason.SPOT),
]


@pytest.mark.parametrize(("elements", "modifiers", "reason"), MODIFIERS)
def test_modifiers(elements: dict[str, Any], modifiers: list[str], reason: Reason | None) -> None:
    row = describe(header(**elements))
    assert (row["view_modifiers"], row["reason"]) == (modifiers, reason)


def test_no_label_can_be_read_in_two_ways() -> None:
    bases = [view.value for view in View if view.value.isupper()]
    count = 3 * 3 * len(bases) * 10
    spelled = sum(label.view.value in word for word, label in VIEW_LABELS.items())
    assert spelled == count


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
    # A synthetic 2D image is a screening view until the index tells it apart.
    ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, None, ""),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_SCOUT"]}, Reason.SCOUT, "TOMO_SCOUT"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_SCOUT"]}, Reason.SCOUT, "STEREO_SCOUT"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, Reason.SCOUT, "LOCALIZER"),
    ({"ImageType": ["DERIVED", "PRIMARY", "STEREO", "LEFT"]}, Reason.NOT_SCREENING_VIEW, "biopsy"),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]},
        Reason.NOT_SCREENING_VIEW,
        "contrast",
    ),
    ({"ImageType": ["ORIGINAL", "PRIMARY", ""]}, None, ""),
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


PRESENTATIONS = [
    ({"PresentationIntentType": "FOR PRESENTATION"}, Presentation.FOR_PRESENTATION),
    ({"PresentationIntentType": "for processing "}, Presentation.FOR_PROCESSING),
    (
        {"SOPClassUID": MG_RAW, "PresentationIntentType": "FOR PRESENTATION"},
        Presentation.FOR_PRESENTATION,
    ),
    ({"SOPClassUID": MG}, Presentation.FOR_PRESENTATION),
    ({"SOPClassUID": MG_RAW, "PresentationIntentType": ""}, Presentation.FOR_PROCESSING),
    ({"SOPClassUID": CAPTURE}, Presentation.UNKNOWN),
    ({"SOPClassUID": None}, Presentation.UNKNOWN),
]


@pytest.mark.parametrize(("elements", "presentation"), PRESENTATIONS)
def test_presentation(elements: dict[str, Any], presentation: Presentation) -> None:
    assert describe(header(**elements))["presentation"] == presentation


MAKERS = [
    ("GE MEDICAL SYSTEMS", Maker.GE),
    ("GE Healthcare", Maker.GE),
    ("G.E. Medical Systems", Maker.GE),
    ("GEMS", Maker.GE),
    ("General Electric Company", Maker.GE),
    ("SIEMENS", Maker.SIEMENS),
    ("Siemens Healthineers", Maker.SIEMENS),
    ("Siemens-Healthineers AG", Maker.SIEMENS),
    ("HOLOGIC, Inc.", Maker.HOLOGIC),
    ("LORAD", Maker.HOLOGIC),
    ("Lorad, A Hologic Company", Maker.HOLOGIC),
    ("Philips Medical Systems", Maker.PHILIPS),
    ("Philips Digital Mammography Sweden AB", Maker.PHILIPS),
    ("Sectra Imtec AB", Maker.PHILIPS),
    ("FUJIFILM Corporation", Maker.OTHER),
    ("FUJI PHOTO FILM Co., ltd.", Maker.OTHER),
    ("PLANMED OY", Maker.OTHER),
    ("IMS s.r.l.", Maker.OTHER),
    ("I.M.S. s.r.l.", Maker.OTHER),
    ("IMS GIOTTO S.p.A.", Maker.OTHER),
    ("Metaltronica", Maker.OTHER),
    ("CARESTREAM HEALTH", Maker.OTHER),
    ("Agfa-Gevaert", Maker.OTHER),
    ("KONICA MINOLTA", Maker.OTHER),
    # GE is a word, not two letters.
    ("General Imaging", Maker.UNKNOWN),
    ("Agega", Maker.UNKNOWN),
    ("GEORGE", Maker.UNKNOWN),
    ("Imaging by GE", Maker.UNKNOWN),
    ("MathWorks", Maker.UNKNOWN),
    ("", Maker.UNKNOWN),
    (None, Maker.UNKNOWN),
]


@pytest.mark.parametrize(("manufacturer", "expected"), MAKERS)
def test_maker(manufacturer: str | None, expected: Maker) -> None:
    assert maker(manufacturer) == expected


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
    assert row["reason"] == Reason.FOR_PROCESSING


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


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_labels_of_any_text_are_unknown_or_in_the_table(value: str) -> None:
    label = read_label(value)
    assert label is None or label.view in View


def test_sides_of_labels_agree_with_their_first_letter() -> None:
    for word, label in VIEW_LABELS.items():
        if label.side != Laterality.UNKNOWN:
            assert word.startswith(label.side.value)
