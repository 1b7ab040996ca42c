"""What of the ordered exams an index holds, and what it holds besides.

Studies join exams by the cohort's own rules (``mim.cohort.join``), over all exams of the registry
and not only the ordered ones: an exam that is not ordered again still tells its studies apart from
those of the woman's other exam of that day.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mim.cohort.images import read_studies, require_index, scan_index_images
from mim.cohort.join import Joined, doubtful_studies, join_studies
from mim.schemas.order import USABLE, VIEWS
from mim.vocab import VIEW_SLOTS, Came, Standing

HAS = {
    view: ((pl.col("laterality") == side) & (pl.col("view") == name)).any()
    for view, (side, name) in zip(VIEWS, VIEW_SLOTS, strict=True)
}


@dataclass
class Arrivals:
    """``exams``: rows of ``mim.schemas.order.RECEIPT``, of the ordered exams only.

    ``studies``: rows of ``STUDIES``; ``images``: rows of ``IMAGES``, both of the whole index.
    """

    exams: pl.DataFrame
    studies: pl.DataFrame
    images: pl.DataFrame
    joined: Joined


def compare(exams: pl.DataFrame, index: Path) -> Arrivals:
    """Compare an order with an index.

    ``exams``: all exams of the registry as in ``mim.schemas.order.ORDER``; those with ``ordered``
    are judged. An exam is *complete* if each of the four views has a usable image, *incomplete* if
    some have, *unusable* if studies of it came and no view has; *ambiguous* if a study came whose
    keys name it but which cannot be joined to it; else *missing*.

    Raises:
        InputError: ``index`` is no finished index, or lacks a column.
    """
    require_index(index)
    variants = read_studies(index)
    counts = (
        scan_index_images(index, ("exam", "reason", "laterality", "view"))
        .group_by("exam", "reason", "laterality", "view")
        .agg(images=pl.len().cast(pl.Int64))
        .with_columns(usable=pl.when(pl.col("reason").is_null()).then("images").otherwise(0))
        .collect(engine="streaming")
    )
    joined = join_studies(exams, variants)
    doubtful = doubtful_studies(exams, variants, joined)
    ordered = exams.filter("ordered")
    studies = _studies(exams, variants, counts, joined, doubtful)
    receipt = _receipt(ordered, studies, counts, doubtful)
    images = _images(ordered, studies, counts)
    return Arrivals(receipt, studies.drop("exam").sort("study_uid"), images, joined)


def _studies(
    exams: pl.DataFrame,
    variants: pl.DataFrame,
    counts: pl.DataFrame,
    joined: Joined,
    doubtful: pl.DataFrame,
) -> pl.DataFrame:
    """Every study of the index with its standing towards the order."""
    mark = pl.lit(True)
    ordered = exams.filter("ordered")
    women = ordered.select(patient_id="woman_id").unique().with_columns(hers=mark)
    named = doubtful.join(ordered, on="exam_id", how="semi").select("exam").unique()
    doubts = doubtful.group_by("exam").agg(pl.col("doubt").first())
    sums = counts.group_by("exam").agg(pl.col("images", "usable").sum())
    studies = (
        variants.join(women, on="patient_id", how="left")
        .group_by("exam")
        .agg(
            pl.col("study_uid", "patient_id", "accession_number", "study_date").min(),
            woman_ordered=pl.col("hers").fill_null(False).any(),
        )
    )
    for table, key in (
        (sums, "exam"),
        (joined.studies.drop("woman"), "exam"),
        (ordered.select("exam_id", asked=mark), "exam_id"),
        (named.with_columns(claimed=mark), "exam"),
        (doubts, "exam"),
    ):
        studies = studies.join(table, on=key, how="left")
    return studies.with_columns(
        standing=pl.when("asked")
        .then(pl.lit(Standing.ORDERED.value))
        .when("claimed")
        .then(pl.lit(Standing.AMBIGUOUS.value))
        .otherwise(pl.lit(Standing.UNASKED.value))
    )


def _receipt(
    ordered: pl.DataFrame, studies: pl.DataFrame, counts: pl.DataFrame, doubtful: pl.DataFrame
) -> pl.DataFrame:
    hers = studies.filter(standing=Standing.ORDERED.value)
    of_exam = counts.join(hers.select("exam", "exam_id"), on="exam")
    found = hers.group_by("exam_id").agg(
        pl.col("joined_by").unique().sort(),
        pl.len().cast(pl.Int64).alias("studies"),
        pl.col("images", "usable").sum(),
    )
    views = of_exam.filter(pl.col("reason").is_null()).group_by("exam_id").agg(**HAS)
    reasons = (
        of_exam.drop_nulls("reason")
        .group_by("exam_id", "reason")
        .agg(pl.col("images").sum())
        .sort("exam_id", "reason")
        .group_by("exam_id", maintain_order=True)
        .agg(
            reasons="reason",
            left_out=pl.format("{} {}", "images", "reason").str.join(", "),
        )
    )
    doubts = doubtful.group_by("exam_id").agg(pl.col("doubt").min())
    receipt = ordered
    for table in (found, views, reasons, doubts):
        receipt = receipt.join(table, on="exam_id", how="left")
    no_words = pl.lit([], pl.List(pl.String))
    receipt = receipt.with_columns(
        pl.col("studies", "images", "usable").fill_null(0),
        pl.col(VIEWS).fill_null(False),
        pl.col("reasons", "joined_by").fill_null(no_words),
    ).with_columns(
        came=_came(),
        missing_views=pl.concat_list(
            pl.when(~pl.col(view)).then(pl.lit(view)) for view in VIEWS
        ).list.drop_nulls(),
    )
    return receipt.with_columns(detail=_detail()).sort("woman_id", "exam_date", "exam_id")


def _came() -> pl.Expr:
    return (
        pl.when(pl.all_horizontal(VIEWS))
        .then(pl.lit(Came.COMPLETE.value))
        .when(pl.any_horizontal(VIEWS))
        .then(pl.lit(Came.INCOMPLETE.value))
        .when(pl.col("studies") > 0)
        .then(pl.lit(Came.UNUSABLE.value))
        .when(pl.col("doubt").is_not_null())
        .then(pl.lit(Came.AMBIGUOUS.value))
        .otherwise(pl.lit(Came.MISSING.value))
    )


def _detail() -> pl.Expr:
    """What a person at the PACS needs to know, in words; missing for complete exams."""
    without = pl.format("no usable {}", pl.col("missing_views").list.join(", "))
    left_out = pl.format("left out: {}", pl.col("left_out"))
    said = pl.concat_str(without, left_out, separator="; ", ignore_nulls=True)
    return (
        pl.when(came=Came.COMPLETE.value)
        .then(None)
        .when(came=Came.MISSING.value)
        .then(pl.lit("no study of it came"))
        .when(came=Came.AMBIGUOUS.value)
        .then("doubt")
        .otherwise(said)
    )


def _images(ordered: pl.DataFrame, studies: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    """Files by standing, site of the ordered exam, and reason; they sum to the index's rows."""
    sites = studies.join(ordered.select("exam_id", "site"), on="exam_id", how="left")
    return (
        counts.join(sites.select("exam", "standing", "site"), on="exam", how="left")
        .with_columns(
            pl.col("standing").fill_null(Standing.NO_STUDY.value),
            pl.col("reason").fill_null(USABLE),
        )
        .group_by("standing", "site", "reason")
        .agg(pl.col("images").sum())
        .sort("standing", "site", "reason")
    )
