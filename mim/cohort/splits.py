"""Splits by woman: a hash of her pseudonym gives her a place, so no other woman can move her.

A place lies in [0, 1). Test, validation and training follow each other there in this order, or the
folds do. What a setting holds out is decided by the woman's own exams.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mim.cohort.settings import SplitSettings
from mim.errors import InputError
from mim.vocab import Outcome, Split

DIVIDED = (Split.TEST, Split.VALIDATION, Split.TRAIN)
"""Splits in the order in which they lie on [0, 1)."""
TEST, VALIDATION, TRAIN = range(3)

STEP = 0x9E3779B97F4A7C15
"""What a salt is multiplied with; odd, so that no two salts below 2**64 are alike."""
SECOND_PLACE = 0x76616C6964617465
"""Makes of a woman's hash another one, for a place that knows nothing of the first."""

Hashes = NDArray[np.uint64]
Codes = NDArray[np.int64]


@dataclass
class Division:
    """How a cohort is divided.

    ``exams``: exam, split, fold (Int32; missing without folds) and held_out (left out of the
    cohort; its split is then ``UNUSED``), in the order in which the exams were given. ``salt``:
    the one used. ``notices``: lines for the user.
    """

    exams: pl.DataFrame
    salt: int
    notices: list[str]


def check_shares(settings: SplitSettings) -> None:
    """Refuse shares that leave nothing to train on, or are no shares (``InputError``)."""
    if settings.test < 0 or settings.validation < 0 or settings.test + settings.validation >= 1:
        raise InputError(
            f"splits.validation={settings.validation}, splits.test={settings.test}: "
            "both must be 0 or more and their sum below 1"
        )
    if settings.folds and settings.validation + 1 / settings.folds >= 1:
        raise InputError(
            f"splits.validation={settings.validation}, splits.folds={settings.folds}: the share "
            "for validation and that of one fold must together be below 1"
        )


def divide_exams(exams: pl.DataFrame, settings: SplitSettings) -> Division:
    """Give every exam a split, by its woman.

    ``exams``: exam and woman (pseudonyms), exam_date, maker, makers, site, sites, given_split, left_outcome and
    right_outcome.

    Raises:
        InputError: the shares are none, what is to be held out is nowhere, nobody is left to train
            on or to test, or the registry's own division does not divide by woman.
    """
    check_shares(settings)
    women = exams.select("woman").unique().sort("woman")
    held = _held_out_women(exams, women, settings)
    salt, notices = settings.salt, []
    folds: pl.Expr | pl.Series = pl.lit(None, pl.Int32)
    hashes = _hash_women(women["woman"].to_list())
    if settings.from_registry:
        split = _given_splits(exams, women)
        if settings.validation and VALIDATION not in split:
            chosen = _places(_mix(hashes, SECOND_PLACE)) < settings.validation
            split = np.where(chosen & (split == TRAIN), VALIDATION, split)
            notices.append(
                "splits: the registry's division has no women for validation; "
                f"{settings.validation:.0%} of those for training are taken, by place"
            )
    else:
        if settings.best_of > 1:
            salt = _most_even_salt(exams, women, hashes, ~held, settings)
            notices.append(
                f"splits: salt {salt} of the {settings.best_of} tried divides outcomes and makers "
                f"most evenly; give splits.salt={salt} and no splits.best_of from now on"
            )
        salted = _salted(hashes, salt)
        split = np.where(held, TEST, _divide(salted, settings))
        if settings.folds:
            folds = pl.Series(_folds(salted, settings.folds), dtype=pl.Int32)
    named = pl.Series(split).replace_strict(dict(enumerate(DIVIDED)), return_dtype=pl.String)
    divided = exams.select("exam", "woman", "exam_date").join(
        women.with_columns(split=named, fold=folds), on="woman", how="left", maintain_order="left"
    )
    divided = _by_period(divided, settings.held_out_from)
    notices += _nobody(divided, settings)
    return Division(divided.select("exam", "split", "fold", "held_out"), salt, notices)


def _hash_women(women: Sequence[str]) -> Hashes:
    """BLAKE2b of each pseudonym, 64 bits, uint64 [woman]."""
    digests = b"".join(blake2b(woman.encode(), digest_size=8).digest() for woman in women)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def _salted(hashes: Hashes, salt: int) -> Hashes:
    """The hashes themselves for salt 0, so that divisions of earlier versions stay."""
    return hashes if salt == 0 else _mix(hashes, salt * STEP)


def _mix(hashes: Hashes, addend: int) -> Hashes:
    """Other hashes, as unlike these as if they were drawn anew; no two become one.

    The finaliser of SplitMix64 (Steele 2014, doi 10.1145/2660193.2660195) after an addition.
    """
    mixed = hashes + np.uint64(addend % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _places(hashes: Hashes) -> NDArray[np.float64]:
    """Places in [0, 1); the highest hashes would round to 1."""
    return np.minimum(hashes.astype(np.float64) / 2**64, np.nextafter(1, 0))


def _folds(salted: Hashes, folds: int) -> Codes:
    """Folds from 1."""
    return (_places(salted) * folds).astype(np.int64) + 1


def _divide(salted: Hashes, settings: SplitSettings) -> Codes:
    """``TEST``, ``VALIDATION`` or ``TRAIN`` by a woman's place.

    With folds, who validates is decided by a second place, among those who are not tested.
    """
    place = _places(salted)
    if not settings.folds:
        borders = (settings.test, settings.test + settings.validation)
        return np.searchsorted(borders, place, "right")
    second = _places(_mix(salted, SECOND_PLACE))
    share = settings.validation / (1 - 1 / settings.folds)
    rest = np.where(second < share, VALIDATION, TRAIN)
    return np.where(_folds(salted, settings.folds) == settings.fold, TEST, rest)


def _held_out_women(
    exams: pl.DataFrame, women: pl.DataFrame, settings: SplitSettings
) -> NDArray[np.bool_]:
    held = np.zeros(women.height, bool)
    for column in ("maker", "site"):
        value = getattr(settings, f"held_out_{column}")
        if value is None:
            continue
        # An exam done again elsewhere is of both sites, with images of both makers.
        hers = exams.filter(pl.col(f"{column}s").list.contains(value))["woman"].unique()
        if hers.is_empty():
            raise InputError(
                f"splits.held_out_{column}={value}: no exam of the cohort has this {column}; "
                f"give one of the {exams[column].n_unique()} that its exams have"
            )
        held |= women["woman"].is_in(hers.implode()).to_numpy()
    return held


def _given_splits(exams: pl.DataFrame, women: pl.DataFrame) -> Codes:
    given = exams.group_by("woman").agg(pl.col("given_split").drop_nulls().unique())
    given = women.join(given, on="woman", maintain_order="left")
    counts = given["given_split"].list.len()
    if several := (counts > 1).sum():
        raise InputError(
            f"splits.from_registry: {several} women have exams in several parts of the registry's "
            "exams.given_split; correct it, or divide by splits.from_registry=false"
        )
    if without := (counts == 0).sum():
        raise InputError(
            f"splits.from_registry: {without} women have no exam with exams.given_split; "
            "fill it in, or divide by splits.from_registry=false"
        )
    codes = {split.value: code for code, split in enumerate(DIVIDED)}
    return given["given_split"].list.first().replace_strict(codes, return_dtype=pl.Int64).to_numpy()


def _by_period(divided: pl.DataFrame, held_out_from: str | None) -> pl.DataFrame:
    """From the day on, only test women's exams are kept; theirs before it are only priors."""
    if held_out_from is None:
        return divided.with_columns(held_out=pl.lit(False))
    late = pl.col("exam_date") >= date.fromisoformat(held_out_from)
    tested = pl.col("split") == Split.TEST.value
    held_out = late.is_null() | (late & ~tested)
    unused = held_out | (tested & ~late)
    split = pl.when(unused).then(pl.lit(Split.UNUSED.value)).otherwise("split")
    return divided.with_columns(split=split, held_out=held_out)


def _nobody(divided: pl.DataFrame, settings: SplitSettings) -> list[str]:
    """Refuse to hold out so much that nobody is left to train on or test; else say so."""
    there = set(divided.filter(~pl.col("held_out"))["split"])
    missing = [split for split in (Split.TRAIN, Split.TEST) if split.value not in there]
    if missing == [Split.TEST] and settings.test == 0:
        return []
    for key in ("held_out_maker", "held_out_site", "held_out_from", "folds"):
        if missing and (value := getattr(settings, key)):
            raise InputError(
                f"splits.{key}={value}: leaves no exam in the {missing[0]} split; "
                "choose another value, or give more women"
            )
    return [f"splits: no exam is in the {split} split" for split in missing]


def _most_even_salt(
    exams: pl.DataFrame,
    women: pl.DataFrame,
    hashes: Hashes,
    divided: NDArray[np.bool_],
    settings: SplitSettings,
) -> int:
    """The salt, of ``settings.best_of`` from ``settings.salt`` on, with the least unevenness.

    Folds are measured as such, whichever is tested now, so that all runs over them agree on it.
    """
    if settings.folds:
        shares = np.full(settings.folds, 1 / settings.folds)
    else:
        rest = 1 - settings.test - settings.validation
        shares = np.array([settings.test, settings.validation, rest])
    strata = _strata(exams, women, float(shares[shares > 0].min()))[divided]
    hashes = hashes[divided]

    def unevenness_of(salt: int) -> float:
        salted = _salted(hashes, salt)
        parts = _folds(salted, settings.folds) - 1 if settings.folds else _divide(salted, settings)
        return unevenness(strata, parts, shares)

    return min(range(settings.salt, settings.salt + settings.best_of), key=unevenness_of)


def unevenness(strata: Codes, parts: Codes, shares: NDArray[np.float64]) -> float:
    """Pearson's chi-squared of the women's parts against the shares, summed over the strata.

    ``strata`` and ``parts`` are numbers from 0, int64 [woman]; ``shares`` float64 [part]. By chance
    alone each stratum adds as many as there are parts, less one, whether it has ten women or a
    hundred thousand. So a few interval cancers of a rare maker count as much as all the women
    without a cancer: differences of counts would be those of the largest strata, and relative
    differences those of the smallest.
    """
    cells = np.bincount(
        strata * len(shares) + parts, minlength=len(shares) * (strata.max(initial=0) + 1)
    )
    counts = cells.reshape(-1, len(shares))[:, shares > 0]
    expected = counts.sum(axis=1, keepdims=True) * shares[shares > 0]
    there = expected[:, 0] > 0
    return float(((counts - expected)[there] ** 2 / expected[there]).sum())


def _strata(exams: pl.DataFrame, women: pl.DataFrame, smallest_share: float) -> Codes:
    """Number of each woman's stratum: her worst outcome, with the maker of most of her exams.

    Strata of an outcome that are so small that the smallest part would get less than one woman of
    each are taken together, for by itself a stratum of one woman is most even if she is trained on.
    """
    worst_first = pl.Enum([outcome.value for outcome in Outcome])
    outcomes = pl.min_horizontal(
        pl.col(f"{side}_outcome").cast(worst_first).to_physical() for side in ("left", "right")
    )
    makers = exams.group_by("woman", "maker").len().sort("len", "maker", descending=[True, False])
    hers = (
        exams.group_by("woman")
        .agg(outcome=outcomes.min())
        .join(makers.group_by("woman", maintain_order=True).first(), on="woman")
    )
    size = pl.len().over("outcome", "maker")
    maker = pl.when(size * smallest_share >= 1).then("maker")
    strata = women.join(hers, on="woman", maintain_order="left").with_columns(maker)
    return strata.select(pl.struct("outcome", "maker").rank("dense") - 1).to_series().to_numpy()
