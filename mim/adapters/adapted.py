"""What an adapter makes of a collection, and how it is written."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from mim import __version__
from mim.dicom.overrides import COLUMNS as OVERRIDES
from mim.schemas.registry import REGISTRY
from mim.schemas.table import Schema, write_json, write_table, write_whole
from mim.vocab import Outcome

AT_EXAM = pl.when(outcome=pl.lit(Outcome.CANCER.value)).then(0.0).alias("years_to_cancer")
"""For the table ``outcomes``: a cancer at the exam is 0 years away from it."""


@dataclass(frozen=True)
class About:
    """What a user must know of a collection before using it.

    ``licence`` binds the data and what is trained on it; ``cannot_know`` are sentences on what the
    collection does not say.
    """

    name: str
    licence: str
    source: str
    cannot_know: tuple[str, ...]


@dataclass
class Adapted:
    """A collection as mim reads it.

    ``tables``: by name of ``mim.schemas.registry``, columns of the schema (those that may be
    empty may lack).
    ``overrides``: ``path`` below ``images`` and columns of ``mim.dicom.overrides``; missing cells
    leave the header's word. ``images``: the folder that ``mim index`` is to read. ``notices``: what
    is odd in the collection, with counts, and what was done about it.
    """

    about: About
    images: Path
    tables: dict[str, pl.DataFrame]
    overrides: pl.DataFrame
    notices: list[str] = field(default_factory=list)


def write_adapted(adapted: Adapted, out: Path) -> None:
    """Write ``registry/*.parquet``, ``registry/note.txt``, ``overrides.parquet`` and ``adapted.json``."""
    assert adapted.tables.keys() <= {schema.name for schema in REGISTRY}
    for schema in REGISTRY:
        path = out / "registry" / f"{schema.name}.parquet"
        if schema.name in adapted.tables:
            write_table(_of_schema(adapted.tables[schema.name], schema).to_arrow(), path)
        else:
            # An earlier run may have written it, of another collection.
            path.unlink(missing_ok=True)
    strange = set(adapted.overrides.columns) - {"path", *OVERRIDES}
    assert not strange, f"no columns of the overrides: {sorted(strange)}"
    write_table(adapted.overrides.sort("path").to_arrow(), out / "overrides.parquet")
    about = adapted.about
    write_whole(out / "registry" / "note.txt", f"{about.name}. Licence: {about.licence}\n".encode())
    write_json(
        out / "adapted.json",
        {
            "mim": __version__,
            **asdict(about),
            "images": str(adapted.images.absolute()),
            "rows": {name: table.height for name, table in adapted.tables.items()},
            "notices": adapted.notices,
        },
    )


def _of_schema(table: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The table's columns of the schema, in its types and in the order of its key.

    A column that the registry must have and may leave empty is empty where it lacks.
    """
    types = pl.DataFrame(schema.arrow().empty_table()).schema
    strange = set(table.columns) - set(types)
    assert not strange, f"{schema.name} has no columns {sorted(strange)}"
    return table.select(
        pl.col(c.name).cast(types[c.name])
        if c.name in table.columns
        else pl.lit(None, types[c.name]).alias(c.name)
        for c in schema.columns
        if c.name in table.columns or (c.required and c.nullable)
    ).sort(schema.key)
