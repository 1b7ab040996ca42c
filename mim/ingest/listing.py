"""The list of a source's files, kept on disk, and the parts it is cut into."""

from collections.abc import Container, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import xxhash
from tqdm import tqdm

from mim.dicom.tree import Found
from mim.ingest.settings import Check

LISTED = pa.schema([("path", pa.string()), ("problem", pa.string())])

BATCH = 10_000
"""Files of the list that are held in memory at a time."""


class Cut(NamedTuple):
    """Files in a part: at least, at most, and between them an end after one path in so many.

    Which path ends a part depends on the path alone, so files that come or go change the part that
    they lie in, seldom the next, and no other.
    """

    least: int
    most: int
    one_in: int


CUTS = {
    Check.headers: Cut(least=128, most=2048, one_in=512),
    Check.pixels: Cut(least=32, most=512, one_in=128),
}
"""A fraction of a second of one core's work, and about a minute of it: what a kill loses."""


class Listed(NamedTuple):
    """How many files there are, and how many of them the overrides name."""

    files: int
    overridden: int


def list_files(found: Iterable[Found], overridden: Container[str], spool: Path) -> Listed:
    """Write the files found to ``spool``, an Arrow stream, and count them."""
    spool.parent.mkdir(parents=True, exist_ok=True)
    files = matched = 0
    waiting = iter(tqdm(found, "listing", unit="file", leave=False))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(spool, LISTED, options=options) as stream:
        while batch := list(islice(waiting, BATCH)):
            files += len(batch)
            matched += sum(file.path in overridden for file in batch)
            columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            stream.write_batch(pa.record_batch(columns, schema=LISTED))
    return Listed(files, matched)


class Span(NamedTuple):
    """All paths after ``after`` up to and with ``until``; None is the end of all."""

    after: str
    until: str | None

    def holds(self, path: str) -> bool:
        """Whether the path lies in it."""
        return self.after < path and (self.until is None or path <= self.until)


def cut_into_parts(spool: Path, cut: Cut) -> Iterator[tuple[list[Found], Span]]:
    """The listed files in order, in parts of ``cut`` (the last may be smaller), with their spans.

    The spans cover all paths there may be, without gaps.
    """
    after = ""
    part: list[Found] = []
    for file in _listed(spool):
        if len(part) == cut.most or (len(part) >= cut.least and _ends(part[-1].path, cut)):
            yield part, Span(after, part[-1].path)
            after, part = part[-1].path, []
        part.append(file)
    yield part, Span(after, None)


def _listed(spool: Path) -> Iterator[Found]:
    with pa.ipc.open_stream(spool) as stream:
        for batch in stream:
            yield from map(Found, *(column.to_pylist() for column in batch.columns))


def _ends(path: str, cut: Cut) -> bool:
    return bool(xxhash.xxh3_64_intdigest(path.encode()) % cut.one_in == 0)
