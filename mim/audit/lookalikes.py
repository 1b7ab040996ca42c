"""Images that show one picture, though their files and even their pixels differ."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from mim.audit.hamming import near_pairs
from mim.audit.settings import AuditSettings
from mim.audit.tables import scan_table
from mim.data.cache import Cache
from mim.errors import InputError
from mim.image.likeness import NO_SIGNATURE, SIGNATURE_BYTES, Structure, correlation, fine_structure
from mim.schemas.cache import CACHE

FINER = 2
"""Pictures are compared so many times finer than their signatures were made."""

KEPT_PICTURES = 4096
"""Pictures kept while pairs are compared, 32 KB each."""


def find_lookalikes(
    cohort_images: pl.DataFrame, cache: Path, settings: AuditSettings
) -> pl.DataFrame:
    """Pairs of a cohort's images that a cache shows to be one picture.

    Found by signature among millions, then confirmed by their fine structure; what is found and
    what is not stands in docs/near-duplicates.md. Where more than two have equal pixels, or equal
    signatures, each is compared with the first of them only.

    Args:
        cohort_images: column ``image``, the pseudonym; others are not read.
        cache: what ``mim cache`` wrote, or the folder of one of its fingerprints.

    Returns:
        Columns ``image``, ``other`` (the later name), ``correlation`` (1 where all pixels are
        equal, else at least ``settings.least_correlation``), sorted.

    Raises:
        InputError: no cache, more than one, one of another version of mim, a damaged one, or one
            without a row for some of the images.
    """
    prepared = Cache(cache)
    table = scan_table(prepared.folder / "images.parquet", CACHE, ["image", "checksum", "likeness"])
    _require_all(cohort_images, table, prepared.folder)
    images = (
        table.filter(pl.col("checksum").is_not_null())
        .join(cohort_images.lazy().select("image").unique(), on="image", how="semi")
        .sort("image")
        .collect()
    )
    equal = _with_first("checksum", images)
    different = images.filter(pl.col("checksum").is_first_distinct())
    near = pl.concat([_of_equal_signature(different), _of_near_signature(different)])
    confirmed = _confirmed(near.sort("image", "other"), prepared, settings.least_correlation)
    found = pl.concat([equal.with_columns(correlation=pl.lit(1.0)), confirmed])
    return found.sort("image", "other")


def _require_all(cohort_images: pl.DataFrame, cache: pl.LazyFrame, folder: Path) -> None:
    """Images that could not be prepared have a row too; no row is no comparison."""
    prepared = cache.select("image").collect()
    if lacking := cohort_images.join(prepared, on="image", how="anti").height:
        raise InputError(
            f"{folder}: lacks {lacking} of the cohort's {cohort_images.height} images; "
            "run 'mim cache' with this cohort"
        )


def _with_first(key: str, images: pl.DataFrame) -> pl.DataFrame:
    """Each image with the first of equal ``key``."""
    return (
        images.filter(pl.col(key).is_duplicated())
        .select(pl.col("image").first().over(key), other="image")
        .filter(pl.col("image") != pl.col("other"))
    )


def _of_equal_signature(images: pl.DataFrame) -> pl.DataFrame:
    return _with_first("likeness", images.filter(pl.col("likeness") != NO_SIGNATURE))


def _of_near_signature(images: pl.DataFrame) -> pl.DataFrame:
    """Pairs whose signatures differ, but in few bits."""
    firsts = images.filter(
        pl.col("likeness").is_first_distinct(), pl.col("likeness") != NO_SIGNATURE
    )
    joined = b"".join(firsts["likeness"].to_list())
    signatures = np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)
    pairs = near_pairs(signatures)
    names = firsts["image"]
    return pl.DataFrame({"image": names.gather(pairs[:, 0]), "other": names.gather(pairs[:, 1])})


def _confirmed(pairs: pl.DataFrame, cache: Cache, least: float) -> pl.DataFrame:
    """Pairs whose fine structure correlates; ``pairs`` is sorted, so that each is read few times."""

    @lru_cache(KEPT_PICTURES)
    def structure(image: str) -> Structure:
        return fine_structure(cache.read(image), FINER)

    found = [
        correlation(structure(image), structure(other))
        for image, other in tqdm(pairs.iter_rows(), "confirming", pairs.height, unit="pair")
    ]
    return pairs.with_columns(correlation=pl.Series(found, dtype=pl.Float64)).filter(
        pl.col("correlation") >= least
    )
