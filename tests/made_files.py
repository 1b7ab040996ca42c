"""Made DICOM files as bytes, for tests that change one element or cut them."""

import io
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

PLAIN = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2",
    "SOPInstanceUID": "1.2.3.1",
    "StudyInstanceUID": "1.2.3",
    "PatientID": "Kari^Nordmann",
    "StudyDate": "20200131",
    "Modality": "MG",
    "ImageLaterality": "L",
    "ViewPosition": "CC",
    "Rows": 8,
    "Columns": 6,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelData": bytes(96),
}


def dicom(syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A made file of a usable left CC image with the given elements; None removes one."""
    dataset = Dataset()
    for keyword, value in (PLAIN | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3.1")
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def encapsulated() -> bytes:
    """The same with pixels in fragments that no decoder takes."""
    return dicom(JPEGLosslessSV1, PixelData=encapsulate([bytes(50)]))


WHOLE = dicom()
