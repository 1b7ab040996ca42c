"""Priors held against the rules: the woman's own, earlier, far enough, in order, described rightly."""

import polars as pl

from mim.audit.findings import Finding, found
from mim.audit.tables import Cohort
from mim.vocab import DAYS_PER_MONTH

TOLERANCE_MONTHS = 0.05
"""Months may be rounded by so much."""

LISTS = ("priors", "months_before", "prior_makers")


def prior_findings(cohort: Cohort, diagnosed: pl.DataFrame, most: int) -> list[Finding]:
    """What is wrong about priors.

    ``diagnosed``: ``woman`` and ``diagnosed``, the day from which her cancer was known.
    """
    exams, settings = cohort.exams, cohort.settings["priors"]
    lengths = [pl.col(name).list.len() for name in LISTS]
    fits = (lengths[0] == lengths[1]) & (lengths[0] == lengths[2])
    pairs = _pairs(exams.filter(fits), exams, diagnosed)
    newer = pl.col("prior_date").shift(1).over("row")
    gap = _months(pl.col("exam_date"))
    gap_to_newer = _months(newer)
    least_gap = settings["least_gap_months"] - TOLERANCE_MONTHS
    known = pl.col("prior_woman").is_not_null()
    itself = pl.col("exam") == pl.col("prior")
    hers = known & ~itself & (pl.col("woman") == pl.col("prior_woman"))
    wrong_months = ((pl.col("months_before") - gap).abs() > TOLERANCE_MONTHS).fill_null(True)
    near = (gap < least_gap) | ((gap_to_newer > 0) & (gap_to_newer < least_gap)).fill_null(False)
    faults = {
        "prior is the exam itself": itself,
        "prior not in the cohort": ~known,
        "prior of another woman": known & (pl.col("woman") != pl.col("prior_woman")),
        "prior not earlier": hers & (gap <= 0).fill_null(True),
        "prior too near": hers & (gap > 0) & near,
        "priors not newest first": hers & (pl.col("prior_date") >= newer),
        "months to prior wrong": hers & (gap > 0) & wrong_months,
        "maker of prior wrong": hers & pl.col("prior_makers").ne_missing(pl.col("prior_maker")),
        "prior after a diagnosis": hers & (pl.col("prior_date") > pl.col("diagnosed")),
    }
    pair = pl.concat_str("exam", "prior", separator=" ")
    too_many = exams.filter(pl.col("priors").list.len() > settings["most"])
    return [
        *found("prior lists of unequal length", exams.filter(~fits)["exam"], most),
        *(
            finding
            for check, fault in faults.items()
            for finding in found(check, pairs.filter(fault).select(pair).to_series(), most)
        ),
        *found("too many priors", too_many["exam"], most),
        *_without_dates(exams),
    ]


def _months(later: pl.Expr) -> pl.Expr:
    """From the prior to a later day."""
    return (later - pl.col("prior_date")).dt.total_days() / DAYS_PER_MONTH


def _pairs(exams: pl.DataFrame, all_exams: pl.DataFrame, diagnosed: pl.DataFrame) -> pl.DataFrame:
    """One row per exam and prior, with what the prior's own row says."""
    own = all_exams.select(
        prior="exam", prior_woman="woman", prior_date="exam_date", prior_maker="maker"
    ).unique("prior", keep="first")
    return (
        exams.select("row", "exam", "woman", "exam_date", *LISTS)
        .filter(pl.col("priors").list.len() > 0)
        .explode(*LISTS)
        .rename({"priors": "prior"})
        .join(own, on="prior", how="left", maintain_order="left")
        .join(diagnosed, on="woman", how="left", maintain_order="left")
    )


def _without_dates(exams: pl.DataFrame) -> list[Finding]:
    """Where no two exams have different days: how many exams that is."""
    days = exams["exam_date"].drop_nulls().n_unique()
    if days > 1 or exams.height < 2:
        return []
    what = "no exam has a date" if days == 0 else "there is one date in all"
    return [
        Finding("no dates to find priors by", exams.height, f"Of {exams.height:,} exams, {what}.")
    ]
