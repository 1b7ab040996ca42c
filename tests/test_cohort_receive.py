"""Receipts: planted cases one by one, then made-up orders against counts by plain Python sets."""

import json
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.order import write_order_folder
from mim.cohort.receive import write_receipt
from mim.errors import InputError
from mim.schemas.images import IMAGES as INDEX
from mim.schemas.order import IMAGES, ORDER, RECEIPT, SITES, STUDIES, WOMEN
from mim.schemas.table import Schema, read_table, write_table
from mim.vocab import VIEW_SLOTS, Reason

Row = dict[str, Any]
DAY = date(2010, 1, 4)
LATER = DAY + timedelta(days=730)
FOUR = tuple(VIEW_SLOTS)
BAD = Reason.FOR_PROCESSING.value


def exam(name: str, woman: str, day: date | None = DAY, **more: object) -> Row:
    blank = {"study_uid": None, "site": "north", "ordered": True, "reason": None, "detail": None}
    return {"exam_id": name, "woman_id": woman, "exam_date": day} | blank | more


def images(
    woman: str | None,
    uid: str | None,
    accession: str | None = None,
    day: date | None = DAY,
    views: tuple[tuple[str, str], ...] = FOUR,
    reason: str | None = None,
) -> list[Row]:
    return [
        {
            **{"bytes": 1, "modified_ns": 1, "reason": reason, "woman": woman and f"w{woman}"},
            **{"exam": uid and f"e{uid}", "patient_id": woman, "study_uid": uid},
            **{"accession_number": accession, "study_date": day, "maker": "ge"},
            **{"laterality": side, "view": view, "kind": "full-field digital"},
            "presentation": "for presentation",
        }
        for side, view in views
    ]


def receive(folder: Path, exams: list[Row], rows: list[Row]) -> int:
    """Write the order and the index (in two parts), and the receipt into ``folder``/receipt."""
    frame = pl.DataFrame(exams, schema=pl.DataFrame(ORDER.arrow().empty_table()).schema)
    write_order_folder(folder / "order", frame, ())
    index = folder / "index"
    rows = [row | {"path": f"{n}.dcm", "image": str(n)} for n, row in enumerate(rows)]
    for part, some in enumerate((rows[::2], rows[1::2])):
        write_table(INDEX.from_rows(some), index / "images" / f"part-{part:05}.parquet")
    (index / "index.json").write_text("{}")
    return write_receipt(folder / "order", index, folder / "receipt")


def receipt(folder: Path) -> dict[str, Row]:
    rows = read_table(folder / "receipt" / "receipt.parquet", RECEIPT).to_pylist()
    return {row["exam_id"]: row for row in rows}


def studies(folder: Path) -> dict[str, Row]:
    rows = read_table(folder / "receipt" / "studies.parquet", STUDIES).to_pylist()
    return {row["study_uid"]: row for row in rows}


def csv_table(folder: Path, schema: Schema) -> pl.DataFrame:
    path = folder / "receipt" / f"{schema.name.split()[0]}.csv"
    return pl.read_csv(path, schema=pl.DataFrame(schema.arrow().empty_table()).schema)


def about(folder: Path) -> Row:
    found: Row = json.loads((folder / "receipt" / "receipt.json").read_text())
    return found


def test_each_thing_that_can_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exams = [
        exam("full", "A"),
        exam("half", "B"),
        exam("raw", "C"),
        exam("none", "D", site=None),
        exam("astray", "E", site="south"),
    ]
    rows = [
        *images("A", "1.1", "full"),
        *images("B", "1.2", views=FOUR[:3]),
        *images("B", "1.2", views=FOUR[2:], reason=BAD),
        *images("C", "1.3", views=(*FOUR, FOUR[0]), reason=BAD),
        *images("X", "1.5", "astray"),
        *images("A", "1.6", day=LATER),
        *images("stranger", "1.7"),
        *images(None, None, None, None, (("unknown", "unknown"),), Reason.NOT_DICOM),
    ]
    assert receive(tmp_path, exams, rows) == 3
    found = {name: (row["came"], row["detail"]) for name, row in receipt(tmp_path).items()}
    all_views = "no usable L CC, L MLO, R CC, R MLO"
    assert found == {
        "full": ("complete", None),
        "half": ("incomplete", "no usable R MLO; left out: 2 for processing"),
        "raw": ("unusable", f"{all_views}; left out: 5 for processing"),
        "none": ("missing", "no study of it came"),
        "astray": ("ambiguous", "the images' Patient ID is missing or is not the exam's woman"),
    }
    standing = {
        uid: (row["standing"], row["woman_ordered"]) for uid, row in studies(tmp_path).items()
    }
    assert standing == {
        "1.1": ("ordered", True),
        "1.2": ("ordered", True),
        "1.3": ("ordered", True),
        "1.5": ("ambiguous", False),
        "1.6": ("unasked", True),
        "1.7": ("unasked", False),
    }
    women = read_table(tmp_path / "receipt" / "women.parquet", WOMEN).to_pylist()
    assert [row["unasked"] for row in women] == [1, 0, 0, 0, 0]
    sites = csv_table(tmp_path, SITES)
    assert sites.rows() == [
        ("north", 3, 1, 1, 1, 0, 0, 14, 7),
        ("south", 1, 0, 0, 0, 0, 1, 0, 0),
        (None, 1, 0, 0, 0, 1, 0, 0, 0),
    ]
    assert about(tmp_path)["images"] == {
        **{"index": 27, "ordered": 14, "unasked": 8},
        **{"ambiguous": 4, "no study": 1},
    }
    printed = capsys.readouterr().out
    assert "2 studies came unasked, 1 of them of women with an ordered exam" in printed
    assert "files here name women" in printed
    for name in ("full", "astray", "stranger", "1.1"):
        assert f" {name} " not in printed
        assert f'"{name}"' not in (tmp_path / "receipt" / "receipt.json").read_text()


def test_a_reorder_is_an_order(tmp_path: Path) -> None:
    """The woman's other exam of the day is there already: its study must not stand for this one."""
    exams = [exam("here", "A", study_uid="1.1"), exam("lost", "A", study_uid="1.2")]
    rows = images("A", "1.1")
    receive(tmp_path, exams, rows)
    reorder = tmp_path / "receipt" / "reorder"
    [line] = (reorder / "order-north.csv").read_text().splitlines()[1:]
    assert line == '"A","lost","20100104","1.2","MG","4","missing: no study of it came"'
    assert write_receipt(reorder, tmp_path / "index", tmp_path / "again") == 1
    [row] = read_table(tmp_path / "again" / "receipt.parquet", RECEIPT).to_pylist()
    assert (row["exam_id"], row["came"]) == ("lost", "missing")
    [study] = read_table(tmp_path / "again" / "studies.parquet", STUDIES).to_pylist()
    assert (study["standing"], study["exam_id"]) == ("unasked", "here")
    again = {path.name: path.read_bytes() for path in (tmp_path / "again/reorder").iterdir()}
    assert again == {path.name: path.read_bytes() for path in reorder.iterdir()}


def test_one_study_and_two_exams_of_its_day(tmp_path: Path) -> None:
    receive(tmp_path, [exam("one", "A"), exam("two", "A")], images("A", "1.1"))
    assert [row["came"] for row in receipt(tmp_path).values()] == ["ambiguous"] * 2
    assert studies(tmp_path)["1.1"]["doubt"] == "its woman has several exams on its day"
    assert studies(tmp_path)["1.1"]["exam_id"] is None


def test_many_usable_images_do_not_make_four_views(tmp_path: Path) -> None:
    others = (("L", "ML"), ("R", "ML"))
    rows = images("A", "1.1", views=FOUR[:3] * 2) + images("B", "1.2", views=others * 2)
    assert receive(tmp_path, [exam("one", "A"), exam("two", "B")], rows) == 1
    found = {name: (row["came"], row["usable"]) for name, row in receipt(tmp_path).items()}
    assert found == {"one": ("incomplete", 6), "two": ("unusable", 4)}


def test_a_view_may_come_in_another_study(tmp_path: Path) -> None:
    rows = images("A", "1.1", views=FOUR[:3]) + images("A", "1.2", "one", LATER, FOUR[3:])
    assert receive(tmp_path, [exam("one", "A")], rows) == 0
    row = receipt(tmp_path)["one"]
    assert (row["came"], row["studies"]) == ("complete", 2)
    assert row["joined_by"] == ["accession number", "woman and date"]


def test_a_woman_who_moved(tmp_path: Path) -> None:
    """The site is the exam's, wherever she is screened now."""
    exams = [exam("old", "A", site="south"), exam("new", "A", LATER)]
    receive(tmp_path, exams, images("A", "1.1", day=LATER))
    sites = csv_table(tmp_path, SITES).select("site", "complete", "missing")
    assert sites.rows() == [("north", 1, 0), ("south", 0, 1)]


def test_nothing_ordered_and_nothing_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receive(tmp_path / "a", [exam("one", "A", ordered=False)], images("A", "1.1")) == 0
    assert about(tmp_path / "a")["exams"]["ordered"] == 0
    assert studies(tmp_path / "a")["1.1"]["standing"] == "unasked"
    assert "no study joins" not in capsys.readouterr().out
    assert receive(tmp_path / "b", [exam("one", "01")], images("1", "1.1")) == 1
    assert "no study joins an ordered exam" in capsys.readouterr().out


def test_what_is_no_order_or_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="order.parquet: no such file"):
        write_receipt(tmp_path, tmp_path, tmp_path / "out")
    receive(tmp_path, [exam("one", "A")], images("A", "1.1"))
    (tmp_path / "index" / "index.json").unlink()
    with pytest.raises(InputError, match="no index here"):
        write_receipt(tmp_path / "order", tmp_path / "index", tmp_path / "out")


PATIENTS = st.sampled_from(["A", "B"])
DAYS = st.sampled_from([DAY, LATER])
UIDS = [f"1.{n}" for n in range(4)]
NAMES = [f"x{n}" for n in range(5)]
UNITS = st.sampled_from(["north", "south", None])


@st.composite
def orders(draw: st.DrawFn) -> list[Row]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    uids = draw(st.permutations(UIDS + [None] * 4))
    return [
        exam(
            name,
            draw(PATIENTS),
            draw(DAYS | DAYS | st.none()),
            study_uid=uid,
            site=draw(UNITS),
            ordered=draw(st.sampled_from([True, True, False])),
        )
        for name, uid in zip(names, uids, strict=False)
    ]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """An order and what came: studies of its exams, studies with other keys, files without any."""
    exams = draw(orders())
    rows: list[Row] = []
    for uid in draw(st.lists(st.sampled_from([*UIDS, "2.1", "2.2", "2.3", None]), max_size=6)):
        of = draw(st.sampled_from(exams))
        patient = draw(st.sampled_from([*[of["woman_id"]] * 4, "A", "B", "C", None]))
        accession = draw(st.sampled_from([of["exam_id"], *NAMES, None, None]))
        day = draw(st.just(of["exam_date"]) | DAYS | st.none())
        for _ in range(draw(st.sampled_from([1, 1, 2]))):
            reason = draw(st.sampled_from([None, None, None, BAD, Reason.SPOT.value]))
            views = draw(st.sampled_from([FOUR, FOUR, FOUR[:2], FOUR[2:], (("L", "ML"),)]))
            rows += images(patient, uid, accession, day, views, reason)
    return exams, rows


def joined_by_hand(exams: list[Row], rows: list[Row]) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The exam that each study joins; of the others, the exams that a key of theirs names."""
    by_uid = {x["study_uid"]: x for x in exams if x["study_uid"]}
    by_name = {x["exam_id"]: x for x in exams}
    by_day = defaultdict(list)
    for x in exams:
        by_day[x["woman_id"], x["exam_date"]].append(x)
    joins: dict[str, str] = {}
    named: dict[str, set[str]] = {}
    for uid in {row["study_uid"] for row in rows} - {None}:
        files = [row for row in rows if row["study_uid"] == uid]
        hits, candidates = set(), set()
        for row in files:
            patient = row["patient_id"]
            same_day = by_day[patient, row["study_date"]] if row["study_date"] else []
            first, second = by_uid.get(uid), by_name.get(row["accession_number"])
            candidates |= {x["exam_id"] for x in [first, second, *same_day] if x}
            if first:
                hits |= {first["exam_id"]} if first["woman_id"] == patient else set()
            elif second and second["woman_id"] == patient:
                hits.add(second["exam_id"])
            elif len(same_day) == 1:
                hits.add(same_day[0]["exam_id"])
        patients = {row["patient_id"] for row in files} - {None}
        if len(hits) == 1 and len(patients) == 1:
            joins[uid] = hits.pop()
        else:
            named[uid] = candidates
    return joins, named


@settings(max_examples=25)
@given(deliveries())
def test_counts_add_up_to_those_of_plain_sets(delivery: tuple[list[Row], list[Row]]) -> None:
    exams, rows = delivery
    joins, named = joined_by_hand(exams, rows)
    ordered = {x["exam_id"]: x for x in exams if x["ordered"]}
    came: dict[str, str] = {}
    for name in ordered:
        files = [row for row in rows if joins.get(row["study_uid"]) == name]
        views = {(r["laterality"], r["view"]) for r in files if r["reason"] is None} & set(FOUR)
        if len(views) == 4:
            came[name] = "complete"
        elif files:
            came[name] = "incomplete" if views else "unusable"
        else:
            doubt = any(name in exams for exams in named.values())
            came[name] = "ambiguous" if doubt else "missing"

    def standing(row: Row) -> str:
        uid = row["study_uid"]
        if uid is None:
            return "no study"
        if joins.get(uid) in ordered:
            return "ordered"
        return "ambiguous" if named.get(uid, set()) & ordered.keys() else "unasked"

    with TemporaryDirectory() as name:
        folder = Path(name)
        problems = receive(folder, exams, rows)
        assert {x: row["came"] for x, row in receipt(folder).items()} == came
        counts = about(folder)
        sites = csv_table(folder, SITES)
        table = csv_table(folder, IMAGES)
        women = pl.DataFrame(read_table(folder / "receipt" / "women.parquet", WOMEN))
        again = read_table(folder / "receipt/reorder/order.parquet", ORDER).to_pylist()
        lines = [
            line
            for path in (folder / "receipt" / "reorder").glob("*.csv")
            for line in path.read_text().splitlines()[1:]
        ]

    of_exams = Counter(came.values())
    kinds = ("complete", "incomplete", "unusable", "missing", "ambiguous")
    assert counts["exams"] == {"ordered": len(ordered)} | {kind: of_exams[kind] for kind in kinds}
    assert problems == len(ordered) - of_exams["complete"] - of_exams["incomplete"]
    for per in (sites, women):
        assert [per[kind].sum() for kind in kinds] == [of_exams[kind] for kind in kinds]
        assert (
            per["ordered"].to_list() == per.select(pl.sum_horizontal(kinds)).to_series().to_list()
        )
    assert set(women["woman_id"]) == {x["woman_id"] for x in ordered.values()}

    of_images = Counter(map(standing, rows))
    by_reason = Counter((standing(row), row["reason"] or "usable") for row in rows)
    assert counts["images"] == {"index": len(rows)} | {
        each: of_images[each] for each in ("ordered", "unasked", "ambiguous", "no study")
    }
    assert sum(counts["images_of_ordered_exams"].values()) == of_images["ordered"]
    found: Counter[tuple[str, str]] = Counter()
    for each, _, reason, number in table.rows():
        found[each, reason] += number
    assert found == by_reason
    assert sites["images"].sum() == of_images["ordered"]

    assert len(again) == len(exams)
    not_complete = {x: kind for x, kind in came.items() if kind != "complete"}
    assert {row["exam_id"]: row["reason"] for row in again if row["ordered"]} == not_complete
    assert len(lines) == len(not_complete)
