"""Stored pixels of one image: the fastest decoder known to be right, and guards around it.

A file that is cut, changed in its geometry or of an unknown syntax raises ``PixelError``; a
decoder that fills the missing part with grey never gets the chance to pass it on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from mim.dicom.elements import quiet
from mim.vocab import Reason

Pixels = NDArray[Any]


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


def _native(data: bytes, dataset: Dataset) -> Pixels:
    order = ">" if dataset.original_encoding[1] is False else "<"
    wanted = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    if len(data) < wanted:
        raise PixelError(Reason.DAMAGED_PIXELS, f"{len(data)} of {wanted} bytes of pixels")
    dtype = np.dtype(f"{order}u{dataset.BitsAllocated // 8}")
    native: Pixels = np.frombuffer(data, dtype, dataset.Rows * dataset.Columns)
    in_order: Pixels = native.astype(dtype.newbyteorder("="), copy=False)
    return in_order


def _run_length(frame: bytes, dataset: Dataset) -> Pixels:
    dtype = np.dtype(f"<u{dataset.BitsAllocated // 8}")
    return np.frombuffer(imagecodecs.dicomrle_decode(frame, dtype), dtype)


def _jpeg(frame: bytes, dataset: Dataset) -> Pixels:
    _require_end_marker(frame)
    decoded: Pixels = imagecodecs.jpeg8_decode(frame)
    return decoded


def _jpeg_lossless(frame: bytes, dataset: Dataset) -> Pixels:
    # Differences taken modulo 2^P, as some makers write them, leave bits above P.
    decoded = _jpeg(frame, dataset)
    kept: Pixels = decoded & decoded.dtype.type((1 << dataset.BitsStored) - 1)
    return kept


def _jpeg_ls(frame: bytes, dataset: Dataset) -> Pixels:
    _require_end_marker(frame)
    return imagecodecs.jpegls_decode(frame)


def _jpeg_2000(frame: bytes, dataset: Dataset) -> Pixels:
    _require_end_marker(frame)
    return imagecodecs.jpeg2k_decode(frame)


def _ht_jpeg_2000(frame: bytes, dataset: Dataset) -> Pixels:
    _require_end_marker(frame)
    return imagecodecs.htj2k_decode(frame)


def _require_end_marker(frame: bytes) -> None:
    """All JPEG families end with FFD9 (ISO 10918-1 B.1.1.3, ISO 15444-1 A.4.4)."""
    if b"\xff\xd9" not in frame[-16:]:
        raise PixelError(Reason.DAMAGED_PIXELS, "the stream ends without its end marker FFD9")


Decoder = Callable[[bytes, Dataset], Pixels]

DECODERS: dict[str, Decoder] = {
    "1.2.840.10008.1.2": _native,  # numpy reads the bytes as they lie
    "1.2.840.10008.1.2.1": _native,
    "1.2.840.10008.1.2.1.99": _native,  # pydicom has inflated the data set
    "1.2.840.10008.1.2.2": _native,
    "1.2.840.10008.1.2.4.50": _jpeg,  # libjpeg-turbo 3
    "1.2.840.10008.1.2.4.51": _jpeg,  # libjpeg-turbo 3 also reads malformed process 4
    "1.2.840.10008.1.2.4.57": _jpeg_lossless,  # libjpeg-turbo 3, 4.5 to 5.7 times gdcm
    "1.2.840.10008.1.2.4.70": _jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,  # CharLS
    "1.2.840.10008.1.2.4.81": _jpeg_ls,
    "1.2.840.10008.1.2.4.90": _jpeg_2000,  # OpenJPEG
    "1.2.840.10008.1.2.4.91": _jpeg_2000,
    "1.2.840.10008.1.2.4.201": _ht_jpeg_2000,  # OpenJPH
    "1.2.840.10008.1.2.4.202": _ht_jpeg_2000,
    "1.2.840.10008.1.2.4.203": _ht_jpeg_2000,
    "1.2.840.10008.1.2.5": _run_length,  # imagecodecs, 1.2 to 2.5 times pylibjpeg
}
"""Transfer Syntax UID (PS3.5 section 10 and Annex A) to decoder."""

ENCAPSULATED = "1.2.840.10008.1.2.4."
RUN_LENGTH = "1.2.840.10008.1.2.5"


def read_image(path: Path) -> StoredImage:
    """Read and decode the single frame of a mammogram.

    Raises:
        PixelError: the file is no DICOM, has no pixels, more than one frame or colour, a transfer
            syntax outside ``DECODERS``, or pixels that are not what its header says.
    """
    try:
        with quiet():
            dataset = dcmread(path, force=True)
    except Exception as error:  # damage makes pydicom raise whatever the bytes provoke
        # The error's own words may quote the path or a value, and either may name a woman.
        raise PixelError(Reason.UNREADABLE, f"not readable: {type(error).__name__}") from error
    data = dataset.get("PixelData")
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    _check_header(dataset, data)
    decoder = DECODERS.get(syntax)
    if decoder is None:
        raise PixelError(Reason.UNSUPPORTED_SYNTAX, f"transfer syntax {syntax}")
    encapsulated = syntax.startswith(ENCAPSULATED) or syntax == RUN_LENGTH
    try:
        frame = _single_frame(data) if encapsulated else data
        decoded = decoder(frame, dataset)
    except PixelError:
        raise
    except Exception as error:  # decoders raise whatever their libraries do
        raise PixelError(Reason.DAMAGED_PIXELS, f"decoder: {type(error).__name__}") from error
    pixels = _shaped(decoded, dataset)
    del dataset.PixelData
    return StoredImage(_stored_values(pixels, dataset, encapsulated), dataset)


def _check_header(dataset: Dataset, data: bytes | None) -> None:
    wanted = ("Rows", "Columns", "BitsAllocated", "BitsStored")
    missing = [name for name in wanted if not isinstance(dataset.get(name), int)]
    if not data:
        raise PixelError(Reason.NO_PIXELS, "no Pixel Data (7FE0,0010)")
    if missing:
        raise PixelError(Reason.NO_PIXELS, f"no {missing[0]}")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise PixelError(Reason.TOMOSYNTHESIS, f"{dataset.NumberOfFrames} frames")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise PixelError(Reason.NOT_MAMMOGRAM, f"{dataset.SamplesPerPixel} samples per pixel")
    if dataset.BitsAllocated not in (8, 16) or not 1 <= dataset.BitsStored <= dataset.BitsAllocated:
        bits = f"{dataset.BitsStored} of {dataset.BitsAllocated} bits"
        raise PixelError(Reason.DAMAGED_PIXELS, f"{bits} are no grey values of a mammogram")


def _single_frame(data: bytes) -> bytes:
    frames = list(generate_frames(data, number_of_frames=1))
    if len(frames) != 1:
        raise PixelError(Reason.DAMAGED_PIXELS, f"{len(frames)} frames in an image of one")
    return frames[0]


def _shaped(decoded: Pixels, dataset: Dataset) -> Pixels:
    shape = (dataset.Rows, dataset.Columns)
    if decoded.ndim == 1 and decoded.size == shape[0] * shape[1]:
        return decoded.reshape(shape)
    if decoded.shape != shape:
        raise PixelError(
            Reason.DAMAGED_PIXELS, f"the stream holds {decoded.shape}, the header says {shape}"
        )
    return decoded


def _stored_values(pixels: Pixels, dataset: Dataset, encapsulated: bool) -> Pixels:
    """Keep Bits Stored, extend the sign (PS3.5 section 8.1.1)."""
    bits = dataset.BitsStored
    signed = dataset.get("PixelRepresentation") == 1
    full = pixels.dtype.itemsize * 8
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if not encapsulated and (low := int(dataset.get("HighBit", bits - 1)) - bits + 1) > 0:
        unsigned = unsigned >> low
    if bits < full:
        limit = 1 << bits
        if encapsulated and not signed and int(unsigned.max()) >= limit:
            raise PixelError(Reason.DAMAGED_PIXELS, f"a value needs more than {bits} bits")
        if not encapsulated or signed:
            unsigned = unsigned & unsigned.dtype.type(limit - 1)
    if not signed:
        return unsigned
    shift = full - bits
    extended: Pixels = (unsigned << shift).view(f"i{pixels.dtype.itemsize}") >> shift
    return extended
