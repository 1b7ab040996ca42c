"""Rows put into buckets on disk, so that each bucket fits into memory however many rows there are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DIGITS = 3
"""Leading hexadecimal digits of a pseudonym that decide its bucket."""


class Spill:
    """``count`` buckets of rows of one schema; rows of a bucket keep the order they came in."""

    def __init__(self, folder: Path, count: int, schema: pa.Schema) -> None:
        folder.mkdir(parents=True)
        self.count = count
        self._folder = folder
        self._schema = schema
        self._streams: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, table: pa.Table, buckets: NDArray[np.int64]) -> None:
        """Put each row of ``table`` into its bucket."""
        order = np.argsort(buckets, kind="stable")
        ends = np.cumsum(np.bincount(buckets, minlength=self.count))
        for bucket, (start, end) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
            if start == end:
                continue
            if bucket not in self._streams:
                path = self._folder / f"{bucket}.arrow"
                self._streams[bucket] = pa.ipc.new_stream(path, self._schema)
            rows = table.select(self._schema.names).take(order[start:end]).combine_chunks()
            self._streams[bucket].write_table(rows.cast(self._schema))

    def add_by_name(self, table: pa.Table, column: str) -> None:
        """Put each row into the bucket of its pseudonym, which is a hash and so spreads evenly."""
        names = table[column].combine_chunks()
        starts = pc.utf8_slice_codeunits(names, 0, DIGITS).dictionary_encode()
        values = np.array([int(start, 16) for start in starts.dictionary.to_pylist()], np.int64)
        buckets = values * self.count >> 4 * DIGITS
        self.add(table, buckets[starts.indices.to_numpy()])

    def take(self, bucket: int) -> pa.Table:
        """The bucket's rows; they leave the disk, and nothing may be added any more."""
        if bucket not in self._streams:
            return self._schema.empty_table()
        self._streams[bucket].close()
        path = self._folder / f"{bucket}.arrow"
        with pa.ipc.open_stream(path) as stream:
            rows = stream.read_all()
        path.unlink()
        return rows


def grouped(table: pa.Table, keys: list[str], **wanted: tuple[str, str]) -> pa.Table:
    """One row for each value of ``keys``, in the order in which they come first.

    ``wanted``: the name of each further column, the column it is made from and Arrow's name for how.
    """
    # Threads would mix the order, and with it which image comes first.
    found = table.group_by(keys, use_threads=False).aggregate(list(wanted.values()))
    made = {name: found[f"{column}_{how}"] for name, (column, how) in wanted.items()}
    return pa.table({key: found[key] for key in keys} | made)
