"""Readings, decisions and cancers reach the exams of the cohort that they are of."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from made_registry import Book, books, windows
from scanner import traces
from test_cohort_build import FIRST, SECOND, Programme, cohort_exams, hidden

from mim.cohort.labels import label_exams
from mim.cohort.programme_tables import find_cancers, find_decisions, find_readings
from mim.cohort.settings import OutcomeSettings
from mim.schemas.cohort import CANCERS, DECISIONS, READINGS, SCORES
from mim.schemas.reference import GIVEN_SCORES
from mim.schemas.table import read_table
from mim.vocab import CANCERS as WITH_CANCER

Row = dict[str, Any]
SCHEMAS = {"readings": READINGS, "decisions": DECISIONS, "cancers": CANCERS, "scores": SCORES}


def written(folder: Path, name: str) -> list[tuple[Any, ...]]:
    """Rows of a table of the cohort; exams by the day on which they were made."""
    days = {exam: row["exam_date"] for exam, row in cohort_exams(folder).items()}
    rows = read_table(folder / f"cohort/{name}.parquet", SCHEMAS[name]).to_pylist()
    return sorted(((days[row.pop("exam")], *row.values()) for row in rows), key=str)


def reading(exam: str, reader: str, breast: str, score: int, turn: int | None = None) -> Row:
    return {
        "exam_id": exam,
        "reader": reader,
        "breast": breast,
        "score": score,
        "reading": turn,
    }


def test_readings_and_decisions_reach_their_exams_and_no_reader_is_named(tmp_path: Path) -> None:
    """Dr. Quaresma began before Dr. Abel, who reads an exam that has no images too."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.screened("E2", "W1", SECOND)
    programme.exam("E3", "W2", SECOND)
    quaresma, abel = "Dr.Quaresma", "Dr.Abel"
    programme.others = {
        "readings": [
            reading("E2", abel, "L", 1, 1),
            reading("E2", quaresma, "L", 4, 2),
            reading("E2", abel, "R", 2),
            reading("E1", quaresma, "R", 1, 1),
            reading("E3", abel, "L", 5, 1),
        ],
        "decisions": [
            {"exam_id": "E2", "consensus": True, "recalled": False},
            {"exam_id": "E1", "consensus": None, "recalled": True},
            {"exam_id": "E3", "consensus": None, "recalled": True},
        ],
    }
    programme.build(tmp_path)
    assert written(tmp_path, "readings") == [
        (FIRST, "reader 1", "R", 1, 1),
        (SECOND, "reader 1", "L", 4, 2),
        (SECOND, "reader 2", "L", 1, 1),
        (SECOND, "reader 2", "R", 2, None),
    ]
    assert written(tmp_path, "decisions") == [(FIRST, None, True), (SECOND, True, False)]
    counts = json.loads((tmp_path / "cohort/cohort.json").read_text())["counts"]["all"]
    assert (counts["readings"], counts["decisions, exams"]) == (4, 2)
    assert traces(tmp_path / "registry", ["quaresma", "abel"])
    assert traces(tmp_path / "cohort", ["quaresma", "dr.abel", "E1", "E2"]) == set()


def test_scores_of_products_reach_their_exams_as_a_score_table(tmp_path: Path) -> None:
    """E3 has no images. E2 is E1 done again, and scored higher by one of the two models."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.screened("E2", "W1", FIRST + timedelta(days=3))
    programme.exam("E3", "W2", SECOND)
    given = (
        ("E1", "product", None, 4),
        ("E2", "product", None, 9),
        ("E3", "product", None, 10),
        ("E1", "ours", "R", 0.5),
        ("E2", "ours", "R", 0.25),
        ("E1", "ours", "L", -0.125),
    )
    names = ("exam_id", "model", "breast", "score")
    programme.others = {"scores": [dict(zip(names, row, strict=True)) for row in given]}
    programme.build(tmp_path)
    assert written(tmp_path, "scores") == [
        (FIRST, "L", -0.125, "ours"),
        (FIRST, "R", 0.5, "ours"),
        (FIRST, None, 9.0, "product"),
    ]
    assert SCORES.arrow().names == GIVEN_SCORES.arrow().names
    counts = json.loads((tmp_path / "cohort/cohort.json").read_text())["counts"]["all"]
    assert counts["scores of other models"] == 3
    assert traces(tmp_path / "cohort", ["E1", "E2", "E3"]) == set()


def test_tables_of_an_earlier_cohort_are_removed(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.others = {
        "readings": [reading("E1", "a", "L", 1)],
        "decisions": [{"exam_id": "E1", "recalled": False}],
        "scores": [{"exam_id": "E1", "model": "a", "score": 7}],
    }
    programme.cancers = [{"woman_id": "W1", "diagnosis_date": FIRST, "breast": "R"}]
    programme.build(tmp_path)
    names = {f"{name}.parquet" for name in SCHEMAS}
    assert names <= {path.name for path in (tmp_path / "cohort").iterdir()}
    for name in programme.others:
        (tmp_path / f"registry/{name}.csv").unlink()
    programme.others, programme.cancers = {}, []
    programme.build(tmp_path)
    assert not names & {path.name for path in (tmp_path / "cohort").iterdir()}


def test_a_reading_that_two_readers_claim_is_unknown_and_told(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    claims = [reading("E1", "a", "L", 1, 1), reading("E1", "b", "L", 2, 1)]
    others = [reading("E1", "a", "R", 1, 1), reading("E1", "b", "R", 2, 2)]
    programme.others = {"readings": [*claims, *others]}
    programme.build(tmp_path)
    assert [(row[2], row[4]) for row in written(tmp_path, "readings")] == [
        ("L", None),
        ("R", 1),
        ("L", None),
        ("R", 2),
    ]
    notices = json.loads((tmp_path / "cohort/cohort.json").read_text())["notices"]
    told = [line for line in notices if line.startswith("readings")]
    assert told == [
        "readings.csv: row 2 and 1 more: two readers have the same reading of one breast; whose it "
        "is counts as unknown"
    ]


def test_what_was_said_of_an_exam_done_again_stands_under_the_first(tmp_path: Path) -> None:
    """Scores count wherever they were given; who read first is by the first of the exams."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.screened("E2", "W1", FIRST + timedelta(days=3))
    programme.others = {
        "readings": [
            reading("E1", "a", "L", 1, 1),
            reading("E1", "b", "L", 1, 2),
            reading("E2", "a", "L", 3, 2),
            reading("E2", "c", "L", 2, 1),
            reading("E2", "c", "R", 1, 1),
        ],
        "decisions": [
            {"exam_id": "E1", "consensus": True, "recalled": False},
            {"exam_id": "E2", "consensus": False, "recalled": True},
        ],
    }
    programme.cancers = [
        {"woman_id": "W1", "diagnosis_date": FIRST + timedelta(days=20), "breast": "L", "grade": 3}
    ]
    programme.build(tmp_path)
    assert written(tmp_path, "readings") == [
        (FIRST, "reader 1", "L", 3, 1),
        (FIRST, "reader 2", "L", 1, 2),
        (FIRST, "reader 3", "L", 2, None),
        (FIRST, "reader 3", "R", 1, 1),
    ]
    assert written(tmp_path, "decisions") == [(FIRST, True, True)]
    assert written(tmp_path, "cancers") == [(FIRST, "L", 20 / 365.25, None, None, 3)]


def test_a_breast_has_the_cancer_that_decided_its_outcome(tmp_path: Path) -> None:
    """W1: an interval cancer on both sides, on the left two. W2: a later cancer."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.screened("E2", "W2", FIRST)

    def cancer(woman: str, days: int, breast: str, *facts: object) -> Row:
        about = dict(zip(("invasive", "size_mm", "grade"), facts, strict=True))
        day = FIRST + timedelta(days=days)
        return {"woman_id": woman, "diagnosis_date": day, "breast": breast, **about}

    programme.cancers = [
        cancer("W1", 400, "L", True, 30.0, 3),
        cancer("W1", 300, "L", False, 8.5, None),
        cancer("W1", 300, "R", None, None, None),
        cancer("W2", 900, "L", True, 12.0, 1),
    ]
    programme.build(tmp_path)
    assert written(tmp_path, "cancers") == [
        (FIRST, "L", 300 / 365.25, False, 8.5, None),
        (FIRST, "R", 300 / 365.25, None, None, None),
    ]
    counts = json.loads((tmp_path / "cohort/cohort.json").read_text())["counts"]["all"]
    assert counts["interval cancer, breasts"] == 2
    assert counts["cancers described, breasts"] == 1


def test_an_outcome_that_is_given_has_the_cancer_of_its_time_alone(tmp_path: Path) -> None:
    """All have a cancer of 15 mm 40 days after the exam, but the outcomes say when theirs was."""
    programme = Programme()
    known = {"W1": 40 / 365.25, "W2": 10 / 365.25, "W3": 8 / 365.25, "W4": None}
    days = {woman: FIRST + timedelta(days=n) for n, woman in enumerate(known)}
    for woman, day in days.items():
        programme.screened(f"E{woman}", woman, day)
        size = {"breast": "L", "size_mm": 15}
        diagnosed = {"woman_id": woman, "diagnosis_date": day + timedelta(days=40)}
        programme.cancers.append(diagnosed | size)
    programme.others = {
        "outcomes": [
            {"exam_id": f"E{w}", "breast": "L", "outcome": "cancer", "years_to_cancer": years}
            for w, years in known.items()
        ]
    }
    programme.build(tmp_path)
    sizes = {row[0]: row[4] for row in written(tmp_path, "cancers")}
    assert [sizes[days[woman]] for woman in known] == [15.0, 15.0, None, None]
    assert hidden("W1") in {row["woman"] for row in cohort_exams(tmp_path).values()}


def named(book: Book) -> pl.DataFrame:
    """The exams of a registry under their own names."""
    return pl.DataFrame(
        {"exam_id": list(book.exams), "exam": list(book.exams)},
        schema={"exam_id": pl.String, "exam": pl.String},
    )


@settings(max_examples=100)
@given(books(), windows(), st.randoms(use_true_random=False))
def test_cancers_and_readings_as_one_by_one_and_in_any_order(
    book: Book, by: OutcomeSettings, random: Any
) -> None:
    registry = book.registry()
    labels = label_exams(registry, by)
    exams = registry.exams.join(labels, on="exam_id").join(named(book), on="exam_id")
    found = {row[:2]: row[2:] for row in find_cancers(registry, exams).rows()}
    expected = {}
    for row in exams.iter_rows(named=True):
        woman, day = book.exams[row["exam_id"]]
        for breast, side in (("L", "left"), ("R", "right")):
            if row[f"{side}_outcome"] not in WITH_CANCER:
                continue
            years = row[f"{side}_years_to_cancer"]
            hers = [d for (w, d, b) in book.cancers if (w, b) == (woman, breast)]
            timed = bool(hers) and years is not None and day is not None
            its_own = timed and abs(min(hers) - day - years * 365.25) <= 31
            size = min(hers) + 1.0 if its_own else None
            expected[row["exam_id"], breast] = (years, None, size, None)
    assert found == expected

    readings = find_readings(registry, named(book))
    said = {(exam, reader, breast): score for exam, reader, breast, score, _ in readings.rows()}
    assert len(said) == len(book.readings)
    first: dict[str, int] = {}
    for exam, reader, _ in book.readings:
        day = book.exams[exam][1]
        first[reader] = min(first.get(reader, 999), 999 if day is None else day)
    order = sorted(first, key=lambda reader: (first[reader], reader))
    numbers = {reader: f"reader {number}" for number, reader in enumerate(order, start=1)}
    assert said == {(e, numbers[r], b): score for (e, r, b), score in book.readings.items()}

    def shuffled(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        return random.sample(rows, len(rows))

    again = book.registry(shuffled)
    assert sorted(find_readings(again, named(book)).rows()) == sorted(readings.rows())
    decided = find_decisions(again, named(book)).rows()
    assert sorted(decided) == sorted((e, *words) for e, words in book.decisions.items())


def test_a_reader_who_joins_later_changes_no_number() -> None:
    book = Book(exams={"A": ("w", 0), "B": ("w", 5), "C": ("w", 9)})
    book.readings.update({("A", "zoe", "L"): 1, ("B", "yan", "L"): 1})
    before = find_readings(book.registry(), named(book)).rows()
    book.readings["C", "adam", "L"] = 1
    after = find_readings(book.registry(), named(book)).rows()
    assert sorted(after) == [*sorted(before), ("C", "reader 3", "L", 1, None)]
