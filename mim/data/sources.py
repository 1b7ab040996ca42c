"""The images of a cohort and the files they come from, in 28 bytes an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mim.data.places import Names
from mim.data.shards import ImageJob
from mim.errors import InputError
from mim.schemas.cohort import read_about
from mim.schemas.table import read_json
from mim.vocab import Laterality, Reason, View


@dataclass(frozen=True)
class Sources:
    """The images of a cohort, sorted by pseudonym; their paths stay in the index until asked for.

    ``rows`` says which row of the index holds each image, counted over all parts; ``slots`` which
    of ``SLOTS`` it shows. ``origins`` are numbers of file, side and view: where one changes, the
    image must be prepared again.
    """

    root: Path
    index: Path
    names: Names
    slots: NDArray[np.int8]
    rows: NDArray[np.int64]
    origins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def jobs(self, wanted: NDArray[np.bool_], size: int) -> Iterator[list[ImageJob]]:
        """Wanted images, ``size`` at a time, in the order of the index, so by exam.

        Paths may name women: they are in memory only, and only those at work.
        """
        order = np.flatnonzero(wanted)
        order = order[np.argsort(self.rows[order])]
        jobs: list[ImageJob] = []
        for start, batch in _batches(self.index, ["image", "path", "bytes", "checksum"]):
            first, end = np.searchsorted(self.rows[order], (start, start + len(batch)))
            here = order[first:end]
            chosen = batch.take(pa.array(self.rows[here] - start)).to_pylist()
            for row, place in zip(chosen, here.tolist(), strict=True):
                side, view = SLOTS[self.slots[place]]
                path, origin = self.root / row["path"], int(self.origins[place])
                known = row["bytes"], row["checksum"], origin
                jobs.append(ImageJob(row["image"], path, side, view, *known))
                if len(jobs) == size:
                    yield jobs
                    jobs = []
        if jobs:
            yield jobs


MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without a pattern: 2^64 over the golden ratio."""

SLOTS = tuple((side, view) for side in Laterality for view in View)


def read_sources(cohort: Path) -> Sources:
    """Every image of a cohort with its file.

    Raises:
        InputError: the DICOM folder is gone, or the index does not hold all images.
    """
    index = Path(read_about(cohort)["index"])
    root = Path(read_json(index / "index.json")["source"])
    if not root.is_dir():
        raise InputError(f"{root}: the DICOM folder of {index} is gone; index it again")
    names, slots = _cohort(cohort / "images.parquet")
    rows, files = _rows(index, names)
    if missing := int((rows < 0).sum()):
        raise InputError(
            f"{cohort / 'images.parquet'}: {missing} images are not in {index}, such as "
            f"{names.text(int(np.argmin(rows)))}; run 'mim cohort' again"
        )
    return Sources(root, index, names, slots, rows, _mixed(files, slots.astype(np.int64)))


def _cohort(path: Path) -> tuple[Names, NDArray[np.int8]]:
    """Pseudonyms in order, and the slot of each."""
    columns = ["image", "laterality", "view"]
    if not path.is_file() or set(columns) - set(pq.read_schema(path).names):
        raise InputError(f"{path}: no table of a cohort's images; run 'mim cohort' again")
    names: list[Names] = []
    slots: list[NDArray[np.int8]] = []
    for batch in pq.ParquetFile(path).iter_batches(columns=columns):
        rows = pa.Table.from_batches([batch])
        names.append(Names.of(rows["image"]))
        side, view = (
            pc.index_in(rows[column], pa.array([str(value) for value in values])).to_numpy()
            for column, values in (("laterality", Laterality), ("view", View))
        )
        slots.append((side * len(View) + view).astype(np.int8))
    everyone = Names(
        np.concatenate([part.high for part in names]), np.concatenate([part.low for part in names])
    )
    order = np.lexsort((everyone.low, everyone.high))
    in_order = Names(everyone.high[order], everyone.low[order])
    return in_order, np.concatenate(slots)[order]


def _mixed(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each pair, another one for another pair as far as 64 bits allow."""
    mixed = one.view(np.uint64) * MIX + other.view(np.uint64)
    return ((mixed ^ mixed >> np.uint64(32)) * MIX).view(np.int64)


def _rows(index: Path, names: Names) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row of each image in the index, -1 where it has none, and a number of its file's state.

    A row that is a copy of another does not count; of several others with one pseudonym, one that
    the index can use comes first, then the first.
    """
    rows = np.full(len(names), -1, np.int64)
    files = np.zeros(len(names), np.int64)
    usable = np.zeros(len(names), bool)
    for start, batch in _batches(index, ["image", "reason", "bytes", "modified_ns"]):
        copy = pc.fill_null(pc.equal(batch["reason"], Reason.DUPLICATE_IMAGE.value), False)
        mine = pc.and_(pc.is_valid(batch["image"]), pc.invert(copy))
        found = names.find(Names.of(batch["image"].filter(mine)))
        at = start + np.flatnonzero(mine.to_numpy())[found >= 0]
        good = pc.is_null(batch["reason"].filter(mine)).to_numpy()[found >= 0]
        state = _mixed(batch["bytes"].to_numpy(), batch["modified_ns"].to_numpy())[at - start]
        found = found[found >= 0]
        for grade, free in ((~good, rows < 0), (good, ~usable)):
            take = grade & free[found]
            # Backwards, so that the first of equals is the one that stays.
            rows[found[take][::-1]] = at[take][::-1]
            files[found[take][::-1]] = state[take][::-1]
        usable[found[good]] = True
    return rows, files


def _batches(index: Path, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    """Columns of the index piece by piece, each with the number of its first row."""
    parts = sorted((index / "images").glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{index / 'images'}: holds no table; make the index with 'mim index'")
    start = 0
    for part in parts:
        for batch in pq.ParquetFile(part).iter_batches(columns=columns):
            yield start, pa.Table.from_batches([batch])
            start += len(batch)
