"""The registry's tables, as CSV or Parquet in one folder: what is known besides the images.

``exams`` must be there, and ``cancers`` or ``outcomes``; the others may be missing.
"""

from pathlib import Path

import pyarrow as pa

from mim.schemas.table import Column, Schema, TableError
from mim.vocab import BREASTS, SCREENING_VIEWS, Density, FoundBy, Outcome, Quality, Split

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
        Column("density", TEXT, "BI-RADS density", False, tuple(Density)),
    ),
)

QUALITY = Schema(
    "quality",
    key=("exam_id", "breast", "view"),
    columns=(
        Column("exam_id", TEXT, "the exam graded", False),
        Column("breast", TEXT, "side graded", False, tuple(BREASTS)),
        Column("view", TEXT, "projection graded", False, tuple(SCREENING_VIEWS)),
        Column("grade", TEXT, "perfect, good, moderate or inadequate", False, tuple(Quality)),
    ),
)

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
    CANCERS,
    OUTCOMES,
    DENSITY,
    QUALITY,
    RISK_FACTORS,
)
NEEDED = (EXAMS,)

SUFFIXES = (".csv", ".parquet")


def needed_columns(schema: Schema) -> str:
    """The columns that a table must have, in words."""
    return ", ".join(column.name for column in schema.columns if column.required)


def find_table(folder: Path, schema: Schema) -> Path | None:
    """The file of a table in the registry's folder; None where a table that may lack does.

    Raises:
        TableError: a needed table is missing, or one is there twice.
    """
    there = [path for suffix in SUFFIXES if (path := folder / f"{schema.name}{suffix}").is_file()]
    if len(there) > 1:
        raise TableError(f"{there[0]}: also there as {there[1].name}; keep one of the two")
    if not there and schema in NEEDED:
        raise TableError(
            f"{folder}: the table '{schema.name}' is missing; write it as {schema.name}.csv or "
            f"{schema.name}.parquet with the columns {needed_columns(schema)}"
        )
    return there[0] if there else None
