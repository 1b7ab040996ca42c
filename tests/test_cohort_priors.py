"""Priors: planted exams of one woman, and what must hold for any."""

import subprocess
import sys
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.cohort.priors import find_priors
from mim.cohort.settings import PriorSettings

DAY = date(2020, 6, 1)


def before(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.mark.parametrize(
    ("others", "most", "expected"),
    [
        ([], 2, []),
        ([("itself", DAY)], 2, []),
        ([("later", before(-730))], 2, []),
        ([("no date", None), ("older", before(730))], 2, ["older"]),
        # Two rounds, given in the wrong order.
        ([("oldest", before(1460)), ("older", before(730))], 2, ["older", "oldest"]),
        ([("oldest", before(1460)), ("older", before(730))], 1, ["older"]),
        ([("older", before(730))], 0, []),
        # Six months are 182.625 days.
        ([("repeat", before(182))], 2, []),
        ([("prior", before(183))], 2, ["prior"]),
        # Repeated within a week: the newer of the two stands for the examination.
        ([("first", before(737)), ("again", before(730))], 2, ["again"]),
        # A chain of exams every four months thins out to every eight.
        ([(f"{n}", before(n * 122)) for n in range(7)], 3, ["2", "4", "6"]),
        # Two names on one day: the first by name, in whatever order they come.
        ([("b", before(730)), ("a", before(730))], 2, ["a"]),
    ],
)
def test_which_exams_are_priors(
    others: list[tuple[str, date | None]], most: int, expected: list[str]
) -> None:
    found = find_priors(DAY, others, PriorSettings(most=most))
    assert [name for name, _ in found] == expected


def test_one_of_the_exams_of_a_day_even_without_a_least_gap() -> None:
    others: list[tuple[str, date | None]] = [("x", DAY), ("b", before(1)), ("a", before(1))]
    found = find_priors(DAY, others, PriorSettings(most=3, least_gap_months=0))
    assert [name for name, _ in found] == ["a"]


def test_gap_is_in_months() -> None:
    [(_, months)] = find_priors(date(2020, 6, 1), [("p", date(2018, 6, 1))], PriorSettings())
    assert months == pytest.approx(24, abs=0.05)


def test_exam_without_date_has_no_priors() -> None:
    assert find_priors(None, [("older", before(730))], PriorSettings()) == []


def test_the_hospital_needs_no_polars() -> None:
    code = "import sys, mim.cohort.priors; sys.exit('polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


DAYS = st.one_of(st.none(), st.dates(date(2010, 1, 1), date(2014, 1, 1)))
SETTINGS = st.builds(
    PriorSettings, most=st.integers(0, 4), least_gap_months=st.floats(0, 30, allow_nan=False)
)


@given(DAYS, st.lists(DAYS, max_size=8), SETTINGS, st.randoms())
def test_priors_are_older_apart_sorted_and_few(
    day: date | None, days: list[date | None], settings: PriorSettings, random: object
) -> None:
    others = [(f"exam {n}", other) for n, other in enumerate(days)]
    known = dict(others)
    found = find_priors(day, others, settings)
    gaps = [0.0, *(months for _, months in found)]
    assert len(found) <= settings.most
    assert all(known[name] < day for name, _ in found)  # type: ignore[operator]
    assert all(
        later - sooner >= settings.least_gap_months and later > sooner
        for sooner, later in pairwise(gaps)
    )
    random.shuffle(others)  # type: ignore[attr-defined]
    assert find_priors(day, others, settings) == found
