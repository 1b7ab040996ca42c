"""What the page counts and which images it shows, in one pass over an index of any size."""

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mim.vocab import Laterality, View

ROWS = 50_000
"""Rows in memory at a time."""

CLASSES = ("reason", "maker", "kind", "laterality", "view", "header")
DRAWN = ("image", "path", "reason", "laterality", "view", "kind")
COLUMNS = (
    *("reason", "maker", "kind", "laterality", "view", "sop_class", "study_date"),
    *("woman", "exam", "image", "path", "rows", "frames"),
)


class Class(NamedTuple):
    """What files are counted by. ``reason`` None: usable; ``header``: it says what the file is."""

    reason: str | None
    maker: str
    kind: str
    laterality: str
    view: str
    header: bool


class Drawn(NamedTuple):
    """An image to be shown; ``path`` is below the source."""

    image: str
    path: str
    reason: str | None
    laterality: Laterality
    view: View
    kind: str


@dataclass
class Tally:
    """Counts of a whole index, and the images drawn for its contact sheets.

    ``months`` counts files that say what they are by maker, month (year x 12 + month - 1; None: no
    study date) and whether they are usable.
    ``of_maker`` holds usable images, ``of_reason`` left-out ones that may have a picture,
    ``found`` the rows of the pseudonyms asked for. What is drawn are the lowest pseudonyms: these
    are keyed hashes, so the draw is random, and the same index gives the same one.
    """

    files: Counter[Class] = field(default_factory=Counter)
    months: Counter[tuple[str, int | None, bool]] = field(default_factory=Counter)
    women: int = 0
    exams: int = 0
    of_maker: dict[str, list[Drawn]] = field(default_factory=dict)
    of_reason: dict[str, list[Drawn]] = field(default_factory=dict)
    found: dict[str, Drawn] = field(default_factory=dict)


def tally(index: Path, pictures: int, asked: Collection[str]) -> Tally:
    """Count an index's images and draw ``pictures`` of each maker and of each reason.

    ``women`` and ``exams`` are those with a usable image. ``asked`` are pseudonyms of images.
    """
    counts = Tally()
    names: dict[str, list[pa.Array]] = {"woman": [], "exam": []}
    wanted = pa.array(sorted(asked), pa.string())
    for table in _batches(index):
        _count(table, counts)
        usable = table.filter(pc.is_null(table["reason"]))
        for column, found in names.items():
            found.append(pc.unique(usable[column].drop_null()))
        if pictures:
            shown = table.filter(_may_have_a_picture(table))
            usable = shown.filter(pc.is_null(shown["reason"]))
            _draw(usable, "maker", pictures, counts.of_maker)
            _draw(shown.filter(pc.is_valid(shown["reason"])), "reason", pictures, counts.of_reason)
            rows = usable.filter(pc.is_in(usable["image"], wanted))
            counts.found.update((drawn.image, drawn) for drawn in _drawn(rows))
    counts.women, counts.exams = (
        pc.count_distinct(pa.chunked_array(found, pa.string())).as_py() for found in names.values()
    )
    return counts


class Noted(NamedTuple):
    """How many findings there are of each kind, and the first of each: woman, exam, image, detail."""

    counts: Counter[str]
    first: dict[str, list[dict[str, str | None]]]


def noted(index: Path, most: int) -> Noted:
    """Count an index's findings, and take of each kind the ``most`` with the lowest pseudonyms."""
    found = Noted(Counter(), {})
    with pq.ParquetFile(index / "findings.parquet") as file:
        for batch in file.iter_batches(ROWS):
            table = pa.Table.from_batches([batch])
            for kind in sorted(pc.unique(table["finding"]).to_pylist()):
                rows = table.filter(pc.equal(table["finding"], kind)).drop_columns("finding")
                found.counts[kind] += rows.num_rows
                keys = [(name, "ascending") for name in ("image", "exam", "woman", "detail")]
                best = rows.take(pc.select_k_unstable(rows, most, keys)).to_pylist()
                found.first[kind] = heapq.nsmallest(
                    most,
                    [*found.first.get(kind, []), *best],
                    key=lambda row: [row[name] or "" for name, _ in keys],
                )
    return found


def _batches(index: Path) -> Iterator[pa.Table]:
    for part in sorted((index / "images").glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(ROWS, columns=list(COLUMNS)):
                table = pa.Table.from_batches([batch])
                yield table.append_column("header", pc.is_valid(table["sop_class"]))


def _count(table: pa.Table, counts: Tally) -> None:
    for row in table.group_by(CLASSES).aggregate([([], "count_all")]).to_pylist():
        files = row.pop("count_all")
        counts.files[Class(**row)] += files
    dated = table.filter(table["header"])
    months = {
        "maker": dated["maker"],
        "year": pc.year(dated["study_date"]),
        "month": pc.month(dated["study_date"]),
        "usable": pc.is_null(dated["reason"]),
    }
    found = pa.table(months).group_by([*months]).aggregate([([], "count_all")])
    for row in found.to_pylist():
        month = None if row["year"] is None else 12 * row["year"] + row["month"] - 1
        counts.months[row["maker"], month, row["usable"]] += row["count_all"]


def _may_have_a_picture(table: pa.Table) -> pa.ChunkedArray:
    one_frame = pc.equal(pc.fill_null(table["frames"], 1), 1)
    return pc.and_(pc.and_(pc.is_valid(table["rows"]), pc.is_valid(table["image"])), one_frame)


def _draw(table: pa.Table, column: str, most: int, sheets: dict[str, list[Drawn]]) -> None:
    """Keep in each sheet the ``most`` images with the lowest pseudonyms seen so far."""
    lowest = [("image", "ascending"), ("path", "ascending")]
    for group in sorted(pc.unique(table[column]).to_pylist()):
        rows = table.filter(pc.equal(table[column], group))
        best = rows.take(pc.select_k_unstable(rows, most, lowest))
        sheets[group] = heapq.nsmallest(most, [*sheets.get(group, []), *_drawn(best)])


def _drawn(table: pa.Table) -> list[Drawn]:
    return [
        Drawn(**row | {"laterality": Laterality(row["laterality"]), "view": View(row["view"])})
        for row in table.select(DRAWN).to_pylist()
    ]
