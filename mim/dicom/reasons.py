"""Why an image is not a screening view that can be used, if it is not.

Reasons that hold for good come first. Those for which another image of the view is only better (part
of a breast, synthetic, for processing) come after, so that a row that has one of them has no other:
``mim.dicom.screening`` may let such an image stand in.
"""

from collections.abc import Collection, Iterator, Mapping

from pydicom import config, uid
from pydicom.dataset import Dataset

from mim.dicom.elements import Elements, code, count, text
from mim.dicom.kinds import MAMMOGRAM_CLASSES, SECONDARY_CAPTURE_CLASSES
from mim.vocab import (
    SCREENING_VIEWS,
    Kind,
    Laterality,
    Maker,
    Presentation,
    Reason,
    View,
    ViewModifier,
)

BIOPSY = (Reason.NOT_SCREENING_VIEW, "image of a biopsy")
CONTRAST = (Reason.NOT_SCREENING_VIEW, "contrast-enhanced image")
SCOUT = (Reason.SCOUT, "scout image")

IMAGE_TYPES = {
    "STEREO_SCOUT": SCOUT,
    "TOMO_SCOUT": SCOUT,
    "SCOUT": SCOUT,
    "LOCALIZER": SCOUT,
    "STEREO": BIOPSY,
    "STEREO_MINUS": BIOPSY,
    "STEREO_PLUS": BIOPSY,
    "PREFIRE": BIOPSY,
    "PREFIRE_MINUS": BIOPSY,
    "PREFIRE_PLUS": BIOPSY,
    "POSTFIRE": BIOPSY,
    "POSTFIRE_MINUS": BIOPSY,
    "POSTFIRE_PLUS": BIOPSY,
    "POSTBIOPSY": BIOPSY,
    "POSTBIOPSY_MINUS": BIOPSY,
    "POSTBIOPSY_PLUS": BIOPSY,
    "POSTMARKER": BIOPSY,
    "POSTMARKER_MINUS": BIOPSY,
    "POSTMARKER_PLUS": BIOPSY,
    "PRE_CONTRAST": CONTRAST,
    "POST_CONTRAST": CONTRAST,
    "ADDITION": CONTRAST,
    "SUBTRACTION": CONTRAST,
    "RECOMBINED": CONTRAST,
    "LOW_ENERGY": CONTRAST,
    "HIGH_ENERGY": CONTRAST,
}
"""Values 3 to 5 of Image Type (0008,0008), PS3.3 C.8.11.7.1.4 and C.8.21.6.1.1; SCOUT, LOCALIZER,
STEREO (Siemens) and RECOMBINED (GE) are habits of makers. Values that are not here do not matter."""

TEXT_KINDS = {
    "cropped images": (Reason.NOT_SCREENING_VIEW, "part of a mammogram, by Series Description"),
    "roi mask images": (Reason.NOT_MAMMOGRAM, "mask of a lesion, by Series Description"),
}
"""Whole Series Descriptions (0008,103E) of CBIS-DDSM, whose cut-outs bear side and view."""

MODIFIER_REASONS: dict[object, Reason] = {
    ViewModifier.SPOT: Reason.SPOT,
    ViewModifier.MAGNIFIED: Reason.MAGNIFIED,
    ViewModifier.CLEAVAGE: Reason.NOT_SCREENING_VIEW,
    ViewModifier.AXILLARY_TAIL: Reason.NOT_SCREENING_VIEW,
    ViewModifier.ROLLED: Reason.NOT_SCREENING_VIEW,
    ViewModifier.TANGENTIAL: Reason.NOT_SCREENING_VIEW,
    ViewModifier.INFRAMAMMARY_FOLD: Reason.NOT_SCREENING_VIEW,
    ViewModifier.AXILLARY_TISSUE: Reason.NOT_SCREENING_VIEW,
    ViewModifier.ANTERIOR_COMPRESSION: Reason.NOT_SCREENING_VIEW,
    ViewModifier.PARTIAL_VIEW: Reason.PARTIAL_VIEW,
}
"""Implant displaced and nipple in profile are not here: they show the whole breast."""

Why = tuple[Reason, str]


def why_left_out(
    dataset: Elements,
    row: Mapping[str, object],
    image_types: Collection[str],
    description: str | None,
) -> tuple[Reason | None, str | None]:
    """The first reason why the image is not a usable screening view, with words; or (None, None).

    ``row`` has the columns of the index as header and overrides together decided them.
    ``image_types`` are the values of Image Type, ``description`` is Series Description.
    """
    return next(_reasons(dataset, row, image_types, description), (None, None))


def _reasons(
    dataset: Elements,
    row: Mapping[str, object],
    image_types: Collection[str],
    description: str | None,
) -> Iterator[Why]:
    if not (row["rows"] and row["columns"]):
        meta = getattr(dataset, "file_meta", None) or Dataset()
        media = text(meta, "MediaStorageSOPClassUID")
        name = _name_of(row["sop_class"] or media)
        yield Reason.NO_PIXELS, f"no Rows and Columns: {name}"
    yield from _no_mammogram(dataset, row)
    if row["kind"] in (Kind.TOMOSYNTHESIS, Kind.PROJECTION):
        frames = row["frames"] or 1
        yield Reason.TOMOSYNTHESIS, f"{row['kind']} by {row['kind_rule']}, frames: {frames}"
    for value in image_types:
        if value in IMAGE_TYPES:
            reason, words = IMAGE_TYPES[value]
            yield reason, f"{words}: Image Type {value}"
    if known := TEXT_KINDS.get((description or "").lower()):
        yield known
    yield from _other_view(row)


def _name_of(sop_class: object) -> str:
    """Name of a SOP class by PS3.6; what is no known class is not quoted."""
    if not sop_class:
        return "no SOP class"
    known = uid.UID(str(sop_class), validation_mode=config.IGNORE)
    return known.name if known.name != known else "unknown SOP class"


def _no_mammogram(dataset: Elements, row: Mapping[str, object]) -> Iterator[Why]:
    sop_class, modality = row["sop_class"], row["modality"]
    if sop_class in SECONDARY_CAPTURE_CLASSES:
        if modality != "MG":
            yield Reason.SECONDARY_CAPTURE, f"Secondary Capture of Modality {modality or '(none)'}"
        elif row["kind"] == Kind.UNKNOWN and row["maker"] != Maker.UNKNOWN:
            # Hologic wrote tomosynthesis so before there was a class for it; pixels are private.
            words = f"Secondary Capture by {row['maker']}: a screen, or tomosynthesis"
            yield Reason.SECONDARY_CAPTURE, f"{words} in a private format"
    if modality != "MG" and sop_class not in MAMMOGRAM_CLASSES:
        yield Reason.NOT_MAMMOGRAM, f"Modality {modality or '(none)'}, {_name_of(sop_class)}"
    if code(dataset, "QualityControlImage") == "YES":
        yield Reason.NOT_MAMMOGRAM, "Quality Control Image: a phantom"
    if (count(dataset, "SamplesPerPixel") or 1) > 1:
        yield Reason.SECONDARY_CAPTURE, "picture in colour"


def _other_view(row: Mapping[str, object]) -> Iterator[Why]:
    view, modifiers = row["view"], row["view_modifiers"]
    if view == View.SPECIMEN:
        yield Reason.SPECIMEN, f"tissue outside the body, by {row['view_rule']}"
    assert isinstance(modifiers, list)
    for modifier in modifiers:
        if modifier in MODIFIER_REASONS:
            yield MODIFIER_REASONS[modifier], f"view modifier: {modifier}"
    if row["kind"] == Kind.SYNTHETIC_2D:
        yield Reason.SYNTHETIC_2D, f"computed from tomosynthesis, by {row['kind_rule']}"
    if row["presentation"] == Presentation.FOR_PROCESSING:
        yield Reason.FOR_PROCESSING, "values of the detector, not processed for reading"
    if view == View.UNKNOWN:
        rule = row["view_rule"] or "none has one"
        yield Reason.VIEW_UNKNOWN, f"no element names the view ({rule})"
    if view not in SCREENING_VIEWS:
        yield Reason.NOT_SCREENING_VIEW, f"view {view}"
    if row["laterality"] == Laterality.UNKNOWN:
        rule = row["laterality_rule"] or "none has one"
        yield Reason.SIDE_UNKNOWN, f"no element names the side ({rule})"
