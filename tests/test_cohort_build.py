"""The cohort from an index and a registry, both written here, with planted truths."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings, PriorSettings, StandInSettings
from mim.errors import InputError
from mim.schemas.cohort import ATTRITION, EXAMS, IMAGES
from mim.schemas.images import IMAGES as INDEX
from mim.schemas.table import read_table, write_table
from mim.vocab import VIEW_SLOTS, Outcome, Split

FIRST = date(2000, 5, 1)
SECOND = FIRST + timedelta(days=735)
ODD_DAY = FIRST + timedelta(days=40)


def hidden(identifier: str) -> str:
    return sha256(identifier.encode()).hexdigest()[:12]


@dataclass
class Programme:
    """Rows of an index and of a registry, written by ``build``."""

    images: list[dict[str, object]] = field(default_factory=list)
    exams: list[dict[str, object]] = field(default_factory=list)
    cancers: list[dict[str, object]] = field(default_factory=list)
    others: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def exam(self, name: str, woman: str, day: date, **more: object) -> None:
        row = {"exam_id": name, "woman_id": woman, "exam_date": day, "study_uid": None}
        self.exams.append(row | more)

    def study(
        self,
        woman: str,
        day: date,
        accession: str | None = None,
        uid: str | None = None,
        views: tuple[tuple[str, str], ...] = VIEW_SLOTS,
        **more: object,
    ) -> str:
        """Four images of a study, unless told otherwise; the study's UID comes back."""
        uid = uid or f"1.2.{len(self.images)}"
        for side, view in views:
            sop = f"1.3.{len(self.images)}"
            row = {
                "path": f"{sop}.dcm",
                "bytes": 1,
                "modified_ns": 1,
                "kind": "full-field digital",
                "woman": hidden(woman),
                "exam": hidden(uid),
                "image": hidden(sop),
                "patient_id": woman,
                "study_uid": uid,
                "sop_uid": sop,
                "accession_number": accession,
                "study_date": day,
                "maker": "ge",
                "laterality": side,
                "view": view,
                "presentation": "for presentation",
                "age_years": 61,
            }
            self.images.append(row | more)
        return uid

    def screened(self, name: str, woman: str, day: date, **more: Any) -> None:
        """An exam with its images, joined by accession number."""
        self.exam(name, woman, day)
        self.study(woman, day, accession=name, **more)

    def build(self, folder: Path, settings: CohortSettings | None = None) -> int:
        """Write index and registry, and the cohort into ``folder``/cohort."""
        index, registry = folder / "index", folder / "registry"
        usable = sum(row.get("reason") is None for row in self.images)
        unusable = [row["reason"] for row in self.images if row.get("reason")]
        attrition = [
            {"step": "index", "unit": "images", "reason": reason, "count": count}
            for reason, count in {
                "kept": usable,
                **{r: unusable.count(r) for r in unusable},
            }.items()
        ]
        write_table(INDEX.from_rows(self.images), index / "images" / "part-00000.parquet")
        write_table(ATTRITION.from_rows(attrition), index / "attrition.parquet")
        (index / "index.json").write_text(json.dumps({"source": "/archive"}))
        registry.mkdir(exist_ok=True)
        cancers = self.cancers or [
            {"woman_id": "stranger", "diagnosis_date": date(2015, 1, 1), "breast": "L"}
        ]
        for table, rows in {"exams": self.exams, "cancers": cancers, **self.others}.items():
            pl.DataFrame(rows, infer_schema_length=None).write_csv(registry / f"{table}.csv")
        return write_cohort(index, registry, folder / "cohort", settings or CohortSettings())


def cohort_exams(folder: Path) -> dict[str, dict[str, object]]:
    table = read_table(folder / "cohort/exams.parquet", EXAMS)
    return {row["exam"]: row for row in table.to_pylist()}


def cohort_images(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = read_table(folder / "cohort/images.parquet", IMAGES).to_pylist()
    return rows


def attrition(folder: Path, step: str, unit: str) -> dict[str, int]:
    rows = read_table(folder / "cohort/attrition.parquet", ATTRITION).to_pylist()
    return {r["reason"]: r["count"] for r in rows if (r["step"], r["unit"]) == (step, unit)}


def test_two_rounds_with_a_cancer_in_the_second(tmp_path: Path) -> None:
    programme = Programme()
    first = programme.study("W1", FIRST, accession="E1", maker="siemens")
    second = programme.study("W1", SECOND, accession="E2", maker="hologic")
    programme.exam("E1", "W1", FIRST, site="north")
    programme.exam("E2", "W1", SECOND, site="south")
    programme.cancers = [{"woman_id": "W1", "diagnosis_date": SECOND, "breast": "R"}]
    programme.others = {
        "women": [{"woman_id": "W1", "birth_year": 1940, "followup_end": date(2010, 1, 1)}],
        "decisions": [
            {"exam_id": "E1", "consensus": False, "recalled": False},
            {"exam_id": "E2", "consensus": True, "recalled": True},
        ],
        "density": [
            {"exam_id": "E2", "breast": "L", "density": "b"},
            {"exam_id": "E2", "breast": "R", "density": "c"},
        ],
    }
    assert programme.build(tmp_path) == 0
    exams = cohort_exams(tmp_path)
    one, two = exams[hidden(first)], exams[hidden(second)]
    assert one | {"split": None} == {
        "exam": hidden(first),
        "woman": hidden("W1"),
        "exam_date": FIRST,
        "split": None,
        "maker": "siemens",
        "site": "north",
        "age_years": 60,
        "left_cancer": False,
        "right_cancer": False,
        "left_outcome": Outcome.NEGATIVE,
        "right_outcome": Outcome.NEGATIVE,
        "recalled": False,
        "density": None,
        "priors": [],
        "months_before": [],
        "joined_by": "accession number",
    }
    assert (two["left_cancer"], two["right_cancer"]) == (False, True)
    assert two["right_outcome"] == Outcome.SCREEN_DETECTED
    assert (two["maker"], two["site"], two["density"]) == ("hologic", "south", "c")
    assert (two["recalled"], two["age_years"]) == (True, 62)
    assert two["priors"] == [hidden(first)]
    assert two["months_before"] == [pytest.approx(24, abs=0.2)]
    assert two["split"] == one["split"]
    assert len(cohort_images(tmp_path)) == 8
    counts = json.loads((tmp_path / "cohort/cohort.json").read_text())["counts"]
    assert list(counts["maker"]["hologic"].values()) == [1, 1, 1, 0, 1, 0]
    assert (counts["all"]["exams"], counts["all"]["women"]) == (2, 1)


def test_four_ways_of_joining(tmp_path: Path) -> None:
    programme = Programme()
    programme.exam("E1", "W1", FIRST, study_uid="1.9")
    programme.exam("E2", "W2", FIRST)
    programme.exam("E3", "W3", FIRST)
    programme.exam("E4", "W3", FIRST + timedelta(days=900))
    # The UID decides, although the accession number is that of another exam of hers.
    by_uid = programme.study("W1", ODD_DAY, uid="1.9", accession="E2")
    by_accession = programme.study("W2", ODD_DAY, accession="E2")
    # An accession number that another hospital gave to another woman's exam.
    by_day = programme.study("W3", FIRST, accession="E2")
    programme.study("W3", ODD_DAY)
    assert programme.build(tmp_path) == 0
    joined = {name: row["joined_by"] for name, row in cohort_exams(tmp_path).items()}
    assert joined == {
        hidden(by_uid): "study uid",
        hidden(by_accession): "accession number",
        hidden(by_day): "woman and date",
    }
    assert attrition(tmp_path, "cohort", "images") == {"kept": 12, "no registry exam": 4}
    assert attrition(tmp_path, "cohort", "exams") == {"kept": 3, "no image": 1}


def test_two_exams_on_one_day_are_not_told_apart_by_the_day(tmp_path: Path) -> None:
    programme = Programme()
    programme.exam("E1", "W1", FIRST)
    programme.exam("E2", "W1", FIRST)
    programme.study("W1", FIRST)
    programme.screened("E3", "W1", SECOND)
    programme.build(tmp_path)
    assert attrition(tmp_path, "cohort", "images") == {"kept": 4, "no registry exam": 4}


def test_images_of_another_woman_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.exam("E2", "W2", FIRST)
    programme.study("W3", FIRST, accession="E2")
    programme.exam("E4", "W4", FIRST)
    mixed = programme.study("W4", FIRST, views=VIEW_SLOTS[:2], accession="E4")
    programme.study("W5", FIRST, views=VIEW_SLOTS[2:], accession="E4", uid=mixed)
    programme.exam("E6", "W6", FIRST, study_uid="1.6")
    programme.study("W7", FIRST, uid="1.6")
    programme.exam("E7", "W7", FIRST)
    assert programme.build(tmp_path) == 3
    assert len(cohort_exams(tmp_path)) == 1
    assert attrition(tmp_path, "cohort", "images") == {"kept": 4, "no registry exam": 12}
    printed = capsys.readouterr().out
    assert "Patient ID is missing or is not the exam's woman: 2 studies left out" in printed
    assert "images of one study carry different Patient IDs: 1 studies left out" in printed
    assert sum(json.loads((tmp_path / "cohort/cohort.json").read_text())["problems"].values()) == 3


def test_several_studies_of_one_exam_are_one_exam(tmp_path: Path) -> None:
    programme = Programme()
    programme.exam("E1", "W1", FIRST)
    left = programme.study("W1", FIRST, views=VIEW_SLOTS[:2], maker="ge", acquired="2")
    right = programme.study("W1", FIRST, accession="E1", views=VIEW_SLOTS[2:], maker="philips")
    again = programme.study("W1", FIRST, views=VIEW_SLOTS[2:3], maker="philips", acquired="3")
    programme.build(tmp_path)
    [exam] = cohort_exams(tmp_path).values()
    assert exam["exam"] == min(map(hidden, (left, right, again)))
    assert (exam["maker"], exam["joined_by"]) == ("ge", "accession number")
    images = cohort_images(tmp_path)
    assert {row["exam"] for row in images} == {exam["exam"]}
    assert {(row["laterality"], row["view"]) for row in images} == set(VIEW_SLOTS)
    assert attrition(tmp_path, "cohort", "images") == {"kept": 4, "repeated view": 1}


def test_assumed_followup_and_ignored_columns_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.screened("E2", "W2", FIRST)
    women: list[dict[str, object]] = [
        {"woman_id": "W1", "followup_end": date(2010, 1, 1), "postcode": "9000"},
        {"woman_id": "W2", "followup_end": None, "postcode": "9001"},
    ]
    programme.others = {"women": women}
    programme.build(tmp_path)
    printed = capsys.readouterr().out
    assert "women without followup_end: 1, taken as followed until 2015-01-01" in printed
    assert "unknown columns, ignored: postcode" in printed


def test_maker_of_most_images(tmp_path: Path) -> None:
    programme = Programme()
    programme.exam("E1", "W1", FIRST)
    programme.study("W1", FIRST, views=VIEW_SLOTS[:1], maker="ge")
    programme.study("W1", FIRST, views=VIEW_SLOTS[1:], maker="siemens")
    programme.build(tmp_path)
    [exam] = cohort_exams(tmp_path).values()
    assert (exam["maker"], exam["age_years"]) == ("siemens", 61)


def test_attrition_of_every_kind_adds_up(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.study("W1", FIRST, accession="E1", reason="for processing")
    programme.screened("E2", "W1", SECOND)
    programme.screened("E3", "W2", FIRST, views=(("L", "ML"),))
    programme.screened("E4", "W3", FIRST, reason="unreadable")
    programme.exam("E5", "W3", SECOND)
    programme.study("W9", FIRST)
    programme.images.append(
        {"path": "x", "bytes": 0, "modified_ns": 1, "reason": "not dicom", "kind": "unknown"}
        | {
            "maker": "unknown",
            "view": "unknown",
            "laterality": "unknown",
            "presentation": "unknown",
        }
    )
    programme.cancers = [{"woman_id": "W1", "diagnosis_date": ODD_DAY, "breast": "L"}]
    programme.build(tmp_path)
    assert attrition(tmp_path, "index", "images") == {
        **{"kept": 13, "for processing": 4, "unreadable": 4, "not dicom": 1}
    }
    assert attrition(tmp_path, "cohort", "images") == {
        **{"kept": 4, "after diagnosis": 4, "no registry exam": 4, "not screening view": 1}
    }
    assert attrition(tmp_path, "cohort", "exams") == {
        **{"kept": 1, "after diagnosis": 1, "no screening view": 2, "no image": 1}
    }


def test_stand_ins_serve_only_views_that_have_no_other(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST, views=VIEW_SLOTS[:3])
    programme.study("W1", FIRST, accession="E1", reason="for processing", views=VIEW_SLOTS[2:])
    programme.screened("E2", "W2", FIRST, reason="synthetic 2D")
    programme.cancers = [{"woman_id": "W1", "diagnosis_date": ODD_DAY, "breast": "L"}]
    for stand_ins, images in (
        (StandInSettings(), 3),
        (StandInSettings(for_processing=True), 4),
        (StandInSettings(for_processing=True, synthetic_2d=True), 8),
    ):
        programme.build(tmp_path, CohortSettings(stand_ins=stand_ins))
        assert attrition(tmp_path, "cohort", "images")["kept"] == images


def test_no_identifier_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programme = Programme()
    programme.exam("ACC-0001", "PATIENT-01", FIRST, study_uid="1.2.840.1")
    programme.study("PATIENT-01", FIRST, uid="1.2.840.1", accession="ACC-0001")
    for row in programme.images:
        row["path"] = f"{hidden(str(row['path']))}.dcm"
    programme.build(tmp_path)
    out = tmp_path / "cohort"
    tables = [pq.read_table(path).to_pylist() for path in out.glob("*.parquet")]
    printed = capsys.readouterr()
    text = f"{tables}{(out / 'cohort.json').read_text()}{printed.out}{printed.err}"
    for identifier in ("ACC-0001", "PATIENT-01", "1.2.840.1", "1.3."):
        assert identifier not in text
    names = {"exams.parquet", "images.parquet", "attrition.parquet", "cohort.json"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "cohort.json").read_text())["index"] == str(tmp_path / "index")


def wrong_names(programme: Programme) -> None:
    programme.exam("E1", "1", FIRST)
    programme.study("01", FIRST, accession="other")


def too_short(programme: Programme) -> None:
    programme.screened("E1", "W1", FIRST)
    programme.cancers = [{"woman_id": "W2", "diagnosis_date": ODD_DAY, "breast": "L"}]


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (wrong_names, r"none of its 1 exams joins .* Accession Number.*leading zeros.*overrides"),
        (too_short, r"no exam .* known outcome.*interval_days=731; fill in women\.followup_end"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, plant: Callable[[Programme], None], words: str
) -> None:
    programme = Programme()
    plant(programme)
    with pytest.raises(InputError, match=words):
        programme.build(tmp_path)
    assert not (tmp_path / "cohort").exists()


def test_index_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json: no index here"):
        write_cohort(tmp_path, tmp_path, tmp_path / "cohort", CohortSettings())


EXAM_DAYS = st.lists(st.integers(0, 3000), min_size=1, max_size=4, unique=True)
WOMEN = st.dictionaries(st.integers(0, 99), EXAM_DAYS, min_size=1, max_size=6)


def programme_of(women: dict[int, list[int]]) -> Programme:
    programme = Programme()
    for woman, days in women.items():
        for day in days:
            name = f"E{woman}-{day}"
            programme.screened(name, f"W{woman}", FIRST + timedelta(days=day), views=VIEW_SLOTS[:1])
    return programme


@settings(max_examples=15, deadline=None)
@given(WOMEN, WOMEN, st.randoms())
def test_no_leakage_and_nobody_moves(
    women: dict[int, list[int]], newcomers: dict[int, list[int]], random: object
) -> None:
    """A woman is in one split, priors are older and hers, and neither order nor others matter."""
    wanted = CohortSettings(priors=PriorSettings(most=3))
    with TemporaryDirectory() as name:
        folder = Path(name)
        programme_of(women).build(folder, wanted)
        before = cohort_exams(folder)
        grown = programme_of(women | {n + 100: days for n, days in newcomers.items()})
        random.shuffle(grown.images)  # type: ignore[attr-defined]
        random.shuffle(grown.exams)  # type: ignore[attr-defined]
        grown.build(folder, wanted)
        after = cohort_exams(folder)
    splits: dict[object, set[object]] = {}
    for row in after.values():
        splits.setdefault(row["woman"], set()).add(row["split"])
        for prior in row["priors"]:  # type: ignore[attr-defined]
            assert after[prior]["exam_date"] < row["exam_date"]  # type: ignore[operator]
            assert after[prior]["woman"] == row["woman"]
    assert all(len(parts) == 1 and parts <= set(Split) for parts in splits.values())
    hers = {row["woman"] for row in before.values()}
    assert {key(row) for row in before.values()} == {
        key(row) for row in after.values() if row["woman"] in hers
    }


def key(row: dict[str, object]) -> tuple[object, ...]:
    """What must not change when women are added; the study's made-up UID does."""
    return row["woman"], row["exam_date"], row["split"], tuple(row["months_before"])  # type: ignore[arg-type]
