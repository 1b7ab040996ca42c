"""The whole programme: same bytes, going on after a kill, tables that fit together."""

import csv
import json
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydicom import dcmread

from mim.errors import InputError
from mim.schemas.registry import REGISTRY
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.truth import TRUTH


def settings(**changes):
    given = {"women": 3, "rounds": 2, "seed": 5, "shrink": 32, "cancer_share": 0.7, "workers": 1}
    return ProgrammeSettings(**{**given, **changes})


def contents(folder):
    """Every file's bytes by its path."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "programme"
    write_programme(out, settings())
    return out


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(small, tmp_path):
    write_programme(tmp_path / "again", settings(workers=2))
    assert contents(tmp_path / "again") == contents(small)


def test_another_seed_gives_another_programme(small, tmp_path):
    write_programme(tmp_path / "other", settings(women=1, seed=6))
    here, there = contents(small), contents(tmp_path / "other")
    assert here["pseudonym.key"] != there["pseudonym.key"]
    images = [p for p in here if p.endswith(".dcm")]
    assert all(here[p] != there.get(p) for p in images)


def test_more_women_leave_the_earlier_ones_as_they_were(small, tmp_path):
    write_programme(tmp_path / "more", settings(women=4))
    here, there = contents(small), contents(tmp_path / "more")
    for path, data in here.items():
        if path.startswith(("dicom/", "truth/masks/", "truth/women/")) or path == "pseudonym.key":
            assert there[path] == data
        elif path.startswith("registry/"):
            assert there[path].startswith(data)


def test_a_killed_job_goes_on_to_the_same_result(small, tmp_path):
    out = tmp_path / "killed"
    shutil.copytree(small, out)
    (out / "truth" / "images.parquet").unlink()
    (out / "truth" / "women" / "W000003.json").unlink()  # killed before her truth
    (out / "dicom" / "W000002").rename(out / "dicom" / ".W000002.unfinished")
    (out / "dicom" / ".W000002.unfinished" / "half.dcm").write_bytes(b"half")
    write_programme(out, settings())
    assert contents(out) == contents(small)


@pytest.mark.slow
def test_its_processes_end_with_it(tmp_path):
    words = ["synth", f"out={tmp_path / 'out'}", "women=500", "shrink=8", "workers=2"]
    with subprocess.Popen([sys.executable, "-m", "mim", *words], stderr=subprocess.DEVNULL) as one:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("out/dicom/W*")) and time.monotonic() < until:
            time.sleep(0.1)
        threads = Path(f"/proc/{one.pid}/task").glob("*/children")
        started = [number for path in threads for number in path.read_text().split()]
        one.kill()
    assert len(started) >= 2
    while any(map(running, started)) and time.monotonic() < until + 60:
        time.sleep(0.1)
    assert not any(map(running, started))


def running(number):
    """Whether a process is there and has not ended unnoticed."""
    status = Path(f"/proc/{number}/status")
    return status.exists() and "(zombie)" not in status.read_text()


def test_finished_women_are_not_written_again(small, tmp_path):
    out = tmp_path / "finished"
    shutil.copytree(small, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.dcm")}
    write_programme(out, settings())
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.dcm")} == before


def test_other_settings_are_refused_in_the_same_folder(small):
    with pytest.raises(InputError, match=r"programme\.json.*other settings"):
        write_programme(small, settings(seed=9))


@pytest.mark.parametrize(
    ("name", "value"),
    [("women", 0), ("rounds", 0), ("seed", -1), ("shrink", 0), ("shrink", 99), ("cancer_share", 1.5), ("workers", -1)],
)  # fmt: skip
def test_settings_out_of_range_are_named(tmp_path, name, value):
    with pytest.raises(InputError, match=name):
        write_programme(tmp_path / "out", settings(**{name: value}))
    assert not (tmp_path / "out").exists()


def test_it_says_that_it_is_made_up(small):
    said = json.loads((small / "programme.json").read_text(encoding="utf-8"))
    assert "never say anything about clinical performance" in said["about"]
    assert said["settings"] == {
        "women": 3,
        "rounds": 2,
        "seed": 5,
        "shrink": 32,
        "cancer_share": 0.7,
        "lookalike_share": 0.0,
    }
    assert len(bytes.fromhex((small / "pseudonym.key").read_text().strip())) == 32


WRITTEN = [schema for schema in REGISTRY if schema.name not in {"outcomes", "risk_factors"}]


@pytest.mark.parametrize("schema", WRITTEN, ids=lambda schema: schema.name)
def test_each_registry_table_keeps_its_schema(programme, schema):
    table = rows(programme / "registry" / f"{schema.name}.csv")
    assert table
    assert list(table[0]) == [column.name for column in schema.columns]
    keys = [tuple(row[name] for name in schema.key) for row in table]
    assert len(set(keys)) == len(keys)
    for column in schema.columns:
        cells = [row[column.name] for row in table]
        if not column.nullable:
            assert all(cells)
        if column.values:
            assert set(cells) - {""} <= {str(value) for value in column.values}
        if "date" in str(column.type):
            assert all(date.fromisoformat(cell) for cell in cells if cell)


def test_registry_tables_fit_together(programme):
    tables = {
        schema.name: rows(programme / "registry" / f"{schema.name}.csv") for schema in WRITTEN
    }
    exams = {row["exam_id"]: row for row in tables["exams"]}
    women = {row["woman_id"]: row for row in tables["women"]}
    for name in ("readings", "decisions", "scores", "density", "quality"):
        assert {row["exam_id"] for row in tables[name]} == set(exams)
    assert all(int(r["score"]) in range(1, 6) for r in tables["readings"])
    for row in tables["decisions"]:
        assert row["consensus"] == "true" or row["recalled"] == "false"
    diagnosed = {row["woman_id"]: row["diagnosis_date"] for row in tables["cancers"]}
    for exam in exams.values():
        assert exam["exam_date"] < diagnosed.get(exam["woman_id"], "9999")
        assert exam["exam_date"] <= women[exam["woman_id"]]["followup_end"]


def test_the_registry_says_how_each_cancer_was_found(programme):
    """By screening where the last exam before it led to recall, else by symptoms."""
    tables = {
        name: rows(programme / "registry" / f"{name}.csv")
        for name in ("exams", "decisions", "cancers")
    }
    recalled = {row["exam_id"]: row["recalled"] for row in tables["decisions"]}
    assert {row["grade"] for row in tables["cancers"]} == {"1", "2", "3"}
    assert {row["found_by"] for row in tables["cancers"]} == {"screening", "symptoms"}
    for cancer in tables["cancers"]:
        hers = [row for row in tables["exams"] if row["woman_id"] == cancer["woman_id"]]
        last = max(hers, key=lambda row: row["exam_date"])
        assert (cancer["found_by"] == "screening") == (recalled[last["exam_id"]] == "true")


def test_files_registry_and_truth_name_the_same_exams(programme):
    exams = {row["exam_id"]: row for row in rows(programme / "registry" / "exams.csv")}
    truth = {
        r["sop_uid"]: r for r in pq.read_table(programme / "truth" / "images.parquet").to_pylist()
    }
    files = sorted((programme / "dicom").rglob("*.dcm"))
    seen = set()
    for path in files:
        dataset = dcmread(path, stop_before_pixels=True)
        exam = exams[dataset.AccessionNumber]
        assert dataset.StudyInstanceUID == exam["study_uid"]
        assert dataset.PatientID == exam["woman_id"] == path.parent.parent.name
        assert dataset.StudyDate == exam["exam_date"].replace("-", "")
        row = truth.get(dataset.SOPInstanceUID)
        if row is not None:
            seen.add(dataset.SOPInstanceUID)
            assert path == programme / "dicom" / row["path"]
            assert dataset.SeriesDescription == f"{row['laterality']} {row['view']}"
    assert seen == set(truth)
    assert len({dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in files}) == len(files)


def test_truth_lies_in_the_image_and_masks_agree_with_boxes(programme):
    table = pq.read_table(programme / "truth" / "images.parquet")
    assert table.column_names == TRUTH.arrow().names
    masks = {p.stem for p in (programme / "truth" / "masks").iterdir()}
    assert masks == {r["sop_uid"] for r in table.to_pylist() if r["lesion_kinds"]}
    for row in table.to_pylist():
        dataset = dcmread(programme / "dicom" / row["path"], stop_before_pixels=True)
        assert row["nipple_visible"] is row["nipple_in_profile"]
        assert row["nipple_visible"] is (row["nipple_x"] is not None)
        if row["nipple_visible"]:
            assert 0 <= row["nipple_x"] < dataset.Columns
            assert 0 <= row["nipple_y"] < dataset.Rows
            assert row["nipple_x_mm"] == pytest.approx((row["nipple_x"] + 0.5) * row["spacing_mm"])
        assert 0.01 < row["glandular"] < 0.6
        if row["lesion_kinds"]:
            mask = cv2.imread(str(programme / "truth" / "masks" / f"{row['sop_uid']}.png"), -1)
            assert mask.shape == (dataset.Rows, dataset.Columns)
            assert set(np.unique(mask)) == set(range(len(row["lesion_kinds"]) + 1))
            for number, (x0, y0, x1, y1) in enumerate(row["lesion_boxes"], start=1):
                found = np.argwhere(mask == number)
                assert found.min(0).tolist() == [y0, x0]
                assert (found.max(0) + 1).tolist() == [y1, x1]


def test_the_chest_wall_lies_where_patient_orientation_says(programme):
    for row in pq.read_table(programme / "truth" / "images.parquet").to_pylist():
        dataset = dcmread(programme / "dicom" / row["path"], stop_before_pixels=True)
        towards_front = dataset.PatientOrientation[0] == "A"
        assert (
            (row["nipple_x"] > row["pectoral_lower_x"]) == towards_front
            if row["pectoral_lower_x"] is not None and row["nipple_visible"]
            else True
        )


def test_the_registry_knows_of_images_what_the_truth_does(programme):
    truth = {
        row["sop_uid"]: row
        for row in pq.read_table(programme / "truth" / "images.parquet").to_pylist()
    }
    marked = rows(programme / "registry" / "landmarks.csv")
    assert {row["sop_uid"] for row in marked} == set(truth)
    for row in marked:
        known = truth[row["sop_uid"]]["nipple_x"]
        said = float(row["nipple_x"]) if row["nipple_x"] else None
        assert said == pytest.approx(known)
    graded = {
        (r["exam_id"], r["breast"], r["view"]): r
        for r in rows(programme / "registry" / "quality.csv")
    }
    kept = [row for row in truth.values() if not row["retaken"]]
    assert len(graded) == len(kept)
    for row in kept:
        said = graded[row["exam_id"], row["laterality"], row["view"]]
        assert said["grade"] == row["grade"]
        assert said["blurred"] == str(row["blurred"]).lower()
        assert not row["blurred"] or row["grade"] == "I"


LOOKS = {
    "spiculated mass": "mass",
    "smooth mass": "mass",
    "calcification cluster": "calcification",
    "coarse calcification": "calcification",
    "architectural distortion": "distortion",
    "asymmetry": "asymmetry",
}


def test_the_registry_has_the_boxes_of_the_truth(programme):
    """A box of whole pixels, ends excluded, begins half a pixel before the first one's centre."""
    boxes = {}
    for row in pq.read_table(programme / "truth" / "images.parquet").to_pylist():
        said = zip(row["lesion_boxes"], row["lesion_kinds"], row["lesion_malignant"], strict=True)
        for (x0, y0, x1, y1), kind, malignant in said:
            place = (x0 - 0.5, y0 - 0.5, x1 - x0, y1 - y0)
            boxes[row["sop_uid"], *place] = (LOOKS[kind], str(malignant).lower())
    names = ("x", "y", "width", "height")
    listed = {
        (row["sop_uid"], *(float(row[name]) for name in names)): (row["kind"], row["malignant"])
        for row in rows(programme / "registry" / "lesions.csv")
    }
    assert listed == boxes
    assert {kind for kind, _ in listed.values()} >= {"mass", "calcification"}
    assert {malignant for _, malignant in listed.values()} == {"true", "false"}


def test_each_breast_has_a_first_and_a_second_reading(programme):
    turns = {}
    for row in rows(programme / "registry" / "readings.csv"):
        turns.setdefault((row["exam_id"], row["breast"]), {})[row["reader"]] = row["reading"]
    assert all(sorted(pair.values()) == ["1", "2"] for pair in turns.values())
    first = {exam: pair for (exam, _), pair in turns.items()}
    assert all(first[exam] == pair for (exam, _), pair in turns.items())
    lower_first = {pair[min(pair)] == "1" for pair in first.values()}
    assert lower_first == {True, False}


def test_the_cancer_stays_in_its_place_between_views_and_rounds(programme):
    depths = {}
    for row in pq.read_table(programme / "truth" / "images.parquet").to_pylist():
        for box, malignant in zip(row["lesion_boxes"], row["lesion_malignant"], strict=True):
            if malignant and not row["retaken"] and row["nipple_visible"]:
                middle = (box[0] + box[2]) / 2 - 0.5
                depth = abs(middle - row["nipple_x"]) * row["spacing_mm"]
                depths.setdefault((row["patient_id"], row["laterality"]), []).append(depth)
    assert depths
    # Rotation about the nipple moves it most where it lies far above or below.
    assert all(max(d) - min(d) < 22 for d in depths.values())
