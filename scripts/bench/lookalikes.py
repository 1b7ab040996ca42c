"""Signatures of a whole programme's images, searched for near ones: seconds, memory, none missed.

    python scripts/bench/lookalikes.py [--images 5500000] [--women 150] [--seed 5]

A made-up programme of so many women is prepared (192 x 96). The cosine coefficients of its CC and
MLO images, which signatures are the signs of, get a mean and a covariance for each view, and
signatures are drawn from these two normal distributions: as correlated and uneven as the programme's.
Copies that differ in 0 to ``RADIUS`` bits are planted. A part of them is searched, then by comparing all
with all as well, whose seconds grow with the square of the number, then all; each in a process.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from mim.audit.hamming import RADIUS, near_pairs
from mim.dicom.pixels import PixelError
from mim.image.likeness import as_signatures, as_waves, fine_structure
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import Laterality, View

PLANTED = 20
"""Copies of each distance."""

BLOCK = 2048


def programme_waves(women: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Coefficients [images, 128] of a made-up programme, by view."""
    waves: dict[str, list[NDArray[np.float32]]] = {"CC": [], "MLO": []}
    recipe = RecipeSettings(height=192, width=96)
    with tempfile.TemporaryDirectory() as here:
        settings = ProgrammeSettings(women=women, rounds=2, seed=seed, shrink=8)
        write_programme(Path(here) / "made", settings)
        for path in sorted((Path(here) / "made" / "dicom").rglob("*.dcm")):
            view = str(dcmread(path, stop_before_pixels=True).get("ViewPosition"))
            if view not in waves:
                continue
            try:
                pixels = prepare(path, Laterality.UNKNOWN, View(view), recipe).pixels
            except PixelError:
                continue
            waves[view].append(as_waves(fine_structure(pixels, 1)))
    return {view: np.stack(rows) for view, rows in waves.items()}


def drawn(waves: dict[str, NDArray[np.float32]], count: int, seed: int) -> NDArray[np.uint8]:
    """So many signatures, half of each view."""
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, count, 100_000):
        rows = waves["CC" if start // 100_000 % 2 else "MLO"]
        root = np.linalg.cholesky(np.cov(rows.T) + 1e-6 * np.eye(rows.shape[1]))
        normal = rng.standard_normal((min(100_000, count - start), rows.shape[1]), np.float32)
        parts.append(as_signatures(normal @ root.T.astype(np.float32) + rows.mean(0)))
    return np.concatenate(parts)


def with_planted(signatures: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The last signatures become copies of the first, 1 to ``RADIUS`` bits away."""
    rng = np.random.default_rng(seed)
    distances = np.repeat(np.arange(1, RADIUS + 1), PLANTED)
    bits = np.unpackbits(signatures[: len(distances)], axis=1)
    for row, distance in zip(bits, distances, strict=True):
        row[rng.choice(256, distance, replace=False)] ^= 1
    signatures[-len(distances) :] = np.packbits(bits, axis=1)
    return signatures


def brute_force(signatures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs by comparing all with all, in blocks that stay in a core's cache, on one core."""
    quarters = [np.ascontiguousarray(each) for each in signatures.view(np.uint64).T]
    found = []
    for start in range(0, len(signatures), 64):
        one = slice(start, start + 64)
        for other in range(start, len(signatures), BLOCK):
            two = slice(other, other + BLOCK)
            differ = np.bitwise_count(quarters[0][one, None] ^ quarters[0][two])
            differ += np.bitwise_count(quarters[1][one, None] ^ quarters[1][two])
            at, beside = np.nonzero(differ <= RADIUS)
            if len(at):
                pairs = np.stack([start + at, other + beside], 1)
                rest = sum(
                    np.bitwise_count(each[pairs[:, 0]] ^ each[pairs[:, 1]]) for each in quarters
                )
                found.append(pairs[(rest <= RADIUS) & (pairs[:, 0] < pairs[:, 1])])
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])]


def in_this_process(what: str, path: Path, count: int) -> None:
    signatures = with_planted(np.load(path, mmap_mode="r")[:count].copy(), 1)
    start = time.perf_counter()
    pairs = near_pairs(signatures) if what == "search" else brute_force(signatures)
    seconds = time.perf_counter() - start
    planted = PLANTED * RADIUS
    wanted = {(row, count - planted + row) for row in range(planted)}
    missed = wanted - set(map(tuple, pairs.tolist()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{what:12}{count:>10}{seconds:>10.1f} s{peak:>8.2f} GB{len(pairs):>8} pairs, "
        f"{len(missed)} of {planted} planted ones missed, hash {hash(pairs.tobytes()) & 0xFFFF:04x}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5_500_000)
    parser.add_argument("--women", type=int, default=150)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--brute", type=int, help="images of the comparison; 1 in 50 by default")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        in_this_process(args.one[0], Path(args.one[1]), int(args.one[2]))
        return
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    waves = programme_waves(args.women, args.seed)
    print(f"{sum(map(len, waves.values()))} images of {args.women} women, seed {args.seed}")
    few = args.brute or args.images // 50
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / "signatures.npy"
        np.save(path, drawn(waves, args.images, args.seed))
        for what, count in (("search", few), ("brute force", few), ("search", args.images)):
            command = [sys.executable, __file__, "--one", what, str(path), str(count)]
            environment = os.environ | {"PYTHONHASHSEED": "0"}
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
