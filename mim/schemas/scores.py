"""Score tables: what a model said of every breast and image, beside what is known of it.

A run keeps one table for each split and task: ``scores/<split>-<task>.parquet``.
"""

import pyarrow as pa

from mim.schemas import registry
from mim.schemas.table import Column, Schema
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    Criterion,
    Density,
    Landmark,
    Maker,
    Outcome,
    Quality,
    Reason,
    Split,
    Task,
)

TEXT = pa.string()
NUMBER = pa.float64()

_BREAST = (
    Column("woman", TEXT, "pseudonym of the woman", False),
    Column("exam", TEXT, "pseudonym of the exam", False),
    Column("breast", TEXT, "side", False, tuple(BREASTS)),
)
_ORIGIN = (
    Column("maker", TEXT, "maker of the exam's images", False, tuple(Maker)),
    Column("split", TEXT, "part of the cohort", False, tuple(Split)),
)
_PRIORS = Column("priors", pa.int32(), "number of priors given to the model", False)

SCORES = Schema(
    "scores",
    key=("exam", "breast"),
    columns=(
        *_BREAST,
        Column("score", NUMBER, "model's score, 0 to 1; missing: no view of the breast"),
        Column("cancer", pa.bool_(), "cancer at the exam or before the next one; missing: unknown"),
        Column("outcome", TEXT, "what became of the breast", False, tuple(Outcome)),
        *_ORIGIN,
        _PRIORS,
    ),
)

RISK_SCORES = Schema(
    "risk scores",
    key=("exam", "breast"),
    columns=(
        *_BREAST,
        Column(
            "risk",
            pa.list_(NUMBER),
            "probability of a cancer within 1, 2, ... years; missing: no view of the breast",
        ),
        Column("years_to_cancer", NUMBER, "from the exam to the breast's cancer; missing: none"),
        Column("years_followed", NUMBER, "from the exam to the end of follow-up"),
        *_ORIGIN,
        _PRIORS,
    ),
)
"""The woman's risk follows from her breasts': their sum, at most 1."""

DENSITY_SCORES = Schema(
    "density scores",
    key=("exam", "breast"),
    columns=(
        *_BREAST,
        *(
            Column(f"probability_{letter}", NUMBER, f"of density {letter}; missing: no view of it")
            for letter in Density
        ),
        Column("score", NUMBER, "expected density from 0 (a) to 1 (d)"),
        Column("percent", NUMBER, "percent density; missing: not learnt, or no view"),
        Column("density", TEXT, "BI-RADS density known", True, tuple(Density)),
        Column("percent_known", NUMBER, "percent density known"),
        *_ORIGIN,
    ),
)

POSITIONING = (
    Column("posterior_nipple_line_mm", NUMBER, "from the nipple to muscle (MLO) or chest wall, mm"),
    Column("line_difference_mm", NUMBER, "that of the breast's MLO less that of its CC, mm"),
    Column(
        "line_above_pectoral_end_mm",
        NUMBER,
        "how far above its lower end that line meets the muscle; negative: misses it (MLO)",
    ),
    Column("pectoral_angle_degrees", NUMBER, "between pectoral line and chest wall (MLO)"),
    Column("pectoral_length_mm", NUMBER, "length of the pectoral line (MLO)"),
    Column("pectoral_below_nipple_mm", NUMBER, "how far below the nipple's level it ends (MLO)"),
    Column("grade", TEXT, "PGMI by the rules of mim.positioning", True, tuple(Quality)),
    Column("grade_reasons", pa.list_(TEXT), "what keeps the grade from being perfect"),
    Column("rules_not_judged", pa.list_(TEXT), "rules whose input is missing"),
)
"""What the rules make of landmarks and criteria."""

QUALITY_SCORES = Schema(
    "quality scores",
    key=("image",),
    columns=(
        Column("image", TEXT, "pseudonym of the image", False),
        *_BREAST,
        Column("view", TEXT, "projection", False, tuple(SCREENING_VIEWS)),
        *_ORIGIN,
        Column("spacing_mm", NUMBER, "distance of the model's pixels at the detector, mm"),
        *(
            column
            for name in Landmark
            for column in (
                Column(f"{name}_x", NUMBER, "column of the model's input"),
                Column(f"{name}_y", NUMBER, "row of the model's input"),
                Column(f"{name}_visible", NUMBER, "probability that it lies on the image"),
                Column(f"known_{name}_x", NUMBER, "the known column"),
                Column(f"known_{name}_y", NUMBER, "the known row"),
                Column(f"known_{name}_visible", pa.bool_(), "whether it is known to lie on it"),
            )
        ),
        *(
            column
            for name in Criterion
            for column in (
                Column(name.value, NUMBER, f"probability: {registry.MEANINGS[name]}"),
                Column(f"known_{name}", pa.bool_(), "what is known of it"),
            )
        ),
        *POSITIONING,
        Column("known_grade", TEXT, "the grade a human gave", True, tuple(Quality)),
    ),
)

OF_TASK = {
    Task.CANCER: SCORES,
    Task.RISK: RISK_SCORES,
    Task.DENSITY: DENSITY_SCORES,
    Task.QUALITY: QUALITY_SCORES,
}
"""The score table of each task."""

INPUT_MEASURES = (
    Column("dark_grey", NUMBER, "5th percentile of the breast's grey levels, 0 to 1"),
    Column("middle_grey", NUMBER, "their median"),
    Column("bright_grey", NUMBER, "their 95th percentile"),
    Column("breast_share", NUMBER, "share of the model's input that the breast covers"),
    Column("fine_detail", NUMBER, "detail from pixel to pixel, as noise of a share of white"),
    Column("spacing_mm", NUMBER, "distance of stored pixels at the detector, mm"),
)
"""What an exam's images are like, means over them as the recipe prepares them: mim.image.looks."""

PREDICTIONS = Schema(
    "predictions",
    key=("study_uid",),
    columns=(
        Column("study_uid", TEXT, "Study Instance UID (0020,000D) of the exam", False),
        Column("exam_date", pa.date32(), "Study Date (0008,0020), the earliest of its images"),
        Column("maker", TEXT, "maker of most of its images", True, tuple(Maker)),
        Column("machine", TEXT, "model and software version of the mammograph"),
        Column("left_score", NUMBER, "cancer score of the left breast; missing: no view of it"),
        Column("right_score", NUMBER, "cancer score of the right breast; missing: no view of it"),
        Column("exam_score", NUMBER, "the higher of the two breasts' scores"),
        Column(
            "exam_scale",
            NUMBER,
            "ten times the share of reference exams of its maker and software that score lower; "
            "missing: no scale",
        ),
        Column("exam_score_10", pa.int32(), "that rounded up: 10 is the highest tenth"),
        Column(
            "exam_probability",
            NUMBER,
            "of a cancer found at the exam or before the next one; missing: not fitted",
        ),
        Column(
            "selected_at",
            pa.list_(NUMBER),
            "selection rates at which it is selected, by the thresholds of its maker and software; "
            "missing: no thresholds",
        ),
        Column("left_risk", pa.list_(NUMBER), "risk of the left breast within 1, 2, ... years"),
        Column("right_risk", pa.list_(NUMBER), "risk of the right breast within 1, 2, ... years"),
        Column("woman_risk", pa.list_(NUMBER), "risk of either within 1, 2, ... years"),
        Column("density", TEXT, "most likely BI-RADS of the denser breast", True, tuple(Density)),
        Column("density_probabilities", pa.list_(NUMBER), "of a, b, c and d in that breast"),
        Column("left_percent", NUMBER, "percent density of the left breast"),
        Column("right_percent", NUMBER, "percent density of the right breast"),
        Column("images", pa.int32(), "images of the exam given to the model", False),
        Column("priors", pa.int32(), "priors given to the model", False),
        *INPUT_MEASURES,
        Column("reason", TEXT, "why there is no score; missing: scored", True, tuple(Reason)),
        Column("detail", TEXT, "the reason in words, with the files left out"),
    ),
)
"""What a bundle says of each exam; columns of tasks that it has not learnt are empty."""

PREDICTED_QUALITY = Schema(
    "predicted quality",
    key=("study_uid", "breast", "view"),
    columns=(
        Column("study_uid", TEXT, "Study Instance UID (0020,000D) of the exam", False),
        Column("sop_uid", TEXT, "SOP Instance UID (0008,0018) of the image; missing: it has none"),
        Column("breast", TEXT, "side", False, tuple(BREASTS)),
        Column("view", TEXT, "projection", False, tuple(SCREENING_VIEWS)),
        *(
            column
            for name in Landmark
            for column in (
                Column(f"{name}_x", NUMBER, "column of the stored image"),
                Column(f"{name}_y", NUMBER, "row of the stored image"),
                Column(f"{name}_visible", NUMBER, "probability that it lies on the image"),
            )
        ),
        *(
            Column(name.value, NUMBER, f"probability: {registry.MEANINGS[name]}")
            for name in Criterion
        ),
        *POSITIONING,
    ),
)
"""``quality.parquet`` of a prediction: a row for each image of an exam given to the model."""
