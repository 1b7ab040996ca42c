"""The cohort's tables: one row per exam with outcome, priors and split; one per image in use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mim.errors import InputError
from mim.schemas import registry
from mim.schemas.table import Column, Schema, read_json
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    Density,
    Laterality,
    Maker,
    Outcome,
    Reason,
    Split,
)

TEXT = pa.string()

SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}
"""How the columns of each breast begin."""

KEPT = "kept"
"""What the attrition table calls what goes on."""

EXAMS = Schema(
    "cohort exams",
    key=("exam",),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("woman", TEXT, "pseudonym of the woman", False),
        Column("exam_date", pa.date32(), "day of the examination; missing: unknown"),
        Column("split", TEXT, "part of the cohort; by woman", False, tuple(Split)),
        Column("fold", pa.int32(), "the woman's fold, from 1; missing: no folds were asked for"),
        Column("maker", TEXT, "maker of the exam's images", False, tuple(Maker)),
        Column("machine", TEXT, "model and software of the mammograph, as the headers say"),
        Column("site", TEXT, "screening unit"),
        Column("age_years", pa.int32(), "age at the exam, whole years"),
        Column("left_cancer", pa.bool_(), "cancer found in the left breast; missing: unknown"),
        Column("right_cancer", pa.bool_(), "cancer found in the right breast; missing: unknown"),
        Column("left_outcome", TEXT, "what became of the left breast", False, tuple(Outcome)),
        Column("right_outcome", TEXT, "what became of the right breast", False, tuple(Outcome)),
        Column("left_years_to_cancer", pa.float64(), "from the exam to the left breast's cancer"),
        Column("right_years_to_cancer", pa.float64(), "from the exam to the right breast's cancer"),
        Column("left_years_followed", pa.float64(), "from the exam to the end of follow-up"),
        Column("right_years_followed", pa.float64(), "from the exam to the end of follow-up"),
        Column("recalled", pa.bool_(), "the woman was recalled; missing: unknown"),
        Column(
            "density",
            TEXT,
            "BI-RADS density, denser breast; missing: unknown",
            True,
            tuple(Density),
        ),
        Column("priors", pa.list_(TEXT), "earlier exams of the woman, newest first", False),
        Column(
            "months_before", pa.list_(pa.float64()), "months from each prior to the exam", False
        ),
        Column("prior_makers", pa.list_(TEXT), "maker of each prior's images", False),
        Column("joined_by", TEXT, "what joined the registry's exam to its images", False),
    ),
)

IMAGES = Schema(
    "cohort images",
    key=("image",),
    columns=(
        Column("image", TEXT, "pseudonym of the image", False),
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("laterality", TEXT, "side of the breast", False, tuple(Laterality)),
        Column("view", TEXT, "projection", False, tuple(SCREENING_VIEWS)),
        Column("maker", TEXT, "maker of the mammograph", False, tuple(Maker)),
        Column("spacing_mm", pa.float64(), "distance of stored pixels at the detector, mm"),
    ),
)

DENSITY = Schema(
    "cohort density",
    key=("exam", "breast"),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("breast", TEXT, "side", False, tuple(BREASTS)),
        *registry.DENSITY.columns[2:],
    ),
)
"""``density.parquet``: what is known of a breast's density; written where something is."""

QUALITY = Schema(
    "cohort quality",
    key=("image",),
    columns=(
        Column("image", TEXT, "pseudonym of the image", False),
        *registry.QUALITY.columns[3:],
        *registry.LANDMARKS.columns[1:],
    ),
)
"""``quality.parquet``: what is known of an image's positioning; written where something is.
Landmarks are places of the stored image, 0 the centre of its first pixel."""

READINGS = Schema(
    "cohort readings",
    key=("exam", "reader", "breast"),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("reader", TEXT, "reader 1, 2, ..., in the order in which they began to read", False),
        *registry.READINGS.columns[2:],
    ),
)
"""``readings.parquet``: what each reader said of a breast; written where something is known."""

DECISIONS = Schema(
    "cohort decisions",
    key=("exam",),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        *registry.DECISIONS.columns[1:],
    ),
)
"""``decisions.parquet``: consensus and recall of an exam; written where something is known."""

SCORES = Schema(
    "cohort scores",
    key=("model", "exam", "breast"),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        *registry.SCORES.columns[2:],
        registry.SCORES.columns[1],
    ),
)
"""``scores.parquet``: what other models, products among them, said of an exam or of each breast;
written where something is known. Its columns are those of ``mim.schemas.reference.GIVEN_SCORES``."""

CANCERS = Schema(
    "cohort cancers",
    key=("exam", "breast"),
    columns=(
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("breast", TEXT, "side", False, tuple(BREASTS)),
        Column("years_to_cancer", pa.float64(), "from the exam to the breast's cancer"),
        *registry.CANCERS.columns[3:6],
    ),
)
"""``cancers.parquet``: the cancer that made a breast's outcome one of ``CANCERS`` of ``mim.vocab``, a
row for each such breast of an exam; written where there is one."""

LESIONS = Schema(
    "cohort lesions",
    key=("image", "x", "y"),
    columns=(
        Column("image", TEXT, "pseudonym of the image", False),
        Column("exam", TEXT, "pseudonym of the exam", False),
        Column("laterality", TEXT, "side of the breast", False, tuple(Laterality)),
        Column("view", TEXT, "projection", False, tuple(SCREENING_VIEWS)),
        *registry.LESIONS.columns[1:],
    ),
)
"""``lesions.parquet``: boxes round lesions, in pixels of the stored image, 0 the centre of its first
pixel; written where there is one."""

ATTRITION = Schema(
    "attrition",
    key=("step", "unit", "reason"),
    columns=(
        Column("step", TEXT, "the step that counted: index, cohort, cache, ...", False),
        Column("unit", TEXT, "what was counted: images, exams, women, breasts", False),
        Column(
            "reason",
            TEXT,
            "why left out; 'kept' for what goes on, 'no image' for an exam that has none",
            False,
            (KEPT, "no image", *Reason),
        ),
        Column("count", pa.int64(), "how many", False),
    ),
)


def read_about(cohort: Path) -> dict[str, Any]:
    """``cohort.json``: ``index``, ``note``, ``settings``, ``registry_end``, counts and notices.

    Raises:
        InputError: it is missing, no JSON, or not as ``mim cohort`` writes it.
    """
    about = read_json(cohort / "cohort.json")
    for name in ("index", "note", "settings"):
        if name not in about:
            raise InputError(
                f"{cohort / 'cohort.json'}: '{name}' is missing; run 'mim cohort' again"
            )
    return about


def attrition_rows(step: str, unit: str, counts: Mapping[str, int]) -> list[dict[str, object]]:
    """Rows of the attrition table from counts by reason: ``KEPT`` first, then the most frequent."""
    left_out = sorted((-n, reason) for reason, n in counts.items() if reason != KEPT)
    ordered = [(KEPT, counts.get(KEPT, 0)), *((reason, -n) for n, reason in left_out)]
    return [
        {"step": step, "unit": unit, "reason": str(reason), "count": n} for reason, n in ordered
    ]
