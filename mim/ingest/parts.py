"""Parts of the working layer ``headers/``: rows as read, before files are compared.

A part holds the rows of some hundred files that follow each other in the order of paths. Its name
comes from what it holds, so a part that is there is done, whoever wrote it and when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa

from mim.dicom.overrides import Given
from mim.dicom.pseudonym import load_key
from mim.dicom.rows import Row, file_row, no_header
from mim.dicom.tree import Found
from mim.ingest.before import HEADERS, Before
from mim.ingest.check import check_pixels
from mim.ingest.listing import Span
from mim.ingest.settings import Check
from mim.schemas.table import write_table
from mim.vocab import Reason
from mim.workers.task import holding


@dataclass(frozen=True)
class PartTask:
    """Files to be read into one part, and the parts of earlier runs that may hold their rows.

    ``files`` are all the files in ``span``. ``given`` holds overrides of these files only. The key
    is named and not held, so that it does not travel with the task.
    """

    number: int
    source: Path
    folder: Path
    key_file: Path
    check: Check
    rules: str
    files: list[Found]
    given: Mapping[str, Given]
    span: Span
    before: list[Path]
    deadly: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> Path:
        """See ``mim.workers.task``."""
        return self.folder / f".part-{self.number:06d}.in-hand"

    def without(self, item: str) -> Self:
        """See ``mim.workers.task``."""
        return replace(self, deadly=self.deadly | {item})


class Part(NamedTuple):
    """A part that stands, and the work it took.

    Of its ``rows``, ``read`` were read from files now and the others taken over; ``gone`` rows of
    earlier runs in its span have no file any more.
    """

    number: int
    path: Path
    rows: int
    read: int
    gone: int


def in_groups(parts: list[Part], rows: int) -> list[list[Part]]:
    """Parts that follow each other, together; each group but the last has ``rows`` or more."""
    groups: list[list[Part]] = [[]]
    for part in parts:
        if sum(other.rows for other in groups[-1]) >= rows:
            groups.append([])
        groups[-1].append(part)
    return groups


def read_part(task: PartTask) -> Part:
    """Make sure that the part stands: take over the rows of unchanged files, read the others."""
    key = load_key(task.key_file)
    before = Before(task.before, task.rules)
    rows: list[Row] = []
    places: list[int] = []
    with holding(task.in_hand) as take:
        for file in task.files:
            given = task.given.get(file.path, {})
            mark = _mark(given)
            place = before.place(task.source, file, mark)
            if place is None:
                place = len(before.rows) + len(rows)
                rows.append(_read(task, file, given, key, take) | {"given": mark})
            places.append(place)
    table = pa.concat_tables([before.rows, HEADERS.from_rows(rows)]).take(places)
    path = task.folder / f"{_name(table, task.rules)}.parquet"
    if rows or path not in before.whole:
        about = {"rules": task.rules, "first": task.files[0].path, "last": task.files[-1].path}
        write_table(table.combine_chunks().replace_schema_metadata(about), path)
    return Part(task.number, path, len(table), len(rows), before.gone(task.files, task.span))


def _read(
    task: PartTask, file: Found, given: Given, key: bytes, take: Callable[[str], None]
) -> Row:
    header, pixels = f"header: {file.path}", f"pixels: {file.path}"
    if header in task.deadly:
        died = no_header(Reason.DECODER_DIED, "reading its header ended the process")
        return {"path": file.path, "bytes": 0, "modified_ns": 0} | died
    if file.problem is None:
        take(header)
    row = file_row(task.source, file, given, key)
    if task.check == Check.headers or row["reason"] is not None:
        return row
    if pixels in task.deadly:
        died = {"reason": Reason.DECODER_DIED, "detail": "decoding it ended the process"}
        return row | died
    take(pixels)
    return row | check_pixels(task.source / file.path, row)


def _mark(given: Given) -> str | None:
    """What tells whether the overrides still give a file the same."""
    if not given:
        return None
    text = repr(sorted((column, str(value)) for column, value in given.items()))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _name(table: pa.Table, rules: str) -> str:
    digest = blake2b(rules.encode(), digest_size=10)
    columns = (table[name].to_pylist() for name in ("path", "bytes", "modified_ns", "given"))
    for row in zip(*columns, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()
