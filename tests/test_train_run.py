"""A run: its folder, what it says of itself, and that it ends the same however often it is stopped."""

import csv
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from made_tasks import all_tasks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mim.data import datamodule
from mim.data.settings import AugmentSettings, DataSettings, Place
from mim.errors import InputError
from mim.evaluate.tasks import task_metrics
from mim.export.bundle import write_bundle
from mim.image.settings import Harmonise
from mim.model.settings import (
    EncoderSettings,
    Fuse,
    FusionSettings,
    ModelSettings,
    RiskSettings,
    TaskSettings,
)
from mim.schemas.folders import held
from mim.schemas.scores import OF_TASK, SCORES
from mim.schemas.table import read_table
from mim.train.card import RunCard, check_free
from mim.train.checkpoints import read_checkpoint
from mim.train.metric import chosen_metric
from mim.train.run import data_of, fit, load_task, score
from mim.train.settings import Accelerator, Optimizer, Precision, TrainSettings, WandbMode
from mim.train.waits import remedy
from mim.vocab import Landmark, Split, Task

DATA = DataSettings(batch_size=4, workers=0, augment=AugmentSettings(probability=0.5))
ENCODER = EncoderSettings(name="lcnet_035")
MODEL = ModelSettings(encoder=ENCODER, fusion=FusionSettings(width=16, layers=1, heads=2))
CANCER = TaskSettings()
ALL = all_tasks()


def training(**changes) -> TrainSettings:
    return TrainSettings(
        **{"epochs": 1, "accelerator": Accelerator.cpu, "wandb": WandbMode.off, **changes}
    )


def log(run: Path) -> list[dict[str, str]]:
    with (run / "log" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(run: Path, name: str) -> list[float]:
    """A figure's values over the run."""
    return [float(row[name]) for row in log(run) if row.get(name)]


def test_a_run_is_complete_on_disk(run):
    for name in ("run.json", "inputs.png", "samples.png", "saliency.png", "attrition.parquet"):
        assert (run / name).stat().st_size > 0
    for name in ("best.ckpt", "last.ckpt"):
        assert torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
    tasks = [task for task in Task if json_of(run)["settings"]["tasks"][task]["learn"]]
    for task in tasks:
        assert len(column(run, f"train/{task}/loss")) == 4
        assert len(column(run, f"validation/{task}/loss")) == 4
    assert len(column(run, "validation/cancer/auc")) == 4
    written = {path.name for path in (run / "scores").iterdir()}
    assert {f"validation-{task}.parquet" for task in tasks} <= written


def json_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def test_the_log_says_what_the_scores_say(run):
    """The figure of the best epoch is that of the table made afterwards by the kept weights."""
    table = read_table(run / "scores" / "validation-cancer.parquet", SCORES)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"]
    assert column(run, "validation/cancer/auc")[best] == pytest.approx(
        task_metrics(Task.CANCER, table)["auc"], abs=1e-6
    )


def test_the_sum_of_the_losses_is_logged_and_the_learning_rate(run):
    tasks = [task for task in Task if json_of(run)["settings"]["tasks"][task]["learn"]]
    parts = [column(run, f"train/{task}/loss") for task in tasks]
    assert column(run, "train/loss") == pytest.approx(np.sum(parts, axis=0))
    assert all(0 < rate <= 1e-3 for rate in column(run, "train/learning_rate"))


def test_every_breast_of_a_split_is_scored_once(run, cohort):
    table = read_table(score(run, Split.TEST)[Task.CANCER], SCORES)
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "test")
    assert table.num_rows == 2 * len(exams)
    found = zip(table["exam"].to_pylist(), table["breast"].to_pylist(), strict=True)
    assert set(found) == {(exam, breast) for exam in exams["exam"] for breast in "LR"}
    assert all(0 <= s <= 1 for s in table["score"].to_pylist() if s is not None)


def test_a_run_folder_of_other_settings_is_refused(run, cohort, cache):
    with pytest.raises(InputError, match=r"holds a run with other .*train\.seed.*; choose another"):
        fit(cohort, cache, run, DATA, CANCER, MODEL, training(seed=2))


def test_a_run_goes_on_with_more_workers(run, cohort, cache):
    card = RunCard.read(run)
    card.settings["data"] |= {"workers": 2, "ahead": 5}
    check_free(run, card)
    card.settings["data"]["batch_size"] += 1
    with pytest.raises(InputError, match=r"holds a run with other data\.batch_size;"):
        check_free(run, card)


def test_a_run_keeps_the_standard_of_grey_levels_it_has_learnt(
    cohort, cache, tmp_path, capsys, monkeypatch
):
    augment = AugmentSettings(probability=0.5, maker_jitter=0.5)
    data = replace(DATA, harmonise=Harmonise.landmarks, augment=augment)
    fit(cohort, cache, tmp_path, data, CANCER, MODEL, training())
    card = RunCard.read(tmp_path)
    assert re.search(
        r"grey levels of makers: learnt on \d+ images of \d+ women", capsys.readouterr().out
    )
    fit(cohort, cache, tmp_path, data, CANCER, MODEL, training())
    assert RunCard.read(tmp_path).greys == card.greys, "a run that goes on learns the same"
    monkeypatch.setattr(datamodule, "learn_greys", lambda *_: pytest.fail("learnt anew"))
    exams = data_of(tmp_path, card)
    assert exams.greys.to_json() == card.greys
    assert exams.greys.learnt_on["exams"] == card.training["exams"]
    score(tmp_path, Split.TEST)
    changed = replace(card, greys=card.greys | {"kind": "voi"})
    with pytest.raises(InputError, match=r"run\.json: greys were changed"):
        data_of(tmp_path, changed)


def test_a_run_that_another_process_trains_is_refused(cohort, cache, tmp_path):
    refused = pytest.raises(InputError, match="another process is writing it; wait for its end")
    for _ in range(2):  # an error lets go of it
        with held(tmp_path), refused:
            fit(cohort, cache, tmp_path, DATA, CANCER, MODEL, training())
    assert not any(tmp_path.iterdir())


def test_folders_of_other_commands_are_refused(index, bundle, cohort, cache):
    for folder, name in ((index, "attrition.parquet"), (bundle, "bundle.json")):
        before = (folder / name).read_bytes()
        with pytest.raises(InputError, match=r"holds \w+\.json of another command"):
            fit(cohort, cache, folder, DATA, CANCER, MODEL, training())
        assert (folder / name).read_bytes() == before


def test_a_cohort_with_other_women_in_training_is_refused(run, cohort, tmp_path):
    """Its test women may be those the run was trained on."""
    moved = shutil.copytree(cohort, tmp_path / "cohort")
    exams = pl.read_parquet(moved / "exams.parquet")
    tested, trained = (
        exams.filter(pl.col("split") == split)["woman"][0] for split in ("test", "train")
    )
    swapped = pl.col("woman").replace_strict(
        {tested: "train", trained: "test"}, default=pl.col("split")
    )
    exams.with_columns(split=swapped).write_parquet(moved / "exams.parquet")
    again = shutil.copytree(run, tmp_path / "run")
    card = json_of(again)
    for place, words in ((moved, "other women are in train"), (tmp_path / "no", "not there; put")):
        (again / "run.json").write_text(json.dumps(card | {"cohort": str(place)}))
        with pytest.raises(InputError, match=words):
            score(again, Split.TEST)
        with pytest.raises(InputError, match=words):
            write_bundle(again, tmp_path / "bundle")


def test_a_card_of_another_version_is_named(run, tmp_path):
    again = shutil.copytree(run, tmp_path / "run")
    card = json_of(again)
    del card["training"]["labels"]["quality"]["criteria"]
    (again / "run.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"run\.json: written by another version"):
        load_task(again)


def test_years_that_nobody_was_followed_into_are_refused(cohort, cache, tmp_path):
    tasks = TaskSettings(risk=RiskSettings(learn=True, years=20))
    with pytest.raises(InputError, match=r"nothing teaches year 20; set tasks\.risk\.years=\d or"):
        fit(cohort, cache, tmp_path / "run", DATA, tasks, MODEL, training())


def test_an_encoder_that_does_not_exist_takes_no_folder(cohort, cache, tmp_path):
    model = ModelSettings(encoder=EncoderSettings(name="lcnet_03"))
    with pytest.raises(InputError, match=r"model\.encoder\.name: .* near it: lcnet_035"):
        fit(cohort, cache, tmp_path / "run", DATA, CANCER, model, training())
    model = ModelSettings(encoder=EncoderSettings(name="resnet18.nope"))
    with pytest.raises(InputError, match=r"no weights 'resnet18\.nope'; it has resnet18\.a1_in1k"):
        fit(cohort, cache, tmp_path / "run", DATA, CANCER, model, training())
    assert not (tmp_path / "run").exists()


def test_a_metric_that_no_task_has_is_refused_with_those_there_are(cohort, cache, tmp_path):
    with pytest.raises(InputError, match=r"no metric 'density/auc'; there are cancer/auc"):
        fit(cohort, cache, tmp_path / "run", DATA, CANCER, MODEL, training(metric="density/auc"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "taught", "metric"),
    [
        ("density", {"breast_density": False, "breast_percent": True}, "density/percent_error"),
        ("density", {"breast_density": True, "breast_percent": False}, "density/kappa_linear"),
        ("quality", {"landmarks": dict.fromkeys(Landmark, False)}, "quality/criteria_auc"),
        ("quality", {"landmarks": dict.fromkeys(Landmark, True)}, "quality/nipple_mm"),
    ],
)
def test_the_metric_is_one_that_the_labels_allow(task, taught, metric):
    tasks = TaskSettings()
    tasks.cancer.learn = False
    getattr(tasks, task).learn = True
    assert chosen_metric(tasks, training(), taught) == metric


def test_no_epoch_is_best_by_a_figure_that_is_best_at_one(cohort, cache, tmp_path):
    chosen = training(metric="risk/expected_over_observed")
    with pytest.raises(InputError, match=r"there are cancer/auc, risk/c_index, density"):
        fit(cohort, cache, tmp_path / "run", DATA, ALL, MODEL, chosen)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"accelerator": Accelerator.gpu, "devices": 1000},
            r"train\.(accelerator: no GPU|devices)",
        ),
        ({"nodes": 2}, r"train\.nodes: 2 machines need one job"),
    ],
    ids=["devices", "machines"],
)
def test_devices_that_are_not_there_are_refused(changes, said, cohort, cache, tmp_path):
    with pytest.raises(InputError, match=said):
        fit(cohort, cache, tmp_path / "run", DATA, CANCER, MODEL, training(**changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
@pytest.mark.parametrize("damage", [b"", b"x" * 300, None], ids=["empty", "garbage", "cut"])
def test_a_damaged_checkpoint_is_named(name, damage, run, tmp_path):
    content = (run / "checkpoints" / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(InputError, match=f"{name}: no checkpoint, or cut short"):
        read_checkpoint(tmp_path / name)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no run\.json"):
        load_task(tmp_path)


def test_the_card_says_what_was_learnt_from(run, cohort):
    card = json_of(run)
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "train")
    known = exams.filter(pl.col("left_cancer").is_not_null() | pl.col("right_cancer").is_not_null())
    assert card["training"]["exams"] == len(known)
    assert card["training"]["women"] == known["woman"].n_unique()
    sides = known.select("left_cancer", "right_cancer")
    assert card["training"]["labels"]["cancer"] == {
        "breasts": int(sides.count().sum_horizontal()[0]),
        "cancers": int(sides.sum().sum_horizontal()[0]),
    }
    assert card["start"] is None
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    if commit.returncode == 0:
        assert card["code"]["commit"] == commit.stdout.strip()


def test_a_remedy_names_what_is_set():
    text = remedy(0.42, DataSettings(workers=3, ahead=5))
    assert "42%" in text
    for said in ("data.workers (3)", "data.ahead (5)", "data.augment.where=device", "local disk"):
        assert said in text
    on_device = DataSettings(augment=AugmentSettings(where=Place.device))
    assert "where=device" not in remedy(0.42, on_device)


def private_words(programme: Path, index: Path, *folders: Path) -> set[str]:
    """Identifiers of women, exams and files, places, and this machine's name."""
    names = ("patient_id", "study_uid", "series_uid", "sop_uid", "accession_number", "path")
    table = pl.read_parquet(index / "images")
    words = {value for name in names for value in table[name].drop_nulls()}
    registry = pl.read_csv(programme / "registry" / "exams.csv", infer_schema=False)
    ids = {value for name in ("woman_id", "exam_id") for value in registry[name]}
    machine = {socket.gethostname(), getpass.getuser()}
    places = {str(folder) for folder in folders}
    return {word for word in words | ids | machine | places if len(word) > 4}


def test_all_tasks_and_all_trackers_tell_nothing_private(
    programme, index, cohort, cache, tmp_path, monkeypatch, capsys
):
    """In half precision, augmented on the device, with steps of two batches and averaged weights."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    train = training(
        precision=Precision.bfloat16,
        wandb=WandbMode.offline,
        ema=0.9,
        accumulate=2,
        optimizer=Optimizer.sgd,
        metric="quality/nipple_mm",
    )
    augment = AugmentSettings(where=Place.device)
    data = DataSettings(batch_size=4, workers=1, augment=augment)
    fit(cohort, cache, run, data, ALL, MODEL, train)
    scored = {path.name for path in (run / "scores").iterdir()}
    assert scored == {f"validation-{task}.parquet" for task in Task}, "the test exams are not seen"
    for name in ("cancer/auc", "risk/c_index", "density/kappa_linear", "quality/nipple_mm"):
        assert len(column(run, f"validation/{name}")) == 1
    pictures = EventAccumulator(str(run / "tensorboard")).Reload().Tags()["images"]
    assert set(pictures) == {"inputs", "samples", "saliency"}
    (tracked,) = (run / "wandb").glob("offline-run-*")
    given = {path.name for path in (tracked / "files").rglob("*")}
    assert scored <= given, "score tables, with pseudonyms"
    assert any(name.startswith("saliency") for name in given)
    files = [p for f in (run / "wandb", run / "tensorboard") for p in f.rglob("*") if p.is_file()]
    content = b"".join(path.read_bytes() + path.name.encode() for path in files)
    assert json_of(run)["fingerprint"].encode() in content
    secrets = private_words(programme, index, cohort, cache, tmp_path, Path.cwd(), Path.home())
    assert [word for word in secrets if word.encode() in content] == []


def weights(run: Path, key: str = "state_dict") -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)[key]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.slow
def test_a_run_that_died_before_its_first_epoch_is_none(run, cohort, cache, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(run / "run.json", tmp_path / "run")
    fit(cohort, cache, tmp_path / "run", DATA, CANCER, MODEL, training(seed=2))
    assert json_of(tmp_path / "run")["settings"]["train"]["seed"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("where", list(Place))
def test_two_runs_of_one_seed_are_one(where, cohort, cache, tmp_path):
    data = DataSettings(batch_size=4, augment=AugmentSettings(where=where))
    for name in ("one", "other"):
        fit(cohort, cache, tmp_path / name, data, ALL, MODEL, training(epochs=2))
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    fit(cohort, cache, tmp_path / "third", data, ALL, MODEL, training(epochs=2, seed=5))
    one, third = weights(tmp_path / "one"), weights(tmp_path / "third")
    assert any(not torch.equal(one[name], third[name]) for name in one)


@pytest.mark.slow
def test_validation_changes_nothing_about_training(cohort, cache, tmp_path):
    """With other validation exams, and metrics that differ for it, the same weights come out."""
    fewer = shutil.copytree(cohort, tmp_path / "cohort")
    exams = pl.read_parquet(fewer / "exams.parquet")
    validation = exams.filter(pl.col("split") == "validation")
    exams = exams.filter(~pl.col("exam").is_in(validation["exam"][:3].implode()))
    exams.write_parquet(fewer / "exams.parquet")
    for name, folder in (("one", cohort), ("other", fewer)):
        fit(folder, cache, tmp_path / name, DATA, ALL, MODEL, training(epochs=2))
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    assert column(tmp_path / "one", "validation/loss") != column(
        tmp_path / "other", "validation/loss"
    )


BATCHES = 12
"""Of an epoch, with one exam in each."""


def command(cohort: Path, cache: Path, out: Path, *keys: str) -> list[str]:
    fixed = [
        "model.encoder.name=lcnet_035",
        "model.fusion.width=16",
        "model.fusion.layers=1",
        "model.fusion.heads=2",
        "tasks.density.learn=true",
        "train.accelerator=cpu",
        "train.wandb=off",
        "train.threads=1",
    ]
    made = [f"cohort={cohort}", f"cache={cache}", f"out={out}", *fixed, *keys]
    return [sys.executable, "-m", "mim", "train", *made]


def kill_within_an_epoch(words: list[str], run: Path, after: int) -> int:
    """Kill a run once it has a checkpoint of ``after`` steps; the steps its checkpoint has then."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last, steps = run / "checkpoints" / "last.ckpt", 0
    while steps < after:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)
        if last.exists():
            steps = torch.load(last, weights_only=True, mmap=True)["global_step"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return torch.load(last, weights_only=True, mmap=True)["global_step"]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_is_not_done(sent, cohort, cache, tmp_path):
    words = command(cohort, cache, tmp_path / "run", "train.epochs=500", "data.batch_size=1")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, "ended before it could be stopped"
        time.sleep(0.01)
    process.send_signal(sent)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said.endswith("mim train: interrupted\n")
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 1])
def test_a_killed_run_goes_on_to_the_same_weights(every, cohort, cache, tmp_path):
    """Killed twice, wherever it was; with ``every`` 1 it goes on within the epoch."""
    keys = [
        "data.batch_size=1",
        "train.epochs=4",
        "train.ema=0.9",
        "train.patience=3",
        f"train.checkpoint_steps={every}",
    ]
    if every:
        keys += ["data.harmonise=landmarks", "data.augment.maker_jitter=1"]
        keys += ["data.augment.tone=1", "data.augment.sharpness=1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(cohort, cache, whole, *keys), check=True, capture_output=True)
    words, stops = command(cohort, cache, killed, *keys), []
    for after in (1 if every else BATCHES, BATCHES + 2 if every else 2 * BATCHES):
        stops.append(kill_within_an_epoch(words, killed, after))
    print(f"killed after {stops} steps of {4 * BATCHES}")
    assert all(stop % BATCHES == 0 for stop in stops) == (every == 0)
    subprocess.run(words, check=True, capture_output=True)
    assert_same(weights(whole), weights(killed))
    assert_same(weights(whole, "current_model_state"), weights(killed, "current_model_state"))
    for key in ("callbacks", "epoch", "global_step"):
        ends = [
            torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)[key]
            for run in (whole, killed)
        ]
        assert ends[0] == ends[1], key
    assert column(whole, "validation/loss") == column(killed, "validation/loss")
    waits = column(whole, "train/waits_for_data")
    assert len(waits) == 4 * BATCHES // 10
    assert all(0 <= share <= 1 for share in waits)
    starts = [int(row["step"]) for row in log(killed)]
    assert starts == sorted(starts), "no step stands twice in the log"


@pytest.mark.slow
def test_two_processes_train_as_one_run(cohort, cache, tmp_path):
    run = tmp_path / "run"
    words = command(cohort, cache, run, "data.batch_size=2", "train.epochs=2", "train.devices=2")
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/2:") == 1, "one of them speaks"
    assert len(list((run / "tensorboard").iterdir())) == 1, "and one of them writes"
    assert len(column(run, "validation/loss")) == 2
    assert all(np.isfinite(column(run, "train/loss")))
    for task in (Task.CANCER, Task.DENSITY):
        path = run / "scores" / f"validation-{task}.parquet"
        theirs = read_table(path, OF_TASK[task])
        ours = read_table(score(run, Split.VALIDATION)[task], OF_TASK[task])
        assert (
            theirs.drop_columns("score")
            .select(["exam", "breast"])
            .equals(ours.select(["exam", "breast"]))
        )
        assert np.allclose(theirs["score"].to_numpy(), ours["score"].to_numpy(), atol=1e-6)
    steps = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    exams = pl.read_parquet(cohort / "exams.parquet").filter(pl.col("split") == "train")
    others = exams.filter(~(pl.col("left_cancer") | pl.col("right_cancer")))
    assert steps == 2 * ceil(len(others) / 2), "each batch of the two has a case and another exam"


@pytest.mark.slow
def test_a_model_is_trained_in_stages(cohort, cache, tmp_path, capsys):
    """One view, the breast's pair, the exam, the exam with priors; each from the one before."""
    stages = [(Fuse.views, 0), (Fuse.pair, 0), (Fuse.transformer, 0), (Fuse.transformer, None)]
    before, found = None, []
    for place, (kind, priors) in enumerate(stages):
        fusion = FusionSettings(kind=kind, width=16, layers=1, heads=2)
        model = ModelSettings(encoder=ENCODER, fusion=fusion)
        data = DataSettings(batch_size=4, workers=0, priors=priors)
        train = training(start_from=before and str(before))
        run = tmp_path / f"stage {place + 1}"
        fit(cohort, cache, run, data, CANCER, model, train)
        before = run
        found.append(json_of(run))
    assert found[0]["start"] is None
    for place, card in enumerate(found[1:], 1):
        start = card["start"]
        assert start["name"] == f"stage {place}"
        assert card["settings"]["train"]["start_from"] == f"stage {place}"
        assert start["taken"]["encoder"] == sum(
            name.startswith("model.encoder.") for name in weights(tmp_path / f"stage {place}")
        )
        assert start["taken"]["heads.cancer"] == 4
    assert not found[3]["start"]["new"], "priors need no new weights"
    assert "weights of stage 3" in capsys.readouterr().out
    write_bundle(tmp_path / "stage 3", tmp_path / "bundle")
    of_bundle = training(start_from=str(tmp_path / "bundle"))
    fit(cohort, cache, tmp_path / "tuned", DATA, CANCER, model, of_bundle)
    assert json_of(tmp_path / "tuned")["start"]["fingerprint"] == found[3]["start"]["fingerprint"]
