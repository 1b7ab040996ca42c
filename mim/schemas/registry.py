"""The registry's tables, as CSV or Parquet in one folder: what is known besides the images.

``exams`` must be there, and ``cancers`` or ``outcomes``; the others may be missing.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from mim.schemas.table import Column, Schema, TableError
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    Criterion,
    Density,
    FoundBy,
    Landmark,
    Outcome,
    Quality,
    Split,
)

TEXT = pa.string()

WOMEN = Schema(
    "women",
    key=("woman_id",),
    columns=(
        Column("woman_id", TEXT, "the registry's woman; equals Patient ID (0010,0020)", False),
        Column("birth_year", pa.int32(), "year of birth", required=False),
        Column("followup_end", pa.date32(), "last day she is known of", required=False),
        Column("emigration_date", pa.date32(), "day of emigration", required=False),
        Column("death_date", pa.date32(), "day of death", required=False),
    ),
)

EXAMS = Schema(
    "exams",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the registry's exam; may equal the Accession Number", False),
        Column("woman_id", TEXT, "the woman examined", False),
        Column(
            "exam_date", pa.date32(), "day of the examination; may lack where outcomes are given"
        ),
        Column("study_uid", TEXT, "Study Instance UID (0020,000D), if known", required=False),
        Column("site", TEXT, "screening unit", required=False),
        Column(
            "given_split",
            TEXT,
            "part of the data in the collection's own division",
            values=(Split.TRAIN, Split.VALIDATION, Split.TEST),
            required=False,
        ),
    ),
)

READINGS = Schema(
    "readings",
    key=("exam_id", "reader", "breast"),
    columns=(
        Column("exam_id", TEXT, "the exam read", False),
        Column("reader", TEXT, "pseudonym of the reader", False),
        Column("breast", TEXT, "side read", False, tuple(BREASTS)),
        Column(
            "score",
            pa.int32(),
            "1 (negative) to 5 (cancer); 2 or more is positive",
            False,
            ("1", "2", "3", "4", "5"),
        ),
        Column(
            "reading",
            pa.int32(),
            "1 or 2: first or second reading of independent double reading; missing: unknown",
            values=("1", "2"),
            required=False,
        ),
    ),
)

DECISIONS = Schema(
    "decisions",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the exam decided on", False),
        Column("consensus", pa.bool_(), "taken to the consensus meeting", required=False),
        Column("recalled", pa.bool_(), "the woman was recalled for assessment", False),
    ),
)

SCORES = Schema(
    "scores",
    key=("exam_id", "model", "breast"),
    columns=(
        Column("exam_id", TEXT, "the exam scored", False),
        Column("model", TEXT, "the model or product, with its version", False),
        Column(
            "breast",
            TEXT,
            "side scored; missing: the whole exam",
            values=tuple(BREASTS),
            required=False,
        ),
        Column("score", pa.float64(), "its score on any scale; higher is more suspicious", False),
    ),
)

CANCERS = Schema(
    "cancers",
    key=("woman_id", "diagnosis_date", "breast"),
    columns=(
        Column("woman_id", TEXT, "the woman diagnosed", False),
        Column("diagnosis_date", pa.date32(), "day of the diagnosis", False),
        Column("breast", TEXT, "side of the cancer; missing: unknown", True, tuple(BREASTS)),
        Column("invasive", pa.bool_(), "invasive, else in situ", required=False),
        Column("size_mm", pa.float64(), "largest diameter, mm", required=False),
        Column("grade", pa.int32(), "histological grade", True, ("1", "2", "3"), False),
        Column("found_by", TEXT, "how it came to light", True, tuple(FoundBy), False),
    ),
)

OUTCOMES = Schema(
    "outcomes",
    key=("exam_id", "breast"),
    columns=(
        Column("exam_id", TEXT, "the exam", False),
        Column("breast", TEXT, "side", False, tuple(BREASTS)),
        Column(
            "outcome",
            TEXT,
            "what became of the breast, where a collection says it and has no dates",
            False,
            tuple(Outcome),
        ),
        Column(
            "years_to_cancer",
            pa.float64(),
            "years from the exam to the breast's cancer; 0: at the exam; missing: none known",
            required=False,
        ),
        Column(
            "years_followed",
            pa.float64(),
            "years from the exam to the end of follow-up",
            required=False,
        ),
    ),
)

DENSITY = Schema(
    "density",
    key=("exam_id", "breast"),
    columns=(
        Column("exam_id", TEXT, "the exam read", False),
        Column("breast", TEXT, "side read", False, tuple(BREASTS)),
        Column("density", TEXT, "BI-RADS density", values=tuple(Density), required=False),
        Column(
            "percent",
            pa.float64(),
            "share of the breast that is dense, per cent; one method for the whole table",
            required=False,
        ),
    ),
)

MEANINGS = {
    Criterion.NIPPLE_IN_PROFILE: "the nipple is seen from the side",
    Criterion.PECTORAL_TO_NIPPLE: "the pectoral muscle reaches down to the nipple's level (MLO)",
    Criterion.INFRAMAMMARY_FOLD: "the fold below the breast is shown (MLO)",
    Criterion.CUT_OFF: "a part of the breast lies outside the image",
    Criterion.SKIN_FOLD: "a fold of skin lies over the breast",
    Criterion.BLURRED: "the breast moved during the exposure",
    Criterion.SYMMETRIC: "mirrors the other breast's image of the same view",
}
"""What each criterion says of an image."""

QUALITY = Schema(
    "quality",
    key=("exam_id", "breast", "view"),
    columns=(
        Column("exam_id", TEXT, "the exam graded", False),
        Column("breast", TEXT, "side graded", False, tuple(BREASTS)),
        Column("view", TEXT, "projection graded", False, tuple(SCREENING_VIEWS)),
        Column("grade", TEXT, "perfect, good, moderate or inadequate", True, tuple(Quality), False),
        *(Column(name.value, pa.bool_(), MEANINGS[name], required=False) for name in Criterion),
    ),
)


def _landmark(name: Landmark) -> tuple[Column, ...]:
    meaning = name.value.replace("_", " ")
    return (
        Column(f"{name}_x", pa.float64(), f"{meaning}: column of the stored image", required=False),
        Column(f"{name}_y", pa.float64(), f"{meaning}: row of the stored image", required=False),
        Column(f"{name}_visible", pa.bool_(), f"{meaning}: lies on the image", required=False),
    )


LANDMARKS = Schema(
    "landmarks",
    key=("sop_uid",),
    columns=(
        Column("sop_uid", TEXT, "SOP Instance UID (0008,0018) of the image", False),
        *(column for name in Landmark for column in _landmark(name)),
    ),
)
"""Points marked on images. 0 is the centre of the first pixel. Where nothing says whether a point
lies on the image, one with a place does, and one without is unknown. The place of a point that is
said not to lie on the image is not used."""

LESION_KINDS = ("mass", "calcification", "distortion", "asymmetry")

LESIONS = Schema(
    "lesions",
    key=("sop_uid", "x", "y"),
    columns=(
        Column("sop_uid", TEXT, "SOP Instance UID (0008,0018) of the image", False),
        Column("x", pa.float64(), "left edge of its box: column of the stored image", False),
        Column("y", pa.float64(), "upper edge of its box: row of the stored image", False),
        Column("width", pa.float64(), "columns that the box is wide", False),
        Column("height", pa.float64(), "rows that the box is high", False),
        Column("kind", TEXT, "what it looks like", values=LESION_KINDS, required=False),
        Column("malignant", pa.bool_(), "it is cancer; missing: unknown", required=False),
    ),
)
"""Boxes round lesions of images. 0 is the centre of the first pixel, so a box round that pixel alone
has its edges at -0.5, and is 1 wide and 1 high."""

RISK_FACTORS = Schema(
    "risk_factors",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the exam at which she was asked", False),
        Column("height_cm", pa.float64(), "height, cm", required=False),
        Column("weight_kg", pa.float64(), "weight, kg", required=False),
        Column("children", pa.int32(), "births", required=False),
        Column("postmenopausal", pa.bool_(), "after the menopause", required=False),
        Column("hormone_therapy", pa.bool_(), "menopausal hormones now", required=False),
        Column(
            "family_history",
            pa.bool_(),
            "breast cancer of a mother, sister or daughter",
            required=False,
        ),
        Column("earlier_biopsy", pa.bool_(), "a biopsy of a breast before", required=False),
    ),
)

REGISTRY = (
    WOMEN,
    EXAMS,
    READINGS,
    DECISIONS,
    SCORES,
    CANCERS,
    OUTCOMES,
    DENSITY,
    QUALITY,
    LANDMARKS,
    LESIONS,
    RISK_FACTORS,
)
NEEDED = (EXAMS,)
EITHER = (CANCERS, OUTCOMES)
"""One of these must be there too."""

MORE_THAN_A_KEY = (DENSITY, QUALITY, LANDMARKS)
"""Of these every column besides the key may lack, but not all of them."""

PLAUSIBLE = {
    "size_mm": (0.1, 300.0, "mm"),
    "height_cm": (100.0, 230.0, "cm"),
    "weight_kg": (25.0, 300.0, "kg"),
    "children": (0.0, 25.0, "births"),
    "age_years": (15.0, 110.0, "years"),
    "priors": (0.0, 99.0, "exams"),
    "years_to_cancer": (0.0, 99.0, "years"),
    "years_followed": (0.0, 99.0, "years"),
    "percent": (0.0, 100.0, "per cent"),
    "width": (0.1, 100_000.0, "pixels"),
    "height": (0.1, 100_000.0, "pixels"),
}
"""Lowest and highest number that a column may hold, and its unit. 100 years is Mirai's 'never'."""

SUFFIXES = (".csv", ".parquet")
OTHER_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".tsv", ".txt")
"""Formats in which tables come that are not read."""


def needed_columns(schema: Schema) -> str:
    """The columns that a table must have, in words."""
    return ", ".join(column.name for column in schema.columns if column.required)


def how_to_write(schema: Schema) -> str:
    """What a table that is missing must be called and hold, in words."""
    return (
        f"write it as {schema.name}.csv or {schema.name}.parquet "
        f"with the columns {needed_columns(schema)}"
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that is most like ``name``, whatever the case; None if none is."""
    spelt = {other.lower(): other for other in sorted(names)}
    near = get_close_matches(name.lower(), spelt, n=1, cutoff=0.75)
    return spelt[near[0]] if near else None


def find_table(folder: Path, schema: Schema) -> Path | None:
    """The file of a table in the registry's folder; None where a table that may lack does.

    Raises:
        TableError: a needed table is missing, or one is there twice or in a format not read.
    """
    there = [path for suffix in SUFFIXES if (path := folder / f"{schema.name}{suffix}").is_file()]
    if len(there) > 1:
        raise TableError(f"{there[0]}: also there as {there[1].name}; keep one of the two")
    if there:
        return there[0]
    for path in sorted(folder.iterdir()):
        if path.stem.lower() == schema.name and path.suffix.lower() in SUFFIXES + OTHER_SUFFIXES:
            if path.suffix.lower() in SUFFIXES:
                raise TableError(f"{path}: write its name in small letters: {path.name.lower()}")
            raise TableError(
                f"{path}: tables are read from CSV and Parquet alone; "
                f"save it as {schema.name}.csv (in Excel: CSV UTF-8, comma delimited)"
            )
    if schema in NEEDED:
        tables = [path.stem for path in folder.iterdir() if path.suffix in SUFFIXES]
        near = nearest(schema.name, tables)
        raise TableError(
            f"{folder}: the table '{schema.name}' is missing; {how_to_write(schema)}"
            + (f" (is it '{near}'? then rename that)" if near else "")
        )
    return None
