"""What becomes of each DICOM element: PS3.15 Table E.1-1 with the options of a longitudinal study.

Basic Application Confidentiality Profile with Clean Pixel Data, Clean Descriptors, Retain
Longitudinal Temporal Information with Modified Dates, Retain Patient Characteristics, Retain Device
Identity and Retain Safe Private. The table's column of the Basic Profile comes from the package
dicom-anonymizer, which follows the standard's editions; the columns of the options stand here.
"""

from enum import StrEnum

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword

EDITION = "2026c"

METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113111": "Retain Safe Private Option",
}
"""PS3.16 CID 7050, coding scheme DCM."""

MODIFIED_DATES = "113107"
FULL_DATES = ("113106", "Retain Longitudinal Temporal Information Full Dates Option")
"""In place of ``MODIFIED_DATES`` where dates do not move."""


class Action(StrEnum):
    """What is done with an element. EMPTY and DUMMY know the few elements that get a pseudonym."""

    KEEP = "keep unless it names her; a sequence item by item"
    REMOVE = "remove"
    EMPTY = "zero length"
    DUMMY = "dummy value"
    UID = "keyed UID; a sequence item by item"
    MOVE = "earlier date, same time of day"
    AGE = "age, 90 years for all above 89"
    WORDS = "keep words of the closed list"


BASIC = {
    "X_TAGS": Action.REMOVE,
    "Z_TAGS": Action.EMPTY,
    "D_TAGS": Action.DUMMY,
    "U_TAGS": Action.UID,
    # Type 2 in some IODs, where an empty value must stay; it may stand empty in the others too.
    "X_Z_TAGS": Action.EMPTY,
    "Z_D_TAGS": Action.EMPTY,
    # Type 3 in the IODs of mammograms: DX, MG, CR, SC and Breast Tomosynthesis, PS3.3 A.
    "X_D_TAGS": Action.REMOVE,
    "X_Z_D_TAGS": Action.REMOVE,
    # The references to other images of the study stay, to their new UIDs.
    "X_Z_U_STAR_TAGS": Action.UID,
}

DEVICE = """
CalibrationDate CalibrationDateTime CalibrationTime CassetteID DateOfInstallation DateOfLastCalibration
DateOfLastDetectorCalibration DateOfManufacture DateTimeOfLastCalibration DetectorID DeviceDescription
DeviceLabel DeviceSerialNumber DeviceUID GantryID GeneratorID LensMake LensModel LensSerialNumber
LensSpecification ManufacturerDeviceClassUID ManufacturerDeviceIdentifier ModifyingDeviceID
ModifyingSystem PerformedStationGeographicLocationCodeSequence PerformedStationName
PerformedStationNameCodeSequence PlateID ScheduledProcedureStepLocation
ScheduledStationGeographicLocationCodeSequence ScheduledStationName ScheduledStationNameCodeSequence
ScheduledStudyLocation SourceManufacturer SourceSerialNumber StationName TimeOfLastCalibration
TimeOfLastDetectorCalibration TransducerIdentificationSequence TreatmentMachineName UDISequence
UniqueDeviceIdentifier XRayDetectorID XRayDetectorLabel XRaySourceID
"""
"""K in the column of Retain Device Identity. Where it has C, for AE titles, the Basic Profile holds:
hospitals write their names there."""

PATIENT = """
EthnicGroup EthnicGroupCodeSequence PatientSex PatientSexNeutered PatientSize PatientWeight
PregnancyStatus SelectorASValue SmokingStatus
"""
"""K in the column of Retain Patient Characteristics, besides Patient's Age. Where it has C, for free
text on allergies and needs, the Basic Profile holds."""

DESCRIPTORS = """
AcquisitionDeviceProcessingDescription AcquisitionProtocolDescription PerformedProcedureStepDescription
ProtocolName RequestedProcedureDescription ScheduledProcedureStepDescription SeriesDescription
StudyDescription
"""
"""C in the column of Clean Descriptors, of which a mammogram's may say view, side or kind. For all
others the Basic Profile holds, which removes more."""

KEPT_BINARY = """
PixelData LUTData RedPaletteColorLookupTableData GreenPaletteColorLookupTableData
BluePaletteColorLookupTableData
"""

DATES = ("DA", "DT", "TM")
FREE_TEXT = ("LT", "ST", "UT")
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
OVERLAYS = range(0x6000, 0x6100)

SAFE_PRIVATE = {
    ("GEIIS PACS", 0x0903, 0x10): "US",
    ("GEIIS PACS", 0x0903, 0x11): "US",
    ("GEIIS PACS", 0x0903, 0x12): "US",
    ("GEMS_SERS_01", 0x0025, 0x07): "SL",
}
"""Private creator, group and element of PS3.15 Table E.3.10-1: those that come with mammograms and
hold a number. Hologic's codec content is listed there too, but holds images that nobody can search
for letters."""


def _listed() -> dict[int, Action]:
    """Action by tag, options over the Basic Profile; dates are told by VR, as E.1.1 Note 4 has it."""
    table = dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    listed = {
        tag[0] << 16 | tag[1]: action
        for category, action in BASIC.items()
        for tag in table[category]
        if len(tag) == 2  # the others are masks of curves and overlays
    }
    options = (
        (DEVICE, Action.KEEP),
        (PATIENT, Action.KEEP),
        ("PatientAge", Action.AGE),
        (DESCRIPTORS, Action.WORDS),
    )
    for keywords, action in options:
        for keyword in keywords.split():
            tag = tag_for_keyword(keyword)
            assert tag in listed, keyword
            listed[tag] = action
    return listed


LISTED = _listed()

BIRTH = "PatientBirthDate PatientBirthTime GPSTimeStamp"
"""Dates and times that no option keeps."""

NO_OPTION = frozenset(map(tag_for_keyword, BIRTH.split()))


def action(tag: int, vr: str) -> Action:
    """What becomes of a standard element (even group) of this VR.

    What has no entry of its own in PS3.6 goes: elements of a later edition, curves and overlays.
    """
    if not dictionary_has_tag(tag):
        return Action.REMOVE
    if vr in DATES and tag not in NO_OPTION:
        return Action.MOVE
    return LISTED.get(tag) or _unlisted(tag, vr)


def _unlisted(tag: int, vr: str) -> Action:
    """What the table does not list: judged by VR, so that what is not needed goes."""
    if vr == "PN":
        return Action.EMPTY
    if vr == "UI":
        return Action.UID
    if vr in FREE_TEXT:
        return Action.WORDS
    if vr in BINARY and keyword_for_tag(tag) not in KEPT_BINARY.split():
        return Action.REMOVE
    return Action.KEEP
