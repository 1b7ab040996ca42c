"""The cache's table: where each prepared image lies, and what was done to it."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Reason

CACHE = Schema(
    "cache",
    key=("image",),
    columns=(
        Column("image", pa.string(), "pseudonym of the image", False),
        Column("origin", pa.int64(), "number of its file's size, time of change, side and view"),
        Column("reason", pa.string(), "why there is none; missing: cached", True, tuple(Reason)),
        Column("detail", pa.string(), "the reason in words"),
        Column("shard", pa.string(), "file that holds the image"),
        Column("offset", pa.int64(), "first byte of its compressed pixels in the file"),
        Column("length", pa.int32(), "number of these bytes"),
        Column("packed_checksum", pa.string(), "xxh3_64 of these bytes, hexadecimal"),
        Column("checksum", pa.string(), "xxh3_64 of the pixels' bytes, hexadecimal"),
        Column("likeness", pa.binary(32), "what the picture is like: see mim.image.likeness"),
        Column("top", pa.int32(), "first stored row of the crop"),
        Column("bottom", pa.int32(), "stored row after the crop"),
        Column("left", pa.int32(), "first stored column of the crop"),
        Column("right", pa.int32(), "stored column after the crop"),
        Column("scale", pa.float64(), "model pixels per stored pixel"),
        Column("mirrored", pa.bool_(), "turned left to right"),
        Column("upside_down", pa.bool_(), "turned top to bottom"),
        Column("voi_rule", pa.string(), "what gave the grey levels"),
    ),
)
