"""Tables that an evaluation takes from anywhere: what models say, what came, and what readers said.

A cohort folder holds all but the scores. Exams and women are named by pseudonyms.
"""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import BREASTS, Density, Maker, Outcome, Split

TEXT, NUMBER = pa.string(), pa.float64()

_EXAM = Column("exam", TEXT, "pseudonym of the exam", False)
_BREAST = Column(
    "breast", TEXT, "side; missing: the whole exam", True, tuple(BREASTS), required=False
)

GIVEN_SCORES = Schema(
    "scores",
    key=("model", "exam", "breast"),
    columns=(
        _EXAM,
        _BREAST,
        Column("score", NUMBER, "the model's score, higher is more suspicious; missing: none"),
        Column("model", TEXT, "the model; missing: the file's name", required=False),
    ),
)

REFERENCE = Schema(
    "outcomes",
    key=("exam", "breast"),
    columns=(
        _EXAM,
        Column("woman", TEXT, "pseudonym of the woman", False),
        _BREAST,
        Column("outcome", TEXT, "what became of it", True, tuple(Outcome), required=False),
        Column("cancer", pa.bool_(), "cancer, where no outcome says more", required=False),
        Column("split", TEXT, "part of the cohort", True, tuple(Split), required=False),
        Column("maker", TEXT, "maker of the exam's images", True, tuple(Maker), required=False),
        Column("machine", TEXT, "model and software of the mammograph", required=False),
        Column("site", TEXT, "screening unit", required=False),
        Column("age_years", pa.int32(), "age at the exam, whole years", required=False),
        Column("density", TEXT, "BI-RADS density", True, tuple(Density), required=False),
        Column("exam_date", pa.date32(), "day of the examination", required=False),
        Column("priors", pa.int32(), "number of earlier exams", required=False),
        Column("invasive", pa.bool_(), "the cancer is invasive, else in situ", required=False),
        Column("size_mm", NUMBER, "the cancer's largest diameter, mm", required=False),
        Column("grade", pa.int32(), "the cancer's grade", True, ("1", "2", "3"), required=False),
        Column("consensus", pa.bool_(), "taken to the consensus meeting", required=False),
        Column("recalled", pa.bool_(), "the woman was recalled", required=False),
    ),
)

GIVEN_READINGS = Schema(
    "readings",
    key=("exam", "reader", "breast"),
    columns=(
        _EXAM,
        Column("reader", TEXT, "pseudonym of the reader", False),
        _BREAST,
        Column(
            "score",
            pa.int32(),
            "1 (negative) to 5 (cancer); 2 or more is positive",
            False,
            ("1", "2", "3", "4", "5"),
        ),
        Column("reading", pa.int32(), "1 first, 2 second", True, ("1", "2"), required=False),
    ),
)
