"""Which library decodes which transfer syntax, why that one, and the guards around each.

``DECODERS`` is the one table. What a decoder returns are bit patterns; their meaning is given to them
in ``mim.dicom.pixels``.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mim.dicom.codestreams import Wavelet, codestream, read_jpeg_2000
from mim.dicom.container import fragments
from mim.dicom.lossless_jpeg import HALVING, check_lossless_end
from mim.dicom.streams import (
    JPEG_LOSSLESS,
    JPEG_LOSSY,
    JPEG_LS,
    Frame,
    Jpeg,
    StreamError,
    check_restart_markers,
    check_run_lengths,
    end_marker,
    read_jpeg,
)

Pixels = NDArray[Any]
File = BufferedReader | BytesIO

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

UNDEFINED_LENGTH = 0xFFFFFFFF


class Layout(NamedTuple):
    """How the header says that the pixels lie; Image Pixel module, PS3.3 C.7.6.3."""

    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.rows * self.columns

    @property
    def sample(self) -> np.dtype[Any]:
        """Unsigned type of a sample as it lies in a little-endian file."""
        return np.dtype(f"<u{self.allocated // 8}")


class Source(NamedTuple):
    """Where the value of Pixel Data (7FE0,0010) lies; ``size`` is that of the whole file."""

    file: File
    start: int
    length: int
    size: int
    vr: str
    little_endian: bool

    def stream(self) -> bytearray:
        """The compressed frame: all fragments, joined as PS3.5 A.4 has it; the offset table lies too
        often to be asked."""
        end = self.size if self.length == UNDEFINED_LENGTH else self.start + self.length
        parts = fragments(self.file, self.start, end)
        joined = bytearray(sum(length for _, length in parts))
        at = 0
        for offset, length in parts:
            self.read(offset, memoryview(joined)[at : at + length])
            at += length
        return joined

    def read(self, at: int, into: memoryview) -> None:
        """Fill ``into`` with the bytes of the file from ``at`` on."""
        self.file.seek(at)
        if self.file.readinto(into) != len(into):
            raise StreamError("the file became shorter while it was read")


class Decoded(NamedTuple):
    """Samples as unsigned bit patterns, [rows, columns], and how many of their bits count.

    ``highest`` is the highest of them, where the decoder had to look for it anyway.
    """

    pixels: Pixels
    bits: int
    highest: int | None = None


def _native(source: Source, layout: Layout) -> Decoded:
    sample = layout.sample
    wanted = layout.size * sample.itemsize
    if source.length == UNDEFINED_LENGTH:
        raise StreamError("uncompressed pixels without a length")
    if source.length < wanted:
        raise StreamError(f"{source.length} of {wanted} bytes of pixels")
    # Rows or Columns that are too small leave at least one line over; less is padding.
    spare = source.length - wanted
    if spare > 1 and spare >= min(layout.rows, layout.columns) * sample.itemsize:
        raise StreamError(f"{spare} bytes more than the {wanted} of rows and columns")
    data = np.zeros(-(-wanted // 2) * 2, np.uint8)
    source.read(source.start, data[: min(data.size, source.length)].data)
    if not source.little_endian and (source.vr == "OW" or sample.itemsize == 2):
        # OW is a string of 16-bit words, also where each holds two samples: PS3.5 annex A.3.
        data.view(np.uint16).byteswap(inplace=True)
    return Decoded(_placed(data[:wanted].view(sample), layout), layout.stored)


def _placed(pixels: Pixels, layout: Layout) -> Pixels:
    """Bits Stored moved down from High Bit (0028,0102), all other bits cleared; PS3.5 8.1.1."""
    used = int(np.bitwise_or.reduce(pixels))
    shift = layout.high_bit - layout.stored + 1
    if shift < 0 and layout.signed:
        raise StreamError(f"High Bit {layout.high_bit} leaves no {layout.stored} bits")
    if shift > 0 and used % (1 << shift) and used >> layout.stored:
        raise StreamError(f"bits are set below and above the {layout.stored} stored ones")
    if shift > 0 and not used % (1 << shift):
        np.right_shift(pixels, shift, out=pixels)
        used >>= shift
    pixels = pixels.reshape(layout.rows, layout.columns)
    if used >> layout.stored:
        if _smoother_whole(pixels, layout):
            raise StreamError(f"a value needs more than {layout.stored} bits")
        np.bitwise_and(pixels, (1 << layout.stored) - 1, out=pixels)
    return pixels


def _smoother_whole(pixels: Pixels, layout: Layout) -> bool:
    """Whether bits above Bits Stored are part of the picture, and Bits Stored is wrong.

    Nobody may rely on them: they may be zero, repeat the sign, hold an overlay or nothing (PS3.5
    8.1.1). Where they belong to the values, neighbours differ less with them than without.
    """
    some = pixels[:: max(1, layout.rows // 256)]
    whole = some.view(f"{'i' if layout.signed else 'u'}{some.itemsize}").astype(np.int64)
    spare = 64 - layout.stored
    kept = whole << spare >> spare if layout.signed else whole & ((1 << layout.stored) - 1)
    return bool(np.abs(np.diff(whole)).sum() < np.abs(np.diff(kept)).sum())


def _run_length(source: Source, layout: Layout) -> Decoded:
    frame = source.stream()
    sample = layout.sample
    check_run_lengths(frame, sample.itemsize)
    pixels = np.empty((layout.rows, layout.columns), sample)
    wanted = pixels.reshape(-1).view(np.uint8).data
    decoded = imagecodecs.dicomrle_decode(frame, sample, out=wanted)
    # It raises where a segment is too long, and says so nowhere where one is too short.
    if len(decoded) != len(wanted):
        raise StreamError(f"the RLE segments hold {len(decoded)} of {len(wanted)} bytes")
    return Decoded(pixels, layout.allocated)


def _jpeg(source: Source, layout: Layout) -> Decoded:
    stream = source.stream()
    jpeg = read_jpeg(stream)
    _agree(jpeg.frame, layout)
    if jpeg.process not in (*JPEG_LOSSY, JPEG_LOSSLESS):
        raise StreamError(f"JPEG process FF{jpeg.process:X} has no place in the transfer syntax")
    pixels = imagecodecs.jpeg8_decode(stream)
    if jpeg.process in JPEG_LOSSY:
        _check_lossy_end(jpeg, stream, pixels)
        return Decoded(pixels, jpeg.frame.bits)
    check_lossless_end(jpeg, pixels)
    mask, highest = (1 << jpeg.frame.bits) - 1, int(pixels.max())
    if highest > mask:
        # Differences taken modulo 2^P, as some makers write them, leave bits above P.
        if jpeg.predictor in HALVING:
            raise StreamError(
                f"differences modulo 2^{jpeg.frame.bits} with a predictor that halves"
            )
        np.bitwise_and(pixels, mask, out=pixels)
        highest = int(pixels.max())
    return Decoded(pixels, jpeg.frame.bits, highest)


def _check_lossy_end(jpeg: Jpeg, stream: bytearray, pixels: Pixels) -> None:
    """Refuse a lossy JPEG that would be another picture if its data went on.

    libjpeg fills up with grey where the data ends too early. Behind a scan that is complete it skips
    whatever follows, so bytes put there change nothing.
    """
    rows, columns = pixels.shape
    check_restart_markers(jpeg, -(-rows // 8) * -(-columns // 8))
    end = end_marker(stream)
    longer = b"".join((stream[:end], b"\x9a\x6c\x35" * 16, b"\xff\xd9"))
    if not np.array_equal(imagecodecs.jpeg8_decode(longer), pixels):
        raise StreamError("the stream's data ends before the picture does")


def _jpeg_ls(source: Source, layout: Layout) -> Decoded:
    stream = source.stream()
    jpeg = read_jpeg(stream)
    _agree(jpeg.frame, layout)
    if jpeg.process != JPEG_LS:
        raise StreamError("the stream is no JPEG-LS")
    return Decoded(imagecodecs.jpegls_decode(stream), jpeg.frame.bits)


def _jpeg_2000(source: Source, layout: Layout) -> Decoded:
    stream, wavelet = _codestream(source, layout)
    return _wavelet_samples(imagecodecs.jpeg2k_decode(stream), wavelet)


def _ht_jpeg_2000(source: Source, layout: Layout) -> Decoded:
    stream, wavelet = _codestream(source, layout)
    if not wavelet.reversible:
        raise StreamError("the stream is lossy, its transfer syntax is not")
    with _errors_that_python_drops():
        return _wavelet_samples(imagecodecs.htj2k_decode(stream), wavelet)


def _codestream(source: Source, layout: Layout) -> tuple[bytearray, Wavelet]:
    stream = codestream(source.stream())
    wavelet = read_jpeg_2000(stream)
    _agree(wavelet.frame, layout)
    stream[wavelet.end :] = b"\xff\xd9"  # decoders give up at a comment there
    return stream, wavelet


def _wavelet_samples(pixels: Pixels, wavelet: Wavelet) -> Decoded:
    bits = wavelet.frame.bits
    if pixels.dtype.kind == "i":
        pixels = pixels.view(f"u{pixels.itemsize}")
        np.bitwise_and(pixels, (1 << bits) - 1, out=pixels)
    return Decoded(pixels, bits)


HOOKS = threading.Lock()


@contextmanager
def _errors_that_python_drops() -> Iterator[None]:
    """Raise what OpenJPH finds wrong while it decodes.

    imagecodecs lets the error go to Python's hooks, which print it, and returns a picture.
    """
    dropped: list[object] = []
    with HOOKS:
        hooks = sys.excepthook, sys.unraisablehook
        sys.excepthook = lambda *error: dropped.append(error)
        sys.unraisablehook = dropped.append
        try:
            yield
        finally:
            sys.excepthook, sys.unraisablehook = hooks
    if dropped:
        raise StreamError("the decoder met damage in the stream")


def _agree(frame: Frame, layout: Layout) -> None:
    if (frame.rows, frame.columns) != (layout.rows, layout.columns):
        found, said = f"{frame.rows} x {frame.columns}", f"{layout.rows} x {layout.columns}"
        raise StreamError(f"the stream holds {found} pixels, the header says {said}")
    if frame.components != 1:
        raise StreamError(f"the stream holds {frame.components} components")
    if frame.bits > layout.allocated:
        raise StreamError(f"samples of {frame.bits} bits, where {layout.allocated} are allocated")


class Decoder(NamedTuple):
    """One way from bytes to samples: the function, whose library does the work, and why this one."""

    decode: Callable[[Source, Layout], Decoded]
    library: str
    why: str


NATIVE = Decoder(_native, "numpy", "the bytes are the samples; read once, changed in place")
LOSSY = Decoder(_jpeg, "libjpeg-turbo 3", "8 and 12 bits, and process 4 with wrong scan parameters")
LOSSLESS = Decoder(_jpeg, "libjpeg-turbo 3", "all predictors, point transforms, restarts; fastest")
LS = Decoder(_jpeg_ls, "CharLS", "fastest, and it raises where a stream is cut")
WAVELET = Decoder(_jpeg_2000, "OpenJPEG", "nothing free is faster; it raises where a stream is cut")
HIGH_THROUGHPUT = Decoder(_ht_jpeg_2000, "OpenJPH", "many times as fast as OpenJPEG on these")
LOSSY_HIGH_THROUGHPUT = Decoder(_jpeg_2000, "OpenJPEG", "OpenJPH dies of damaged quantisation")
RUN_LENGTH = Decoder(_run_length, "imagecodecs", "fastest, and decodes into the picture itself")

DECODERS: dict[str, Decoder] = {
    IMPLICIT: NATIVE,
    EXPLICIT: NATIVE,
    DEFLATED: NATIVE,
    BIG_ENDIAN: NATIVE,
    "1.2.840.10008.1.2.4.50": LOSSY,
    "1.2.840.10008.1.2.4.51": LOSSY,
    "1.2.840.10008.1.2.4.57": LOSSLESS,
    "1.2.840.10008.1.2.4.70": LOSSLESS,
    "1.2.840.10008.1.2.4.80": LS,
    "1.2.840.10008.1.2.4.81": LS,
    "1.2.840.10008.1.2.4.90": WAVELET,
    "1.2.840.10008.1.2.4.91": WAVELET,
    "1.2.840.10008.1.2.4.201": HIGH_THROUGHPUT,
    "1.2.840.10008.1.2.4.202": HIGH_THROUGHPUT,
    "1.2.840.10008.1.2.4.203": LOSSY_HIGH_THROUGHPUT,
    "1.2.840.10008.1.2.5": RUN_LENGTH,
}
"""Transfer Syntax UID (PS3.5 section 10 and Annex A) to decoder."""
