"""CBIS-DDSM: films of the Digital Database for Screening Mammography, curated, in DICOM.

Sawyer Lee et al. 2017, doi 10.1038/sdata.2017.177; data doi 10.7937/K9/TCIA.2016.7O02S9CY, licence
CC BY 3.0, which asks for attribution and says nothing of weights. Download: the four case tables, and the
images by the NBIA Data Retriever or from the Imaging Data Commons.

A woman's exam is spread over many DICOM "patients" and studies: each film is one of its own, named
``Calc-Test_P_00038_LEFT_MLO``, or ``P_00038_LEFT_MLO.dcm`` in the test set of calcifications as the
Imaging Data Commons has it. The number behind the name of a crop or of a mask is the abnormality's.
A film that shows calcifications and a mass is there twice.

Outcomes by DDSM's own definitions (overview pages of its volumes): malignant is proven cancer;
benign was suspicious at screening, was worked up and found not malignant; benign without callback
was settled on the screening films alone. Dates in the headers are those of the conversion.
"""

from pathlib import Path

import polars as pl
from pydicom.uid import generate_uid

from mim.adapters.adapted import AT_EXAM, About, Adapted
from mim.adapters.cells import density, require_filled, side, view
from mim.adapters.sources import compare, find_file, read_cells, scan_headers
from mim.vocab import Kind, Maker, Outcome, Split

ABOUT = About(
    name="CBIS-DDSM",
    licence="CC BY 3.0: attribution; it says nothing of weights trained on the data",
    source="doi 10.7937/K9/TCIA.2016.7O02S9CY",
    cannot_know=(
        "days of the exams: no priors, no intervals; dates in the headers are of the conversion",
        "how a cancer was found: every malignant breast has the outcome 'cancer'",
        "anything about a breast without a finding: only films with one are in it, so there is no "
        "normal breast",
        "follow-up of breasts that were benign without callback; they count as negative",
        "the mammograph: these are digitised films of the 1990s",
    ),
)

TABLES = {
    "mass_case_description_train_set.csv": Split.TRAIN,
    "calc_case_description_train_set.csv": Split.TRAIN,
    "mass_case_description_test_set.csv": Split.TEST,
    "calc_case_description_test_set.csv": Split.TEST,
}

HOLDS = f"the images of CBIS-DDSM and its tables {', '.join(TABLES)}"

FILM = (
    r"^(?:(?:Calc|Mass)-(?:Test|Training)_)?(?<woman>P_\d{5})_(?<side>LEFT|RIGHT)_(?<view>CC|MLO)"
    r"(?:\.dcm)?$"
)
"""Patient ID (0010,0020) of a whole film; those of crops and masks have a number behind the view."""

PUBLISHED = {
    "woman_id": "patient_id",
    "breast": "left or right breast",
    "view": "image view",
    "outcome": "pathology",
}
"""Columns of the case tables, by what they are here."""

OUTCOMES = {
    "MALIGNANT": Outcome.CANCER.value,
    "BENIGN": Outcome.RECALLED.value,
    "BENIGN_WITHOUT_CALLBACK": Outcome.NEGATIVE.value,
}
"""By column pathology; of several abnormalities of a breast the first in this order counts."""


def read(source: Path, out: Path) -> Adapted:
    """Read the case tables and the headers of all images below ``source``."""
    rows = pl.concat(
        _cases(find_file(source, [name], HOLDS)).with_columns(given_split=pl.lit(split.value))
        for name, split in TABLES.items()
    )
    women = rows.group_by("woman_id").agg(
        splits=pl.col("given_split").n_unique(),
        # Of the words, 'test' sorts before 'train'.
        given_split=pl.col("given_split").min(),
    )
    films = _films(source)
    exams = women.select(
        exam_id="woman_id", woman_id="woman_id", study_uid=_study_uid(), given_split="given_split"
    )
    return Adapted(
        about=ABOUT,
        images=source,
        tables={"exams": exams, "outcomes": _outcomes(rows), "density": _density(rows)},
        overrides=films.join(women, on="woman_id", how="semi").select(
            "path",
            patient_id="woman_id",
            study_uid=_study_uid(),
            laterality="breast",
            view="view",
            kind=pl.lit(Kind.FILM.value),
            maker=pl.lit(Maker.FILM_DIGITISER.value),
        ),
        notices=[
            *_on_both_sides(women),
            *compare(_names(rows), _names(films), "the case tables"),
        ],
    )


def _cases(path: Path) -> pl.DataFrame:
    """A row for each abnormality and view: woman_id, breast, view, outcome, density (two have none)."""
    cells = read_cells(
        path,
        [*PUBLISHED.values()],
        ["breast density", "breast_density"],
    )
    rows = cells.select(
        woman_id="patient_id",
        breast=side("left or right breast"),
        view=view("image view"),
        outcome=pl.col("pathology").replace_strict(OUTCOMES, default=None),
        density=pl.coalesce(density("breast density", "1234"), density("breast_density", "1234")),
    )
    require_filled(rows, [*PUBLISHED], path, PUBLISHED)
    return rows


def _films(source: Path) -> pl.DataFrame:
    """Whole films below ``source``: path, woman_id, breast, view."""
    headers = scan_headers(source, ["path", "patient_id"])
    named = headers.with_columns(pl.col("patient_id").str.extract_groups(FILM)).unnest("patient_id")
    return named.drop_nulls("woman").select("path", "view", woman_id="woman", breast=side("side"))


def _study_uid() -> pl.Expr:
    """One study for each woman, for the headers give each film one."""
    return pl.col("woman_id").map_elements(
        lambda woman: generate_uid(entropy_srcs=[ABOUT.name, woman]), pl.String
    )


def _outcomes(rows: pl.DataFrame) -> pl.DataFrame:
    ranks = pl.Enum(OUTCOMES.values())
    worst = rows.group_by("breast", exam_id="woman_id").agg(
        pl.col("outcome").cast(ranks).min().cast(pl.String)
    )
    return worst.with_columns(AT_EXAM)


def _density(rows: pl.DataFrame) -> pl.DataFrame:
    """The films of a breast never differ in it."""
    breasts = rows.drop_nulls("density").group_by("breast", exam_id="woman_id")
    return breasts.agg(pl.col("density").max())


def _on_both_sides(women: pl.DataFrame) -> list[str]:
    both = (women["splits"] > 1).sum()
    return [
        f"{both} women stand in the training set and in the test set of the collection's own "
        "division; here each of them is in the test set with all her films"
    ] * bool(both)


def _names(rows: pl.DataFrame) -> list[str]:
    return (
        rows.select(pl.concat_str("woman_id", "breast", "view", separator=" "))
        .to_series()
        .to_list()
    )
