"""Score tables: one row per breast of an exam."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import BREASTS, Maker, Outcome, Reason, Split

TEXT = pa.string()

SCORES = Schema(
    "scores",
    key=("exam", "breast"),
    columns=(
        Column("woman", TEXT, "pseudonym of the woman", False),
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("breast", TEXT, "side", False, tuple(BREASTS)),
        Column("score", pa.float64(), "model's score, 0 to 1; missing: no view of the breast"),
        Column("cancer", pa.bool_(), "cancer at the exam or before the next one; missing: unknown"),
        Column("outcome", TEXT, "what became of the breast", False, tuple(Outcome)),
        Column("maker", TEXT, "maker of the exam's images", False, tuple(Maker)),
        Column("split", TEXT, "part of the cohort", False, tuple(Split)),
        Column("priors", pa.int32(), "number of priors given to the model", False),
    ),
)

PREDICTIONS = Schema(
    "predictions",
    key=("study_uid",),
    columns=(
        Column("study_uid", TEXT, "Study Instance UID (0020,000D) of the exam", False),
        Column("left_score", pa.float64(), "score of the left breast; missing: no view of it"),
        Column("right_score", pa.float64(), "score of the right breast; missing: no view of it"),
        Column("exam_score", pa.float64(), "the higher of the two breasts' scores"),
        Column("selected_at", pa.list_(pa.float64()), "selection rates at which it is selected"),
        Column("images", pa.int32(), "images of the exam given to the model", False),
        Column("priors", pa.int32(), "priors given to the model", False),
        Column("reason", TEXT, "why there is no score; missing: scored", True, tuple(Reason)),
        Column("detail", TEXT, "the reason in words, with the files left out"),
    ),
)
