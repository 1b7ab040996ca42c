"""The hospital gets the score that training gives: from DICOM by the bundle, from the cache by the task."""

import json

import numpy as np
import polars as pl
import pytest

from mim.deploy.predict import predict
from mim.schemas.scores import PREDICTIONS, SCORES
from mim.schemas.table import read_table
from mim.train.run import score
from mim.vocab import Split


@pytest.fixture(scope="module")
def predicted(bundle, programme, tmp_path_factory) -> dict[str, dict]:
    out = tmp_path_factory.mktemp("predicted")
    predict(bundle, programme / "dicom", out, None)
    rows = read_table(out / "predictions.parquet", PREDICTIONS).to_pylist()
    assert json.loads((out / "predictions.json").read_text())["exams"] == rows
    assert (out / "inputs-1.png").exists()
    return {row["study_uid"]: row for row in rows}


def test_every_exam_of_the_cohort_scores_alike(predicted, run, index):
    studies = dict(
        pl.read_parquet(index / "images")
        .drop_nulls("exam")
        .select("exam", "study_uid")
        .unique()
        .rows()
    )
    compared, with_prior, lacking = 0, 0, 0
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        for row in read_table(score(run, split), SCORES).to_pylist():
            ours = predicted[studies[row["exam"]]]
            theirs = ours["left_score" if row["breast"] == "L" else "right_score"]
            assert (row["score"] is None) == (theirs is None)
            lacking += row["score"] is None or ours["images"] < 4
            with_prior += ours["priors"] > 0
            assert ours["priors"] == row["priors"]
            if row["score"] is not None:
                assert theirs == pytest.approx(row["score"], abs=1e-4)
                compared += 1
    assert compared > 30
    assert with_prior > 5
    assert lacking > 0, "the programme has exams with missing views"


def test_scores_differ_between_exams(predicted):
    scores = [row["exam_score"] for row in predicted.values() if row["exam_score"] is not None]
    assert np.ptp(scores) > 1e-3, "parity of constants would prove nothing"
