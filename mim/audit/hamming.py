"""Signatures that differ in few bits, found among millions; none is missed but beyond ``MOST``.

Multi-index hashing (Norouzi, Punjani and Fleet 2014, doi 10.1109/TPAMI.2013.231), by equal words
only. Each of a signature's four quarters is cut into ``WORDS`` words. Where at most ``RADIUS`` of
the 36 words differ, nine are equal, hence ``TOGETHER`` of one quarter. So every choice of so many
words of a quarter makes a key, and signatures of equal keys are compared.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from os import cpu_count

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

RADIUS = 27
"""Most bits that differ; docs/near-duplicates.md says why so many."""

QUARTERS, WORDS, TOGETHER = 4, 9, 3
assert QUARTERS * WORDS - RADIUS > QUARTERS * (TOGETHER - 1)

ROWS_AT_ONCE = 1 << 14
"""Signatures compared at once; so many stay in a core's cache."""

LONG = 128
"""From so many signatures of one key on, those of each key are compared by themselves."""

ACROSS = 256
"""Signatures that each of others is compared with at once."""

MOST = 1 << 14
"""Of more signatures of one key, each is compared with this many after it only, and pairs may be
missed. Of 5.5 million made-up ones 2,859 had one key at most, in 28 of
the keys; pictures of one phantom may be more."""

WAITING = 1 << 20
"""Pairs that wait until they are put together with those found before."""

SHOWN = 100_000
"""From so many signatures on, progress shows."""

Rows = NDArray[np.uint32]
Pairs = NDArray[np.uint64]
"""Rows of two signatures in one number, the first, which is lower, in the upper 32 bits."""
Quarters = NDArray[np.uint64]


def near_pairs(signatures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """All pairs of signatures that differ in at most ``RADIUS`` bits, but for ``MOST``.

    Args:
        signatures: [n, 32] bytes, all different, as ``mim.image.likeness`` makes them.

    Returns:
        Rows of the two, [pairs, 2], the first below the second; sorted.
    """
    quarters = np.ascontiguousarray(signatures).view(np.uint64)
    words = _words(signatures)
    choices = [
        [words[quarter * WORDS + number] for number in chosen]
        for quarter in range(QUARTERS)
        for chosen in combinations(range(WORDS), TOGETHER)
    ]
    with ThreadPoolExecutor(cpu_count()) as pool:
        parts = pool.map(lambda chosen: _equal_in(chosen, quarters), choices)
        bar = tqdm(parts, "likeness", len(choices), unit="key", disable=len(quarters) < SHOWN)
        found = _once(bar)
    return np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)], 1).astype(np.int64)


def _once(parts: Iterable[Pairs]) -> Pairs:
    """All pairs, sorted, each once; most are in many parts."""
    found = np.empty(0, np.uint64)
    waiting: list[Pairs] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) > len(found) + WAITING:
            found, waiting = np.unique(np.concatenate([found, *waiting])), []
    return np.unique(np.concatenate([found, *waiting]))


def _words(signatures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """All words of the signatures; neighbouring bits, which are alike, lie in different ones."""
    words = [np.zeros(len(signatures), np.uint8) for _ in range(QUARTERS * WORDS)]
    each = 8 * signatures.shape[1] // QUARTERS
    for bit in range(QUARTERS * each):
        quarter, place = divmod(bit, each)
        word = words[quarter * WORDS + place % WORDS]
        word <<= np.uint8(1)
        word |= signatures[:, bit // 8] >> np.uint8(7 - bit % 8) & np.uint8(1)
    return words


def _equal_in(words: list[NDArray[np.uint8]], quarters: Quarters) -> Pairs:
    """Pairs that are near and equal in all of these words."""
    keys = np.zeros(len(quarters), np.uint64)
    for word in words:
        keys = keys << np.uint64(8) | word
    keys = keys << np.uint64(32) | np.arange(len(quarters), dtype=np.uint64)
    keys.sort()
    rows = keys.astype(np.uint32)
    keys >>= np.uint64(32)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(starts, append=len(keys))
    groups = np.minimum(lengths, LONG).astype(np.uint8)
    ordered = starts[np.argsort(groups, kind="stable")]
    ends = np.cumsum(np.bincount(groups, minlength=LONG + 1))
    found: list[tuple[Rows, Rows]] = [(rows[:0], rows[:0])]
    for length in range(2, LONG):
        at = ordered[ends[length - 1] : ends[length]]
        size = ROWS_AT_ONCE // length
        for first in range(0, len(at), size):
            beside = at[first : first + size] + np.arange(length)[:, None]
            found += _compared(rows[beside], quarters)
    for at, length in zip(ordered[ends[LONG - 1] :], lengths[lengths >= LONG], strict=True):
        found += _crowded(rows[at : at + length], quarters)
    one, other = (np.concatenate(each) for each in zip(*found, strict=True))
    near = np.bitwise_count(quarters[one] ^ quarters[other]).sum(1) <= RADIUS
    low, high = np.minimum(one, other)[near], np.maximum(one, other)[near]
    return np.asarray(low.astype(np.uint64) << np.uint64(32) | high, np.uint64)


def _compared(rows: Rows, quarters: Quarters) -> Iterator[tuple[Rows, Rows]]:
    """Pairs, near in half their bits, within each column of [signatures of one key, keys]."""
    keys, rows = rows.shape[1], rows.ravel()
    first, second = quarters[rows, 0], quarters[rows, 1]
    for shift in range(keys, len(rows), keys):
        differ = np.bitwise_count(first[:-shift] ^ first[shift:])
        differ += np.bitwise_count(second[:-shift] ^ second[shift:])
        at = np.flatnonzero(differ <= RADIUS)
        if len(at):
            yield rows[at], rows[at + shift]


def _crowded(rows: Rows, quarters: Quarters) -> Iterator[tuple[Rows, Rows]]:
    """Pairs, near in half their bits, among many signatures of one key."""
    first, second = quarters[rows, 0], quarters[rows, 1]
    for start in range(0, len(rows), LONG):
        one = slice(start, start + LONG)
        for other in range(start, min(len(rows), start + MOST), ACROSS):
            two = slice(other, other + ACROSS)
            differ = np.bitwise_count(first[one, None] ^ first[two])
            differ += np.bitwise_count(second[one, None] ^ second[two])
            at, beside = np.divmod(np.flatnonzero(differ <= RADIUS), differ.shape[1])
            later = start + at < other + beside
            if later.any():
                yield rows[one][at[later]], rows[two][beside[later]]
