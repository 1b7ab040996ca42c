"""Repeated exams become one, and what was said of them is united."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.registry import Registry
from mim.cohort.repeats import Merged, date_notices, merge_repeats
from mim.schemas.registry import REGISTRY

Rows = list[dict[str, Any]]
DAY = date(2020, 6, 1)


def on(day: int) -> date:
    return DAY + timedelta(days=day)


def exam(exam_id: str, day: date | None, woman: str = "w", **more: str) -> dict[str, Any]:
    return {"exam_id": exam_id, "woman_id": woman, "exam_date": day, **more}


def registry(**given: Rows) -> Registry:
    tables = {
        schema.name: pl.DataFrame(pl.from_arrow(schema.from_rows(given.get(schema.name, []))))
        for schema in REGISTRY
    }
    return Registry(**tables, notices=[])


def rows(table: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(table.rows(), key=str)


def examinations(merged: Merged) -> dict[str, tuple[str, int]]:
    return {exam_id: (first, days) for exam_id, first, days in merged.of.rows()}


def test_exams_within_days_of_the_first_are_one() -> None:
    listed = [
        exam("d", on(10)),
        exam("b", on(5), site="here", given_split="test"),
        exam("a2", on(0), study_uid="1.2"),
        exam("a1", on(0)),
        exam("other", on(5), "v"),
        exam("undated 1", None),
        exam("undated 2", None),
    ]
    merged = merge_repeats(registry(exams=listed), 7)
    assert examinations(merged) == {
        "a1": ("a1", 0),
        "a2": ("a1", 0),
        "b": ("a1", 5),
        "d": ("d", 0),
        "other": ("other", 0),
        "undated 1": ("undated 1", 0),
        "undated 2": ("undated 2", 0),
    }
    exams = {row["exam_id"]: row for row in merged.registry.exams.to_dicts()}
    assert set(exams) == {"a1", "d", "other", "undated 1", "undated 2"}
    assert exams["a1"] == exam("a1", on(0), study_uid="1.2", site="here", given_split="test")


def test_what_was_said_of_the_repeats_is_united() -> None:
    merged = merge_repeats(
        registry(
            exams=[exam("a", on(0)), exam("b", on(3)), exam("later", on(400))],
            readings=[
                {"exam_id": e, "reader": reader, "breast": breast, "score": score, "reading": turn}
                for e, reader, breast, score, turn in (
                    ("a", "r1", "L", 1, None),
                    ("b", "r1", "L", 3, 2),
                    ("a", "r1", "R", 2, 1),
                    ("b", "r2", "R", 1, 1),
                    ("later", "r1", "L", 5, 1),
                )
            ],
            scores=[
                {"exam_id": e, "model": model, "breast": breast, "score": score}
                for e, model, breast, score in (
                    ("a", "m", None, 3.0),
                    ("b", "m", None, -1.0),
                    ("later", "m", None, 9.0),
                    ("a", "n", "L", 0.1),
                    ("b", "n", "L", 0.2),
                    ("b", "n", "R", 0.3),
                )
            ],
            decisions=[
                {"exam_id": "a", "consensus": True, "recalled": False},
                {"exam_id": "b", "consensus": None, "recalled": True},
            ],
            density=[
                {"exam_id": "b", "breast": "L", "density": "d", "percent": 50.0},
                {"exam_id": "a", "breast": "L", "density": "c", "percent": None},
            ],
            quality=[
                {"exam_id": "b", "breast": "L", "view": "CC", "grade": "I"},
                {"exam_id": "a", "breast": "L", "view": "CC", "grade": "G"},
                {"exam_id": "b", "breast": "L", "view": "MLO", "grade": "P"},
            ],
            outcomes=[
                {"exam_id": "a", "breast": "L", "outcome": "negative", "years_followed": 9.0},
                {"exam_id": "b", "breast": "L", "outcome": "cancer", "years_to_cancer": 0.1},
            ],
            risk_factors=[
                {"exam_id": "a", "height_cm": None, "weight_kg": 60.0},
                {"exam_id": "b", "height_cm": 170.0, "weight_kg": 90.0},
                {"exam_id": "later", "height_cm": 171.0},
            ],
        ),
        7,
    ).registry
    assert rows(merged.readings) == [
        ("a", "r1", "L", 3, 2),
        ("a", "r1", "R", 2, 1),
        ("a", "r2", "R", 1, None),
        ("later", "r1", "L", 5, 1),
    ]
    assert rows(merged.scores) == [
        ("a", "m", None, 3.0),
        ("a", "n", "L", 0.2),
        ("a", "n", "R", 0.3),
        ("later", "m", None, 9.0),
    ]
    assert rows(merged.decisions.select("exam_id", "consensus", "recalled")) == [("a", True, True)]
    assert rows(merged.density) == [("a", "L", "c", 50.0)]
    grades = merged.quality.select("exam_id", "breast", "view", "grade")
    assert rows(grades) == [("a", "L", "CC", "G"), ("a", "L", "MLO", "P")]
    [outcome] = merged.outcomes.to_dicts()
    assert (outcome["exam_id"], outcome["outcome"]) == ("a", "cancer")
    assert (outcome["years_to_cancer"], outcome["years_followed"]) == (0.1, None)
    factors = merged.risk_factors.select("exam_id", "height_cm", "weight_kg")
    assert rows(factors) == [("a", 170.0, 60.0), ("later", 171.0, None)]
    assert set(merged.exams["exam_id"]) == {"a", "later"}


def test_tables_without_repeats_stay_as_they_are() -> None:
    given = registry(exams=[exam("a", on(0)), exam("b", on(8)), exam("c", on(0), "v")])
    merged = merge_repeats(given, 7)
    assert merged.registry is given
    assert merged.of.schema == merge_repeats(given, 8).of.schema


EXAMS = st.lists(
    st.tuples(st.sampled_from("vw"), st.one_of(st.none(), st.integers(0, 30).map(on))), max_size=8
)
READINGS = st.dictionaries(
    st.tuples(st.integers(0, 7), st.sampled_from("AB"), st.sampled_from("LR")),
    st.tuples(st.integers(1, 5), st.sampled_from([None, 1, 2])),
    max_size=12,
)
DECISIONS = st.dictionaries(
    st.integers(0, 7), st.tuples(st.sampled_from([None, False, True]), st.booleans())
)


def turns_one_by_one(readings: Rows, merged: Merged) -> dict[tuple[str, str, str], int]:
    """Who read first, by examination, reader and breast: as the first of its exams that says it.

    What another exam says of a turn that an earlier one has given is not taken.
    """
    days = examinations(merged)
    given_by: dict[tuple[str, str, int], str] = {}
    turns: dict[tuple[str, str, str], int] = {}
    for row in sorted(readings, key=lambda row: (days[row["exam_id"]][1], row["exam_id"])):
        first, turn = days[row["exam_id"]][0], row["reading"]
        if turn is None:
            continue
        if given_by.setdefault((first, row["breast"], turn), row["exam_id"]) == row["exam_id"]:
            turns.setdefault((first, row["reader"], row["breast"]), turn)
    return turns


@settings(max_examples=50)
@given(EXAMS, READINGS, DECISIONS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_readings_and_decisions_as_one_by_one(
    exams: list[tuple[str, date | None]],
    readings: dict[tuple[int, str, str], tuple[int, int | None]],
    decisions: dict[int, tuple[bool | None, bool]],
    days: int,
    random: Any,
) -> None:
    given = {
        "exams": [exam(f"{n}", day, woman) for n, (woman, day) in enumerate(exams)],
        "readings": [
            {"exam_id": f"{n}", "reader": r, "breast": breast, "score": score, "reading": turn}
            for (n, r, breast), (score, turn) in readings.items()
            if n < len(exams)
        ],
        "decisions": [
            {"exam_id": f"{n}", "consensus": consensus, "recalled": recalled}
            for n, (consensus, recalled) in decisions.items()
            if n < len(exams)
        ],
    }
    merged = merge_repeats(registry(**given), days)
    first = {exam_id: name for exam_id, (name, _) in examinations(merged).items()}
    scores: dict[tuple[str, str, str], int] = {}
    for row in given["readings"]:
        key = (first[row["exam_id"]], row["reader"], row["breast"])
        scores[key] = max(scores.get(key, 0), row["score"])
    turns = turns_one_by_one(given["readings"], merged)
    assert rows(merged.registry.readings) == sorted(
        ((*key, score, turns.get(key)) for key, score in scores.items()), key=str
    )
    for row in merged.registry.decisions.to_dicts():
        said = [d for d in given["decisions"] if first[d["exam_id"]] == row["exam_id"]]
        for column in ("consensus", "recalled"):
            known = [d[column] for d in said if d[column] is not None]
            assert row[column] == (any(known) if known else None)
    assert set(merged.registry.exams["exam_id"]) == set(first.values())

    for table in given.values():
        random.shuffle(table)
    again = merge_repeats(registry(**given), days)
    assert again.of.equals(merged.of)
    for name in given:
        table = getattr(merged.registry, name)
        assert rows(getattr(again.registry, name)) == rows(table)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([None, None, None], ["women with several exams: 1, all without exam_date"]),
        ([DAY, DAY, DAY], ["women with several exams: 1, none with exams on two days"]),
        ([DAY, None, on(9)], ["none with exams on two days"]),
        ([DAY, on(9), None], []),
        ([DAY, on(9), on(9)], []),
    ],
)
def test_lacking_days_are_told(days: list[date | None], words: list[str]) -> None:
    women = ("v", "v", "w")
    listed = [exam(f"{n}", day, women[n]) for n, day in enumerate(days)]
    notices = date_notices(registry(exams=listed).exams)
    assert len(notices) == len(words)
    assert all(word in notice for word, notice in zip(words, notices, strict=True))


def test_some_lacking_days_are_counted() -> None:
    listed = [exam("1", DAY), exam("2", on(9)), exam("3", None), exam("4", None, "v")]
    assert "1 of these exams without exam_date" in date_notices(registry(exams=listed).exams)[0]
