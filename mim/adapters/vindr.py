"""VinDr-Mammo 1.0.0 (PhysioNet, doi 10.13026/br2v-7517; Nguyen 2023, doi 10.1038/s41597-023-02100-7).

As downloaded: ``breast-level_annotations.csv`` (20,000 rows, one an image), ``images/<study_id>/
<image_id>.dicom``, and ``finding_annotations.csv`` and ``metadata.csv``, which are not read. 5,000 exams
of four views, read twice with arbitration; columns by the page of the data set.

Licence: PhysioNet restricted access, by a data use agreement that each user signs.

There is no pathology: BI-RADS is an opinion and makes no label, so every outcome is unknown. What can be
learnt from is density. There are no dates, and women are not named: each exam is its own woman.
"""

from pathlib import Path

import polars as pl

from mim.adapters.adapted import About, Adapted
from mim.adapters.cells import density, of_both_breasts, one_row_each, require_filled, side, view
from mim.adapters.sources import compare, find_file, images_beside, list_files, read_cells
from mim.vocab import Outcome, Split

HOLDS = "breast-level_annotations.csv and images of VinDr-Mammo 1.0.0"
COLUMNS = ("study_id", "image_id", "laterality", "view_position", "breast_density", "split")
SPLITS = {"training": Split.TRAIN.value, "test": Split.TEST.value}
LETTERS = ("DENSITY A", "DENSITY B", "DENSITY C", "DENSITY D")

ABOUT = About(
    name="VinDr-Mammo 1.0.0",
    licence="PhysioNet restricted access: the data use agreement that each user signs",
    source="https://doi.org/10.13026/br2v-7517",
    cannot_know=(
        "outcomes: there is no pathology, and BI-RADS of readers makes no label",
        "women: each exam counts as a woman of its own, so a woman with two exams may be in two "
        "splits, the collection's own included",
        "dates: no priors",
        "a validation part: the collection is divided into training and test only",
    ),
)


def read(source: Path, out: Path) -> Adapted:
    """Read ``breast-level_annotations.csv``; the images stay where they are.

    Raises:
        InputError: the folder is not the collection, or the table is not as it was published.
    """
    table = find_file(source, ("breast-level_annotations.csv",), HOLDS)
    images = images_beside(table, "images", HOLDS)
    notices: list[str] = []
    rows = read_cells(table, COLUMNS)
    require_filled(rows, ("study_id", "image_id"), table)
    rows = one_row_each(rows, ("study_id", "image_id"), table, notices).select(
        exam_id="study_id",
        path=pl.concat_str("study_id", pl.lit("/"), "image_id", pl.lit(".dicom")),
        breast=side("laterality"),
        view=view("view_position"),
        density=density("breast_density", LETTERS),
        split=pl.col("split").replace_strict(SPLITS, default=None, return_dtype=pl.String),
    )
    exams = rows.group_by("exam_id").agg(
        given_split=pl.col("split").min(), both=pl.col("split").drop_nulls().n_unique() > 1
    )
    tables = {
        "exams": exams.select(
            "exam_id",
            "given_split",
            woman_id="exam_id",
            study_uid="exam_id",
            exam_date=pl.lit(None),
        ),
        "outcomes": of_both_breasts(exams.select("exam_id")).with_columns(
            outcome=pl.lit(Outcome.UNKNOWN.value)
        ),
        "density": rows.drop_nulls(["breast", "density"])
        .group_by("exam_id", "breast")
        .agg(pl.col("density").max()),
    }
    there = list_files(images, {".dicom", ".dcm"})
    notices += compare(rows["path"], there, table.name)
    if count := exams["both"].sum():
        notices.append(f"{count} exams are in training and test at once; they count as test")
    overrides = rows.filter(pl.col("path").is_in(there)).select(
        "path", "view", patient_id="exam_id", study_uid="exam_id", laterality="breast"
    )
    return Adapted(ABOUT, images, tables, overrides, notices)
