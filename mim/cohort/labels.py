"""Outcomes: what became of each breast after each exam.

A breast's cancer is the first one diagnosed in that breast. Days are counted from the exam to the
diagnosis; both windows include their last day. The first row that holds decides:

=====================================================================  ======================
the woman was diagnosed, in either breast, before the day of the exam  unknown; exam left out
cancer within ``screen_detected_days``, and not known as not recalled  screen-detected cancer
cancer within ``interval_days``, no later exam up to the diagnosis     interval cancer
cancer within ``interval_days``, a later exam came first               unknown
no cancer within ``interval_days``, followed at least as long          negative
no cancer within ``interval_days``, followed for less                  unknown
=====================================================================  ======================

Recall: without a decision on the exam the window alone decides. A recalled woman whose cancer
comes after the first window had an interval cancer, and so had one who was not recalled and whose
cancer came within it.

A later exam takes the cancer over, whether it found it or missed it. The earlier exam's breast is
then neither free of cancer for the interval nor an interval cancer, hence unknown.

The other breast: a cancer on one side does not make the other side positive, nor does it end that
side's follow-up, for the registry goes on recording; the other side is negative if nothing is
diagnosed there within the interval, and positive if something is.

Follow-up ends at ``women.followup_end``, else on the latest day found anywhere in the registry. A
later exam or diagnosis of the woman shows that she was followed until then.

Definitions: screen-detected after recall, interval cancer within one screening interval of two
years (Larsen 2022, doi 10.1007/s00330-022-08909-x); negative after 24 months (Elhakim).
"""

from datetime import date

import polars as pl

from mim.cohort.registry import Registry
from mim.cohort.settings import OutcomeSettings
from mim.vocab import BREASTS, Laterality, Outcome

SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}


def label_exams(registry: Registry, settings: OutcomeSettings) -> pl.DataFrame:
    """Outcome of both breasts of every exam of the registry, whether it has images or not.

    Returns one row per exam: ``exam_id``, ``recalled`` (missing: unknown), ``after_diagnosis``,
    and for left and right ``_outcome`` and ``_cancer`` (missing: unknown).
    """
    exams = (
        registry.exams.select("exam_id", "woman_id", "exam_date")
        .join(registry.decisions.select("exam_id", "recalled"), on="exam_id", how="left")
        .join(_next_exams(registry), on=["woman_id", "exam_date"], how="left")
        .join(_first_cancers(registry), on="woman_id", how="left")
        .join(_followup_ends(registry), on="woman_id", how="left")
    )
    after = (pl.col("first_diagnosis") < pl.col("exam_date")).fill_null(False)
    exams = exams.with_columns(
        after_diagnosis=after,
        left_outcome=_outcome("left", settings),
        right_outcome=_outcome("right", settings),
    ).with_columns(
        pl.when("after_diagnosis")
        .then(pl.lit(Outcome.UNKNOWN.value))
        .otherwise(f"{side}_outcome")
        .alias(f"{side}_outcome")
        for side in SIDES.values()
    )
    return exams.select(
        "exam_id",
        "recalled",
        "after_diagnosis",
        "left_outcome",
        "right_outcome",
        left_cancer=_cancer("left_outcome"),
        right_cancer=_cancer("right_outcome"),
    )


def last_day(registry: Registry) -> date:
    """The latest day found anywhere in the registry."""
    days = (
        registry.exams["exam_date"],
        registry.cancers["diagnosis_date"],
        registry.women["followup_end"],
    )
    last = pl.concat([day.rename("day") for day in days]).max()
    assert isinstance(last, date)
    return last


def _next_exams(registry: Registry) -> pl.DataFrame:
    """For each woman and day with an exam, her next day with one; of any kind, with images or not."""
    days = registry.exams.select("woman_id", "exam_date").unique().sort("woman_id", "exam_date")
    return days.with_columns(next_exam=pl.col("exam_date").shift(-1).over("woman_id"))


def _first_cancers(registry: Registry) -> pl.DataFrame:
    """For each woman with cancer, the day of the first one in each breast and in either."""
    return registry.cancers.group_by("woman_id").agg(
        pl.col("diagnosis_date").min().alias("first_diagnosis"),
        pl.col("diagnosis_date").max().alias("last_diagnosis"),
        *(
            pl.col("diagnosis_date").filter(breast=side.value).min().alias(f"{SIDES[side]}_day")
            for side in BREASTS
        ),
    )


def _followup_ends(registry: Registry) -> pl.DataFrame:
    """For each woman examined, the last day on which a cancer would have become known."""
    women = registry.exams.group_by("woman_id").agg(last_exam=pl.col("exam_date").max())
    return women.join(
        registry.women.select("woman_id", "followup_end"), on="woman_id", how="left"
    ).select(
        "woman_id",
        followed_until=pl.max_horizontal(
            pl.col("followup_end").fill_null(last_day(registry)), "last_exam"
        ),
    )


def _outcome(side: str, settings: OutcomeSettings) -> pl.Expr:
    """The decision table above, from its second row on; a comparison with a missing day is no."""
    days = (pl.col(f"{side}_day") - pl.col("exam_date")).dt.total_days()
    found = days.is_between(0, settings.screen_detected_days) & pl.col("recalled").fill_null(True)
    within = days.is_between(0, settings.interval_days)
    taken_over = (pl.col("next_exam") <= pl.col(f"{side}_day")).fill_null(False)
    until = pl.max_horizontal("followed_until", "last_diagnosis")
    followed = (until - pl.col("exam_date")).dt.total_days() >= settings.interval_days
    return (
        pl.when(found)
        .then(pl.lit(Outcome.SCREEN_DETECTED.value))
        .when(within & ~taken_over)
        .then(pl.lit(Outcome.INTERVAL.value))
        .when(~within.fill_null(False) & followed)
        .then(pl.lit(Outcome.NEGATIVE.value))
        .otherwise(pl.lit(Outcome.UNKNOWN.value))
    )


def _cancer(outcome: str) -> pl.Expr:
    meanings = {
        Outcome.SCREEN_DETECTED.value: True,
        Outcome.INTERVAL.value: True,
        Outcome.NEGATIVE.value: False,
        Outcome.UNKNOWN.value: None,
    }
    return pl.col(outcome).replace_strict(meanings, return_dtype=pl.Boolean)
