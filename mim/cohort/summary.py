"""What the cohort command prints, and the counts it saves. Numbers of exams only, no names."""

import polars as pl
import pyarrow as pa

from mim.cohort.join import Joined
from mim.cohort.labels import last_day
from mim.cohort.registry import Registry
from mim.vocab import Outcome, Split


def cohort_counts(exams: pl.DataFrame, joined: Joined) -> dict[str, object]:
    """Exams, women and outcomes of the whole, per split, per maker, and what joined them."""
    return {
        "all": exams.select(_figures()).row(0, named=True),
        **{
            column: {
                str(row.pop(column)): row
                for row in exams.group_by(column).agg(_figures()).sort(column).iter_rows(named=True)
            }
            for column in ("split", "maker")
        },
        "joined_by": dict(exams["joined_by"].value_counts().sort("joined_by").rows()),
        "studies_joined": joined.studies.height,
    }


def followup_notices(tables: Registry) -> list[str]:
    """One line where the end of follow-up had to be taken from the registry's last day."""
    known = tables.women.drop_nulls("followup_end")
    open_ended = tables.exams.join(known, on="woman_id", how="anti")["woman_id"].n_unique()
    if not open_ended:
        return []
    last = last_day(tables)
    return [f"women without followup_end: {open_ended}, taken as followed until {last}"]


def print_summary(
    exams: pl.DataFrame, attrition: pa.Table, notices: list[str], problems: dict[str, int]
) -> None:
    """Print exams, women and outcomes per split and maker, attrition, notices and problems."""
    order = {split.value: rank for rank, split in enumerate(Split)}
    counts = exams.group_by("split", "maker").agg(_figures())
    print_table(counts.sort(pl.col("split").replace_strict(order), "maker"))
    print_table(pl.DataFrame(attrition))
    for line in notices:
        print(line)
    for fault, count in problems.items():
        print(f"problem: {fault}: {count} studies left out")


def _figures() -> list[pl.Expr]:
    """Counts of a group of exams; outcomes are counted by breast."""
    outcomes = pl.concat_list("left_outcome", "right_outcome").list
    return [
        pl.len().alias("exams"),
        pl.col("woman").n_unique().alias("women"),
        *(
            outcomes.count_matches(outcome.value).sum().alias(f"{outcome.value}, breasts")
            for outcome in Outcome
        ),
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
