"""Reference exams as counts and quantiles, which stand in a bundle for what was usual."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.scale import LEAST_EXAMS
from mim.monitor.chances import bin_of
from mim.schemas.monitored import SCORE, SHOWN, Group, MonitorReference, Spread
from mim.schemas.score_scale import Level, ScoreScale

DECILES = np.arange(1, 10) / 10


@dataclass(frozen=True)
class ReferenceExams:
    """Reference exams as arrays ``[exam]``.

    Attributes:
        woman: a number for each woman.
        weight: makes them the programme's.
        maker: values of ``Maker``.
        machine: model and software version; empty: unknown.
        measures: values of ``mim.schemas.monitored.MEASURES``; NaN: unknown.
    """

    woman: npt.NDArray[np.int64]
    weight: Floats
    maker: npt.NDArray[np.str_]
    machine: npt.NDArray[np.str_]
    measures: dict[str, Floats]

    def where(self, mask: Bools) -> "ReferenceExams":
        """The exams that a mask ``[exam]`` keeps."""
        return ReferenceExams(
            self.woman[mask],
            self.weight[mask],
            self.maker[mask],
            self.machine[mask],
            {name: values[mask] for name, values in self.measures.items()},
        )


def fit_reference(exams: ReferenceExams, scale: ScoreScale) -> MonitorReference | None:
    """What the exams are like: all, and each maker and machine that has a level in the scale.

    None where they are too few to say so, and quantiles would be single exams' numbers.
    """
    if len(exams.woman) < LEAST_EXAMS:
        return None
    makers, software = {}, {}
    for maker, level in scale.makers.items():
        hers = exams.where(exams.maker == maker)
        makers[maker] = _group(hers, level)
        software[maker] = {
            machine: _group(hers.where(hers.machine == machine), of_it)
            for machine, of_it in scale.software.get(maker, {}).items()
        }
    machines: dict[str, dict[str, int]] = {}
    for maker in np.unique(exams.maker).tolist():
        names, counts = np.unique(exams.machine[exams.maker == maker], return_counts=True)
        found = zip(names.tolist(), counts.tolist(), strict=True)
        machines[maker] = {machine: count for machine, count in found if machine}
    return MonitorReference(
        selection_rates=list(scale.selection_rates),
        whole=_group(exams, scale.whole),
        makers=makers,
        software=software,
        machines=machines,
    )


def _group(exams: ReferenceExams, level: Level) -> Group:
    selected = exams.measures[SCORE][:, None] >= np.array(level.thresholds)
    measures = {}
    for name, values in exams.measures.items():
        known = np.isfinite(values)
        if known.sum() >= LEAST_EXAMS:
            some = exams.where(known)
            measures[name] = spread_of(values[known], some.weight, some.woman)
    return Group(
        exams=len(exams.woman),
        independent=independent(exams.weight, exams.woman),
        selected=(exams.weight @ selected / exams.weight.sum()).tolist(),
        measures=measures,
    )


def independent(weight: Floats, woman: npt.NDArray[np.int64]) -> float:
    """As how many independent exams of one weight each these count.

    Exams of one woman count as wholly alike: the squared sum of weights over the sum of the women's
    squared sums (Kish 1965).
    """
    by_woman = np.bincount(np.unique(woman, return_inverse=True)[1], weight)
    return float(weight.sum() ** 2 / (by_woman**2).sum())


def spread_of(values: Floats, weight: Floats, woman: npt.NDArray[np.int64]) -> Spread:
    """How values ``[exam]`` lie, in ten bins of equal shares or nearly so.

    An edge lies between two values, so that none is on it. A value that a tenth of the exams or more
    share has a bin for itself: of pixel spacings there are but a few.
    """
    distinct, place = np.unique(values, return_inverse=True)
    shares = np.bincount(place, weight) / weight.sum()
    # A hair of rounding must not move a decile by one value.
    upto = np.cumsum(shares) + 1e-9
    reached, times = np.unique(np.searchsorted(upto, DECILES), return_counts=True)
    edges: set[float] = set()
    for at, count in zip(reached.tolist(), times.tolist(), strict=True):
        value = float(distinct[at])
        if count > 1:
            edges |= {value, float(np.nextafter(value, np.inf))}
        elif at + 1 < len(distinct):
            edges.add((value + float(distinct[at + 1])) / 2)
    ends = sorted(edges)
    bins = np.bincount(bin_of(distinct, ends), shares, len(ends) + 1)
    quantiles = distinct[np.minimum(np.searchsorted(upto, SHOWN), len(distinct) - 1)]
    return Spread(independent(weight, woman), ends, bins.tolist(), quantiles.tolist())
