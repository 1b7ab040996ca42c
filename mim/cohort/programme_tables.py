"""What readers, consensus meetings, other models and pathologists said of the exams of a cohort."""

import polars as pl

from mim.cohort.registry import Registry
from mim.schemas.cohort import SIDES
from mim.vocab import CANCERS, DAYS_PER_YEAR

AT_THAT_TIME_DAYS = 31
"""A diagnosis no farther from ``years_to_cancer`` is that of the outcome."""


def find_readings(registry: Registry, exams: pl.DataFrame) -> pl.DataFrame:
    """What each reader said of the breasts of ``exams``: exam, reader, breast, score, reading.

    Readers are numbered in the order in which they began to read, by all exams of the registry, so
    that later exams and new readers change no number. Where two readers of a breast have the same
    ``reading``, it is unknown of both.

    ``registry``: repeats merged. ``exams``: exam_id, exam.
    """
    dates = registry.exams.select("exam_id", "exam_date")
    began = registry.readings.select("exam_id", "reader").join(dates, on="exam_id")
    readers = began.group_by("reader").agg(pl.col("exam_date").min())
    readers = readers.sort("exam_date", "reader", nulls_last=True).with_row_index("number", 1)
    hers = registry.readings.join(exams.select("exam_id", "exam"), on="exam_id")
    of_two = pl.len().over("exam", "breast", "reading") > 1
    return hers.join(readers.select("reader", "number"), on="reader").select(
        "exam",
        pl.format("reader {}", "number").alias("reader"),
        "breast",
        "score",
        pl.when(~of_two).then("reading").alias("reading"),
    )


def find_decisions(registry: Registry, exams: pl.DataFrame) -> pl.DataFrame:
    """What was decided of ``exams``: exam, consensus, recalled."""
    decisions = registry.decisions.join(exams.select("exam_id", "exam"), on="exam_id")
    return decisions.select("exam", "consensus", "recalled")


def find_scores(registry: Registry, exams: pl.DataFrame) -> pl.DataFrame:
    """What other models said of ``exams``: exam, breast (missing: the whole exam), score, model."""
    scores = registry.scores.join(exams.select("exam_id", "exam"), on="exam_id")
    return scores.select("exam", "breast", "score", "model")


def find_cancers(registry: Registry, exams: pl.DataFrame) -> pl.DataFrame:
    """The cancers that decided the outcomes of ``exams``, whose outcomes are known.

    Columns exam, breast, years_to_cancer, invasive, size_mm and grade; a row for each breast whose
    outcome is one of ``CANCERS``. What is known of the cancer is that of the breast's first
    diagnosis; nothing, where the registry's table of outcomes gives the cancer another time.
    """
    words = [outcome.value for outcome in CANCERS]
    breasts = pl.concat(
        exams.filter(pl.col(f"{side}_outcome").is_in(words)).select(
            "exam",
            "woman_id",
            "exam_date",
            pl.lit(breast.value).alias("breast"),
            pl.col(f"{side}_years_to_cancer").alias("years_to_cancer"),
        )
        for breast, side in SIDES.items()
    )
    first = registry.cancers.sort("diagnosis_date").unique(
        ["woman_id", "breast"], keep="first", maintain_order=True
    )
    days = (pl.col("diagnosis_date") - pl.col("exam_date")).dt.total_days()
    away = (days - pl.col("years_to_cancer") * DAYS_PER_YEAR).abs()
    facts = [
        pl.when(away <= AT_THAT_TIME_DAYS).then(name).alias(name)
        for name in ("invasive", "size_mm", "grade")
    ]
    found = breasts.join(first, on=["woman_id", "breast"], how="left")
    return found.select("exam", "breast", "years_to_cancer", *facts)
