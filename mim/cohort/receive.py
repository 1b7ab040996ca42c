"""Receipts: what came of an order, what is missing, what came unasked, and what to order again.

A receipt's folder holds ``receipt.parquet`` (an exam a row), ``studies.parquet`` (every study that
came), ``women.parquet``, ``sites.csv``, ``images.csv``, ``receipt.json`` (counts without
identifiers), and ``reorder/``, an order of all that did not come complete.
"""

from pathlib import Path

import polars as pl

from mim import __version__
from mim.cohort.arrivals import Arrivals, compare
from mim.cohort.frames import write_frame
from mim.cohort.order import (
    IDENTIFIERS,
    csv_bytes,
    what_is_left,
    write_order_folder,
)
from mim.cohort.summary import print_table
from mim.schemas.order import IMAGES, ORDER, RECEIPT, SITES, STUDIES, USABLE, WOMEN
from mim.schemas.table import read_table, write_json, write_whole
from mim.vocab import Came, Standing

CANNOT_BE_USED = (Came.MISSING, Came.UNUSABLE, Came.AMBIGUOUS)


def write_receipt(order: Path, index: Path, out: Path) -> int:
    """Compare an order with an index, write the receipt to ``out`` and print it in short.

    Returns:
        Ordered exams that are missing, unusable or ambiguous.

    Raises:
        InputError: ``order`` holds no order, or ``index`` is no finished index.
    """
    exams = pl.DataFrame(read_table(order / "order.parquet", ORDER))
    arrivals = compare(exams, index)
    sites, women = by_site(arrivals.exams), by_woman(arrivals)
    write_frame(arrivals.exams, RECEIPT, out / "receipt.parquet")
    write_frame(arrivals.studies, STUDIES, out / "studies.parquet")
    write_frame(women, WOMEN, out / "women.parquet")
    for name, table, schema in (("sites", sites, SITES), ("images", arrivals.images, IMAGES)):
        write_whole(out / f"{name}.csv", csv_bytes(table.select(schema.arrow().names)))
    write_order_folder(out / "reorder", what_is_left(exams, arrivals.exams), ())
    counts = receipt_counts(arrivals)
    about = {"mim": __version__, "identifiers": IDENTIFIERS, **counts}
    write_json(out / "receipt.json", about)
    _print(sites, counts, arrivals, out)
    return sum(counts["exams"][came] for came in CANNOT_BE_USED)


def by_site(receipt: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``SITES``: what came of the exams of each site."""
    figures = [*_came_counts(), pl.col("images", "usable").sum()]
    return receipt.group_by("site").agg(figures).sort("site", nulls_last=True)


def by_woman(arrivals: Arrivals) -> pl.DataFrame:
    """Rows of ``WOMEN``: what came of each woman with an ordered exam, and what came unasked."""
    unasked = (
        arrivals.studies.filter(standing=Standing.UNASKED.value)
        .group_by(woman_id="patient_id")
        .agg(unasked=pl.len())
    )
    women = arrivals.exams.group_by("woman_id").agg(_came_counts())
    women = women.join(unasked, on="woman_id", how="left")
    return women.with_columns(pl.col("unasked").fill_null(0)).sort("woman_id")


def receipt_counts(arrivals: Arrivals) -> dict[str, dict[str, int]]:
    """Counts of exams by what came, of studies by standing, and of images by standing and reason.

    ``images`` of ordered exams are split into usable ones and left-out ones by reason.
    """
    exams = arrivals.exams.select(_came_counts()).row(0, named=True)
    standings = arrivals.studies["standing"]
    studies = {str(s): (standings == s.value).sum() for s in Standing if s != Standing.NO_STUDY}
    of = arrivals.images.group_by("standing").agg(pl.col("images").sum())
    images = {str(s): of.filter(standing=s.value)["images"].sum() for s in Standing}
    left_out = (
        arrivals.images.filter(pl.col("standing") == Standing.ORDERED.value)
        .group_by("reason")
        .agg(pl.col("images").sum())
        .sort("images", "reason", descending=[True, False])
    )
    return {
        "exams": exams,
        "studies": studies,
        "images": {"index": sum(images.values()), **images},
        "images_of_ordered_exams": {USABLE: 0} | dict(left_out.rows()),
    }


def _came_counts() -> list[pl.Expr]:
    return [
        pl.len().cast(pl.Int64).alias("ordered"),
        *((pl.col("came") == came.value).sum().cast(pl.Int64).alias(came) for came in Came),
    ]


def _print(
    sites: pl.DataFrame, counts: dict[str, dict[str, int]], arrivals: Arrivals, out: Path
) -> None:
    total = sites.select(pl.lit("all").alias("site"), pl.exclude("site").sum())
    print_table(pl.concat([sites.with_columns(pl.col("site").fill_null("(none)")), total]))
    images = counts["images"]
    print(
        f"{images['index']} images in the index: " + ", ".join(f"{images[s]} {s}" for s in Standing)
    )
    for reason, count in counts["images_of_ordered_exams"].items():
        print(f"{count:>10}  {reason}, of ordered exams")
    known = arrivals.studies.filter(pl.col("standing") == Standing.UNASKED.value)
    hers = known["woman_ordered"].sum()
    print(f"{known.height} studies came unasked, {hers} of them of women with an ordered exam")
    if arrivals.exams.height and not counts["studies"][Standing.ORDERED]:
        print(
            "warning: no study joins an ordered exam; are Patient ID, Accession Number and Study "
            "Date written in the headers as in the registry, leading zeros too?"
        )
    print(f"warning: {out}: {IDENTIFIERS}")
