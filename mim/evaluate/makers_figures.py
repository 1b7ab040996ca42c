"""Figures of a sweep over makers left out: every method, in-domain against unseen maker.

Runs that have seen all makers are in-domain on each maker's test exams; runs from which a maker was
left out are measured on that maker's alone. Seeds are averaged within each resample of women, then
makers, each as much as any other. So an interval tells of women, not of training again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mim.evaluate.bootstrap import (
    LEAST_WOMEN,
    Base,
    Bools,
    Estimate,
    Floats,
    base_of,
    estimate,
    share,
)
from mim.evaluate.differences import p_by_resamples
from mim.evaluate.figures import ALL
from mim.evaluate.makers_draws import AUC, FIRST_RATE, QUANTITIES, SENSITIVITY, Draws, MakerRun
from mim.evaluate.makers_table import MakerFigure, MakerFigures
from mim.evaluate.multiplicity import holm
from mim.evaluate.scored import Scored
from mim.vocab import SELECTION_RATES

IN_DOMAIN, UNSEEN, DIFFERENCE = "in_domain", "unseen", "difference"
FROM_BASELINE, FROM_BEST = "auc_from_baseline", "auc_from_best"

Group = tuple[int, ...]
"""Places of makers."""


@dataclass(frozen=True)
class Reached:
    """What a method reaches, averaged over some seeds.

    Attributes:
        method: its name.
        inside: ``[1 + resample, maker, quantity]`` of runs that have seen all makers, those of the
            exams themselves first; NaN where there is no run.
        unseen: the same of runs that have not seen the maker.
        paired: places of makers of which a seed has both.
        makers: places of those that its means are of.
    """

    method: str
    inside: Floats
    unseen: Floats
    paired: Group
    makers: Group


@dataclass(frozen=True)
class MakerExams:
    """The test exams by maker.

    Attributes:
        exams: of all makers.
        makers: those measured.
    """

    exams: Scored
    makers: Sequence[str]

    def cancers_known(self, group: Group) -> Base:
        """What an area or a sensitivity rests on."""
        used = self._of(group) & self.exams.known
        return base_of(self.exams.woman[used], self.exams.cancer[used])

    def every(self, group: Group) -> Base:
        """What a share of the exams rests on."""
        return base_of(self.exams.woman[self._of(group)], None)

    def cancers(self, group: Group) -> int:
        """Exams with a cancer."""
        return int((self._of(group) & self.exams.cancer).sum())

    @cached_property
    def enough(self) -> Group:
        """Places of makers with so many women with a cancer, and without, that a mean may hold them."""
        bases = [self.cancers_known((place,)) for place in range(len(self.makers))]
        women = [min(base.women_with, base.women_without) for base in bases]
        return tuple(place for place, count in enumerate(women) if count >= LEAST_WOMEN)

    def named(self, group: Group) -> tuple[str, ...]:
        """Makers at some places."""
        return tuple(self.makers[place] for place in group)

    def _of(self, group: Group) -> Bools:
        return np.isin(self.exams.maker, self.named(group))


def maker_figures(
    exams: MakerExams, runs: Sequence[MakerRun], draws: Draws, parents: Mapping[str, str]
) -> MakerFigures:
    """Every figure of every method, of each maker and of all, by seed and over seeds.

    A seed counts for a maker where a method has both its runs, that which has seen all makers and
    that which has not seen it. Where no seed has, each side stands on the runs that there are, and
    there is no difference. A share selected is the mean over those of the runs that have thresholds.
    Makers with fewer than five women with a cancer, or without, are in no
    mean.

    Args:
        exams: those drawn from.
        runs: the methods in their order; the first is the baseline.
        draws: figures of the runs.
        parents: of a method made of another's runs, that other: its runs that have seen all makers
            stand for those that the method has not.
    """
    methods = [*dict.fromkeys(run.method for run in runs)]
    found: list[MakerFigure] = []
    over_seeds = []
    for method in methods:
        seeds = sorted({run.seed for run in runs if run.method == method})
        lookup = _Lookup(runs, method, parents.get(method))
        over_seeds.append(_reached(lookup, seeds, exams, draws))
        found += _of_method(over_seeds[-1], None, exams)
        for seed in seeds if len(seeds) > 1 else ():
            found += _of_method(_reached(lookup, [seed], exams, draws), seed, exams)
    found += _from_baseline(over_seeds, exams)
    best = _best_in_domain(over_seeds, exams)
    if best is not None:
        found += [_less(one, best.inside, FROM_BEST, exams)[0] for one in over_seeds]
    judged = exams.named(exams.enough)
    return MakerFigures(methods, exams.makers, judged, best.method if best else None, found)


def _best_in_domain(methods: Sequence[Reached], exams: MakerExams) -> Reached | None:
    """The method whose runs that have seen all makers have the highest mean AUC, of the same makers."""
    means = [_mean(one.inside, exams.enough)[0, AUC] for one in methods]
    there = [place for place, mean in enumerate(means) if not np.isnan(mean)]
    return methods[max(there, key=lambda place: means[place])] if there else None


class _Lookup:
    """Runs of a method by maker and seed."""

    def __init__(self, runs: Sequence[MakerRun], method: str, parent: str | None) -> None:
        self._runs = {(run.method, run.left_out, run.seed): run.name for run in runs}
        self.method, self._parent = method, parent

    def inside(self, seed: int) -> str | None:
        """The run that has seen all makers."""
        own = self._runs.get((self.method, None, seed))
        return own or self._runs.get((self._parent or "", None, seed))

    def unseen(self, maker: str, seed: int) -> str | None:
        """The run that has not seen a maker."""
        return self._runs.get((self.method, maker, seed))


def _reached(runs: _Lookup, seeds: Sequence[int], exams: MakerExams, draws: Draws) -> Reached:
    shape = (len(draws.drawn), len(exams.makers), QUANTITIES)
    inside, unseen = np.full(shape, np.nan), np.full(shape, np.nan)
    there: dict[str, set[int]] = {IN_DOMAIN: set(), UNSEEN: set()}
    paired: list[int] = []
    for place, maker in enumerate(exams.makers):
        every = [(runs.inside(seed), runs.unseen(maker, seed)) for seed in seeds]
        pairs = [pair for pair in every if None not in pair]
        paired += [place] if pairs else []
        for side, name, number in ((inside, IN_DOMAIN, 0), (unseen, UNSEEN, 1)):
            names = [pair[number] for pair in pairs or every]
            found = [draws.of(run, maker) for run in names if run is not None]
            if found:
                side[:, place] = _over_runs(np.array(found))
                there[name].add(place)
    choices = ({*paired}, there[UNSEEN], there[IN_DOMAIN])
    groups = (choice & {*exams.enough} for choice in choices)
    makers = next((group for group in groups if group), set[int]())
    return Reached(runs.method, inside, unseen, tuple(paired), tuple(sorted(makers)))


def _over_runs(found: Floats) -> Floats:
    """Mean over runs ``[run, ...]``, of those that have the figure."""
    known = ~np.isnan(found)
    return share(np.where(known, found, 0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _of_method(reached: Reached, seed: int | None, exams: MakerExams) -> Iterator[MakerFigure]:
    """Figures of each maker and of all."""
    groups: dict[str, Group] = {maker: (place,) for place, maker in enumerate(exams.makers)}
    for maker, group in {ALL: reached.makers, **groups}.items():
        inside, unseen = (_mean(side, group) for side in (reached.inside, reached.unseen))
        both = 0.0 if {*group} <= {*reached.paired} else np.nan
        sides = {IN_DOMAIN: inside, UNSEEN: unseen, DIFFERENCE: unseen - inside + both}
        base = exams.cancers_known(group)
        for what, quantity in (("auc", AUC), ("sensitivity", SENSITIVITY)):
            for side, values in sides.items():
                found = _estimate(values[:, quantity], base, f"no {_WANTED[side]}")
                name = f"{what}_{side}"
                yield MakerFigure(
                    *(reached.method, maker, exams.named(group), seed, name),
                    *(found, base.n, base.cases or 0),
                )
        yield from _selected(reached, group, maker, seed, exams)


_WANTED = {
    IN_DOMAIN: "run that has seen all makers",
    UNSEEN: "run that has not seen the maker",
    DIFFERENCE: "pair of runs",
}


def _selected(
    reached: Reached, group: Group, maker: str, seed: int | None, exams: MakerExams
) -> Iterator[MakerFigure]:
    """Shares of a maker's exams selected at each rate, and their ratios to the wanted ones."""
    base, cancers = exams.every(group), exams.cancers(group)
    for place, rate in enumerate(SELECTION_RATES):
        for side, values in ((IN_DOMAIN, reached.inside), (UNSEEN, reached.unseen)):
            shares = values[:, list(group), FIRST_RATE + place]
            why = f"no {_WANTED[side]}, or none with thresholds"
            for name, drawn in (
                ("selection_rate", _mean(shares, range(len(group)))),
                ("selection_ratio", _geometric_mean(shares / rate)),
            ):
                found = _estimate(drawn, base, why)
                yield MakerFigure(
                    *(reached.method, maker, exams.named(group), seed, f"{name}_{side}"),
                    *(found, base.n, cancers, rate),
                )


def _from_baseline(methods: Sequence[Reached], exams: MakerExams) -> list[MakerFigure]:
    """Unseen AUC less that of the first method, on the makers that both have; tested together."""
    found = []
    for one in methods[1:]:
        figure, drawn = _less(one, methods[0].unseen, FROM_BASELINE, exams)
        found.append(replace(figure, p_value=p_by_resamples(figure.estimate, drawn)))
    p_values = np.array([np.nan if f.p_value is None else f.p_value for f in found])
    return [
        replace(figure, p_adjusted=None if np.isnan(p) else float(p))
        for figure, p in zip(found, holm(p_values), strict=True)
    ]


def _less(one: Reached, theirs: Floats, name: str, exams: MakerExams) -> tuple[MakerFigure, Floats]:
    """A method's mean unseen AUC less another's mean on the same makers, and the resamples of that."""
    common = tuple(place for place in one.makers if not np.isnan(theirs[0, place, AUC]))
    values = (_mean(one.unseen, common) - _mean(theirs, common))[:, AUC]
    base = exams.cancers_known(common)
    found = _estimate(values, base, "no runs on the same makers")
    figure = MakerFigure(
        *(one.method, ALL, exams.named(common), None, name, found, base.n, base.cases or 0)
    )
    return figure, values[1:]


def _mean(values: Floats, group: Sequence[int]) -> Floats:
    """Over makers ``[draw, maker, ...]`` of a group; NaN where there is none."""
    if not len(group):
        return np.full((len(values), *values.shape[2:]), np.nan)
    return np.asarray(values[:, list(group)].mean(axis=1), np.float64)


def _geometric_mean(ratios: Floats) -> Floats:
    """Of ratios ``[draw, maker]``, over makers; 0 where one is."""
    with np.errstate(divide="ignore"):
        return np.exp(_mean(np.log(ratios), range(ratios.shape[1])))


def _estimate(values: Floats, base: Base, why: str) -> Estimate:
    """A figure ``[1 + resample]`` with its interval; ``why`` it is missing where its exams would do."""
    found = estimate(float(values[0]), values[1:], base)
    measurable = base.n and base.cases not in (0, base.n)
    return replace(found, reason=why) if found.value is None and measurable else found
