"""Registry exams that are one examination, done again within days or listed twice, made one.

``mim.cohort.priors`` has the rule and its reasons. What was read and decided of the repeats is
united: recalled if any was, each reader's and each model's highest score of a breast, and of an
outcome that the registry gives the worst, whole; of all else, as of who read first, what the
earliest exam that has it says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mim.cohort.priors import first_of_repeats
from mim.cohort.registry import Registry
from mim.schemas import registry as schemas
from mim.vocab import Outcome

HIGHEST = ("score", "consensus", "recalled")
"""Columns of which the highest value of the repeats counts; of the others the first given."""

WORST_FIRST = pl.Enum([outcome.value for outcome in Outcome])
"""Outcomes in the order of the vocabulary, which begins with cancers and ends with unknown."""


@dataclass
class Merged:
    """``registry``: its exams are examinations, and what its other tables say is theirs.

    ``of``: for every exam as the registry has it ``exam_id``, ``examination`` (the ``exam_id`` of
    its first exam) and ``days_after`` that (Int32, 0 for the first).
    """

    registry: Registry
    of: pl.DataFrame


def merge_repeats(registry: Registry, same_exam_days: int) -> Merged:
    """Make one examination of each woman's exams within ``same_exam_days`` after the first of them.

    The first by day, then by ``exam_id``, names it. Exams without a date stay apart.
    """
    exams = registry.exams.select("exam_id", "woman_id", "exam_date")
    exams = exams.sort("woman_id", "exam_date", "exam_id")
    women = exams["woman_id"].rle_id().to_numpy().astype(np.int64)
    first = first_of_repeats(women, exams["exam_date"].to_numpy(), same_exam_days)
    day = pl.col("exam_date")
    of = exams.select(
        "exam_id",
        examination=pl.col("exam_id").gather(first),
        days_after=(day - day.gather(first)).dt.total_days().fill_null(0).cast(pl.Int32),
    )
    repeated = of.filter(pl.col("exam_id") != pl.col("examination")).select("examination").unique()
    if repeated.is_empty():
        return Merged(registry, of)
    repeats = of.join(repeated, on="examination", how="semi")
    united: dict[str, Any] = {
        schema.name: _unite(getattr(registry, schema.name), schema.key, repeats)
        for schema in schemas.REGISTRY
        if schema.key[0] == "exam_id"
    }
    return Merged(replace(registry, **united), of)


def date_notices(exams: pl.DataFrame) -> list[str]:
    """What to tell the user where the registry's exams lack the days that priors need.

    ``exams``: the registry's, before repeats are made one.
    """
    women = exams.group_by("woman_id").agg(
        exams=pl.len(),
        dated=pl.col("exam_date").count(),
        days=pl.col("exam_date").drop_nulls().n_unique(),
    )
    several = women.filter(pl.col("exams") > 1)
    if several.is_empty():
        return []
    who = f"women with several exams: {several.height}"
    if several["dated"].max() == 0:
        return [f"{who}, all without exam_date: there are no priors"]
    if several["days"].max() == 1:
        return [
            f"{who}, none with exams on two days: there are no priors, and exams on one day count "
            "as one; where the days are made up, leave exam_date empty"
        ]
    undated = (several["exams"] - several["dated"]).sum()
    if not undated:
        return []
    return [f"{who}, {undated} of these exams without exam_date: they have no priors and are none"]


def _unite(table: pl.DataFrame, key: Sequence[str], repeats: pl.DataFrame) -> pl.DataFrame:
    hers = table.join(repeats, on="exam_id").sort("days_after", "exam_id")
    if hers.is_empty():
        return table
    key = ["examination", *key[1:]]
    if "reading" in table.columns:
        earliest = pl.col("exam_id").first().over("examination", "breast", "reading")
        hers = hers.with_columns(reading=pl.when(exam_id=earliest).then("reading"))
    if "outcome" in table.columns:
        worst = pl.col("outcome").cast(WORST_FIRST)
        hers = hers.sort(worst, "years_to_cancer", nulls_last=True, maintain_order=True)
        united = hers.unique(key, keep="first", maintain_order=True)
    else:
        rest = pl.exclude("exam_id", "days_after", *HIGHEST).drop_nulls().first()
        united = hers.group_by(key, maintain_order=True).agg(
            rest, pl.col([name for name in HIGHEST if name in table.columns]).max()
        )
    united = united.drop("exam_id", strict=False).rename({"examination": "exam_id"})
    untouched = table.join(repeats, on="exam_id", how="anti")
    return pl.concat([untouched, united.select(table.columns)])
