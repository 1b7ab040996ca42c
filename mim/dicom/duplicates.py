"""One SOP instance in several files: which one is kept, and whether the others are the same."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

EVIDENCE = ("bytes", "checksum", "rows", "columns")
"""Columns of the index that tell two files apart. What one of the files lacks tells nothing."""


class Duplicates(NamedTuple):
    """Places, in the table given, of rows that are left out and of the row kept in their stead."""

    place: NDArray[np.int64]
    kept: NDArray[np.int64]
    same: NDArray[np.bool_]
    """False where ``EVIDENCE`` shows another file under the same name: which is right?"""


def find_duplicates(usable: pa.Table) -> Duplicates:
    """Of rows with one ``image``, all but the first are duplicates.

    Args:
        usable: ``image`` and ``EVIDENCE`` of usable rows, in the order of their paths.
    """
    names = usable["image"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(names, return_index=True)
    kept = first[names]
    place = np.flatnonzero(kept != np.arange(len(names)))
    kept = kept[place]
    same = np.ones(len(place), bool)
    for column in EVIDENCE:
        one, other = usable[column].take(place), usable[column].take(kept)
        same &= pc.fill_null(pc.equal(one, other), True).to_numpy(zero_copy_only=False)
    return Duplicates(place, kept, same)


def in_words(path: str, same: bool) -> str:
    """Detail of a duplicate's row; ``path`` is that of the row kept."""
    return f"same SOP Instance UID as {path}" + ("" if same else ", different file")
