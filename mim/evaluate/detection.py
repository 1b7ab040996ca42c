"""How well a model finds cancers: areas, and what is found at selection rates and thresholds.

One pass over the resamples gives every figure of one model on one set of rows; two models on the same
rows share the draws, so that their difference is a pair's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from mim.evaluate.bootstrap import Base, Bools, Estimate, Floats, Replicates, base_of, estimate
from mim.evaluate.figures import ALL, ANY_CANCER, Figure
from mim.evaluate.ranked import HEALTHY, UNKNOWN, Ints, Ranked, Ranking
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import CANCERS, Task

LEAST_SPECIFICITY = 0.9
"""Below it no programme works: the partial AUC counts from here."""

KIND = {str(outcome): UNKNOWN + 1 + place for place, outcome in enumerate(CANCERS)}
"""Number of each kind of cancer in a ranking."""

Shares = Mapping[tuple[int, ...], float]
"""How often rows of some kinds come among all of the programme's."""


@dataclass(frozen=True)
class Selection:
    """A rule by which rows are selected.

    Attributes:
        rule: what it is called.
        rate: wanted share of rows.
        threshold: rows are selected from this score on; missing: the highest-scored share, found
            anew in each resample.
    """

    rule: str
    rate: float
    threshold: float | None = None


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
    """

    model: str
    rows: Scored
    quantities: tuple[Quantity, ...]
    replicates: Replicates
    ranking: Ranking

    def figures(self, subgroup: str = ALL, level: str | None = None) -> list[Figure]:
        """Every quantity with its interval."""
        base = _bases(self)
        found = zip(self.quantities, self.replicates.values, self.replicates.drawn.T, strict=True)
        return [
            self.figure(quantity, estimate(float(value), drawn, base(quantity)), subgroup, level)
            for quantity, value, drawn in found
        ]

    def figure(
        self, quantity: Quantity, found: Estimate, subgroup: str = ALL, level: str | None = None
    ) -> Figure:
        """One quantity of this model as a figure."""
        selection = quantity.selection
        return Figure(
            Task.CANCER,
            quantity.name,
            self.rows.unit,
            subgroup,
            level,
            found,
            outcome=quantity.outcome,
            rule=None if selection is None else selection.rule,
            selection_rate=None if selection is None else selection.rate,
            model=self.model,
        )

    def at(self, quantity: Quantity) -> tuple[float, Floats]:
        """A quantity's value and its resamples."""
        place = self.quantities.index(quantity)
        return float(self.replicates.values[place]), self.replicates.drawn[:, place]

    def selected(self, selection: Selection) -> Bools:
        """The rows ``[row]`` that a rule selects."""
        return self.rows.score >= self.threshold(selection)

    def threshold(self, selection: Selection) -> float:
        """The score from which a rule selects these rows."""
        if selection.threshold is not None:
            return selection.threshold
        once = self.ranking.ranked(np.ones((1, self.ranking.women), np.uint8))
        return self.ranking.threshold(int(once.within([selection.rate])[0, 0]))


def detect(
    rows: Scored,
    model: str,
    selections: Sequence[Selection],
    settings: BootstrapSettings,
    shares: Shares | None = None,
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
        shares: the programme's prevalence, where rows are enriched.
    """
    mine = rows.only(model)
    fixed = [s.threshold for s in selections if s.threshold is not None]
    ranking = Ranking(mine.score, kinds(rows), rows.woman, shares, fixed)
    cancers = cancers_among(rows)
    replicates = ranking.replicates(
        lambda ranked: _measure(ranked, ranking, cancers, selections), **asdict(settings)
    )
    return Detection(model, mine, tuple(_quantities(cancers, selections)), replicates, ranking)


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
    """What ``_measure`` gives, in its order."""
    areas = ("auc", "partial_auc", "average_precision")
    found = [Quantity(name, outcome) for outcome in cancers for name in areas]
    for selection in selections:
        found.append(Quantity("share_selected", ALL, selection))
        found.append(Quantity("specificity", ANY_CANCER, selection))
        found.append(Quantity("cancers_per_1000_selected", ANY_CANCER, selection))
        found += [Quantity("sensitivity", outcome, selection) for outcome in cancers]
    return found


def _measure(
    ranked: Ranked,
    ranking: Ranking,
    cancers: Mapping[str, list[int]],
    selections: Sequence[Selection],
) -> Floats:
    """Figures ``[figure, resample]`` in the order of ``_quantities``."""
    found = []
    for theirs in cancers.values():
        present = [kind for kind in theirs if kind < ranking.kinds]
        found += [
            ranked.auc(present),
            ranked.partial_auc(present, LEAST_SPECIFICITY),
            ranked.average_precision(present),
        ]
    own = iter(ranked.within([s.rate for s in selections if s.threshold is None]))
    for selection in selections:
        groups = (
            next(own)
            if selection.threshold is None
            else np.full(ranked.upto.shape[2], ranking.from_score(selection.threshold))
        )
        found += _at(ranked, groups, [*cancers.values()])
    return np.array(found)


def _at(ranked: Ranked, groups: Ints, cancers: Sequence[Sequence[int]]) -> list[Floats]:
    """What the first groups hold: share, specificity, cancers per 1,000, and sensitivities."""
    selected = ranked.selected(groups) * ranked.factors
    all_rows = ranked.totals * ranked.factors
    with np.errstate(invalid="ignore", divide="ignore"):
        known = selected[HEALTHY] + selected[UNKNOWN + 1 :].sum(axis=0)
        return [
            selected.sum(axis=0) / all_rows.sum(axis=0),
            1 - selected[HEALTHY] / all_rows[HEALTHY],
            1000 * selected[UNKNOWN + 1 :].sum(axis=0) / known,
            *(
                selected[theirs].sum(axis=0) / all_rows[theirs].sum(axis=0)
                for theirs in ([k for k in some if k < len(selected)] for some in cancers)
            ),
        ]


def _bases(detection: Detection) -> Callable[[Quantity], Base]:
    """What each quantity of a detection rests on; rows are counted once for each question."""
    rows = detection.rows
    healthy = rows.known & ~rows.cancer

    @cache
    def looked_for(outcome: str) -> Base:
        cases = rows.cancer if outcome == ANY_CANCER else rows.cancer & (rows.outcome == outcome)
        used = cases | healthy
        return base_of(rows.woman[used], cases[used])

    @cache
    def base(quantity: Quantity) -> Base:
        if quantity.name == "specificity":
            return base_of(rows.woman[rows.known], healthy[rows.known])
        if quantity.selection is None or quantity.name == "sensitivity":
            return looked_for(quantity.outcome)
        selected = detection.selected(quantity.selection)
        if quantity.name == "share_selected":
            return base_of(rows.woman, selected)
        used = rows.known & selected
        return base_of(rows.woman[used], rows.cancer[used])

    return base
