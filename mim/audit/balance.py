"""Balance: how frequent cancers are by split, maker and site, and where that gives answers away.

An exam has a cancer where either breast has one, and none where both breasts are known to have
none; other exams are unknown and not counted. Exams that are priors only are not counted either.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from mim.audit.chances import binomial_chance, hypergeometric_chance, wilson
from mim.audit.findings import Finding
from mim.audit.tables import Cohort
from mim.schemas.cohort import SIDES
from mim.vocab import Outcome, Split

LEAST_CHANCE = 0.001
"""What chance does less often than this is a finding; divided by the number of things compared."""

LEAST_RATIO = 1.5
"""Shares nearer to each other than this many times are no finding, however many exams there are."""

AT = {"maker": "by", "site": "at"}

Group = dict[str, Any]
"""A row of ``shares_by``."""


def shares_by(exams: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Counts and shares of cancers of each group of exams, with 95 % intervals (Wilson).

    Columns: those of ``by``, ``exams``, ``women`` of known exams, ``known``, ``cancers``,
    ``share``, ``low``, ``high`` by exam; ``breasts_known``, ``breasts_cancers`` and so on by
    breast. Shares are missing where nothing is known.
    """
    labels = [pl.col(f"{side}_cancer") for side in SIDES.values()]
    known = pl.col("cancer").is_not_null()
    counts = (
        exams.filter(pl.col("split") != Split.UNUSED)
        .with_columns(pl.col("split").cast(pl.Enum([str(split) for split in Split])))
        .group_by(by)
        .agg(
            pl.len().alias("exams"),
            pl.col("woman").filter(known).n_unique().alias("women"),
            known.sum().alias("known"),
            pl.col("cancer").sum().alias("cancers"),
            pl.sum_horizontal(label.is_not_null().sum() for label in labels).alias("breasts_known"),
            pl.sum_horizontal(label.sum() for label in labels).alias("breasts_cancers"),
        )
        .sort(by, nulls_last=True)
    )
    return counts.with_columns(*_with_interval(counts, ""), *_with_interval(counts, "breasts_"))


def all_shares(exams: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """``shares_by`` of everything that an audit compares and shows."""
    groups = (("maker",), ("site",), ("split",), ("maker", "split"))
    return {" and ".join(by): shares_by(exams, *by) for by in groups}


def balance_findings(cohort: Cohort, shares: dict[str, pl.DataFrame]) -> list[Finding]:
    """Makers, sites and splits whose cancers are too many, too few, or not as asked for.

    ``shares`` are those of ``all_shares``.
    """
    return [
        *_of_groups(shares["maker"], "maker"),
        *_of_groups(shares["site"].drop_nulls("site"), "site"),
        *_empty_splits(shares["split"], cohort.settings["splits"]),
        *_not_as_asked_for(cohort),
    ]


def _with_interval(counts: pl.DataFrame, unit: str) -> list[pl.Series]:
    pairs = list(zip(counts[f"{unit}cancers"], counts[f"{unit}known"], strict=True))
    ends = [wilson(cases, n) if n else (None, None) for cases, n in pairs]
    shares = [cases / n if n else None for cases, n in pairs]
    values = {"share": shares, "low": [e[0] for e in ends], "high": [e[1] for e in ends]}
    return [pl.Series(f"{unit}{name}", found, pl.Float64) for name, found in values.items()]


def _of_groups(shares: pl.DataFrame, what: str) -> Iterator[Finding]:
    """Each group against all others: only cancers or none at all, or another share than theirs."""
    groups = shares.filter(pl.col("known") > 0).to_dicts()
    limit = LEAST_CHANCE / max(1, len(groups))
    one_sided = [row for row in groups if _chance_one_sided(row, groups) < limit]
    for row in one_sided:
        detail = f"{_against(row, groups, what)}. Chance does that less than once in 1,000 times."
        yield Finding(f"{what} with only cancers or none", row["known"], detail)
    rest = [row for row in groups if row not in one_sided]
    for row in rest:
        chance = _chance_of_difference(row, rest)
        if chance < limit:
            detail = f"{_against(row, rest, what)}; p {chance:.1g} by Fisher's exact test."
            yield Finding(f"{what}'s share of cancers differs", row["known"], detail)


def _others(row: Group, groups: Sequence[Group]) -> tuple[int, int]:
    """Cancers and known exams of the other groups."""
    cancers, known = (sum(other[name] for other in groups) for name in ("cancers", "known"))
    return cancers - row["cancers"], known - row["known"]


def _chance_one_sided(row: Group, groups: Sequence[Group]) -> float:
    """Chance of only cancers or none, where both are there and the others have both; else 1."""
    theirs, others = _others(row, groups)
    if row["cancers"] not in (0, row["known"]) or not 0 < theirs < others:
        return 1.0
    share = theirs / others
    # A woman's exams may share a cancer, so with cancers only women are chances of their own.
    return float(share ** row["women"] if row["cancers"] else (1 - share) ** row["known"])


def _chance_of_difference(row: Group, groups: Sequence[Group]) -> float:
    """Chance of a share so far from the others', where it is ``LEAST_RATIO`` times off; else 1."""
    theirs, others = _others(row, groups)
    if not 0 < theirs < others:
        return 1.0
    ratio = row["cancers"] / row["known"] / (theirs / others)
    if 1 / LEAST_RATIO < ratio < LEAST_RATIO:
        return 1.0
    return hypergeometric_chance(
        row["cancers"], row["known"], row["cancers"] + theirs, row["known"] + others
    )


def _against(row: Group, groups: Sequence[Group], what: str) -> str:
    theirs, others = _others(row, groups)
    return (
        f"{row['cancers']:,} of {row['known']:,} exams {AT[what]} {row[what]} have a cancer "
        f"({row['cancers'] / row['known']:.2%}), {theirs / others:.2%} of the others"
    )


def _empty_splits(shares: pl.DataFrame, settings: dict[str, object]) -> Iterator[Finding]:
    rows = shares.select("split", "exams", "known", "cancers").iter_rows()
    there = {split: counts for split, *counts in rows}
    missing = {split: [0, 0, 0] for split, share in asked_shares(settings).items() if share > 0}
    for split, (exams, known, cancers) in (missing | there).items():
        if cancers in (0, known):
            detail = f"Of {known:,} exams of known outcome in {split}, {cancers:,} have a cancer."
            yield Finding("split without cancers or without others", max(exams, 1), detail)


def asked_shares(splits: dict[str, object]) -> dict[str, float]:
    """Shares of women that settings of splits ask for; nothing where women are not divided by them."""
    apart = ("held_out_maker", "held_out_site", "held_out_from", "from_registry")
    if any(splits[name] for name in apart):
        return {}
    test = 1 / int(str(splits["folds"])) if splits["folds"] else float(str(splits["test"]))
    validation = float(str(splits["validation"]))
    return {
        Split.TRAIN: 1 - test - validation,
        Split.VALIDATION: validation,
        Split.TEST: test,
    }


def _not_as_asked_for(cohort: Cohort) -> Iterator[Finding]:
    """Kinds of women, by worst outcome and most frequent maker, that a split has too many or few of."""
    asked = asked_shares(cohort.settings["splits"])
    kinds = _kinds_of_women(cohort.exams)
    strata = kinds.group_by("outcome", "maker").len().sort("outcome", "maker")
    cells = [(*kind, split) for kind in strata.iter_rows() for split in asked]
    found = dict(
        ((outcome, maker, split), n)
        for outcome, maker, split, n in kinds.group_by("outcome", "maker", "split")
        .len()
        .iter_rows()
    )
    for outcome, maker, women, split in cells:
        share, count = asked[split], found.get((outcome, maker, split), 0)
        if not 0 < share < 1:
            continue
        if binomial_chance(count, women, share) < LEAST_CHANCE / len(cells):
            detail = (
                f"{split} has {count:,} of {women:,} women whose worst outcome is {outcome} and "
                f"whose maker is mostly {maker}, asked for were {share * women:,.0f}."
            )
            yield Finding("split not as asked for", women, detail)


def _kinds_of_women(exams: pl.DataFrame) -> pl.DataFrame:
    """``woman``, ``split``, ``outcome`` (the worst) and ``maker`` (the most frequent, then by name)."""
    rank = pl.Enum([str(outcome) for outcome in Outcome])
    worst = pl.min_horizontal(
        *(pl.col(f"{s}_outcome").cast(rank).to_physical() for s in SIDES.values())
    )
    makers = (
        exams.group_by("woman", "maker")
        .len()
        .sort("woman", "len", "maker", descending=[False, True, False])
        .unique("woman", keep="first", maintain_order=True)
    )
    outcomes = exams.group_by("woman").agg(pl.col("split").min(), worst.min().alias("outcome"))
    names = {place: str(outcome) for place, outcome in enumerate(Outcome)}
    return outcomes.join(makers, on="woman").select(
        "woman",
        "split",
        "maker",
        pl.col("outcome").replace_strict(names, return_dtype=pl.String),
    )
