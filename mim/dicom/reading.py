"""Headers from files: what is no DICOM, what is cut, and what is a header to be described."""

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset

from mim.dicom.container import ContainerError, walk
from mim.dicom.elements import Elements, code, count, quiet, text
from mim.dicom.parse import PIXEL_DATA, UNDEFINED, WINDOW, IrregularError, parse
from mim.vocab import Reason

PREAMBLE = 128
DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_ZEROS = 1 << 12
"""Elements in a row that are nothing but zeros; so many are the hole that an interrupted copy left."""

ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\xfd7zXZ": "xz",
}
"""First bytes of files in which a supplier may have packed a delivery, and that nobody unpacked."""

LONG_PIXELS = frozenset((b"OB", b"OW", b"UN", b"OF", b"OD"))
NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"))


class HeaderError(Exception):
    """The file has no header to describe; ``reason`` and the message say why, without its values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Bounded(io.BufferedReader):
    """A file that sets no memory aside for more bytes than it has, whatever a damaged length says.

    Nor does it let a reader walk through gigabytes of zeros, eight bytes at a time.
    """

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__(file)
        self._size = size
        self._zeros = 0

    def read(self, length: int | None = -1, /) -> bytes:
        there = max(self._size - self.tell(), 0)
        found = super().read(there if length is None or length < 0 else min(length, there))
        self._zeros = self._zeros + 1 if found == bytes(8) else 0
        if self._zeros > MOST_ZEROS:
            raise HeaderError(Reason.UNREADABLE, "zeros where the header should go on")
        return found


def read_header(path: Path) -> tuple[Elements, HeaderError | None]:
    """The elements up to Pixel Data, and what is wrong with the pixels behind them, if anything.

    Our own parser reads what is in order, pydicom the rest; ``mim.dicom.elements`` gives the same
    values for both. Of the pixels only their presence is checked: the length of native ones, also
    against Rows and Columns, and all items of encapsulated ones.

    Raises:
        HeaderError: the file is no DICOM, is cut within the header or cannot be read.
    """
    try:
        with io.FileIO(os.fspath(path)) as file:
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


def _read(file: io.FileIO) -> tuple[Elements, HeaderError | None]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(WINDOW)
    if not start:
        raise HeaderError(Reason.NOT_DICOM, "empty file")
    if start[PREAMBLE : PREAMBLE + 4] == b"DICM":
        try:
            header, at = parse(file, size, start)
        except IrregularError:
            pass
        else:
            file.seek(at)
            return header, _check_pixels(file, header, size, not header.explicit, True)
    elif packed := next((ARCHIVES[mark] for mark in ARCHIVES if start.startswith(mark)), None):
        raise HeaderError(
            Reason.UNREADABLE, f"{packed} archive, whose files are not seen: unpack it"
        )
    elif not _starts_data_set(start):
        raise HeaderError(Reason.NOT_DICOM, "neither a DICM prefix nor the start of a data set")
    with quiet():
        return _read_irregular(file, size)


def _starts_data_set(start: bytes) -> bool:
    """Whether a file without preamble starts like a data set: group 2 or 8, and a VR or a length."""
    if len(start) < 8:
        return False
    group, _, following = struct.unpack_from("<HH4s", start)
    has_vr = following[:2].isalpha() and following[:2].isupper()
    return group in (0x0002, 0x0008) and (has_vr or int.from_bytes(following, "little") <= 1024)


def _read_irregular(raw: io.FileIO, size: int) -> tuple[FileDataset, HeaderError | None]:
    raw.seek(0)
    file = Bounded(raw, size)
    dataset = dcmread(file, stop_before_pixels=True, force=True)
    if not len(dataset):
        raise HeaderError(Reason.UNREADABLE, "header holds no element that can be read")
    if dataset.file_meta.get("TransferSyntaxUID") == DEFLATED:
        # Positions in the file say nothing here, and a cut stream has failed to inflate already.
        return dataset, None
    if file.tell() == size:
        _check_end(dataset, size)
    implicit, little = dataset.original_encoding
    return dataset, _check_pixels(file, dataset, size, bool(implicit), bool(little))


def _check_end(dataset: FileDataset, size: int) -> None:
    """Refuse a header that does not end where its last element does."""
    last = max(dataset.values(), key=_position)
    if not isinstance(last, RawDataElement) or last.length == UNDEFINED:
        return
    if last.value_tell + last.length != size:
        raise HeaderError(Reason.UNREADABLE, "file is cut within the header")


def _position(element: DataElement | RawDataElement) -> int:
    if isinstance(element, RawDataElement):
        return element.value_tell
    return element.file_tell or 0


def _check_pixels(
    file: BinaryIO, header: Elements, size: int, implicit: bool, little: bool
) -> HeaderError | None:
    """What is wrong with the Pixel Data that ``file`` is about to read."""
    at = file.tell()
    if at == size:
        return HeaderError(Reason.NO_PIXELS, "no Pixel Data: never written, or cut off")
    element = file.read(8 if implicit else 12)
    if len(element) < 8:
        raise HeaderError(Reason.UNREADABLE, "file is cut within the start of an element")
    group, number = struct.unpack("<HH" if little else ">HH", element[:4])
    if group << 16 | number not in PIXEL_DATA:
        return HeaderError(Reason.NO_PIXELS, "no Pixel Data where the header ends")
    if not implicit and element[4:6] not in LONG_PIXELS:
        # Another VR has its length elsewhere, and whoever reads the pixels must judge it.
        return None
    length = struct.unpack("<I" if little else ">I", element[-4:])[0]
    start = at + len(element)
    if length == UNDEFINED:
        return _check_items(file, start, size) if little else None
    return _check_length(header, length, size - start)


def _check_items(file: BinaryIO, start: int, size: int) -> HeaderError | None:
    try:
        walk(file, start, size)
    except ContainerError as error:
        return HeaderError(Reason.DAMAGED_PIXELS, f"Pixel Data is cut or damaged: {error}")
    return None


def _check_length(header: Elements, length: int, there: int) -> HeaderError | None:
    """Compare the bytes of Pixel Data with the file, and native grey values with Rows and Columns."""
    if not length:
        return HeaderError(Reason.NO_PIXELS, "Pixel Data is empty")
    if length > there:
        return HeaderError(
            Reason.DAMAGED_PIXELS, f"Pixel Data is cut: {there} of {length} bytes are there"
        )
    meta = getattr(header, "file_meta", None)
    native = meta is not None and text(meta, "TransferSyntaxUID") in NATIVE
    grey = (code(header, "PhotometricInterpretation") or "").startswith("MONOCHROME")
    if not native or not grey or (count(header, "SamplesPerPixel") or 1) != 1:
        return None
    values = (count(header, "NumberOfFrames") or 1) * (count(header, "Rows") or 0)
    bits = values * (count(header, "Columns") or 0) * (count(header, "BitsAllocated") or 0)
    wanted = (bits + 7) // 8
    if length >= wanted:
        return None
    return HeaderError(
        Reason.DAMAGED_PIXELS, f"Pixel Data is too short for its image: {length} of {wanted} bytes"
    )
