"""Lookalikes: planted copies are found, nothing else is, and no near signature is missed."""

import shutil

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.audit.hamming import LONG, RADIUS, near_pairs
from mim.audit.lookalikes import find_lookalikes
from mim.audit.settings import AuditSettings
from mim.data.cache import Cache
from mim.errors import InputError
from mim.image.likeness import signature


def clustered(seed: int, centres: int, around: int, most: int) -> np.ndarray:
    """Different signatures: some far from each other, others up to ``most`` bits from those."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, (centres, 256), np.uint8)
    for _ in range(around):
        copy = bits[random.integers(len(bits))].copy()
        copy[random.choice(256, random.integers(1, most + 1), replace=False)] ^= 1
        bits = np.vstack([bits, copy])
    signatures = np.unique(np.packbits(bits, axis=1), axis=0)
    return random.permutation(signatures)


def by_brute_force(signatures: np.ndarray) -> list[list[int]]:
    bits = np.unpackbits(signatures, axis=1).astype(int)
    apart = (bits[:, None] != bits[None]).sum(2)
    return np.argwhere(np.triu(apart <= RADIUS, 1)).tolist()


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(0, 60), st.integers(1, 40))
@settings(max_examples=15)
def test_no_near_pair_is_missed_and_no_other_found(seed, centres, around, most):
    signatures = clustered(seed, centres, around, most)
    assert near_pairs(signatures).tolist() == by_brute_force(signatures)


def test_a_crowd_of_one_key_is_compared_too():
    signatures = clustered(7, 1, LONG + 80, 3)
    assert near_pairs(signatures).tolist() == by_brute_force(signatures)


def test_bits_spread_as_unluckily_as_can_be_are_found():
    """27 errors that leave as few equal words as 27 errors can."""
    one = np.zeros(256, np.uint8)
    for start in range(9):
        other = one.copy()
        places = [64 * quarter + (start + place) % 9 for place in range(9) for quarter in range(4)]
        other[places[:RADIUS]] = 1
        pair = np.packbits(np.stack([one, other]), axis=1)
        assert near_pairs(pair).tolist() == [[0, 1]]


@pytest.mark.parametrize("count", [0, 1])
def test_few_signatures_have_no_pairs(count):
    assert near_pairs(np.zeros((count, 32), np.uint8)).tolist() == []


COPIES = {"equal": "f" * 20, "altered": "e" * 20, "empty": "d" * 20, "elsewhere": "c" * 20}


def altered(pixels: np.ndarray) -> np.ndarray:
    """Darker, in 8 bits, and a little unsharp."""
    blurred = cv2.GaussianBlur(pixels, (0, 0), 0.4)
    return np.where(pixels > 0, blurred // 256 * 200, 0).astype(np.uint16)


@pytest.fixture
def planted(cohort, cache, tmp_path, monkeypatch):
    """The cache's table with rows for copies of its first image, and their pixels."""
    shutil.copytree(cache, tmp_path / "cache")
    folder = Cache(tmp_path / "cache").folder
    rows = pl.read_parquet(folder / "images.parquet").filter(pl.col("reason").is_null())
    first = rows.row(0, named=True)
    original = Cache(cache).read(first["image"])
    pixels = {
        COPIES["equal"]: original,
        COPIES["altered"]: altered(original),
        COPIES["empty"]: np.zeros_like(original),
        COPIES["elsewhere"]: original,
    }
    sums = {COPIES["equal"]: first["checksum"], COPIES["elsewhere"]: first["checksum"]}
    copies = [
        first | {"image": name, "checksum": sums.get(name, name), "likeness": signature(each)}
        for name, each in pixels.items()
    ]
    table = pl.concat([rows, pl.DataFrame(copies, schema=rows.schema)])
    table.write_parquet(folder / "images.parquet")
    real = Cache.read
    monkeypatch.setattr(
        Cache, "read", lambda self, name: pixels[name] if name in pixels else real(self, name)
    )
    ours = table.filter(pl.col("image") != COPIES["elsewhere"]).select("image")
    return first["image"], folder, ours.with_columns(woman=pl.lit("w"), split=pl.lit("train"))


def test_planted_copies_are_found_and_nothing_else(planted, cohort):
    first, folder, images = planted
    found = find_lookalikes(images, folder, AuditSettings())
    pairs = {frozenset(row[:2]): row[2] for row in found.rows()}
    assert pairs.pop(frozenset([first, COPIES["equal"]])) == 1.0
    assert 0.8 <= pairs.pop(frozenset([first, COPIES["altered"]])) < 1.0
    # Made-up women hardly change between rounds: one view of one woman may look alike.
    exams = pl.read_parquet(cohort / "exams.parquet").select("exam", "woman")
    rows = pl.read_parquet(cohort / "images.parquet").join(exams, on="exam")
    same = {
        image: rest for image, *rest in rows.select("image", "woman", "laterality", "view").rows()
    }
    same |= {COPIES[what]: same[first] for what in ("equal", "altered")}
    assert all(same[one] == same[other] for one, other in pairs)


def test_a_higher_threshold_confirms_less(planted):
    _, folder, images = planted
    found = find_lookalikes(images, folder, AuditSettings(least_correlation=0.9999))
    assert found["correlation"].to_list() == [1.0]


def test_an_older_cache_is_to_be_written_again(planted):
    _, folder, images = planted
    table = pl.read_parquet(folder / "images.parquet").drop("likeness")
    table.write_parquet(folder / "images.parquet")
    with pytest.raises(InputError, match="column 'likeness' is missing.*write it again"):
        find_lookalikes(images, folder, AuditSettings())
