"""The report on rule-out: thresholds from validation exams, and what they do on test exams."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from markupsafe import Markup

from mim.evaluate.bootstrap import Bools, Floats, Statistic, alike, share
from mim.evaluate.charts import Axis, Line, lines_svg
from mim.evaluate.figures import ALL, ANY_CANCER, Figure, find, makers_among, named
from mim.evaluate.prevalence import known_weights, prevalence_weights
from mim.evaluate.proportions import exact
from mim.evaluate.rule_out import (
    Kind,
    RuleOutThreshold,
    exams_of,
    kinds_in_mix,
    one_of_each_woman,
    rule_out_curve,
    rule_out_thresholds,
    ruled_out,
    upper_bound_of_mix,
    with_cancer,
)
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table, in_words
from mim.evaluate.settings import BootstrapSettings, PrevalenceSettings, RuleOutSettings
from mim.vocab import CANCERS, Task

SHARE, MISSED, UPPER = "share_ruled_out", "missed", "missed_upper"
PER_1000 = "missed_per_1000_ruled_out"

TIMES_THE_BOUND = 5
"""How far up the curve of women missed is drawn."""

CHOSEN_HERE = (
    "The validation exams chose the model's checkpoint too, so the guarantee does not hold exactly, "
    "not even for women like theirs: simulated with 150 cancers, a bound of 2 %, which 5 % of "
    "validation sets may break, was broken in 12 % by the best of 10 equally good checkpoints, in "
    "16 % by the best of 30."
)
"""Figures of ``tests/test_evaluate_rule_out.py``: 20,000 made-up sets; scores of any two
checkpoints correlate by 0.7, and the highest AUC is taken."""


def rule_out_section(
    validation: Scored | None,
    test: Scored,
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
    bootstrap: BootstrapSettings,
    chosen_here: bool = False,
) -> Section:
    """Choose thresholds on validation exams and measure them on test exams, both one row per exam.

    Without validation exams, or with too few cancers among them, it says so and has no figures.

    Args:
        validation: exams on which thresholds are chosen, with the scores of one model.
        test: those measured, with its scores.
        settings: of rule-out.
        prevalence: what the programme sees, where exams hold more cancers or fewer.
        bootstrap: its settings.
        chosen_here: whether the validation exams chose the model's checkpoint.

    Raises:
        InputError: as for ``mim.evaluate.prevalence.prevalence_weights``.
    """
    found = rule_out_thresholds(validation, settings, prevalence) if validation is not None else []
    chosen = any(one.threshold is not None for one in found)
    figures = rule_out_figures(test, found, settings, prevalence, bootstrap) if chosen else []
    return Section(
        Task.CANCER,
        "Rule-out",
        words=_words(found, test, settings, prevalence, chosen_here),
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
        pictures=[_picture(test, figures, settings, prevalence)] if figures else [],
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
    of_known = known_weights(test.outcome, test.known, prevalence)
    found = []
    for maker in (ALL, *makers_among(test.maker)):
        exams, theirs = exams_of(test, maker), (test.maker == maker) | (maker == ALL)
        measured = _Measured(
            exams=exams,
            out=ruled_out(exams, thresholds),
            weights=weights[theirs],
            known_weights=of_known[theirs],
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
    known_weights: Floats
    maker: str
    kinds: dict[str, Kind]
    confidence: float
    bootstrap: BootstrapSettings

    def share(self) -> Figure:
        cells, first = alike(self.out, self.weights)
        statistic = _weighed_shares([self.out[first]], self.weights[first])
        [figure] = self._measurer("exams").figures(
            [(SHARE, None)], statistic, self.exams.woman, [self.out], self.maker, ALL, cells
        )
        return figure

    def per_1000(self, outcomes: Sequence[str]) -> list[Figure]:
        rows = self.out & self.exams.known
        cases = [with_cancer(self.exams, outcome)[rows] for outcome in outcomes]
        weights = self.known_weights[rows]
        cells, first = alike(weights, *cases)
        statistic = _weighed_shares([case[first] for case in cases], weights[first], 1000)
        figures = self._measurer("exams").figures(
            [(PER_1000, None)] * len(outcomes),
            statistic,
            self.exams.woman[rows],
            cases,
            self.maker,
            cells=cells,
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
            return replace(figure, closed=exact(int(missed.sum()), len(missed)))
        absent = [kind for kind, women in zip(kinds, rows, strict=True) if not len(women)]
        if not absent:
            return figure
        reason = f"the programme's mix needs what is not here: {', '.join(absent)}"
        estimate = replace(figure.estimate, value=None, low=None, high=None, reason=reason)
        return replace(figure, estimate=estimate)

    def _upper(self, figure: Figure, kinds: dict[str, Kind]) -> Figure:
        """The exact bound of the share missed."""
        rows = [one_of_each_woman(self.exams, kind.cancer, self.out) for kind in kinds.values()]
        upper = upper_bound_of_mix(
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
    kept = np.array([np.where(mask, scale * weights, 0.0) for mask in masks])
    return lambda drawn: share(kept @ drawn, drawn @ weights)


def _picture(
    test: Scored,
    figures: Sequence[Figure],
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
) -> Markup:
    """What every threshold would rule out and miss of test exams, up to a few times the bound."""
    curve, bound = rule_out_curve(test, prevalence), settings.missed_at_most
    most = min(TIMES_THE_BOUND * bound, 1.0)
    lines = []
    for series, (kind, missed) in enumerate(curve.missed.items()):
        shown = int(np.searchsorted(missed, most, side="right"))
        lines.append(Line(kind, curve.share_ruled_out[:shown], missed[:shown], series, steps=True))
    # Thresholds by maker are no point of a curve of one for all.
    mark = None if settings.by_maker else find(figures, SHARE).value
    return lines_svg(
        lines,
        Axis("exams ruled out", 0, 1, percent=True),
        Axis("women with a cancer missed", 0, most, percent=True),
        "Share of test women with a cancer missed against share of test exams ruled out, one "
        "threshold for all makers, by kind of cancer; the table gives the values at the chosen one"
        + (", where the upright line stands." if mark is not None else "."),
        guides=[
            Line(
                f"bound of {100 * bound:.4g} %, any cancer",
                np.array([0.0, 1.0]),
                np.full(2, bound),
                0,
            )
        ],
        mark=mark,
    )


def _words(
    found: Sequence[RuleOutThreshold],
    test: Scored,
    settings: RuleOutSettings,
    prevalence: PrevalenceSettings,
    chosen_here: bool,
) -> list[str]:
    bound, confidence = f"{100 * settings.missed_at_most:.4g}", f"{100 * settings.confidence:.4g}"
    words = [
        "An exam is ruled out where its score lies below a threshold. The threshold is the highest "
        f"with which, at {confidence} % confidence, at most {bound} % of the women with a cancer "
        "have one in an exam ruled out. It is chosen on validation exams. The guarantee is for "
        "women like theirs"
        + (";" if chosen_here else ", whose scores chose nothing of the model;")
        + " it does not hold for other makers, software or ages.",
        *([CHOSEN_HERE] if chosen_here else []),
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
