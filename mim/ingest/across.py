"""What only shows where files are compared: duplicates, studies that came twice, dates that lie.

Memory does not grow with the number of files: the pseudonyms are hashes, so rows that share one
are brought together in buckets on disk (``Spill``), and one bucket is looked at after the other.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from mim.dicom.duplicates import find_duplicates
from mim.ingest.dates import Dates
from mim.ingest.deliveries import Deliveries
from mim.ingest.findings import Findings, words
from mim.ingest.parts import Part
from mim.ingest.spill import Spill, grouped
from mim.vocab import Finding, Reason

BUCKET = 500_000
"""Rows that a bucket holds, about."""

IMAGE = pa.schema(
    [
        ("row", pa.int64()),
        ("image", pa.string()),
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("checksum", pa.string()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
    ]
)
EXAM = pa.schema(
    [
        ("exam", pa.string()),
        ("woman", pa.string()),
        ("study_date", pa.date32()),
        ("delivery", pa.int64()),
    ]
)
WOMAN = pa.schema([("woman", pa.string()), ("exam", pa.string()), ("first", pa.date32())])
VERDICT = pa.schema([("row", pa.int64()), ("path", pa.string()), ("same", pa.bool_())])
"""A duplicate's row, the path of the file kept, and whether the two are the same."""

READ = (*IMAGE.names[1:], *EXAM.names[:-1], "reason")


def compare(groups: list[list[Part]], scratch: Path, findings: Findings, today: date) -> Spill:
    """Compare all rows; write what is found to ``findings``.

    Args:
        groups: all parts in the order of their paths.
        scratch: folder for what does not fit into memory; it holds paths.
        today: no study is later.

    Returns:
        For each group a bucket of ``VERDICT``, one for each duplicate in it.
    """
    count = -(-_rows(groups) // BUCKET)
    images = Spill(scratch / "images", count, IMAGE)
    exams = Spill(scratch / "exams", count, EXAM)
    deliveries = Deliveries()
    start = 0
    for table in read_groups(groups, READ, "comparing"):
        numbers = deliveries.number(table)
        usable = pc.is_null(table["reason"])
        rows = pa.array(np.arange(start, start + len(table)))
        images.add_by_name(table.append_column("row", rows).filter(usable), "image")
        mammogram = pc.or_kleene(usable, pc.not_equal(table["reason"], Reason.NOT_MAMMOGRAM))
        studies = table.append_column("delivery", numbers).filter(
            pc.and_(mammogram, pc.is_valid(table["exam"]))
        )
        # An exam's images lie together, so most of their sameness goes here.
        exams.add_by_name(grouped(studies, EXAM.names), "exam")
        start += len(table)
    ends = np.cumsum([_rows([group]) for group in groups])
    verdicts = Spill(scratch / "verdicts", len(groups), VERDICT)
    for bucket in range(count):
        _judge(images.take(bucket), verdicts, ends, findings)
    dates = Dates(Spill(scratch / "women", count, WOMAN), findings, today)
    for bucket in range(count):
        dates.exams(exams.take(bucket))
    dates.women()
    deliveries.report(dates.by_delivery(), findings)
    return verdicts


def read_groups(
    groups: list[list[Part]], columns: tuple[str, ...], doing: str
) -> Iterator[pa.Table]:
    """``columns`` of each group of parts."""
    with tqdm(total=_rows(groups), desc=doing, unit="file") as bar:
        for group in groups:
            yield pa.concat_tables(_read(part.path, columns) for part in group)
            bar.update(_rows([group]))


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(list(columns), use_threads=False)


def _rows(groups: list[list[Part]]) -> int:
    return sum(part.rows for group in groups for part in group)


def _judge(images: pa.Table, verdicts: Spill, ends: NDArray[np.int64], findings: Findings) -> None:
    """Verdicts on a bucket of usable images. ``ends``: the row after the last of each group."""
    found = find_duplicates(images)
    row = images["row"].to_numpy()[found.place]
    verdict = pa.table([row, images["path"].take(found.kept), found.same], schema=VERDICT)
    verdicts.add(verdict, np.searchsorted(ends, row, side="right"))
    others = pa.table({"image": images["image"].take(found.place), "same": found.same})
    groups = grouped(others, ["image"], files=("image", "count"), same=("same", "all"))
    which = pc.if_else(groups["same"], "no difference seen", "not all the same")
    detail = words(groups["files"], "files besides the one kept,", which)
    findings.add(Finding.DUPLICATE_IMAGE, detail, image=groups["image"])
