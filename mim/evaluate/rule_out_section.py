"""The report on rule-out: thresholds from validation exams, and what they do on test exams."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.stats import beta

from mim.evaluate.bootstrap import Bools, Floats, Statistic
from mim.evaluate.figures import (
    ALL,
    ANY_CANCER,
    ClosedForm,
    Figure,
    find,
    makers_among,
    named,
)
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.rule_out import (
    Kind,
    RuleOutThreshold,
    exams_of,
    kinds_in_mix,
    one_of_each_woman,
    rule_out_thresholds,
    ruled_out,
    upper_bound,
    with_cancer,
)
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table, in_words
from mim.evaluate.settings import BootstrapSettings, PrevalenceSettings, RuleOutSettings
from mim.vocab import CANCERS, Task

SHARE, MISSED, UPPER = "share_ruled_out", "missed", "missed_upper"
PER_1000 = "missed_per_1000_ruled_out"


def rule_out_section(
    validation: Scored | None,
    test: Scored,
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
    bootstrap: BootstrapSettings,
) -> Section:
    """Choose thresholds on validation exams and measure them on test exams, both one row per exam.

    Without validation exams, or with too few cancers among them, it says so and has no figures.

    Raises:
        InputError: as for ``mim.evaluate.prevalence.prevalence_weights``.
    """
    found = rule_out_thresholds(validation, settings, prevalence) if validation is not None else []
    chosen = any(one.threshold is not None for one in found)
    figures = rule_out_figures(test, found, settings, prevalence, bootstrap) if chosen else []
    return Section(
        Task.CANCER,
        "Rule-out",
        words=_words(found, test, settings, prevalence),
        headlines=[
            Headline(
                "Ruled out of 100 exams", "exams", Cell(find(figures, SHARE), 100, 1), "ruled out"
            )
        ]
        if figures
        else [],
        figures=figures,
        tables=[
            *([_threshold_table(found)] if found else ()),
            *((_share_table(figures), _missed_table(figures)) if figures else ()),
        ],
        facts={"rule_out": [asdict(one) for one in found]},
        summary=[_in_short(figures, settings)] if figures else [],
    )


def _in_short(figures: Sequence[Figure], settings: RuleOutSettings) -> str:
    missed = find(figures, MISSED, maker=ALL, outcome=ANY_CANCER)
    return (
        f"Rule-out at {100 * settings.missed_at_most:.4g} % missed at most: "
        f"{in_words(find(figures, SHARE), 100, 1)} % of these exams are ruled out, and "
        f"{missed.cases} of {missed.n} women with a cancer would be missed by it."
    )


def rule_out_figures(
    test: Scored,
    thresholds: Sequence[RuleOutThreshold],
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
    bootstrap: BootstrapSettings,
) -> list[Figure]:
    """What thresholds do on test exams, of all makers and of each.

    ``share_ruled_out`` counts exams. ``missed`` counts women: n have a cancer of the kind, cases of
    them in an exam ruled out; its closed form is Clopper and Pearson's. ``missed_upper`` is its
    exact one-sided upper bound. ``missed_per_1000_ruled_out`` counts exams ruled out of which it is
    known if they have a cancer.

    Raises:
        InputError: as for ``mim.evaluate.prevalence.prevalence_weights``.
    """
    outcomes = [ANY_CANCER, *(str(kind) for kind in CANCERS if (test.outcome == kind).any())]
    weights = prevalence_weights(test.outcome, prevalence)
    found = []
    for maker in (ALL, *makers_among(test.maker)):
        exams = exams_of(test, maker)
        measured = _Measured(
            exams=exams,
            out=ruled_out(exams, thresholds),
            weights=weights[(test.maker == maker) | (maker == ALL)],
            maker=maker,
            kinds=kinds_in_mix(exams, prevalence),
            confidence=settings.confidence,
            bootstrap=bootstrap,
        )
        found += [measured.share(), *measured.per_1000(outcomes)]
        found += [figure for outcome in outcomes for figure in measured.missed(outcome)]
    return found


@dataclass(frozen=True)
class _Measured:
    """Test exams of one maker, or all: which are ruled out, and how they count."""

    exams: Scored
    out: Bools
    weights: Floats
    maker: str
    kinds: dict[str, Kind]
    confidence: float
    bootstrap: BootstrapSettings

    def share(self) -> Figure:
        statistic = _weighed_shares([self.out], self.weights)
        [figure] = self._measurer("exams").figures(
            [(SHARE, None)], statistic, self.exams.woman, [self.out], self.maker, ALL
        )
        return figure

    def per_1000(self, outcomes: Sequence[str]) -> list[Figure]:
        rows = self.out & self.exams.known
        cases = [with_cancer(self.exams, outcome)[rows] for outcome in outcomes]
        statistic = _weighed_shares(cases, self.weights[rows], 1000)
        names = [(PER_1000, None)] * len(outcomes)
        figures = self._measurer("exams").figures(
            names, statistic, self.exams.woman[rows], cases, self.maker
        )
        return [
            replace(figure, outcome=outcome)
            for figure, outcome in zip(figures, outcomes, strict=True)
        ]

    def missed(self, outcome: str) -> list[Figure]:
        if outcome == ANY_CANCER:
            kinds = self.kinds
        else:
            kinds = {outcome: Kind(1.0, with_cancer(self.exams, outcome))}
        missed = self._missed(outcome, kinds)
        return [missed, self._upper(missed, kinds)]

    def _missed(self, outcome: str, kinds: dict[str, Kind]) -> Figure:
        """The share of women missed, each kind of cancer weighed by its share of the programme's."""
        rows = [one_of_each_woman(self.exams, kind.cancer, self.out) for kind in kinds.values()]
        weights = [
            np.full(len(women), kind.share / max(len(women), 1))
            for women, kind in zip(rows, kinds.values(), strict=True)
        ]
        every = np.concatenate(rows)
        missed, women = self.out[every], self.exams.woman[every]
        statistic = _weighed_shares([missed], np.concatenate(weights))
        [figure] = self._measurer("women").figures(
            [(MISSED, None)], statistic, women, [missed], self.maker, outcome
        )
        if len(kinds) == 1:
            return replace(figure, closed=_clopper_pearson(missed))
        absent = [kind for kind, women in zip(kinds, rows, strict=True) if not len(women)]
        if not absent:
            return figure
        reason = f"the programme's mix needs what is not here: {', '.join(absent)}"
        estimate = replace(figure.estimate, value=None, low=None, high=None, reason=reason)
        return replace(figure, estimate=estimate)

    def _upper(self, figure: Figure, kinds: dict[str, Kind]) -> Figure:
        """The exact bound of the share missed."""
        rows = [one_of_each_woman(self.exams, kind.cancer, self.out) for kind in kinds.values()]
        upper = upper_bound(
            np.array([self.out[women].sum() for women in rows]),
            np.array([len(women) for women in rows]),
            np.array([kind.share for kind in kinds.values()]),
            self.confidence,
        )
        estimate = figure.estimate
        if estimate.n:
            reason = f"a bound itself, at a confidence of {self.confidence:.4g}"
            estimate = replace(estimate, value=float(upper), low=None, high=None, reason=reason)
        return replace(figure, name=UPPER, estimate=estimate, closed=None)

    def _measurer(self, unit: str) -> Measurer:
        return Measurer(Task.CANCER, unit, self.bootstrap)


def _weighed_shares(masks: Sequence[Bools], weights: Floats, scale: float = 1.0) -> Statistic:
    """Weighed share of rows that each mask ``[row]`` keeps, times ``scale``."""
    kept = [np.where(mask, scale * weights, 0.0) for mask in masks]

    def statistic(times: Floats) -> Floats:
        total = times @ weights
        return np.array([times @ part / total if total else np.nan for part in kept])

    return statistic


def _clopper_pearson(missed: Bools) -> ClosedForm | None:
    count, women = int(missed.sum()), len(missed)
    if not women:
        return None
    low = float(beta.ppf(0.025, count, women - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, women - count)) if count < women else 1.0
    return ClosedForm(low, high, "Clopper-Pearson")


def _words(
    found: Sequence[RuleOutThreshold],
    test: Scored,
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
) -> list[str]:
    bound, confidence = f"{100 * settings.missed_at_most:.4g}", f"{100 * settings.confidence:.4g}"
    words = [
        "An exam is ruled out where its score lies below a threshold. The threshold is the highest "
        f"with which, at {confidence} % confidence, at most {bound} % of the women with a cancer "
        "have one in an exam ruled out. It is chosen on validation exams. The guarantee is for "
        "women like those of the validation exams, whose scores chose nothing of the model; it "
        "does not hold for other makers, software or ages.",
        "Cancers are those known: screen-detected ones and interval cancers. Had nobody read the "
        "exams ruled out, the screen-detected ones among them would have been missed; the interval "
        "cancers were missed by the readers as well.",
    ]
    if settings.by_maker:
        words.append(
            f"Each maker's threshold keeps the bound at {confidence} % confidence by itself; that "
            "all keep it at once is less sure."
        )
    if prevalence != PrevalenceSettings():
        kinds = kinds_in_mix(test, prevalence)
        shares = ", ".join(f"{100 * kind.share:.1f} % {name}" for name, kind in kinds.items())
        words.append(
            f"Exams count by the programme's prevalence, and cancers by its mix ({shares}). A "
            "cancer that is not said to be an interval cancer counts as screen-detected."
        )
    if not found:
        words.append("Nothing is ruled out: there are no validation exams.")
    return words + _left_alone(found, test)


def _left_alone(found: Sequence[RuleOutThreshold], test: Scored) -> list[str]:
    """A sentence for each threshold that could not be chosen, and for makers that have none."""
    whose = {one.maker: "" if one.maker == ALL else f" of {named(one.maker)}" for one in found}
    words = [
        f"No exam{whose[one.maker]} is ruled out: {one.reason}." for one in found if one.reason
    ]
    if found and ALL not in whose:
        words += [
            f"No exam of {named(maker)} is ruled out: no validation exam is of this maker."
            for maker in makers_among(test.maker)
            if maker not in whose
        ]
    return words


def _threshold_table(found: Sequence[RuleOutThreshold]) -> Table:
    return Table(
        "Thresholds on validation exams.",
        ("Maker", "Threshold", "Ruled out", "Women with a cancer", "Missed", "Missed at most, %"),
        [
            (
                named(one.maker),
                "-" if one.threshold is None else f"{one.threshold:.4g}",
                f"{one.ruled_out:,} of {one.exams:,} exams",
                f"{one.women:,}",
                f"{one.missed:,}",
                "-" if one.missed_upper is None else f"{100 * one.missed_upper:.2f}",
            )
            for one in found
        ],
    )


def _share_table(figures: Sequence[Figure]) -> Table:
    return Table(
        "Test exams ruled out with 95 % interval.",
        ("Maker", "Ruled out, %", "Cancers per 1,000 ruled out", "Exams"),
        [
            (
                named(figure.maker),
                Cell(figure.estimate, 100, 1),
                Cell(find(figures, PER_1000, maker=figure.maker, outcome=ANY_CANCER), 1, 2),
                f"{figure.estimate.n:,}",
            )
            for figure in figures
            if figure.name == SHARE
        ],
    )


def _missed_table(figures: Sequence[Figure]) -> Table:
    rows = []
    for figure in figures:
        if figure.name == MISSED:
            upper = find(figures, UPPER, maker=figure.maker, outcome=figure.outcome)
            missed = figure.estimate
            rows.append(
                (
                    f"{named(figure.maker)}, {figure.outcome}",
                    f"{missed.cases:,} of {missed.n:,}",
                    Cell(missed, 100, 2).value,
                    Cell(upper, 100, 2).value,
                )
            )
    return Table(
        "Test women with a cancer in an exam ruled out; the bound is exact and one-sided.",
        ("Maker and cancer", "Women", "Missed, %", "Missed at most, %"),
        rows,
    )
