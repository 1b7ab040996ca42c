"""The words of the field: every coded value that a table, a rule or a model of mim may hold.

The values are what stands in files. ``UNKNOWN`` is a value like any other: nothing is guessed.
"""

from enum import StrEnum


class Laterality(StrEnum):
    """Side of the imaged breast; DICOM Image Laterality (0020,0062), PS3.3 C.8.11.7."""

    LEFT = "L"
    RIGHT = "R"
    UNKNOWN = "unknown"


class View(StrEnum):
    """Mammographic projection; code meanings of DICOM CID 4014, short forms of PS3.3 C.8.11.7."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    XCC = "XCC"
    XCCL = "XCCL"
    XCCM = "XCCM"
    FB = "FB"
    SIO = "SIO"
    ISO = "ISO"
    SPECIMEN = "specimen"
    UNKNOWN = "unknown"


class ViewModifier(StrEnum):
    """Change to a standard projection; DICOM CID 4015."""

    SPOT = "spot"
    MAGNIFIED = "magnified"
    CLEAVAGE = "cleavage"
    AXILLARY_TAIL = "axillary tail"
    ROLLED = "rolled"
    TANGENTIAL = "tangential"
    IMPLANT_DISPLACED = "implant displaced"
    NIPPLE_IN_PROFILE = "nipple in profile"
    INFRAMAMMARY_FOLD = "inframammary fold"
    AXILLARY_TISSUE = "axillary tissue"
    ANTERIOR_COMPRESSION = "anterior compression"
    PARTIAL_VIEW = "partial view"


class Maker(StrEnum):
    """Maker of the mammograph, by the closed tables of ``mim.dicom.makers``."""

    SIEMENS = "siemens"
    HOLOGIC = "hologic"
    GE = "ge"
    PHILIPS = "philips"
    FUJI = "fuji"
    PLANMED = "planmed"
    GIOTTO = "giotto"
    AGFA = "agfa"
    CARESTREAM = "carestream"
    KONICA = "konica"
    FILM_DIGITISER = "film digitiser"
    UNKNOWN = "unknown"


def maker_name(maker: str) -> str:
    """A maker as it is written in running text."""
    names = {"ge": "GE", "giotto": "IMS Giotto", "unknown": "Maker unknown"}
    return names.get(maker, maker.capitalize())


class Kind(StrEnum):
    """What made the picture; the rules stand in ``mim.dicom.kinds``."""

    FFDM = "full-field digital"
    SYNTHETIC_2D = "synthetic 2D"
    TOMOSYNTHESIS = "tomosynthesis volume"
    PROJECTION = "tomosynthesis projection"
    FILM = "digitised film"
    UNKNOWN = "unknown"


class Presentation(StrEnum):
    """DICOM Presentation Intent Type (0008,0068): processed for reading, or the detector's raw."""

    FOR_PRESENTATION = "for presentation"
    FOR_PROCESSING = "for processing"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an image or an exam is left out. A row with a reason stays in its table."""

    UNREADABLE = "unreadable"
    NOT_DICOM = "not dicom"
    NO_PIXELS = "no pixels"
    NOT_MAMMOGRAM = "not mammogram"
    FOR_PROCESSING = "for processing"
    SYNTHETIC_2D = "synthetic 2D"
    TOMOSYNTHESIS = "tomosynthesis"
    SECONDARY_CAPTURE = "secondary capture"
    SCOUT = "scout"
    SPECIMEN = "specimen"
    SPOT = "spot"
    MAGNIFIED = "magnified"
    PARTIAL_VIEW = "partial view"
    NOT_SCREENING_VIEW = "not screening view"
    VIEW_UNKNOWN = "view unknown"
    SIDE_UNKNOWN = "side unknown"
    DUPLICATE_IMAGE = "duplicate image"
    REPEATED_VIEW = "repeated view"
    DAMAGED_PIXELS = "damaged pixels"
    CHANGED_FILE = "changed since indexed"
    UNSUPPORTED_SYNTAX = "unsupported transfer syntax"
    BREAST_NOT_FOUND = "breast not found"
    NO_WINDOW = "no window"
    DECODER_DIED = "decoder died"
    NO_REGISTRY_EXAM = "no registry exam"
    NO_SCREENING_VIEW = "no screening view"
    AFTER_DIAGNOSIS = "after diagnosis"
    REPEATED_EXAM = "repeated exam"
    HELD_OUT = "held out"


class Finding(StrEnum):
    """What looks wrong about a delivery though nothing is left out for it."""

    DUPLICATE_IMAGE = "duplicate image"
    STUDY_IN_TWO_DELIVERIES = "study in two deliveries"
    STUDY_OF_TWO_WOMEN = "study of two women"
    SEVERAL_STUDIES_ON_ONE_DAY = "several studies on one day"
    ONE_DATE_FOR_ALL = "one date for all"
    IMPLAUSIBLE_DATE = "implausible date"
    IDENTIFIER_MISSING = "identifier missing"
    SIDE_DISAGREES = "side disagrees with pixels"
    STORED_MIRRORED = "stored mirrored"
    INVERTED = "inverted"
    LETTERS_IN_BREAST = "burned-in letters within the breast"


class Came(StrEnum):
    """What came of an ordered exam; each is exactly one of these."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNUSABLE = "unusable"
    MISSING = "missing"
    AMBIGUOUS = "ambiguous"


class Standing(StrEnum):
    """Where an image of an index stands towards an order; each is exactly one of these."""

    ORDERED = "ordered"
    UNASKED = "unasked"
    AMBIGUOUS = "ambiguous"
    NO_STUDY = "no study"


class Unsafe(StrEnum):
    """Why a readable mammogram cannot be pseudonymised."""

    NO_IDENTIFIER = "no identifier"
    BURNT_IN = "burnt-in text that cannot be blanked"
    NAMED_IN_PIXELS = "identifier in the pixel stream"


class Outcome(StrEnum):
    """What became of one breast after one exam; definitions in ``mim.cohort.labels``."""

    SCREEN_DETECTED = "screen-detected cancer"
    INTERVAL = "interval cancer"
    CANCER = "cancer"
    """Cancer at the exam, in collections that do not say how it was found."""
    LATER = "later cancer"
    RECALLED = "recalled without cancer"
    DISMISSED = "dismissed at consensus"
    NEGATIVE = "negative"
    CENSORED = "censored"
    UNKNOWN = "unknown"


CANCERS = (Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.CANCER)
"""Outcomes of a breast that had a cancer at the exam, or before the next one."""

NO_CANCER = (Outcome.RECALLED, Outcome.DISMISSED, Outcome.NEGATIVE)
"""Outcomes of a breast that was free of cancer. A later cancer is in neither of the two."""


class FoundBy(StrEnum):
    """How a cancer came to light, in the registry's own judgement."""

    SCREENING = "screening"
    SYMPTOMS = "symptoms"
    OTHER = "other"


class Density(StrEnum):
    """BI-RADS breast density, 5th edition."""

    A = "a"
    B = "b"
    C = "c"
    D = "d"


class Quality(StrEnum):
    """Positioning grade of one image, PGMI (UK Mammography Trainers Group)."""

    PERFECT = "P"
    GOOD = "G"
    MODERATE = "M"
    INADEQUATE = "I"


class Task(StrEnum):
    """What a model can learn."""

    CANCER = "cancer"
    RISK = "risk"
    DENSITY = "density"
    QUALITY = "quality"


class Landmark(StrEnum):
    """Points of one image from which its positioning is measured; the pectoral ones on MLO only.

    The ends of the pectoral line are where the muscle's edge leaves the image: at its upper edge,
    and at the chest wall.
    """

    NIPPLE = "nipple"
    PECTORAL_UPPER = "pectoral_upper"
    PECTORAL_LOWER = "pectoral_lower"


class Criterion(StrEnum):
    """What is judged of one image's positioning and technique, each by itself: true or false.

    ``CUT_OFF``, ``SKIN_FOLD`` and ``BLURRED`` are faults, the others are wanted. ``SYMMETRIC`` says
    that the image and that of the other breast in the same view mirror each other.
    """

    NIPPLE_IN_PROFILE = "nipple_in_profile"
    PECTORAL_TO_NIPPLE = "pectoral_to_nipple"
    INFRAMAMMARY_FOLD = "inframammary_fold"
    CUT_OFF = "cut_off"
    SKIN_FOLD = "skin_fold"
    BLURRED = "blurred"
    SYMMETRIC = "symmetric"


class Split(StrEnum):
    """Part of the cohort that a woman, with all her exams, belongs to.

    ``UNUSED`` exams are neither learnt from nor scored; they may be priors of the woman's others.
    """

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    UNUSED = "unused"


class Severity(StrEnum):
    """How much a finding of an audit matters: a problem is to be settled before training."""

    PROBLEM = "problem"
    WARNING = "warning"


BREASTS = (Laterality.LEFT, Laterality.RIGHT)

SCREENING_VIEWS = (View.CC, View.MLO)

VIEW_SLOTS = tuple((side, view) for side in BREASTS for view in SCREENING_VIEWS)
"""Order of the ``view`` axis of every tensor: L CC, L MLO, R CC, R MLO."""

DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12

SELECTION_RATES = (0.032, 0.058, 0.088, 0.111)
"""Shares of exams selected by recall, one reader, consensus (Larsen 2022, doi
10.1007/s00330-022-08909-x) and consensus of the Radiology: AI 2025 cohort (doi in docs)."""
