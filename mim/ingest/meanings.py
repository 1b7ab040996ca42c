"""What the coded values of an index mean to somebody who reads its page for the first time."""

from mim.vocab import Finding, Reason

REASONS: dict[str, str] = {
    Reason.UNREADABLE: "the file, or its folder, cannot be read",
    Reason.NOT_DICOM: "not a DICOM file: text, a picture, a DICOMDIR",
    Reason.NO_PIXELS: "a DICOM file without a picture: a report, a presentation state",
    Reason.NOT_MAMMOGRAM: "a picture of something else, or in colour",
    Reason.FOR_PROCESSING: "the detector's raw picture, made for software",
    Reason.SYNTHETIC_2D: "computed from tomosynthesis, not exposed",
    Reason.TOMOSYNTHESIS: "a volume, a slice or a projection of tomosynthesis",
    Reason.SECONDARY_CAPTURE: "a copy of a screen, or a scan that says nothing of itself",
    Reason.SCOUT: "taken to aim by, before a biopsy or a scan",
    Reason.SPECIMEN: "tissue that was cut out",
    Reason.SPOT: "a part of the breast under a small paddle",
    Reason.MAGNIFIED: "a part of the breast, magnified",
    Reason.PARTIAL_VIEW: "one of several pictures that a large breast needed",
    Reason.NOT_SCREENING_VIEW: "another view than CC and MLO, or one changed on purpose",
    Reason.VIEW_UNKNOWN: "no element says which view it is; index.overrides can",
    Reason.SIDE_UNKNOWN: "no element says which breast it is; index.overrides can",
    Reason.DUPLICATE_IMAGE: "the same image is there under another name",
    Reason.REPEATED_VIEW: "another image of the same view was chosen",
    Reason.DAMAGED_PIXELS: "the picture is cut, or not what its header says",
    Reason.CHANGED_FILE: "the file has changed since it was indexed",
    Reason.UNSUPPORTED_SYNTAX: "packed in a way that mim does not unpack",
    Reason.BREAST_NOT_FOUND: "no breast was found in the picture",
    Reason.NO_WINDOW: "the file does not say which grey levels to show",
    Reason.DECODER_DIED: "a program that unpacks it broke down over it, twice",
    Reason.NO_REGISTRY_EXAM: "the registry knows no such exam",
    Reason.NO_SCREENING_VIEW: "no usable view of the exam is there",
    Reason.AFTER_DIAGNOSIS: "taken after the woman's cancer was found",
    Reason.REPEATED_EXAM: "done again within days: part of the woman's exam before it",
    Reason.HELD_OUT: "kept from training by the way the cohort is divided",
}

FINDINGS: dict[str, str] = {
    Finding.DUPLICATE_IMAGE: "one SOP Instance UID in several files; all but one are left out",
    Finding.STUDY_IN_TWO_DELIVERIES: "files of one study came in two folders of the source",
    Finding.STUDY_OF_TWO_WOMEN: "images of one study carry different Patient IDs",
    Finding.SEVERAL_STUDIES_ON_ONE_DAY: "a woman has more than one study of a day",
    Finding.ONE_DATE_FOR_ALL: "all studies bear one date: of the export, most likely",
    Finding.IMPLAUSIBLE_DATE: "a study date in the future, or from before there were such images",
    Finding.IDENTIFIER_MISSING: "usable images without Patient ID or Study Instance UID join nothing",
    Finding.SIDE_DISAGREES: "the breast lies as one of the other side would",
    Finding.STORED_MIRRORED: "left and right are exchanged in the stored picture",
    Finding.INVERTED: "air is bright and tissue dark, though the header says otherwise",
    Finding.LETTERS_IN_BREAST: "letters cover a part of the breast; shown in blocks here",
}
