"""A run: its schedule, its folder, and that it ends the same however often it is stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from math import cos, pi
from pathlib import Path

import polars as pl
import pytest
import torch

from mim.data.settings import AugmentSettings, DataSettings
from mim.errors import InputError
from mim.model.settings import ModelSettings
from mim.schemas.scores import SCORES
from mim.schemas.table import read_table
from mim.train.run import fit, load_task, score
from mim.train.settings import Accelerator, Precision, TrainSettings, WandbMode
from mim.train.task import warmup_and_cosine
from mim.vocab import Split

DATA = DataSettings(batch_size=4, augment=AugmentSettings(probability=0.5))
MODEL = ModelSettings(encoder="lcnet_035", width=16, layers=1, heads=2)


def training(**changes) -> TrainSettings:
    return TrainSettings(
        **{"epochs": 1, "accelerator": Accelerator.cpu, "wandb": WandbMode.off, **changes}
    )


def test_the_learning_rate_rises_then_falls_by_half_a_cosine():
    share = warmup_and_cosine(100, 0.1)
    assert [share(0), share(4), share(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert share(10) == pytest.approx(1.0)
    assert share(55) == pytest.approx(0.5 * (1 + cos(pi / 2)))
    assert share(100) == pytest.approx(0.0)


def test_a_run_is_complete_on_disk(run):
    for name in ("run.json", "inputs.png", "attrition.parquet", "log/metrics.csv"):
        assert (run / name).stat().st_size > 0
    for name in ("best.ckpt", "last.ckpt"):
        assert torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
    assert pl.read_csv(run / "log" / "metrics.csv")["validation/auc"].drop_nulls().len() == 4


def test_every_breast_of_a_split_is_scored_once(run, cohort):
    table = read_table(score(run, Split.TEST), SCORES)
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "test")
    assert table.num_rows == 2 * len(exams)
    assert set(table["exam"].to_pylist()) == set(exams["exam"])
    assert (
        len(set(zip(table["exam"].to_pylist(), table["breast"].to_pylist(), strict=True)))
        == table.num_rows
    )
    assert all(0 <= s <= 1 for s in table["score"].to_pylist() if s is not None)


def test_a_run_folder_of_other_settings_is_refused(run, cohort, cache):
    with pytest.raises(InputError, match="other settings"):
        fit(cohort, cache, run, DATA, MODEL, training(seed=2))


def test_an_encoder_that_does_not_exist_takes_no_folder(cohort, cache, tmp_path):
    with pytest.raises(InputError, match=r"model\.encoder: .* near it: lcnet_035"):
        fit(cohort, cache, tmp_path / "run", DATA, ModelSettings(encoder="lcnet_03"), training())
    assert not (tmp_path / "run").exists()


def test_a_run_that_died_before_its_first_epoch_is_none(run, cohort, cache, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(run / "run.json", tmp_path / "run")
    fit(cohort, cache, tmp_path / "run", DATA, MODEL, training(seed=2))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["train"]["seed"] == 2


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no run\.json"):
        load_task(tmp_path)


def test_mixed_precision_and_wandb_offline_run(cohort, cache, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(
        cohort,
        cache,
        tmp_path / "run",
        DATA,
        MODEL,
        training(precision=Precision.bfloat16, wandb=WandbMode.offline),
    )
    scored = [path.name for path in (tmp_path / "run" / "scores").iterdir()]
    assert scored == ["validation.parquet"], "fit never looks at the test exams"
    written = list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert written, "wandb works offline"
    content = b"".join(path.read_bytes() for path in written)
    woman = pl.read_parquet(cohort / "exams.parquet")["woman"][0]
    for private in (woman, str(cohort), str(Path.cwd())):
        assert private.encode() not in content, private


def weights(run) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.slow
def test_two_runs_of_one_seed_are_one(cohort, cache, tmp_path):
    for name in ("one", "other"):
        fit(cohort, cache, tmp_path / name, DATA, MODEL, training(epochs=2))
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    fit(cohort, cache, tmp_path / "third", DATA, MODEL, training(epochs=2, seed=5))
    one, third = weights(tmp_path / "one"), weights(tmp_path / "third")
    assert any(not torch.equal(one[name], third[name]) for name in one)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(cohort, cache, tmp_path):
    keys = [
        "data.batch_size=4",
        "data.augment.probability=0.5",
        "model.encoder=lcnet_035",
        "model.width=16",
        "model.layers=1",
        "model.heads=2",
        "train.epochs=4",
        "train.accelerator=cpu",
        "train.wandb=off",
    ]

    def command(out) -> list[str]:
        return [
            sys.executable,
            "-m",
            "mim",
            "train",
            f"cohort={cohort}",
            f"cache={cache}",
            f"out={out}",
            *keys,
        ]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = killed / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = torch.load(last, weights_only=True)["epoch"]
    assert done < 3
    subprocess.run(command(killed), check=True, capture_output=True)
    assert_same(weights(tmp_path / "whole"), weights(killed))


def test_the_card_says_what_was_learnt_from(run, cohort):
    card = json.loads((run / "run.json").read_text())
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "train")
    known = exams.filter(pl.col("left_cancer").is_not_null() | pl.col("right_cancer").is_not_null())
    assert card["training"]["exams"] == len(known)
    assert card["training"]["women"] == known["woman"].n_unique()
    assert (
        card["training"]["cancers"]
        == known.select(pl.col("left_cancer", "right_cancer").sum()).sum_horizontal()[0]
    )
