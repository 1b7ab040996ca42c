"""The watch: exams of each machine and period against the bundle's reference exams."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mim.evaluate.bootstrap import Floats
from mim.evaluate.multiplicity import holm
from mim.evaluate.proportions import exact
from mim.monitor.chances import (
    LARGE,
    expected_share,
    selection_chance,
    spread_chance,
    stability_index,
)
from mim.monitor.exams import Watched
from mim.schemas.monitored import SCORE, SHOWN, Group, Level, MonitorReference
from mim.vocab import Maker

FALSE_ALARMS = 0.05
"""Share of pages that hold any alarm, at most, where nothing has changed."""

WHOLE_TIME = "whole time"
"""The period that holds all exams of a machine; slow drift shows there first."""

SELECTED = "selected"
"""The measure that is a share of exams."""


@dataclass(frozen=True)
class Look:
    """One comparison: a measure of one machine's exams in one period.

    Attributes:
        maker: value of ``Maker``.
        machine: model and software version; empty: unknown.
        period: such as "2024-03", or ``WHOLE_TIME``.
        measure: one of ``mim.schemas.monitored.MEASURES``, or ``SELECTED``.
        selection_rate: where the measure is ``SELECTED``.
        exams: in which the measure is known.
        level: which reference exams they are compared with.
        reference_exams: as how many independent ones these count.
        middle: median, or share selected; ``low`` and ``high`` are the 10th and 90th percentile, or
            the 95 % interval of the share (Clopper-Pearson).
        expected: low, middle and high of the reference.
        index: population stability index; missing for a share.
        judged: whether it can raise an alarm.
        chance: of being as far off where nothing has changed; ``adjusted`` for all that are judged.
    """

    maker: str
    machine: str
    period: str
    measure: str
    selection_rate: float | None
    exams: int
    level: Level
    reference_exams: float
    low: float
    middle: float
    high: float
    expected: tuple[float, float, float]
    index: float | None
    judged: bool
    chance: float
    adjusted: float | None = None

    @property
    def alarm(self) -> bool:
        """Whether chance does not go so far, and an index is large."""
        large = self.index is None or self.index > LARGE
        return self.adjusted is not None and self.adjusted <= FALSE_ALARMS and large


@dataclass(frozen=True)
class NewMachine:
    """A machine, which is a model with its software, of which no reference exam is."""

    maker: str
    machine: str
    exams: int
    first: str
    level: Level


def new_machines(exams: Watched, reference: MonitorReference) -> list[NewMachine]:
    """Machines that the reference has never seen, with their first day.

    A machine without a name is new where its maker is, for then no reference exam can be of it.
    """
    found = []
    for maker, machine in machines_of(exams):
        unseen = maker != Maker.UNKNOWN and maker not in reference.machines
        if unseen or (machine and not reference.knows(maker, machine)):
            hers = exams.where((exams.maker == maker) & (exams.machine == machine))
            level, _ = reference.of(maker, machine)
            found.append(NewMachine(maker, machine, len(hers), str(hers.day.min()), level))
    return found


def machines_of(exams: Watched) -> list[tuple[str, str]]:
    """Every maker and machine of the exams, in the order of their names."""
    return sorted(set(zip(exams.maker.tolist(), exams.machine.tolist(), strict=True)))


def watch(exams: Watched, reference: MonitorReference, least: int) -> list[Look]:
    """Every comparison that ``least`` exams or more allow, with its chance among all of them.

    How a measure is spread is judged where the reference has exams of the machine, or where it has
    none of it and enough of its maker's: then the spread says what a new machine does otherwise. A
    machine with a few reference exams may always have been different, and so may exams whose machine
    is not known: only their share selected is judged. Chances are corrected by Holm: where nothing has
    changed, at most ``FALSE_ALARMS`` of pages hold any alarm.
    """
    looks = [*_looks(exams, reference, least)]
    chances = np.array([look.chance if look.judged else np.nan for look in looks])
    adjusted = holm(chances).tolist()
    return [
        replace(look, adjusted=p) if look.judged else look
        for look, p in zip(looks, adjusted, strict=True)
    ]


def _looks(exams: Watched, reference: MonitorReference, least: int) -> Iterator[Look]:
    for maker, machine in machines_of(exams):
        hers = exams.where((exams.maker == maker) & (exams.machine == machine))
        parts = {period: hers.where(hers.period == period) for period in np.unique(hers.period)}
        if len(parts) > 1:
            parts[WHOLE_TIME] = hers
        level, group = reference.of(maker, machine)
        judged = level is Level.MACHINE or (
            level is Level.MAKER and _comparable(maker, machine, reference)
        )
        for period, part in parts.items():
            if len(part) >= least:
                about = (maker, machine, str(period))
                yield from _shares(about, part, level, group, reference.selection_rates)
                yield from _spreads(about, part, level, group, least, judged)


def _comparable(maker: str, machine: str, reference: MonitorReference) -> bool:
    """Whether what a machine without enough reference exams does otherwise is news.

    Exams without a machine's name are like their maker's where none of these has one.
    """
    if machine:
        return not reference.knows(maker, machine)
    return not reference.machines[maker]


def _shares(
    about: tuple[str, str, str], exams: Watched, level: Level, group: Group, rates: list[float]
) -> Iterator[Look]:
    for place, rate in enumerate(rates):
        found, n, share = int(exams.selected[:, place].sum()), len(exams), group.selected[place]
        around = exact(found, n)
        assert around is not None, "a part has exams"
        low, high = expected_share(share, group.independent)
        yield Look(
            *about,
            measure=SELECTED,
            selection_rate=rate,
            exams=n,
            level=level,
            reference_exams=group.independent,
            low=around.low,
            middle=found / n,
            high=around.high,
            expected=(low, share, high),
            index=None,
            judged=True,
            chance=selection_chance(found, n, share, group.independent),
        )


def _spreads(
    about: tuple[str, str, str],
    exams: Watched,
    level: Level,
    group: Group,
    least: int,
    judged: bool,
) -> Iterator[Look]:
    for name, spread in group.measures.items():
        values: Floats = exams.measures[name]
        values = values[np.isfinite(values)]
        if len(values) < least:
            continue
        index = stability_index(values, spread)
        low, middle, high = np.quantile(values, SHOWN).tolist()
        yield Look(
            *about,
            measure=name,
            selection_rate=None,
            exams=len(values),
            level=level,
            reference_exams=spread.exams,
            low=low,
            middle=middle,
            high=high,
            expected=(spread.quantiles[0], spread.quantiles[1], spread.quantiles[2]),
            index=index,
            judged=judged,
            chance=spread_chance(values, spread),
        )


def order(look: Look) -> tuple[bool, bool, str, str, str]:
    """Alarms of shares come first, then those of scores, then those of inputs; each by time."""
    return (
        look.measure != SELECTED,
        look.measure not in (SELECTED, SCORE),
        look.maker,
        look.machine,
        look.period,
    )
