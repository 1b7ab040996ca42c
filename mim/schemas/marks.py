"""Marks of models on images: where each one sees something, and how suspicious it finds that."""

import pyarrow as pa

from mim.schemas.table import Column, Schema

TEXT, NUMBER = pa.string(), pa.float64()

MARKS = Schema(
    "marks",
    key=("model", "image", "x", "y"),
    columns=(
        Column("image", TEXT, "pseudonym of the image", False),
        Column("x", NUMBER, "column of the stored image; 0 is the first pixel's centre", False),
        Column("y", NUMBER, "row of the stored image; 0 is the first pixel's centre", False),
        Column("score", NUMBER, "how suspicious the place is; higher is more", False),
        Column("model", TEXT, "the model; missing: the file's name", required=False),
    ),
)
"""Any number of rows for an image. An image without a row is one on which the model marks nothing."""
