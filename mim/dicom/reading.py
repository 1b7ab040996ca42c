"""Headers from files: what is no DICOM, what is cut, and what is a header to be described."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset

from mim.dicom.elements import quiet
from mim.vocab import Reason

PREAMBLE = 128
UNDEFINED_LENGTH = 0xFFFFFFFF
DEFLATED = "1.2.840.10008.1.2.1.99"


class HeaderError(Exception):
    """The file has no header to describe; ``reason`` and the message say why, without its values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_header(path: Path) -> tuple[FileDataset, HeaderError | None]:
    """The data set up to Pixel Data, and what is wrong with the pixels behind it, if anything.

    Raises:
        HeaderError: the file is no DICOM, is cut within the header or cannot be read.
    """
    try:
        with quiet(), path.open("rb") as file:
            return _read(file)
    except HeaderError:
        raise
    except OSError as error:
        raise HeaderError(
            Reason.UNREADABLE, f"cannot be opened or read: {type(error).__name__}"
        ) from None
    except Exception as error:
        # Damage makes pydicom raise whatever the bytes happen to provoke.
        raise HeaderError(
            Reason.UNREADABLE, f"header cannot be parsed: {type(error).__name__}"
        ) from None


def _read(file: BinaryIO) -> tuple[FileDataset, HeaderError | None]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(PREAMBLE + 4)
    if not start:
        raise HeaderError(Reason.NOT_DICOM, "empty file")
    if start[PREAMBLE:] != b"DICM" and not _starts_data_set(start):
        raise HeaderError(Reason.NOT_DICOM, "neither a DICM prefix nor the start of a data set")
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=True, force=True)
    if not len(dataset):
        raise HeaderError(Reason.UNREADABLE, "header holds no element that can be read")
    if dataset.file_meta.get("TransferSyntaxUID") == DEFLATED:
        # Positions in the file say nothing here, and a cut stream has failed to inflate already.
        return dataset, None
    if file.tell() == size:
        _check_end(dataset, size)
        return dataset, HeaderError(Reason.NO_PIXELS, "no Pixel Data: never written, or cut off")
    return dataset, _check_pixels(file, dataset, size)


def _starts_data_set(start: bytes) -> bool:
    """Whether a file without preamble starts like a data set: group 2 or 8, and a VR or a length."""
    if len(start) < 8:
        return False
    group, _, following = struct.unpack_from("<HH4s", start)
    has_vr = following[:2].isalpha() and following[:2].isupper()
    return group in (0x0002, 0x0008) and (has_vr or int.from_bytes(following, "little") <= 1024)


def _check_end(dataset: FileDataset, size: int) -> None:
    """Refuse a header that does not end where its last element does."""
    last = max(dataset.values(), key=_position)
    if not isinstance(last, RawDataElement) or last.length == UNDEFINED_LENGTH:
        return
    if last.value_tell + last.length != size:
        raise HeaderError(Reason.UNREADABLE, "file is cut within the header")


def _position(element: DataElement | RawDataElement) -> int:
    if isinstance(element, RawDataElement):
        return element.value_tell
    return element.file_tell or 0


def _check_pixels(file: BinaryIO, dataset: FileDataset, size: int) -> HeaderError | None:
    implicit, little = dataset.original_encoding
    element = file.read(8 if implicit else 12)
    if not implicit and element[4:6] not in (b"OB", b"OW", b"UN"):
        # Another VR has its length elsewhere, and whoever reads the pixels must judge it.
        return None
    length = struct.unpack("<I" if little else ">I", element[-4:])[0]
    there = size - file.tell()
    if length == UNDEFINED_LENGTH or length <= there:
        return None
    return HeaderError(
        Reason.DAMAGED_PIXELS, f"Pixel Data is cut: {there} of {length} bytes are there"
    )
