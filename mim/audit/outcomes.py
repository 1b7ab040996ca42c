"""Outcomes held against labels, dates and each other."""

import polars as pl

from mim.audit.findings import Finding, found
from mim.audit.tables import Cohort
from mim.schemas.cohort import SIDES
from mim.vocab import CANCERS, DAYS_PER_YEAR, NO_CANCER, Outcome

OPEN = (Outcome.CENSORED, Outcome.UNKNOWN)


def outcome_findings(cohort: Cohort, diagnosed: pl.DataFrame, most: int) -> list[Finding]:
    """What is wrong about outcomes. ``diagnosed`` is that of ``first_diagnoses``."""
    exams = cohort.exams
    clear_days = cohort.settings["outcomes"]["clear_days"]
    contradicts = exams.filter(
        pl.any_horizontal(*(_contradicts(s, clear_days) for s in SIDES.values()))
    )
    years = [
        f"{side}_years_{what}" for side in SIDES.values() for what in ("to_cancer", "followed")
    ]
    negative = exams.filter(pl.any_horizontal(pl.col(years) < 0))
    later = exams.join(diagnosed, on="woman").filter(pl.col("exam_date") > pl.col("diagnosed"))
    return [
        *found("label against outcome", contradicts["exam"], most),
        *found("negative years", negative["exam"], most),
        *found("exam after a diagnosis", later["exam"], most),
        *found("cancer counted by two exams", _counted_twice(exams), most),
    ]


def first_diagnoses(exams: pl.DataFrame) -> pl.DataFrame:
    """``woman`` and ``diagnosed``, the day of her first cancer that her exams know of.

    Where the cohort's years to cancer are all whole, they are known to the year only; the day is
    then the last one it can have been.
    """
    years = [f"{side}_years_to_cancer" for side in SIDES.values()]
    given = pl.concat([exams[name] for name in years]).drop_nulls()
    slack = 365 if (given == given.floor()).all() else 0
    days = (pl.min_horizontal(years) * DAYS_PER_YEAR).round().cast(pl.Int64) + slack
    return (
        exams.filter(pl.min_horizontal(years) >= 0)
        .select("woman", diagnosed=pl.col("exam_date") + pl.duration(days=days))
        .drop_nulls()
        .group_by("woman")
        .agg(pl.col("diagnosed").min())
    )


def _contradicts(side: str, clear_days: int) -> pl.Expr:
    """Whether a breast's label cannot go with its outcome."""
    label, outcome = pl.col(f"{side}_cancer"), pl.col(f"{side}_outcome")
    soon = pl.col(f"{side}_years_to_cancer") * DAYS_PER_YEAR < clear_days - 0.5
    later = label.fill_null(False) | (label.is_not_null() & soon.fill_null(True))
    return (
        pl.when(outcome.is_in(CANCERS))
        .then(label.ne_missing(True))
        .when(outcome.is_in(NO_CANCER))
        .then(label.ne_missing(False))
        .when(outcome.is_in(OPEN))
        .then(label.is_not_null())
        .otherwise(later)
    )


def _counted_twice(exams: pl.DataFrame) -> pl.Series:
    """Women with a cancer of one breast that several exams count."""
    women = exams.group_by("woman").agg(
        *(pl.col(f"{side}_outcome").is_in(CANCERS).sum().alias(side) for side in SIDES.values())
    )
    return women.filter(pl.any_horizontal(pl.col(list(SIDES.values())) > 1))["woman"]
