"""From parts and verdicts to ``images/``: the rows that the other steps read."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mim.dicom.duplicates import in_words
from mim.ingest.across import read_groups
from mim.ingest.before import HEADERS
from mim.ingest.deliveries import Numbering
from mim.ingest.findings import Findings
from mim.ingest.parts import Part
from mim.ingest.spill import Spill, grouped
from mim.schemas.cohort import KEPT
from mim.schemas.images import IMAGES
from mim.schemas.table import write_table
from mim.vocab import Reason

NAMED = 100
"""Of so many deliveries the counts are kept apart."""


class Published(NamedTuple):
    """Rows by reason; how many deliveries, and rows by reason of each where they are ``NAMED``.

    A delivery is named by the pseudonym of its first image, as its folder may be named after a woman.
    """

    counts: Counter[str]
    deliveries: int
    by_delivery: list[dict[str, object]]


def publish(
    groups: list[list[Part]], verdicts: Spill, folder: Path, findings: Findings
) -> Published:
    """Write the files of ``images/`` into ``folder``: of each group one, with its verdicts."""
    numbering = Numbering()
    counts: Counter[tuple[int, str]] = Counter()
    first: dict[int, str] = {}
    columns = tuple(HEADERS.arrow().names)
    start = 0
    for place, table in enumerate(read_groups(groups, columns, "writing")):
        judged = _judged(table, verdicts.take(place), start)
        start += len(judged)
        _add_findings(judged.filter(pc.is_null(judged["reason"])), findings)
        rows = pa.table(
            {
                "delivery": numbering.of(judged["path"]),
                "reason": pc.fill_null(judged["reason"], KEPT),
                "image": judged["image"],
            }
        )
        for row in grouped(rows, ["delivery", "reason"], files=("delivery", "count")).to_pylist():
            # More than are named fall together, so that their number costs no memory.
            counts[min(row["delivery"], NAMED + 1), row["reason"]] += row["files"]
        for row in grouped(rows, ["delivery"], image=("image", "first")).to_pylist():
            if row["delivery"] <= NAMED and not first.get(row["delivery"]):
                first[row["delivery"]] = row["image"]
        images = judged.select(IMAGES.arrow().names).cast(IMAGES.arrow())
        write_table(images, folder / f"part-{place:05d}.parquet")
    return _published(counts, first, numbering.count)


def _judged(rows: pa.Table, verdicts: pa.Table, start: int) -> pa.Table:
    """Rows with reason and detail of those that are duplicates. ``start``: number of the first."""
    verdicts = verdicts.sort_by("row")
    duplicate = np.zeros(len(rows), bool)
    duplicate[verdicts["row"].to_numpy() - start] = True
    paths, same = verdicts["path"].to_pylist(), verdicts["same"].to_pylist()
    for column, values in (
        ("reason", [Reason.DUPLICATE_IMAGE.value] * len(verdicts)),
        ("detail", list(map(in_words, paths, same))),
    ):
        old = rows[column].combine_chunks()
        new = pc.replace_with_mask(old, duplicate, pa.array(values, pa.string()))
        rows = rows.set_column(rows.column_names.index(column), rows.field(column), new)
    return rows


def _add_findings(usable: pa.Table, findings: Findings) -> None:
    """What the pixels of usable images looked suspicious for."""
    found = usable["findings"].combine_chunks()
    of = usable.take(pc.list_parent_indices(found))
    details = pc.list_flatten(usable["finding_words"].combine_chunks())
    named = {name: of[name] for name in ("woman", "exam", "image")}
    findings.add(pc.list_flatten(found), details, **named)


def _published(
    counts: Counter[tuple[int, str]], first: dict[int, str], deliveries: int
) -> Published:
    by_reason: Counter[str] = Counter()
    by_delivery: dict[int, dict[str, int]] = {}
    for (delivery, reason), files in sorted(counts.items()):
        by_reason[reason] += files
        by_delivery.setdefault(delivery, {})[reason] = files
    named: list[dict[str, object]] = [
        {"image": first.get(delivery), "counts": reasons}
        for delivery, reasons in by_delivery.items()
    ]
    return Published(by_reason, deliveries, named if deliveries <= NAMED else [])
