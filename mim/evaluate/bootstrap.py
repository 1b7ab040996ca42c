"""Intervals by bootstrap over women.

Breasts and exams of one woman are alike, so women are drawn with replacement and everything a
woman has moves with her (Rutter 2000, Acad Radiol 7:413, patient-clustered bootstrap). The
interval is the 2.5th to 97.5th percentile of the resamples.

A resample is a weight for each row (how often its woman was drawn), never a copy of rows, and a
statistic is a function of these weights. So memory does not grow with the resamples, several
figures share one set of draws, and a paired difference is one more figure. Resamples are drawn in
blocks, each with a seed of its own, so that threads share the work and give the same draws. Where
rows are alike in all that a statistic looks at, they are put together in cells, and a block of
resamples is one product of a sparse matrix.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array
from tqdm import tqdm

from mim.workers.local import cores

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.uint8]
"""How often each woman was drawn ``[resample, woman]``."""
Statistic = Callable[[Floats], Floats]
"""Weights ``[row]`` to figures ``[figure]``; NaN where a figure is not defined. Of rows that are put
together, weights ``[cell]``: how often rows of a cell were drawn."""

BLOCK = 32
"""Resamples drawn together."""

MOST_THREADS = 8
"""Threads at most: each holds a block of every woman."""

MOST_TIMES = 255
"""How often a woman can be drawn: what ``Times`` can hold."""

NORMAL_95 = 1.959963984540054
"""Standard deviations to each side of its mean that hold 95 % of a normal distribution."""

NO_INTERVAL = "no interval"
"""How a reason begins where a figure is known and its interval is not."""

LEAST_WOMEN = 5
"""Women with a case, and without, that an interval needs: fewer than 1 % of resamples then lack one of the two.

Few cases make it too narrow. In simulations (AUC 0.80, two breasts a woman) the 95 % interval held
the truth in 83 % with 5 cases, 87 % with 10, 94 % with 20, 95 % with 100.
"""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; ``reason`` says why a part is missing.

    Attributes:
        n: rows (breasts, exams or images) behind the figure.
        cases: rows among them that are what the figure looks for, mostly cancers; missing where it
            looks for none, such as a distance.
        women: women that the rows belong to.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    cases: int | None
    women: int
    reason: str | None = None


class Replicates(NamedTuple):
    """Figures of the rows themselves and of every resample of women."""

    values: Floats
    """``[figure]``"""
    drawn: Floats
    """``[resample, figure]``"""


class Alike(NamedTuple):
    """Rows put together where they are alike."""

    cell: Ints
    """``[row]``, the number of its cell, from 0 on."""
    first: Ints
    """``[cell]``, one of its rows."""


def alike(*columns: npt.NDArray[np.generic]) -> Alike:
    """Rows that are equal in all of some columns ``[row]`` as one cell."""
    cell = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        cell = cell * len(values) + place
    _, first, cell = np.unique(cell, return_index=True, return_inverse=True)
    return Alike(cell, first)


class Counted:
    """Rows in cells, counted in a block of resamples by one product of a sparse matrix.

    Args:
        cell: ``[row]``, from 0 on.
        woman: ``[row]``, her number, from 0 on.
        shape: how many cells and women there are.
    """

    def __init__(self, cell: Ints, woman: Ints, shape: tuple[int, int]) -> None:
        # Columns are women, so that a product reads them in their order and its few cells stay near.
        rows = csc_array((np.ones(len(cell)), (cell, woman)), shape=shape)
        # As many women are drawn as there are, and each brings the rows of one at most.
        drawn = shape[1] * rows.data.max(initial=0)
        most = min(drawn, MOST_TIMES * np.bincount(cell, minlength=1).max())
        # The smallest type that holds every count is exact, and its product the quickest.
        small = np.float32 if most >= 2**16 else np.uint16
        self._rows = rows.astype(small if most < 2**24 else np.float64)

    def counts(self, times: Times) -> npt.NDArray[np.generic]:
        """``[cell, resample]``, rows of each cell, each as often as its woman was drawn."""
        return np.asarray(self._rows @ times.T.astype(self._rows.dtype, order="C"))


def resample_women(
    statistic: Statistic,
    women: npt.NDArray[np.generic],
    *,
    resamples: int,
    seed: int,
    cells: Ints | None = None,
) -> Replicates:
    """Compute a statistic on the rows and on resamples of women.

    Args:
        women: ``[row]``, the woman of each row, as numbers or text.
        resamples: how often women are drawn.
        seed: equal seeds, women and row order give equal draws.
        cells: ``[row]``, the number of its cell, from 0 on, where the statistic takes weights
            ``[cell]``; a few thousand at most, of millions of rows.
    """
    names, woman = np.unique(women, return_inverse=True)
    if cells is not None:
        counted = Counted(cells, woman, (cells.max(initial=-1) + 1, len(names)))

    def weights(times: Times) -> Iterator[Floats]:
        if cells is None:
            return (drawn.astype(np.float64)[woman] for drawn in times)
        return iter(counted.counts(times).T.astype(np.float64))

    def block(times: Times) -> Floats:
        return np.array([statistic(drawn) for drawn in weights(times)])

    [values] = block(np.ones((1, len(names)), np.uint8))
    drawn = [*over_blocks(block, len(names), resamples=resamples, seed=seed)]
    return Replicates(values, np.concatenate(drawn))


def over_blocks(
    statistic: Callable[[Times], Floats], women: int, *, resamples: int, seed: int
) -> Iterator[Floats]:
    """Compute a statistic ``[resample, ...]`` on blocks of resamples, in their order.

    Args:
        statistic: called in several threads at once.
        women: how many there are to draw from.
        resamples: how often they are drawn.
        seed: equal seeds give equal draws, however many threads there are.
    """
    starts = range(0, resamples, BLOCK)

    def compute(start: int) -> Floats:
        return statistic(_draw(women, min(BLOCK, resamples - start), [seed, start]))

    threads = min(cores(), MOST_THREADS, len(starts))
    bar = tqdm(
        total=resamples, desc="bootstrap", unit="resample", leave=False, disable=None, delay=2
    )
    with bar, ThreadPoolExecutor(threads) as pool:
        for found in pool.map(compute, starts):
            bar.update(len(found))
            yield found


def _draw(women: int, resamples: int, seed: list[int]) -> Times:
    generator = np.random.default_rng(seed)
    times = np.empty((resamples, women), np.uint8)
    for drawn in times:
        # More than 255 times one woman will not be seen: its chance is below 1 in 10^500.
        drawn[:] = np.bincount(generator.integers(women, size=women), minlength=women)
    return times


class Base(NamedTuple):
    """What a figure rests on: rows and women, and those with a case where it looks for cases."""

    n: int
    women: int
    cases: int | None = None
    women_with: int = 0
    women_without: int = 0


def base_of(woman: Ints, cases: Bools | None) -> Base:
    """Count rows.

    Args:
        woman: ``[row]``, her number, from 0 on.
        cases: ``[row]``, which rows count as cases; None: the figure looks for none.
    """

    def women(rows: Ints) -> int:
        return int(np.count_nonzero(np.bincount(rows)))

    if cases is None:
        return Base(len(woman), women(woman))
    return Base(
        len(woman), women(woman), int(cases.sum()), women(woman[cases]), women(woman[~cases])
    )


def estimate(value: float, drawn: Floats, base: Base) -> Estimate:
    """A figure and its resamples ``[resample]`` as an estimate; never fails, gives a reason."""

    def made(low: float | None, high: float | None, reason: str | None) -> Estimate:
        known = None if np.isnan(value) else float(value)
        return Estimate(known, low, high, base.n, base.cases, base.women, reason)

    if np.isnan(value):
        return made(None, None, _why_undefined(base))
    if reason := _too_few(base):
        return made(None, None, f"{NO_INTERVAL}: needs {reason}")
    defined = drawn[~np.isnan(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if defined.size else (value, value)
    if low == high:
        return made(None, None, f"{NO_INTERVAL}: every resample gives the same value")
    return made(float(low), float(high), None)


def bootstrap_by_woman(
    statistic: Statistic,
    women: npt.NDArray[np.generic],
    cases: Sequence[Bools | None],
    *,
    resamples: int,
    seed: int,
    cells: Ints | None = None,
) -> list[Estimate]:
    """Every figure of a statistic with its 95 % interval over resampled women.

    Args:
        statistic: its figures share the draws.
        women: ``[row]``, the woman of each row.
        cases: for each figure ``[row]``, which rows count as its cases; None: it looks for none.
        resamples: how often women are drawn.
        seed: of the draws.
        cells: as in ``resample_women``.
    """
    woman = np.unique(women, return_inverse=True)[1]
    values, drawn = resample_women(statistic, woman, resamples=resamples, seed=seed, cells=cells)
    return [
        estimate(float(value), draws, base_of(woman, rows))
        for value, draws, rows in zip(values, drawn.T, cases, strict=True)
    ]


def _too_few(base: Base) -> str | None:
    """The women that an interval needs, where there are fewer."""
    if base.cases is None:
        return f"{2 * LEAST_WOMEN} women" if base.women < 2 * LEAST_WOMEN else None
    fewest = min(base.women_with, base.women_without)
    return f"{LEAST_WOMEN} women with and {LEAST_WOMEN} without" if fewest < LEAST_WOMEN else None


def _why_undefined(base: Base) -> str:
    if not base.n:
        return "nothing to measure"
    if base.cases is None:
        return "not defined on these rows"
    if not base.cases:
        return "no cases"
    return "only cases" if base.cases == base.n else "not defined on these rows"


def share(part: Floats | float, whole: Floats | float) -> Floats:
    """``part / whole``; NaN where there is no whole."""
    nothing = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.asarray(np.divide(part, whole, nothing, where=np.asarray(whole) > 0), np.float64)
