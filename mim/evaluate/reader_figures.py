"""Readers and the programme, and models at their specificity and their sensitivity.

Each is measured on the exams that it has called and of which it is known whether they have a
cancer, and a model on the same exams. The point at which a model is as specific, or as sensitive, as
a reader is found anew in each resample of women. Of two rows without cancer between two neighbouring
scores of cancers, none of these figures feels which is higher: such rows share a group, so that a
resample costs a count and no sort.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mim.evaluate.bootstrap import (
    Base,
    Bools,
    Estimate,
    Floats,
    Ints,
    Times,
    base_of,
    estimate,
    over_blocks,
)
from mim.evaluate.detection import KIND, kinds, programme_shares
from mim.evaluate.differences import less, p_by_resamples, paired_calls
from mim.evaluate.figures import ALL, ANY_CANCER, ClosedForm, Figure
from mim.evaluate.measured import Measured
from mim.evaluate.paired import (
    EqualPoint,
    Pairs,
    equal_specificity,
    non_inferiority,
    paired_sensitivity,
)
from mim.evaluate.proportions import wilson_by_woman
from mim.evaluate.ranked import HEALTHY, UNKNOWN, Ranked, Ranking, Shares
from mim.evaluate.readers import Calls
from mim.evaluate.settings import EvaluateSettings
from mim.vocab import Task

OWN_CALLS = "own calls"
SENSITIVITY, SPECIFICITY = "sensitivity", "specificity"


class Quantity(NamedTuple):
    """What is measured: of a model or, where that is missing, of the reader; or their difference."""

    name: str
    outcome: str
    model: str | None = None
    difference: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a model's sensitivity for any cancer is not inferior, at a reader's specificity.

    Attributes:
        model: its name.
        reader: whose specificity it has.
        margin: the sensitivity that it may lack, as a share.
        estimate: of the model's sensitivity less the reader's.
        shown: the interval's lower end by bootstrap lies above minus the margin; this decides.
        tango_p: one-sided, of a lack of the margin or more, the threshold taken as given; missing
            where a woman has two of the cancers, or rows count by prevalence.
        mcnemar_p: two-sided, of no difference; as Tango's.
    """

    model: str
    reader: str
    margin: float
    estimate: Estimate
    shown: bool
    tango_p: float | None
    mcnemar_p: float | None


@dataclass(frozen=True)
class Read:
    """One reader, or the programme, against every model.

    Attributes:
        calls: hers, of all exams.
        figures: of her, of the models, and their differences.
        points: of each model at her specificity, by its name.
        verdicts: one for each model.
    """

    calls: Calls
    figures: list[Figure]
    points: dict[str, EqualPoint]
    verdicts: list[Verdict]


def measure_readers(
    measured: Measured, callers: Sequence[Calls], settings: EvaluateSettings
) -> list[Read]:
    """Measure readers, and every model where it is as specific or as sensitive as each.

    All share the draws of women. Callers who called the same exams share the counts too.
    """
    exams = measured.sample.exams
    shares = programme_shares(exams, settings.prevalence)
    groups: list[tuple[Bools, list[Calls]]] = []
    for calls in callers:
        used = calls.known & exams.known
        alike = next((its for known, its in groups if np.array_equal(known, used)), None)
        if alike is None:
            groups.append((used, [calls]))
        else:
            alike.append(calls)
    kind, women = kinds(exams), len(np.unique(exams.woman))
    called = [
        _Called(
            kind[used],
            exams.woman[used] - 1,
            {model: score[used] for model, score in exams.scores.items()},
            [(calls, calls.positive[used]) for calls in those],
            shares,
        )
        for used, those in groups
    ]

    def block(times: Times) -> Floats:
        return np.concatenate([some.measure(times) for some in called]).T

    values = block(np.ones((1, women), np.uint8))[0]
    drawn = np.concatenate([*over_blocks(block, women, **asdict(settings.bootstrap()))])
    ends = np.cumsum([0, *(len(some.quantities) * len(some.positive) for some in called)])
    return [
        read
        for some, start, end in zip(called, ends[:-1], ends[1:], strict=True)
        for read in some.reads(values[start:end], drawn[:, start:end].T, settings.margin)
    ]


@dataclass(frozen=True, eq=False)
class _Called:
    """Exams that some readers have all called, ready to be resampled.

    Attributes:
        kind: ``[row]``, as in a ranking.
        woman: ``[row]``, her place among all women.
        scores: ``[row]`` of each model.
        positive: each reader, and ``[row]`` her calls.
        shares: the programme's prevalence, where rows are enriched.
    """

    kind: Ints
    woman: Ints
    scores: Mapping[str, Floats]
    positive: Sequence[tuple[Calls, Bools]]
    shares: Shares | None

    @cached_property
    def cancers(self) -> dict[str, list[int]]:
        """Any cancer, and each kind that there is, by their numbers."""
        there = {name: [kind] for name, kind in KIND.items() if (self.kind == kind).any()}
        return {ANY_CANCER: [kind for [kind] in there.values()] or [UNKNOWN + 1]} | there

    @cached_property
    def quantities(self) -> list[Quantity]:
        """What is measured of one reader, in the order of ``_against``."""
        outcomes = [*self.cancers]
        own = [Quantity(SENSITIVITY, o) for o in outcomes] + [Quantity(SPECIFICITY, ANY_CANCER)]
        return own + [
            Quantity(name, outcome, model, difference)
            for model in self.scores
            for name, those in ((SENSITIVITY, outcomes), (SPECIFICITY, [ANY_CANCER]))
            for difference in (False, True)
            for outcome in those
        ]

    @cached_property
    def _women(self) -> tuple[Ints, Ints]:
        """Women with such an exam by their place among all, and each row's among them."""
        members, number = np.unique(self.woman, return_inverse=True)
        return members, number

    @cached_property
    def _rankings(self) -> list[Ranking]:
        return [
            Ranking(_among(score, score[self.kind > UNKNOWN]), self.kind, self.woman, self.shares)
            for score in self.scores.values()
        ]

    @cached_property
    def _counts(self) -> csr_array:
        """Positive calls ``[reader and kind, woman]``."""
        kinds, (members, number) = self._rankings[0].kinds, self._women
        positive = [hers for _, hers in self.positive]
        rows = [self.kind[hers] + place * kinds for place, hers in enumerate(positive)]
        columns = [number[hers] for hers in positive]
        row, column = np.concatenate(rows), np.concatenate(columns)
        shape = len(rows) * kinds, len(members)
        return csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)

    def measure(self, times: Times) -> Floats:
        """Quantities ``[reader and quantity, resample]`` of women drawn so many times."""
        mine = np.ascontiguousarray(times[:, self._women[0]])
        ranked = [ranking.ranked(mine) for ranking in self._rankings]
        positive = (self._counts @ mine.T.astype(np.float32, order="C")).astype(np.float64)
        each = positive.reshape(len(self.positive), -1, len(mine))
        found = [part for hers in each for part in _against(ranked, hers, self.cancers)]
        return np.array(found)

    def reads(self, values: Floats, drawn: Floats, margin: float) -> list[Read]:
        """Everything of each reader, from ``[reader and quantity]`` and the resamples of it."""
        size = len(self.quantities)
        found = []
        for place, (calls, positive) in enumerate(self.positive):
            one = _One(self, calls.name, positive)
            its = slice(place * size, (place + 1) * size)
            draws = dict(zip(self.quantities, drawn[its], strict=True))
            estimates = {
                quantity: estimate(float(value), draws[quantity], self.base(quantity))
                for quantity, value in zip(self.quantities, values[its], strict=True)
            }
            found.append(
                Read(
                    calls,
                    [one.figure(each, its, draws[each]) for each, its in estimates.items()],
                    one.points,
                    [one.verdict(model, margin, estimates) for model in self.scores],
                )
            )
        return found

    def base(self, quantity: Quantity) -> Base:
        """What a quantity rests on."""
        # A reader's own specificity needs no cancers; at her sensitivity they set the threshold.
        if quantity.name == SPECIFICITY and quantity.model is None:
            return self._bases[SPECIFICITY]
        return self._bases[quantity.outcome]

    @cached_property
    def _bases(self) -> dict[str, Base]:
        found = {SPECIFICITY: base_of(self.woman[~self.sick], None)}
        for outcome in self.cancers:
            used = self.cases(outcome) | ~self.sick
            found[outcome] = base_of(self.woman[used], self.cases(outcome)[used])
        return found

    @cached_property
    def sick(self) -> Bools:
        """The rows ``[row]`` with a cancer."""
        return np.asarray(self.kind > UNKNOWN, np.bool_)

    def cases(self, outcome: str) -> Bools:
        """The rows ``[row]`` with a cancer of a kind, or any."""
        return np.isin(self.kind, self.cancers[outcome])


@dataclass(frozen=True, eq=False)
class _One:
    """One reader among those who called the same exams: her figures, and the closed forms."""

    rows: _Called
    name: str
    positive: Bools

    @cached_property
    def points(self) -> dict[str, EqualPoint]:
        """Where each model is as specific as she is."""
        return {
            model: equal_specificity(score, self.rows.sick, self.positive)
            for model, score in self.rows.scores.items()
        }

    def figure(self, quantity: Quantity, found: Estimate, drawn: Floats) -> Figure:
        name, outcome, model, difference = quantity
        equal = SPECIFICITY if name == SENSITIVITY else SENSITIVITY
        figure = Figure(
            *(Task.CANCER, name, "exams", ALL, None, found),
            outcome=outcome,
            rule=OWN_CALLS if model is None else f"{equal} of {self.name}",
            model=model or self.name,
        )
        # Where cancers set the threshold, a formula for the others' share says far too little.
        moved = model is not None and name == SPECIFICITY
        weighed = self.rows.shares is not None and outcome == ANY_CANCER and name == SENSITIVITY
        known = not (moved or weighed)
        if not difference or model is None:
            return replace(figure, closed=self._closed(quantity) if known else None)
        return replace(
            figure,
            name=f"{name}_difference",
            model=less(model, self.name),
            closed=self._paired(model, outcome)[0] if known else None,
            p_value=p_by_resamples(found, drawn) if name == SENSITIVITY else None,
        )

    def verdict(self, model: str, margin: float, estimates: Mapping[Quantity, Estimate]) -> Verdict:
        found = estimates[Quantity(SENSITIVITY, ANY_CANCER, model, True)]
        shown = found.low is not None and found.low > -margin
        tango, mcnemar = None, None
        if self.rows.shares is None:
            _, mcnemar = self._paired(model, ANY_CANCER)
        if mcnemar is not None:
            tango = non_inferiority(self._pairs(model, ANY_CANCER), margin)
        return Verdict(model, self.name, margin, found, shown, tango, mcnemar)

    def _closed(self, quantity: Quantity) -> ClosedForm | None:
        woman, healthy = self.rows.woman, ~self.rows.sick
        if quantity.name == SPECIFICITY:
            return wilson_by_woman(~self.positive[healthy], woman[healthy])
        model, cases = quantity.model, self.rows.cases(quantity.outcome)
        selected = self.positive if model is None else self.points[model].selected
        return wilson_by_woman(selected[cases], woman[cases])

    def _paired(self, model: str, outcome: str) -> tuple[ClosedForm | None, float | None]:
        """Tango's interval and McNemar's p-value; neither where a woman has two of the cancers."""
        return paired_calls(self._pairs(model, outcome), self.rows.woman[self.rows.cases(outcome)])

    def _pairs(self, model: str, outcome: str) -> Pairs:
        selected = self.points[model].selected
        return paired_sensitivity(selected, self.positive, self.rows.cases(outcome))


def _among(scores: Floats, cancers: Floats) -> Floats:
    """Where each score lies among those of cancers: on one of them, or between two."""
    ranked = np.unique(cancers)
    left = np.searchsorted(ranked, scores, side="left")
    return np.asarray(left + np.searchsorted(ranked, scores, side="right"), np.float64)


def _against(
    ranked: Sequence[Ranked], positive: Floats, cancers: Mapping[str, list[int]]
) -> list[Floats]:
    """Quantities ``[resample]`` of one reader, in the order of ``_Called.quantities``.

    Args:
        ranked: the exams by each model's scores.
        positive: ``[kind, resample]``, the reader's positive calls.
        cancers: kinds that count together.
    """
    sensitivities, specificity = _rates(ranked[0], positive, cancers)
    found = [*sensitivities, specificity]
    for exams in ranked:
        at_specificity = exams.selected(_as_specific(exams, positive))
        at_sensitivity = exams.selected(_as_sensitive(exams, positive, cancers[ANY_CANCER]))
        theirs, _ = _rates(exams, at_specificity, cancers)
        # Without rows in which both could be equal there is no such point.
        theirs = [np.where(np.isnan(specificity), np.nan, each) for each in theirs]
        _, its = _rates(exams, at_sensitivity, cancers)
        its = np.where(np.isnan(sensitivities[0]), np.nan, its)
        apart = [a - b for a, b in zip(theirs, sensitivities, strict=True)]
        found += [*theirs, *apart, its, its - specificity]
    return found


def _rates(
    exams: Ranked, selected: Floats, cancers: Mapping[str, list[int]]
) -> tuple[list[Floats], Floats]:
    """Sensitivities and specificity ``[resample]`` of a selection ``[kind, resample]``."""
    part, whole = selected * exams.factors, exams.totals * exams.factors
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivities = [part[k].sum(axis=0) / whole[k].sum(axis=0) for k in cancers.values()]
        return sensitivities, 1 - selected[HEALTHY] / exams.totals[HEALTHY]


def _as_specific(exams: Ranked, positive: Floats) -> Ints:
    """Most groups ``[resample]`` that leave a model at least as specific as a reader."""
    within = exams.upto[HEALTHY] <= positive[HEALTHY].astype(np.float32)
    return np.asarray(within.sum(axis=0) - 1, np.int64)


def _as_sensitive(exams: Ranked, positive: Floats, kinds: list[int]) -> Ints:
    """Fewest groups ``[resample]`` that make a model at least as sensitive as a reader."""
    found = np.einsum("kgr,kr->gr", exams.upto[kinds], exams.factors[kinds])
    wanted = (positive * exams.factors)[kinds].sum(axis=0)
    # Sums in another order may come out a hair apart.
    return np.asarray((found < wanted * (1 - 1e-9)).sum(axis=0), np.int64)
