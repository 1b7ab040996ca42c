"""INbreast: digital mammograms of a hospital in Porto, read by radiologists; no biopsies in it.

Moreira et al. 2012, doi 10.1016/j.acra.2011.09.014: 410 images of 115 exams on Siemens
MammoNovation. Download: ``INbreast.csv`` (or ``.xls``) and ``AllDICOMs``. Its authors gave it for
research on request and no longer serve it; no licence text travels with the copies around, so ask
who gave it to you, also what holds for weights.

The headers name neither woman, day, side nor view. File names name the woman, by 16 hexadecimal
digits behind the image's number, and the table the rest. File names write ML for what the table
calls MLO, which it is. Of the day the table has the month: the first of it stands for the day, so
gaps between exams are out by up to a month.

BI-RADS is a reading, no outcome. Category 6 alone says that a biopsy proved cancer (ACR BI-RADS
Atlas); of the others the authors published no biopsies and no
follow-up. Most papers on INbreast call 4 to 6 cancer and 1 to 3 (or 1 and 2) healthy. A model that
is trained or measured on that learns to agree with the reader, so here those breasts are unknown;
whoever wants otherwise writes them into ``registry/outcomes.parquet``.
"""

import re
from pathlib import Path, PurePosixPath

import polars as pl
from pydicom.uid import generate_uid

from mim.adapters.adapted import AT_EXAM, About, Adapted
from mim.adapters.cells import density, of_both_breasts, one_row_each, require_filled, side, view
from mim.adapters.sources import compare, find_file, list_files, read_cells
from mim.errors import InputError
from mim.vocab import Kind, Maker, Outcome

ABOUT = About(
    name="INbreast",
    licence="none is published: research use, as agreed with whoever gave you the copy",
    source="doi 10.1016/j.acra.2011.09.014",
    cannot_know=(
        "biopsies and follow-up: only breasts of BI-RADS 6, proven before the exam was read, have "
        "an outcome; BI-RADS 1 to 5 is a reading, so those breasts are unknown",
        "days of the exams: the first of the month stands for each",
        "whether an exam was made for screening, diagnosis or follow-up",
    ),
)

TABLES = ("INbreast.csv", "INbreast.xlsx", "INbreast.xls")

HOLDS = "the folder 'INbreast Release 1.0' with INbreast.csv (or .xls) and AllDICOMs"

FILE = re.compile(r"(?P<image>\d+)_(?P<woman>[0-9a-f]{16})_MG_[LR]_\w+\.dcm", re.IGNORECASE)

PUBLISHED = {"laterality": "Laterality", "view": "View", "month": "Acquisition date"}
"""Columns of the table that every image needs, by what they are here."""

PROVEN = "6"


def read(source: Path, out: Path) -> Adapted:
    """Read the table and the file names below ``source``."""
    table = find_file(source, TABLES, HOLDS)
    notices: list[str] = []
    rows, files = _rows(table, notices), _files(source)
    images = rows.join(files, on="image").with_columns(
        exam_id=pl.format("{}_{}", "woman_id", pl.col("month").dt.strftime("%Y%m")),
    )
    images = images.with_columns(
        study_uid=pl.col("exam_id").map_elements(
            lambda exam: generate_uid(entropy_srcs=[ABOUT.name, exam]), pl.String
        )
    )
    exams = images.select("exam_id", "woman_id", "study_uid", exam_date="month").unique()
    return Adapted(
        about=ABOUT,
        images=source,
        tables={"exams": exams, "outcomes": _outcomes(images), "density": _density(images)},
        overrides=images.select(
            "path",
            "study_uid",
            "laterality",
            "view",
            patient_id="woman_id",
            study_date="month",
            modality=pl.lit("MG"),
            kind=pl.lit(Kind.FFDM.value),
            maker=pl.lit(Maker.SIEMENS.value),
        ),
        notices=[
            *notices,
            *compare(rows["image"].to_list(), files["image"].to_list(), table.name),
        ],
    )


def _rows(table: Path, notices: list[str]) -> pl.DataFrame:
    """A row for each image: image (its number), laterality, view, month (its first day), density, reading."""
    cells = read_cells(
        table,
        ["Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads"],
    )
    # The sheet ends with lines of remarks.
    cells = cells.filter(pl.col("File Name").str.contains(r"^\d+$"))
    cells = one_row_each(cells, ["File Name"], table, notices)
    rows = cells.select(
        image="File Name",
        laterality=side("Laterality"),
        view=view("View"),
        month=pl.col("Acquisition date").add("01").str.to_date("%Y%m%d", strict=False),
        density=density("ACR", "1234"),
        reading="Bi-Rads",
    )
    require_filled(rows, [*PUBLISHED], table, PUBLISHED)
    return rows


def _files(source: Path) -> pl.DataFrame:
    """Images below ``source``: path, image (its number) and woman_id, by the file's name."""
    named = [
        (path, match["image"], match["woman"])
        for path in list_files(source, [".dcm"])
        if (match := FILE.fullmatch(PurePosixPath(path).name))
    ]
    files = pl.DataFrame(
        named, {name: pl.String for name in ("path", "image", "woman_id")}, orient="row"
    )
    if (twice := files.height - files["image"].n_unique()) > 0:
        raise InputError(
            f"source={source}: {twice} images are there twice; keep one copy of AllDICOMs"
        )
    return files


def _outcomes(images: pl.DataFrame) -> pl.DataFrame:
    """A row for both breasts of each exam; unknown stands there, lest dates make a label of it."""
    proven = images.filter(reading=PROVEN).select("exam_id", breast="laterality").unique()
    cancers = proven.with_columns(outcome=pl.lit(Outcome.CANCER.value))
    breasts = of_both_breasts(images.select("exam_id").unique())
    rows = breasts.join(cancers, on=["exam_id", "breast"], how="left")
    return rows.with_columns(pl.col("outcome").fill_null(Outcome.UNKNOWN.value)).with_columns(
        AT_EXAM
    )


def _density(images: pl.DataFrame) -> pl.DataFrame:
    breasts = images.drop_nulls("density").group_by("exam_id", breast="laterality")
    return breasts.agg(pl.col("density").max())
