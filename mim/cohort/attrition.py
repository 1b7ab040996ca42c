"""The cohort's part of the attrition table: what goes on and what was left out, adding up."""

import polars as pl
import pyarrow as pa

from mim.schemas.cohort import ATTRITION, KEPT, attrition_rows
from mim.vocab import Reason

STEP = "cohort"
NO_IMAGE = "no image"


def cohort_attrition(indexed: pa.Table, exams: pl.DataFrame, images: pl.DataFrame) -> pa.Table:
    """The index's attrition with the cohort's rows after it.

    ``exams``: the registry's, ``images``: the index's usable ones and those that may stand in;
    both with ``left_out``, missing for those the cohort uses. Images kept and left out sum to the images that the index kept and
    those that may stand in, exams kept and left out to the registry's exams.
    """
    rows: list[dict[str, object]] = []
    for unit, table in (("exams", exams), ("images", images)):
        counts = dict(table["left_out"].fill_null(KEPT).value_counts().rows())
        rows += attrition_rows(STEP, unit, counts)
    return pa.concat_tables([indexed, ATTRITION.from_rows(rows)])


def why_exams_left_out(labels: pl.DataFrame, joined: pl.Series, kept: pl.Series) -> pl.DataFrame:
    """``exam_id`` of every exam of the registry and why the cohort leaves it out (``left_out``).

    ``joined`` and ``kept`` are the ``exam_id`` of exams that found a study, and of exams with at
    least one image in use.
    """
    has_study = pl.col("exam_id").is_in(joined.implode())
    has_image = pl.col("exam_id").is_in(kept.implode())
    return labels.select(
        "exam_id",
        left_out=pl.when(~has_study)
        .then(pl.lit(NO_IMAGE))
        .when("after_diagnosis")
        .then(pl.lit(Reason.AFTER_DIAGNOSIS.value))
        .when(~has_image)
        .then(pl.lit(Reason.NO_SCREENING_VIEW.value)),
    )
