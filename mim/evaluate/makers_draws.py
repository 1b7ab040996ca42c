"""What every run of a sweep finds on each maker's test exams, of the exams and of resamples of women.

One set of draws serves all runs, makers and figures, so that every difference is a pair's. Of each
run and maker the exams are sorted once; a resample is then one cumulative sum of weights over the
exams free of cancer, from which the area and the sensitivity follow, and the shares selected by
all runs are one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from mim.evaluate.bootstrap import Bools, Floats, Ints, Times, over_blocks, share
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings, PrevalenceSettings
from mim.vocab import SELECTION_RATES

SPECIFICITY = 0.965
"""At which the sensitivity is told: 3.5 % of the exams free of cancer are selected, near the recalls
of a programme (3.2 % of all exams, ``SELECTION_RATES``)."""

AUC, SENSITIVITY, FIRST_RATE = 0, 1, 2
QUANTITIES = FIRST_RATE + len(SELECTION_RATES)
"""Figures of a run on a maker's exams: area, sensitivity, and the share selected at each rate."""


@dataclass(frozen=True)
class MakerRun:
    """One run of a sweep that can be measured.

    Attributes:
        name: of its scores among those of the exams.
        method: how it was trained; runs of one method differ in maker and seed alone.
        left_out: the maker that it has not seen; None: it has seen all.
        seed: of its training.
        thresholds: of the exam score at ``SELECTION_RATES``, from its own validation exams;
            missing: it has none.
    """

    name: str
    method: str
    left_out: str | None
    seed: int
    thresholds: tuple[float, ...] | None


class Draws(NamedTuple):
    """Figures of runs on makers' exams."""

    places: dict[tuple[str, str], int]
    """Of a run, by its name, and a maker."""
    drawn: Floats
    """``[1 + resample, place, quantity]``, those of the exams themselves first; NaN where not
    defined."""

    def of(self, run: str, maker: str) -> Floats:
        """``[1 + resample, quantity]`` of a run on a maker's exams."""
        return self.drawn[:, self.places[run, maker]]


def draw_makers(
    exams: Scored,
    runs: Sequence[MakerRun],
    makers: Sequence[str],
    prevalence: PrevalenceSettings,
    bootstrap: BootstrapSettings,
) -> Draws:
    """Measure each run on the exams of the maker that it left out, or of every maker if none.

    Exams weigh by the programme's prevalence, where it is given, with the weights of all exams, so
    that the makers add up to the programme. Exams of unknown outcome can be selected too.

    Args:
        exams: test exams with the scores of all runs, by the runs' names.
        runs: all of them.
        makers: whose exams are measured.
        prevalence: of the programme.
        bootstrap: its settings.

    Raises:
        InputError: as ``mim.evaluate.prevalence.kind_factors``.
    """
    weights = prevalence_weights(exams.outcome, prevalence)
    parts = [
        _Part(exams, weights, maker, [run for run in runs if run.left_out in (None, maker)])
        for maker in makers
    ]
    names = [(run.name, part.maker) for part in parts for run in part.runs]
    places = {name: place for place, name in enumerate(names)}

    def block(times: Times) -> Floats:
        found = [part.measure(times) for part in parts]
        return np.concatenate([np.zeros((len(times), 0, QUANTITIES)), *found], axis=1)

    women = int(exams.woman.max(initial=0))
    once = block(np.ones((1, women), np.uint8))
    return Draws(places, np.concatenate([once, *over_blocks(block, women, **asdict(bootstrap))]))


class _Part:
    """A maker's exams, sorted by the scores of each run that is measured on them."""

    def __init__(
        self, exams: Scored, weights: Floats, maker: str, runs: Sequence[MakerRun]
    ) -> None:
        rows = np.flatnonzero(exams.maker == maker)
        self.maker, self.runs = maker, runs
        self._woman = exams.woman[rows] - 1
        self._weights = weights[rows]
        self._sick = np.flatnonzero(exams.cancer[rows])
        healthy = np.flatnonzero(exams.known[rows] & ~exams.cancer[rows])
        scores = [exams.scores[run.name][rows] for run in runs]
        self._orders = [_order(score, self._sick, healthy) for score in scores]
        cuts = [run.thresholds or [np.nan] * len(SELECTION_RATES) for run in runs]
        self._has_cuts = np.array([run.thresholds is not None for run in runs], np.bool_)
        self._selected = np.array(
            [score >= cut for score, its in zip(scores, cuts, strict=True) for cut in its],
            np.float64,
        ).reshape(-1, len(rows))

    def measure(self, times: Times) -> Floats:
        """``[resample, run, quantity]``, women drawn ``times`` ``[resample, woman]``."""
        drawn = times[:, self._woman].astype(np.float64)
        weighed = drawn * self._weights
        found = np.empty((len(times), len(self.runs), QUANTITIES))
        for place, order in enumerate(self._orders):
            found[:, place, :FIRST_RATE] = _ranks(drawn, weighed[:, self._sick], order)
        selected = share(weighed @ self._selected.T, weighed.sum(axis=1, keepdims=True))
        found[..., FIRST_RATE:] = selected.reshape(len(times), -1, len(SELECTION_RATES))
        found[:, ~self._has_cuts, FIRST_RATE:] = np.nan
        return found


class _Order(NamedTuple):
    """How cancers lie among the exams free of cancer."""

    healthy: Ints
    """Rows free of cancer, lowest score first."""
    lower: Ints
    """``[cancer]``, how many of them score lower than it."""
    not_higher: Ints
    """``[cancer]``, how many score as high or lower."""


def _order(score: Floats, sick: Ints, healthy: Ints) -> _Order:
    sorted_rows = healthy[np.argsort(score[healthy], kind="stable")]
    ends = (np.searchsorted(score[sorted_rows], score[sick], side) for side in ("left", "right"))
    return _Order(sorted_rows, *ends)


def _ranks(drawn: Floats, cancers: Floats, order: _Order) -> Floats:
    """Area and sensitivity ``[resample, 2]``.

    Args:
        drawn: ``[resample, row]``, how often each row was drawn.
        cancers: ``[resample, cancer]``, as they count.
        order: how they lie.
    """
    upto = np.zeros((len(drawn), len(order.healthy) + 1))
    np.cumsum(drawn[:, order.healthy], axis=1, out=upto[:, 1:])
    lower, all_healthy = upto[:, order.lower], upto[:, -1:]
    below = share((lower + upto[:, order.not_higher]) / 2, all_healthy)
    # A share such as 0.035 x 200 may come out a hair below the whole number it means.
    allowed = (1 - SPECIFICITY) * all_healthy * (1 + 1e-9)
    found: Bools = all_healthy - lower <= allowed
    sensitive = np.where(all_healthy > 0, found, np.nan)
    total = cancers.sum(axis=1)
    return np.stack(
        [share((cancers * part).sum(axis=1), total) for part in (below, sensitive)], axis=1
    )
