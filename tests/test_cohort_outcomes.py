"""Outcomes: the decision table once more in plain loops, and what holds of any registry."""

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_registry import DAY, Book, Row, after, books, breasts_of, days, labels_of, sides, windows

from mim.cohort.labels import label_exams
from mim.cohort.settings import OutcomeSettings
from mim.vocab import FoundBy, Outcome


def second_opinion(  # noqa: C901, PLR0911, PLR0912 - row by row, as on the page
    book: Book, exam: str, side: str, by: OutcomeSettings
) -> tuple[Outcome, bool | None]:
    """The decision table of docs/outcomes.md in its own words."""
    woman, day = book.exams[exam]
    hers = [(d, breast, how) for (w, d, breast), how in book.cancers.items() if w == woman]
    if day is not None and any(d < day for d, _, _ in hers):
        return Outcome.UNKNOWN, None
    if said := book.outcomes.get((exam, side)):
        return said[0], label_of(said[0], said[1], by)
    if day is None:
        return Outcome.UNKNOWN, None
    d, how = min(((d - day, how) for d, b, how in hers if b == side), default=(None, None))
    later = [other for w, other in book.exams.values() if w == woman and other and other > day]
    next_exam = min(later) - day if later else None
    consensus, recalled = book.decisions.get(exam, (None, None))
    if d is not None:
        if (
            d <= by.screen_detected_days
            and recalled is not False
            and how in (None, FoundBy.SCREENING)
        ):
            return Outcome.SCREEN_DETECTED, True
        if d <= by.interval_days and (next_exam is None or next_exam > d):
            if how != FoundBy.SCREENING:
                return Outcome.INTERVAL, True
            if recalled is not False or d <= by.screen_detected_days:
                return Outcome.SCREEN_DETECTED, True
    if any(breast is None for _, breast, _ in hers):
        return Outcome.UNKNOWN, None
    if d is not None:
        return Outcome.LATER, (False if d >= by.clear_days else None)
    followed = end_of_followup(book, woman, by) - day
    once_more = next_exam is not None and followed >= max(next_exam, by.clear_days)
    if not (followed >= by.interval_days or once_more):
        return Outcome.CENSORED, None
    suspicious = {b for (e, _, b), score in book.readings.items() if e == exam and score >= 2}
    if recalled and (side in suspicious or not suspicious):
        return Outcome.RECALLED, False
    if recalled is False and (side in suspicious or (not suspicious and consensus)):
        return Outcome.DISMISSED, False
    return Outcome.NEGATIVE, False


def label_of(outcome: Outcome, years: float | None, by: OutcomeSettings) -> bool | None:
    if outcome in (Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.CANCER):
        return True
    if outcome in (Outcome.NEGATIVE, Outcome.RECALLED, Outcome.DISMISSED):
        return False
    if outcome == Outcome.LATER and years is not None:
        return False if round(years * 365.25) >= by.clear_days else None
    return None


def end_of_followup(book: Book, woman: str, by: OutcomeSettings) -> int:
    known = [day for _, day, _ in book.cancers]
    known += [day for ends in book.women.values() if (day := ends["followup_end"]) is not None]
    exams = [(w, day) for w, day in book.exams.values() if day is not None]
    last = max(known) if known else max(day for _, day in exams)
    if by.registry_date is not None:
        last = day_of(by.registry_date)
    ends = dict(book.women.get(woman, {}))
    if ends.get("followup_end") is None:
        ends["followup_end"] = last
    seen = [day for w, day in exams if w == woman]
    seen += [day for w, day, _ in book.cancers if w == woman]
    return min(max([*seen, min(day for day in ends.values() if day is not None)]), last)


def day_of(text: str) -> int:
    return (date.fromisoformat(text) - DAY).days


def agrees(book: Book, by: OutcomeSettings) -> None:
    expected = {
        exam: tuple(second_opinion(book, exam, side, by) for side in "LR") for exam in book.exams
    }
    assert {exam: breasts_of(row) for exam, row in labels_of(book, by).items()} == expected


@settings(max_examples=40, deadline=None)
@given(books(), windows())
def test_same_as_the_page_in_plain_words(book: Book, by: OutcomeSettings) -> None:
    agrees(book, by)


@pytest.mark.slow
@settings(max_examples=4000, deadline=None)
@given(books(), windows())
def test_same_as_the_page_in_plain_words_many_times(book: Book, by: OutcomeSettings) -> None:
    agrees(book, by)


@settings(max_examples=20, deadline=None)
@given(books(), windows())
def test_a_cancer_is_the_interval_cancer_of_one_exam_at_most(
    book: Book, by: OutcomeSettings
) -> None:
    found = labels_of(replace(book, outcomes={}), by)
    owners = [
        (book.exams[exam][0], side)
        for exam, row in found.items()
        for side in ("left", "right")
        if row[f"{side}_outcome"] == Outcome.INTERVAL
    ]
    assert len(set(owners)) == len(owners)


@settings(max_examples=20, deadline=None)
@given(books(), windows())
def test_a_diagnosis_before_the_exam_leaves_no_label(book: Book, by: OutcomeSettings) -> None:
    for exam, row in labels_of(replace(book, outcomes={}), by).items():
        woman, day = book.exams[exam]
        before = day is not None and any(w == woman and d < day for w, d, _ in book.cancers)
        assert row["after_diagnosis"] == before
        for side in ("left", "right"):
            years = row[f"{side}_years_to_cancer"]
            assert years is None or (isinstance(years, float) and years >= 0 and not before)
            assert row[f"{side}_cancer"] is None or not before


@settings(max_examples=20, deadline=None)
@given(books(), windows(), st.integers(0, 20), st.data())
def test_more_followup_takes_no_label_back(
    book: Book, by: OutcomeSettings, more: int, data: st.DataObject
) -> None:
    def later(day: int) -> int:
        return day + data.draw(st.sampled_from([0, more]))

    longer = {
        woman: {name: None if day is None else later(day) for name, day in ends.items()}
        for woman, ends in book.women.items()
    }
    until = by.registry_date and str(after(later(day_of(by.registry_date))))
    before = labels_of(book, by)
    now = labels_of(replace(book, women=longer), replace(by, registry_date=until))
    for exam, row in before.items():
        for side in ("left", "right"):
            label = row[f"{side}_cancer"]
            assert label is None or now[exam][f"{side}_cancer"] == label


@settings(max_examples=20, deadline=None)
@given(books(), windows(), st.integers())
def test_the_order_of_the_rows_changes_nothing(book: Book, by: OutcomeSettings, seed: int) -> None:
    random = Random(seed)

    def shuffled(rows: list[Row]) -> list[Row]:
        return random.sample(rows, len(rows))

    labels = label_exams(book.registry(shuffled), by).sort("exam_id")
    assert labels.equals(label_exams(book.registry(), by).sort("exam_id"))


@settings(max_examples=20, deadline=None)
@given(books(), windows(), days, days, sides, st.sampled_from("ABC"))
def test_a_cancer_changes_the_other_side_as_evidence_of_followup_alone(
    book: Book, by: OutcomeSettings, day: int, until: int, side: str, woman: str
) -> None:
    """With a registry's date, and for exams that the new cancer does not precede."""
    by = replace(by, registry_date=str(after(until)))
    found_too = replace(book, cancers=book.cancers | {(woman, day, side): None})
    before, now = labels_of(book, by), labels_of(found_too, by)
    other = {"L": "right", "R": "left"}[side]
    for exam, (hers, exam_day) in book.exams.items():
        if hers == woman and exam_day is not None and day < exam_day:
            continue
        same = before[exam][f"{other}_outcome"] == now[exam][f"{other}_outcome"]
        assert same or (hers == woman and day > censored_on(before[exam], other, exam_day))


def censored_on(row: Row, side: str, exam_day: int | None) -> float:
    """The day on which a breast's follow-up ends, where that leaves its outcome open."""
    years = row[f"{side}_years_followed"]
    assert row[f"{side}_outcome"] == Outcome.CENSORED
    assert isinstance(years, float)
    assert exam_day is not None
    return exam_day + round(years * 365.25)
