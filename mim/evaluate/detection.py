"""How well a model finds cancers: areas, and what is found at selection rates and thresholds.

One pass over the resamples gives every figure of one model on one set of rows; two models on the same
rows share the draws, so that their difference is a pair's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from mim.evaluate.bootstrap import (
    Base,
    Bools,
    Estimate,
    Floats,
    Ints,
    Replicates,
    Times,
    base_of,
    estimate,
    over_blocks,
)
from mim.evaluate.delong import auc_interval, delong
from mim.evaluate.figures import ALL, ANY_CANCER, ClosedForm, Figure
from mim.evaluate.prevalence import kind_factors
from mim.evaluate.proportions import wilson_by_woman
from mim.evaluate.ranked import HEALTHY, UNKNOWN, Factors, Ranked, Ranking, Shares
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings, PrevalenceSettings
from mim.vocab import CANCERS, Outcome, Task

LEAST_SPECIFICITY = 0.9
"""Below it no programme works: the partial AUC counts from here."""

KIND = {str(outcome): UNKNOWN + 1 + place for place, outcome in enumerate(CANCERS)}
"""Number of each kind of cancer in a ranking."""


@dataclass(frozen=True, eq=False)
class Selection:
    """A rule by which rows are selected.

    Attributes:
        rule: what it is called.
        rate: wanted share of rows.
        threshold: ``[row]``, the score from which each row is selected, or one for all; missing:
            the highest-scored share, found anew in each resample.
    """

    rule: str
    rate: float
    threshold: float | Floats | None = None


class Quantity(NamedTuple):
    """What a figure is: its name, the cancers looked for, and how rows are selected."""

    name: str
    outcome: str
    selection: Selection | None = None


@dataclass(frozen=True)
class Detection:
    """What one model finds among some rows.

    Attributes:
        model: its name.
        rows: with its scores alone.
        quantities: what was measured.
        replicates: of them, in the same order.
        ranking: of the rows.
        weighed: whether rows count by the programme's prevalence.
    """

    model: str
    rows: Scored
    quantities: tuple[Quantity, ...]
    replicates: Replicates
    ranking: Ranking
    weighed: bool

    def figures(self, subgroup: str = ALL, level: str | None = None) -> list[Figure]:
        """Every quantity with its interval."""
        base = _bases(self)
        found = zip(self.quantities, self.replicates.values, self.replicates.drawn.T, strict=True)
        return [
            replace(
                self.figure(quantity, estimate(float(value), drawn, base(quantity))),
                subgroup=subgroup,
                level=level,
                closed=self.closed(quantity),
            )
            for quantity, value, drawn in found
        ]

    def figure(self, quantity: Quantity, found: Estimate) -> Figure:
        """One quantity of this model as a figure of all rows."""
        selection = quantity.selection
        return Figure(
            Task.CANCER,
            quantity.name,
            self.rows.unit,
            ALL,
            None,
            found,
            outcome=quantity.outcome,
            rule=None if selection is None else selection.rule,
            selection_rate=None if selection is None else selection.rate,
            model=self.model,
        )

    def closed(self, quantity: Quantity) -> ClosedForm | None:
        """A quantity's interval by a closed form, where there is one; a threshold counts as given.

        Where rows count by the programme's prevalence, no formula knows of it.
        """
        rows, selection = self.rows, quantity.selection
        if (
            self.weighed
            and quantity.outcome in (ALL, ANY_CANCER)
            and quantity.name != "specificity"
        ):
            return None
        if quantity.name == "auc":
            used = self.cases(quantity.outcome) | self.healthy
            found = delong(rows.score[None, used], rows.cancer[used], rows.woman[used])
            return auc_interval(found)
        if selection is None or quantity.name == "cancers_per_1000_selected":
            return None
        selected, fixed = self.selected(selection), selection.threshold is not None
        if quantity.name == "specificity":
            return wilson_by_woman(~selected[self.healthy], rows.woman[self.healthy])
        if quantity.name == "share_selected":
            return wilson_by_woman(selected, rows.woman) if fixed else None
        cases = self.cases(quantity.outcome)
        return wilson_by_woman(selected[cases], rows.woman[cases])

    @cached_property
    def _kind(self) -> Ints:
        return kinds(self.rows)

    @property
    def healthy(self) -> Bools:
        """The rows ``[row]`` known to be free of cancer."""
        found: Bools = self._kind == HEALTHY
        return found

    def cases(self, outcome: str) -> Bools:
        """The rows ``[row]`` with a cancer of a kind, or any."""
        found: Bools = self.rows.cancer if outcome == ANY_CANCER else self._kind == KIND[outcome]
        return found

    def at(self, quantity: Quantity) -> tuple[float, Floats]:
        """A quantity's value and its resamples."""
        place = self.quantities.index(quantity)
        return float(self.replicates.values[place]), self.replicates.drawn[:, place]

    def selected(self, selection: Selection) -> Bools:
        """The rows ``[row]`` that a rule selects."""
        if selection not in self._selected:
            cut = self.cut(selection.rate) if selection.threshold is None else selection.threshold
            self._selected[selection] = self.rows.score >= cut
        return self._selected[selection]

    @cached_property
    def _selected(self) -> dict[Selection, Bools]:
        return {}

    @cached_property
    def _once(self) -> Ranked:
        return self.ranking.once()

    def cut(self, rate: float) -> float:
        """The score from which the highest-scored share of these rows is selected."""
        return self.ranking.threshold(int(self._once.within([rate])[0, 0]))

    def share_of(self, rows: Bools) -> float:
        """The share of some rows ``[row]`` among all, as these count."""
        weights = self._once.factors[self._kind, 0]
        return float(weights[rows].sum() / weights.sum())

    def factors(self) -> Factors:
        """How much these rows count, for parts of them."""
        weighing = self._once.weighing
        return Factors(weighing.kinds[:, 0], weighing.healthy[0])


def detect(
    rows: Scored,
    model: str,
    selections: Sequence[Selection],
    settings: BootstrapSettings,
    weighing: Shares | Factors | None = None,
) -> Detection:
    """Measure one model on some rows.

    Exams of unknown outcome can be selected too, as in a programme; only cancers known to be there
    count for the sensitivity, and only rows known to be free of one for the specificity. A woman
    drawn twice is a tie with herself, so resamples of few exams select a little less than the rate.

    Args:
        rows: breasts or exams with a score of the model.
        model: its name.
        selections: rules of selection.
        settings: of the bootstrap.
        weighing: what rows stand for, where they are enriched: the programme's shares, or the
            factors of the sample that the rows are a part of.
    """
    mine, kind = rows.only(model), kinds(rows)
    ranking = Ranking(mine.score, kind, rows.woman, weighing)
    fixed = [
        Ranking((mine.score >= s.threshold).astype(np.float64), kind, rows.woman, weighing)
        for s in selections
        if s.threshold is not None
    ]
    cancers = cancers_among(rows)

    def block(times: Times) -> Floats:
        ranked = ranking.ranked(times)
        by_threshold = (half.at_least(1.0, half.ranked(times)) for half in fixed)
        own = iter(ranked.within([s.rate for s in selections if s.threshold is None]))
        found = _areas(ranked, [*cancers.values()])
        for selection in selections:
            by_share = selection.threshold is None
            counts = ranked.selected(next(own)) if by_share else next(by_threshold)
            found += _at(ranked, counts, [*cancers.values()])
        return np.array(found).T

    once = np.ones((1, ranking.women), np.uint8)
    drawn = np.concatenate([*over_blocks(block, ranking.women, **asdict(settings))])
    replicates = Replicates(block(once)[0], drawn)
    quantities = tuple(_quantities(cancers, selections))
    return Detection(model, mine, quantities, replicates, ranking, weighing is not None)


def programme_shares(rows: Scored, prevalence: PrevalenceSettings) -> Shares | None:
    """How often each kind of row comes in the programme; None where that is not given.

    Raises:
        InputError: as for ``mim.evaluate.prevalence.kind_factors``.
    """
    kind_factors(rows.outcome, prevalence)
    if prevalence == PrevalenceSettings():
        return None
    screened = (prevalence.screen_detected_per_1000 or 0) / 1000
    interval = (prevalence.interval_per_1000 or 0) / 1000
    rest = {(HEALTHY, UNKNOWN): 1 - screened - interval}
    told, untold = KIND[Outcome.SCREEN_DETECTED], KIND[Outcome.CANCER]
    symptoms = KIND[Outcome.INTERVAL]
    if not np.isin(rows.outcome, [Outcome.SCREEN_DETECTED, Outcome.INTERVAL]).any():
        return rest | {(untold,): screened + interval}
    return rest | {(told, untold): screened, (symptoms,): interval}


def kinds(rows: Scored) -> Ints:
    """The kind of each row ``[row]`` for a ranking."""
    found = np.where(rows.known, HEALTHY, UNKNOWN).astype(np.int64)
    for name, kind in KIND.items():
        found[rows.cancer & (rows.outcome == name)] = kind
    return found


def cancers_among(rows: Scored) -> dict[str, list[int]]:
    """Any cancer, and each kind that there is, by the numbers of their kinds in a ranking."""
    there = {name: [kind] for name, kind in KIND.items() if (rows.outcome == name).any()}
    return {ANY_CANCER: [kind for [kind] in there.values()] or [UNKNOWN + 1]} | there


def _quantities(
    cancers: Mapping[str, list[int]], selections: Sequence[Selection]
) -> list[Quantity]:
    """What is measured, in the order in which ``detect`` measures it."""
    areas = ("auc", "partial_auc", "average_precision")
    found = [Quantity(name, outcome) for outcome in cancers for name in areas]
    for selection in selections:
        found.append(Quantity("share_selected", ALL, selection))
        found.append(Quantity("specificity", ANY_CANCER, selection))
        found.append(Quantity("cancers_per_1000_selected", ANY_CANCER, selection))
        found += [Quantity("sensitivity", outcome, selection) for outcome in cancers]
    return found


def _areas(ranked: Ranked, cancers: Sequence[Sequence[int]]) -> list[Floats]:
    """Areas ``[resample]`` for each choice of kinds of cancer."""
    return [
        area
        for kinds in cancers
        for area in (
            ranked.auc(kinds),
            ranked.partial_auc(kinds, LEAST_SPECIFICITY),
            ranked.average_precision(kinds),
        )
    ]


def _at(ranked: Ranked, counts: Floats, cancers: Sequence[Sequence[int]]) -> list[Floats]:
    """What a selection holds: share, specificity, cancers per 1,000, and sensitivities.

    Args:
        ranked: all rows.
        counts: ``[kind, resample]``, those selected.
        cancers: kinds that count together.
    """
    selected = counts * ranked.factors
    all_rows = ranked.totals * ranked.factors
    with np.errstate(invalid="ignore", divide="ignore"):
        known = counts[HEALTHY] * ranked.weighing.healthy + selected[UNKNOWN + 1 :].sum(axis=0)
        return [
            selected.sum(axis=0) / all_rows.sum(axis=0),
            1 - selected[HEALTHY] / all_rows[HEALTHY],
            1000 * selected[UNKNOWN + 1 :].sum(axis=0) / known,
            *(selected[kinds].sum(axis=0) / all_rows[kinds].sum(axis=0) for kinds in cancers),
        ]


def _bases(detection: Detection) -> Callable[[Quantity], Base]:
    """What each quantity of a detection rests on; rows are counted once for each question."""
    rows = detection.rows

    @cache
    def looked_for(outcome: str) -> Base:
        cases = detection.cases(outcome)
        used = cases | detection.healthy
        return base_of(rows.woman[used], cases[used])

    def base(quantity: Quantity) -> Base:
        if quantity.name == "specificity":
            return base_of(rows.woman[detection.healthy], None)
        if quantity.selection is None or quantity.name == "sensitivity":
            return looked_for(quantity.outcome)
        selected = detection.selected(quantity.selection)
        if quantity.name == "share_selected":
            return base_of(rows.woman, selected)
        used = rows.known & selected
        return base_of(rows.woman[used], rows.cancer[used])

    return base
