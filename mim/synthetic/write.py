"""One mammogram as a DICOM file, in its maker's habits.

Digital Mammography X-Ray Image IOD, PS3.3 A.27; X-Ray mammography modules C.8.11.
"""

import struct
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID

from mim.synthetic import makers
from mim.synthetic.makers import Device, Voi
from mim.vocab import Laterality, View, ViewModifier

Pixels = NDArray[np.uint16]

PRESENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.1.2"
PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.2.1"
PROCESSING_BITS = 14

VIEW_CODES = {  # CID 4014: SCT value, SRT value, meaning
    View.CC: ("399162004", "R-10242", "cranio-caudal"),
    View.MLO: ("399368009", "R-10226", "medio-lateral oblique"),
    View.XCCL: ("399192008", "R-1024A", "cranio-caudal exaggerated laterally"),
}
MODIFIER_CODES = {  # CID 4015
    ViewModifier.SPOT: ("399055006", "R-102D7", "Spot Compression"),
    ViewModifier.MAGNIFIED: ("399163009", "R-102D6", "Magnification"),
}
BREAST_CODES = ("76752008", "T-04000", "Breast")
PATIENT_ORIENTATION = {  # PS3.3 C.7.6.1.1.1: directions of the first row and of the first column
    (Laterality.LEFT, False): "A",
    (Laterality.RIGHT, True): "A",
    (Laterality.RIGHT, False): "P",
    (Laterality.LEFT, True): "P",
}
AWAY = {Laterality.LEFT: "R", Laterality.RIGHT: "L"}
SPOT_MAGNIFICATION = 1.8


@dataclass(frozen=True)
class Study:
    """What the images of one exam have in common."""

    woman_id: str
    exam_id: str
    study_uid: str
    day: date
    start_minute: int
    age: int
    site: str
    device: Device
    shrink: int


@dataclass(frozen=True)
class Shot:
    """One image. ``mirrored`` says that it is stored as a mirror image of the usual display."""

    number: int
    sop_uid: str
    series_uid: str
    laterality: Laterality
    view: View
    thickness_mm: float
    mirrored: bool
    processing: bool = False
    modifiers: tuple[ViewModifier, ...] = ()
    hides_laterality: bool = False
    hides_view: bool = False


def derive_uid(*parts: object) -> str:
    """A UID under 2.25 (PS3.5 B.2) that depends on ``parts`` alone."""
    digest = sha256("/".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


IMPLEMENTATION = derive_uid("mim.synthetic")


def write_image(path: Path, study: Study, shot: Shot, pixels: Pixels) -> None:
    """Write stored values [rows, columns] as one DICOM file.

    Files for processing are explicit little endian; the others in the device's transfer syntax.
    """
    dataset = Dataset()
    _general(dataset, study, shot)
    _acquisition(dataset, study, shot)
    _side_and_view(dataset, study.device, shot)
    _spacing(dataset, study, shot)
    _pixel_module(dataset, study.device, shot, pixels)
    if not shot.processing:
        _voi(dataset, study.device)
    syntax = makers.EXPLICIT if shot.processing else study.device.transfer_syntax
    _pixel_data(dataset, pixels, syntax)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(shot.sop_uid)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION)
    dataset.file_meta.ImplementationVersionName = "MIM_SYNTHETIC"
    dataset.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)


def _general(dataset: Dataset, study: Study, shot: Shot) -> None:
    device = study.device
    day, clock = study.day.strftime("%Y%m%d"), _clock(study.start_minute + 1 + shot.number)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    # Value 3 has zero length but for stereotactic, tomosynthesis and contrast, PS3.3 C.8.11.7.1.4.
    dataset.ImageType = ["ORIGINAL" if shot.processing else "DERIVED", "PRIMARY", ""]
    dataset.SOPClassUID = PROCESSING_CLASS if shot.processing else PRESENTATION_CLASS
    dataset.SOPInstanceUID = shot.sop_uid
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = _clock(study.start_minute)
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = clock
    dataset.AccessionNumber = study.exam_id
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PROCESSING" if shot.processing else "FOR PRESENTATION"
    dataset.Manufacturer = device.manufacturer
    dataset.InstitutionName = study.site
    dataset.ReferringPhysicianName = ""
    dataset.StationName = study.site.upper()[:16]
    dataset.StudyDescription = "Screening mammography"
    dataset.SeriesDescription = f"{shot.laterality} {shot.view}"
    dataset.ManufacturerModelName = device.model
    dataset.SoftwareVersions = device.software
    dataset.PatientName = f"MADE-UP^{study.woman_id}"
    dataset.PatientID = study.woman_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientAge = f"{study.age:03d}Y"
    dataset.BodyPartExamined = "BREAST"
    dataset.StudyInstanceUID = study.study_uid
    dataset.SeriesInstanceUID = shot.series_uid
    dataset.StudyID = study.exam_id
    dataset.SeriesNumber = dataset.InstanceNumber = shot.number
    dataset.ImageComments = "Made-up image, no patient"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}{minute % 60:02d}00"


def _acquisition(dataset: Dataset, study: Study, shot: Shot) -> None:
    oblique = 45 if shot.laterality is Laterality.RIGHT else -45
    dataset.KVP = str(26 + round(shot.thickness_mm / 15))
    dataset.DeviceSerialNumber = derive_uid(study.site, study.device.model)[-8:]
    dataset.Exposure = str(round(shot.thickness_mm * 1.6))
    dataset.BodyPartThickness = str(round(shot.thickness_mm))
    dataset.CompressionForce = str(60 + round(shot.thickness_mm))
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.PositionerPrimaryAngle = str(oblique if shot.view is View.MLO else 0)
    dataset.DetectorType = "DIRECT"
    dataset.DetectorTemperature = "30"
    dataset.OrganExposed = "BREAST"
    dataset.AcquisitionContextSequence = Sequence()
    scheme = study.device.view_scheme or "SCT"
    dataset.AnatomicRegionSequence = Sequence([_code(BREAST_CODES, scheme)])


def _code(row: tuple[str, str, str], scheme: str) -> Dataset:
    code = Dataset()
    code.CodeValue = row[0] if scheme == "SCT" else row[1]
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = row[2]
    return code


def _side_and_view(dataset: Dataset, device: Device, shot: Shot) -> None:
    if device.laterality_keyword and not shot.hides_laterality:
        setattr(dataset, device.laterality_keyword, str(shot.laterality))
    down = AWAY[shot.laterality]
    if shot.view is View.MLO:
        down = f"F{down}"
    dataset.PatientOrientation = [PATIENT_ORIENTATION[shot.laterality, shot.mirrored], down]
    if shot.hides_view:
        return
    if device.view_position or shot.view is View.XCCL:
        dataset.ViewPosition = str(shot.view)
    if device.view_scheme:
        code = _code(VIEW_CODES[shot.view], device.view_scheme)
        modifiers = [_code(MODIFIER_CODES[m], device.view_scheme) for m in shot.modifiers]
        code.ViewModifierCodeSequence = Sequence(modifiers)
        dataset.ViewCodeSequence = Sequence([code])
    elif shot.modifiers:
        dataset.SeriesDescription = f"{shot.laterality} {shot.view} SPOT MAG"


def _spacing(dataset: Dataset, study: Study, shot: Shot) -> None:
    pitch = study.device.pitch_mm * study.shrink
    for keyword in study.device.spacing_keywords:
        setattr(dataset, keyword, [f"{pitch:.6g}", f"{pitch:.6g}"])
    if shot.processing and "ImagerPixelSpacing" not in dataset:
        dataset.ImagerPixelSpacing = [f"{pitch:.6g}", f"{pitch:.6g}"]
    factor = SPOT_MAGNIFICATION if ViewModifier.MAGNIFIED in shot.modifiers else 1.0
    dataset.EstimatedRadiographicMagnificationFactor = str(factor)


def _pixel_module(dataset: Dataset, device: Device, shot: Shot, pixels: Pixels) -> None:
    bits = PROCESSING_BITS if shot.processing else device.bits_stored
    photometric = "MONOCHROME2" if shot.processing else device.photometric
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    if device.padding and not shot.processing:
        dataset.PixelPaddingValue = device.greys.background
    dataset.BurnedInAnnotation = "YES" if device.burns_letters and not shot.processing else "NO"
    dataset.QualityControlImage = dataset.BreastImplantPresent = dataset.PartialView = "NO"
    dataset.PixelIntensityRelationship = "LIN" if shot.processing else "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if shot.processing or "1" in photometric else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    inverse = photometric == "MONOCHROME1"
    dataset.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    dataset.LossyImageCompression = "00"


def _voi(dataset: Dataset, device: Device) -> None:
    """Which values to show: PS3.3 C.11.2, in the maker's way."""
    low, high = sorted((device.greys.dark, device.greys.bright))
    centre, width = (low + high) // 2, high - low
    match device.voi:
        case Voi.WINDOW:
            dataset.WindowCenter, dataset.WindowWidth = centre, width
        case Voi.WINDOWS:
            dataset.WindowCenter = [centre, centre + 150, centre - 150]
            dataset.WindowWidth = [width, width * 3 // 4, width * 5 // 4]
            dataset.WindowCenterWidthExplanation = ["WINDOW1", "WINDOW2", "WINDOW3"]
        case Voi.SIGMOID:
            dataset.WindowCenter, dataset.WindowWidth = centre, width
            dataset.VOILUTFunction = "SIGMOID"
        case Voi.TABLES:
            names = ["NORMAL", "HARDER", "SOFTER"]
            widths = [width, width * 3 // 4, width * 4 // 3]
            dataset.WindowCenter, dataset.WindowWidth = [centre] * 3, widths
            dataset.WindowCenterWidthExplanation = names
            dataset.VOILUTFunction = "SIGMOID"
            tables = [_table(centre, w, n, device) for w, n in zip(widths, names, strict=True)]
            dataset.VOILUTSequence = Sequence(tables)


def _table(centre: int, width: int, name: str, device: Device) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [1 << device.bits_stored, 0, device.bits_stored]
    item.LUTExplanation = name
    item.add_new("LUTData", "OW", _sigmoid_table(centre, width, 1 << device.bits_stored))
    return item


@cache
def _sigmoid_table(centre: int, width: int, entries: int) -> bytes:
    steps = np.arange(entries, dtype=np.float64)
    shown = (entries - 1) / (1 + np.exp(-4 * (steps - centre) / width))
    return np.round(shown).astype("<u2").tobytes()


def encode(pixels: Pixels, bits_stored: int, syntax: str) -> bytes:
    """The stream of one frame [rows, columns] in a transfer syntax of ``makers``; lossless."""
    codec: Any = imagecodecs
    match syntax:
        case makers.EXPLICIT:
            return pixels.astype("<u2").tobytes()
        case makers.RUN_LENGTH:
            return _run_length(pixels)
        case makers.JPEG_LOSSLESS:
            first_order = partial(codec.jpeg8_encode, lossless=True, predictor=1)
            return bytes(first_order(pixels, bitspersample=bits_stored))
        case makers.JPEG_2000:
            reversible = partial(codec.jpeg2k_encode, level=0, reversible=True, codecformat="j2k")
            return bytes(reversible(pixels, bitspersample=bits_stored))
    raise ValueError(f"no encoder for transfer syntax {syntax}")


def _run_length(pixels: Pixels) -> bytes:
    """RLE of two byte planes, the high bytes first, row by row (PS3.5 Annex G)."""
    planes = (pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)
    segments = [bytes(imagecodecs.packbits_encode(plane)) for plane in planes]
    high, low = (segment + b"\0" * (len(segment) % 2) for segment in segments)
    return struct.pack("<16L", 2, 64, 64 + len(high), *[0] * 13) + high + low


def _pixel_data(dataset: Dataset, pixels: Pixels, syntax: str) -> None:
    stream = encode(np.ascontiguousarray(pixels), dataset.BitsStored, syntax)
    if syntax == makers.EXPLICIT:
        dataset.add_new("PixelData", "OW", stream)
        return
    dataset.add_new("PixelData", "OB", encapsulate([stream]))
    dataset["PixelData"].is_undefined_length = True
