"""Parts of a sample by what its exams, women or cancers have in common."""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from mim.evaluate.bootstrap import Bools
from mim.evaluate.figures import MAKER
from mim.evaluate.scored import Scored

AGES = (49, 54, 59, 64, 69)
"""The highest age of each band but the last: screening in Norway is from 50 to 69."""

AGE_BANDS = ("to 49", "50 to 54", "55 to 59", "60 to 64", "65 to 69", "from 70")

MOST_PERIODS = 5

SIZES_MM = (10.0, 20.0)
"""The largest diameter of each band but the last: T1a and T1b, T1c, and larger (TNM)."""


SIZE_BANDS = ("to 10 mm", "to 20 mm", "above 20 mm")

ORDERED = (*AGE_BANDS, *SIZE_BANDS)


@dataclass(frozen=True)
class Subgroup:
    """Rows with something in common.

    Attributes:
        subgroup: what, such as "maker" or "age".
        level: which.
        rows: ``[row]``. Where cancers are told apart, rows without a cancer are in all of them.
    """

    subgroup: str
    level: str
    rows: Bools


def subgroups(rows: Scored) -> list[Subgroup]:
    """Every part, of what differs at all among the rows."""
    found = []
    for name, values in (_of_exams(rows.rows) | _of_cancers(rows)).items():
        levels = sorted((str(level) for level in values.drop_nulls().unique()), key=_in_order)
        parts = [
            Subgroup(name, level, (values == level).fill_null(False).to_numpy()) for level in levels
        ]
        if name.startswith("cancer"):
            healthy = rows.known & ~rows.cancer
            parts = [Subgroup(p.subgroup, p.level, p.rows | healthy) for p in parts]
        found += parts if len(levels) > 1 else []
    return found


def _in_order(level: str) -> tuple[int, list[tuple[int, str]]]:
    """Bands in their order, other levels by their letters, with numbers within them by size."""
    if level in ORDERED:
        return ORDERED.index(level), []
    parts = re.findall(r"\d+|\D+", level)
    return 0, [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _of_exams(rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Levels ``[row]`` of what an exam has, missing where unknown."""
    there = {name: rows[name] for name in ("site", "density") if name in rows}
    found = {MAKER: rows["maker"], **there}
    if "machine" in rows:
        found["software"] = rows["machine"]
    if "age_years" in rows:
        found["age"] = _banded(rows["age_years"], AGES, AGE_BANDS)
    if "priors" in rows:
        found["priors"] = rows.select(
            pl.when(pl.col("priors") > 0)
            .then(pl.lit("some"))
            .when(pl.col("priors") == 0)
            .then(pl.lit("none"))
        ).to_series()
    if "exam_date" in rows:
        found["period"] = _periods(rows["exam_date"])
    return found


def _of_cancers(rows: Scored) -> dict[str, pl.Series]:
    """Levels ``[row]`` of what a cancer has, missing where there is none."""
    facts = rows.rows.with_columns(sick=pl.Series(rows.cancer))
    found = {}
    if "invasive" in facts:
        kind = (
            pl.when("invasive")
            .then(pl.lit("invasive"))
            .when(~pl.col("invasive"))
            .then(pl.lit("in situ"))
        )
        found["cancer type"] = facts.select(pl.when("sick").then(kind)).to_series()
    if "size_mm" in facts:
        sizes = facts.select(pl.when("sick").then("size_mm")).to_series()
        found["cancer size"] = _banded(sizes, SIZES_MM, SIZE_BANDS)
    if "grade" in facts:
        found["cancer grade"] = facts.select(
            pl.when("sick").then(pl.col("grade").cast(pl.String))
        ).to_series()
    return found


def _banded(values: pl.Series, most: tuple[float, ...], names: tuple[str, ...]) -> pl.Series:
    """Names of bands ``[row]``, each up to and with its most but the last; missing where unknown."""
    place = np.searchsorted(most, values.cast(pl.Float64).fill_null(np.nan).to_numpy())
    return pl.Series(np.array(names)[np.minimum(place, len(most))]).set(values.is_null(), None)


def _periods(days: pl.Series) -> pl.Series:
    """Calendar years, joined where there are many."""
    years = days.dt.year().cast(pl.Int64)
    low, high = years.min(), years.max()
    if not isinstance(low, int) or not isinstance(high, int):
        return pl.Series(days.name, [None] * len(days), pl.String)
    step = -(-(high - low + 1) // MOST_PERIODS)
    first = low + (years - low) // step * step
    last = (first + step - 1).clip(upper_bound=high)
    if step == 1:
        return first.cast(pl.String)
    return pl.select(pl.concat_str(first, pl.lit(" to "), last)).to_series()
