"""A table of images as Mirai reads it (yala/Mirai, demo/sample_metadata.csv and csv_mammo_cancer.py).

One CSV, in the folder given, with a row for each image: patient_id, exam_id, laterality (R, L), view,
file_path, years_to_cancer (whole years, rounded down; 0 within a year, 100 none known),
years_to_last_followup, split_group (train, dev, test); AsymMirai adds spot_mag, desc and matched_image, of
which spot_mag is read. ``file_path`` names DICOM files, or grey PNG of 8 or 16 bit, which are written as
DICOM; it is absolute or below the folder given.

Mirai takes years of the exam, so it does not say which breast had the cancer, and mim learns by breast. Where
the rows of an exam differ by laterality, they are read as years of each breast; and where most exams with
cancer are so, all are. Else the outcomes of an exam with cancer are unknown.

Licence: that of whoever made the table.
"""

import csv
import os
from pathlib import Path

import polars as pl

from mim.adapters.adapted import About, Adapted
from mim.adapters.cells import number, of_both_breasts, one_row_each, require_filled, side, view
from mim.adapters.pictures import Picture, write_pictures
from mim.adapters.sources import read_cells, separator_of
from mim.errors import InputError
from mim.vocab import Laterality, Outcome, Split, View

COLUMNS = (
    "patient_id",
    "exam_id",
    "laterality",
    "view",
    "file_path",
    "years_to_cancer",
    "years_to_last_followup",
    "split_group",
)
OPTIONAL = ("spot_mag",)
UNUSED = ("desc", "matched_image")
SPLITS = {
    "train": Split.TRAIN.value,
    "dev": Split.VALIDATION.value,
    "val": Split.VALIDATION.value,
    "validation": Split.VALIDATION.value,
    "test": Split.TEST.value,
}
PICTURES = {".png", ".tif", ".tiff"}
NEVER = 100
FOLLOWED_YEARS = 2
"""Years without cancer from which a breast is negative; mim's screening interval."""
MOST_YEARS = 99.0

ABOUT = About(
    name="Mirai table",
    licence="that of whoever made the table; mim cannot know it",
    source="https://github.com/yala/Mirai",
    cannot_know=(
        "dates: no priors, and a cancer within the screening interval cannot be told from a later "
        "one; years_to_cancer 0 is 'cancer', more is 'later cancer'",
        "how a cancer was found",
        "the breast of a cancer, where the years are the exam's",
        f"whether {FOLLOWED_YEARS} years are the screening interval: with fewer of follow-up a "
        "breast without cancer is 'censored'",
    ),
)


def read(source: Path, out: Path) -> Adapted:
    """Read the table; PNG files are written below ``out/images`` as DICOM.

    Raises:
        InputError: there is no such table, or none of its files is there.
    """
    table, unknown = _table(source)
    notices: list[str] = []
    if strange := [name for name in unknown if name not in UNUSED]:
        notices.append(f"columns that are not used: {', '.join(strange)}")
    rows = read_cells(table, COLUMNS, OPTIONAL)
    require_filled(rows, ("patient_id", "exam_id", "file_path"), table)
    rows = one_row_each(rows, ("file_path",), table, notices).select(
        "file_path",
        woman_id="patient_id",
        # Mirai names an exam by woman and exam_id together.
        exam_id=pl.concat_str("patient_id", pl.lit(" "), "exam_id"),
        breast=side("laterality"),
        view=pl.when((number("spot_mag") == 1).fill_null(False))
        .then(pl.lit(View.UNKNOWN.value))
        .otherwise(view("view")),
        years=pl.when(number("years_to_cancer") >= 0).then(number("years_to_cancer")),
        followed=number("years_to_last_followup"),
        split=pl.col("split_group")
        .str.to_lowercase()
        .replace_strict(SPLITS, default=None, return_dtype=pl.String),
    )
    breasts = _breasts(rows)
    tables = {
        "exams": rows.group_by("exam_id", "woman_id")
        .agg(given_split=pl.col("split").min())
        .with_columns(exam_date=pl.lit(None), study_uid="exam_id"),
        "outcomes": breasts.select(
            "exam_id", "breast", "outcome", "years_to_cancer", "years_followed"
        ),
    }
    notices += _notices(rows, breasts)
    files = _files(source, rows, table, notices)
    pictures = [path.suffix.lower() in PICTURES for path in files["file"]]
    if any(pictures) and not all(pictures):
        raise InputError(
            f"{table}: column 'file_path' names DICOM files and pictures; make two tables"
        )
    images, paths = _written(out, files, notices) if any(pictures) else _found(files)
    overrides = files.with_columns(path=pl.Series(paths, dtype=pl.String)).drop_nulls("path")
    overrides = overrides.select(
        "path", "view", patient_id="woman_id", study_uid="exam_id", laterality="breast"
    )
    return Adapted(ABOUT, images, tables, overrides, notices)


def _table(source: Path) -> tuple[Path, list[str]]:
    """The only CSV of the folder that has the columns, and its columns that are not read."""
    holds = f"one CSV with the columns {', '.join(COLUMNS)}"
    if not source.is_dir():
        raise InputError(f"source={source}: no such folder; expected one that holds {holds}")
    tables = []
    for path in sorted(source.glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            names = [
                name.strip() for name in next(csv.reader(file, delimiter=separator_of(path)), [])
            ]
        if set(COLUMNS) <= set(names):
            tables.append((path, [name for name in names if name not in COLUMNS + OPTIONAL]))
    if len(tables) != 1:
        raise InputError(
            f"source={source}: {len(tables)} tables of Mirai's columns; expected {holds}"
        )
    return tables[0]


def _breasts(rows: pl.DataFrame) -> pl.DataFrame:
    """Both breasts of each exam with outcome and years; ``unsided``: which had the cancer is unknown."""
    agree = pl.col("years").drop_nulls().n_unique() <= 1
    given = (
        rows.drop_nulls("breast")
        .group_by("exam_id", "breast")
        .agg(years=pl.when(agree).then(pl.col("years").min()), followed=pl.col("followed").min())
    )
    exams = given.group_by("exam_id").agg(
        lowest=pl.col("years").min(),
        shortest=pl.col("followed").min(),
        both=pl.len() == 2,
        differ=pl.col("years").n_unique() > 1,
    )
    telling = exams.filter(pl.col("both") & (pl.col("lowest") < NEVER))["differ"]
    by_breast = pl.lit(telling.sum() * 2 > telling.len()) | pl.col("differ")
    breasts = (
        of_both_breasts(exams)
        .join(given, on=["exam_id", "breast"], how="left")
        .with_columns(
            years=pl.when(by_breast).then("years").otherwise("lowest"),
            followed=pl.when(by_breast).then("followed").otherwise("shortest").clip(0, MOST_YEARS),
            unsided=~by_breast & (pl.col("lowest") < NEVER),
        )
    )
    years = pl.col("years")
    outcome = (
        pl.when(years.is_null() | pl.col("unsided"))
        .then(pl.lit(Outcome.UNKNOWN.value))
        .when(years < 1)
        .then(pl.lit(Outcome.CANCER.value))
        .when(years < NEVER)
        .then(pl.lit(Outcome.LATER.value))
        .when(pl.col("followed") >= FOLLOWED_YEARS)
        .then(pl.lit(Outcome.NEGATIVE.value))
        .otherwise(pl.lit(Outcome.CENSORED.value))
    )
    known = pl.col("outcome") != Outcome.UNKNOWN.value
    return breasts.with_columns(outcome=outcome).with_columns(
        years_to_cancer=pl.when(known & (years < NEVER)).then(years),
        years_followed=pl.when(known).then("followed"),
    )


def _notices(rows: pl.DataFrame, breasts: pl.DataFrame) -> list[str]:
    women = rows.group_by("woman_id").agg(splits=pl.col("split").drop_nulls().n_unique())
    counts = {
        "exams have a cancer whose breast the table does not tell; their outcomes are unknown. Give "
        f"the rows of the breast without it years_to_cancer {NEVER}": breasts.filter("unsided")[
            "exam_id"
        ].n_unique(),
        "breasts have no years_to_cancer, or several; their outcomes are unknown": breasts[
            "years"
        ].null_count(),
        "women are in several parts of split_group": women.filter(pl.col("splits") > 1).height,
        "rows are in no part that is known (train, dev, test)": rows["split"].null_count(),
        "rows name no side and count for no breast": rows["breast"].null_count(),
        "rows are special views (spot_mag) and count as of unknown view": rows.filter(
            pl.col("view") == View.UNKNOWN.value
        ).height,
    }
    return [f"{count} {words}" for words, count in counts.items() if count]


def _files(source: Path, rows: pl.DataFrame, table: Path, notices: list[str]) -> pl.DataFrame:
    """The rows whose file is there, with ``file``, its absolute path."""
    files = [(source / cell).absolute() for cell in rows["file_path"]]
    there = [path.is_file() for path in files]
    if not any(there):
        raise InputError(
            f"{table}: none of the {len(files)} files of column 'file_path' is there; paths are "
            f"absolute, or below {source}"
        )
    if lacking := there.count(False):
        notices.append(f"{lacking} of the {len(files)} images in {table.name} are not there")
    return rows.with_columns(file=pl.Series(files, dtype=pl.Object)).filter(pl.Series(there))


def _found(files: pl.DataFrame) -> tuple[Path, list[str | None]]:
    """The folder that holds all the DICOM files, and their paths below it."""
    images = Path(os.path.commonpath([path.parent for path in files["file"]]))
    return images, [path.relative_to(images).as_posix() for path in files["file"]]


def _written(out: Path, files: pl.DataFrame, notices: list[str]) -> tuple[Path, list[str | None]]:
    """The folder that the pictures were written to, and their paths below it, None for bad ones."""
    images = out / "images"
    rows = files.select("woman_id", "exam_id", "breast", "view").rows()
    pictures = [
        Picture(
            f"{place:07d}.dcm",
            woman,
            exam,
            Laterality(breast or Laterality.UNKNOWN),
            View(projection or View.UNKNOWN),
        )
        for place, (woman, exam, breast, projection) in enumerate(rows, 1)
    ]
    notices += write_pictures(list(zip(files["file"], pictures, strict=True)), images)
    written = [(images / picture.name).is_file() for picture in pictures]
    return images, [
        picture.name if there else None for picture, there in zip(pictures, written, strict=True)
    ]
