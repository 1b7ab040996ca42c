"""``check=pixels``: every usable image is decoded and looked at, and a decoder may die of it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import xxhash
from made_files import WHOLE, dicom, encapsulated
from pydicom import dcmread

from mim.dicom.rows import Row
from mim.dicom.tree import find_files
from mim.ingest import index, parts
from mim.ingest.check import check_pixels
from mim.ingest.index import write_index
from mim.ingest.listing import Cut, Span
from mim.ingest.parts import Part, PartTask, read_part
from mim.ingest.settings import Check, IndexSettings
from mim.schemas.images import IMAGES
from mim.schemas.table import read_table
from mim.vocab import Finding, Reason
from mim.workers.settings import WorkersSettings

ALONE = WorkersSettings(workers=1)


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in read_table(out / "images", IMAGES).to_pylist()}


def test_pixels_are_decoded_and_their_file_keeps_a_checksum(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    files = {"1": WHOLE, "2": encapsulated(), "3": dicom(SOPInstanceUID="1.3", ViewPosition=None)}
    for name, content in files.items():
        (source / name).write_bytes(content)
    write_index(source, tmp_path / "out", IndexSettings(check=Check.pixels), ALONE)
    rows = rows_of(tmp_path / "out")
    assert [row["reason"] for row in rows.values()] == [
        None,
        Reason.DAMAGED_PIXELS,
        Reason.VIEW_UNKNOWN,
    ]
    # Those left out by their header are not decoded.
    sums = {name: xxhash.xxh3_64_hexdigest(content) for name, content in files.items()}
    assert [row["checksum"] for row in rows.values()] == [sums["1"], sums["2"], None]
    write_index(source, tmp_path / "out", IndexSettings(), ALONE)
    rows = rows_of(tmp_path / "out")
    assert [rows[name]["reason"] for name in "12"] == [None, Reason.DUPLICATE_IMAGE]
    assert rows["1"]["checksum"] is None, "a run that looks less deep must not look deeper"


def test_what_pixels_look_suspicious_for_is_named(programme: Path, tmp_path: Path) -> None:
    """An image as it is, and again with a header that names the other breast."""
    left = next(
        path
        for path in sorted((programme / "dicom").rglob("*.dcm"))
        if dcmread(path, stop_before_pixels=True).get("ImageLaterality") == "L"
    )
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(left, source / "as it is")
    dataset = dcmread(left)
    dataset.ImageLaterality, dataset.SOPInstanceUID = "R", "1.2.3"
    dataset.save_as(source / "wrong")
    write_index(source, tmp_path / "out", IndexSettings(check=Check.pixels), ALONE)
    rows = rows_of(tmp_path / "out")
    assert rows["as it is"]["findings"] == []
    (finding,) = pq.read_table(tmp_path / "out" / "findings.parquet").to_pylist()
    assert finding["finding"] in (Finding.SIDE_DISAGREES, Finding.STORED_MIRRORED)
    assert rows["wrong"]["findings"] == [finding["finding"]]
    names = ("woman", "exam", "image")
    assert [finding[name] for name in names] == [rows["wrong"][name] for name in names]
    assert finding["detail"]


def made_task(here: Path, **more: Any) -> PartTask:
    """Eight images of one folder as one task."""
    (here / "source").mkdir()
    for number in range(8):
        (here / "source" / str(number)).write_bytes(dicom(SOPInstanceUID=f"1.{number}"))
    (here / "key").write_text("6b" * 32)
    return PartTask(
        number=1,
        source=here / "source",
        folder=here / "headers",
        key_file=here / "key",
        check=Check.pixels,
        rules="r",
        files=find_files(here / "source"),
        given={},
        span=Span("", None),
        before=[],
    )


DIED = {"3": "reading its header ended the process", "5": "decoding it ended the process"}


def test_a_task_goes_without_what_ended_its_process(tmp_path: Path) -> None:
    task = made_task(tmp_path).without("header: 3").without("pixels: 5")
    rows = {row["path"]: row for row in pq.read_table(read_part(task).path).to_pylist()}
    assert {path: row["detail"] for path, row in rows.items() if row["reason"]} == DIED
    assert {rows[path]["reason"] for path in DIED} == {Reason.DECODER_DIED}
    assert (rows["3"]["view"], rows["5"]["view"]) == ("unknown", "CC")


def test_a_process_says_what_it_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made_task(tmp_path)
    said = []

    def check(path: Path, row: Row) -> Row:
        said.append(task.in_hand.read_text())
        return check_pixels(path, row)

    monkeypatch.setattr(parts, "check_pixels", check)
    read_part(task)
    assert said == [f"pixels: {number}" for number in range(8)]
    assert not task.in_hand.exists()


def dies_of_some(task: PartTask) -> Part:
    """In a worker: the header of one file and the pixels of another end the process."""
    real = parts.holding

    @contextmanager
    def deadly(in_hand: Path) -> Iterator[Callable[[str], None]]:
        with real(in_hand) as take:

            def take_or_die(item: str) -> None:
                take(item)
                if item in ("header: 3", "pixels: 5"):
                    os.kill(os.getpid(), signal.SIGKILL)

            yield take_or_die

    parts.holding = deadly
    return read_part(task)


@pytest.mark.slow
def test_a_file_that_ends_its_process_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made_task(tmp_path).source
    monkeypatch.setattr(index, "read_part", dies_of_some)
    settings = IndexSettings(check=Check.pixels)
    two = WorkersSettings(workers=2)
    assert write_index(source, tmp_path / "out", settings, two, Cut(2, 4, 2)) == 2
    rows = rows_of(tmp_path / "out")
    assert {path: row["detail"] for path, row in rows.items() if row["reason"]} == DIED
    # Whatever it was may be over: the next run tries again.
    monkeypatch.undo()
    assert write_index(source, tmp_path / "out", settings, ALONE, Cut(2, 4, 2)) == 0
