"""Agreement of readers with each other, and of models with readers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, vstack

from mim.evaluate.agreement import Weighting, kappa_of
from mim.evaluate.bootstrap import Bools, Floats, Ints, Times, base_of, estimate, over_blocks
from mim.evaluate.figures import ALL, Figure
from mim.evaluate.measured import Measured
from mim.evaluate.paired import equal_specificity
from mim.evaluate.readers import FIRST, POSITIVE, SECOND, Calls, double_readings
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import Task

CLASSES = 5
"""Scores that a reader can give."""


class _Judges(NamedTuple):
    """Two who put the same exams into classes.

    Attributes:
        names: who they are.
        rule: how a model selects, if one of them is one.
        known: ``[exam]``, whether both did.
        cell: of each exam known, the one's class, from 0 on, times their number, and the other's.
        classes: how many there are.
    """

    names: str
    rule: str | None
    known: Bools
    cell: Ints
    classes: int


def agreement_figures(
    measured: Measured, callers: Sequence[Calls], settings: BootstrapSettings
) -> list[Figure]:
    """Kappas of first and second reading, and of each model with each caller.

    ``kappa_linear`` and ``kappa_quadratic`` are of the readers' scores, 1 to 5, ``kappa`` is of
    positive calls; a model's are the highest-scored exams, as many as the caller's and no more. That
    threshold counts as given, and every exam counts once, whatever the programme's prevalence.
    """
    exams = measured.sample.exams
    judges = [*_readers(measured), *(j for calls in callers for j in _models(exams, calls))]
    if not judges:
        return []
    woman = exams.woman - 1
    women = len(np.unique(woman))
    cells = vstack([_cells(judge, woman, women) for judge in judges], format="csr")
    starts = np.cumsum([0, *(judge.classes**2 for judge in judges)])

    def block(times: Times) -> Floats:
        counts = (cells @ times.T.astype(np.float32, order="C")).astype(np.float64)
        return np.array(
            [
                kappa_of(counts[start:][: j.classes**2].reshape(j.classes, j.classes, -1), way)
                for j, start in zip(judges, starts[:-1], strict=True)
                for _, way in _ways(j)
            ]
        ).T

    values = block(np.ones((1, women), np.uint8))[0]
    drawn = np.concatenate([*over_blocks(block, women, **asdict(settings))])
    named = [(judge, name) for judge in judges for name, _ in _ways(judge)]
    return [
        Figure(
            *(Task.CANCER, name, "exams", ALL, None),
            estimate(float(value), draws, base_of(woman[judge.known], None)),
            rule=judge.rule,
            model=judge.names,
        )
        for (judge, name), value, draws in zip(named, values, drawn.T, strict=True)
    ]


def _readers(measured: Measured) -> list[_Judges]:
    """First and second reading: their scores, and their positive calls."""
    both = double_readings(measured.sample)
    if not both.known.any():
        return []
    names, found = f"{FIRST} and {SECOND}", []
    first, second = both.first[both.known], both.second[both.known]
    scores = first * CLASSES + second - CLASSES - 1
    calls = 2 * (first >= POSITIVE) + (second >= POSITIVE)
    for cell, classes in ((scores, CLASSES), (calls, 2)):
        found.append(_Judges(names, None, both.known, cell, classes))
    return found


def _models(exams: Scored, calls: Calls) -> list[_Judges]:
    """Each model with a caller, selecting as many exams as she calls positive."""
    known, found = calls.known, []
    positive = calls.positive[known]
    for model, score in exams.scores.items():
        # Where no exam has a cancer, equally specific is equally many.
        same = equal_specificity(score[known], np.zeros(len(positive), np.bool_), positive)
        names, rule = f"{model} and {calls.name}", f"rate of {calls.name}"
        found.append(_Judges(names, rule, known, 2 * same.selected + positive, 2))
    return found


def _cells(judges: _Judges, woman: Ints, women: int) -> csr_array:
    """How many of a woman's exams fall into each pair of classes ``[pair, woman]``."""
    ones = np.ones(len(judges.cell), np.float32)
    place = judges.cell, woman[judges.known]
    return csr_array((ones, place), shape=(judges.classes**2, women))


def _ways(judges: _Judges) -> list[tuple[str, Weighting]]:
    """Names and weightings of what is measured: of two classes there is one kappa."""
    if judges.classes == 2:
        return [("kappa", Weighting.LINEAR)]
    return [(f"kappa_{way}", way) for way in Weighting]
