"""What the training exams taught, counted against the cohort's tables."""

import numpy as np
import polars as pl
import pytest
from made_tasks import all_tasks

from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.model.settings import DensitySettings, QualitySettings, TaskSettings
from mim.train.labels import count_all_labels, count_labels, learnt_outputs, require_learnt
from mim.vocab import Criterion, Landmark, Task

TASKS = all_tasks()


@pytest.fixture
def data(cohort, cache) -> ExamData:
    return ExamData(cohort, cache, DataSettings(workers=0), TASKS, seed=1)


def of_training(cohort, table: str) -> pl.DataFrame:
    """Labels of the training exams' breasts or images that are there."""
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "train")
    images = pl.read_parquet(cohort / "images.parquet").rename({"laterality": "breast"})
    images = images.join(exams, on="exam", how="semi")
    key = ["image"] if table == "quality" else ["exam", "breast"]
    return pl.read_parquet(cohort / f"{table}.parquet").join(images, on=key, how="semi")


def test_labels_are_those_of_the_cohorts_tables(data, cohort):
    rows = data.training.rows
    density, quality = of_training(cohort, "density"), of_training(cohort, "quality")
    assert count_labels(data.everyone, rows, Task.DENSITY) == {
        "classes": {letter: (density["density"] == letter).sum() for letter in "abcd"},
        "percent": density["percent"].count(),
    }
    counted = count_labels(data.everyone, rows, Task.QUALITY)
    images = pl.read_parquet(cohort / "images.parquet")
    oblique = quality.join(images.filter(pl.col("view") == "MLO"), on="image", how="semi")
    both = pl.len().over("exam", "view") == 2
    pairs = quality.join(images.filter(both), on="image", how="semi")
    asked = dict.fromkeys(Criterion, quality) | {
        Criterion.PECTORAL_TO_NIPPLE: oblique,
        Criterion.INFRAMAMMARY_FOLD: oblique,
        Criterion.SYMMETRIC: pairs,
    }
    assert len(pairs) < len(quality)
    assert counted["criteria"] == {
        name: [int((~rows[name]).sum()), int(rows[name].sum())] for name, rows in asked.items()
    }
    for end in (Landmark.PECTORAL_UPPER, Landmark.PECTORAL_LOWER):
        assert 0 < counted["landmarks"][end] <= oblique[f"{end}_x"].count()


def test_a_breast_without_an_image_teaches_nothing(data):
    rows = data.training.rows
    everyone = data.everyone
    before = sum(count_labels(everyone, rows, Task.DENSITY)["classes"].values())
    images = everyone.images.copy()
    images[rows[0], :2] = -1
    everyone.images = images
    assert sum(count_labels(everyone, rows, Task.DENSITY)["classes"].values()) == before - 1


def test_a_criterion_with_one_answer_only_is_not_learnt(data):
    rows, labels = data.training.rows, data.everyone.labels
    labels.criteria[..., tuple(Criterion).index(Criterion.BLURRED)] = 0
    labels.criteria[..., tuple(Criterion).index(Criterion.SYMMETRIC)] = np.nan
    labels.landmarks[..., 1:, :] = np.nan
    labels.density[:] = -1
    counts = {str(task): count_labels(data.everyone, rows, task) for task in Task}
    learnt = learnt_outputs(counts, TASKS)
    assert learnt["breast_density"] is False
    assert learnt["breast_percent"] is True
    assert learnt["landmarks"] == {n: n is Landmark.NIPPLE for n in Landmark}
    silent = {name for name, taught in learnt["criteria"].items() if not taught}
    assert {Criterion.BLURRED, Criterion.SYMMETRIC} <= silent
    for name in set(Criterion) - silent:
        assert counts["quality"]["criteria"][name][0] > 0


def test_a_task_that_is_taught_nothing_is_refused(data, cohort):
    data.everyone.labels.density[:] = 1
    tasks = TaskSettings(density=DensitySettings(learn=True, percent_weight=0))
    learnt = learnt_outputs(count_all_labels(data, tasks), tasks)
    assert learnt == {"breast_density": False, "breast_percent": False}
    with pytest.raises(InputError, match="labels of the task 'density' teach nothing"):
        require_learnt(cohort, learnt, tasks)
    tasks = TaskSettings(density=DensitySettings(learn=True))
    require_learnt(cohort, learnt_outputs(count_all_labels(data, tasks), tasks), tasks)


def test_what_weighs_nothing_is_not_learnt(data):
    rows = data.training.rows
    counts = {str(task): count_labels(data.everyone, rows, task) for task in Task}
    tasks = TaskSettings(
        density=DensitySettings(learn=True, percent_weight=0),
        quality=QualitySettings(learn=True, landmark_weight=0),
    )
    learnt = learnt_outputs(counts, tasks)
    assert learnt["breast_density"] is True
    assert learnt["breast_percent"] is False
    assert not any(learnt["landmarks"].values())
