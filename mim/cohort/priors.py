"""Repeats and priors: which exams of a woman are one, and which come before which.

Training and hospital share these rules; numpy only. An exam is a row of two arrays, ``women``
int64 [exam] (the same number, the same woman) and ``days`` datetime64[D] [exam] (NaT: unknown).

A repeat is the same examination, done again or sent as two studies: it lies within
``same_exam_days`` after the first exam of its group. Groups are counted from their first exam, so
a chain of exams a few days apart does not grow into one without end.

Nothing within the least gap before an exam is its prior, and of earlier exams that lie within the
least gap of each other only the newest is one, counted from the newest back. Of several exams on
one day there is at most one, even where the least gap is zero. Exams without a day have no priors
and are none; where all days are equal, as in collections that removed them, there are none either.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from mim.cohort.settings import PriorSettings
from mim.vocab import DAYS_PER_MONTH


def pair_priors(
    women: NDArray[np.int64], days: NDArray[np.datetime64], settings: PriorSettings
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each exam's priors, newest first: their rows, and months from them to the exam.

    Both are [exam, ``settings.most``], filled up with -1 and NaN. Of exams of a woman on one day
    the one that comes first in the arrays is taken.
    """
    least = max(1, ceil(settings.least_gap_months * DAYS_PER_MONTH))
    rows, woman, moments = _timeline(women, days, least)
    sooner = np.searchsorted(moments, moments - least, "right") - 1
    hers = (sooner >= 0) & (woman[sooner] == woman)
    first_of_day = np.searchsorted(moments, moments[sooner], "left")
    # A place before the first exam leads nowhere again: the last cell, which -1 finds.
    step_back = np.append(np.where(hers, first_of_day, -1), -1)
    priors = np.full((len(women), settings.most), -1, np.int64)
    months = np.full(priors.shape, np.nan)
    at = np.arange(len(rows))
    for nth in range(settings.most):
        at = step_back[at]
        found = at >= 0
        priors[rows[found], nth] = rows[at[found]]
        months[rows[found], nth] = (moments[found] - moments[at[found]]) / DAYS_PER_MONTH
    return priors, months


def first_of_repeats(
    women: NDArray[np.int64], days: NDArray[np.datetime64], same_exam_days: int
) -> NDArray[np.int64]:
    """For each exam the row of the examination's first exam, itself where it repeats none.

    Of exams of a woman on one day the one that comes first in the arrays is the first. Exams
    without a day repeat none.
    """
    rows, _, moments = _timeline(women, days, same_exam_days)
    begins = np.diff(moments, prepend=-same_exam_days - 1) > same_exam_days
    group = np.flatnonzero(begins[:-1] & ~begins[1:])
    while group.size:
        group = np.searchsorted(moments, moments[group] + same_exam_days, "right")
        group = group[group < len(rows)]
        group = group[~begins[group]]
        begins[group] = True
    first = np.arange(len(women))
    first[rows] = rows[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))]
    return first


def _timeline(
    women: NDArray[np.int64], days: NDArray[np.datetime64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows with a day, by woman, day and place in the arrays; their women from 0; their moments.

    Moments are days on one line that holds all women, one after the other and more than ``room``
    days apart, so that one search serves all. The first is 0.
    """
    rows = np.flatnonzero(~np.isnat(days))
    rows = rows[np.lexsort((days[rows], women[rows]))]
    if not rows.size:
        return rows, rows, rows
    hers = women[rows]
    woman = np.cumsum(np.append(False, hers[1:] != hers[:-1]))
    day = days[rows].astype("datetime64[D]").astype(np.int64)
    day -= day.min()
    moments = day + woman * (day.max() + room + 1)
    return rows, woman, moments - moments[0]
