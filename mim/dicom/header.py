"""The rules that turn a DICOM header into a row of the index.

Each rule is a chain of elements, best first. The row names the element that decided; what no
element tells is UNKNOWN, and so is what two elements tell differently.
"""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from mim.dicom.elements import (
    code,
    codes,
    count,
    day,
    items,
    moment,
    numbers,
    quiet,
    text,
    texts,
    whole_years,
)
from mim.dicom.kinds import device_modifiers, presentation, why_left_out
from mim.dicom.makers import maker
from mim.dicom.views import (
    LATERALITIES,
    SIDE_CODES,
    Label,
    code_value,
    coded_modifiers,
    coded_view,
    find_label,
    read_label,
)
from mim.vocab import Kind, Laterality, View, ViewModifier

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

OVERRIDDEN = "overrides"


@quiet()
def describe(dataset: Dataset, given: Mapping[str, object] | None = None) -> dict[str, object]:
    """The columns of ``mim.schemas.images`` that the header gives; all but path and pseudonyms.

    ``dataset`` may lack Pixel Data and be broken in any way: what cannot be read is missing.
    ``given`` holds columns that replace the header's before the reasons are looked for. An image
    counts as having pixels if it has Rows and Columns.
    """
    view, view_rule, named = find_view(dataset)
    side, side_rule = find_side(dataset, view)
    modifiers = {*named, *device_modifiers(dataset)}
    row: dict[str, object] = {
        "patient_id": text(dataset, "PatientID"),
        "study_uid": text(dataset, "StudyInstanceUID"),
        "sop_uid": text(dataset, "SOPInstanceUID"),
        "accession_number": text(dataset, "AccessionNumber"),
        "study_date": day(dataset, "StudyDate"),
        "acquired": moment(dataset, "Acquisition") or moment(dataset, "Content"),
        "sop_class": text(dataset, "SOPClassUID"),
        "modality": code(dataset, "Modality"),
        "maker": maker(text(dataset, "Manufacturer")),
        "model_name": text(dataset, "ManufacturerModelName"),
        "software": "/".join(texts(dataset, "SoftwareVersions")) or None,
        "laterality": side,
        "laterality_rule": side_rule,
        "view": view,
        "view_rule": view_rule,
        "view_modifiers": [known for known in ViewModifier if known in modifiers],
        "kind": Kind.UNKNOWN,
        "presentation": presentation(dataset),
        "transfer_syntax": text(
            getattr(dataset, "file_meta", None) or Dataset(), "TransferSyntaxUID"
        ),
        "photometric": code(dataset, "PhotometricInterpretation"),
        "rows": count(dataset, "Rows"),
        "columns": count(dataset, "Columns"),
        "bits_stored": count(dataset, "BitsStored"),
        "age_years": whole_years(dataset, "PatientAge"),
        "overridden": sorted(given or ()),
    }
    row |= _spacing(dataset)
    row |= _with_rules(given or {})
    row["reason"], row["detail"] = why_left_out(dataset, row)
    return row


def _with_rules(given: Mapping[str, object]) -> dict[str, object]:
    ruled = {f"{column}_rule": OVERRIDDEN for column in ("laterality", "view") if column in given}
    return {**given, **ruled}


def find_view(dataset: Dataset) -> tuple[View, str | None, list[ViewModifier]]:
    """View, the element that decided it, and the modifiers that labels and codes name.

    View Code Sequence (0054,0220); View Position (0018,5101); Patient Orientation (0020,0020), where
    CBIS-DDSM writes it; Acquisition Device Processing Description (0018,1400), where Fuji does; last
    the text of Series Description (0008,103E), and then the rule says so. Where View Position names
    another view than the code, the rule says that too.
    """
    position = read_label(" ".join(texts(dataset, "ViewPosition"))) or Label()
    modifiers = [*coded_modifiers(dataset), *position.modifiers]
    coded = coded_view(dataset)
    if coded != View.UNKNOWN:
        agrees = position.view in (coded, View.UNKNOWN)
        against = "" if agrees else f" against ViewPosition {position.view}"
        return coded, f"ViewCodeSequence{against}", modifiers
    for rule, label in (
        ("ViewPosition", position),
        ("PatientOrientation", read_label(" ".join(texts(dataset, "PatientOrientation")))),
        ("AcquisitionDeviceProcessingDescription", _processing_label(dataset)),
        ("SeriesDescription (text)", find_label(text(dataset, "SeriesDescription"))),
    ):
        if label and label.view != View.UNKNOWN:
            return label.view, rule, [*modifiers, *label.modifiers]
    return View.UNKNOWN, None, modifiers


def _processing_label(dataset: Dataset) -> Label | None:
    return read_label(text(dataset, "AcquisitionDeviceProcessingDescription"))


def find_side(dataset: Dataset, view: View) -> tuple[Laterality, str | None]:
    """Side of the imaged breast and the element that decided it.

    Image Laterality (0020,0062); Laterality (0020,0060); Frame Laterality (0020,9072) and Anatomic
    Region Modifier Sequence (0008,2220); a side in View Position or Acquisition Device Processing
    Description; Patient Orientation of an oblique view; last the text of Series Description, and then
    the rule says so. Two of the elements up to View Position that name different sides give UNKNOWN
    with both in the rule. Image Laterality B (both breasts) gives UNKNOWN.
    """
    if code(dataset, "ImageLaterality") == "B":
        return Laterality.UNKNOWN, "ImageLaterality B"
    named = list(_named_sides(dataset))
    for rule, side in named:
        if side != named[0][1]:
            return Laterality.UNKNOWN, f"{named[0][0]} {named[0][1]} against {rule} {side}"
    if named:
        return named[0][1], named[0][0]
    for rule, found in (
        ("AcquisitionDeviceProcessingDescription", _label_side(_processing_label(dataset))),
        ("PatientOrientation", _oblique_side(dataset, view)),
        ("SeriesDescription (text)", _label_side(find_label(text(dataset, "SeriesDescription")))),
    ):
        if found != Laterality.UNKNOWN:
            return found, rule
    return Laterality.UNKNOWN, "Laterality B" if code(dataset, "Laterality") == "B" else None


def _named_sides(dataset: Dataset) -> Iterator[tuple[str, Laterality]]:
    """Each element that is meant for the side and holds one, best first."""
    for keyword in ("ImageLaterality", "Laterality"):
        if side := LATERALITIES.get(code(dataset, keyword) or ""):
            yield keyword, side
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
    side = _label_side(read_label(" ".join(texts(dataset, "ViewPosition"))))
    if side != Laterality.UNKNOWN:
        yield "ViewPosition", side


def _label_side(label: Label | None) -> Laterality:
    return label.side if label else Laterality.UNKNOWN


def _oblique_side(dataset: Dataset, view: View) -> Laterality:
    values = codes(dataset, "PatientOrientation") if view in (View.MLO, View.LMO) else []
    sides = {OBLIQUE_SIDES[value] for value in values if value in OBLIQUE_SIDES}
    return sides.pop() if len(sides) == 1 else Laterality.UNKNOWN


def _spacing(dataset: Dataset) -> dict[str, object]:
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
