"""Registries of a few made-up women, as tables in memory, and arbitrary ones for Hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl
from hypothesis import strategies as st

from mim.cohort.labels import label_exams
from mim.cohort.registry import Registry
from mim.cohort.settings import OutcomeSettings
from mim.schemas.registry import REGISTRY
from mim.vocab import FoundBy, Outcome

DAY = date(2000, 1, 1)

Row = dict[str, object]


def after(days: int | None) -> date | None:
    return None if days is None else DAY + timedelta(days=days)


@dataclass(frozen=True)
class Book:
    """What a registry says, as rows; days are counted from ``DAY``."""

    women: dict[str, dict[str, int | None]] = field(default_factory=dict)
    exams: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """By exam: woman and day."""
    readings: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By exam, reader and breast: score."""
    decisions: dict[str, tuple[bool | None, bool]] = field(default_factory=dict)
    """By exam: consensus and recalled."""
    cancers: dict[tuple[str, int, str | None], FoundBy | None] = field(default_factory=dict)
    """By woman, day and breast: how found. Its size in mm is its day and one."""
    outcomes: dict[tuple[str, str], tuple[Outcome, float | None, float | None]] = field(
        default_factory=dict
    )
    """By exam and breast: outcome, years to cancer, years followed."""

    def registry(self, order: Callable[[list[Row]], list[Row]] = list) -> Registry:
        rows: dict[str, list[Row]] = {
            "women": [
                {"woman_id": woman} | {name: after(day) for name, day in days.items()}
                for woman, days in self.women.items()
            ],
            "exams": [
                {"exam_id": exam, "woman_id": woman, "exam_date": after(day)}
                for exam, (woman, day) in self.exams.items()
            ],
            "readings": [
                {"exam_id": exam, "reader": reader, "breast": breast, "score": score}
                for (exam, reader, breast), score in self.readings.items()
            ],
            "decisions": [
                {"exam_id": exam, "consensus": consensus, "recalled": recalled}
                for exam, (consensus, recalled) in self.decisions.items()
            ],
            "cancers": [
                {
                    "woman_id": woman,
                    "diagnosis_date": after(day),
                    "breast": breast,
                    "size_mm": day + 1.0,
                    "found_by": found,
                }
                for (woman, day, breast), found in self.cancers.items()
            ],
            "outcomes": [
                {
                    "exam_id": exam,
                    "breast": breast,
                    "outcome": outcome,
                    "years_to_cancer": to_cancer,
                    "years_followed": followed,
                }
                for (exam, breast), (outcome, to_cancer, followed) in self.outcomes.items()
            ],
        }
        tables = {
            schema.name: pl.DataFrame(schema.from_rows(order(rows.get(schema.name, []))))
            for schema in REGISTRY
        }
        return Registry(**tables, notices=[])


def labels_of(book: Book, by: OutcomeSettings) -> dict[str, Row]:
    """What ``label_exams`` says, by exam."""
    labels = label_exams(book.registry(), by)
    return {str(row.pop("exam_id")): row for row in labels.iter_rows(named=True)}


def breasts_of(row: Row) -> tuple[tuple[object, object], tuple[object, object]]:
    """Outcome and label of the left breast and of the right one."""
    return (row["left_outcome"], row["left_cancer"]), (row["right_outcome"], row["right_cancer"])


MOST_DAYS = 40
"""Days of an arbitrary registry lie this close, so that its windows are met on their last day."""

days = st.integers(0, MOST_DAYS)
perhaps = st.sampled_from([True, False, None])
sides = st.sampled_from(["L", "R"])


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Up to three women with up to four exams each; no two exams of a woman on one day."""
    book = Book()
    for woman in draw(st.sampled_from(["A", "AB", "ABC"])):
        for day in draw(st.lists(days | st.none(), unique=True, max_size=4)):
            exam = f"{woman}{len(book.exams)}"
            book.exams[exam] = (woman, day)
            if (recalled := draw(perhaps)) is not None:
                book.decisions[exam] = (draw(perhaps), recalled)
            for reader, side in draw(st.sets(st.tuples(st.sampled_from("ab"), sides))):
                book.readings[exam, reader, side] = draw(st.integers(1, 3))
            if draw(st.integers(0, 9)) == 0:
                years = st.sampled_from([None, 0.0, 10 / 365.25, 0.5])
                word = draw(st.sampled_from(Outcome))
                book.outcomes[exam, draw(sides)] = (word, draw(years), draw(years))
        found = st.tuples(days, sides | st.none())
        for day, side in draw(st.sets(found, max_size=2)):
            book.cancers[woman, day, side] = draw(st.none() | st.sampled_from(FoundBy))
        names = ("followup_end", "emigration_date", "death_date")
        if draw(st.booleans()):
            book.women[woman] = {name: draw(st.none() | days) for name in names}
    return book


@st.composite
def windows(draw: st.DrawFn) -> OutcomeSettings:
    """Windows that the command would accept."""
    interval = draw(st.integers(1, 30))
    day = after(draw(st.none() | days))
    return OutcomeSettings(
        screen_detected_days=draw(st.integers(0, interval - 1)),
        interval_days=interval,
        clear_days=draw(st.integers(0, interval)),
        registry_date=None if day is None else day.isoformat(),
    )
