"""Studies and their dates: what two files, two studies or a whole delivery tell against reason."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from mim.ingest.findings import Findings, words
from mim.ingest.spill import Spill, grouped
from mim.vocab import Finding

EARLIEST = date(1960, 1, 1)
"""No mammogram is older; systems write 1900 or 1753 where they know no date."""

STUDIES = 3
"""A woman with this many studies, all of one date, has lost her dates."""


class Dates:
    """Studies, looked at exam by exam and then woman by woman.

    ``women`` takes a row of each dated exam to the bucket of its woman.
    """

    def __init__(self, women: Spill, findings: Findings, today: date) -> None:
        self._women = women
        self._findings = findings
        self._today = today
        self._by_delivery: list[pa.Table] = []

    def exams(self, seen: pa.Table) -> None:
        """Look at exams: ``seen`` has a row for each woman, date and delivery of each of them."""
        ends = {"first": ("study_date", "min"), "last": ("study_date", "max")}
        in_delivery = grouped(seen, ["delivery", "exam"], **ends)
        self._by_delivery.append(
            grouped(
                in_delivery,
                ["delivery"],
                studies=("exam", "count"),
                first=("first", "min"),
                last=("last", "max"),
            )
        )
        exams = grouped(
            seen,
            ["exam"],
            woman=("woman", "first"),
            women=("woman", "count_distinct"),
            deliveries=("delivery", "count_distinct"),
            **ends,
        )
        twice = exams.filter(pc.greater(exams["deliveries"], 1))
        detail = words("in", twice["deliveries"], "deliveries")
        self._add(Finding.STUDY_IN_TWO_DELIVERIES, twice, detail)
        shared = exams.filter(pc.greater(exams["women"], 1))
        self._add(Finding.STUDY_OF_TWO_WOMEN, shared, words(shared["women"], "Patient IDs"))
        self._implausible(exams)
        dated = exams.filter(pc.and_(pc.is_valid(exams["woman"]), pc.is_valid(exams["first"])))
        self._women.add_by_name(dated.select(["woman", "exam", "first"]), "woman")

    def _implausible(self, exams: pa.Table) -> None:
        none = pc.is_null(exams["first"])
        early = pc.less(exams["first"], EARLIEST)
        late = pc.greater(exams["last"], self._today)
        two = pc.not_equal(exams["first"], exams["last"])
        for wrong, detail in (
            (none, "no Study Date"),
            (early, f"Study Date before {EARLIEST.year}"),
            (late, "Study Date in the future"),
            (two, "its images bear different Study Dates"),
        ):
            found = exams.filter(wrong)
            self._add(Finding.IMPLAUSIBLE_DATE, found, pa.array([detail] * len(found)))

    def women(self) -> None:
        """Look at the women of all exams seen."""
        for bucket in range(self._women.count):
            exams = self._women.take(bucket)
            studies = ("exam", "count")
            days = grouped(exams, ["woman", "first"], studies=studies, exam=("exam", "first"))
            days = days.filter(pc.greater(days["studies"], 1))
            detail = words(days["studies"], "studies on one day, this one among them")
            self._add(Finding.SEVERAL_STUDIES_ON_ONE_DAY, days, detail)
            women = grouped(
                exams, ["woman"], studies=studies, first=("first", "min"), last=("first", "max")
            )
            same = of_one_date(women, STUDIES)
            detail = words("all", same["studies"], "studies of the woman bear one date")
            self._add(Finding.ONE_DATE_FOR_ALL, same, detail)

    def by_delivery(self) -> pa.Table:
        """``delivery``, its number of ``studies``, their ``first`` and ``last`` date."""
        return grouped(
            pa.concat_tables(self._by_delivery),
            ["delivery"],
            studies=("studies", "sum"),
            first=("first", "min"),
            last=("last", "max"),
        )

    def _add(self, finding: Finding, rows: pa.Table, detail: pa.ChunkedArray) -> None:
        named = {name: rows[name] for name in ("woman", "exam") if name in rows.column_names}
        self._findings.add(finding, detail, **named)


def of_one_date(table: pa.Table, least: int) -> pa.Table:
    """Rows with ``least`` ``studies`` or more whose ``first`` and ``last`` date are one."""
    many = pc.greater_equal(table["studies"], least)
    return table.filter(pc.and_(many, pc.equal(table["first"], table["last"])))
