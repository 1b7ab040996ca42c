"""Shards: files of prepared images, one compressed chunk after the other, and their tables.

A shard is finished when its table lies beside it, and never changes after that. Its name comes
from its images, so two runs that write the same images write the same file.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self
from uuid import uuid4

import blosc2
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from mim.dicom.checksum import file_checksum
from mim.dicom.pixels import PixelError
from mim.errors import InputError
from mim.image.likeness import signature
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import TableError, read_table, write_table
from mim.vocab import Laterality, Reason, View
from mim.workers.task import holding

SUFFIX = ".blosc2"

LEFTOVER_SECONDS = 3600
"""On disks without locks: a half-written file that nobody has touched for so long is nobody's."""

COMPRESSION: dict[str, Any] = {
    "typesize": 2,
    "codec": blosc2.Codec.ZSTD,
    "clevel": 1,
    # Low and high bytes apart, then differences of neighbouring bytes: a tenth smaller than
    # 16-bit PNG, which shuffling alone is not. Measured by scripts/bench/cache.py.
    "filters": [blosc2.Filter.SHUFFLE, blosc2.Filter.BYTEDELTA],
    "filters_meta": [0, 2],
    "nthreads": 1,
}
"""How each image is compressed; every chunk says so itself, so readers need not know."""

TRIED_AGAIN = (Reason.UNREADABLE, Reason.CHANGED_FILE, Reason.DECODER_DIED)
"""Reasons that another day, or another index, may do away with; ``check_shard`` forgets them."""

Row = dict[str, Any]


class ImageJob(NamedTuple):
    """One image to prepare: its pseudonym, file, side, view, and what the index knew of the file.

    ``bytes`` is the file's size and ``checksum`` xxh3_64 of its bytes; None where not known.
    ``origin`` is a number that changes with the file, its side or its view.
    """

    image: str
    path: Path
    laterality: Laterality
    view: View
    bytes: int | None = None
    checksum: str | None = None
    origin: int | None = None


@dataclass(frozen=True)
class ShardJob:
    """One shard to write: its images, and those that killed a decoder before."""

    folder: Path
    name: str
    images: Sequence[ImageJob]
    recipe: RecipeSettings
    deadly: frozenset[str] = field(default_factory=frozenset)

    @property
    def rows(self) -> Path:
        """The shard's table; it exists once the shard is whole."""
        return self.folder / f"{self.name}.parquet"

    @property
    def in_hand(self) -> Path:
        """Names the image being prepared, so that a dead process says which one killed it."""
        return self.folder / f".{self.name}.in_hand"

    def without(self, item: str) -> Self:
        """The shard once an image has killed a process."""
        return replace(self, deadly=self.deadly | {item})


@dataclass(frozen=True)
class ShardCheck:
    """A finished shard to be read against its checksums."""

    rows: Path
    recipe: RecipeSettings
    deadly: frozenset[str] = field(default_factory=frozenset)

    @property
    def in_hand(self) -> Path:
        """Names the image being read."""
        return self.rows.with_name(f".{self.rows.stem}.in_hand")

    def without(self, item: str) -> Self:
        """The shard once reading an image has killed a process: the image is damaged."""
        return replace(self, deadly=self.deadly | {item})


def shard_name(images: Sequence[ImageJob]) -> str:
    """A name that only these images have, as their files are now."""
    names = "\n".join(f"{image.image} {image.origin}" for image in images)
    return f"shard-{blake2b(names.encode(), digest_size=8).hexdigest()}"


def finished_shards(folder: Path) -> list[Path]:
    """The tables of all whole shards. A table whose shard is gone does not count."""
    tables = sorted(folder.glob("shard-*.parquet"))
    return [rows for rows in tables if rows.with_suffix(SUFFIX).is_file()]


def read_rows(rows: Path) -> pa.Table:
    """The table of a finished shard.

    Raises:
        InputError: another version of mim wrote it; the message names the folder to remove.
    """
    try:
        return read_table(rows, CACHE)
    except TableError as error:
        raise InputError(f"{error}, after you have removed {rows.parent}") from error


def write_shard(job: ShardJob) -> int:
    """Prepare a shard's images and write it; returns how many could not be prepared."""
    rows = []
    name = f"{job.name}{SUFFIX}"
    with _one_thread(), holding(job.in_hand) as take, _replacing(job.folder / name) as file:
        for image in job.images:
            take(image.image)
            row, pixels = _prepare(image, job)
            row["origin"] = image.origin
            if pixels is not None:
                packed = blosc2.compress2(pixels.tobytes(), **COMPRESSION)
                row |= {"shard": name, "offset": file.tell(), "length": len(packed)}
                row |= {"packed_checksum": xxhash.xxh3_64_hexdigest(packed)}
                file.write(packed)
            rows.append(row)
    write_table(CACHE.from_rows(rows), job.rows)
    return sum(row.get("reason") is not None for row in rows)


def check_shard(check: ShardCheck) -> tuple[int, int]:
    """How many images a finished shard holds, and how many of them are damaged.

    The damaged ones, and those with a reason of ``TRIED_AGAIN``, leave its table, and so count as
    not prepared. The file stays, for who reads the other images.
    """
    table = read_rows(check.rows)
    reader = ShardReader(check.rows.parent, check.recipe)
    held = table.filter(pc.is_valid(table["shard"])).to_pylist()
    damaged = []
    with holding(check.in_hand) as take:
        for row in held:
            take(row["image"])
            if row["image"] in check.deadly or not _is_whole(row, reader):
                damaged.append(row["image"])
    forgotten = pc.or_(
        pc.is_in(table["image"], pa.array(damaged, pa.string())),
        pc.is_in(table["reason"], pa.array([str(reason) for reason in TRIED_AGAIN])),
    )
    if pc.all(forgotten).as_py():
        check.rows.unlink()
        check.rows.with_suffix(SUFFIX).unlink()
    elif pc.any(forgotten).as_py():
        write_table(table.filter(pc.invert(forgotten)), check.rows)
    return len(held), len(damaged)


def _is_whole(row: Row, reader: "ShardReader") -> bool:
    packed_checksum = int(row["packed_checksum"], 16)
    try:
        pixels = reader.read(row["shard"], row["offset"], row["length"], packed_checksum)
    except InputError:
        return False
    return xxhash.xxh3_64_hexdigest(pixels.data) == str(row["checksum"])


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV in one thread: the other cores have processes of their own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that becomes ``path`` once it is whole and on the disk; locked while it is not."""
    remove_leftovers(path.parent, path.stem)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            with suppress(OSError):  # not every network disk has locks
                flock(file, LOCK_EX | LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "shard-*") -> None:
    """Remove half-written shards of processes that are dead; each may hold gigabytes."""
    for unfinished in folder.glob(f".{name}{SUFFIX}.*"):
        with suppress(FileNotFoundError), unfinished.open("r+b") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:
                if time.time() - unfinished.stat().st_mtime < LEFTOVER_SECONDS:
                    continue
            unfinished.unlink()


def _prepare(image: ImageJob, job: ShardJob) -> tuple[Row, NDArray[np.uint16] | None]:
    if image.image in job.deadly:
        detail = "the process that decoded it died"
        return {"image": image.image, "reason": Reason.DECODER_DIED, "detail": detail}, None
    try:
        _require_unchanged(image)
        prepared = prepare(image.path, image.laterality, image.view, job.recipe)
    except PixelError as error:
        return {"image": image.image, "reason": error.reason, "detail": error.detail}, None
    top, bottom, left, right = prepared.box
    row = {
        "image": image.image,
        "checksum": xxhash.xxh3_64_hexdigest(prepared.pixels.tobytes()),
        "likeness": signature(prepared.pixels),
        **{"top": top, "bottom": bottom, "left": left, "right": right},
        "scale": prepared.scale,
        "mirrored": prepared.mirrored,
        "upside_down": prepared.upside_down,
        "voi_rule": prepared.voi_rule,
    }
    return row, prepared.pixels


def _require_unchanged(image: ImageJob) -> None:
    """The file is still the one that the index saw, as far as the index can tell."""
    try:
        found = image.path.stat().st_size
        if image.bytes is not None and found != image.bytes:
            detail = f"{found} bytes, {image.bytes} when it was indexed; index again"
            raise PixelError(Reason.CHANGED_FILE, detail)
        if image.checksum is not None and file_checksum(image.path) != image.checksum:
            raise PixelError(Reason.CHANGED_FILE, "other bytes than when it was indexed")
    except OSError as error:
        raise PixelError(Reason.UNREADABLE, f"not readable: {type(error).__name__}") from error


class ShardReader:
    """Random access to the images of one cache folder.

    Each read opens its file and closes it: a cache of millions has thousands of shards, of which
    none is read twice in a row, and nothing is left to go wrong after a fork.
    """

    def __init__(self, folder: Path, recipe: RecipeSettings) -> None:
        self._folder = folder
        self._shape = (recipe.height, recipe.width)

    def read(self, shard: str, offset: int, length: int, checksum: int) -> NDArray[np.uint16]:
        """Pixels of one image, uint16 [height, width]; see ``read_into``."""
        pixels = np.empty(self._shape, np.uint16)
        self.read_into(pixels, shard, offset, length, checksum)
        return pixels

    def read_into(
        self, pixels: NDArray[np.uint16], shard: str, offset: int, length: int, checksum: int
    ) -> None:
        """Pixels of one image into a contiguous array, uint16 [height, width].

        The compressed bytes are checked against their xxh3_64 before they are decompressed:
        what blosc2 makes of damaged ones is another picture more often than an error.

        Raises:
            InputError: the bytes are not those that were written.
        """
        path = self._folder / shard
        try:
            with path.open("rb", buffering=0) as file:
                packed = os.pread(file.fileno(), length, offset)
            if xxhash.xxh3_64_intdigest(packed) != checksum:
                raise ValueError("other bytes")
            blosc2.decompress2(packed, dst=pixels, nthreads=1)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{path}: the image at byte {offset} is damaged ({error}); "
                "run 'mim cache' with verify=true"
            ) from error
