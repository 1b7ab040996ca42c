"""What made a picture, by coded values first; docs/kinds.md has the rules as tables.

Text decides only where no coded value does, and then the rule says so. Study Description, Protocol
Name and the like are not asked: 'SCREEN/TOMO, CVIEW' names all images of a study alike.
"""

from collections.abc import Collection, Iterator, Mapping

from pydicom import uid

from mim.dicom.elements import Elements, code, codes, items, numbers
from mim.vocab import Kind, Maker, Presentation, ViewModifier

MAMMOGRAPHY_CLASSES = frozenset(
    (
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
    )
)

PROJECTION_CLASSES = frozenset(
    (
        uid.BreastProjectionXRayImageStorageForPresentation,
        uid.BreastProjectionXRayImageStorageForProcessing,
    )
)

TOMOSYNTHESIS_CLASS = uid.BreastTomosynthesisImageStorage

MAMMOGRAM_CLASSES = MAMMOGRAPHY_CLASSES | PROJECTION_CLASSES | {TOMOSYNTHESIS_CLASS}

DIGITAL_CLASSES = MAMMOGRAPHY_CLASSES | {
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
    uid.ComputedRadiographyImageStorage,
}
"""Classes of one exposure of a digital detector or of a storage plate."""

SECONDARY_CAPTURE_CLASSES = frozenset(
    (
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    )
)

NAMES: dict[object, str] = {
    known: uid.UID(known).name for known in MAMMOGRAM_CLASSES | DIGITAL_CLASSES
}

PRESENTATIONS = {
    "FOR PRESENTATION": Presentation.FOR_PRESENTATION,
    "FOR PROCESSING": Presentation.FOR_PROCESSING,
}

PRESENTATION_CLASSES: dict[object, Presentation] = {
    uid.DigitalMammographyXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.DigitalMammographyXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
    uid.BreastProjectionXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.BreastProjectionXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
    uid.DigitalXRayImageStorageForPresentation: Presentation.FOR_PRESENTATION,
    uid.DigitalXRayImageStorageForProcessing: Presentation.FOR_PROCESSING,
}

IMAGE_TYPES = {
    "GENERATED_2D": Kind.SYNTHETIC_2D,
    "TOMO_2D": Kind.SYNTHETIC_2D,
    "TOMO_PROJ": Kind.PROJECTION,
    "TOMOSYNTHESIS": Kind.TOMOSYNTHESIS,
    "TOMO": Kind.TOMOSYNTHESIS,
}
"""Values 3 and 4 of Image Type (0008,0008), PS3.3 C.8.11.7.1.4 and C.8.21.6.1.1; TOMO_2D and TOMO
are habits of makers."""

ONE_FRAME_IS_SYNTHETIC = (Maker.GE, Maker.HOLOGIC)
"""Makers whose volumes are always of several frames, so that a Breast Tomosynthesis Image of one is
their synthetic image. Fuji may write each slice as a file."""

SYNTHETIC_WORDS = ("C VIEW", "CVIEW", "INTELLIGENT 2D", "INSIGHT 2D", "S VIEW", "V PREVIEW")
PROJECTION_WORDS = ("3D PROJ", "BREAST PROJECTION IMAGE")
FILM_DESCRIPTIONS = ("FULL MAMMOGRAM IMAGES", "CROPPED IMAGES")
"""Words of Series Description (0008,103E), punctuation as spaces; the last are whole ones of
CBIS-DDSM, whose films bear no other mark."""

AS_SPACES = str.maketrans(dict.fromkeys("-_/.,:;()", " "))

PADDLES = {
    "SPOT": ViewModifier.SPOT,
    "MAG": ViewModifier.MAGNIFIED,
    "MAGNIFICATION": ViewModifier.MAGNIFIED,
}
"""Words of Paddle Description (0018,11A4)."""

MAGNIFIED_FROM = 1.2
"""Estimated Radiographic Magnification Factor (0018,1114) above which the breast lay on a
magnification stand; a breast on the detector cover has 1.0 to 1.1."""

Named = tuple[str, ViewModifier]
"""An element, and a modifier that it names."""


def find_presentation(dataset: Elements, sop_class: object) -> tuple[Presentation, str | None]:
    """Presentation Intent Type (0008,0068), else what the SOP class says, else UNKNOWN; and the rule."""
    if known := PRESENTATIONS.get(code(dataset, "PresentationIntentType") or ""):
        return known, "PresentationIntentType"
    if known := PRESENTATION_CLASSES.get(sop_class):
        return known, "SOPClassUID"
    return Presentation.UNKNOWN, None


def device_modifiers(dataset: Elements) -> list[Named]:
    """Modifiers that follow from the paddle, from the geometry of the exposure and from Partial View.

    Partial View (0028,1350), or Partial View Code Sequence (0028,1352) without it: the breast did not
    fit on the detector, and the image shows a part of it (PS3.3 C.8.11.7.1.3).
    """
    found = []
    for description in codes(dataset, "PaddleDescription"):
        words = description.translate(AS_SPACES).split()
        found += [("PaddleDescription", PADDLES[word]) for word in words if word in PADDLES]
    factor = "EstimatedRadiographicMagnificationFactor"
    if max(numbers(dataset, factor), default=1.0) > MAGNIFIED_FROM:
        found.append((factor, ViewModifier.MAGNIFIED))
    partial = code(dataset, "PartialView")
    if partial == "YES":
        found.append(("PartialView", ViewModifier.PARTIAL_VIEW))
    elif partial is None and items(dataset, "PartialViewCodeSequence"):
        found.append(("PartialViewCodeSequence", ViewModifier.PARTIAL_VIEW))
    return found


Decided = tuple[Kind, str | None]
"""A kind, and the element and value that decided it."""


def find_kind(
    dataset: Elements,
    row: Mapping[str, object],
    image_types: Collection[str],
    description: str | None,
) -> Decided:
    """What made the picture, and the element and value that decided it.

    ``row`` has SOP class, modality, maker and frames as header and overrides decided them;
    ``image_types`` are the values of Image Type, ``description`` is Series Description.
    """
    if row["sop_class"] not in MAMMOGRAM_CLASSES and row["modality"] != "MG":
        return Kind.UNKNOWN, None
    words = " ".join((description or "").upper().translate(AS_SPACES).split())
    return next(_kinds(dataset, row, image_types, words), (Kind.UNKNOWN, None))


def _kinds(
    dataset: Elements, row: Mapping[str, object], image_types: Collection[str], words: str
) -> Iterator[Decided]:
    """What each element says, the strongest first."""
    sop_class = row["sop_class"]
    by_type = [
        (kind, f"ImageType {value}") for value, kind in IMAGE_TYPES.items() if value in image_types
    ]
    yield from (decided for decided in by_type if decided[0] == Kind.SYNTHETIC_2D)
    if sop_class in PROJECTION_CLASSES:
        yield Kind.PROJECTION, f"SOPClassUID {NAMES[sop_class]}"
    yield from (decided for decided in by_type if decided[0] == Kind.PROJECTION)
    if sop_class == TOMOSYNTHESIS_CLASS:
        if row["frames"] == 1 and row["maker"] in ONE_FRAME_IS_SYNTHETIC:
            yield Kind.SYNTHETIC_2D, f"NumberOfFrames 1 of {row['maker']}'s {NAMES[sop_class]}"
        yield from _written(Kind.SYNTHETIC_2D, SYNTHETIC_WORDS, words)
        yield Kind.TOMOSYNTHESIS, f"SOPClassUID {NAMES[sop_class]}"
    yield from by_type
    if row["frames"] not in (None, 1):
        yield Kind.TOMOSYNTHESIS, f"NumberOfFrames {row['frames']}"
    yield from _films(dataset, row, words)
    if "ORIGINAL" not in image_types:
        yield from _written(Kind.SYNTHETIC_2D, SYNTHETIC_WORDS, words)
    yield from _written(Kind.PROJECTION, PROJECTION_WORDS, words)
    if sop_class in DIGITAL_CLASSES:
        yield Kind.FFDM, f"SOPClassUID {NAMES[sop_class]}"


def _films(dataset: Elements, row: Mapping[str, object], words: str) -> Iterator[Decided]:
    """Conversion Type (0008,0064), Detector Type (0018,7004), a digitiser's name, CBIS-DDSM's text."""
    for keyword, value in (("ConversionType", "DF"), ("DetectorType", "FILM")):
        if code(dataset, keyword) == value:
            yield Kind.FILM, f"{keyword} {value}"
    if row["maker"] == Maker.FILM_DIGITISER:
        yield Kind.FILM, f"{row['maker_rule']} {row['maker']}"
    if words in FILM_DESCRIPTIONS and row["sop_class"] in SECONDARY_CAPTURE_CLASSES:
        yield Kind.FILM, f"SeriesDescription {words} (text)"


def _written(kind: Kind, phrases: tuple[str, ...], words: str) -> Iterator[Decided]:
    """The kind, where one of the phrases stands in ``words`` as whole words."""
    for phrase in phrases:
        if f" {phrase} " in f" {words} ":
            yield kind, f"SeriesDescription {phrase} (text)"
