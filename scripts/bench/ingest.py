"""From DICOM to cached model input: ours, the common way and the naive way, side by side.

    python scripts/bench/ingest.py [--image FILE] [--rounds 5] [--seed 5]

One full-size mammogram, written in each transfer syntax, goes through all ways in turn, in one
process on one core; the CPU time of each is the median of the rounds, after one that warms up.
Peak memory is that of a fresh process that writes the image four times into a shard, as a worker of
the cache does, interpreter and libraries included.
"""

import argparse
import os
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

import blosc2
import cv2
import imagecodecs
import numpy as np
import peers
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from mim.data.shards import COMPRESSION
from mim.dicom.pixels import read_image
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.synthetic import write
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import Laterality, View

SYNTAXES = {
    "uncompressed": "1.2.840.10008.1.2.1",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "RLE": "1.2.840.10008.1.2.5",
    "HTJ2K": "1.2.840.10008.1.2.4.201",
}
ROWS = 4096

AS_A_WORKER = """
import sys
for name in ("gdcm", "pylibjpeg", "openjpeg", "rle", "jpeg_ls"):
    sys.modules[name] = None  # pydicom would load the decoders of this bench; registries lack them
from pathlib import Path
from mim.data.shards import ImageJob, ShardJob, write_shard
from mim.image.settings import RecipeSettings
from mim.vocab import Laterality, View
images = [ImageJob(f"{n}", Path(sys.argv[1]), Laterality.RIGHT, View.CC) for n in range(4)]
assert write_shard(ShardJob(Path(sys.argv[2]), "shard", images, RecipeSettings())) == 0
"""
AS_COMMON = """
import sys
from pathlib import Path
import peers
for _ in range(4):
    peers.common(Path(sys.argv[1]))
"""
PRINT_PEAK = """
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
"""What a process needed at its peak, in kB; ``ru_maxrss`` would remember its parent's."""


def decode(path: Path) -> NDArray[Any]:
    """Our decoder alone."""
    return read_image(path).pixels


def ours(path: Path) -> bytes:
    """The recipe, and the cache's codec."""
    pixels = prepare(path, Laterality.RIGHT, View.CC, RecipeSettings()).pixels
    compressed: bytes = blosc2.compress2(pixels, **COMPRESSION)
    return compressed


WAYS: dict[str, Callable[[Path], object]] = {
    "decode": decode,
    "pydicom": peers.decode,
    "ours": ours,
    "common": peers.common,
    "naive": peers.naive,
}


def full_size_image(folder: Path, seed: int) -> Path:
    """A made-up mammogram of 4096 x 3328 pixels of 12 bits with its detector's noise."""
    write_programme(folder, ProgrammeSettings(women=1, rounds=1, seed=seed, shrink=1, workers=1))
    for path in sorted(folder.rglob("*.dcm")):
        if dcmread(path, stop_before_pixels=True).Rows == ROWS:
            return path
    sys.exit(f"--seed {seed}: no woman at a site with a detector of {ROWS} rows; try another")


def write_variants(source: Path, folder: Path) -> dict[str, Path]:
    """The image of a file in every transfer syntax; all give the same pixels either way."""
    dataset = dcmread(source)
    pixels = decode(source)
    files = {}
    for name, syntax in SYNTAXES.items():
        files[name] = folder / f"{syntax}.dcm"
        stream = encode(pixels, int(dataset.BitsStored), syntax)
        native = name == "uncompressed"
        value = stream if native else encapsulate([stream])
        dataset.add_new("PixelData", "OW" if native else "OB", value)
        dataset["PixelData"].is_undefined_length = not native
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset.save_as(files[name], implicit_vr=False, little_endian=True)
        assert np.array_equal(decode(files[name]), pixels), name
        assert np.array_equal(peers.decode(files[name]), pixels), name
    return files


def encode(pixels: NDArray[Any], bits: int, syntax: str) -> bytes:
    """Stream of a transfer syntax, lossless."""
    if syntax == SYNTAXES["HTJ2K"]:
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax == SYNTAXES["JPEG-LS"]:
        return bytes(imagecodecs.jpegls_encode(pixels))
    return write.encode(pixels, bits, syntax)


def timed(files: dict[str, Path], rounds: int) -> dict[tuple[str, str], float]:
    """Median CPU seconds of every way on every file; ways that are compared take turns."""
    seconds: dict[tuple[str, str], list[float]] = {}
    # Decoders first: what the common path leaves of the heap saves pydicom a tenth of its time.
    for ways in (("decode", "pydicom"), ("ours", "common", "naive")):
        for number in range(rounds + 1):
            for syntax, path in files.items():
                for name in ways:
                    start = time.process_time()
                    WAYS[name](path)
                    if number:
                        seconds.setdefault((syntax, name), []).append(time.process_time() - start)
    return {key: median(values) for key, values in seconds.items()}


def peak_mb(code: str, path: Path) -> float:
    """Peak resident memory of a fresh process that runs code on one file, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code + PRINT_PEAK, str(path), folder]
        here = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=here)
    return int(done.stdout) / 1024


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="a DICOM file instead of a made-up one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        image = options.image or full_size_image(Path(folder) / "made", options.seed)
        files = write_variants(image, Path(folder))
        size = " x ".join(map(str, decode(image).shape))
        seconds = timed(files, options.rounds)
        peaks = {
            name: [peak_mb(c, p) for c in (AS_A_WORKER, AS_COMMON)] for name, p in files.items()
        }
    packages = (
        "numpy",
        "opencv-python-headless",
        "pydicom",
        "python-gdcm",
        "imagecodecs",
        "blosc2",
    )
    print(f"{size}, seed {options.seed}, {options.rounds} rounds, {platform.machine()},", end=" ")
    print(f"Python {platform.python_version()},", ", ".join(f"{p} {version(p)}" for p in packages))
    print(
        "\n| syntax | decoding: pydicom / ours | ours, ms | common / ours | naive / ours ", end=""
    )
    print("| peak MB | common's |\n|---|--:|--:|--:|--:|--:|--:|")
    for syntax in files:
        at = {way: seconds[syntax, way] for way in WAYS}
        worker, common = peaks[syntax]
        print(
            f"| {syntax} | {at['pydicom'] / at['decode']:.1f} | {1000 * at['ours']:.0f} "
            f"| {at['common'] / at['ours']:.1f} | {at['naive'] / at['ours']:.1f} "
            f"| {worker:.0f} | {common:.0f} |"
        )


if __name__ == "__main__":
    main()
