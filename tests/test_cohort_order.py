"""Orders: what stands in the supplier's files, and that the same registry gives the same bytes."""

import csv
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.cohort.order import file_names, write_order, write_order_folder
from mim.errors import InputError
from mim.schemas.images import IMAGES as INDEX
from mim.schemas.order import ORDER
from mim.schemas.table import read_table, write_table
from mim.vocab import VIEW_SLOTS

FIRST, SECOND = date(2004, 3, 7), date(2006, 11, 30)

HEADER = [
    *("Patient ID", "Accession Number", "Study Date", "Study Instance UID"),
    *("Modality", "Expected Views", "Reason"),
]

EXAMS: list[dict[str, object]] = [
    {"exam_id": "0042", "woman_id": "00700", "exam_date": SECOND, "study_uid": "1.2.3"},
    {"exam_id": "0041", "woman_id": "00700", "exam_date": FIRST, "site": "Tromsø"},
    {"exam_id": "Y" * 17, "woman_id": "W8", "exam_date": FIRST, "site": "Bus 3, north"},
    {"exam_id": "7*", "woman_id": "W9", "exam_date": FIRST, "study_uid": "1.3E+10", "site": "Oslo"},
]


def registry(folder: Path, exams: Sequence[dict[str, object]] = EXAMS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    blank = {"study_uid": None, "site": None}
    pl.DataFrame([blank | exam for exam in exams]).write_csv(folder / "exams.csv")
    (folder / "cancers.csv").write_text("woman_id,diagnosis_date,breast\nW8,2009-01-01,L\n")
    return folder


def index_of(folder: Path, studies: dict[str, tuple[str, str, date, Sequence[object]]]) -> Path:
    """An index of studies (UID: patient, accession, day, reason of each view; None is usable)."""
    rows = [
        {
            **{"path": f"{uid}/{n}", "bytes": 1, "modified_ns": 1, "maker": "ge"},
            **{"woman": f"pseudonym {patient}", "exam": f"pseudonym {uid}", "image": f"{uid}/{n}"},
            **{"patient_id": patient, "study_uid": uid, "accession_number": accession},
            **{"study_date": day, "laterality": side, "view": view, "reason": reason},
            **{"kind": "full-field digital", "presentation": "for presentation"},
        }
        for uid, (patient, accession, day, reasons) in studies.items()
        for n, ((side, view), reason) in enumerate(zip(VIEW_SLOTS, reasons, strict=False))
    ]
    write_table(INDEX.from_rows(rows), folder / "images" / "part-00000.parquet")
    (folder / "index.json").write_text("{}")
    return folder


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_site_has_its_file_and_no_key_is_a_pattern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_order(registry(tmp_path / "registry"), tmp_path / "order", None)
    files = {path.name: rows_of(path) for path in (tmp_path / "order").glob("*.csv")}
    rest = ["MG", "4", ""]
    assert files == {
        "order-tromsoe.csv": [HEADER, ["00700", "0041", "20040307", "", *rest]],
        # An exam_id of 17 characters is no Accession Number.
        "order-bus-3-north.csv": [HEADER, ["W8", "", "20040307", "", *rest]],
        # A star would ask for every accession number, and a spreadsheet's UID is none.
        "order-oslo.csv": [HEADER, ["W9", "", "20040307", "", *rest]],
        "order-without-site.csv": [HEADER, ["00700", "0042", "20061130", "1.2.3", *rest]],
    }
    raw = (tmp_path / "order" / "order-tromsoe.csv").read_bytes()
    assert raw.startswith(b'"Patient ID",')
    assert raw.endswith(b'"MG","4",""\r\n')
    kept = read_table(tmp_path / "order" / "order.parquet", ORDER).to_pylist()
    assert {row["exam_id"]: row["study_uid"] for row in kept}["7*"] == "1.3E+10"
    printed = capsys.readouterr().out
    assert "2 exams whose exam_id cannot be an Accession Number" in printed
    assert "1 exams whose study_uid is no UID" in printed
    assert "2 exams with identifiers that a spreadsheet would change" in printed
    assert "files here name women" in printed
    for identifier in ("00700", "0041", "W8", "1.2.3"):
        assert identifier not in printed + (tmp_path / "order/order.json").read_text()


def test_counts_by_site_and_year(tmp_path: Path) -> None:
    more: dict[str, object] = {"exam_id": "8", "woman_id": "W8", "exam_date": SECOND}
    exams = [*EXAMS, more | {"site": "Oslo"}]
    write_order(registry(tmp_path / "registry", exams), tmp_path / "order", None)
    about = json.loads((tmp_path / "order" / "order.json").read_text())
    assert about["ordered"] == {"exams": 5, "women": 3, "years": {"2004": 3, "2006": 2}}
    oslo = next(site for site in about["sites"] if site["site"] == "Oslo")
    assert oslo == {
        "site": "Oslo",
        "file": "order-oslo.csv",
        "exams": 2,
        "women": 2,
        "years": {"2004": 1, "2006": 1},
    }


def test_the_same_exams_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    write_order(registry(tmp_path / "one"), tmp_path / "a", None)
    write_order(registry(tmp_path / "other", EXAMS[::-1]), tmp_path / "b", None)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def test_files_of_sites_that_are_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "order"
    write_order(registry(tmp_path / "registry"), out, None)
    (out / "order-mine.csv").write_text("a note")
    write_order(registry(tmp_path / "registry", EXAMS[:2]), out, None)
    names = {path.name for path in out.glob("*.csv")}
    assert names == {"order-tromsoe.csv", "order-without-site.csv", "order-mine.csv"}


def test_what_the_index_holds_complete_is_not_ordered_again(tmp_path: Path) -> None:
    folder = registry(tmp_path / "registry")
    index = index_of(
        tmp_path / "index",
        {
            "1.2.3": ("00700", "", SECOND, [None] * 4),
            "1.5": ("W8", "", FIRST, [None, None, "for processing", None]),
        },
    )
    write_order(folder, tmp_path / "order", index)
    out = tmp_path / "order"
    assert not (out / "order-without-site.csv").exists()
    [_, half] = rows_of(out / "order-bus-3-north.csv")
    assert half[-1] == "incomplete: no usable R CC; left out: 1 for processing"
    [_, nothing] = rows_of(out / "order-tromsoe.csv")
    assert nothing[-1] == "missing: no study of it came"
    rows = read_table(out / "order.parquet", ORDER).to_pylist()
    assert {row["exam_id"] for row in rows if not row["ordered"]} == {"0042"}
    assert json.loads((out / "order.json").read_text())["reasons"] == {
        "incomplete": 1,
        "missing": 2,
    }


def test_an_exam_without_a_date_is_ordered_by_its_other_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exams: list[dict[str, object]] = [{"exam_id": "1", "woman_id": "W1", "exam_date": None}]
    folder = registry(tmp_path / "registry", exams)
    (folder / "outcomes.csv").write_text("exam_id,breast,outcome\n1,L,cancer\n")
    write_order(folder, tmp_path / "order", None)
    [_, row] = rows_of(tmp_path / "order" / "order-without-site.csv")
    assert row[:4] == ["W1", "1", "", ""]
    about = json.loads((tmp_path / "order" / "order.json").read_text())
    assert about["ordered"] == {"exams": 1, "women": 1, "years": {}}
    assert "1 exams without exam_date" in capsys.readouterr().out


def test_an_index_that_joins_nothing_is_refused(tmp_path: Path) -> None:
    """Its Patient IDs have lost their zeros: everything would be paid for again."""
    index = index_of(tmp_path / "index", {"1.9": ("700", "", FIRST, [None] * 4)})
    with pytest.raises(InputError, match="none of its 4 exams joins"):
        write_order(registry(tmp_path / "registry"), tmp_path / "order", index)
    assert not (tmp_path / "order").exists()


@pytest.mark.parametrize("woman", ["*", "W?", "A\\B", "9" * 65])
def test_a_patient_id_that_asks_for_others_is_refused(tmp_path: Path, woman: str) -> None:
    exams = [{"exam_id": "1", "woman_id": woman, "exam_date": FIRST}]
    with pytest.raises(InputError, match="column 'woman_id' of 1 exams") as error:
        write_order(registry(tmp_path / "registry", exams), tmp_path / "order", None)
    assert woman not in str(error.value).replace("\\ * ?", "")


TRAPS = st.sampled_from(
    ["Oslo", "oslo", "ÖSLO", "Without site", "øre", "oere", "a/b", "a b", "..", "", "日本"]
)


@given(st.sets(TRAPS | st.text(max_size=70) | st.none()))
def test_file_names_never_collide(sites: set[str | None]) -> None:
    names = file_names(sites)
    assert names.keys() == sites
    assert len({name.casefold() for name in names.values()}) == len(sites)
    assert all(
        name.isascii() and name.replace("-", "").replace(".csv", "").isalnum()
        for name in names.values()
    )


def test_file_names_are_readable_and_do_not_depend_on_other_sites() -> None:
    assert file_names(["Oslo", "oslo"]) == file_names(["oslo", "Oslo"])
    plain = {"Oslo": "order-oslo.csv", "Orléans 2": "order-orleans-2.csv"}
    assert file_names(["Oslo", "Orléans 2"]) == plain
    # Only exams that have no site may look so.
    [name] = file_names(["Without site"]).values()
    assert name.startswith("order-without-site-")


def test_an_order_json_of_something_else_does_not_stop_an_order(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text("{}")
    exams = pl.DataFrame(ORDER.arrow().empty_table())
    assert write_order_folder(tmp_path, exams, [])["sites"] == []
