"""What kind of picture a file holds, and why it is not a screening view if it is not.

Coded values decide. Text decides only for CBIS-DDSM, which marks its cut-outs and masks by nothing
else.
"""

from collections.abc import Iterator, Mapping

from pydicom import uid
from pydicom.dataset import Dataset

from mim.dicom.elements import code, codes, count, numbers, text, texts
from mim.vocab import SCREENING_VIEWS, Laterality, Presentation, Reason, View, ViewModifier

MAMMOGRAM_CLASSES = frozenset(
    (
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
    )
)

TOMOSYNTHESIS_CLASSES = frozenset(
    (
        uid.BreastTomosynthesisImageStorage,
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
    )
)

SECONDARY_CAPTURE_CLASSES = frozenset(
    (
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    )
)

PRESENTATION_CLASSES = {
    uid.DigitalMammographyXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.DigitalMammographyXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
    uid.BreastProjectionXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.BreastProjectionXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
    uid.DigitalXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.DigitalXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
}

BIOPSY = (Reason.NOT_SCREENING_VIEW, "image of a biopsy")
CONTRAST = (Reason.NOT_SCREENING_VIEW, "contrast-enhanced image")
SCOUT = (Reason.SCOUT, "scout image")
VOLUME = (Reason.TOMOSYNTHESIS, "tomosynthesis image")

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
    "POST_CONTRAST": CONTRAST,
    "SUBTRACTION": CONTRAST,
    "HIGH_ENERGY": CONTRAST,
    "TOMO_PROJ": VOLUME,
    "TOMOSYNTHESIS": VOLUME,
}
"""Values 3 and on of Image Type (0008,0008), PS3.3 C.8.11.7.1.4; SCOUT, LOCALIZER and STEREO (from
Siemens) are habits of makers. Values that are not here do not matter."""

TEXT_KINDS = {
    "cropped images": (Reason.NOT_SCREENING_VIEW, "part of a mammogram, by Series Description"),
    "roi mask images": (Reason.NOT_MAMMOGRAM, "mask of a lesion, by Series Description"),
}
"""Whole Series Descriptions (0008,103E) of CBIS-DDSM, whose cut-outs bear side and view."""

MODIFIER_REASONS = {
    ViewModifier.SPOT: Reason.SPOT,
    ViewModifier.MAGNIFIED: Reason.MAGNIFIED,
    ViewModifier.CLEAVAGE: Reason.NOT_SCREENING_VIEW,
    ViewModifier.AXILLARY_TAIL: Reason.NOT_SCREENING_VIEW,
    ViewModifier.ROLLED: Reason.NOT_SCREENING_VIEW,
    ViewModifier.TANGENTIAL: Reason.NOT_SCREENING_VIEW,
    ViewModifier.INFRAMAMMARY_FOLD: Reason.NOT_SCREENING_VIEW,
    ViewModifier.AXILLARY_TISSUE: Reason.NOT_SCREENING_VIEW,
    ViewModifier.ANTERIOR_COMPRESSION: Reason.NOT_SCREENING_VIEW,
}
"""Implant displaced and nipple in profile are not here: they show the whole breast."""

PADDLES = {
    "SPOT": ViewModifier.SPOT,
    "MAG": ViewModifier.MAGNIFIED,
    "MAGNIFICATION": ViewModifier.MAGNIFIED,
}
"""Words of Paddle Description (0018,11A4)."""

MAGNIFIED_FROM = 1.2
"""Estimated Radiographic Magnification Factor (0018,1114) above which the breast lay on a
magnification stand; a breast on the detector cover has 1.0 to 1.1."""


def presentation(dataset: Dataset) -> Presentation:
    """Presentation Intent Type (0008,0068), else what the SOP class says, else UNKNOWN."""
    match code(dataset, "PresentationIntentType"):
        case "FOR PRESENTATION":
            return Presentation.FOR_PRESENTATION
        case "FOR PROCESSING":
            return Presentation.FOR_PROCESSING
    sop_class = uid.UID(text(dataset, "SOPClassUID") or "")
    return PRESENTATION_CLASSES.get(sop_class, Presentation.UNKNOWN)


def device_modifiers(dataset: Dataset) -> list[ViewModifier]:
    """Modifiers that follow from the paddle and from the geometry of the exposure."""
    words = " ".join(codes(dataset, "PaddleDescription")).split()
    found = [PADDLES[word] for word in words if word in PADDLES]
    if max(numbers(dataset, "EstimatedRadiographicMagnificationFactor"), default=1.0) > (
        MAGNIFIED_FROM
    ):
        found.append(ViewModifier.MAGNIFIED)
    return found


def why_left_out(dataset: Dataset, row: Mapping[str, object]) -> tuple[Reason | None, str | None]:
    """The first reason why the image is not a usable screening view, with words; or (None, None).

    ``row`` has the columns of the index as header and overrides together decided them; what no
    column holds is read from ``dataset``.
    """
    return next(_reasons(dataset, row), (None, None))


def _reasons(dataset: Dataset, row: Mapping[str, object]) -> Iterator[tuple[Reason, str]]:
    if not (row["rows"] and row["columns"]):
        meta = getattr(dataset, "file_meta", None) or Dataset()
        media = text(meta, "MediaStorageSOPClassUID")
        name = uid.UID(str(row["sop_class"] or media or "no SOP class")).name
        yield Reason.NO_PIXELS, f"no Rows and Columns: {name}"
    yield from _no_mammogram(dataset, row)
    yield from _other_image(dataset, row)
    yield from _other_view(row)


def _no_mammogram(dataset: Dataset, row: Mapping[str, object]) -> Iterator[tuple[Reason, str]]:
    sop_class, modality = row["sop_class"], row["modality"]
    if modality != "MG" and sop_class in SECONDARY_CAPTURE_CLASSES:
        yield Reason.SECONDARY_CAPTURE, f"Secondary Capture of Modality {modality or '(none)'}"
    if modality != "MG" and sop_class not in MAMMOGRAM_CLASSES:
        name = uid.UID(str(sop_class or "no SOP class")).name
        yield Reason.NOT_MAMMOGRAM, f"Modality {modality or '(none)'}, {name}"
    if code(dataset, "QualityControlImage") == "YES":
        yield Reason.NOT_MAMMOGRAM, "Quality Control Image: a phantom"
    if (count(dataset, "SamplesPerPixel") or 1) > 1:
        yield Reason.SECONDARY_CAPTURE, "picture in colour"


def _other_image(dataset: Dataset, row: Mapping[str, object]) -> Iterator[tuple[Reason, str]]:
    frames = count(dataset, "NumberOfFrames") or 1
    if row["sop_class"] in TOMOSYNTHESIS_CLASSES or frames > 1:
        yield Reason.TOMOSYNTHESIS, f"{uid.UID(str(row['sop_class'])).name}, frames: {frames}"
    image_types = codes(dataset, "ImageType")
    generated = "GENERATED_2D" in image_types
    for value in image_types:
        if value in IMAGE_TYPES and not (generated and IMAGE_TYPES[value] == VOLUME):
            reason, words = IMAGE_TYPES[value]
            yield reason, f"{words}: Image Type {value}"
    if row["presentation"] == Presentation.FOR_PROCESSING:
        yield Reason.FOR_PROCESSING, "values of the detector, not processed for reading"
    for description in texts(dataset, "SeriesDescription"):
        if description.lower() in TEXT_KINDS:
            yield TEXT_KINDS[description.lower()]


def _other_view(row: Mapping[str, object]) -> Iterator[tuple[Reason, str]]:
    view, modifiers = row["view"], row["view_modifiers"]
    if view == View.SPECIMEN:
        yield Reason.SPECIMEN, f"tissue outside the body, by {row['view_rule']}"
    assert isinstance(modifiers, list)
    for modifier in modifiers:
        if modifier in MODIFIER_REASONS:
            yield MODIFIER_REASONS[modifier], f"view modifier: {modifier}"
    if view == View.UNKNOWN:
        yield (
            Reason.VIEW_UNKNOWN,
            f"no element names the view ({row['view_rule'] or 'none has one'})",
        )
    if view not in SCREENING_VIEWS:
        yield Reason.NOT_SCREENING_VIEW, f"view {view}"
    if row["laterality"] == Laterality.UNKNOWN:
        yield (
            Reason.SIDE_UNKNOWN,
            f"no element names the side ({row['laterality_rule'] or 'none has one'})",
        )
