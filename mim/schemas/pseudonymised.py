"""``not_copied.parquet``: one row per file that ``mim pseudonymise`` left out. It names nobody."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Reason, Unsafe

NOT_COPIED = Schema(
    "not copied",
    key=("file",),
    columns=(
        Column("file", pa.string(), "pseudonym of the path below the source", False),
        Column("reason", pa.string(), "why it was not copied", False, (*Reason, *Unsafe)),
        Column("detail", pa.string(), "the reason in words"),
    ),
)
