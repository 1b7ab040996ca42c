"""Whether a probability is what it says: intercept, slope, expected over observed, Brier score.

Definitions follow Van Calster 2019 (doi 10.1186/s12916-019-1466-7). Probabilities and outcomes are
arrays ``[row]``; every figure is a function of weights ``[row]``, as the bootstrap needs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mim.evaluate.bootstrap import NORMAL_95, Bools, Floats, Ints, Statistic, alike, share
from mim.evaluate.figures import ANY_CANCER, ClosedForm, Figure
from mim.evaluate.sections import Measurer
from mim.evaluate.settings import BootstrapSettings
from mim.schemas.score_scale import log_odds
from mim.vocab import Task

CALIBRATION = ("expected_over_observed", "calibration_intercept", "calibration_slope", "brier")
"""Figures of ``calibration_statistic``, in its order."""

CELLS_PER_LOG_ODD = 128
"""Rows whose log odds lie within one part of so many count as one, at their mean."""

MOST_STEPS = 50
MOST_MOVED = 5.0


class Cells(NamedTuple):
    """Rows put together by outcome and log odds, so that a fit takes no time for each row."""

    place: Ints
    """``[row]``, its cell."""
    first: Ints
    """``[cell]``, one of its rows."""
    log_odds: Floats
    """``[cell]``"""
    cancer: Bools
    """``[cell]``"""

    def weight(self, of_rows: Floats) -> Floats:
        """The weight ``[cell]`` of weighted rows."""
        return np.bincount(self.place, of_rows, len(self.cancer)).astype(np.float64)

    def mean(self, of_rows: Floats) -> Floats:
        """The mean ``[cell]`` of a column ``[row]``."""
        return self.weight(of_rows) / np.bincount(self.place)


def calibration_statistic(probability: Floats, cancer: Bools) -> Statistic:
    """The figures of ``CALIBRATION`` as a function of weights; NaN where one is not defined.

    - expected over observed: the sum of probabilities over that of cancers; 1 is calibrated.
    - intercept (calibration in the large): a of log odds(cancer) = a + log odds(probability); 0 is
      calibrated, below 0 the probabilities are too high.
    - slope: b of log odds(cancer) = a + b log odds(probability) (Cox 1958, doi
      10.1093/biomet/45.3-4.562); 1 is calibrated, below 1 they are too extreme.
    - Brier score: mean of (probability - cancer)^2 (1950); 0 is best. At 8 cancers in 1,000 it is
      below 0.008 whatever the model says, so it compares models and nothing else.

    Intercept and slope need cancers and others, the slope two different probabilities; it is NaN
    where the probabilities part cancers from the others without overlap.

    Args:
        probability: ``[row]``, 0 to 1.
        cancer: ``[row]``.
    """
    cells = cells_of(log_odds(probability), cancer)
    columns = np.column_stack([probability, (probability - cancer) ** 2])

    def statistic(weights: Floats) -> Floats:
        return _figures(cells, cells.weight(weights), *(weights @ columns).tolist())

    return statistic


def _figures(cells: Cells, weights: Floats, expected: float, squares: float) -> Floats:
    """The figures of ``CALIBRATION``.

    Args:
        cells: of the rows.
        weights: ``[cell]``
        expected: weighted sum of the rows' probabilities.
        squares: weighted sum of their squared distances from what came.
    """
    brier = float(share(squares, weights.sum()))
    # Not from the sums: those of uneven weights are rounded.
    if not (weights[cells.cancer].any() and weights[~cells.cancer].any()):
        return np.array([np.nan, np.nan, np.nan, brier])
    return np.array(
        [
            expected / (weights @ cells.cancer),
            _in_the_large(cells, weights),
            _recalibrated(cells, weights)[0][1],
            brier,
        ]
    )


def recalibration(of_rows: Floats, cancer: Bools, weights: Floats) -> tuple[float, float]:
    """Intercept and slope of log odds(cancer) on log odds ``[row]``; NaN where none fits."""
    cells = cells_of(of_rows, cancer)
    intercept, slope = _recalibrated(cells, cells.weight(weights))[0].tolist()
    return intercept, slope


def closed_forms(probability: Floats, cancer: Bools) -> list[ClosedForm | None]:
    """95 % intervals of the figures of ``CALIBRATION`` by formula, of rows that count once each.

    They take rows for independent. Expected over observed: normal on the log scale, with variance
    (1 - share observed) / cancers (Debray 2017, doi 10.1136/bmj.i6460), which takes the expected for
    fixed and is a little too wide; intercept and slope: Wald, from Fisher's information; Brier
    score: normal, from the variance of the squares. None where a figure is not defined.
    """
    weights = np.ones(len(cancer))
    ratio, intercept, slope, brier = calibration_statistic(probability, cancer)(weights).tolist()
    cells = cells_of(log_odds(probability), cancer)
    of_cells = cells.weight(weights)
    found: list[ClosedForm | None] = [None] * len(CALIBRATION)
    if not np.isnan(ratio):
        width = NORMAL_95 * np.sqrt((1 - cancer.mean()) / cancer.sum())
        found[0] = ClosedForm(
            float(ratio * np.exp(-width)), float(ratio * np.exp(width)), "log normal"
        )
        chance = expit(intercept + cells.log_odds)
        found[1] = _normal(intercept, 1 / (of_cells @ (chance * (1 - chance))), "Wald")
    if not np.isnan(slope):
        found[2] = _normal(slope, _recalibrated(cells, of_cells)[1], "Wald")
    if len(cancer) > 1:
        squares = (probability - cancer) ** 2
        found[3] = _normal(brier, squares.var(ddof=1) / len(cancer), "normal")
    return found


def calibration_figures(
    probability: Floats,
    cancer: Bools,
    woman: npt.NDArray[np.generic],
    weights: Floats,
    maker: str,
    settings: BootstrapSettings,
) -> list[Figure]:
    """The figures of ``CALIBRATION`` of exams whose outcome is known, of one maker or all.

    The closed forms are left out where exams do not count once each.

    Args:
        probability: ``[exam]``, 0 to 1.
        cancer: ``[exam]``.
        woman: ``[exam]``.
        weights: ``[exam]``, as of ``mim.evaluate.prevalence``.
        maker: whose exams they are, or "all".
        settings: of the bootstrap.
    """
    cells = cells_of(log_odds(probability), cancer, weights)
    weight = weights[cells.first]
    columns = np.column_stack([cells.mean(probability), cells.mean((probability - cancer) ** 2)])

    def statistic(drawn: Floats) -> Floats:
        counted = drawn * weight
        return _figures(cells, counted, *(counted @ columns).tolist())

    found = Measurer(Task.CANCER, "exams", settings).figures(
        [(name, None) for name in CALIBRATION],
        statistic,
        woman,
        [cancer] * len(CALIBRATION),
        maker,
        ANY_CANCER,
        cells.place,
    )
    closed: Sequence[ClosedForm | None] = [None] * len(found)
    if (weights == 1).all():
        closed = closed_forms(probability, cancer)
    return [replace(figure, closed=form) for figure, form in zip(found, closed, strict=True)]


def equal_groups(probability: Floats, weights: Floats, groups: int) -> Ints:
    """The group ``[row]`` of each row, from 0 on: equal weights, and equal probabilities in one group.

    Args:
        probability: ``[row]``
        weights: ``[row]``
        groups: wanted; fewer where many probabilities are equal.
    """
    _, place = np.unique(probability, return_inverse=True)
    weight = np.bincount(place, weights)
    middle = (np.cumsum(weight) - weight / 2) / max(weight.sum(), np.finfo(float).tiny)
    group: Ints = np.minimum((middle * groups).astype(np.int64), groups - 1)
    return group[place]


def cells_of(of_rows: Floats, cancer: Bools, *others: npt.NDArray[np.generic]) -> Cells:
    """Rows with nearly equal log odds ``[row]``, and equal in all other columns ``[row]``, as one cell."""
    part = np.floor(of_rows * CELLS_PER_LOG_ODD).astype(np.int64)
    place, first = alike(part, cancer, *others)
    # Rounded, so that equal probabilities stay equal, with a cancer and without.
    means = (np.bincount(place, of_rows) / np.bincount(place)).round(9)
    return Cells(place, first, means, cancer[first])


def _in_the_large(cells: Cells, weights: Floats) -> float:
    """The intercept at slope 1, by Newton's steps."""
    cancers = float(weights @ cells.cancer)
    intercept = 0.0
    for _ in range(MOST_STEPS):
        chance = expit(intercept + cells.log_odds)
        step = (cancers - weights @ chance) / (weights @ (chance * (1 - chance)))
        intercept += float(np.clip(step, -2, 2))
        if abs(step) < 1e-10:
            break
    return intercept


def _recalibrated(cells: Cells, weights: Floats) -> tuple[Floats, float]:
    """Intercept and slope (Cox), by Newton's steps, and the slope's variance; NaN without a fit."""
    nothing = np.full(2, np.nan), float("nan")
    drawn = weights > 0
    here, cancer, weights = cells.log_odds[drawn], cells.cancer[drawn], weights[drawn]
    one_kind = not cancer.any() or cancer.all()
    if one_kind or np.ptp(here) == 0 or _parted(here, cancer):
        return nothing
    centre = float(np.average(here, weights=weights))
    # Centred, the two are nearly independent and the steps few.
    design = np.column_stack([np.ones(len(here)), here - centre])
    share = np.average(cancer, weights=weights)
    found = np.array([np.log(share / (1 - share)), 0.0])
    for _ in range(MOST_STEPS):
        chance = expit(design @ found)
        information = design.T @ (design * (weights * chance * (1 - chance))[:, None])
        step = np.linalg.solve(information, design.T @ (weights * (cancer - chance)))
        if np.abs(step).max() < 1e-9:
            variance = float(np.linalg.inv(information)[1, 1])
            return np.array([found[0] - found[1] * centre, found[1]]), variance
        found = found + _shortened(step, found, design, cancer, weights)
    return nothing


def _shortened(
    step: Floats, found: Floats, design: Floats, cancer: Bools, weights: Floats
) -> Floats:
    """Newton's step, moving no log odds by more than ``MOST_MOVED``, halved until the fit is no worse."""

    def misfit(at: Floats) -> float:
        said = design @ at
        return float(weights @ (np.logaddexp(0, said) - cancer * said))

    step = step * min(1.0, MOST_MOVED / np.abs(design @ step).max())
    # Near the end the misfit no longer tells steps apart.
    allowed = misfit(found) * (1 + 1e-12)
    while misfit(found + step) > allowed:
        step = step / 2
    return step


def _parted(here: Floats, cancer: Bools) -> bool:
    """Whether a cut parts cancers from the others, so that no slope is steep enough."""
    sick, healthy = here[cancer], here[~cancer]
    return bool(sick.min() >= healthy.max() or sick.max() <= healthy.min())


def _normal(value: float, variance: float, name: str) -> ClosedForm:
    width = NORMAL_95 * float(np.sqrt(variance))
    return ClosedForm(value - width, value + width, name)
