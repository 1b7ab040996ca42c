"""Decoding: ``read_image`` against pydicom's default ``pixel_array``, per transfer syntax.

    python scripts/bench/decode.py [ROUNDS]

One image of 4096 x 3328 in every syntax. The two readers take turns in one process; CPU time, median
of the rounds. Peak memory is that of a fresh process that reads the one file, interpreter included.
"""

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from rle.utils import encode_pixel_data

from mim.dicom.pixels import read_image

ROWS, COLUMNS, BITS, SEED = 4096, 3328, 12, 1

Pixels = NDArray[Any]


def mammogram(seed: int = SEED, bits: int = BITS) -> Pixels:
    """A breast-shaped body with structure and a detector's noise, air at 0 as makers mask it.

    [4096, 3328] uint16, about half of it body; the noise is 18 of 4096 levels, so that a lossless
    JPEG takes five bits per pixel.
    """
    random = np.random.default_rng(seed)
    down = np.linspace(-1, 1, ROWS, dtype=np.float32)[:, None]
    across = np.linspace(0, 1, COLUMNS, dtype=np.float32)[None]
    radius = (down / 0.95) ** 2 + (across / 0.8) ** 2
    body = 1200 + 1500 * np.sqrt(np.clip(1 - radius, 0, 1)) + 120 * np.sin(40 * across + 13 * down)
    noise = 18 * random.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    levels = np.where(radius < 1, body + noise, 0) * (1 << bits) / 4096
    return np.clip(levels, 0, (1 << bits) - 1).astype(np.uint16)


def _lossless_jpeg(pixels: Pixels, predictor: int) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=BITS, predictor=predictor)
    )


def _jpeg_2000(pixels: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", bitspersample=BITS))


def _run_lengths(pixels: Pixels) -> bytes:
    return encode_pixel_data(
        pixels.tobytes(),
        byteorder="<",
        rows=ROWS,
        columns=COLUMNS,
        samples_per_pixel=1,
        bits_allocated=16,
    )


def _baseline(pixels: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg8_encode((pixels >> 4).astype(np.uint8), level=90))


SYNTAXES: dict[str, tuple[UID, Callable[[Pixels], bytes] | None]] = {
    "implicit little endian": (ImplicitVRLittleEndian, None),
    "explicit little endian": (ExplicitVRLittleEndian, None),
    "big endian": (ExplicitVRBigEndian, None),
    "deflated": (DeflatedExplicitVRLittleEndian, None),
    "RLE": (RLELossless, _run_lengths),
    "JPEG 8 bit .50": (JPEGBaseline8Bit, _baseline),
    "JPEG 12 bit .51": (
        JPEGExtended12Bit,
        lambda a: bytes(imagecodecs.jpeg8_encode(a, level=90, bitspersample=12)),
    ),
    "JPEG lossless .57, predictor 7": (JPEGLossless, lambda a: _lossless_jpeg(a, 7)),
    "JPEG lossless .70": (JPEGLosslessSV1, lambda a: _lossless_jpeg(a, 1)),
    "JPEG-LS .80": (JPEGLSLossless, lambda a: bytes(imagecodecs.jpegls_encode(a))),
    "JPEG 2000 .90": (JPEG2000Lossless, _jpeg_2000),
    "HTJ2K .201": (HTJ2KLossless, lambda a: bytes(imagecodecs.htj2k_encode(a))),
}


def write_file(path: Path, name: str, pixels: Pixels) -> None:
    """One of ``SYNTAXES`` as a file."""
    syntax, encode = SYNTAXES[name]
    eight = syntax == JPEGBaseline8Bit
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 if eight else 16
    dataset.BitsStored = 8 if eight else BITS
    dataset.HighBit = dataset.BitsStored - 1
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if encode:
        dataset.PixelData = encapsulate([encode(pixels)])
    else:
        dataset.PixelData = pixels.astype(
            ">u2" if syntax == ExplicitVRBigEndian else "<u2"
        ).tobytes()
    dataset["PixelData"].VR = "OB" if encode else "OW"
    dataset["PixelData"].is_undefined_length = encode is not None
    dataset.save_as(path, enforce_file_format=True)


def _timed(read: Callable[[], Pixels]) -> tuple[float, Pixels | None]:
    start = time.process_time()
    try:
        pixels = read()
    except Exception:
        return time.process_time() - start, None
    return time.process_time() - start, pixels


PEAK = """
import sys
for name in ("gdcm", "pylibjpeg", "openjpeg", "rle", "jpeg_ls"):
    sys.modules[name] = None  # pydicom would load the decoders of this bench; registries lack them
from pathlib import Path
from mim.dicom.pixels import read_image
read_image(Path(sys.argv[1]))
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""
"""``ru_maxrss`` would remember the peak of the parent."""


def compare(path: Path, rounds: int) -> tuple[float, float | None, str, int]:
    """CPU seconds of ours and of pydicom's (None where it fails), agreement, peak memory in MiB."""
    ours, theirs = [], []
    first = second = None
    for _ in range(rounds):
        spent, first = _timed(lambda: read_image(path).pixels)
        ours.append(spent)
        spent, second = _timed(lambda: dcmread(path).pixel_array)
        theirs.append(spent)
    if first is None:
        raise RuntimeError(f"{path.name} was not read")
    agree = "fails" if second is None else "equal" if np.array_equal(first, second) else "differs"
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    return median(ours), None if second is None else median(theirs), agree, int(run.stdout)


def main(rounds: int) -> None:
    """Print the table."""
    pixels = mammogram()
    names = ("pydicom", "imagecodecs", "python-gdcm", "pylibjpeg")
    print(f"{ROWS} x {COLUMNS}, {BITS} bits in 16; n = {rounds} rounds, seed {SEED}, one thread")
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(
        "\n| transfer syntax | MB | read_image, CPU ms | pydicom, CPU ms | ratio | pixels | MiB |"
    )
    print("|---|--:|--:|--:|--:|---|--:|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        for name in SYNTAXES:
            write_file(path, name, pixels)
            ours, theirs, agree, peak = compare(path, rounds)
            cells = [name, f"{path.stat().st_size / 1e6:.1f}", f"{1000 * ours:.0f}"]
            cells += (
                ["-", "-"] if theirs is None else [f"{1000 * theirs:.0f}", f"{theirs / ours:.1f}x"]
            )
            print(f"| {' | '.join([*cells, agree, str(peak)])} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
