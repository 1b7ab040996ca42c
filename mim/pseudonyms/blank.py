"""Letters burnt in outside the breast made background, and nothing else of the pixels changed.

Clean Pixel Data Option, DICOM PS3.15 E.3.1. Pixels without letters are never decoded to be written:
the caller keeps their stream as it is.
"""

from collections.abc import Callable, Iterable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

from mim.dicom.pixels import StoredImage

Pixels = NDArray[Any]
Box = tuple[int, int, int, int]
"""Top, bottom, left, right of stored pixels, half open."""

EDGE = 0.02
"""Share of the picture's height. What ends nearer to its edge goes on in the film's frame, which the
search for letters leaves out."""

RING = 3
"""Width in pixels of the ring around a box that says what the background is."""


def _jpeg_lossless(pixels: Pixels, bits: int) -> bytes:
    codec: Any = imagecodecs
    return bytes(codec.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits))


def _jpeg_ls(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels))


def _jpeg_2000(pixels: Pixels, bits: int) -> bytes:
    codec: Any = imagecodecs
    return bytes(
        codec.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k", bitspersample=bits)
    )


def _ht_jpeg_2000(pixels: Pixels, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels))


ENCODERS: dict[str, Callable[[Pixels, int], bytes]] = {
    "1.2.840.10008.1.2.4.57": _jpeg_lossless,
    "1.2.840.10008.1.2.4.70": _jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,
    "1.2.840.10008.1.2.4.90": _jpeg_2000,
    "1.2.840.10008.1.2.4.201": _ht_jpeg_2000,
}
"""Lossless encoder of a transfer syntax. What else is compressed is written uncompressed: RLE saves
little on grey values, and a second lossy compression would change the whole picture."""

NATIVE = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)


def blank(dataset: Dataset, stored: StoredImage, boxes: Iterable[Box]) -> bool:
    """Blank the boxes in the Pixel Data of ``dataset``, whose decoded pixels are ``stored``.

    Pixels outside the boxes keep their stored values. A compressed stream is compressed again
    without loss in its own syntax, else written as Explicit VR Little Endian; Lossy Image
    Compression (0028,2110) stays as it was.

    Returns:
        Whether the pixels had to be compressed again or written uncompressed.
    """
    boxes = [to_the_edge(box, *stored.pixels.shape) for box in boxes]
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", NATIVE[0]))
    if syntax in NATIVE:
        dataset["PixelData"].value = _blanked_bytes(dataset, boxes)
        return False
    bits = int(dataset.BitsStored)
    allocated = np.dtype(f"u{int(dataset.BitsAllocated) // 8}")
    pixels = stored.pixels.view(f"u{stored.pixels.itemsize}").astype(allocated)
    _fill(pixels, boxes)
    if encoder := ENCODERS.get(syntax):
        limit = allocated.type((1 << bits) - 1)
        stream = encoder(np.ascontiguousarray(pixels & limit), bits)
        dataset.add_new("PixelData", "OB", encapsulate([stream]))
        dataset["PixelData"].is_undefined_length = True
    else:
        _uncompressed(dataset, pixels)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    return True


def to_the_edge(box: Box, rows: int, columns: int) -> Box:
    """The box, with sides that nearly touch an edge of the picture moved there."""
    near = round(EDGE * rows)
    top, bottom, left, right = box
    return (
        0 if top <= near else top,
        rows if bottom >= rows - near else bottom,
        0 if left <= near else left,
        columns if right >= columns - near else right,
    )


def _blanked_bytes(dataset: Dataset, boxes: Iterable[Box]) -> bytes:
    """Uncompressed Pixel Data with the boxes filled; every other bit as it was."""
    order = ">" if dataset.original_encoding[1] is False else "<"
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    data = np.frombuffer(dataset.PixelData, np.uint8).copy()
    size = int(dataset.BitsAllocated) // 8
    words = data[: rows * columns * size].view(f"{order}u{size}").reshape(rows, columns)
    _fill(words, boxes)
    return data.tobytes()


def _uncompressed(dataset: Dataset, pixels: Pixels) -> None:
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.add_new(
        "PixelData", "OW" if pixels.itemsize > 1 else "OB", data + b"\0" * (len(data) % 2)
    )
    dataset["PixelData"].is_undefined_length = False
    dataset.HighBit = int(dataset.BitsStored) - 1
    dataset.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)


def _fill(pixels: Pixels, boxes: Iterable[Box]) -> None:
    """Give each box the most frequent value of the ring around it, from the pixels as they came."""
    before = pixels.copy()
    for top, bottom, left, right in boxes:
        rows = slice(max(top - RING, 0), bottom + RING)
        columns = slice(max(left - RING, 0), right + RING)
        around = np.ones(before.shape, bool)[rows, columns]
        around[
            top - rows.start : bottom - rows.start, left - columns.start : right - columns.start
        ] = False
        values, counts = np.unique(before[rows, columns][around], return_counts=True)
        pixels[top:bottom, left:right] = values[counts.argmax()] if values.size else before.min()
