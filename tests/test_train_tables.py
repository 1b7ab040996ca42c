"""Score tables against a slow second opinion, exam by exam from the cohort's own tables."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from made_tasks import all_tasks

from mim.data.datamodule import ExamData
from mim.data.sampler import Draw
from mim.data.settings import DataSettings
from mim.model.exam import ExamModel, ExamScorer
from mim.model.settings import (
    EncoderSettings,
    FusionSettings,
    ModelSettings,
)
from mim.schemas.scores import OF_TASK
from mim.train.scores import score_tables
from mim.vocab import VIEW_SLOTS, Criterion, Landmark, Split, Task

TASKS = all_tasks(years=3)
ON_MLO = {Criterion.PECTORAL_TO_NIPPLE, Criterion.INFRAMAMMARY_FOLD}
SIDES = {"L": "left", "R": "right"}


@pytest.fixture(scope="module")
def exams(cohort, cache) -> ExamData:
    data = DataSettings(batch_size=4, workers=0)
    return ExamData(cohort, cache, data, TASKS, seed=1)


@pytest.fixture(scope="module")
def scorer() -> ExamScorer:
    torch.manual_seed(3)
    model = ModelSettings(
        encoder=EncoderSettings(name="lcnet_035"),
        fusion=FusionSettings(width=16, layers=1, heads=2),
    )
    return ExamScorer(ExamModel(model, TASKS)).eval()


@pytest.fixture(scope="module")
def tables(scorer, exams) -> dict[Task, pa.Table]:
    return score_tables(scorer, exams, Split.TEST, learnt={})


@pytest.fixture(scope="module")
def said(scorer, exams) -> dict[str, dict[str, np.ndarray]]:
    """What the model says of each exam by itself, by its pseudonym."""
    dataset = exams.dataset(Split.TEST)
    found = {}
    for place, row in enumerate(dataset.rows):
        batch = dataset[[Draw(place, 0)]]
        with torch.inference_mode():
            scores = scorer(batch.images, batch.present, batch.months)
        named = {name: part[0].numpy() for name, part in zip(scorer.names, scores, strict=True)}
        found[exams.everyone.table["exam"][int(row)].as_py()] = named
    return found


def rows(tables, task: Task) -> list[dict]:
    return tables[task].to_pylist()


def known(cohort: Path, name: str = "exams", key: str = "exam") -> dict[str, dict]:
    return {row[key]: row for row in pl.read_parquet(cohort / f"{name}.parquet").to_dicts()}


def test_tables_are_as_their_schemas_say(tables):
    for task in Task:
        assert tables[task].schema.equals(OF_TASK[task].arrow())


def test_every_breast_of_the_split_stands_once(tables, cohort):
    wanted = {(e, b) for e, row in known(cohort).items() if row["split"] == "test" for b in "LR"}
    for task in (Task.CANCER, Task.RISK, Task.DENSITY):
        found = [(row["exam"], row["breast"]) for row in rows(tables, task)]
        assert len(found) == len(wanted)
        assert set(found) == wanted


def test_cancer_and_risk_stand_beside_what_is_known(tables, said, cohort):
    exams = known(cohort)
    for row, risk in zip(rows(tables, Task.CANCER), rows(tables, Task.RISK), strict=True):
        exam, place, side = exams[row["exam"]], "LR".index(row["breast"]), SIDES[row["breast"]]
        assert row["score"] == pytest.approx(said[row["exam"]]["breast_score"][place], abs=1e-5)
        assert risk["risk"] == pytest.approx(said[row["exam"]]["breast_risk"][place], abs=1e-5)
        for column in ("woman", "maker", "split"):
            assert row[column] == risk[column] == exam[column]
        assert row["priors"] == risk["priors"] == len(exam["priors"])
        for name in ("cancer", "outcome"):
            assert row[name] == exam[f"{side}_{name}"]
        for name in ("years_to_cancer", "years_followed"):
            assert risk[name] == exam[f"{side}_{name}"]


def test_density_stands_beside_what_is_known(tables, said, cohort):
    truth = pl.read_parquet(cohort / "density.parquet").to_dicts()
    truth = {(row["exam"], row["breast"]): row for row in truth}
    for row in rows(tables, Task.DENSITY):
        scores, place = said[row["exam"]], "LR".index(row["breast"])
        chances = [row[f"probability_{letter}"] for letter in "abcd"]
        assert chances == pytest.approx(scores["breast_density"][place], abs=1e-5)
        assert row["score"] == pytest.approx((chances[1] + 2 * chances[2] + 3 * chances[3]) / 3)
        assert row["percent"] == pytest.approx(scores["breast_percent"][place], abs=1e-3)
        of_breast = truth[row["exam"], row["breast"]]
        assert row["density"] == of_breast["density"]
        assert row["percent_known"] == pytest.approx(of_breast["percent"], abs=1e-4)


def test_what_was_not_learnt_is_missing(scorer, exams):
    taught = {"breast_percent": False, "criteria": {c: c == "blurred" for c in Criterion}}
    found = score_tables(scorer, exams, Split.TEST, taught)
    density, quality = found[Task.DENSITY], found[Task.QUALITY]
    assert density["percent"].null_count == len(density)
    assert density["score"].null_count == 0
    for criterion in Criterion:
        assert quality[criterion].null_count == (0 if criterion == "blurred" else len(quality))


def test_quality_has_a_row_for_each_image(tables, said, cohort, cache):
    images, truth = known(cohort, "images", "image"), known(cohort, "quality", "image")
    exams = known(cohort)
    views = {exam: [r for r in images.values() if r["exam"] == exam] for exam in exams}
    wanted = {name for name, row in images.items() if exams[row["exam"]]["split"] == "test"}
    found = rows(tables, Task.QUALITY)
    assert len(found) == len(wanted)
    assert {row["image"] for row in found} == wanted
    (folder,) = cache.glob("*/cache.json")
    recipe = json.loads(folder.read_text())["recipe"]
    slots = [(str(side), str(view)) for side, view in VIEW_SLOTS]
    for row in found:
        image, of_image = images[row["image"]], truth[row["image"]]
        assert (row["exam"], row["breast"], row["view"]) == (
            image["exam"],
            image["laterality"],
            image["view"],
        )
        scores, slot = said[row["exam"]], slots.index((row["breast"], row["view"]))
        for place, name in enumerate(Landmark):
            if row["view"] == "CC" and name is not Landmark.NIPPLE:
                assert row[f"{name}_x"] is row[f"{name}_visible"] is None, "sought on MLO only"
                continue
            x, y = scores["landmarks"][slot][place]
            assert row[f"{name}_x"] == pytest.approx(x * recipe["width"] - 0.5, abs=1e-3)
            assert row[f"{name}_y"] == pytest.approx(y * recipe["height"] - 0.5, abs=1e-3)
            there = scores["landmarks_visible"][slot][place]
            assert row[f"{name}_visible"] == pytest.approx(there, abs=1e-5)
        there = {(row["laterality"], row["view"]) for row in views[image["exam"]]}
        for place, name in enumerate(Criterion):
            if name in ON_MLO and row["view"] == "CC":
                assert row[name.value] is row[f"known_{name}"] is None
            elif name is Criterion.SYMMETRIC and len({s for s, v in there if v == row["view"]}) < 2:
                assert row[name.value] is row[f"known_{name}"] is None, "nothing to compare with"
            else:
                assert row[name.value] == pytest.approx(scores["criteria"][slot][place], abs=1e-5)
                assert row[f"known_{name}"] == of_image[name.value]
        assert row["known_grade"] == of_image["grade"]


def test_landmarks_lie_in_millimetres_where_they_lie_on_the_stored_image(tables, cohort):
    """Distances between an image's known points are the same in both spaces."""
    images, truth = known(cohort, "images", "image"), known(cohort, "quality", "image")
    compared = 0
    for row in rows(tables, Task.QUALITY):
        ends = [f"known_{name}" for name in ("pectoral_upper", "nipple")]
        model = [[row[f"{name}_{axis}"] for axis in "xy"] for name in ends]
        stored = [
            [truth[row["image"]][f"{name.removeprefix('known_')}_{axis}"] for axis in "xy"]
            for name in ends
        ]
        if any(value is None for point in (*model, *stored) for value in point):
            continue
        apart = np.linalg.norm(np.subtract(*stored)) * images[row["image"]]["spacing_mm"]
        assert np.linalg.norm(np.subtract(*model)) * row["spacing_mm"] == pytest.approx(
            apart, rel=5e-3
        )
        compared += 1
    assert compared > 3


def test_a_split_without_exams_has_empty_tables(scorer, cohort, cache, tmp_path):
    copy = shutil.copytree(cohort, tmp_path / "cohort")
    table = pl.read_parquet(copy / "exams.parquet").filter(pl.col("split") != "test")
    table.write_parquet(copy / "exams.parquet")
    exams = ExamData(copy, cache, DataSettings(batch_size=4, workers=0), TASKS, seed=1)
    for task, empty in score_tables(scorer, exams, Split.TEST, learnt={}).items():
        assert len(empty) == 0
        assert empty.schema.equals(OF_TASK[task].arrow())
