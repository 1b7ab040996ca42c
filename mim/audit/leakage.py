"""Leaks: a woman, an image or a picture on both sides of a division."""

import numpy as np
import polars as pl

from mim.audit.findings import Finding, found
from mim.audit.tables import Cohort
from mim.vocab import VIEW_SLOTS, Split

RELATIONS = ("in two splits", "of two women", "in two exams", "in one exam")
"""How two images relate, the worst that holds."""


def leaks(cohort: Cohort, most: int) -> list[Finding]:
    """Women in two splits or folds, exams and views that stand twice, images in two places."""
    exams = cohort.exams
    women = (
        exams.filter(pl.col("split") != Split.UNUSED)
        .group_by("woman")
        .agg(pl.col("split", "fold").n_unique())
    )
    twice = np.flatnonzero(cohort.views[:, : len(VIEW_SLOTS)].max(1, initial=0) > 1)
    return [
        *found("woman in two splits", women.filter(pl.col("split") > 1)["woman"], most),
        *found("woman in two folds", women.filter(pl.col("fold") > 1)["woman"], most),
        *found("exam twice", _repeated(exams["exam"]), most),
        *found("view twice", exams["exam"].gather(twice), most),
        *_shared_images(cohort, most),
    ]


def placed_images(cohort: Cohort, images: pl.DataFrame) -> pl.DataFrame:
    """``image``, ``exam``, ``woman`` and ``split`` of some of the cohort's images.

    Exams that are priors only have the split of the woman's other exams.
    """
    exams = cohort.exams.select("row", "exam", "woman", "split")
    hers = (
        exams.filter(pl.col("split") != Split.UNUSED)
        .group_by("woman")
        .agg(pl.col("split").min().alias("hers"))
    )
    exams = exams.join(hers, on="woman", how="left", maintain_order="left").select(
        "row",
        "exam",
        "woman",
        split=pl.when(pl.col("split") == Split.UNUSED)
        .then(pl.col("hers").fill_null("split"))
        .otherwise("split"),
    )
    return images.join(exams, on="row", maintain_order="left").drop("row", "slot")


def related(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of images with their ``relation``, one of ``RELATIONS``.

    ``pairs``: ``exam``, ``woman`` and ``split`` of the one, ``other_exam`` and so on of the other.
    """
    used = (pl.col("split") != Split.UNUSED) & (pl.col("other_split") != Split.UNUSED)
    two_splits, two_women, two_exams, one_exam = (pl.lit(name) for name in RELATIONS)
    return pairs.with_columns(
        relation=pl.when(used & (pl.col("split") != pl.col("other_split")))
        .then(two_splits)
        .when(pl.col("woman") != pl.col("other_woman"))
        .then(two_women)
        .when(pl.col("exam") != pl.col("other_exam"))
        .then(two_exams)
        .otherwise(one_exam)
    )


def _shared_images(cohort: Cohort, most: int) -> list[Finding]:
    # Hashes first: millions of names at once would fill the memory.
    suspects = cohort.images.filter(pl.col("image").hash().is_duplicated())
    repeated = suspects.filter(pl.col("image").is_duplicated())
    places = placed_images(cohort, repeated).sort("image", "exam")
    # Each with the first of its name: that tells every group which spans splits, women or exams.
    first = [pl.col(name).first().over("image") for name in ("exam", "woman", "split")]
    pairs = related(
        places.with_columns(each.name.prefix("other_") for each in first).filter(
            ~pl.col("image").is_first_distinct()
        )
    )
    names = ("image in two splits", "image of two women", "image in two exams", "image twice")
    return [
        finding
        for check, relation in zip(names, RELATIONS, strict=True)
        for finding in found(check, pairs.filter(pl.col("relation") == relation)["image"], most)
    ]


def _repeated(names: pl.Series) -> pl.Series:
    return names.filter(names.is_duplicated()).unique()
