"""What earlier runs left in ``headers/``: which parts there are, and which rows still hold."""

import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mim.dicom.tree import Found
from mim.ingest.listing import Span
from mim.schemas.images import IMAGES
from mim.schemas.table import Column, Schema
from mim.vocab import Reason

HEADERS = Schema(
    "headers",
    key=("path",),
    columns=(
        *IMAGES.columns,
        Column("finding_words", pa.list_(pa.string()), "``findings`` in words"),
        Column("given", pa.string(), "hash of what the overrides give for the file"),
    ),
)
"""Rows as read, before files are compared; the columns of the index and what makes it again."""

TRIED_AGAIN = (Reason.UNREADABLE, Reason.DECODER_DIED)
"""Rows with one of these are read anew by each run: the fault may have been the machine's."""


class Known(NamedTuple):
    """A part that is there, with the first and last of its paths."""

    first: str
    last: str
    path: Path


def known_parts(folder: Path) -> list[Known]:
    """All parts of earlier runs, finished or killed, in the order of their first paths."""
    found = []
    for path in folder.glob("*.parquet"):
        try:
            about = pq.read_schema(path).metadata or {}
            found.append(Known(about[b"first"].decode(), about[b"last"].decode(), path))
        except (OSError, pa.ArrowException, KeyError):
            # Nobody's part: a disk that was full, or a file that somebody put there.
            continue
    return sorted(found)


class Sweep:
    """Finds the parts near each span; the spans come in order and without gaps."""

    def __init__(self, known: list[Known]) -> None:
        self._ahead = deque(known)
        self._near: list[Known] = []

    def near(self, span: Span) -> list[Path]:
        """The parts that may hold rows of the span."""
        while self._ahead and (span.until is None or self._ahead[0].first <= span.until):
            self._near.append(self._ahead.popleft())
        self._near = [part for part in self._near if part.last > span.after]
        return [part.path for part in self._near]


class Before:
    """Rows of earlier parts.

    ``rows`` are those that were read by the same rules, ``whole`` the parts that they came from.
    """

    def __init__(self, parts: list[Path], rules: str) -> None:
        tables = [HEADERS.from_rows([])]
        self.whole: set[Path] = set()
        self._paths: set[str] = set()
        for path in parts:
            try:
                table = _read(path, rules)
            except (OSError, pa.ArrowException):
                continue
            self._paths.update(table["path"].to_pylist())
            if table.num_columns > 1:
                self.whole.add(path)
                tables.append(table)
        self.rows = pa.concat_tables(tables)
        names = ("path", "bytes", "modified_ns", "given", "reason")
        columns = (self.rows[name].to_pylist() for name in names)
        self._places = {
            (path, size, modified, given): place
            for place, (path, size, modified, given, reason) in enumerate(
                zip(*columns, strict=True)
            )
            if reason not in TRIED_AGAIN
        }

    def place(self, source: Path, file: Found, given: str | None) -> int | None:
        """Where in ``rows`` the row of the file is, unless the file or its overrides changed."""
        if not self._places or file.problem:
            return None
        try:
            status = os.stat(source / file.path)
        except OSError:
            return None
        return self._places.get((file.path, status.st_size, status.st_mtime_ns, given))

    def gone(self, files: list[Found], span: Span) -> int:
        """Paths of the span that had a row, by whatever rules, and are no file any more."""
        lost = self._paths.difference(file.path for file in files)
        return sum(span.holds(path) for path in lost)


def _read(path: Path, rules: str) -> pa.Table:
    """The part's rows, or their paths alone where other rules made them."""
    with pq.ParquetFile(path) as file:
        if (file.schema_arrow.metadata or {}).get(b"rules") == rules.encode():
            return file.read().replace_schema_metadata(HEADERS.arrow().metadata)
        return file.read(columns=["path"])
