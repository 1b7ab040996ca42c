"""``findings.parquet`` as it is written: pseudonyms and words, never an identifier or a path."""

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mim.schemas.findings import FINDINGS
from mim.vocab import Finding


class Findings:
    """The table while it grows; ``counts`` says how many of each finding there are."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._writer = pq.ParquetWriter(path, FINDINGS.arrow(), compression="zstd")

    def add(self, finding: Finding | pa.Array, detail: pa.Array, **named: pa.Array) -> None:
        """Add a row for each ``detail``; ``named`` holds woman, exam or image of each."""
        if not len(detail):
            return
        if isinstance(finding, Finding):
            finding = pa.array([finding.value]).take(pa.array([0] * len(detail)))
        given = {"finding": finding, "detail": detail, **named}
        schema = FINDINGS.arrow()
        columns = [given.get(name, pa.nulls(len(detail), pa.string())) for name in schema.names]
        self._writer.write_table(pa.table(columns, schema=schema))
        for count in pc.value_counts(finding).to_pylist():
            self.counts[count["values"]] += count["counts"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()


def words(*parts: str | pa.ChunkedArray) -> pa.ChunkedArray:
    """Columns and texts joined by blanks, row by row."""
    return pc.binary_join_element_wise(
        *(part if isinstance(part, str) else part.cast(pa.string()) for part in parts), " "
    )
