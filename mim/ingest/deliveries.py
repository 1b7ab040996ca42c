"""Deliveries: the folders that lie directly in the source, each of which came on its own."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mim.ingest.dates import of_one_date
from mim.ingest.findings import Findings, words
from mim.ingest.spill import grouped
from mim.vocab import Finding

STUDIES = 10
"""Fewer studies of one date say nothing about a delivery."""

DAYS = 10
"""Where more deliveries than these have a date each, and no two the same, folders are days."""

FIRST_FOLDER = r"(?s)^(?P<name>[^/]*)/"


class Numbering:
    """Numbers deliveries as their paths come in order; files that lie in none are of number 0."""

    def __init__(self) -> None:
        self._last: str | None = None
        self.count = 0

    def of(self, paths: pa.ChunkedArray) -> NDArray[np.int64]:
        """The delivery of each path. Tables of one source must come in order, each once."""
        names = pc.struct_field(pc.extract_regex(paths, FIRST_FOLDER), "name")
        coded = names.combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy()
        inside = codes[codes >= 0]
        numbers = np.zeros(len(codes), np.int64)
        if len(inside):
            new = np.diff(inside, prepend=inside[0]) != 0
            new[0] = coded.dictionary[int(inside[0])].as_py() != self._last
            numbers[codes >= 0] = self.count + np.cumsum(new)
            self._last = coded.dictionary[int(inside[-1])].as_py()
            self.count += int(new.sum())
        return numbers


class Deliveries:
    """What is known of each delivery; some dozen bytes for each."""

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._nameless: dict[str, list[pa.Table]] = {"exam": [], "woman": []}
        self._first: list[pa.Table] = []

    def number(self, table: pa.Table) -> pa.Array:
        """The delivery of each row, whose images and identifiers are taken note of."""
        numbers = pa.array(self._numbering.of(table["path"]))
        table = table.select(["image", "exam", "woman", "reason"]).append_column(
            "delivery", numbers
        )
        self._first.append(_first_images(table.filter(pc.is_valid(table["image"]))))
        usable = table.filter(pc.is_null(table["reason"]))
        for name, found in self._nameless.items():
            found.append(_first_images(usable.filter(pc.is_null(usable[name]))))
        return numbers

    def report(self, dated: pa.Table, findings: Findings) -> None:
        """Write what deliveries lack, and which bear one date.

        ``dated`` has ``delivery``, its number of ``studies`` and their ``first`` and ``last`` date.
        """
        for name, element in (("exam", "Study Instance UID"), ("woman", "Patient ID")):
            lacking = _merged(self._nameless[name])
            detail = words(
                lacking["images"], "usable images of the delivery of this one have no", element
            )
            findings.add(Finding.IDENTIFIER_MISSING, detail, image=lacking["image"])
        same = of_one_date(dated, STUDIES)
        whole = of_one_date(_added_up(dated), STUDIES)
        if whole.num_rows:
            detail = words("all", whole["studies"], "studies that there are bear one date")
            findings.add(Finding.ONE_DATE_FOR_ALL, detail)
        elif not same.num_rows == pc.count_distinct(same["first"]).as_py() > DAYS:
            first = _merged(self._first)
            same = same.join(first, "delivery", join_type="inner").sort_by("delivery")
            detail = words(
                "all", same["studies"], "studies of the delivery of this image bear one date"
            )
            findings.add(Finding.ONE_DATE_FOR_ALL, detail, image=same["image"])


def _first_images(table: pa.Table) -> pa.Table:
    """For each delivery its first image, and how many there are."""
    return grouped(table, ["delivery"], image=("image", "first"), images=("delivery", "count"))


def _merged(tables: list[pa.Table]) -> pa.Table:
    return grouped(
        pa.concat_tables(tables), ["delivery"], image=("image", "first"), images=("images", "sum")
    )


def _added_up(dated: pa.Table) -> pa.Table:
    ends = pc.sum(dated["studies"]), pc.min(dated["first"]), pc.max(dated["last"])
    columns = [pa.array([end.as_py()], end.type) for end in ends]
    return pa.table(columns, ["studies", "first", "last"])
