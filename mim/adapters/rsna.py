"""RSNA Screening Mammography Breast Cancer Detection (Kaggle, 2022).

As downloaded: ``train.csv`` (54,706 rows, one an image, 11,913 women) and
``train_images/<patient_id>/<image_id>.dcm``. The columns mean what the page "Data" of the challenge
says, and RSNA's wiki AI-Challenge-Data after it: cancer and biopsy are of the breast, BIRADS is 0 where
the breast needed follow-up, 1 and 2 where it did not, implant is of the woman at site 1. The test set
has no outcomes and is not read.

Licence: non-commercial purposes only, including academic research and education (same wiki).

There are no dates: one exam a woman, no priors. Nothing says whether screening or symptoms brought a
cancer to light, nor when, so it is ``Outcome.CANCER`` and not screen-detected.
"""

from pathlib import Path

import polars as pl

from mim.adapters.adapted import AT_EXAM, About, Adapted
from mim.adapters.cells import density, number, one_row_each, require_filled, side, view
from mim.adapters.sources import compare, find_file, images_beside, list_files, read_cells
from mim.vocab import Outcome, View

HOLDS = "train.csv and train_images of the RSNA challenge on Kaggle"
COLUMNS = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "cancer",
    "biopsy",
    "BIRADS",
    "implant",
    "density",
)

ABOUT = About(
    name="RSNA Screening Mammography Breast Cancer Detection",
    licence="non-commercial purposes only, including academic research and education",
    source="https://www.kaggle.com/competitions/rsna-breast-cancer-detection",
    cannot_know=(
        "dates: one exam a woman, no priors; her age stands in train.csv and has no place here",
        "how and when a cancer came to light: cancers are 'cancer', with 0 years to them",
        "how long women without cancer were followed",
        "invasive or in situ: train.csv says it, but cancers without a date have no place for it",
        "the maker: headers are stripped and machine_id names none, so no maker can be held out",
        "recall where BIRADS is empty (a whole site): a breast that was recalled and not biopsied "
        "is 'negative' there",
    ),
)


def read(source: Path, out: Path) -> Adapted:
    """Read ``train.csv``; the images stay where they are.

    Raises:
        InputError: the folder is not the collection, or the table is not as it was published.
    """
    table = find_file(source, ("train.csv",), HOLDS)
    images = images_beside(table, "train_images", HOLDS)
    notices: list[str] = []
    rows = read_cells(table, COLUMNS)
    require_filled(rows, ("patient_id", "image_id"), table)
    rows = one_row_each(rows, ("patient_id", "image_id"), table, notices).select(
        "site_id",
        woman_id="patient_id",
        path=pl.concat_str("patient_id", pl.lit("/"), "image_id", pl.lit(".dcm")),
        breast=side("laterality"),
        # AT is a picture of the axillary tail, whatever projection the header may name.
        view=pl.when(pl.col("view") == "AT")
        .then(pl.lit(View.UNKNOWN.value))
        .otherwise(view("view")),
        cancer=number("cancer"),
        biopsy=number("biopsy"),
        birads=number("BIRADS"),
        implant=number("implant"),
        density=density("density", "ABCD"),
    )
    there = list_files(images, {".dcm"})
    breasts = _breasts(rows)
    tables = {
        "exams": rows.group_by("woman_id")
        .agg(site=pl.col("site_id").min())
        .select(
            "woman_id", "site", exam_id="woman_id", study_uid="woman_id", exam_date=pl.lit(None)
        ),
        "outcomes": _outcomes(breasts),
        "decisions": _decisions(breasts),
        "density": breasts.drop_nulls("density").select("exam_id", "breast", "density"),
    }
    notices += [*compare(rows["path"], there, table.name), *_notices(rows, breasts)]
    return Adapted(ABOUT, images, tables, _overrides(rows, there), notices)


def _breasts(rows: pl.DataFrame) -> pl.DataFrame:
    """What the images of each breast say of it: a cancer, a biopsy, follow-up if any of them does."""
    return (
        rows.drop_nulls("breast")
        .group_by(pl.col("woman_id").alias("exam_id"), "breast")
        .agg(
            pl.col("cancer").max(),
            disagree=pl.col("cancer").drop_nulls().n_unique() > 1,
            suspicious=((pl.col("birads") == 0) | (pl.col("biopsy") == 1)).any(),
            rated=pl.col("birads").is_not_null().any(),
            density=pl.col("density").max(),
        )
    )


def _outcomes(breasts: pl.DataFrame) -> pl.DataFrame:
    outcome = (
        pl.when(pl.col("cancer") == 1)
        .then(pl.lit(Outcome.CANCER.value))
        .when(pl.col("cancer").is_null())
        .then(pl.lit(Outcome.UNKNOWN.value))
        .when("suspicious")
        .then(pl.lit(Outcome.RECALLED.value))
        .otherwise(pl.lit(Outcome.NEGATIVE.value))
    )
    return breasts.select("exam_id", "breast", outcome=outcome).with_columns(AT_EXAM)


def _decisions(breasts: pl.DataFrame) -> pl.DataFrame:
    """Recalled where a breast needed follow-up or was biopsied; not recalled where all are rated."""
    exams = breasts.group_by("exam_id").agg(
        recalled=pl.col("suspicious").any(), rated=pl.col("rated").all()
    )
    return exams.filter(pl.col("recalled") | pl.col("rated")).select("exam_id", "recalled")


def _overrides(rows: pl.DataFrame, there: list[str]) -> pl.DataFrame:
    return rows.filter(pl.col("path").is_in(there)).select(
        "path",
        "view",
        patient_id="woman_id",
        study_uid="woman_id",
        laterality="breast",
        modality=pl.lit("MG"),
    )


def _notices(rows: pl.DataFrame, breasts: pl.DataFrame) -> list[str]:
    implants = rows.filter(pl.col("implant") == 1)["woman_id"].n_unique()
    counts = {
        "women have implants; nothing else tells them from others here": implants,
        "images name no side and count for no breast": rows["breast"].null_count(),
        "breasts have images that disagree on cancer; they count as cancer": breasts[
            "disagree"
        ].sum(),
        "breasts have no value of cancer; their outcome is unknown": breasts["cancer"].null_count(),
    }
    return [f"{count} {words}" for words, count in counts.items() if count]
