"""A run with what is done for makers never seen: what it logs, keeps, and goes on from."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mim.data.settings import AugmentSettings, DataSettings
from mim.errors import InputError
from mim.export.bundle import write_bundle
from mim.model.exam import ExamModel
from mim.model.settings import (
    Domain,
    DomainSettings,
    EncoderSettings,
    FusionSettings,
    ModelSettings,
    TaskSettings,
)
from mim.train.checkpoints import Checkpoints
from mim.train.optimizer import OF_ADVERSARY, make_optimizer
from mim.train.run import fit, load_task, without_another_maker
from mim.train.settings import Accelerator, TrainSettings, WandbMode
from mim.train.start import read_weights
from mim.train.task import ExamTask

DATA = DataSettings(
    batch_size=4, workers=0, balance_makers=True, augment=AugmentSettings(probability=0.5)
)
TASKS = TaskSettings()
EPOCHS = 2


def model(method: Domain = Domain.adversary, **changes) -> ModelSettings:
    domain = DomainSettings(**{"method": method, "begin": 0.5, "hold_encoder": True, **changes})
    return ModelSettings(
        encoder=EncoderSettings(name="lcnet_035", mixstyle=0.5),
        fusion=FusionSettings(width=16, layers=1, heads=2),
        domain=domain,
    )


def training(**changes) -> TrainSettings:
    common = {"accelerator": Accelerator.cpu, "wandb": WandbMode.off, "metric": "last"}
    return TrainSettings(
        **{"epochs": EPOCHS, "group_dro": 0.1, "ema": 0.9, "checkpoint_steps": 1} | common | changes
    )


def columns(run: Path) -> dict[str, list[float]]:
    """Each figure's values over the run."""
    with (run / "log" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row.get(name)] for name in rows[0]}


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def kept(cohort, cache, tmp_path_factory) -> tuple[Path, list[dict]]:
    """A run of everything at once, and its checkpoints as they were written."""
    out = tmp_path_factory.mktemp("domain") / "run"
    written, write = [], Checkpoints._write

    def keep(self, trainer, name):
        write(self, trainer, name)
        if name == "last.ckpt":
            written.append(checkpoint(self._folder / name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_write", keep)
        # The run is shorter than the ten steps between two rows of the log.
        patch.setattr("mim.train.run.LOG_EVERY", 1)
        fit(cohort, cache, out, DATA, TASKS, model(), training())
    return out, written


def test_the_log_has_the_second_stage_and_the_makers_weights(kept):
    found = columns(kept[0])
    assert len(found["train/domain/loss"]) == 1, "the second epoch is the second stage"
    assert 0 <= found["train/domain/accuracy"][0] <= 1
    weights = {name: values for name, values in found.items() if "maker_weight" in name}
    assert len(weights) > 1
    for epoch in range(EPOCHS):
        assert sum(values[epoch] for values in weights.values()) == pytest.approx(1)
    assert found["train/loss"] == pytest.approx(found["train/cancer/loss"])
    highest = pytest.approx(TrainSettings.learning_rate, rel=1e-6)
    assert max(found["train/learning_rate"]) == highest, "not the adversary's"


def test_the_encoder_stays_as_it_is_from_the_second_stage_on(kept):
    written = kept[1]
    steps = written[-1]["global_step"]
    states = {one["global_step"]: one["current_model_state"] for one in written}
    before, begin, after = states[steps // 2 - 1], states[steps // 2], states[steps]
    for name, value in begin.items():
        moved = not torch.equal(after[name], value)
        if name.startswith("model.encoder."):
            assert not moved, name
        elif name.endswith(("adversary.0.weight", "of_breast.weight", "logs")):
            assert moved, name
    trunk = "model.encoder.backbone.net.conv_stem.weight"
    assert not torch.equal(before[trunk], begin[trunk]), "and moves before"
    assert torch.equal(before["domain.adversary.0.weight"], begin["domain.adversary.0.weight"])


def test_what_a_run_leaves_is_its_model_alone(kept):
    """The adversary and the weights are in the checkpoint, and in nothing that starts from it."""
    run, written = kept
    beside = {name for name in written[-1]["state_dict"] if not name.startswith("model.")}
    assert {name.split(".")[0] for name in beside} == {"domain", "maker_weights"}
    task, _ = load_task(run)
    names = set(ExamModel(model(), TASKS).state_dict())
    assert set(task.model.state_dict()) == names
    for path in (run, run / "checkpoints" / "last.ckpt"):
        found = read_weights(path)
        assert set(found.tensors) == names
        assert found.encoder == "lcnet_035"


def test_the_adversary_learns_three_times_as_fast():
    settings = training(layer_decay=0.5, learning_rate=1e-3)
    task = ExamTask(model(), TASKS, settings, {})
    optimizer = make_optimizer(task.model, settings, 10, task.domain.adversary)["optimizer"]
    groups = optimizer.param_groups
    own = [group for group in groups if OF_ADVERSARY in group]
    assert {group["initial_lr"] for group in own} == {3e-3}
    assert {group["weight_decay"]: len(group["params"]) for group in own} == {0.05: 3, 0.0: 3}
    held = [part for group in groups for part in group["params"]]
    assert len(held) == len(set(held)) == len(list(task.parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(1, 2), (2, 3), (4, 5)])
def test_a_run_that_fails_goes_on_to_the_same_weights(
    stops, kept, cohort, cache, tmp_path, monkeypatch
):
    """Before, at and after the begin of the second stage."""
    written = kept[1]
    out, step = tmp_path / "run", ExamTask.training_step
    assert written[-1]["global_step"] > max(stops)
    for stop in stops:

        def failing(self, batch, at, stop=stop):
            if self.global_step == stop:
                raise RuntimeError("killed")
            return step(self, batch, at)

        monkeypatch.setattr(ExamTask, "training_step", failing)
        with pytest.raises(RuntimeError, match="killed"):
            fit(cohort, cache, out, DATA, TASKS, model(), training())
    monkeypatch.setattr(ExamTask, "training_step", step)
    fit(cohort, cache, out, DATA, TASKS, model(), training())
    ours, theirs = checkpoint(out / "checkpoints" / "last.ckpt"), written[-1]
    for key in ("state_dict", "current_model_state"):
        for name, value in theirs[key].items():
            assert torch.equal(ours[key][name], value), name
    moments, others = (one["optimizer_states"][0]["state"] for one in (ours, theirs))
    assert moments.keys() == others.keys()
    for place, state in others.items():
        assert torch.equal(moments[place]["exp_avg"], state["exp_avg"])


@pytest.mark.slow
@pytest.mark.parametrize("method", [Domain.none, Domain.mmd, Domain.coral])
def test_each_method_trains_and_is_exported(method, cohort, cache, tmp_path):
    """The bundle is checked against ONNX Runtime when it is written."""
    run = tmp_path / "run"
    fit(cohort, cache, run, DATA, TASKS, model(method), training(ema=0.0, group_dro=0.0))
    found = columns(run)
    assert ("train/domain/loss" in found) == (method is not Domain.none)
    assert "train/domain/accuracy" not in found
    write_bundle(run, tmp_path / "bundle")


@pytest.mark.slow
def test_two_processes_train_with_everything_on(kept, cohort, cache, tmp_path):
    run = tmp_path / "run"
    keys = [
        "model.encoder.name=lcnet_035",
        "model.encoder.mixstyle=0.5",
        "model.fusion.width=16",
        "model.fusion.layers=1",
        "model.fusion.heads=2",
        "model.domain.method=adversary",
        "model.domain.begin=0.5",
        "model.domain.hold_encoder=true",
        "train.group_dro=0.1",
        "train.epochs=2",
        "train.devices=2",
        "train.accelerator=cpu",
        "train.threads=1",
        "train.wandb=off",
        "data.batch_size=2",
        "data.balance_makers=true",
        f"train.start_from={kept[0]}",
    ]
    words = [f"cohort={cohort}", f"cache={cache}", f"out={run}", *keys]
    done = subprocess.run(
        [sys.executable, "-m", "mim", "train", *words], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "not used" not in done.stdout
    assert columns(run)["train/domain/loss"]
    logs = checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]["maker_weights.logs"]
    assert logs.any()


def test_an_encoder_without_stages_takes_no_folder(cohort, cache, tmp_path):
    settings = model()
    settings.encoder.name = "test_vit"
    with pytest.raises(InputError, match=r"model\.encoder\.name: 'test_vit'"):
        fit(cohort, cache, tmp_path / "run", DATA, TASKS, settings, training())
    assert not (tmp_path / "run").exists()


def test_methods_that_compare_makers_are_remarked_on_where_there_is_one():
    one, two = np.zeros(4, np.int64), np.arange(4) % 2
    [said] = without_another_maker(one, DATA, model(), training())
    assert said.endswith("for model.domain.method, train.group_dro, data.balance_makers")
    assert without_another_maker(two, DATA, model(), training()) == []
    off = replace(DATA, balance_makers=False), model(Domain.none), training(group_dro=0.0)
    assert without_another_maker(one, *off) == []
