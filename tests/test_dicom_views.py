"""View and modifiers, as tables of meanings: one row per case."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_headers import coded, header
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from mim.dicom.header import describe
from mim.dicom.views import MODIFIER_CODES, SIDE_CODES, VIEW_CODES, VIEW_LABELS, read_label
from mim.synthetic import write
from mim.vocab import Laterality, Reason, View, ViewModifier

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom warns of the wrong values that the cases are made of."""

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
    # Codes of earlier editions, by notes 1 and 3 of CID 4014.
    ({**NO_VIEW, "ViewCodeSequence": [coded("R-102CF", "SRT")]}, View.XCC, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("Y-X1770", "SNM3")]}, View.XCCL, "ViewCodeSequence"),
    ({**NO_VIEW, "ViewCodeSequence": [coded("Y-X1771", "SNM3")]}, View.XCCM, "ViewCodeSequence"),
    # A modifier's code is no view.
    ({**NO_VIEW, "ViewCodeSequence": [coded("399011000")]}, View.UNKNOWN, None),
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
    (
        {**NO_VIEW, "AcquisitionDeviceProcessingDescription": "L MAMMOGRAPHY,MLO"},
        View.MLO,
        "AcquisitionDeviceProcessingDescription",
    ),
    ({**NO_VIEW, "SeriesDescription": "Mammo L MLO"}, View.MLO, "SeriesDescription (text)"),
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


def test_every_code_that_the_made_up_programme_writes_is_the_standards() -> None:
    for table, group, ours in (
        (write.VIEW_CODES, 4014, VIEW_CODES),
        (write.MODIFIER_CODES, 4015, MODIFIER_CODES),
        ({None: write.BREAST_CODES}, 4013, {write.BREAST_CODES[0]: None}),
    ):
        meanings = {
            code: meaning.lower()
            for concept in cid_concepts[group]["SCT"]
            for code, (meaning, _) in concepts["SCT"][concept].items()
        }
        for word, (code, old, meaning) in table.items():
            assert (meanings[code], mapping["SCT"][code]) == (meaning.lower(), old)
            assert ours[code] == word


RULES = [
    # elements, modifiers, rule
    ({}, [], None),
    (
        {"ViewModifierCodeSequence": [coded("399055006")], "PaddleDescription": "10CM SPOT"},
        ["spot"],
        "ViewModifierCodeSequence spot, PaddleDescription spot",
    ),
    (
        {"ViewPosition": "CCID", "EstimatedRadiographicMagnificationFactor": "1.5"},
        ["magnified", "implant displaced"],
        "ViewPosition implant displaced, EstimatedRadiographicMagnificationFactor magnified",
    ),
    ({"PartialView": "YES"}, ["partial view"], "PartialView partial view"),
    (
        {"SeriesDescription": "L CC SPOT MAG"},
        ["spot", "magnified"],
        "SeriesDescription (text) spot, SeriesDescription (text) magnified",
    ),
]


@pytest.mark.parametrize(("elements", "modifiers", "rule"), RULES)
def test_the_rule_names_each_element_that_named_a_modifier(
    elements: dict[str, Any], modifiers: list[str], rule: str | None
) -> None:
    row = describe(header(**elements))
    assert (row["view_modifiers"], row["modifiers_rule"]) == (modifiers, rule)


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
    ({"ViewPosition": "CCAC"}, ["anterior compression"], Reason.NOT_SCREENING_VIEW),
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
    ({"PaddleDescription": "SPOT_ROUND"}, ["spot"], Reason.SPOT),
    # Words within words are none.
    ({"PaddleDescription": "SPOTLESS MAGNIFICENT"}, [], None),
    ({"SeriesDescription": "R CC SPOT"}, ["spot"], Reason.SPOT),
    # Not every word of it belongs to a label.
    ({"SeriesDescription": "SPOT CHECK OF L CC"}, [], None),
    ({"PartialView": "YES"}, ["partial view"], Reason.PARTIAL_VIEW),
    ({"PartialView": "NO"}, [], None),
    ({"PartialViewCodeSequence": [coded("255549009")]}, ["partial view"], Reason.PARTIAL_VIEW),
    ({"PartialView": "NO", "PartialViewCodeSequence": [coded("255549009")]}, [], None),
    ({"PartialView": "YES", "ViewPosition": "SCC"}, ["spot", "partial view"], Reason.SPOT),
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


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_labels_of_any_text_are_unknown_or_in_the_table(value: str) -> None:
    label = read_label(value)
    assert label is None or label.view in View


def test_sides_of_labels_agree_with_their_first_letter() -> None:
    for word, label in VIEW_LABELS.items():
        if label.side != Laterality.UNKNOWN:
            assert word.startswith(label.side.value)
