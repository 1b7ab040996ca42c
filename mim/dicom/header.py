"""The rules that turn a DICOM header into a row of the index.

Each rule is a chain of elements, best first. The row names the element that decided; what no
element tells is UNKNOWN, and so is what two elements tell differently.
"""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from mim.dicom.elements import (
    Elements,
    code,
    codes,
    count,
    day,
    items,
    moment,
    numbers,
    text,
    texts,
    whole_years,
)
from mim.dicom.kinds import Named, device_modifiers, find_kind, find_presentation
from mim.dicom.makers import identify
from mim.dicom.reasons import why_left_out
from mim.dicom.views import (
    LATERALITIES,
    SIDE_CODES,
    Label,
    code_value,
    coded,
    find_label,
    read_label,
)
from mim.vocab import Laterality, View, ViewModifier

OBLIQUE_SIDES = {
    "FL": Laterality.RIGHT,
    "LF": Laterality.RIGHT,
    "HR": Laterality.RIGHT,
    "RH": Laterality.RIGHT,
    "FR": Laterality.LEFT,
    "RF": Laterality.LEFT,
    "HL": Laterality.LEFT,
    "LH": Laterality.LEFT,
}
"""Side of an MLO or LMO by a value of Patient Orientation (0020,0020), PS3.3 C.7.6.1.1.1.

The detector of an oblique view runs from above and lateral to below and medial. From the right
breast, medial and downwards is towards foot and left: FL; and the opposite way is HR. A craniocaudal
view has no such sign: its axes are those of either breast."""

SPACINGS = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing")
"""(0018,1164) at the detector, (0028,0030) in the patient or calibrated, (0018,2010) of a film."""

PLAUSIBLE_SPACING_MM = (0.005, 5.0)

BODY_PARTS = {"LEFT BREAST": Laterality.LEFT, "RIGHT BREAST": Laterality.RIGHT}
"""Values of Body Part Examined (0018,0015) that name a side, as a part of CBIS-DDSM has them."""

UNLABELLED = Label()

OVERRIDDEN = "overrides"
RULED = ("laterality", "view", "kind", "presentation", "maker")
"""Columns that overrides can decide and that have a column for the rule."""


def describe(dataset: Elements, given: Mapping[str, object] | None = None) -> dict[str, object]:
    """The columns of ``mim.schemas.images`` that the header gives; all but path and pseudonyms.

    ``dataset`` may lack Pixel Data and be broken in any way: what cannot be read is missing.
    ``given`` holds columns that replace the header's before the reasons are looked for. An image
    counts as having pixels if it has Rows and Columns.
    """
    given = given or {}
    description = text(dataset, "SeriesDescription")
    image_types = codes(dataset, "ImageType")
    position = read_label(" ".join(texts(dataset, "ViewPosition"))) or UNLABELLED
    view, view_rule, named = find_view(dataset, position, description)
    side, side_rule = find_side(dataset, view, position, description)
    sop_class = text(dataset, "SOPClassUID")
    presentation, presentation_rule = find_presentation(dataset, sop_class)
    row = _identity(dataset) | _device(dataset) | _picture(dataset)
    row |= {
        "sop_class": sop_class,
        "modality": code(dataset, "Modality"),
        "laterality": side,
        "laterality_rule": side_rule,
        "view": view,
        "view_rule": view_rule,
        "presentation": presentation,
        "presentation_rule": presentation_rule,
    }
    row |= _modifiers([*named, *device_modifiers(dataset)])
    row |= {**given, **{f"{name}_rule": OVERRIDDEN for name in RULED if name in given}}
    row["overridden"] = sorted(given)
    if "kind" not in given:
        row["kind"], row["kind_rule"] = find_kind(dataset, row, image_types, description)
    row["reason"], row["detail"] = why_left_out(dataset, row, image_types, description)
    return row


def _identity(dataset: Elements) -> dict[str, object]:
    return {
        "patient_id": text(dataset, "PatientID"),
        "study_uid": text(dataset, "StudyInstanceUID"),
        "series_uid": text(dataset, "SeriesInstanceUID"),
        "sop_uid": text(dataset, "SOPInstanceUID"),
        "accession_number": text(dataset, "AccessionNumber"),
        "study_date": day(dataset, "StudyDate"),
        "acquired": moment(dataset, "Acquisition") or moment(dataset, "Content"),
        "age_years": whole_years(dataset, "PatientAge"),
    }


def _device(dataset: Elements) -> dict[str, object]:
    manufacturer = text(dataset, "Manufacturer")
    model_name = text(dataset, "ManufacturerModelName")
    software = texts(dataset, "SoftwareVersions")
    device = identify(manufacturer, model_name, tuple(software))
    return {
        "maker": device.maker,
        "maker_rule": device.maker_rule,
        "manufacturer": manufacturer,
        "model": device.model,
        "model_name": model_name,
        "software": "/".join(software) or None,
        "software_version": device.software_version,
    }


def _picture(dataset: Elements) -> dict[str, object]:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    return {
        "transfer_syntax": text(meta, "TransferSyntaxUID"),
        "photometric": code(dataset, "PhotometricInterpretation"),
        "frames": count(dataset, "NumberOfFrames"),
        "rows": count(dataset, "Rows"),
        "columns": count(dataset, "Columns"),
        "bits_stored": count(dataset, "BitsStored"),
    } | _spacing(dataset)


def _modifiers(named: list[Named]) -> dict[str, object]:
    """Modifiers in the order of the vocabulary, and each element that named one."""
    known = {modifier for _, modifier in named}
    rules = dict.fromkeys(f"{element} {modifier}" for element, modifier in named)
    return {
        "view_modifiers": [modifier for modifier in ViewModifier if modifier in known],
        "modifiers_rule": ", ".join(rules) or None,
    }


def find_view(
    dataset: Elements, position: Label, description: str | None
) -> tuple[View, str | None, list[Named]]:
    """View, the element that decided it, and the modifiers that labels and codes name.

    View Code Sequence (0054,0220); View Position (0018,5101); Patient Orientation (0020,0020), where
    CBIS-DDSM writes it; Acquisition Device Processing Description (0018,1400), where Fuji does; last
    the text of Series Description (0008,103E), and then the rule says so. Where View Position names
    another view than the code, the rule says that too. Series Description adds modifiers only where
    every word of it belongs to a label.
    """
    view, modifiers = coded(dataset)
    named = [("ViewModifierCodeSequence", modifier) for modifier in modifiers]
    named += [("ViewPosition", modifier) for modifier in position.modifiers]
    if written := read_label(description):
        named += [("SeriesDescription (text)", modifier) for modifier in written.modifiers]
    if view != View.UNKNOWN:
        agrees = position.view in (view, View.UNKNOWN)
        against = "" if agrees else f" against ViewPosition {position.view}"
        return view, f"ViewCodeSequence{against}", named
    if position.view != View.UNKNOWN:
        return position.view, "ViewPosition", named
    for rule, label in _other_labels(dataset, description):
        if label and label.view != View.UNKNOWN:
            named += [(rule, modifier) for modifier in label.modifiers]
            return label.view, rule, named
    return View.UNKNOWN, None, named


def _other_labels(dataset: Elements, description: str | None) -> Iterator[tuple[str, Label | None]]:
    yield "PatientOrientation", read_label(" ".join(texts(dataset, "PatientOrientation")))
    yield "AcquisitionDeviceProcessingDescription", _processing_label(dataset)
    yield "SeriesDescription (text)", find_label(description)


def _processing_label(dataset: Elements) -> Label | None:
    return read_label(text(dataset, "AcquisitionDeviceProcessingDescription"))


def find_side(
    dataset: Elements, view: View, position: Label, description: str | None
) -> tuple[Laterality, str | None]:
    """Side of the imaged breast and the element that decided it.

    Image Laterality (0020,0062); Laterality (0020,0060); Frame Laterality (0020,9072) and Anatomic
    Region Modifier Sequence (0008,2220); a side in View Position or Acquisition Device Processing
    Description; Patient Orientation of an oblique view; Body Part Examined (0018,0015); last the text
    of Series Description, and then the rule says so. Two of the elements up to View Position that
    name different sides give UNKNOWN with both in the rule. Image Laterality B (both breasts) gives
    UNKNOWN.
    """
    written = code(dataset, "ImageLaterality")
    if written == "B":
        return Laterality.UNKNOWN, "ImageLaterality B"
    named = list(_named_sides(dataset, written, position))
    for rule, side in named:
        if side != named[0][1]:
            return Laterality.UNKNOWN, f"{named[0][0]} {named[0][1]} against {rule} {side}"
    if named:
        return named[0][1], named[0][0]
    for rule, found in (
        ("AcquisitionDeviceProcessingDescription", _label_side(_processing_label(dataset))),
        ("PatientOrientation", _oblique_side(dataset, view)),
        ("BodyPartExamined", BODY_PARTS.get(code(dataset, "BodyPartExamined") or "")),
        ("SeriesDescription (text)", _label_side(find_label(description))),
    ):
        if found not in (None, Laterality.UNKNOWN):
            return Laterality(found), rule
    return Laterality.UNKNOWN, "Laterality B" if code(dataset, "Laterality") == "B" else None


def _named_sides(
    dataset: Elements, image_laterality: str | None, position: Label
) -> Iterator[tuple[str, Laterality]]:
    """Each element that is meant for the side and holds one, best first."""
    if side := LATERALITIES.get(image_laterality or ""):
        yield "ImageLaterality", side
    if side := LATERALITIES.get(code(dataset, "Laterality") or ""):
        yield "Laterality", side
    frames = [
        anatomy
        for group in items(dataset, "SharedFunctionalGroupsSequence")
        for anatomy in items(group, "FrameAnatomySequence")
    ]
    for anatomy in frames:
        if side := LATERALITIES.get(code(anatomy, "FrameLaterality") or ""):
            yield "FrameLaterality", side
    for place in (dataset, *frames):
        for region in items(place, "AnatomicRegionSequence"):
            for modifier in items(region, "AnatomicRegionModifierSequence"):
                if side := SIDE_CODES.get(code_value(modifier) or ""):
                    yield "AnatomicRegionModifierSequence", side
    if position.side != Laterality.UNKNOWN:
        yield "ViewPosition", position.side


def _label_side(label: Label | None) -> Laterality:
    return label.side if label else Laterality.UNKNOWN


def _oblique_side(dataset: Elements, view: View) -> Laterality:
    values = codes(dataset, "PatientOrientation") if view in (View.MLO, View.LMO) else []
    sides = {OBLIQUE_SIDES[value] for value in values if value in OBLIQUE_SIDES}
    return sides.pop() if len(sides) == 1 else Laterality.UNKNOWN


def _spacing(dataset: Elements) -> dict[str, object]:
    """Distances between rows and between columns in mm, from the first element with two good ones."""
    least, most = PLAUSIBLE_SPACING_MM
    for keyword in SPACINGS:
        found = numbers(dataset, keyword)
        if len(found) == 2 and all(least <= value <= most for value in found):
            return {
                "row_spacing_mm": found[0],
                "column_spacing_mm": found[1],
                "spacing_rule": keyword,
            }
    return {"row_spacing_mm": None, "column_spacing_mm": None, "spacing_rule": None}
