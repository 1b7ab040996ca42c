"""Weights that a run starts from: what is taken, what is not, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mim.errors import InputError
from mim.model.exam import ExamModel
from mim.model.settings import (
    CancerSettings,
    DensitySettings,
    EncoderSettings,
    Fuse,
    FusionSettings,
    ModelSettings,
    RiskSettings,
    TaskSettings,
)
from mim.train.start import read_weights, start_from, weights_fingerprint

ENCODER = "lcnet_035"
RISK = TaskSettings(cancer=CancerSettings(learn=False), risk=RiskSettings(learn=True, years=4))


def model(seed: int, kind: Fuse = Fuse.transformer, tasks: TaskSettings | None = None) -> ExamModel:
    torch.manual_seed(seed)
    fusion = FusionSettings(kind=kind, width=16, layers=1, heads=2)
    settings = ModelSettings(encoder=EncoderSettings(name=ENCODER), fusion=fusion)
    return ExamModel(settings, tasks or TaskSettings())


@pytest.fixture
def views() -> ExamModel:
    """A model of single views, which has learnt cancer."""
    return model(1, Fuse.views)


@pytest.fixture
def file(views, tmp_path):
    """Its weights."""
    save_file(views.state_dict(), tmp_path / "views.safetensors")
    return tmp_path / "views.safetensors"


def same(one: ExamModel, other: ExamModel) -> set[str]:
    """Names of the tensors that two models share, value by value."""
    ours, theirs = one.state_dict(), other.state_dict()
    return {n for n in ours.keys() & theirs.keys() if torch.equal(ours[n], theirs[n])}


def test_all_is_taken_where_all_fits(views, file):
    fresh = model(2, Fuse.views)
    found = start_from(fresh, ENCODER, file)
    assert same(fresh, views) == views.state_dict().keys()
    assert sum(found.taken.values()) == len(views.state_dict())
    assert found.new == found.reshaped == found.unused == {}
    assert found.name == "views.safetensors"


def test_what_fits_is_taken_and_the_rest_is_named(views, file):
    fresh, before = model(2), model(2)
    found = start_from(fresh, ENCODER, file)
    names = {name for name in fresh.state_dict() if name.startswith(("encoder.", "heads.cancer."))}
    assert names <= same(fresh, views)
    new = fresh.state_dict().keys() - views.state_dict().keys()
    assert new, "the transformer"
    assert new <= same(fresh, before), "what is new stays as it was"
    assert sum(found.new.values()) == len(new)
    assert set(found.new) == {"fusion"}
    report = "\n".join(found.lines())
    assert "views.safetensors" in report
    assert f"new: {len(new)} of fusion" in report


def test_heads_of_another_shape_or_task_are_new_or_unused(file, tmp_path):
    three = TaskSettings(risk=RiskSettings(learn=True, years=3))
    save_file(model(1, tasks=three).state_dict(), tmp_path / "three.safetensors")
    found = start_from(model(2, tasks=RISK), ENCODER, tmp_path / "three.safetensors")
    assert set(found.reshaped) == {"heads.risk"}
    assert set(found.unused) == {"heads.cancer"}
    density = TaskSettings(density=DensitySettings(learn=True))
    found = start_from(model(2, tasks=density), ENCODER, tmp_path / "three.safetensors")
    assert set(found.new) == {"heads.density"}


def test_a_run_a_checkpoint_and_a_file_of_the_same_weights_are_one(run, tmp_path):
    of_run = read_weights(run)
    of_checkpoint = read_weights(run / "checkpoints" / "best.ckpt")
    save_file(of_run.tensors, tmp_path / "weights.safetensors", {"encoder": "convnext_atto"})
    of_file = read_weights(tmp_path / "weights.safetensors")
    assert of_run.encoder == of_checkpoint.encoder == of_file.encoder == "convnext_atto"
    hashes = {weights_fingerprint(w.tensors) for w in (of_run, of_checkpoint, of_file)}
    assert len(hashes) == 1
    assert not any(name.startswith("model.") for name in of_run.tensors)
    changed = dict(of_run.tensors)
    changed["encoder.mean"] = changed["encoder.mean"] + 1
    assert weights_fingerprint(changed) not in hashes


def test_a_bundle_is_a_start(file, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    file.rename(bundle / "weights.safetensors")
    about = {"settings": {"model": {"encoder": {"name": ENCODER}}}}
    (bundle / "bundle.json").write_text(json.dumps(about))
    assert start_from(model(2), ENCODER, bundle).taken


def test_weights_of_another_encoder_name_theirs(run):
    with pytest.raises(InputError, match=r"set model\.encoder\.name=convnext_atto"):
        start_from(model(2), ENCODER, run)


def test_weights_that_do_not_fit_at_all_are_refused(tmp_path):
    save_file({"blocks.0.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"no weight of other\.safetensors fits"):
        start_from(model(2), ENCODER, tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.ckpt"])
def test_a_damaged_file_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match=f"{name} is no checkpoint"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["list.txt", "held.ckpt", "numbered.ckpt"])
def test_a_file_of_something_else_is_refused(name, tmp_path):
    (tmp_path / "list.txt").write_text("hello\n")
    torch.save({"state_dict": [1]}, tmp_path / "held.ckpt")
    torch.save({1: torch.zeros(2)}, tmp_path / "numbered.ckpt")
    with pytest.raises(InputError, match=name):
        start_from(model(2), ENCODER, tmp_path / name)


def test_weights_that_are_no_numbers_are_refused(views, tmp_path):
    weights = views.state_dict()
    weights["encoder.mean"] = torch.full_like(weights["encoder.mean"], torch.nan)
    save_file(weights, tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=r"broken\.safetensors holds weights that are no numbers"):
        start_from(model(2), ENCODER, tmp_path / "broken.safetensors")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a run nor a bundle"):
        read_weights(tmp_path)
