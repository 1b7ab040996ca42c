"""A score scale fitted on a reference screening population: the validation exams.

Three readings of an exam score. The **scale** from above 0 to 10 is ten times the share of
reference exams that score lower, and half of those that score equal (Bross 1958, doi
10.2307/2527727); rounded up it is the **exam score** 1 to 10 in tenths of the population. The
**probability** of a cancer is a logistic curve of the score's log odds. The **thresholds** select
at most the wanted shares of exams.

Scores shift from maker to maker, and an upgrade of a mammograph's software once tripled the recalls
(de Vries 2023, doi 10.1148/ryai.220146). So each maker, and each software version of a maker, is
read by its own quantiles, drawn towards the level above as far as its exams are few: the whole,
the maker, the maker's machine. An exam's probability is that of the score of equal rank in the
whole, with a shift of the log odds for each level, drawn towards 0 as far as its cancers are few.
This takes exams of all makers for alike; women, and so cancers, that differ between makers are
evened out as if the machines did it, but for that shift.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.calibration import recalibration
from mim.evaluate.operating import threshold_at
from mim.evaluate.prevalence import known_weights, prevalence_weights
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.schemas.score_scale import Level, ScoreScale, log_odds
from mim.vocab import SELECTION_RATES, Maker

RANKS = np.concatenate([[0.001, 0.002, 0.005], np.arange(1, 100) / 100, [0.995, 0.998, 0.999]])
"""Where quantiles are kept; closer at the ends, since half of the cancers lie in the last hundredth."""

LEAST_EXAMS = 50
"""Reference exams of a maker or machine that has a level of its own."""

LEAST_CANCERS = 10
"""Reference exams with a cancer that a probability needs."""

EXAMS_BEYOND = 5.0
"""A quantile of n exams at p weighs n p (1 - p) / (n p (1 - p) + 5) against the level above: as much
as it when about five exams lie beyond it.

The variance of a quantile is proportional to 1 / (n p (1 - p)) where scores are logistic, so this
is the empirical Bayes weight of makers that differ by a standard deviation of 0.36 where the scores
within one have 1.45 (log odds). In simulations of 100 to 5,000 exams it erred less than no drawing
in where makers differ by up to 0.4; where they differ by 0.8 it erred more, by up to a third, and far less than
the whole's quantiles for all (tests/test_evaluate_scale.py).
"""

CANCERS_ALIKE = 10.0
"""The shift of a level's log odds has variance 1 / 10 before its cancers are seen, so it weighs about
c / (c + 10) with c cancers."""


@dataclass(frozen=True)
class Exams:
    """Reference exams with a score, as arrays ``[exam]``.

    ``weight`` makes them the programme's; ``known_weight`` those whose outcome is known, and so
    that the cancers add up to their number.
    """

    score: Floats
    weight: Floats
    known: Bools
    cancer: Bools
    known_weight: Floats
    maker: npt.NDArray[np.str_]
    machine: npt.NDArray[np.str_]

    def where(self, mask: Bools) -> "Exams":
        """The exams that a mask ``[exam]`` keeps."""
        return Exams(
            self.score[mask],
            self.weight[mask],
            self.known[mask],
            self.cancer[mask],
            self.known_weight[mask],
            self.maker[mask],
            self.machine[mask],
        )


@dataclass(frozen=True)
class Fitted:
    """A level and its quantiles ``[rank]`` at ``RANKS``, to which those below are drawn."""

    level: Level
    quantiles: Floats


def scale_of(found: Scored, prevalence: PrevalenceSettings) -> ScoreScale | None:
    """The scale of reference exams with the scores of one model; None without any.

    Args:
        found: the validation exams; scores of 0 to 1 can give a probability.
        prevalence: what the programme sees, where these exams hold more cancers or fewer.

    Raises:
        InputError: the exams cannot stand for the programme.
    """
    if not found.score.size:
        return None
    weight = prevalence_weights(found.outcome, prevalence)
    known_weight = np.zeros(len(weight))
    if found.cancer.any():
        known_weight = known_weights(found.outcome, found.known, prevalence)
        known_weight *= found.cancer.sum() / (known_weight @ found.cancer)
    machine = found.machines().fill_null("").to_numpy().astype(np.str_)
    reference = Exams(
        found.score, weight, found.known, found.cancer, known_weight, found.maker, machine
    )
    whole = _whole(reference)
    intercept, slope, reason = _probability(reference)
    scale = ScoreScale(
        selection_rates=list(SELECTION_RATES),
        whole=whole.level,
        makers={},
        software={},
        intercept=intercept,
        slope=slope,
        reason=reason,
        reference={
            "split": _split(found),
            "exams": len(found.score),
            "women": len(np.unique(found.woman)),
            "outcomes": _counts(found.outcome),
            "makers": _counts(found.maker),
            "screen_detected_per_1000": prevalence.screen_detected_per_1000,
            "interval_per_1000": prevalence.interval_per_1000,
        },
    )
    return _with_levels(scale, reference, whole)


def _split(found: Scored) -> str | None:
    """The split that all exams are of; None where they are of several, or it is not known."""
    named = found.rows["split"].unique().to_list() if "split" in found.rows else []
    return named[0] if len(named) == 1 else None


def mid_quantiles(score: Floats, weight: Floats, ranks: Floats) -> Floats:
    """Quantiles ``[rank]`` of the mid-distribution, in which equal scores count by half.

    They rise without steps where scores are tied too (Ma 2011, doi 10.1007/s10463-008-0215-z).
    """
    values, place = np.unique(score, return_inverse=True)
    sums = np.bincount(place, weight, len(values))
    middle = (np.cumsum(sums) - sums / 2) / sums.sum()
    return np.interp(ranks, middle, values)


def drawn_in(exams_of_it: float, ranks: Floats) -> Floats:
    """Weight ``[rank]`` of own quantiles at ``ranks`` against those of the level above."""
    around = exams_of_it * ranks * (1 - ranks)
    return around / (around + EXAMS_BEYOND)


def _whole(reference: Exams) -> Fitted:
    quantiles = mid_quantiles(reference.score, reference.weight, RANKS)
    thresholds = [
        threshold_at(reference.score, reference.weight, rate).threshold for rate in SELECTION_RATES
    ]
    return _fitted(reference, quantiles, thresholds)


def _fitted(reference: Exams, quantiles: Floats, thresholds: list[float]) -> Fitted:
    """Quantiles as the points of a line that rises: a tie at either end is one point."""
    scores, place = np.unique(quantiles, return_inverse=True)
    ranks = np.bincount(place, RANKS) / np.bincount(place)
    if len(scores) > 1:
        ranks[0], ranks[-1] = RANKS[place == 0].max(), RANKS[place == len(scores) - 1].min()
    level = Level(
        exams=len(reference.score),
        cancers=int(reference.cancer.sum()),
        scores=scores.tolist(),
        ranks=ranks.tolist(),
        thresholds=thresholds,
        intercept=0.0,
    )
    return Fitted(level, quantiles)


def _below(reference: Exams, above: Fitted) -> Fitted:
    """The level of some of the exams, drawn towards the level above."""
    effective = float(reference.weight.sum() ** 2 / (reference.weight**2).sum())
    own = mid_quantiles(reference.score, reference.weight, RANKS)
    weight = drawn_in(effective, RANKS)
    quantiles = np.maximum.accumulate(above.quantiles + weight * (own - above.quantiles))
    rates = np.array(SELECTION_RATES)
    thresholds = np.array(
        [threshold_at(reference.score, reference.weight, rate).threshold for rate in rates]
    )
    theirs = np.array(above.level.thresholds)
    drawn = theirs + drawn_in(effective, rates) * (thresholds - theirs)
    return _fitted(reference, quantiles, drawn.tolist())


def _with_levels(scale: ScoreScale, reference: Exams, whole: Fitted) -> ScoreScale:
    """The scale with the levels of makers, and of their machines, that have enough exams."""
    makers: dict[str, Level] = {}
    software: dict[str, dict[str, Level]] = {}
    for maker in _enough(reference.maker, Maker.UNKNOWN.value):
        hers = reference.where(reference.maker == maker)
        above = _shifted(scale, hers, _below(hers, whole), whole.level)
        makers[maker] = above.level
        software[maker] = {
            machine: _shifted(scale, of_one, _below(of_one, above), above.level).level
            for machine in _enough(hers.machine, "")
            for of_one in [hers.where(hers.machine == machine)]
        }
    return replace(scale, makers=makers, software=software)


def _enough(names: npt.NDArray[np.str_], unknown: str) -> list[str]:
    counts = _counts(names)
    return [name for name, n in counts.items() if n >= LEAST_EXAMS and name != unknown]


def _probability(reference: Exams) -> tuple[float | None, float | None, str | None]:
    """Intercept, slope, and why there are none.

    Cancers and others are counted as a little less than sure (Platt 1999): log odds that part them
    have a finite slope. Simulated with 20 to 800 cancers, 8 in 1,000 exams, against a curve of three
    parameters (Kull 2017) and isotonic regression: where scores of cancers and others are equally
    spread, this lay closest to the truth (loss above it, 1e-5 nats an exam: 47, 69, 239 with 20
    cancers; 0.9, 6.6, 22 with 800). Where those of cancers are spread 1.4 times as wide it has a bias
    that more cancers do not mend (134, 104, 224; 62, 7.6, 26). Isotonic regression ties scores.

    How many exams without a cancer there are for one with moves the intercept alone (Prentice and
    Pyke 1979, doi 10.1093/biomet/66.3.403). So where they stand for a programme's, the curve is fitted
    to those that are here and then moved: weighing few exams by many would be noise.
    """
    if reference.score.min() < 0 or reference.score.max() > 1:
        return None, None, "the scores are no shares from 0 to 1"
    known = reference.where(reference.known)
    cancers, others = int(known.cancer.sum()), int((~known.cancer).sum())
    if cancers < LEAST_CANCERS or others < LEAST_CANCERS:
        few = "a cancer" if cancers < LEAST_CANCERS else "none"
        return (
            None,
            None,
            (
                f"{min(cancers, others)} reference exams are known to have {few}; "
                f"a probability needs {LEAST_CANCERS}"
            ),
        )
    sure = np.where(known.cancer, (cancers + 1) / (cancers + 2), 1 / (others + 2))
    weight = np.where(known.cancer, known.known_weight, 1.0)
    intercept, slope = recalibration(
        np.tile(log_odds(known.score), 2),
        np.repeat([True, False], len(sure)),
        np.concatenate([weight * sure, weight * (1 - sure)]),
    )
    if not slope > 0:
        return None, None, "a higher score does not mean more cancers among the reference exams"
    return intercept - float(np.log(known.known_weight[~known.cancer].mean())), slope, None


def _shifted(scale: ScoreScale, reference: Exams, fitted: Fitted, above: Level) -> Fitted:
    """A level with the shift of its log odds: the mode of the likelihood and a normal prior."""
    level = replace(fitted.level, intercept=above.intercept)
    if scale.slope is None:
        return Fitted(level, fitted.quantiles)
    weight, odds, shift = reference.known_weight, scale.log_odds(reference.score, level), 0.0
    for _ in range(50):
        said = expit(odds + shift)
        slope = weight @ (said * (1 - said)) + CANCERS_ALIKE
        step = (weight @ (reference.cancer - said) - CANCERS_ALIKE * shift) / slope
        shift += float(np.clip(step, -1, 1))
        if abs(step) < 1e-10:
            break
    return Fitted(replace(level, intercept=above.intercept + shift), fitted.quantiles)


def _counts(names: npt.NDArray[np.str_]) -> dict[str, int]:
    found, counts = np.unique(names, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
