"""Pictures that stand under two names: equal or nearly equal pixels in a cache."""

from pathlib import Path

import polars as pl

from mim.audit.findings import Finding, found
from mim.audit.leakage import RELATIONS, placed_images, related
from mim.audit.lookalikes import find_lookalikes
from mim.audit.settings import AuditSettings
from mim.audit.tables import Cohort, scan_table
from mim.data.cache import Cache
from mim.schemas.cache import CACHE

LEAST_OF_ONE_WOMAN = 0.97
"""Two rounds of one woman may look so alike without being copies: made-up ones reach 0.954."""


def find_copies(cohort: Cohort, cache: Path, settings: AuditSettings) -> pl.DataFrame:
    """Pairs of the cohort's images that a cache shows to be one picture, the worst relation first.

    Columns ``image``, ``other``, ``correlation``, ``relation`` (of ``RELATIONS``) and ``equal``:
    whether all pixels are. Nearly equal views of one exam are no copies, nor are those of two exams
    of a woman below ``LEAST_OF_ONE_WOMAN``.

    Raises:
        InputError: the folder holds no cache, or more than one.
    """
    near = find_lookalikes(cohort.images.select("image"), cache, settings)
    names = pl.concat([near["image"], near["other"]]).unique()
    images = placed_images(cohort, cohort.images.filter(pl.col("image").is_in(names.implode())))
    others = images.rename(lambda name: "other" if name == "image" else f"other_{name}")
    pairs = related(near.join(images, on="image").join(others, on="other"))
    *_, two_exams, one_exam = RELATIONS
    hers = pl.col("relation") == two_exams
    no_copies = (pl.col("relation") == one_exam) | (
        hers & (pl.col("correlation") < LEAST_OF_ONE_WOMAN)
    )
    return (
        pairs.with_columns(equal=_have_equal_pixels(pairs, cache, names))
        .filter(pl.col("equal") | ~no_copies)
        .select("image", "other", "correlation", "relation", "equal")
        .sort(
            pl.col("relation").replace_strict({name: n for n, name in enumerate(RELATIONS)}),
            -pl.col("correlation"),
            "image",
            "other",
        )
    )


def _have_equal_pixels(pairs: pl.DataFrame, cache: Path, names: pl.Series) -> pl.Series:
    table = scan_table(Cache(cache).folder / "images.parquet", CACHE, ["image", "checksum"])
    checksums = table.filter(pl.col("image").is_in(names.implode())).collect()
    of = dict(checksums.iter_rows())
    equal = [of[image] == of[other] for image, other in pairs.select("image", "other").iter_rows()]
    return pl.Series("equal", equal, pl.Boolean)


def copies(pairs: pl.DataFrame, most: int) -> list[Finding]:
    """Findings of ``find_copies``, one for each relation, equal and near ones apart."""
    named = pairs.with_columns(pair=pl.concat_str("image", "other", separator=" "))
    return [
        finding
        for what, equal in (("equal pixels", True), ("near-duplicates", False))
        for relation in RELATIONS
        for finding in found(
            f"{what} {relation}",
            named.filter((pl.col("equal") == equal) & (pl.col("relation") == relation))["pair"],
            most,
        )
    ]
