"""Orders: the exams to be requested from each site's PACS, as CSV that its supplier can use.

An order's folder holds ``order-<site>.csv`` for the supplier, ``order.parquet`` for ``mim receive``
and ``order.json``, counts without identifiers. The same registry gives the same bytes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from mim import __version__
from mim.cohort.arrivals import compare
from mim.cohort.frames import write_frame
from mim.cohort.join import refuse_no_join
from mim.cohort.registry import read_registry
from mim.cohort.summary import print_table
from mim.errors import InputError
from mim.schemas.order import ORDER, VIEWS
from mim.schemas.table import read_json, write_json, write_whole
from mim.vocab import Came

IDENTIFIERS = (
    "the CSV and Parquet files here name women: they are for the hospital and its PACS supplier, "
    "by the way agreed with them, and for nobody else"
)

NO_SITE = "without-site"
"""File name of exams without a site."""

SPELT = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})

PATIENT_ID = r"^[^*?\\\x00-\x1f\x7f]{1,64}$"
"""Value of LO (PS3.5 6.2) that is no pattern: C-FIND reads * and ? as wildcards (PS3.4 C.2.2.2.4)."""

ACCESSION_NUMBER = r"^[^*?\\\x00-\x1f\x7f]{1,16}$"
"""Value of SH (PS3.5 6.2) that is no pattern."""

UID = r"^[0-9.]{1,64}$"
"""Value of UI (PS3.5 9.1)."""

SPOILT_BY_SPREADSHEETS = r"^(0\d+|\d{16,}|\d+[eE]\d+)$"
"""What a spreadsheet turns into another number unless told that it is text."""


def write_order(registry: Path, out: Path, index: Path | None) -> None:
    """Write the order of all exams of a registry; of those only that ``index`` lacks, if given.

    Raises:
        InputError: a table of the registry breaks its schema, a ``woman_id`` cannot be asked for,
            or no exam joins a study of the index.
    """
    tables = read_registry(registry)
    exams = tables.exams.with_columns(
        ordered=pl.lit(True),
        reason=pl.lit(None, pl.String),
        detail=pl.lit(None, pl.String),
    )
    _require_patient_ids(exams, registry)
    if index is not None:
        arrivals = compare(exams, index)
        refuse_no_join(exams, arrivals.joined, index, registry)
        exams = what_is_left(exams, arrivals.exams)
    about = write_order_folder(out, exams, tables.notices)
    print_order(about, out)


def what_is_left(exams: pl.DataFrame, receipt: pl.DataFrame) -> pl.DataFrame:
    """The order of what did not come complete; rows of ``ORDER``, as many as before."""
    again = receipt.filter(pl.col("came") != Came.COMPLETE.value)
    return exams.drop("ordered", "reason", "detail").join(
        again.select("exam_id", "detail", ordered=pl.lit(True), reason="came"),
        on="exam_id",
        how="left",
    ).with_columns(pl.col("ordered").fill_null(False))  # fmt: skip


def write_order_folder(out: Path, exams: pl.DataFrame, notices: Sequence[str]) -> dict[str, Any]:
    """Write an order (rows of ``ORDER``) and return what ``order.json`` says of it.

    CSV files of an earlier order in ``out`` that this one has no site for are removed.
    """
    exams = exams.sort("woman_id", "exam_date", "exam_id")
    ordered = exams.filter("ordered")
    names = file_names(ordered["site"].unique().to_list())
    _remove_stale(out, names.values())
    sites = []
    for site, name in sorted(names.items(), key=lambda item: item[1]):
        hers = ordered.filter(pl.col("site").eq_missing(pl.lit(site, pl.String)))
        write_whole(out / name, csv_bytes(supplier_rows(hers), quoted=True))
        sites.append({"site": site, "file": name, **_counts(hers)})
    write_frame(exams, ORDER, out / "order.parquet")
    about = {
        "mim": __version__,
        "identifiers": IDENTIFIERS,
        "exams_of_the_registry": exams.height,
        "ordered": _counts(ordered),
        "reasons": dict(
            ordered.drop_nulls("reason")["reason"].value_counts().sort("reason").rows()
        ),
        "sites": sites,
        "notices": [*notices, *_notices(ordered)],
    }
    write_json(out / "order.json", about)
    return about


def supplier_rows(ordered: pl.DataFrame) -> pl.DataFrame:
    """One row per exam with the keys of a C-FIND at study level (PS3.4 C.6.2.1).

    ``exam_id`` stands as the Accession Number where it can be one; a key that the registry does
    not know, or that DICOM does not allow, is empty, which C-FIND takes for "any".
    """
    return ordered.select(
        pl.col("woman_id").alias("Patient ID"),
        pl.when(pl.col("exam_id").str.contains(ACCESSION_NUMBER))
        .then("exam_id")
        .alias("Accession Number"),
        pl.col("exam_date").dt.strftime("%Y%m%d").alias("Study Date"),
        pl.when(pl.col("study_uid").str.contains(UID))
        .then("study_uid")
        .alias("Study Instance UID"),
        pl.lit("MG").alias("Modality"),
        pl.lit(str(len(VIEWS))).alias("Expected Views"),
        pl.concat_str("reason", "detail", separator=": ", ignore_nulls=True).alias("Reason"),
    )


def file_names(sites: Iterable[str | None]) -> dict[str | None, str]:
    """A CSV file's name for each site: ASCII, lower case, and no two alike on any file system.

    Sites whose names differ only in what is lost so get eight digits of a hash of the name.
    """
    plain = {site: _slug(site) for site in sites}
    taken = Counter(plain.values())
    taken[NO_SITE] += 1
    names: dict[str | None, str] = {}
    for site, slug in plain.items():
        if site is not None and taken[slug] > 1:
            apart = blake2b(site.encode(), digest_size=4).hexdigest()
            names[site] = f"order-{slug}-{apart}.csv"
        else:
            names[site] = f"order-{slug}.csv"
    return names


def csv_bytes(frame: pl.DataFrame, *, quoted: bool = False) -> bytes:
    """CSV by RFC 4180: commas, CRLF, double quotes; UTF-8 without byte order mark."""
    if quoted:
        return frame.write_csv(line_terminator="\r\n", quote_style="always").encode()
    return frame.write_csv(line_terminator="\r\n").encode()


def print_order(about: dict[str, Any], out: Path) -> None:
    """Print exams, women and years of each site, and what to be careful about."""
    for line in about["notices"]:
        print(line)
    rows = [
        {
            "site": site["site"] or "(none)",
            "exams": site["exams"],
            "women": site["women"],
            "years": f"{min(site['years'])} to {max(site['years'])}" if site["years"] else "",
            "file": site["file"],
        }
        for site in about["sites"]
    ]
    if rows:
        print_table(pl.DataFrame(rows))
    total = about["ordered"]
    known = about["exams_of_the_registry"] - total["exams"]
    print(f"{total['exams']} exams of {total['women']} women ordered, {known} not")
    print(f"warning: {out}: {IDENTIFIERS}")


def _slug(site: str | None) -> str:
    if site is None:
        return NO_SITE
    plain = unicodedata.normalize("NFKD", site.lower().translate(SPELT))
    return re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode()).strip("-")[:60]


def _remove_stale(out: Path, names: Iterable[str]) -> None:
    if not (out / "order.json").is_file():
        return
    before = {
        Path(str(site["file"])).name for site in read_json(out / "order.json").get("sites", [])
    }
    for name in before - set(names):
        if name.startswith("order-") and name.endswith(".csv"):
            (out / name).unlink(missing_ok=True)


def _counts(exams: pl.DataFrame) -> dict[str, Any]:
    years = exams["exam_date"].drop_nulls().dt.year().value_counts().sort("exam_date").rows()
    return {
        "exams": exams.height,
        "women": exams["woman_id"].n_unique(),
        "years": {str(year): count for year, count in years},
    }


def _notices(ordered: pl.DataFrame) -> list[str]:
    counts = {
        "exams whose exam_id cannot be an Accession Number (over 16 characters, or with \\ * ?): "
        "ordered by the other keys": ~pl.col("exam_id").str.contains(ACCESSION_NUMBER),
        "exams whose study_uid is no UID: ordered by the other keys": ~pl.col(
            "study_uid"
        ).str.contains(UID),
        "exams without exam_date: ordered by the other keys": pl.col("exam_date").is_null(),
        "exams with identifiers that a spreadsheet would change: open the CSV files as text only": (
            pl.any_horizontal(pl.col("exam_id", "woman_id").str.contains(SPOILT_BY_SPREADSHEETS))
        ),
    }
    sums = ordered.select(**{what: said.sum() for what, said in counts.items()}).row(0, named=True)
    return [f"{count} {what}" for what, count in sums.items() if count]


def _require_patient_ids(exams: pl.DataFrame, registry: Path) -> None:
    if bad := exams.filter(~pl.col("woman_id").str.contains(PATIENT_ID)).height:
        raise InputError(
            f"{registry}: column 'woman_id' of {bad} exams holds what no PACS can be asked for "
            "(over 64 characters, or with \\ * ?); write it as Patient ID stands in the headers"
        )
