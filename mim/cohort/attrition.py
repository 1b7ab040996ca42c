"""The cohort's part of the attrition table: what goes on and what was left out, adding up."""

import polars as pl
import pyarrow as pa

from mim.schemas.cohort import ATTRITION, KEPT, attrition_rows
from mim.vocab import Reason

STEP = "cohort"
NO_IMAGE = "no image"


def cohort_attrition(
    indexed: pa.Table, exams: pl.Series, images: pl.Series, repeated: int
) -> pa.Table:
    """The index's attrition with the cohort's rows after it.

    ``exams`` (one value an examination) and ``images`` (one of each that the index kept or that may
    stand in) say why they are left out; missing: the cohort uses them. With the ``repeated`` exams
    of the registry, which are another's examination, exams kept and left out sum to its exams.
    """
    of_exams = _counts(exams) | ({Reason.REPEATED_EXAM.value: repeated} if repeated else {})
    rows = attrition_rows(STEP, "exams", of_exams) + attrition_rows(STEP, "images", _counts(images))
    return pa.concat_tables([indexed, ATTRITION.from_rows(rows)])


def why_exams_left_out(
    examinations: pl.DataFrame, joined: pl.Series, held_out: pl.Series, kept: pl.Series
) -> pl.Series:
    """Why the cohort leaves each examination out, if it does.

    ``joined``, ``held_out`` and ``kept`` are numbers of examinations: of those with a study, and of
    those with an image in use that the division holds out, or that are exams of the cohort.
    """
    number = pl.col("examination")
    return examinations.select(
        left_out=pl.when(~number.is_in(joined.implode()))
        .then(pl.lit(NO_IMAGE))
        .when("after_diagnosis")
        .then(pl.lit(Reason.AFTER_DIAGNOSIS.value))
        .when(number.is_in(held_out.implode()))
        .then(pl.lit(Reason.HELD_OUT.value))
        .when(~number.is_in(kept.implode()))
        .then(pl.lit(Reason.NO_SCREENING_VIEW.value))
    ).to_series()


def _counts(left_out: pl.Series) -> dict[str, int]:
    return dict(left_out.fill_null(KEPT).value_counts().rows())
