"""Everything the report says of how cancers are found, computed once: of all rows and of parts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mim.evaluate.bootstrap import Floats
from mim.evaluate.detection import Detection, Selection, detect, programme_shares
from mim.evaluate.figures import MAKER, OWN_RATE, STORED_THRESHOLD, Figure
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.readers import Calls, reader_calls
from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.subgroups import Subgroup, subgroups
from mim.schemas.score_scale import ScoreScale
from mim.vocab import SELECTION_RATES

AT_CUT_OF_ALL = "threshold of all exams"
"""Parts are compared at one threshold: that of the rate among all exams."""

RATE_OF_PARTS = 0.088
"""The rate of that threshold: the programme's consensus (Larsen 2022)."""


SCORE_RULE = "score {} or more of {}"

MOST_COARSE, SCORES_SHOWN = 20, 3
"""Different scores up to which they are coarse, and how many of the highest are selected by."""


@dataclass(frozen=True)
class Part:
    """A subgroup, and what each model finds in it."""

    subgroup: Subgroup
    detections: dict[str, Detection]


@dataclass(frozen=True)
class Measured:
    """How models find the cancers of a sample.

    Attributes:
        sample: the exams.
        exams: what each model finds by exam.
        breasts: what each model finds by breast; empty where none scores breasts.
        breasts_by_maker: the same for each maker.
        parts: subgroups of the exams.
        calls: the readers' and the programme's.
    """

    sample: Sample
    exams: dict[str, Detection]
    breasts: dict[str, Detection]
    breasts_by_maker: list[Part]
    parts: list[Part]
    calls: list[Calls]

    def makers(self) -> list[Part]:
        """The parts that are makers."""
        return [part for part in self.parts if part.subgroup.subgroup == MAKER]

    def figures(self) -> list[Figure]:
        """Every figure of every model, by exam, by breast and by part."""
        whole = [*self.breasts.values(), *self.exams.values()]
        parts = [*self.breasts_by_maker, *self.parts]
        return [figure for detection in whole for figure in detection.figures()] + [
            figure
            for part in parts
            for detection in part.detections.values()
            for figure in detection.figures(part.subgroup.subgroup, part.subgroup.level)
        ]


def measure(
    sample: Sample, scales: Mapping[str, ScoreScale], settings: EvaluateSettings
) -> Measured:
    """Measure every model of a sample.

    Args:
        sample: the exams.
        scales: of models, with their thresholds; a model may have none.
        settings: of the bootstrap, and the programme's prevalence.

    Raises:
        InputError: as for ``mim.evaluate.detection.programme_shares``.
    """
    calls = reader_calls(sample)
    shares = programme_shares(sample.exams, settings.prevalence)
    own = [Selection(OWN_RATE, rate) for rate in SELECTION_RATES]
    weights = prevalence_weights(sample.exams.outcome, settings.prevalence)
    own += [Selection(f"rate of {found.name}", found.rate_of(weights)) for found in calls]
    exams = {}
    for model in sample.models:
        stored = stored_selections(scales[model], sample.exams) if model in scales else []
        rules = [*own, *by_score(sample.exams, model, weights), *stored]
        exams[model] = detect(sample.exams, model, rules, settings.bootstrap(), shares)
    breasts = {}
    if sample.breasts is not None:
        for model in sample.breasts.scores:
            breasts[model] = detect(sample.breasts, model, (), settings.bootstrap())
    return Measured(
        sample,
        exams,
        breasts,
        _parts(sample.breasts, {}, settings, MAKER) if sample.breasts else [],
        _parts(sample.exams, exams, settings),
        calls,
    )


def is_own_score(rule: str | None, model: str) -> bool:
    """Whether a rule selects by a score of this model."""
    start, end = SCORE_RULE.format("|", model).split("|")
    return rule is not None and rule.startswith(start) and rule.endswith(end)


def by_score(exams: Scored, model: str, weights: Floats) -> list[Selection]:
    """Rules "score 10 or more" of models whose scores are too coarse to select any share, as 1 to 10.

    Such a model has the score for its threshold; the others select the same share of the exams, so
    that all can be compared where it can stand.
    """
    found = []
    for coarse, score in exams.scores.items():
        values = np.unique(score)[::-1]
        for value in values[:SCORES_SHOWN] if len(values) <= MOST_COARSE else ():
            rate = float(weights[score >= value].sum() / weights.sum())
            rule = SCORE_RULE.format(f"{value:g}", coarse)
            found.append(Selection(rule, rate, float(value) if coarse == model else None))
    return found


def stored_selections(scale: ScoreScale, exams: Scored) -> list[Selection]:
    """The thresholds of a scale as rules, each exam by its maker and machine."""
    made = pl.DataFrame({"maker": exams.rows["maker"], "machine": exams.machines()})
    kinds = made.unique(maintain_order=True).with_row_index("kind")
    each = np.array([scale.level(*row).thresholds for row in kinds.drop("kind").rows()])
    on = ["maker", "machine"]
    row = made.join(kinds, on=on, how="left", nulls_equal=True, maintain_order="left")["kind"]
    thresholds = each[row.to_numpy()]
    return [
        Selection(STORED_THRESHOLD, rate, thresholds[:, place])
        for place, rate in enumerate(scale.selection_rates)
    ]


def _parts(
    rows: Scored,
    whole: Mapping[str, Detection],
    settings: EvaluateSettings,
    only: str | None = None,
) -> list[Part]:
    """What each model finds in each subgroup, at the threshold of all rows where that is given."""
    cuts = {model: _cuts(detection) for model, detection in whole.items()}
    found = []
    for part in subgroups(rows):
        if only in (None, part.subgroup):
            some = rows.where(part.rows)
            detections = {}
            for model in rows.scores:
                selections = [
                    replace(cut, threshold=cut.threshold[part.rows]) for cut in cuts.get(model, ())
                ]
                # With the factors of all exams, so that parts of the programme add up to it.
                weighing = whole[model].factors() if whole and settings.prevalence.given else None
                detections[model] = detect(some, model, selections, settings.bootstrap(), weighing)
            found.append(Part(part, detections))
    return found


@dataclass(frozen=True, eq=False)
class _Cut(Selection):
    """A rule with a threshold for each row."""

    threshold: Floats


def _cuts(detection: Detection) -> list[_Cut]:
    """The thresholds at which parts are compared: that of all exams, and the stored ones."""
    cut = np.full(len(detection.rows.score), detection.cut(RATE_OF_PARTS))
    stored = {id(q.selection): q.selection for q in detection.quantities if q.selection}.values()
    return [_Cut(AT_CUT_OF_ALL, RATE_OF_PARTS, cut)] + [
        _Cut(rule.rule, rule.rate, rule.threshold)
        for rule in stored
        if rule.rate == RATE_OF_PARTS and isinstance(rule.threshold, np.ndarray)
    ]
