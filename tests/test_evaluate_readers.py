"""Readers' calls against tables written by hand and plain loops."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.evaluate import readers
from mim.evaluate.readers import (
    CONSENSUS,
    EITHER,
    FIRST,
    RECALL,
    SECOND,
    Calls,
    double_readings,
    reader_calls,
    single_readers,
)
from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored
from mim.schemas.reference import GIVEN_READINGS

Reading = tuple[str, str, str | None, int, int | None]


def sample(
    exams: list[tuple[str, bool | None, bool | None, bool | None]], readings: list[Reading]
) -> Sample:
    """A sample of (exam, cancer, consensus, recalled) and (exam, reader, breast, score, reading)."""
    rows = pl.DataFrame(
        exams,
        schema={"exam": pl.String, "cancer": pl.Boolean, "consensus": pl.Boolean}
        | {"recalled": pl.Boolean},
        orient="row",
    )
    names = GIVEN_READINGS.arrow().names
    types = pl.DataFrame(pl.from_arrow(GIVEN_READINGS.from_rows([]))).schema
    given = pl.DataFrame(
        [
            dict(zip(("exam", "reader", "breast", "score", "reading"), r, strict=True))
            for r in readings
        ],
        schema={name: types[name] for name in names},
    )
    return Sample(None, Scored("exams", rows, {"A": np.zeros(len(rows))}, 0), given, ())


def words(calls: Calls) -> list[bool | None]:
    return [bool(p) if k else None for k, p in zip(calls.known, calls.positive, strict=True)]


EXAMS = [
    ("both", True, True, False),
    ("one", False, True, True),
    ("breasts", False, None, None),
    ("same reader", None, False, False),
    ("number unknown", False, False, None),
    ("none", True, None, None),
]
READINGS: list[Reading] = [
    ("both", "7", None, 1, 1),
    ("both", "8", None, 2, 2),
    ("one", "7", None, 4, 1),
    ("breasts", "8", "L", 1, 1),
    ("breasts", "8", "R", 3, 1),
    ("breasts", "9", "L", 1, 2),
    ("breasts", "9", "R", 1, 2),
    ("same reader", "9", "L", 2, 1),
    ("same reader", "9", "R", 1, 2),
    ("number unknown", "7", None, 1, None),
    ("number unknown", "8", None, 1, None),
]


def test_calls_of_a_programme_written_by_hand() -> None:
    found = {calls.name: words(calls) for calls in reader_calls(sample(EXAMS, READINGS))}
    assert found == {
        FIRST: [False, True, True, True, None, None],
        SECOND: [True, None, False, False, None, None],
        EITHER: [True, None, True, None, False, None],
        CONSENSUS: [True, True, None, False, False, None],
        RECALL: [False, True, None, False, None, None],
    }


def test_a_rate_is_of_the_exams_with_that_call() -> None:
    [first, *_] = reader_calls(sample(EXAMS, READINGS))
    assert first.rate == 3 / 4
    assert first.rate_of(np.ones(6)) == first.rate
    # Its calls are no, yes, yes, yes, unknown, unknown.
    assert first.rate_of(np.array([5.0, 1, 2, 2, 9, 9])) == 5 / 10


def test_double_readings_are_those_of_two_readers() -> None:
    found = double_readings(sample(EXAMS, READINGS))
    assert found.known.tolist() == [True, False, True, False, False, False]
    assert found.first[found.known].tolist() == [1, 3]
    assert found.second[found.known].tolist() == [2, 1]


def test_nothing_known_gives_no_calls() -> None:
    nothing = sample([("a", True, None, None)], [])
    assert reader_calls(nothing) == []
    assert [*single_readers(nothing)] == []
    assert not double_readings(nothing).known.any()


def test_single_readers_need_cancers_and_come_in_the_order_of_their_numbers(monkeypatch) -> None:
    monkeypatch.setattr(readers, "LEAST_CANCERS_READ", 2)
    exams = [(f"e{n}", cancer, None, None) for n, cancer in enumerate([True, True, False, None])]
    given: list[Reading] = [(f"e{n}", "10", None, 1 + n, 1) for n in range(4)]
    given += [("e0", "2", "L", 1, 2), ("e0", "2", "R", 5, 2), ("e1", "2", "L", 1, 2)]
    given += [("e0", "3", None, 2, None), ("e2", "3", None, 2, None), ("e3", "3", None, 2, None)]
    found = [*single_readers(sample(exams, given))]
    assert [calls.name for calls in found] == ["reader 2", "reader 10"]
    assert words(found[0]) == [True, False, None, None]
    assert words(found[1]) == [False, True, True, True]


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 4), st.sampled_from("abc"), st.sampled_from(["L", "R"])),
        st.tuples(st.integers(1, 5), st.sampled_from([1, 2, None])),
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_calls_are_those_of_a_plain_loop(given) -> None:
    exams = [(f"e{n}", True, None, None) for n in range(5)]
    rows: list[Reading] = [(f"e{e}", r, b, *said) for (e, r, b), said in given.items()]
    found = {calls.name: words(calls) for calls in reader_calls(sample(exams, rows))}
    for name, number in ((FIRST, 1), (SECOND, 2)):
        scores = [[s for e, _, _, s, n in rows if (e, n) == (f"e{x}", number)] for x in range(5)]
        wanted = [max(its) >= 2 if its else None for its in scores]
        assert found.get(name, [None] * 5) == wanted
    scores = [[(s, r) for e, r, _, s, _ in rows if e == f"e{x}"] for x in range(5)]
    wanted = [max(i)[0] >= 2 if len({r for _, r in i}) > 1 else None for i in scores]
    assert found.get(EITHER, [None] * 5) == wanted
