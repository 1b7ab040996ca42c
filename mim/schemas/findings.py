"""``findings.parquet`` of an index: what somebody should look at, without identifiers."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Finding

FINDINGS = Schema(
    "findings",
    key=(),
    columns=(
        Column("finding", pa.string(), "what was found", False, tuple(Finding)),
        Column("woman", pa.string(), "pseudonym of the woman"),
        Column("exam", pa.string(), "pseudonym of the study"),
        Column("image", pa.string(), "pseudonym of the SOP instance"),
        Column("detail", pa.string(), "the finding in words, without identifiers", False),
    ),
)
