"""The demo's model learns what is there to learn, and nothing where there is nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mim.cli.main import main
from mim.cli.report import Given, report
from mim.config.compose import compose, experiment_settings
from mim.evaluate.settings import EvaluateSettings
from mim.train.run import fit

pytestmark = pytest.mark.slow

LABELS = ["left_cancer", "right_cancer", "left_outcome", "right_outcome"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("learning") / "demo"
    assert main(["demo", f"out={out}"]) == 0
    return out


def test_the_demo_learns(demo):
    """On held-out women of the made-up programme; the interval by woman lies above chance."""
    facts = json.loads((demo / "report" / "metrics.json").read_text())
    text = json.dumps(facts)
    assert "made-up" in text.lower()
    auc = pl.read_parquet(demo / "report" / "metrics.parquet").filter(
        (pl.col("task") == "cancer")
        & (pl.col("name") == "auc")
        & (pl.col("unit") == "breasts")
        & (pl.col("model") == "run")
        & (pl.col("outcome") == "any cancer")
        & (pl.col("subgroup") == "all")
    )
    assert auc["value"].item() > 0.80
    assert auc["low"].item() > 0.65


def test_shuffled_labels_teach_nothing(demo, tmp_path):
    """The same training on labels dealt out anew over training and validation exams."""
    cohort = shutil.copytree(demo / "cohort", tmp_path / "cohort")
    exams = pl.read_parquet(cohort / "exams.parquet")
    learnt = exams.filter(pl.col("split") != "test")
    dealt = np.random.default_rng(4).permutation(len(learnt))
    shuffled = learnt.with_columns(learnt.select(LABELS)[dealt.tolist()].get_columns())
    pl.concat([shuffled, exams.filter(pl.col("split") == "test")]).write_parquet(
        cohort / "exams.parquet"
    )
    fit(cohort, demo / "cache", tmp_path / "run", *experiment_settings("demo"))
    found = (
        report(Given(tmp_path / "run"), tmp_path / "report", EvaluateSettings(resamples=500))
        .headlines[0]
        .cell.estimate
    )
    print(f"shuffled labels: {found}")
    assert found.value is not None
    assert found.low is not None
    assert found.low < 0.5 < found.high
    assert abs(found.value - 0.5) < 0.15


def test_the_demo_experiment_composes():
    assert (
        compose("train", ["cohort=.", "cache=.", "out=x", "experiment=demo"]).model.fusion.width
        == 64
    )
