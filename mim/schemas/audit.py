"""``findings.parquet`` of an audit: what would make a cohort's results untrue, without identifiers."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Severity

FINDINGS = Schema(
    "audit findings",
    key=(),
    columns=(
        Column("check", pa.string(), "what was found; docs/audit.md lists the checks", False),
        Column("severity", pa.string(), "how much it matters", False, tuple(Severity)),
        Column("count", pa.int64(), "women, exams, images or pairs that it concerns", False),
        Column("sentence", pa.string(), "what it means and what to do", False),
        Column("examples", pa.list_(pa.string()), "pseudonyms of some of them", False),
    ),
)
