"""EMBED, the open fifth of the Emory Breast Imaging Dataset (Jeong 2023, doi 10.1148/ryai.220047).

As downloaded: ``tables/EMBED_OpenData_clinical.csv`` (rows are findings, several of an exam),
``tables/EMBED_OpenData_metadata.csv`` (480,323 rows, one an image) and ``images/cohort_*/<empi_anon>/.../*.dcm``;
the ``_reduced`` tables do where they have the columns. Columns by the README of Emory-HITI/EMBED_Open_Data:

- desc names screening exams; only they are exams here. study_date_anon is the day the report was signed in
  the clinical table, the day of acquisition among the images, which is taken where it is there. Days are
  shifted by woman, so those of one woman are true to each other.
- asses of a finding: A needs more imaging, N and B do not, P is seen again in six months, S and M are
  suspicious, K is known cancer. A, S and M count as recall. Negative screening exams with a pathology result
  of their own were amended to A later, says the data set's notebook on labels, so they count as recall too.
- side L, R; B or empty is both. path_severity 0 invasive, 1 not invasive, 6 no cancer of the breast; bside
  is the side of the specimen, procdate_anon its day; tissueden 1 to 4 is density, 5 a man. A result stands on the screening exam that led to it and
  on the diagnostic one, or, by mistake, on the latter alone; here all results of a woman count, wherever
  they stand.
- spot_mag 1 is a special view. ImageLateralityFinal is the side of the image. Coordinates of lesions, which
  may be mirrored (issues 5 and 9 of the repository), are not read.

Licence: Emory's research use agreement: personal, non-commercial research. Its clause 5 forbids to release
models, weights or embedding spaces trained on any part of EMBED without written permission.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mim.adapters.adapted import About, Adapted
from mim.adapters.cells import density, number, of_both_breasts, one_row_each, side, view
from mim.adapters.sources import compare, find_file, list_files, read_cells
from mim.errors import InputError
from mim.vocab import FoundBy, Kind, View

HOLDS = "the folders tables and images of EMBED's open release"
CLINICAL = (
    "empi_anon",
    "acc_anon",
    "study_date_anon",
    "desc",
    "tissueden",
    "asses",
    "side",
    "path_severity",
    "bside",
    "procdate_anon",
)
METADATA = (
    "empi_anon",
    "acc_anon",
    "anon_dicom_path",
    "study_date_anon",
    "FinalImageType",
    "ImageLateralityFinal",
    "ViewPosition",
    "spot_mag",
)
RECALLED = ("A", "S", "M")
NOT_RECALLED = ("N", "B", "P")
KINDS = {
    "2d": Kind.FFDM.value,
    "cview": Kind.SYNTHETIC_2D.value,
    "c-view": Kind.SYNTHETIC_2D.value,
    "3d": Kind.TOMOSYNTHESIS.value,
}
READER = "report"

ABOUT = About(
    name="EMBED open release",
    licence="Emory research use agreement, non-commercial; clause 5: no model, weights or embedding "
    "space trained on it may be released without Emory's written permission",
    source="https://registry.opendata.aws/emory-breast-imaging-dataset-embed/",
    cannot_know=(
        "calendar days: they are shifted by woman, so no part of the data can be held out by time, "
        "and nothing tells how far the data reach",
        "cancers and exams outside Emory or before the data begin: a woman counts as followed until "
        "her last row",
        "the cancer registry: cancers are the pathology results of these tables",
        "the two readings of double reading: there is one report; score 2 is a breast that was "
        "recalled, 1 one that was not",
        "screening interval: Emory screens every year; outcomes.interval_days=731 is Norway's",
    ),
)


def read(source: Path, out: Path) -> Adapted:
    """Read the clinical table and that of the images; the images stay where they are.

    Raises:
        InputError: the folder is not the collection, or a table is not as it was published.
    """
    notices: list[str] = []
    findings = _findings(_table(source, "clinical"), notices)
    pictures = _pictures(_table(source, "metadata"), notices)
    files = pl.DataFrame({"path": list_files(source, {".dcm"})}, {"path": pl.String})
    files = files.with_columns(name=_below_cohort("path"))
    notices += compare(pictures["name"].drop_nulls(), files["name"].drop_nulls(), "the metadata")
    exams = _exams(findings, pictures, notices)
    if exams.is_empty():
        raise InputError(
            f"source={source}: no screening exam (column 'desc') of one woman with a day is in the "
            "clinical table; download it again"
        )
    screened = findings.join(exams.select("exam_id"), on="exam_id", how="semi")
    breasts = _breasts(screened)
    tables = {
        "women": _women(findings, pictures, exams),
        "exams": exams.select("exam_id", "woman_id", "exam_date", study_uid="exam_id"),
        "readings": breasts.drop_nulls("recalled").select(
            "exam_id",
            "breast",
            reader=pl.lit(READER),
            score=pl.when("recalled").then(2).otherwise(1),
        ),
        "decisions": breasts.drop_nulls("recalled")
        .group_by("exam_id")
        .agg(recalled=pl.col("recalled").any()),
        "cancers": _cancers(findings, notices),
        "density": of_both_breasts(
            screened.drop_nulls("density").group_by("exam_id").agg(pl.col("density").max())
        ),
    }
    return Adapted(ABOUT, source, tables, _overrides(pictures, files), notices)


def _table(source: Path, kind: str) -> Path:
    names = (f"EMBED_OpenData_{kind}.csv", f"EMBED_OpenData_{kind}_reduced.csv")
    return find_file(source, names, HOLDS)


def _identifier(column: str) -> pl.Expr:
    """Identifiers that passed through a table of numbers end in .0."""
    return pl.col(column).str.strip_suffix(".0")


def _day(column: str) -> pl.Expr:
    return pl.col(column).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)


def _unread_days(rows: pl.DataFrame, columns: Sequence[str], table: Path) -> list[str]:
    counts = {
        name: rows.filter(pl.col(name).is_not_null() & _day(name).is_null()) for name in columns
    }
    return [
        f"{unread.height} cells of column '{name}' of {table.name} hold no day as 2013-05-19 and "
        "count as empty"
        for name, unread in counts.items()
        if unread.height
    ]


def _below_cohort(column: str) -> pl.Expr:
    """The part of a path that is the same on every machine: from the folder cohort_* on."""
    return pl.col(column).str.extract(r"(?:^|/)(cohort_[^/]*/.*)$")


def _findings(table: Path, notices: list[str]) -> pl.DataFrame:
    rows = read_cells(table, CLINICAL)
    notices += _unread_days(rows, ("study_date_anon", "procdate_anon"), table)
    named = pl.col("empi_anon").is_not_null() & pl.col("acc_anon").is_not_null()
    if count := rows.filter(~named).height:
        notices.append(f"{count} rows of {table.name} name no woman or no exam and are left out")
    severity = number("path_severity")
    screening = pl.col("desc").str.to_lowercase().str.contains("screen").fill_null(False)
    amended = screening & pl.col("asses").is_in(["N", "B"]) & severity.is_not_null()
    return (
        rows.filter(named)
        .with_columns(pl.col("asses", "side", "bside").str.to_uppercase())
        .select(
            woman_id=_identifier("empi_anon"),
            exam_id=_identifier("acc_anon"),
            signed=_day("study_date_anon"),
            screening=screening,
            amended=amended,
            recalled=pl.when(pl.col("asses").is_in(RECALLED) | amended)
            .then(True)
            .when(pl.col("asses").is_in(NOT_RECALLED))
            .then(False),
            side=side("side"),
            density=density("tissueden", ("1", "2", "3", "4")),
            male=number("tissueden") == 5,
            cancer=severity.is_in([0.0, 1.0]).fill_null(False),
            invasive=severity == 0,
            specimen=pl.col("bside"),
            operated=_day("procdate_anon"),
        )
    )


def _pictures(table: Path, notices: list[str]) -> pl.DataFrame:
    rows = read_cells(table, METADATA)
    notices += _unread_days(rows, ("study_date_anon",), table)
    rows = one_row_each(rows, ("anon_dicom_path",), table, notices)
    kind = pl.col("FinalImageType").str.to_lowercase()
    special = (number("spot_mag") == 1).fill_null(False)
    pictures = rows.select(
        name=_below_cohort("anon_dicom_path"),
        woman_id=_identifier("empi_anon"),
        exam_id=_identifier("acc_anon"),
        acquired=_day("study_date_anon"),
        side=side("ImageLateralityFinal"),
        view=pl.when(special).then(pl.lit(View.UNKNOWN.value)).otherwise(view("ViewPosition")),
        kind=kind.replace_strict(KINDS, default=None, return_dtype=pl.String),
    )
    if count := pictures["name"].null_count():
        notices.append(f"{count} images have a path without a folder cohort_* and are not found")
    if count := rows.select(special.sum()).item():
        notices.append(f"{count} images are special views (spot_mag) and count as of unknown view")
    return pictures


def _exams(findings: pl.DataFrame, pictures: pl.DataFrame, notices: list[str]) -> pl.DataFrame:
    """Screening exams of one woman each, with the day of acquisition, else that of the report."""
    acquired = pictures.group_by("exam_id").agg(
        pl.col("acquired").min(),
        owner=pl.col("woman_id").min(),
        owners=pl.col("woman_id").n_unique(),
    )
    exams = (
        findings.filter("screening")
        .group_by("exam_id")
        .agg(
            pl.col("woman_id").min(),
            pl.col("signed").min(),
            pl.col("amended", "male").any(),
            women=pl.col("woman_id").n_unique(),
        )
        .join(acquired, on="exam_id", how="left")
        .with_columns(exam_date=pl.coalesce("acquired", "signed"))
    )
    undated = pl.col("cancer") & pl.coalesce("operated", "signed").is_null()
    astray = findings.filter(undated)["woman_id"].unique()
    hers = (pl.col("women") == 1) & (
        pl.col("owner").is_null()
        | ((pl.col("owners") == 1) & (pl.col("owner") == pl.col("woman_id")))
    )
    counts = {
        "screening exams belong to several women and are left out": exams.filter(~hers).height,
        "screening exams are of men (tissueden 5) and are left out": exams["male"].sum(),
        "screening exams are of women with a cancer that has no day, and are left out": exams[
            "woman_id"
        ]
        .is_in(astray.implode())
        .sum(),
        "screening exams have no day and are left out": exams["exam_date"].null_count(),
        "screening exams without recall have a pathology result; they were amended, and count as "
        "recalled": exams["amended"].sum(),
        "exams are not for screening; they count for cancers and follow-up alone": findings.filter(
            ~pl.col("screening")
        )["exam_id"].n_unique(),
    }
    notices += [f"{count} {words}" for words, count in counts.items() if count]
    return (
        exams.filter(hers & ~pl.col("male"))
        .drop_nulls("exam_date")
        .filter(~pl.col("woman_id").is_in(astray.implode()))
    )


def _breasts(screened: pl.DataFrame) -> pl.DataFrame:
    """Whether each breast of a screening exam was recalled; missing where no finding says so.

    A finding of no side is of both breasts. Where only one breast has findings that say so, the other
    was negative.
    """
    said = of_both_breasts(screened.drop_nulls("recalled")).with_columns(
        own=pl.col("side").is_null() | (pl.col("side") == pl.col("breast"))
    )
    return said.group_by("exam_id", "breast").agg(
        recalled=(pl.col("recalled") & pl.col("own")).any()
    )


def _cancers(findings: pl.DataFrame, notices: list[str]) -> pl.DataFrame:
    """One row for each procedure that found cancer in a breast.

    ``found_by`` is screening where a result stands on a recalled screening exam; else it is missing.
    """
    found = findings.filter("cancer").with_columns(
        diagnosis_date=pl.coalesce("operated", "signed"),
        breast=pl.when(pl.col("specimen") == "B")
        .then(pl.lit("LR"))
        .otherwise(pl.coalesce(side("specimen"), "side"))
        .str.extract_all("."),
    )
    counts = {
        "pathology results of cancer have no procdate_anon; the day of their exam's report is "
        "taken": found["operated"].null_count(),
        "pathology results of cancer have no side": found.filter(
            pl.col("specimen").is_null() & pl.col("side").is_null()
        ).height,
    }
    notices += [f"{count} {words}" for words, count in counts.items() if count]
    screened = (pl.col("screening") & pl.col("recalled")).any()
    return (
        found.drop_nulls("diagnosis_date")
        .explode("breast")
        .group_by("woman_id", "diagnosis_date", "breast")
        .agg(
            pl.col("invasive").any(),
            found_by=pl.when(screened).then(pl.lit(FoundBy.SCREENING.value)),
        )
    )


def _women(findings: pl.DataFrame, pictures: pl.DataFrame, exams: pl.DataFrame) -> pl.DataFrame:
    """Women with a screening exam; followed until the last day that any row of theirs has."""
    days = pl.concat(
        [
            findings.select("woman_id", day="signed"),
            findings.select("woman_id", day="operated"),
            pictures.select("woman_id", day="acquired"),
        ]
    )
    return (
        days.join(exams.select("woman_id"), on="woman_id", how="semi")
        .group_by("woman_id")
        .agg(followup_end=pl.col("day").max())
    )


def _overrides(pictures: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    return pictures.join(files.drop_nulls("name"), on="name").select(
        "path",
        "view",
        "kind",
        patient_id="woman_id",
        study_uid="exam_id",
        study_date="acquired",
        laterality="side",
    )
