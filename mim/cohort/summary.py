"""What the cohort command prints, and the counts it saves. Numbers of exams only, no names."""

from typing import Any

import polars as pl
import pyarrow as pa

from mim.cohort.join import Joined
from mim.cohort.label_tables import COUNTED
from mim.cohort.labels import last_day
from mim.cohort.registry import Registry
from mim.cohort.settings import OutcomeSettings
from mim.schemas.cohort import SIDES
from mim.vocab import Maker, Outcome, Split

GROUPS = {"split": Split, "maker": Maker}
"""Columns of the cohort's exams by which they are counted."""


def cohort_counts(exams: pl.DataFrame, joined: Joined) -> dict[str, Any]:
    """Exams, women, outcomes and labels of the whole, per split, per maker, and what joined them.

    ``exams``: the cohort's, with the columns that ``count_labels`` adds.
    """
    return {
        "all": exams.select(_figures()).row(0, named=True),
        **{column: _counts_by(exams, column) for column in GROUPS},
        "joined_by": dict(exams["joined_by"].value_counts().sort("joined_by").rows()),
        "studies_joined": joined.studies.height,
    }


def followup_notices(tables: Registry, settings: OutcomeSettings) -> list[str]:
    """One line where the end of follow-up had to be taken from the registry's last day."""
    last = last_day(tables, settings.registry_date)
    known = tables.women.drop_nulls("followup_end")
    open_ended = tables.exams.join(known, on="woman_id", how="anti")["woman_id"].n_unique()
    if last is None or not open_ended:
        return []
    return [
        f"women without followup_end: {open_ended}, taken as followed until {last}, "
        "or until emigration or death"
    ]


def print_summary(
    counts: dict[str, Any], attrition: pa.Table, notices: list[str], problems: dict[str, int]
) -> None:
    """Print what ``cohort_counts`` counted, attrition, notices and problems."""
    for column in GROUPS:
        groups = {**counts[column], "all": counts["all"]}
        figures = pl.DataFrame({column: list(counts["all"])})
        print_table(figures.with_columns(pl.Series(g, list(n.values())) for g, n in groups.items()))
    print_table(pl.DataFrame(attrition))
    for line in notices:
        print(line)
    for fault, count in problems.items():
        print(f"problem: {fault}: {count} studies left out")


def _counts_by(exams: pl.DataFrame, column: str) -> dict[str, dict[str, int]]:
    groups = {row.pop(column): row for row in exams.group_by(column).agg(_figures()).to_dicts()}
    return {word.value: groups[word] for word in GROUPS[column] if word in groups}


def _figures() -> list[pl.Expr]:
    """Counts of a group of exams; outcomes are counted by breast."""
    return [
        pl.len().alias("exams"),
        pl.col("woman").n_unique().alias("women"),
        *(
            pl.sum_horizontal(
                (pl.col(f"{side}_outcome") == outcome.value).sum() for side in SIDES.values()
            ).alias(f"{outcome.value}, breasts")
            for outcome in Outcome
        ),
        pl.col(*COUNTED).sum(),
    ]


def print_table(table: pl.DataFrame) -> None:
    """Print a table whole, as Markdown."""
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=160,
        fmt_str_lengths=60,
    ):
        print(table, end="\n\n")
