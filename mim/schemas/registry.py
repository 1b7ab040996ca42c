"""The registry's tables, as CSV or Parquet in one folder: what is known besides the images.

``exams`` and ``cancers`` must be there; the others may be missing.
"""

from pathlib import Path

import pyarrow as pa

from mim.schemas.table import Column, Schema, TableError
from mim.vocab import BREASTS, SCREENING_VIEWS, Density, Quality

TEXT = pa.string()

WOMEN = Schema(
    "women",
    key=("woman_id",),
    columns=(
        Column("woman_id", TEXT, "the registry's woman; equals Patient ID (0010,0020)", False),
        Column("birth_year", pa.int32(), "year of birth", required=False),
        Column("followup_end", pa.date32(), "emigration, death or last day known", required=False),
    ),
)

EXAMS = Schema(
    "exams",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the registry's exam; may equal the Accession Number", False),
        Column("woman_id", TEXT, "the woman examined", False),
        Column("exam_date", pa.date32(), "day of the examination", False),
        Column("study_uid", TEXT, "Study Instance UID (0020,000D), if known", required=False),
        Column("site", TEXT, "screening unit", required=False),
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
        Column("consensus", pa.bool_(), "taken to the consensus meeting", False),
        Column("recalled", pa.bool_(), "the woman was recalled for assessment", False),
    ),
)

CANCERS = Schema(
    "cancers",
    key=("woman_id", "diagnosis_date", "breast"),
    columns=(
        Column("woman_id", TEXT, "the woman diagnosed", False),
        Column("diagnosis_date", pa.date32(), "day of the diagnosis", False),
        Column("breast", TEXT, "side of the cancer", False, tuple(BREASTS)),
        Column("invasive", pa.bool_(), "invasive, else in situ", required=False),
        Column("size_mm", pa.float64(), "largest diameter", required=False),
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

REGISTRY = (WOMEN, EXAMS, READINGS, DECISIONS, CANCERS, DENSITY, QUALITY)
NEEDED = (EXAMS, CANCERS)

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
