"""The curves of a run: ``log/metrics.csv``, and the same for TensorBoard."""

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mim.schemas.table import whole_file

LOG_EVERY = 10
"""Steps between two rows of the log."""

PNG_SIZE = (16, 20)
"""Where width and height stand in a PNG file."""


class RunLog(Logger):
    """Writes each figure as it comes, and goes on where a run goes on.

    Lightning's CSV logger deletes the rows of a run that continues, and TensorBoard's own writer puts
    the name of the machine into that of its file.

    Args:
        run: the run folder.
        step: the step from which the run goes on; rows from it on are dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        super().__init__()
        self._table = run / "log" / "metrics.csv"
        self._events = run / "tensorboard"
        self._from = step
        self._columns: list[str] = []
        self._writer: RecordWriter | None = None

    @property
    def name(self) -> str:
        """Lightning asks for it."""
        return ""

    @property
    def version(self) -> str:
        """Lightning asks for it."""
        return "log"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: object, **__: object) -> None:
        """Settings stand in ``run.json``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A row, and a point of each curve."""
        at = step or 0
        self._begin()
        self._append({"step": str(at)} | {name: f"{float(v):.8g}" for name, v in metrics.items()})
        for name, value in metrics.items():
            if name != "epoch":
                self._show(Summary.Value(tag=name, simple_value=float(value)), at)

    @rank_zero_only
    def log_picture(self, name: str, path: Path, step: int) -> None:
        """A picture for TensorBoard, from a PNG file."""
        self._begin()
        png = path.read_bytes()
        width, height = (int.from_bytes(png[at : at + 4]) for at in PNG_SIZE)
        picture = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self._show(Summary.Value(tag=name, image=picture), step)

    def _begin(self) -> None:
        if self._writer is not None:
            return
        rows = self._rows_before()
        self._rewrite(list(rows[0]) if rows else ["step"], rows)
        self._events.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        place = len(list(self._events.iterdir()))
        path = self._events / f"events.out.tfevents.{place:04d}"
        self._writer = RecordWriter(path.open("wb"))
        self._record(Event(wall_time=time(), file_version="brain.Event:2"))
        # What another process wrote of this step and later is not shown.
        started = SessionLog(status=SessionLog.START)
        self._record(Event(wall_time=time(), step=self._from, session_log=started))

    def _rows_before(self) -> list[dict[str, str]]:
        """Rows of the run before it was stopped."""
        if not self._from or not self._table.is_file():
            return []
        with self._table.open(newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) < self._from]

    def _append(self, row: dict[str, str]) -> None:
        if new := [name for name in row if name not in self._columns]:
            with self._table.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._rewrite([*self._columns, *new], [*rows, row])
            return
        with self._table.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        self._columns = columns
        with whole_file(self._table) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _show(self, value: Summary.Value, step: int) -> None:
        self._record(Event(wall_time=time(), step=step, summary=Summary(value=[value])))

    def _record(self, event: Event) -> None:
        assert self._writer is not None
        self._writer.write(event.SerializeToString())
        self._writer.flush()
