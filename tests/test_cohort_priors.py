"""Priors and repeats: planted exams, a slow second opinion, a real programme, what must hold for any."""

import csv
import gzip
import subprocess
import sys
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.priors import first_of_repeats, pair_priors
from mim.cohort.settings import PriorSettings

DAY = date(2020, 6, 1)
MONTH = Fraction(487, 16)
"""Days in a month: 365.25 / 12."""
SERIES = Path(__file__).parents[2] / "shared" / "data" / "tables" / "ea1141_mg_series.csv.gz"

Exams = list[tuple[int, date | None]]
"""Woman and day of each exam."""


def before(days: int) -> date:
    return DAY - timedelta(days=days)


def columns(exams: Exams) -> tuple[np.ndarray, np.ndarray]:
    women = np.array([woman for woman, _ in exams], np.int64)
    return women, np.array([day for _, day in exams], "datetime64[D]")


def pairs(exams: Exams, asked: PriorSettings) -> list[list[tuple[int, float]]]:
    """For each exam the rows of its priors and their months."""
    priors, months = pair_priors(*columns(exams), asked)
    assert priors.shape == months.shape == (len(exams), asked.most)
    assert ((priors < 0) == np.isnan(months)).all()
    return [
        [(int(row), float(gap)) for row, gap in zip(rows, gaps, strict=True) if row >= 0]
        for rows, gaps in zip(priors, months, strict=True)
    ]


@pytest.mark.parametrize(
    ("others", "most", "expected"),
    [
        ([], 2, []),
        ([DAY], 2, []),
        ([before(-730)], 2, []),
        ([None, before(730)], 2, [1]),
        # Two rounds, given in the wrong order.
        ([before(1460), before(730)], 2, [1, 0]),
        ([before(1460), before(730)], 1, [1]),
        ([before(730)], 0, []),
        # Six months are 182.625 days.
        ([before(182)], 2, []),
        ([before(183)], 2, [0]),
        # Repeated within a week: the newer of the two stands for the examination.
        ([before(737), before(730)], 2, [1]),
        # A chain of exams every four months thins out to every eight.
        ([before(n * 122) for n in range(7)], 3, [2, 4, 6]),
        # Two on one day: the first.
        ([before(730), before(730)], 2, [0]),
    ],
)
def test_which_exams_are_priors(others: list[date | None], most: int, expected: list[int]) -> None:
    exams: Exams = [*((1, day) for day in others), (1, DAY)]
    found = pairs(exams, PriorSettings(most=most))[-1]
    assert [row for row, _ in found] == expected


def test_another_woman_has_no_say() -> None:
    exams: Exams = [(1, before(730)), (2, DAY), (3, before(730))]
    assert pairs(exams, PriorSettings()) == [[], [], []]


def test_one_of_the_exams_of_a_day_even_without_a_least_gap() -> None:
    exams: Exams = [(1, DAY), (1, before(1)), (1, before(1)), (1, DAY)]
    found = pairs(exams, PriorSettings(most=3, least_gap_months=0))
    assert [[row for row, _ in priors] for priors in found] == [[1], [], [], [1]]


def test_gap_is_in_months() -> None:
    exams: Exams = [(7, date(2018, 6, 1)), (7, DAY)]
    [(_, months)] = pairs(exams, PriorSettings())[1]
    assert months == pytest.approx(24, abs=0.05)


@pytest.mark.parametrize("day", [None, DAY])
def test_missing_and_equal_days_give_no_priors(day: date | None) -> None:
    exams: Exams = [(n % 3, day) for n in range(12)]
    assert not any(pairs(exams, PriorSettings(least_gap_months=0, most=2)))


def test_repeats_are_counted_from_the_first() -> None:
    days = [0, 5, 7, 10, 14, 17, 18, 40]
    exams: Exams = [(1, DAY + timedelta(days=day)) for day in days]
    assert first_of_repeats(*columns(exams), 7).tolist() == [0, 0, 0, 3, 3, 3, 6, 7]
    assert first_of_repeats(*columns(exams), 0).tolist() == list(range(8))


def test_no_exams() -> None:
    assert pairs([], PriorSettings()) == []
    assert first_of_repeats(*columns([]), 7).size == 0


def test_the_hospital_needs_no_polars() -> None:
    code = "import sys, mim.cohort.priors; sys.exit('polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def slow_priors(exams: Exams, asked: PriorSettings) -> list[list[tuple[int, float]]]:
    """The words of ``mim.cohort.priors``, exam by exam, in exact fractions of months."""
    found = []
    for woman, day in exams:
        hers: list[tuple[int, float]] = []
        nearest = day
        # Newest first; of one day the exam that comes first.
        earlier = sorted(
            (-other.toordinal(), row, other)
            for row, (whose, other) in enumerate(exams)
            if whose == woman and other is not None and day is not None and other < day
        )
        for _, row, other in earlier:
            assert nearest is not None
            assert day is not None
            gap = (nearest - other).days / MONTH
            if len(hers) < asked.most and other < nearest and gap >= asked.least_gap_months:
                hers.append((row, float((day - other).days / MONTH)))
                nearest = other
        found.append(hers)
    return found


def slow_first(exams: Exams, days: int) -> list[int]:
    """Each woman's exams in order of their day; one too late for the group begins another."""
    first = list(range(len(exams)))
    begun: dict[int, int] = {}
    dated = [(day, row, woman) for row, (woman, day) in enumerate(exams) if day is not None]
    for day, row, woman in sorted(dated):
        begin = exams[begun[woman]][1] if woman in begun else None
        if begin is None or (day - begin).days > days:
            begun[woman] = row
        first[row] = begun[woman]
    return first


DAYS = st.one_of(
    st.none(),
    st.integers(0, 40).map(before),
    st.dates(date(2010, 1, 1), date(2014, 1, 1)),
)
WOMEN = st.sampled_from([-(2**62), -1, 0, 5, 2**62])
EXAMS = st.lists(st.tuples(WOMEN, DAYS), max_size=14)
SETTINGS = st.builds(
    PriorSettings,
    most=st.integers(0, 4),
    least_gap_months=st.integers(0, 120).map(lambda quarters: quarters / 4),
)


@given(EXAMS, SETTINGS)
def test_priors_are_those_of_the_words(exams: Exams, asked: PriorSettings) -> None:
    assert pairs(exams, asked) == slow_priors(exams, asked)


@given(EXAMS, st.integers(0, 20))
def test_repeats_are_those_of_the_words(exams: Exams, days: int) -> None:
    assert first_of_repeats(*columns(exams), days).tolist() == slow_first(exams, days)


@settings(max_examples=50)
@given(EXAMS, SETTINGS)
def test_priors_are_older_apart_sorted_and_few(exams: Exams, asked: PriorSettings) -> None:
    for (woman, day), priors in zip(exams, pairs(exams, asked), strict=True):
        assert len(priors) <= asked.most
        assert all(exams[row][0] == woman for row, _ in priors)
        timeline = [day, *(exams[row][1] for row, _ in priors)]
        assert day is not None or not priors
        for later, sooner in pairwise(timeline):
            assert later is not None
            assert sooner is not None
            assert sooner < later
            assert (later - sooner).days / MONTH >= asked.least_gap_months
        for (_, months), sooner in zip(priors, timeline[1:], strict=True):
            assert sooner is not None
            assert day is not None
            assert months * 30.4375 == pytest.approx((day - sooner).days)


@settings(max_examples=50)
@given(EXAMS, SETTINGS, st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_order_of_the_exams_matters_only_within_a_day(
    exams: Exams, asked: PriorSettings, days: int, random: object
) -> None:
    exams = list(dict.fromkeys(exams))
    order = list(range(len(exams)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [exams[row] for row in order]
    found, again = pairs(exams, asked), pairs(shuffled, asked)
    first, first_again = (first_of_repeats(*columns(e), days) for e in (exams, shuffled))
    for place, row in enumerate(order):
        assert [(order[prior], gap) for prior, gap in again[place]] == found[row]
        assert order[first_again[place]] == first[row]


@pytest.mark.skipif(not SERIES.exists(), reason="needs the tables of shared/data")
def test_a_real_programme() -> None:
    """EA1141 (doi 10.7937/2bas-hr33): series of 498 women, their days moved but not apart.

    The figures are of a count in plain Python, made apart from this code: 58 pairs of studies on
    one day; within a week 63 studies repeat another.
    """
    studies: dict[str, tuple[str, date]] = {}
    with gzip.open(SERIES, "rt", newline="") as lines:
        for series in csv.DictReader(lines):
            woman, day = series["PatientID"], date.fromisoformat(series["StudyDate"])
            known = studies.setdefault(series["StudyInstanceUID"], (woman, day))
            studies[series["StudyInstanceUID"]] = min(known, (woman, day))
    names = {woman: number for number, (woman, _) in enumerate(studies.values())}
    listed = [(names[woman], day) for woman, day in studies.values()]
    assert (len(listed), len(names)) == (1018, 498)
    assert sum(one == other for one, other in pairwise(sorted(listed))) == 58
    first = first_of_repeats(*columns(listed), 7)
    assert (first != np.arange(1018)).sum() == 63
    exams = [listed[row] for row in np.unique(first)]
    found = pairs(exams, PriorSettings(most=2))
    gaps = sorted(round(priors[0][1] * 30.4375) for priors in found if priors)
    assert (len(gaps), sum(len(priors) == 2 for priors in found)) == (451, 7)
    assert (gaps[0], gaps[225], gaps[-1], sum(gaps)) == (192, 373, 1624, 173_939)
    # Without making repeats one, no study has one of its own day as a prior either.
    for (_, day), priors in zip(listed, pairs(listed, PriorSettings()), strict=True):
        assert all(listed[row][1] < day for row, _ in priors)


@pytest.mark.slow
@settings(max_examples=2000)
@given(EXAMS, SETTINGS)
def test_priors_are_those_of_the_words_in_many_more_cases(
    exams: Exams, asked: PriorSettings
) -> None:
    assert pairs(exams, asked) == slow_priors(exams, asked)
