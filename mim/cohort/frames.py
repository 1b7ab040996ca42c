"""Polars frames as the Parquet tables of a schema."""

from pathlib import Path

import polars as pl

from mim.schemas.table import Schema, write_table


def write_frame(frame: pl.DataFrame, schema: Schema, path: Path) -> None:
    """Write the schema's columns of a frame, coded words as text."""
    wanted = schema.arrow()
    plain = frame.select(wanted.names).with_columns(pl.col(pl.Enum, pl.Categorical).cast(pl.String))
    write_table(plain.to_arrow().cast(wanted), path)
