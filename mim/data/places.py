"""Millions of images by pseudonym in a few bytes each, without a Python object for any."""

import os
from bisect import bisect_left
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mim.errors import InputError

DIGITS = 20
"""Hexadecimal digits of a pseudonym; see ``mim.dicom.pseudonym``."""

PLACE = np.dtype(
    [("shard", np.int32), ("offset", np.int64), ("length", np.int32), ("checksum", np.uint64)]
)

PARTS = np.dtype([("high", ">u8"), ("low", ">u2")])


@dataclass(frozen=True)
class Names:
    """Sorted pseudonyms as numbers: the first 16 digits, and the last four."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint16]

    @classmethod
    def of(cls, names: pa.ChunkedArray) -> Self:
        """Pseudonyms in the order given, which must be sorted for ``find`` and ``find_one``."""
        lengths = pc.min_max(pc.binary_length(names)).as_py()
        digits = b"".join(_characters(chunk) for chunk in names.cast(pa.string()).chunks)
        try:
            if {lengths["min"], lengths["max"]} - {DIGITS, None}:
                raise ValueError("of another length")
            numbers = bytes.fromhex(digits.decode("ascii"))
            if 2 * len(numbers) != len(digits):
                raise ValueError("with spaces")
        except ValueError as error:
            raise InputError(
                f"a name of an image is no pseudonym of {DIGITS} hexadecimal digits ({error}); "
                "write the index and the cohort again"
            ) from error
        parts = np.frombuffer(numbers, PARTS)
        return cls(parts["high"].astype(np.uint64), parts["low"].astype(np.uint16))

    def __len__(self) -> int:
        return len(self.high)

    def text(self, place: int) -> str:
        """The name at a place."""
        return f"{int(self.high[place]):016x}{int(self.low[place]):04x}"

    def find(self, wanted: "Names") -> NDArray[np.int64]:
        """The place of each wanted name, -1 where it is not among these."""
        if not len(self):
            return np.full(len(wanted), -1)
        places = np.searchsorted(self.high, wanted.high)
        while True:
            inside = np.minimum(places, len(self) - 1)
            alike = (places < len(self)) & (self.high[inside] == wanted.high)
            found = alike & (self.low[inside] == wanted.low)
            if not (further := alike & ~found).any():
                return np.where(found, places, -1)
            places = places + further


def _characters(chunk: pa.StringArray) -> bytes:
    if not len(chunk):
        return b""
    _, offsets, characters = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
    return bytes(characters[ends[0] : ends[1]])


class Place(NamedTuple):
    """Where an image lies: its shard, its bytes there, and their xxh3_64."""

    shard: str
    offset: int
    length: int
    checksum: int


class Places:
    """The images of a cache by pseudonym, from a file that all processes share by mapping it.

    34 bytes for each image, in memory once for all processes of a machine.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; finish the cache: run 'mim cache' again")
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: damaged; delete it and run 'mim cache' again") from error
        shards = table["shard"].combine_chunks()
        self._shard_names = shards.dictionary.to_pylist()
        self._shards = memoryview(shards.indices.to_numpy())
        self._high, self._low, self._offsets, self._lengths, self._checksums = (
            memoryview(table[name].chunk(0).to_numpy())
            for name in ("high", "low", "offset", "length", "checksum")
        )

    def __len__(self) -> int:
        return len(self._high)

    def find(self, image: str) -> Place | None:
        """Where an image lies; None where it is not in the cache."""
        if len(image) != DIGITS:
            return None
        high, low = int(image[:16], 16), int(image[16:], 16)
        at = bisect_left(self._high, high)
        while at < len(self._high) and self._high[at] == high:
            if self._low[at] == low:
                shard = self._shard_names[self._shards[at]]
                return Place(shard, self._offsets[at], self._lengths[at], self._checksums[at])
            at += 1
        return None


def write_places(path: Path, names: Names, shards: list[str], places: NDArray[np.void]) -> None:
    """Write what ``Places`` reads.

    A file that would not change is left alone: others have it mapped.

    Args:
        names: sorted.
        shards: names of the shards.
        places: ``PLACE`` of each name; ``shard`` is a number of ``shards``.
    """
    numbers = pa.array(places["shard"])
    columns = {
        "high": pa.array(names.high),
        "low": pa.array(names.low),
        "shard": pa.DictionaryArray.from_arrays(numbers, pa.array(shards, pa.string())),
        **{name: pa.array(places[name]) for name in ("offset", "length", "checksum")},
    }
    batch = pa.RecordBatch.from_pydict(columns)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
        file.write_batch(batch)
    if path.is_file() and cmp(unfinished, path, shallow=False):
        unfinished.unlink()
    else:
        unfinished.replace(path)
