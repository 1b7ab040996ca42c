"""Rule-out with a guarantee: exams that score so low that hardly a cancer is among them.

An exam is ruled out where its score lies below a threshold. The threshold is the highest one for
which, with the wanted confidence, the share of women with a cancer whom it misses stays within the
wanted bound.

**Unit.** A woman with a cancer is missed if any exam of hers with a cancer is ruled out, so her
lowest score among these counts. Women are independent of each other, exams of one woman are not.
The bound is on the share of women, and on that of exams with a cancer too where each woman has one
such exam, as in cohorts of mim, which leave out exams after a diagnosis.

**Why it holds.** Let p(t) be the share missed below a threshold t in the population, t* the highest
t with p(t) within the bound q, and k women of n be missed in the validation data. Whoever picks a
threshold above t* misses all women with a score up to t*, and these are at least a share q of the
population. So it happens only where their number, binomial, is so small that its exact upper
bound (Clopper and Pearson 1934, doi 10.1093/biomet/26.4.404) lies within q, which has a chance of
at most 1 - confidence. This needs no shape of the scores, no large n, and no correction for the
many thresholds looked at, since the share missed only grows with the threshold; ties make it
safer. Without ties the threshold is the nonparametric tolerance limit: the (k + 1)th lowest score,
k the largest with P(Binomial(n, q) <= k) <= 1 - confidence (Wilks 1941, Ann Math Stat 12:91).

**What else there is.** Fixed-sequence testing of binomial p-values from the lowest threshold up
(Learn then Test, arXiv 2110.01052) and upper bounds of a monotone risk (Bates 2021, doi
10.1145/3478535) come to this very threshold. Conformal risk control (arXiv 2208.02814) bounds the
mean over validation data, so that about every second threshold would miss more than the bound.

**Enriched data.** The share missed does not depend on how many exams have a cancer, but on how
many of the cancers are interval cancers. Where the programme's mix is given, the share missed is
the sum of each kind's, weighed by the mix, and its bound the sum of each kind's exact bound at
1 - (1 - confidence) / kinds (Bonferroni). That holds exactly, and costs some of the share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import NamedTuple

import numpy as np

from mim.evaluate.bootstrap import Bools, Floats, Ints
from mim.evaluate.figures import ALL, ANY_CANCER, makers_among
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.proportions import upper_bound
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings, RuleOutSettings
from mim.vocab import CANCERS, Outcome

ROUNDING = 1e-12


@dataclass(frozen=True)
class RuleOutThreshold:
    """The exam score below which an exam is ruled out; ``dataclasses.asdict`` gives its JSON.

    Attributes:
        maker: whose exams it is for; "all" for every maker.
        threshold: ruled out is ``exam score < threshold``; missing: nothing is ruled out.
        women: validation women with a cancer.
        missed: those of them with a cancer in an exam ruled out.
        missed_upper: upper bound, at the wanted confidence, of the share of women missed.
        exams: validation exams with a score.
        ruled_out: how many of them are ruled out.
        reason: why there is no threshold.
    """

    maker: str
    threshold: float | None
    women: int
    missed: int
    missed_upper: float | None
    exams: int
    ruled_out: int
    reason: str | None = None


class Kind(NamedTuple):
    """Cancers that are bounded together."""

    share: float
    """Share of the programme's cancers."""
    cancer: Bools
    """``[exam]``, which exams have one."""


@dataclass(frozen=True)
class RuleOutCurve:
    """What each threshold rules out and misses, lowest first, up to one above every score.

    Attributes:
        threshold: ``[point]``, the last one infinite.
        share_ruled_out: ``[point]``, of exams.
        missed: for any cancer, in the programme's mix where that is given, and for each kind that
            there is ``[point]``, the share of women with one who are missed.
    """

    threshold: Floats
    share_ruled_out: Floats
    missed: dict[str, Floats]


def rule_out_thresholds(
    validation: Scored, settings: RuleOutSettings, prevalence: PrevalenceSettings
) -> list[RuleOutThreshold]:
    """The highest thresholds that keep the bound: one, or by maker one for each maker there is.

    By maker, each threshold keeps the bound with the wanted confidence by itself. That all of k
    keep it at once has a chance of at least 1 - k (1 - confidence); who wants that asks for a
    confidence of 1 - (1 - confidence) / k (Bonferroni).
    """
    makers = makers_among(validation.maker) if settings.by_maker else [ALL]
    return [
        _threshold(exams_of(validation, maker), maker, settings, prevalence) for maker in makers
    ]


def ruled_out(exams: Scored, thresholds: Sequence[RuleOutThreshold]) -> Bools:
    """The exams ``[exam]`` ruled out; none of a maker that has no threshold."""
    out = np.zeros(len(exams.score), dtype=np.bool_)
    for found in thresholds:
        if found.threshold is not None:
            theirs = (exams.maker == found.maker) | (found.maker == ALL)
            out |= theirs & (exams.score < found.threshold)
    return out


def upper_bound_of_mix(missed: Ints, women: Ints, mix: Floats, confidence: float) -> Floats:
    """Exact upper bound ``[...]`` of the share of women missed, each kind of cancer weighed by the mix.

    Args:
        missed: ``[kind, ...]``, women missed.
        women: ``[kind]``, women with such a cancer.
        mix: ``[kind]``, each kind's share of the programme's cancers; they add up to 1.
        confidence: one-sided.
    """
    of = np.reshape(women, (-1,) + (1,) * (missed.ndim - 1))
    bounds = upper_bound(missed, of, 1 - (1 - confidence) / len(women))
    return np.asarray(np.tensordot(mix, bounds, axes=1))


def women_needed(missed_at_most: float, confidence: float) -> int | None:
    """Women with a cancer without whom nothing can be ruled out; none: no number is enough.

    The smallest n with (1 - missed_at_most)^n <= 1 - confidence.
    """
    if missed_at_most <= 0 or confidence >= 1:
        return None
    if missed_at_most >= 1:
        return 1
    return ceil(log(1 - confidence) / log(1 - missed_at_most) * (1 - ROUNDING))


def exams_of(exams: Scored, maker: str) -> Scored:
    """The exams of a maker, or all."""
    return exams if maker == ALL else exams.where(exams.maker == maker)


def kinds_in_mix(exams: Scored, prevalence: PrevalenceSettings) -> dict[str, Kind]:
    """The kinds of cancer whose shares of a programme's cancers are known; else one of all cancers.

    A cancer of unknown way of finding counts with the screen-detected ones, as in
    ``mim.evaluate.prevalence``. Where no cancer's way is known, no mix can be made.
    """
    rates = {
        Outcome.SCREEN_DETECTED: prevalence.screen_detected_per_1000 or 0.0,
        Outcome.INTERVAL: prevalence.interval_per_1000 or 0.0,
    }
    every = sum(rates.values())
    if not every or not any((exams.outcome == kind).any() for kind in rates):
        return {ANY_CANCER: Kind(1.0, exams.cancer)}
    interval = exams.outcome == Outcome.INTERVAL
    masks = {Outcome.SCREEN_DETECTED: exams.cancer & ~interval, Outcome.INTERVAL: interval}
    return {str(kind): Kind(rate / every, masks[kind]) for kind, rate in rates.items() if rate}


def with_cancer(exams: Scored, outcome: str) -> Bools:
    """The exams ``[exam]`` with a cancer of a kind, or any."""
    return exams.cancer if outcome == ANY_CANCER else exams.outcome == outcome


def one_of_each_woman(exams: Scored, cancer: Bools, out: Bools) -> Ints:
    """An exam with a cancer ``[woman]`` of each woman who has one: one ruled out if any of hers is.

    Args:
        cancer: ``[exam]``, which exams have a cancer of the kind looked for.
        out: ``[exam]``, which exams are ruled out.
    """
    return _lowest_of_each(exams, cancer, np.where(out, 0.0, 1.0))


def rule_out_curve(exams: Scored, prevalence: PrevalenceSettings) -> RuleOutCurve:
    """One threshold for all makers, moved from the lowest score to above the highest.

    Raises:
        InputError: as for ``mim.evaluate.prevalence.prevalence_weights``.
    """
    order = np.argsort(exams.score, kind="stable")
    ranked = exams.score[order]
    below = np.append(0.0, np.cumsum(prevalence_weights(exams.outcome, prevalence)[order]))
    thresholds = np.append(np.unique(ranked), np.inf)
    share = below[np.searchsorted(ranked, thresholds)] / below[-1] if len(ranked) else np.zeros(1)

    def missed_of(cancer: Bools) -> Floats:
        lowest = _lowest_scores(exams, cancer)
        return np.asarray(np.searchsorted(lowest, thresholds) / len(lowest), np.float64)

    missed: dict[str, Floats] = {}
    mix = kinds_in_mix(exams, prevalence).values()
    if all(kind.cancer.any() for kind in mix):
        missed[ANY_CANCER] = np.sum([kind.share * missed_of(kind.cancer) for kind in mix], axis=0)
    masks = {str(kind): exams.outcome == kind for kind in CANCERS}
    missed |= {kind: missed_of(mask) for kind, mask in masks.items() if mask.any()}
    return RuleOutCurve(thresholds, share, missed)


def _threshold(
    rows: Scored, maker: str, settings: RuleOutSettings, prevalence: PrevalenceSettings
) -> RuleOutThreshold:
    kinds = kinds_in_mix(rows, prevalence)
    lowest = [_lowest_scores(rows, kind.cancer) for kind in kinds.values()]
    candidates = np.unique(np.concatenate(lowest))
    missed = np.array([np.searchsorted(scores, candidates) for scores in lowest])
    women = np.array([len(scores) for scores in lowest])
    mix = np.array([kind.share for kind in kinds.values()])
    uppers = upper_bound_of_mix(missed, women, mix, settings.confidence)
    kept = np.flatnonzero(uppers <= settings.missed_at_most * (1 + ROUNDING))
    every = _lowest_scores(rows, rows.cancer)
    if not len(kept):
        reason = _why_none(dict(zip(kinds, women.tolist(), strict=True)), settings)
        return RuleOutThreshold(maker, None, len(every), 0, None, len(rows.score), 0, reason)
    threshold = candidates[kept[-1]]
    return RuleOutThreshold(
        maker=maker,
        threshold=float(threshold),
        women=len(every),
        missed=int((every < threshold).sum()),
        missed_upper=float(uppers[kept[-1]]),
        exams=len(rows.score),
        ruled_out=int((rows.score < threshold).sum()),
    )


def _why_none(women: Mapping[str, int], settings: RuleOutSettings) -> str:
    confidence = 1 - (1 - settings.confidence) / len(women)
    needed = women_needed(settings.missed_at_most, confidence)
    if needed is None:
        return "a bound of 0 or a confidence of 1 lets no exam be ruled out"
    there = ", ".join(f"{count:,} women with {outcome}" for outcome, count in women.items())
    each = " of each kind" if len(women) > 1 else ""
    return f"too few cancers: {there}; {needed:,}{each} are enough"


def _lowest_scores(exams: Scored, mask: Bools) -> Floats:
    """Lowest score ``[woman]`` of each woman's exams in a mask ``[exam]``, in ascending order."""
    return np.sort(exams.score[_lowest_of_each(exams, mask, exams.score)])


def _lowest_of_each(exams: Scored, mask: Bools, value: Floats) -> Ints:
    """For each woman with rows in a mask ``[exam]``, the one of them with the lowest value."""
    rows = np.flatnonzero(mask)
    rows = rows[np.lexsort((value[rows], exams.woman[rows]))]
    return rows[np.unique(exams.woman[rows], return_index=True)[1]]
