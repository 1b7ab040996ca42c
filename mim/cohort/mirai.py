"""Mirai's columns, written from a cohort (yala/Mirai, README and ``csv_mammo_cancer``; Yala 2021,
doi 10.1126/scitranslmed.aba4373).

Mirai reads one number of years for each exam, from the first of its rows. So the breasts of an
exam count together, and every row of the exam says the same.
"""

from pathlib import Path

import polars as pl

from mim.schemas.table import whole_file
from mim.vocab import CANCERS, Outcome, Split

NEVER = 100
"""``years_to_cancer`` where no cancer is known."""
SPLIT_GROUPS = {Split.TRAIN: "train", Split.VALIDATION: "dev", Split.TEST: "test"}


def write_mirai(exams: pl.DataFrame, images: pl.DataFrame, path: Path) -> int:
    """Write a CSV row for each image; the years are whole, rounded down (0: within a year).

    ``years_to_cancer`` is that of the exam's first cancer in either breast, else ``NEVER``;
    ``years_to_last_followup`` that of the breast followed for less, but up to a cancer at least.
    Women, exams and images (as ``file_path``) go by their pseudonyms.

    Args:
        exams: columns of ``mim.schemas.cohort.EXAMS``.
        images: columns of ``mim.schemas.cohort.IMAGES``.
        path: the CSV file.

    Returns:
        How many exams are left out: of an unknown outcome, with a cancer whose years are unknown,
        without known follow-up or cancer, or unused in the split.
    """
    known = _known(exams)
    rows = images.select("exam", "image", "laterality", "view").join(known, on="exam")
    rows = rows.sort("woman", "exam", "laterality", "view")
    with whole_file(path) as unfinished:
        rows.select(
            patient_id="woman",
            exam_id="exam",
            laterality="laterality",
            view="view",
            file_path="image",
            years_to_cancer="years_to_cancer",
            years_to_last_followup="years_to_last_followup",
            split_group="split_group",
        ).write_csv(unfinished)
    return exams.height - known.height


def _known(exams: pl.DataFrame) -> pl.DataFrame:
    """Exams that Mirai can learn from: ``woman``, ``exam``, whole years and ``split_group``."""
    first = pl.min_horizontal("left_years_to_cancer", "right_years_to_cancer")
    followed = pl.min_horizontal("left_years_followed", "right_years_followed")
    both_followed = pl.all_horizontal(pl.col("^(left|right)_years_followed$").is_not_null())
    groups = {split.value: group for split, group in SPLIT_GROUPS.items()}
    return (
        exams.filter(*(_has_years(side) for side in ("left", "right")))
        .filter(first.is_not_null() | both_followed)
        .filter(pl.col("split").is_in(list(groups)))
        .select(
            "woman",
            "exam",
            years_to_cancer=first.floor().cast(pl.Int32).fill_null(NEVER),
            years_to_last_followup=pl.max_horizontal(followed, first).floor().cast(pl.Int32),
            split_group=pl.col("split").replace_strict(groups),
        )
    )


def _has_years(side: str) -> pl.Expr:
    """Whether a breast's outcome is known, and its cancer, if it has one, has its years."""
    outcome = pl.col(f"{side}_outcome")
    cancer = outcome.is_in([word.value for word in (*CANCERS, Outcome.LATER)])
    years = pl.col(f"{side}_years_to_cancer").is_not_null()
    return (outcome != Outcome.UNKNOWN.value) & (years | ~cancer)
