"""CMMD, the Chinese Mammography Database: women whose finding was settled by biopsy, one exam each.

Cai et al. 2023, doi 10.1038/s41597-023-02025-1; data doi 10.7937/tcia.eqde-4b16, licence CC BY 4.0,
which asks for attribution and says nothing of weights. Download: ``CMMD_clinicaldata_revision.xlsx``, and
the images by the NBIA Data Retriever or from the Imaging Data Commons.

The table names the biopsied breast; which file shows it, file names do not say, Image Laterality
(0020,0062) in each header does. Of 826 women both breasts were imaged, of 97 both have a row; a
breast without one has no outcome, for nobody says that it was healthy.

Study dates are no dates of exams: all fall on 18 July, or on the 17th in leap years, from 2008 to
2012, while the exams were made from July 2012 to January 2016.
"""

from pathlib import Path

import polars as pl

from mim.adapters.adapted import AT_EXAM, About, Adapted
from mim.adapters.cells import one_row_each, require_filled, side
from mim.adapters.sources import compare, find_file, read_cells, scan_headers
from mim.vocab import Laterality, Outcome

ABOUT = About(
    name="CMMD",
    licence="CC BY 4.0: attribution; it says nothing of weights trained on the data",
    source="doi 10.7937/tcia.eqde-4b16",
    cannot_know=(
        "days of the exams: no priors, no intervals; study dates in the headers are made up",
        "how a cancer was found: every malignant breast has the outcome 'cancer'",
        "anything about a breast without a row: it has no outcome",
        "women who were not biopsied: this is no screening population",
        "maker and density",
    ),
)

TABLES = ("CMMD_clinicaldata_revision.csv", "CMMD_clinicaldata_revision.xlsx")

HOLDS = f"the images of CMMD and its table {TABLES[1]}"

COLUMNS = ("ID1", "LeftRight", "classification")

OUTCOMES = {"Malignant": Outcome.CANCER.value, "Benign": Outcome.RECALLED.value}
"""By column classification, which is the biopsy's."""


def read(source: Path, out: Path) -> Adapted:
    """Read the clinical table and the headers of all images below ``source``."""
    table = find_file(source, TABLES, HOLDS)
    notices: list[str] = []
    outcomes = _outcomes(table, notices)
    women = outcomes.select("exam_id").unique()
    headers = scan_headers(source, ["path", "patient_id", "laterality"])
    images = headers.drop_nulls("patient_id").rename({"patient_id": "exam_id"})
    hers = images.join(women, on="exam_id", how="semi")
    return Adapted(
        about=ABOUT,
        images=source,
        tables={"exams": women.with_columns(woman_id="exam_id"), "outcomes": outcomes},
        overrides=hers.select("path", accession_number="exam_id"),
        notices=[
            *notices,
            *_lacking(women, images, table.name),
            *_without_outcome(hers, outcomes),
        ],
    )


def _outcomes(table: Path, notices: list[str]) -> pl.DataFrame:
    """A row for each biopsied breast."""
    cells = read_cells(table, COLUMNS)
    cells = one_row_each(cells, COLUMNS[:2], table, notices)
    rows = cells.select(
        exam_id="ID1",
        breast=side("LeftRight"),
        outcome=pl.col("classification").replace_strict(OUTCOMES, default=None),
    )
    require_filled(rows, rows.columns, table, dict(zip(rows.columns, COLUMNS, strict=True)))
    return rows.with_columns(AT_EXAM)


def _lacking(women: pl.DataFrame, images: pl.DataFrame, table: str) -> list[str]:
    """The table names women, so it is women that may lack."""
    return compare(women["exam_id"].to_list(), images["exam_id"].to_list(), table, "women")


def _without_outcome(images: pl.DataFrame, outcomes: pl.DataFrame) -> list[str]:
    """How many imaged breasts the table is silent about."""
    imaged = images.select("exam_id", breast="laterality").unique()
    sided = imaged.filter(pl.col("breast") != Laterality.UNKNOWN.value)
    silent = sided.join(outcomes, on=["exam_id", "breast"], how="anti").height
    return [
        f"{silent} imaged breasts have no row in the clinical table; they have no outcome"
    ] * bool(silent)
