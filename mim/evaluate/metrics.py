"""What a model's scores are worth: AUC by breast and exam, sensitivity at selection rates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from mim.evaluate.bootstrap import Bools, Floats, Statistic, bootstrap_by_woman
from mim.evaluate.figures import ALL, ANY_CANCER, OWN_RATE, STORED_THRESHOLD, Figure, of_maker
from mim.evaluate.operating import Threshold, groups_within, highest_share
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import CANCERS, SELECTION_RATES, Task


def auc(scores: Floats, cancer: Bools) -> float:
    """Share of pairs (cancer, none) in which the cancer scores higher; a tie counts one half.

    NaN without cancers, without others, or where a score is NaN.
    """
    return float(auc_statistic(scores, cancer)(np.ones(len(scores)))[0])


def auc_statistic(scores: Floats, cancer: Bools) -> Statistic:
    """The AUC as a function of weights: one sort in all, one cumulative sum per resample."""
    healthy, sick = np.flatnonzero(~cancer), np.flatnonzero(cancer)
    healthy = healthy[np.argsort(scores[healthy], kind="stable")]
    lower = np.searchsorted(scores[healthy], scores[sick], side="left")
    not_higher = np.searchsorted(scores[healthy], scores[sick], side="right")
    broken = bool(np.isnan(scores).any())

    def statistic(weights: Floats) -> Floats:
        below = np.concatenate([[0.0], np.cumsum(weights[healthy])])
        pairs = weights[sick].sum() * below[-1]
        if pairs == 0 or broken:
            return np.array([np.nan])
        return np.array([weights[sick] @ (below[lower] + below[not_higher]) / (2 * pairs)])

    return statistic


def roc_curve(scores: Floats, cancer: Bools) -> tuple[Floats, Floats]:
    """False and true positive rate ``[point]`` at every distinct score, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(cancer[order])[last_of_tie]
    others = np.cumsum(~cancer[order])[last_of_tie]
    return np.append(0, others / others[-1]), np.append(0, found / found[-1])


def auc_figure(rows: Scored, maker: str, settings: BootstrapSettings) -> Figure:
    """The AUC of the rows whose label is known, of one maker or all."""
    used = rows.where(rows.known & ((rows.maker == maker) | (maker == ALL)))
    statistic = auc_statistic(used.score, used.cancer)
    found = bootstrap_by_woman(statistic, used.woman, [used.cancer], **asdict(settings))
    return Figure(Task.CANCER, "auc", rows.unit, *of_maker(maker), found[0], outcome=ANY_CANCER)


def selection_figures(
    exams: Scored, thresholds: Sequence[Threshold], settings: BootstrapSettings
) -> list[Figure]:
    """Share selected and sensitivity, by each kind of cancer that there is, at every selection rate.

    Once with the highest-scored share of these very exams (the cut is found anew in each
    resample), once with each stored threshold. Exams of unknown outcome can be selected too, as
    in a programme; only cancers known to be there count for the sensitivity. A woman drawn twice
    is a tie with herself, so resamples of few exams select a little less than the rate.
    """
    score = exams.score
    kinds = {str(kind): exams.outcome == kind for kind in CANCERS}
    found = {ANY_CANCER: exams.cancer} | {kind: rows for kind, rows in kinds.items() if rows.any()}
    cancers = list(found.values())
    own = _figures(
        exams,
        OWN_RATE,
        [(rate, highest_share(score, rate)) for rate in SELECTION_RATES],
        found,
        statistic=rate_statistic(score, cancers),
        settings=settings,
    )
    stored = [(t.selection_rate, score >= t.threshold) for t in thresholds]
    fixed = _figures(
        exams,
        STORED_THRESHOLD,
        stored,
        found,
        statistic=_selection_statistic([selected for _, selected in stored], cancers),
        settings=settings,
    )
    return own + fixed


def _figures(
    exams: Scored,
    rule: str,
    selections: Sequence[tuple[float, Bools]],
    cancers: Mapping[str, Bools],
    *,
    statistic: Statistic,
    settings: BootstrapSettings,
) -> list[Figure]:
    """Figures in the order of the statistic: per rate the share, then one for each cancer."""
    if not selections or not exams.score.size:
        return []
    wanted = [
        (name, outcome, rate, cases)
        for rate, selected in selections
        for name, outcome, cases in (
            ("share selected", ALL, selected),
            *(("sensitivity", o, c) for o, c in cancers.items()),
        )
    ]
    found = bootstrap_by_woman(
        statistic, exams.woman, [cases for *_, cases in wanted], **asdict(settings)
    )
    return [
        Figure(Task.CANCER, name, exams.unit, ALL, None, estimate, None, outcome, rule, rate)
        for (name, outcome, rate, _), estimate in zip(wanted, found, strict=True)
    ]


def rate_statistic(scores: Floats, masks: Sequence[Bools]) -> Statistic:
    """Share selected and sensitivity for each mask ``[row]``, rate by rate, from weights."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    places = [np.flatnonzero(mask[order]) for mask in masks]

    def statistic(weights: Floats) -> Floats:
        ranked = weights[order]
        cumulative = np.cumsum(ranked)[last_of_tie]
        cases = [np.append(0.0, np.cumsum(ranked[place])) for place in places]
        figures = []
        for rate in SELECTION_RATES:
            groups = groups_within(cumulative, rate)
            rows = last_of_tie[groups - 1] + 1 if groups else 0
            figures.append(cumulative[groups - 1] / cumulative[-1] if groups else 0.0)
            for place, case in zip(places, cases, strict=True):
                found = case[np.searchsorted(place, rows)]
                figures.append(found / case[-1] if case[-1] else np.nan)
        return np.array(figures)

    return statistic


def _selection_statistic(selections: Sequence[Bools], cancers: Sequence[Bools]) -> Statistic:
    """Per selection ``[row]``: its share of exams, then its share of each kind of cancer."""
    everyone = np.ones(len(cancers[0]), dtype=np.bool_)
    members = [np.flatnonzero(mask) for mask in (everyone, *cancers)]
    chosen = [[selected[rows] for rows in members] for selected in selections]

    def statistic(weights: Floats) -> Floats:
        parts = [weights[rows] for rows in members]
        totals = [part.sum() for part in parts]
        return np.array(
            [
                part[mask].sum() / total if total else np.nan
                for masks in chosen
                for part, mask, total in zip(parts, masks, totals, strict=True)
            ]
        )

    return statistic
