"""Stored pixels of one image, or the reason why it has none that can be trusted.

A file that is cut, changed in its geometry or of an unknown syntax raises ``PixelError``; a decoder
that fills the missing part with grey never gets the chance to pass it on. The header is read first,
then the pixels alone, and what is done to them is done in place: a picture is in memory once.
"""

import io
import os
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from mim.dicom.container import ContainerError
from mim.dicom.decoders import (
    BIG_ENDIAN,
    DECODERS,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED_LENGTH,
    Decoded,
    File,
    Layout,
    Pixels,
    Source,
)
from mim.dicom.elements import code, count, number, quiet, text
from mim.dicom.reading import Bounded, HeaderError
from mim.dicom.streams import StreamError
from mim.vocab import Reason

PIXEL_DATA = (0x7FE0, 0x0010)

INFLATED_BYTES = 1 << 28
"""Most bytes that a deflated data set may have; no mammogram of one frame comes near."""

INFLATED_TRAILER = 9
"""Most bytes after it: the check value of a gzip file, which some writers leave on, and a pad byte."""


class PixelError(Exception):
    """The image has no pixels that can be trusted; ``reason`` says which kind of failure."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class StoredImage:
    """Stored values as the detector's maker wrote them, and the elements around them.

    ``pixels`` is [rows, columns], unsigned or signed 8 or 16 bit, before any look-up table;
    bits above Bits Stored (0028,0101) are gone. ``dataset`` has no Pixel Data.
    """

    pixels: Pixels
    dataset: Dataset


def read_image(path: Path) -> StoredImage:
    """Read and decode the single frame of a mammogram.

    Raises:
        PixelError: the file is no DICOM, has no pixels, more than one frame or colour, a transfer
            syntax outside ``DECODERS``, or pixels that are not what its header says.
    """
    try:
        with io.FileIO(os.fspath(path)) as opened:
            return _read(Bounded(opened, os.fstat(opened.fileno()).st_size))
    except HeaderError as error:
        raise PixelError(error.reason, str(error)) from error
    except OSError as error:
        # An error's own words may quote the path or a value, and either may name a woman.
        raise PixelError(Reason.UNREADABLE, f"not readable: {type(error).__name__}") from error


def _read(file: File) -> StoredImage:
    try:
        with quiet():
            file, dataset = _header(file)
            layout = _layout(dataset)
            source = _locate(file, dataset)
    except (OSError, PixelError, HeaderError):
        raise
    except Exception as error:  # damage makes pydicom raise whatever the bytes provoke
        raise PixelError(Reason.UNREADABLE, f"not readable: {type(error).__name__}") from error
    syntax = _syntax(dataset)
    if syntax not in DECODERS:
        raise PixelError(Reason.UNSUPPORTED_SYNTAX, f"transfer syntax {syntax}")
    try:
        decoded = DECODERS[syntax].decode(source, layout)
        if decoded.pixels.shape != (layout.rows, layout.columns):
            raise StreamError(f"the decoder gave {decoded.pixels.shape} pixels")
        return StoredImage(_values(decoded, layout), dataset)
    except (StreamError, ContainerError) as error:
        raise PixelError(Reason.DAMAGED_PIXELS, str(error)) from error
    except OSError:
        raise
    except Exception as error:  # decoders raise whatever their libraries do
        raise PixelError(Reason.DAMAGED_PIXELS, f"decoder: {type(error).__name__}") from error


def _header(file: File) -> tuple[File, FileDataset]:
    """The data set up to Pixel Data, and the file that stands there: this one, or it inflated."""
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=_behind_meta)
    if text(meta, "TransferSyntaxUID") != DEFLATED:
        file.seek(0)
        return file, dcmread(file, stop_before_pixels=True, force=True)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = BytesIO(inflate.decompress(file.read(), INFLATED_BYTES))
    if not inflate.eof or len(inflate.unused_data) > INFLATED_TRAILER:
        raise PixelError(
            Reason.DAMAGED_PIXELS, "the deflated data set does not end where the file does"
        )
    dataset = dcmread(inflated, stop_before_pixels=True, force=True)
    dataset.file_meta = FileMetaDataset(meta)
    dataset.buffer = None  # pydicom would hold the whole data set in memory
    return inflated, dataset


def _behind_meta(tag: int, vr: str | None, length: int) -> bool:
    return tag >> 16 != 2


def _layout(dataset: Dataset) -> Layout:
    """The Image Pixel module, if it is that of one grey frame."""
    frames, samples = count(dataset, "NumberOfFrames"), count(dataset, "SamplesPerPixel")
    if (frames or 1) > 1:
        raise PixelError(Reason.TOMOSYNTHESIS, f"{frames} frames")
    if (samples or 1) > 1:
        raise PixelError(Reason.NOT_MAMMOGRAM, f"{samples} samples per pixel")
    if code(dataset, "PhotometricInterpretation") not in (None, "MONOCHROME1", "MONOCHROME2"):
        raise PixelError(Reason.NOT_MAMMOGRAM, "the pixels are no grey values")
    found = {}
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored"):
        value = count(dataset, keyword)
        if value is None:
            raise PixelError(Reason.NO_PIXELS, f"no {keyword}")
        found[keyword] = value
    rows, columns, allocated, stored = found.values()
    if allocated not in (8, 16) or stored > allocated:
        bits = f"{stored} of {allocated} bits"
        raise PixelError(Reason.DAMAGED_PIXELS, f"{bits} are no grey values of a mammogram")
    high_bit = count(dataset, "HighBit")
    if high_bit is None or high_bit >= allocated:
        high_bit = stored - 1
    signed = number(dataset, "PixelRepresentation") == 1
    return Layout(rows, columns, allocated, stored, high_bit, signed)


def _locate(file: File, dataset: FileDataset) -> Source:
    """Tag, VR and length of Pixel Data, where pydicom has stopped; PS3.5 section 7.1."""
    implicit, little_endian = dataset.original_encoding
    order = "<" if little_endian else ">"
    start = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(start)
    head = file.read(12)
    if len(head) < 8 or struct.unpack_from(f"{order}HH", head) != PIXEL_DATA:
        raise PixelError(Reason.NO_PIXELS, "no Pixel Data (7FE0,0010)")
    vr = "OW" if implicit else head[4:6].decode("latin-1")
    if not implicit and vr in EXPLICIT_VR_LENGTH_32:
        used, length = 12, int.from_bytes(head[8:], "little" if little_endian else "big")
    else:
        used, length = 8, struct.unpack_from(f"{order}{'I' if implicit else '2xH'}", head, 4)[0]
    there = size - start - used
    if not length or there <= 0:
        raise PixelError(Reason.NO_PIXELS, "empty Pixel Data (7FE0,0010)")
    if length != UNDEFINED_LENGTH and length > there:
        raise PixelError(Reason.DAMAGED_PIXELS, f"{there} of {length} bytes of pixels")
    return Source(file, start + used, length, size, vr, bool(little_endian))


def _syntax(dataset: FileDataset) -> str:
    """Transfer Syntax UID (0002,0010); where it lacks, the uncompressed one that pydicom found."""
    written = text(dataset.file_meta, "TransferSyntaxUID")
    if written is not None:
        return written
    implicit, little_endian = dataset.original_encoding
    return IMPLICIT if implicit else EXPLICIT if little_endian else BIG_ENDIAN


def _values(decoded: Decoded, layout: Layout) -> Pixels:
    """Values of the bit patterns, none of which needs more than Bits Stored (0028,0101).

    The sign is Pixel Representation's (0028,0103), whatever a stream says of its own: files exist
    where they differ, and JPEG-LS has none. It stands in the highest bit of Bits Stored, or in that
    of the stream where the stream has other bits (PS3.5 section 8.1.1).
    """
    pixels, bits, highest = decoded
    limit = 1 << layout.stored
    fits = (int(pixels.max()) if highest is None else highest) < limit
    if layout.signed:
        pixels = _with_sign(pixels, min(bits, layout.stored) if fits else bits)
        fits = fits or (-limit <= 2 * int(pixels.min()) and 2 * int(pixels.max()) < limit)
    if not fits:
        raise StreamError(f"a value needs more than {layout.stored} bits")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _with_sign(pixels: Pixels, bits: int) -> Pixels:
    """Two's complement of ``bits`` bits, in place."""
    signed: Pixels = pixels.view(f"i{pixels.itemsize}")
    shift = 8 * pixels.itemsize - bits
    if shift:
        np.left_shift(signed, shift, out=signed)
        np.right_shift(signed, shift, out=signed)
    return signed
