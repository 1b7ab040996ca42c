"""What shows only where files are compared: planted faults are found, and nothing else."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import dicom

from mim.dicom.pseudonym import load_key, pseudonym
from mim.ingest import across, index
from mim.ingest.deliveries import DAYS, Numbering
from mim.ingest.index import write_index
from mim.ingest.listing import Cut
from mim.ingest.settings import IndexSettings
from mim.ingest.spill import Spill
from mim.schemas.findings import FINDINGS
from mim.schemas.table import read_table
from mim.vocab import Finding, Reason
from mim.workers.settings import WorkersSettings

Files = dict[str, bytes]

TOMORROW = (date.today() + timedelta(days=1)).strftime("%Y%m%d")


def image(sop: int, study: str = "1.1", woman: str = "W1", day: str = "20200131") -> bytes:
    return dicom(
        SOPInstanceUID=f"1.9.{sop}", StudyInstanceUID=study, PatientID=woman, StudyDate=day
    )


def studies(folder: str, first: int, days: list[str]) -> Iterator[tuple[str, bytes]]:
    """A study for each day, each of a woman of its own."""
    for number, day in enumerate(days, first):
        yield f"{folder}/{number}", image(number, f"1.{number}", f"W{number}", day)


def days(count: int) -> list[str]:
    return [(date(2015, 1, 1) + timedelta(days=n)).strftime("%Y%m%d") for n in range(count)]


def of_each_woman(women: int, day: str) -> Files:
    """Three studies of each woman on one day."""
    return {
        f"a/{n}": image(n, f"1.{n}", f"W{n // 3}", day.format(n // 3)) for n in range(3 * women)
    }


ONE_DAY = [
    (Finding.SEVERAL_STUDIES_ON_ONE_DAY, "3 studies on one day, this one among them"),
    (Finding.ONE_DATE_FOR_ALL, "all 3 studies of the woman bear one date"),
]

CASES: list[tuple[str, Files, list[tuple[Finding, str]]]] = [
    ("one exam", {"a/1": image(1), "a/2": image(2)}, []),
    ("two exams", {"a/1": image(1), "a/2": image(2, "1.2", day="20220131")}, []),
    (
        "the same image thrice",
        {"a/1": image(1), "a/2": image(1), "a/3": image(1)},
        [(Finding.DUPLICATE_IMAGE, "2 files besides the one kept, no difference seen")],
    ),
    (
        "another file under the same UID",
        {"a/1": image(1), "a/2": image(1), "a/3": image(1, woman="W1 with more")},
        [
            (Finding.DUPLICATE_IMAGE, "2 files besides the one kept, not all the same"),
            (Finding.STUDY_OF_TWO_WOMEN, "2 Patient IDs"),
        ],
    ),
    (
        "a study in two deliveries",
        {"a/1": image(1), "b/1": image(2)},
        [(Finding.STUDY_IN_TWO_DELIVERIES, "in 2 deliveries")],
    ),
    (
        "a study in a delivery and beside it",
        {"a/b/1": image(1), "1": image(2)},
        [(Finding.STUDY_IN_TWO_DELIVERIES, "in 2 deliveries")],
    ),
    ("a study in two folders of a delivery", {"a/b/1": image(1), "a/c/1": image(2)}, []),
    (
        "two studies on one day",
        {"a/1": image(1), "a/2": image(2, "1.2"), "a/3": image(3, "1.3", day="20220101")},
        [(Finding.SEVERAL_STUDIES_ON_ONE_DAY, "2 studies on one day, this one among them")],
    ),
    ("three studies of one date", of_each_woman(1, "20200131"), ONE_DAY),
    (
        "dates that cannot be",
        {
            "a/1": image(1, "1.1", "W1", "19000101"),
            "a/2": image(2, "1.2", "W2", TOMORROW),
            "a/3": image(3, "1.3", "W3", ""),
            "a/4": image(4, "1.4", "W4"),
            "a/5": image(5, "1.4", "W4", "20200201"),
        },
        [
            (Finding.IMPLAUSIBLE_DATE, "Study Date before 1960"),
            (Finding.IMPLAUSIBLE_DATE, "Study Date in the future"),
            (Finding.IMPLAUSIBLE_DATE, "no Study Date"),
            (Finding.IMPLAUSIBLE_DATE, "its images bear different Study Dates"),
        ],
    ),
    (
        "images without identifiers",
        {"a/1": image(1, study=""), "a/2": image(2, study=""), "b/1": image(3, woman="")},
        [
            (
                Finding.IDENTIFIER_MISSING,
                "2 usable images of the delivery of this one have no Study Instance UID",
            ),
            (
                Finding.IDENTIFIER_MISSING,
                "1 usable images of the delivery of this one have no Patient ID",
            ),
        ],
    ),
    (
        "all of one date",
        dict([*studies("a", 0, ["20200101"] * 6), *studies("b", 6, ["20200101"] * 6)]),
        [(Finding.ONE_DATE_FOR_ALL, "all 12 studies that there are bear one date")],
    ),
    (
        "a delivery of one date",
        dict([*studies("a", 0, days(10)), *studies("b", 10, ["20200101"] * 10)]),
        [(Finding.ONE_DATE_FOR_ALL, "all 10 studies of the delivery of this image bear one date")],
    ),
    ("few studies of one date", dict(studies("a", 0, ["20200101"] * 9)), []),
    (
        "folders that are days",
        dict(
            pair
            for n, day in enumerate(days(DAYS + 1))
            for pair in studies(f"day {n}", 10 * n, [day] * 10)
        ),
        [],
    ),
    (
        "what is no mammogram",
        {
            f"{folder}/1": dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
            for folder in "ab"
        },
        [],
    ),
]


def write(source: Path, files: Files) -> Path:
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    return source


def found(source: Path, out: Path) -> pa.Table:
    write_index(source, out, IndexSettings(), WorkersSettings(workers=1), Cut(2, 8, 4))
    return read_table(out / "findings.parquet", FINDINGS)


@pytest.mark.parametrize(
    ("files", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_planted_is_found_and_nothing_else(
    tmp_path: Path, files: Files, expected: list[tuple[Finding, str]]
) -> None:
    rows = found(write(tmp_path / "source", files), tmp_path / "out").to_pylist()
    assert sorted((row["finding"], row["detail"]) for row in rows) == sorted(expected)


def test_findings_name_whom_they_are_about(tmp_path: Path) -> None:
    files = {"a/1": image(1), "b/1": image(1), "b/2": image(2, "1.2"), "b/3": image(3, "", "")}
    rows = found(write(tmp_path / "source", files), tmp_path / "out").to_pylist()
    key = load_key(tmp_path / "out" / "pseudonym.key")
    woman, exam, sop = (
        pseudonym(kind, name, key)
        for kind, name in (("woman", "W1"), ("exam", "1.1"), ("image", "1.9.1"))
    )
    nameless = pseudonym("image", "1.9.3", key)
    named = {row["finding"]: (row["woman"], row["exam"], row["image"]) for row in rows}
    assert named == {
        Finding.DUPLICATE_IMAGE: (None, None, sop),
        Finding.STUDY_IN_TWO_DELIVERIES: (woman, exam, None),
        Finding.SEVERAL_STUDIES_ON_ONE_DAY: (woman, exam, None),
        Finding.IDENTIFIER_MISSING: (None, None, nameless),
    }


def test_many_buckets_find_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = of_each_woman(6, "202001{:02d}") | dict(studies("b", 0, days(18)))
    write(tmp_path / "source", files)
    found(tmp_path / "source", tmp_path / "out")
    for room, name in ((across, "BUCKET"), (index, "FILE_ROWS")):
        monkeypatch.setattr(room, name, 8)
    key = tmp_path / "out" / "pseudonym.key"
    write_index(
        *(tmp_path / "source", tmp_path / "many", IndexSettings(key_file=str(key))),
        *(WorkersSettings(workers=1), Cut(2, 8, 4)),
    )
    one, many = (tmp_path / name for name in ("out", "many"))
    assert len(list((many / "images").iterdir())) > 2
    assert pq.read_table(one / "images").equals(pq.read_table(many / "images"))
    findings = [
        sorted(map(str, read_table(out / "findings.parquet", FINDINGS).to_pylist()))
        for out in (one, many)
    ]
    assert findings[0] == findings[1]
    reasons = pq.read_table(many / "images")["reason"].to_pylist()
    assert reasons.count(Reason.DUPLICATE_IMAGE) == 18


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(["1", "a/1", "a/b/1", "a.b", "b/1", "c/d", "ø/1", "d/\n/1"])),
    st.integers(1, 4),
)
def test_deliveries_are_numbered_by_their_folders(paths: list[str], size: int) -> None:
    """Whatever the tables are that the paths come in."""
    ordered = sorted(set(paths))
    numbering = Numbering()
    numbers: list[int] = []
    for start in range(0, len(ordered), size):
        numbers += numbering.of(pa.chunked_array([ordered[start : start + size]])).tolist()
    folders = [path.split("/")[0] if "/" in path else None for path in ordered]
    there = list(dict.fromkeys(folder for folder in folders if folder))
    assert numbers == [there.index(folder) + 1 if folder else 0 for folder in folders]
    assert numbering.count == len(there)


def test_buckets_keep_all_rows_in_their_order(tmp_path: Path) -> None:
    schema = pa.schema([("name", pa.string()), ("row", pa.int64())])
    spill = Spill(tmp_path / "spill", 5, schema)
    names = [f"{number * 7919 % 4096:03x}" for number in range(3000)]
    table = pa.table({"row": np.arange(3000), "name": names})
    for start in range(0, 3000, 700):
        spill.add_by_name(table.slice(start, 700), "name")
    rows: list[int] = []
    for bucket in range(5):
        held = spill.take(bucket)
        assert held["row"].to_pylist() == sorted(held["row"].to_pylist())
        assert {int(name, 16) * 5 // 4096 for name in held["name"].to_pylist()} <= {bucket}
        rows += held["row"].to_pylist()
    assert sorted(rows) == list(range(3000))
