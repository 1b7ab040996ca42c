"""What an audit shows though nothing is wrong with it: outcomes, gaps of priors, changes of maker."""

import polars as pl

from mim.audit.tables import Cohort
from mim.schemas.cohort import SIDES
from mim.vocab import Maker, Outcome, Split

GAP_MONTHS = 3
MOST_MONTHS = 120
"""Gaps this long and longer are counted together."""


def totals(cohort: Cohort) -> dict[str, int]:
    """Women, exams, images, and breasts by whether it is known if they have a cancer."""
    exams = cohort.exams
    labels = [exams[f"{side}_cancer"] for side in SIDES.values()]
    return {
        "women": exams["woman"].n_unique(),
        "exams": exams.height,
        "images": cohort.images.height,
        "breasts of known outcome": sum(label.count() for label in labels),
        "breasts with cancer": sum(int(label.sum() or 0) for label in labels),
    }


def outcomes_by_split(exams: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Breasts of each outcome that occurs, in the order of ``Outcome``, by split in use."""
    breasts = pl.concat(
        [exams.select("split", outcome=f"{side}_outcome") for side in SIDES.values()]
    )
    counts = {(s, o): n for s, o, n in breasts.group_by("split", "outcome").len().iter_rows()}
    splits = [str(split) for split in Split if split in exams["split"]]
    return {
        str(outcome): {split: counts.get((split, outcome), 0) for split in splits}
        for outcome in Outcome
        if any(other == outcome for _, other in counts)
    }


def prior_gaps(exams: pl.DataFrame) -> dict[int, int]:
    """Priors by the first month of the bin of their gap, without holes up to the last."""
    months = exams["months_before"].explode().drop_nulls().drop_nans()
    bins = (months // GAP_MONTHS * GAP_MONTHS).clip(0, MOST_MONTHS).cast(pl.Int64)
    counts = dict(zip(*bins.value_counts().get_columns(), strict=True))
    return {
        start: counts.get(start, 0) for start in range(0, max(counts, default=-1) + 1, GAP_MONTHS)
    }


def maker_pairs(exams: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Pairs of exam and prior by the exam's maker and the prior's, makers that occur only."""
    pairs = exams.select("maker", prior="prior_makers").explode("prior").drop_nulls()
    counts = {(m, p): n for m, p, n in pairs.group_by("maker", "prior").len().iter_rows()}
    makers = [str(maker) for maker in Maker if any(maker in pair for pair in counts)]
    return {maker: {prior: counts.get((maker, prior), 0) for prior in makers} for maker in makers}
