"""``not_copied.parquet``: one row per file that ``mim pseudonymise`` left out. It names nobody."""

from enum import StrEnum

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Reason


class Unsafe(StrEnum):
    """Why a readable mammogram cannot be pseudonymised."""

    NO_IDENTIFIER = "no identifier"
    BURNT_IN = "burnt-in text that cannot be blanked"
    NAMED_IN_PIXELS = "identifier in the pixel stream"


NOT_COPIED = Schema(
    "not copied",
    key=("file",),
    columns=(
        Column("file", pa.string(), "pseudonym of the path below the source", False),
        Column("reason", pa.string(), "why it was not copied", False, (*Reason, *Unsafe)),
        Column("detail", pa.string(), "the reason in words"),
    ),
)
