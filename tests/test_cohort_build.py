"""The cohort from an index and a registry, both written here, with planted truths."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.build import write_cohort
from mim.cohort.settings import (
    CohortSettings,
    OutcomeSettings,
    PriorSettings,
    SplitSettings,
    StandInSettings,
)
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

    def exam(self, name: str, woman: str, day: date | None, **more: object) -> None:
        row = {"exam_id": name, "woman_id": woman, "exam_date": day, "study_uid": None}
        self.exams.append(row | more)

    def study(
        self,
        woman: str,
        day: date | None,
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


def cohort_exams(folder: Path) -> dict[str, dict[str, Any]]:
    table = read_table(folder / "cohort/exams.parquet", EXAMS)
    return {row["exam"]: row for row in table.to_pylist()}


def cohort_images(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(folder / "cohort/images.parquet", IMAGES).to_pylist()
    return rows


def attrition(folder: Path, step: str, unit: str) -> dict[str, int]:
    rows = read_table(folder / "cohort/attrition.parquet", ATTRITION).to_pylist()
    return {r["reason"]: r["count"] for r in rows if (r["step"], r["unit"]) == (step, unit)}


def test_two_rounds_with_a_cancer_in_the_second(tmp_path: Path) -> None:
    programme = Programme()
    machine: dict[str, object] = {"model": "Mammomat Inspiration", "software_version": "VB30"}
    first = programme.study("W1", FIRST, accession="E1", maker="siemens", **machine)
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
        "fold": None,
        "maker": "siemens",
        "machine": "Mammomat Inspiration VB30",
        "site": "north",
        "age_years": 60,
        "left_cancer": False,
        "right_cancer": False,
        "left_outcome": Outcome.NEGATIVE,
        "right_outcome": Outcome.LATER,
        "left_years_to_cancer": None,
        "right_years_to_cancer": pytest.approx(735 / 365.25),
        "left_years_followed": pytest.approx((date(2010, 1, 1) - FIRST).days / 365.25),
        "right_years_followed": pytest.approx((date(2010, 1, 1) - FIRST).days / 365.25),
        "recalled": False,
        "density": None,
        "priors": [],
        "months_before": [],
        "prior_makers": [],
        "joined_by": "accession number",
    }
    assert (two["left_cancer"], two["right_cancer"]) == (False, True)
    assert two["right_outcome"] == Outcome.SCREEN_DETECTED
    assert (two["maker"], two["site"], two["density"]) == ("hologic", "south", "c")
    assert (two["recalled"], two["age_years"]) == (True, 62)
    assert two["priors"] == [hidden(first)]
    assert two["months_before"] == [pytest.approx(24, abs=0.2)]
    assert (two["prior_makers"], two["machine"]) == (["siemens"], None)
    assert two["split"] == one["split"]
    assert len(cohort_images(tmp_path)) == 8
    counts = json.loads((tmp_path / "cohort/cohort.json").read_text())["counts"]
    hologic = {name: count for name, count in counts["maker"]["hologic"].items() if count}
    found = {"screen-detected cancer, breasts": 1, "recalled without cancer, breasts": 1}
    assert hologic == {
        "exams": 1,
        "women": 1,
        **found,
        "decisions, exams": 1,
        "density, breasts": 2,
    }
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


def test_two_exams_on_one_day_are_one_and_join_by_the_day(tmp_path: Path) -> None:
    programme = Programme()
    programme.exam("E1", "W1", FIRST)
    programme.exam("E2", "W1", FIRST)
    programme.study("W1", FIRST)
    programme.screened("E3", "W1", SECOND)
    programme.build(tmp_path)
    assert attrition(tmp_path, "cohort", "images") == {"kept": 8}
    assert attrition(tmp_path, "cohort", "exams") == {"kept": 2, "repeated exam": 1}


def test_an_exam_done_again_fills_the_views_that_are_missing(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST, views=VIEW_SLOTS[:3], maker="ge")
    programme.exam("E2", "W1", FIRST + timedelta(days=6), site="south")
    programme.study("W1", FIRST + timedelta(days=6), accession="E2", maker="philips")
    programme.screened("E3", "W1", FIRST + timedelta(days=8))
    programme.build(tmp_path)
    first, third = sorted(cohort_exams(tmp_path).values(), key=lambda row: str(row["exam_date"]))
    assert (first["exam_date"], first["maker"]) == (FIRST, "ge")
    makers = {
        row["maker"]: row["view"] for row in cohort_images(tmp_path) if row["exam"] == first["exam"]
    }
    assert makers == {"ge": "CC", "philips": "MLO"}
    for name, value in (("maker", "philips"), ("site", "south")):
        held_out = CohortSettings(splits=SplitSettings(**{f"held_out_{name}": value}, test=0))
        with pytest.raises(InputError, match=f"held_out_{name}={value}: leaves no exam in the tr"):
            programme.build(tmp_path, held_out)
    assert attrition(tmp_path, "cohort", "images") == {"kept": 8, "repeated view": 3}
    assert attrition(tmp_path, "cohort", "exams") == {"kept": 2, "repeated exam": 1}
    assert third["priors"] == []


def test_exams_without_a_date_go_through_without_priors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme = Programme()
    for name in ("E1", "E2"):
        programme.exam(name, "W1", None)
        programme.study("W1", None, accession=name)
    cancer = {"exam_id": "E1", "breast": "L", "outcome": "cancer", "years_to_cancer": 0}
    programme.others = {"outcomes": [cancer]}
    programme.build(tmp_path)
    exams = sorted(cohort_exams(tmp_path).values(), key=lambda row: str(row["left_outcome"]))
    assert [row["left_cancer"] for row in exams] == [True, None]
    assert [row["priors"] for row in exams] == [[], []]
    assert "all without exam_date: there are no priors" in capsys.readouterr().out


def test_density_alone_makes_a_cohort(tmp_path: Path) -> None:
    programme = Programme()
    too_short(programme)
    programme.others = {"density": [{"exam_id": "E1", "breast": "L", "density": "d"}]}
    programme.build(tmp_path)
    assert [row["density"] for row in cohort_exams(tmp_path).values()] == ["d"]


def test_landmarks_alone_make_a_cohort(tmp_path: Path) -> None:
    programme = Programme()
    too_short(programme)
    sop_uid = programme.images[0]["sop_uid"]
    programme.others = {"landmarks": [{"sop_uid": sop_uid, "nipple_visible": False}]}
    programme.build(tmp_path)
    assert (tmp_path / "cohort/quality.parquet").exists()


def test_risk_factors_and_mirai_csv_stand_where_they_are_wanted(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.exam("E2", "W1", SECOND)
    programme.others = {"risk_factors": [{"exam_id": e, "children": 2} for e in ("E1", "E2")]}
    programme.build(tmp_path, CohortSettings(mirai_csv=True))
    [row] = pq.read_table(tmp_path / "cohort/risk_factors.parquet").to_pylist()
    assert [row["exam"]] == list(cohort_exams(tmp_path))
    assert (row["children"], row["height_cm"], "exam_id" in row) == (2, None, False)
    assert len(pl.read_csv(tmp_path / "cohort/mirai.csv")) == 4
    programme.others = {}
    (tmp_path / "registry/risk_factors.csv").unlink()
    programme.build(tmp_path)
    assert not {"risk_factors.parquet", "mirai.csv"} & {p.name for p in tmp_path.rglob("cohort/*")}


def test_the_salt_that_was_found_divides_so_again(tmp_path: Path) -> None:
    programme = Programme()
    for number in range(12):
        programme.screened(f"E{number}", f"W{number}", FIRST, views=VIEW_SLOTS[:1])
    programme.build(tmp_path, CohortSettings(splits=SplitSettings(best_of=20)))
    found = cohort_exams(tmp_path)
    about = json.loads((tmp_path / "cohort/cohort.json").read_text())
    again = SplitSettings(**about["settings"]["splits"])
    assert again.salt > 0
    programme.build(tmp_path, CohortSettings(splits=again))
    assert cohort_exams(tmp_path) == found


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


def test_a_study_of_another_day_than_its_exam_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.exam("E2", "W1", SECOND)
    programme.study("W1", SECOND + timedelta(days=1), accession="E2")
    programme.exam("E3", "W2", FIRST)
    programme.study("W2", FIRST + timedelta(days=2), accession="E3")
    programme.build(tmp_path)
    assert "over a day from the registry's exam_date: 1 of 3; the" in capsys.readouterr().out


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


def all_after_diagnosis(programme: Programme) -> None:
    programme.screened("E1", "W1", FIRST)
    programme.cancers = [{"woman_id": "W1", "diagnosis_date": date(1990, 1, 1), "breast": "L"}]
    programme.others["density"] = [{"exam_id": "E1", "breast": "L", "density": "b"}]


def wrong_names(programme: Programme) -> None:
    programme.exam("E1", "1", FIRST)
    programme.study("01", FIRST, accession="other")


def too_short(programme: Programme) -> None:
    programme.screened("E1", "W1", FIRST)
    programme.cancers = [{"woman_id": "W2", "diagnosis_date": ODD_DAY, "breast": "L"}]


def labels_without_images(programme: Programme) -> None:
    too_short(programme)
    programme.exam("E2", "W1", SECOND)
    programme.others = {
        "density": [{"exam_id": "E2", "breast": "L", "density": "b"}],
        "quality": [{"exam_id": "E2", "breast": "L", "view": "CC", "grade": "P"}],
        "landmarks": [{"sop_uid": "9.9", "nipple_visible": True}],
    }


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (wrong_names, r"none of its 1 exams joins .* Accession Number.*leading zeros.*overrides"),
        (all_after_diagnosis, r"all after a diagnosis or without a usable image; compare"),
        (too_short, r"no exam .* known outcome.*interval_days=731; fill in women\.followup_end"),
        (labels_without_images, r"no exam .* known outcome"),
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


def test_a_note_in_another_encoding_is_named_before_anything_is_written(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/note.txt").write_bytes("Før".encode("latin-1"))
    with pytest.raises(InputError, match=r"note\.txt: it is not UTF-8; save it as"):
        programme.build(tmp_path)
    assert not (tmp_path / "cohort").exists()


def test_a_cohort_that_was_cut_short_passes_for_none(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.build(tmp_path)
    (tmp_path / "cohort/attrition.parquet").unlink()
    (tmp_path / "cohort/attrition.parquet").mkdir()
    with pytest.raises(OSError, match="attrition"):
        programme.build(tmp_path)
    assert not (tmp_path / "cohort/cohort.json").exists()


def test_index_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json: no index here"):
        write_cohort(tmp_path, tmp_path, tmp_path / "cohort", CohortSettings())


@st.composite
def screened_women(draw: st.DrawFn, first: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Women from number ``first`` on, with up to four exams each, and what came of those."""
    exams = st.fixed_dictionaries(
        {
            "day": st.one_of(st.integers(0, 20), st.integers(0, 2500), st.none()),
            "came": st.sampled_from(["by accession number", "by day", "not"]),
            "views": st.lists(st.sampled_from([*VIEW_SLOTS, ("L", "ML")]), max_size=6),
            "reason": st.sampled_from([None, None, None, "for processing"]),
            "maker": st.sampled_from(["ge", "siemens"]),
            "cancer": st.sampled_from([None] * 5 + [("L", 30), ("R", 400), (None, 90)]),
            "site": st.sampled_from(["north", "south"]),
        }
    )
    hers = draw(st.lists(st.lists(exams, min_size=1, max_size=4), min_size=1, max_size=4))
    return [(f"W{first + number}", rows) for number, rows in enumerate(hers)]


def programme_of(women: list[tuple[str, list[dict[str, Any]]]]) -> Programme:
    """The programme of these women, and of ten others who keep every split from being empty."""
    programme = Programme()
    for number in range(10):
        for day in (FIRST, date(2006, 1, 1)):
            programme.screened(f"N{number} {day}", f"N{number}", day, views=VIEW_SLOTS[:1])
    given = {"exam_id": f"N0 {FIRST}", "breast": "L", "outcome": "negative"}
    programme.others = {"outcomes": [given]}
    for woman, exams in women:
        for number, exam in enumerate(exams):
            name = f"{woman}-{number}"
            day = None if exam["day"] is None else FIRST + timedelta(days=exam["day"])
            programme.exam(name, woman, day, site=exam["site"])
            if exam["came"] != "not":
                accession = name if exam["came"] == "by accession number" else None
                more = {key: exam[key] for key in ("views", "reason", "maker")}
                programme.study(woman, day, accession, **more)
            if day and exam["cancer"]:
                side, days = exam["cancer"]
                diagnosed = {"diagnosis_date": day + timedelta(days=days), "breast": side}
                programme.cancers.append({"woman_id": woman, **diagnosed})
    programme.cancers = [
        dict(row) for row in {tuple(c.items()): c for c in programme.cancers}.values()
    ]
    return programme


COHORTS = st.builds(
    CohortSettings,
    outcomes=st.just(OutcomeSettings(registry_date="2012-01-01")),
    priors=st.builds(
        PriorSettings, most=st.integers(0, 3), least_gap_months=st.sampled_from([0, 6])
    ),
    splits=st.builds(
        SplitSettings,
        test=st.just(0.5),
        salt=st.integers(0, 2),
        folds=st.sampled_from([0, 2]),
        held_out_from=st.sampled_from([None, "2005-01-01"]),
    ),
    stand_ins=st.builds(StandInSettings, for_processing=st.booleans()),
)


def tables(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("cohort/*.parquet"))]


@settings(max_examples=8)
@given(screened_women(0), screened_women(50), COHORTS, st.randoms())
def test_counts_add_up_nothing_leaks_and_nobody_moves(
    women: list[tuple[str, list[dict[str, Any]]]],
    newcomers: list[tuple[str, list[dict[str, Any]]]],
    wanted: CohortSettings,
    random: Random,
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        programme = programme_of(women)
        programme.build(folder, wanted)
        exams, before = cohort_exams(folder), tables(folder)
        check_counts(folder, programme, wanted.stand_ins.for_processing)
        check_leaks(exams)
        for rows in (programme.images, programme.exams, programme.cancers):
            random.shuffle(rows)
        programme.build(folder, wanted)
        assert tables(folder) == before
        programme_of(women + newcomers).build(folder, wanted)
        grown = cohort_exams(folder)
    assert {exam: grown[exam] for exam in exams} == exams


def check_counts(folder: Path, programme: Programme, for_processing: bool) -> None:
    """What the cohort kept and left out is what the registry has and the index kept."""
    usable = [None, "for processing"] if for_processing else [None]
    images = sum(row.get("reason") in usable for row in programme.images)
    assert sum(attrition(folder, "cohort", "images").values()) == images
    assert sum(attrition(folder, "cohort", "exams").values()) == len(programme.exams)
    assert attrition(folder, "cohort", "images")["kept"] == len(cohort_images(folder))
    assert attrition(folder, "cohort", "exams")["kept"] == len(cohort_exams(folder))
    assert {row["exam"] for row in cohort_images(folder)} == set(cohort_exams(folder))


def check_leaks(exams: dict[str, dict[str, Any]]) -> None:
    """A woman is in one split, and her priors are hers, dated and older."""
    splits: dict[str, set[str]] = {}
    for row in exams.values():
        splits.setdefault(row["woman"], set()).add(row["split"])
        for prior in row["priors"]:
            assert exams[prior]["exam_date"] < row["exam_date"]
            assert exams[prior]["woman"] == row["woman"]
        assert row["prior_makers"] == [exams[prior]["maker"] for prior in row["priors"]]
    assert all(len(parts - {Split.UNUSED}) <= 1 for parts in splits.values())
