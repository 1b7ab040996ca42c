"""Shortcuts: how well things that are not in the breast would predict cancer, in one number each.

Training women give each group of exams (a maker, a site, a month) its share of cancers; the AUC of
that share over test women says what the thing alone is worth. 0.5 is nothing.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mim.audit.chances import auc_interval
from mim.audit.findings import Finding
from mim.audit.tables import Cohort
from mim.evaluate.metrics import auc
from mim.vocab import VIEW_SLOTS, Split

LEAST_AUC = 0.6
"""A finding where the whole interval lies above."""

AGE_BIN = 5

THINGS = {
    "maker": "maker",
    "machine": "machine",
    "site": "site",
    "images": "number of images",
    "views": "missing views",
    "priors": "number of priors",
    "month": "month and year",
    "age": "age, 5-year bins",
}
"""Columns of ``things``, and what they are called."""

TRUE_RISK = ("age",)
"""Things that make a cancer likelier; shown, but no finding."""


@dataclass(frozen=True)
class Shortcut:
    """What one thing is worth.

    Attributes:
        name: a value of ``THINGS``.
        groups: how many there are in training women.
        auc: over test women; missing with ``reason``.
        low, high: 95 % interval.
        exams, cancers: test exams of known outcome, and those with cancer.
    """

    name: str
    groups: int
    auc: float | None
    low: float | None
    high: float | None
    exams: int
    cancers: int
    reason: str = ""


def things(cohort: Cohort) -> pl.DataFrame:
    """``woman``, ``split``, ``cancer`` and the columns of ``THINGS`` for exams of known outcome."""
    views = cohort.views[:, : len(VIEW_SLOTS)] > 0
    return (
        cohort.exams.with_columns(
            images=cohort.views.sum(1), views=views @ (1 << np.arange(len(VIEW_SLOTS)))
        )
        .filter(pl.col("cancer").is_not_null())
        .select(
            *("woman", "split", "cancer", "maker", "machine", "site", "images", "views"),
            priors=pl.col("priors").list.len(),
            month=pl.col("exam_date").dt.truncate("1mo"),
            age=pl.col("age_years") // AGE_BIN,
        )
    )


def shortcuts(cohort: Cohort) -> list[Shortcut]:
    """Every thing's worth, in the order of ``THINGS``."""
    rows = things(cohort)
    train, test = (rows.filter(pl.col("split") == split) for split in (Split.TRAIN, Split.TEST))
    return [_worth(column, train, test) for column in THINGS]


def shortcut_findings(worths: list[Shortcut]) -> list[Finding]:
    """Things whose AUC is above ``LEAST_AUC`` with all its interval."""
    return [
        Finding(
            "shortcut",
            worth.exams,
            f"The {worth.name} alone has an AUC of {worth.auc:.2f} "
            f"({worth.low:.2f} to {worth.high:.2f}) in test women.",
        )
        for worth in worths
        if worth.low is not None and worth.low > LEAST_AUC
        if worth.name not in [THINGS[column] for column in TRUE_RISK]
    ]


def fitted(column: str, train: pl.DataFrame, test: pl.DataFrame) -> pl.Series:
    """For each test exam the share of cancers that its group has in training women.

    Shares of small groups are drawn to the common share, by as many exams as hold one cancer; a
    group that training women lack has the common share.
    """
    share = train["cancer"].sum() / train.height
    groups = train.group_by(column).agg(score=(pl.col("cancer").sum() + 1) / (pl.len() + 1 / share))
    scored = test.join(groups, on=column, how="left", nulls_equal=True, maintain_order="left")
    return scored["score"].fill_null(share)


def _worth(column: str, train: pl.DataFrame, test: pl.DataFrame) -> Shortcut:
    name, groups = THINGS[column], train[column].n_unique()
    cancers, n = int(test["cancer"].sum()), test.height
    for rows, what in ((train, "training"), (test, "test")):
        if not 0 < rows["cancer"].sum() < rows.height:
            reason = f"{what} exams need some with cancer and some without"
            return Shortcut(name, groups, None, None, None, n, cancers, reason)
    cancer = test["cancer"].to_numpy().astype(np.bool_)
    value = auc(fitted(column, train, test).to_numpy(), cancer)
    women = [test.filter(pl.col("cancer") == side)["woman"].n_unique() for side in (True, False)]
    low, high = auc_interval(value, *women)
    return Shortcut(name, groups, value, low, high, n, cancers)
