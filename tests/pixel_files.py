"""DICOM files with planted pixels in every transfer syntax, for the tests of ``mim.dicom.pixels``."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)


def planted(rows: int = 61, columns: int = 43, bits: int = 12, seed: int = 5) -> np.ndarray:
    """A slope with noise that uses all of its bits, and a black border as masked air has."""
    random = np.random.default_rng(seed)
    top = 1 << bits
    slope = np.add.outer(np.arange(rows) * (top // 50), np.arange(columns) * (top // 190))
    pixels = (slope + random.integers(0, max(2, top // 64), (rows, columns))) % top
    pixels[:, : columns // 8] = 0
    return pixels.astype(np.uint8 if bits <= 8 else np.uint16)


def predicted(image: np.ndarray, y: int, x: int, top: int, start: int, predictor: int) -> int:
    """ISO 10918-1 table H.1 for the sample at row ``y``, column ``x`` of an interval from ``top``."""
    if x == 0:
        return start if y == top else image[y - 1, 0]
    if y == top:
        return image[y, x - 1]
    a, b, c = (int(image[y - up, x - back]) for up, back in ((0, 1), (1, 0), (1, 1)))
    by_number = (a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1)
    return by_number[predictor - 1]


def lossless_jpeg(
    pixels: np.ndarray,
    bits: int = 12,
    predictor: int = 1,
    shift: int = 0,
    restart_rows: int = 0,
    modulo: bool = False,
) -> bytes:
    """Process 14 by the letter of ISO 10918-1 annex H, slowly, with all that libjpeg cannot write.

    ``modulo`` takes differences modulo 2^bits, as some makers do.
    """
    rows, columns = pixels.shape
    every = restart_rows or rows
    image = pixels.astype(int) >> shift
    around = 1 << (bits if modulo else 16)
    scan = b""
    for number, top in enumerate(range(0, rows, every)):
        text = ""
        for y in range(top, min(rows, top + every)):
            for x in range(columns):
                expected = predicted(image, y, x, top, 1 << (bits - shift - 1), predictor)
                difference = int(image[y, x] - expected) % around
                difference -= around if difference > around // 2 else 0
                size = abs(difference).bit_length()
                low = difference if difference > 0 else difference + (1 << size) - 1
                text += format(size, "05b") + (format(low, f"0{size}b") if 0 < size < 16 else "")
        text += "1" * (-len(text) % 8)
        marker = bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b""
        data = int(text, 2).to_bytes(len(text) // 8, "big")
        scan += marker + data.replace(b"\xff", b"\xff\x00")

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">HH", marker, len(body) + 2) + body

    restart = segment(0xFFDD, struct.pack(">H", restart_rows * columns)) if restart_rows else b""
    # 17 codes of 5 bits each: differences of 0 to 16 bits.
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    return (
        b"\xff\xd8"
        + segment(0xFFC3, struct.pack(">BHHB", bits, rows, columns, 1) + b"\x01\x11\x00")
        + segment(0xFFC4, table)
        + restart
        + segment(0xFFDA, bytes([1, 1, 0, predictor, 0, shift]))
        + scan
        + b"\xff\xd9"
    )


def run_lengths(pixels: np.ndarray) -> bytes:
    """PS3.5 annex G: a segment for each byte of a sample, the highest first."""
    planes = pixels.reshape(-1, 1).view(np.uint8)[:, ::-1].T
    segments = [imagecodecs.packbits_encode(plane.tobytes()) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(
        segments
    )


def jpeg_2000(pixels: np.ndarray, bits: int = 12, level: int = 0, **options: object) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            pixels, level=level, codecformat="j2k", bitspersample=bits, **options
        )
    )


def tiled_jpeg_2000(pixels: np.ndarray) -> bytes:
    """Eight bits in tiles of 32 x 32: imagecodecs writes none, Pillow wrong ones of 16 bits."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000", no_jp2=True, tile_size=(32, 32))
    return file.getvalue()


def restarting_jpeg(pixels: np.ndarray) -> bytes:
    """Baseline with a restart marker after each row of blocks."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, restart_marker_rows=1)
    return file.getvalue()


def libjpeg(bits: int, **options: object) -> Callable[[np.ndarray], bytes]:
    return lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, bitspersample=bits, **options))


class Coding(NamedTuple):
    """One way to write pixels: the transfer syntax, the bits it is for, and the stream."""

    syntax: str
    bits: int
    encode: Callable[[np.ndarray], bytes] | None
    lossless: bool = True


JPEG = "1.2.840.10008.1.2.4."

CODINGS = {
    "implicit": Coding(IMPLICIT, 12, None),
    "explicit": Coding(EXPLICIT, 12, None),
    "explicit, 8 bits": Coding(EXPLICIT, 8, None),
    "deflated": Coding(DEFLATED, 12, None),
    "big endian": Coding(BIG_ENDIAN, 12, None),
    "RLE": Coding(RLE, 12, run_lengths),
    "RLE, 8 bits": Coding(RLE, 8, run_lengths),
    "RLE, 16 bits": Coding(RLE, 16, run_lengths),
    "JPEG, 8 bits": Coding(JPEG + "50", 8, libjpeg(8, level=90), False),
    "JPEG, restarts": Coding(JPEG + "50", 8, restarting_jpeg, False),
    "JPEG, 12 bits": Coding(JPEG + "51", 12, libjpeg(12, level=90), False),
    "JPEG lossless SV1": Coding(JPEG + "70", 12, libjpeg(12, lossless=True)),
    "JPEG lossless SV1, 16 bits": Coding(JPEG + "70", 16, libjpeg(16, lossless=True)),
    "JPEG lossless SV1, 8 bits": Coding(JPEG + "70", 8, libjpeg(8, lossless=True)),
    "JPEG lossless, predictor 4": Coding(JPEG + "57", 12, libjpeg(12, lossless=True, predictor=4)),
    "JPEG lossless, predictor 7": Coding(JPEG + "57", 12, libjpeg(12, lossless=True, predictor=7)),
    "JPEG lossless, restarts": Coding(JPEG + "70", 12, lambda a: lossless_jpeg(a, restart_rows=7)),
    "JPEG-LS": Coding(JPEG + "80", 16, lambda a: bytes(imagecodecs.jpegls_encode(a))),
    "JPEG-LS near": Coding(
        JPEG + "81", 16, lambda a: bytes(imagecodecs.jpegls_encode(a, level=2)), False
    ),
    "JPEG 2000": Coding(JPEG + "90", 12, jpeg_2000),
    "JPEG 2000, tiles": Coding(JPEG + "90", 8, tiled_jpeg_2000),
    "JPEG 2000 lossy": Coding(
        JPEG + "91", 12, lambda a: jpeg_2000(a, level=60, reversible=False), False
    ),
    "HTJ2K": Coding(JPEG + "201", 16, lambda a: bytes(imagecodecs.htj2k_encode(a))),
    "HTJ2K RPCL": Coding(
        JPEG + "202", 16, lambda a: bytes(imagecodecs.htj2k_encode(a, tlm=True, tilepart=1))
    ),
    "HTJ2K lossy": Coding(
        JPEG + "203", 16, lambda a: bytes(imagecodecs.htj2k_encode(a, level=0.001)), False
    ),
}
"""All transfer syntaxes of the decoders, by names for reports."""


def header(syntax: str, pixels: np.ndarray, bits: int, **changes: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def native_bytes(pixels: np.ndarray, syntax: str) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    return pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()


def write_dicom(
    path: Path,
    syntax: str,
    pixels: np.ndarray,
    bits: int,
    stream: bytes | None,
    fragments: int = 1,
    vr: str | None = None,
    **changes: object,
) -> Path:
    """A file of ``stream``, or of the bytes of ``pixels`` where there is none."""
    dataset = header(syntax, pixels, bits, **changes)
    data = native_bytes(pixels, syntax) if stream is None else stream
    native = syntax in NATIVE
    dataset.PixelData = (
        data + b"\0" * (len(data) % 2)
        if native
        else encapsulate([data], fragments_per_frame=fragments)
    )
    default = "OB" if not native or pixels.itemsize == 1 else "OW"
    dataset["PixelData"].VR = vr or default
    dataset["PixelData"].is_undefined_length = not native
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_coding(path: Path, name: str, pixels: np.ndarray, **changes: object) -> Path:
    coding = CODINGS[name]
    stream = coding.encode(pixels) if coding.encode else None
    return write_dicom(path, coding.syntax, pixels, coding.bits, stream, **changes)
