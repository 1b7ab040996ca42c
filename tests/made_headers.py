"""Made headers that tests change one element at a time."""

from typing import Any

from pydicom.dataset import Dataset

MG = "1.2.840.10008.5.1.4.1.1.1.2"
MG_RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMO = "1.2.840.10008.5.1.4.1.1.13.1.3"
PROJECTION = "1.2.840.10008.5.1.4.1.1.13.1.4"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CR = "1.2.840.10008.5.1.4.1.1.1"

PLAIN = {
    "SOPClassUID": MG,
    "Modality": "MG",
    "Rows": 40,
    "Columns": 30,
    "ImageLaterality": "L",
    "ViewPosition": "CC",
}


def header(**elements: Any) -> Dataset:
    """A usable left CC image with the given elements changed; None removes one."""
    dataset = Dataset()
    for keyword, value in (PLAIN | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def item(**elements: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, scheme: str | None = "SCT", **elements: Any) -> Dataset:
    """An item of a code sequence."""
    if scheme:
        elements["CodingSchemeDesignator"] = scheme
    return item(CodeValue=value, **elements)
