"""Grey pictures (PGM, PNG, TIFF) as DICOM files of the same values, for ``mim index`` to read.

Digital Mammography X-Ray Image, For Presentation (PS3.3 A.27), compressed without loss: a picture of
a film is one by Detector Type (0018,7004) FILM, so that nobody takes it for a digital exposure.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    JPEGLosslessSV1,
    generate_uid,
)
from tqdm import tqdm

from mim import __version__
from mim.schemas.table import write_whole
from mim.vocab import Laterality, View

Pixels = NDArray[Any]
"""Grey levels [rows, columns], uint8 or uint16; black is 0."""


@dataclass(frozen=True)
class Picture:
    """What is known of a picture.

    ``name`` is the path below the folder of DICOM files, with ``/``, ending in ``.dcm``. ``exam_id``
    becomes the Accession Number, and names the study. ``spacing_mm`` is the distance of pixels in
    the plane of the film or the detector; ``film`` says that a film was digitised.
    """

    name: str
    woman_id: str
    exam_id: str
    laterality: Laterality
    view: View
    spacing_mm: float | None = None
    film: bool = False
    exam_date: date | None = None


class PictureError(Exception):
    """A picture that cannot be used; its words name no file."""


def write_pictures(pictures: Sequence[tuple[Path, Picture]], folder: Path) -> list[str]:
    """Write each picture below ``folder``, and say how many could not be read, and why.

    A file that a former run wrote of the same picture (by all that is known of it and its size in
    bytes) is kept.
    """
    write = partial(_write_one, folder)
    with ThreadPoolExecutor() as threads:
        done = threads.map(write, pictures)
        problems = [*tqdm(done, "writing DICOM files", len(pictures), unit="file")]
    counts = Counter(problem for problem in problems if problem)
    return [f"{count} pictures are left out: {why}" for why, count in sorted(counts.items())]


def _write_one(folder: Path, item: tuple[Path, Picture]) -> str | None:
    """What is wrong with the picture, if it could not be written."""
    source, picture = item
    path = folder / picture.name
    try:
        sop_uid = generate_uid(entropy_srcs=[repr(picture), str(source.stat().st_size)])
        if _is_written(path, sop_uid):
            return None
        pixels = read_picture(source)
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return f"cannot be read: {type(error).__name__}"
    except PictureError as error:
        return str(error)
    write_picture(path, pixels, picture, sop_uid)
    return None


def _is_written(path: Path, sop_uid: str) -> bool:
    try:
        written = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except (FileNotFoundError, InvalidDicomError):
        return False
    return bool(written.get("SOPInstanceUID") == sop_uid)


def read_picture(path: Path) -> Pixels:
    """The grey levels of a picture.

    Three equal channels count as one.

    Raises:
        OSError: there is no such file, or it may not be read.
        PictureError: it is no picture, one in colour, or one of another depth.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if pixels is None:
        raise PictureError("no PGM, PNG or TIFF, or cut short")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise PictureError("neither 8 nor 16 bit")
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise PictureError("in colour")
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def write_picture(path: Path, pixels: Pixels, picture: Picture, sop_uid: str) -> None:
    """Write a picture as one DICOM file, whole or not at all.

    The window is the whole range of the type: a picture shows what it is meant to show.
    """
    dataset = Dataset()
    _identity(dataset, picture, sop_uid)
    _mammogram(dataset, picture)
    _grey(dataset, pixels)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    whole = BytesIO()
    dataset.save_as(whole, enforce_file_format=True)
    write_whole(path, whole.getvalue())


def _identity(dataset: Dataset, picture: Picture, sop_uid: str) -> None:
    day = picture.exam_date.strftime("%Y%m%d") if picture.exam_date else ""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = sop_uid
    dataset.PatientID = picture.woman_id
    dataset.PatientName = dataset.PatientBirthDate = dataset.ReferringPhysicianName = ""
    dataset.PatientSex = "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = day, "", ""
    dataset.AccessionNumber = picture.exam_id
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[picture.woman_id, picture.exam_id])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[sop_uid, "series"])
    dataset.SeriesNumber = dataset.InstanceNumber = None
    dataset.SoftwareVersions = f"mim {__version__}"


def _mammogram(dataset: Dataset, picture: Picture) -> None:
    dataset.Modality = "MG"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = ""
    dataset.BodyPartExamined = "BREAST"
    dataset.DetectorType = "FILM" if picture.film else ""
    dataset.PatientOrientation = ""
    if picture.laterality != Laterality.UNKNOWN:
        dataset.ImageLaterality = picture.laterality.value
    if picture.view != View.UNKNOWN:
        dataset.ViewPosition = picture.view.value
    if picture.spacing_mm:
        dataset.ImagerPixelSpacing = [f"{picture.spacing_mm:.6g}"] * 2


def _grey(dataset: Dataset, pixels: Pixels) -> None:
    bits = pixels.itemsize * 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.WindowCenter, dataset.WindowWidth = 1 << (bits - 1), 1 << bits
    codec: Any = imagecodecs
    stream = codec.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
    dataset.add_new("PixelData", "OB", encapsulate([bytes(stream)]))
    dataset["PixelData"].is_undefined_length = True
