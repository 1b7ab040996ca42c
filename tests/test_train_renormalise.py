"""A run fitted to another maker: statistics and nothing else, by exams without labels, and a run again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from made_tasks import all_tasks

from mim.cli.main import main
from mim.cli.report import Given, report
from mim.data.cache import Cache
from mim.data.exams import Exams
from mim.data.settings import AugmentSettings, DataSettings
from mim.errors import InputError
from mim.evaluate.settings import EvaluateSettings, PrevalenceSettings
from mim.export.bundle import write_bundle
from mim.model.norms import batch_norms
from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_table
from mim.train.card import RunCard
from mim.train.reference import (
    reference_exams,
    reference_images,
    reference_scale,
    reference_scores,
    reference_thresholds,
)
from mim.train.renormalise import Elsewhere, renormalise
from mim.train.run import fit, load_task, score
from mim.train.settings import Accelerator, RenormaliseSettings, TrainSettings, WandbMode
from mim.vocab import Maker, Split, Task

DATA = DataSettings(batch_size=4, workers=0, augment=AugmentSettings(probability=0))
MODEL = ModelSettings(
    encoder=EncoderSettings(name="lcnet_035"), fusion=FusionSettings(width=16, layers=1, heads=2)
)
TRAIN = TrainSettings(epochs=1, accelerator=Accelerator.cpu, wandb=WandbMode.off)
ALL_NEW = RenormaliseSettings()


@pytest.fixture(scope="module")
def trained(cohort, cache, tmp_path_factory) -> Path:
    """A run of a net with batch normalisation."""
    out = tmp_path_factory.mktemp("trained") / "before"
    fit(cohort, cache, out, DATA, all_tasks(), MODEL, TRAIN)
    return out


@pytest.fixture(scope="module")
def fitted(trained) -> Path:
    """The same, fitted to GE."""
    out = trained.parent / "fitted"
    renormalise(trained, Maker.GE, out, ALL_NEW, None)
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


def changed(one: Path, other: Path) -> set[str]:
    was, now = weights(one), weights(other)
    assert was.keys() == now.keys()
    return {name for name in was if not torch.equal(was[name], now[name])}


def exams_of(cohort: Path) -> pl.DataFrame:
    """The exams of GE of women who are not tested."""
    exams = pl.read_parquet(cohort / "exams.parquet")
    return exams.filter(pl.col("split") != "test", pl.col("maker") == "ge")


def test_statistics_change_and_nothing_else(trained, fitted):
    found = changed(trained, fitted)
    assert {name.rpartition(".")[2] for name in found} == {"running_mean", "running_var"}
    task, _ = load_task(fitted)
    assert len(found) == 2 * len(batch_norms(task.model.encoder))


def test_the_first_statistics_are_those_of_the_makers_images(trained, fitted, cohort, cache):
    """By numpy: absent views, other makers, priors and tested women are not among them."""
    images = pl.read_parquet(cohort / "images.parquet")
    images = images.filter(pl.col("exam").is_in(exams_of(cohort)["exam"].implode()))
    held = Cache(cache)
    pixels = np.empty((len(images), 1, held.recipe.height, held.recipe.width), np.uint16)
    for name, place in zip(images["image"], pixels, strict=True):
        held.read(name, place[0])
    task, _ = load_task(trained)
    encoder = task.model.encoder
    seen = (torch.from_numpy(pixels).float() / 65535 - encoder.mean) / encoder.std
    with torch.no_grad():
        maps = encoder.backbone.net.conv_stem(seen).double().numpy()
    found = load_task(fitted)[0].model.encoder.backbone.net.bn1
    np.testing.assert_allclose(found.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_the_card_says_what_was_done(trained, fitted, cohort):
    card, before = RunCard.read(fitted), RunCard.read(trained)
    exams = exams_of(cohort)
    images = pl.read_parquet(cohort / "images.parquet")
    assert card.renormalised is not None
    places = {before.cohort, before.cache}
    assert places <= {*card.renormalised.values()}
    assert not places & {*card.public()["renormalised"].values()}, "places stay here"
    weights = card.renormalised.pop("weights")
    assert len(weights) == 16
    assert card.renormalised.pop("cohort") == before.cohort
    assert card.renormalised.pop("cache") == before.cache
    scored = exams.filter(pl.col("split") != "train")
    assert card.renormalised == {
        "maker": "ge",
        "exams": len(exams),
        "women": exams["woman"].n_unique(),
        "images": len(images.filter(pl.col("exam").is_in(exams["exam"].implode()))),
        "share": 1.0,
        "run": "before",
        "elsewhere": None,
        "scored": len(scored),
    }
    assert card.note.startswith(before.note)
    assert f"fitted to {len(exams)} unlabelled exams of ge" in card.note
    assert f"Thresholds and scale are those of {len(scored)} of these" in card.note
    assert before.renormalised is None


def test_it_is_a_run(trained, fitted):
    for name in ("attrition.parquet", "inputs.png", "samples.png", "saliency.png"):
        assert (fitted / name).stat().st_size > 0
    own = score(fitted, Split.VALIDATION)[Task.CANCER]
    assert score(fitted, Split.TEST)[Task.CANCER].is_file()
    now = read_table(own, OF_TASK[Task.CANCER])
    assert now["score"] != reference_scores(trained)["score"]


def test_its_thresholds_are_those_of_the_makers_exams_it_has_not_learnt_from(fitted):
    """This run has learnt from GE's training women, so they are of the others of GE."""
    now = pl.read_parquet(score(fitted, Split.VALIDATION)[Task.CANCER])
    of_maker = now.filter(pl.col("maker") == "ge").sort("exam", "breast")
    scores = pl.DataFrame(pl.from_arrow(reference_scores(fitted))).sort("exam", "breast")
    assert scores.equals(of_maker)
    exams = of_maker.group_by("exam").agg(pl.col("score").max())["score"].drop_nulls()
    for threshold in reference_thresholds(reference_exams(fitted)):
        selected = (exams >= threshold.threshold).sum()
        assert selected <= threshold.selection_rate * len(exams)
    scale = reference_scale(reference_exams(fitted))
    assert scale is not None
    assert scale.reference["makers"] == {"ge": len(exams)}
    assert RunCard.read(fitted).renormalised["scored"] == of_maker["exam"].n_unique()


def test_thresholds_of_a_maker_left_out_are_those_of_all_its_exams(cohort, cache, tmp_path):
    without = replace(DATA, leave_out_maker=Maker.GE)
    fit(cohort, cache, tmp_path / "run", without, all_tasks(), MODEL, TRAIN)
    renormalise(tmp_path / "run", Maker.GE, tmp_path / "out", ALL_NEW, None)
    scored = {*reference_scores(tmp_path / "out")["exam"].to_pylist()}
    assert scored == {*exams_of(cohort)["exam"]}
    page = report(Given(tmp_path / "out"), tmp_path / "page", EvaluateSettings(resamples=20))
    told = json.loads((page.page.parent / "metrics.json").read_text())["scales"]["out"]
    thresholds = [one.threshold for one in reference_thresholds(reference_exams(tmp_path / "out"))]
    assert told["whole"]["thresholds"] == thresholds, "the page's are the bundle's"
    assert told["reference"]["exams"] == len(scored)
    assert told["reference"]["split"] is None, "of training women and others"


def test_labels_change_nothing(trained, fitted, cohort, cache, tmp_path):
    """Of another cohort with the same exams, of which nothing is known."""
    unlabelled = shutil.copytree(cohort, tmp_path / "elsewhere")
    exams = pl.read_parquet(cohort / "exams.parquet")
    labels = [name for name in exams.columns if name.startswith(("left_", "right_"))]
    nothing = {name: "unknown" if name.endswith("_outcome") else None for name in labels}
    hidden = exams.with_columns(
        pl.lit(value).cast(exams[name].dtype).alias(name) for name, value in nothing.items()
    )
    assert not hidden.equals(exams)
    hidden.write_parquet(unlabelled / "exams.parquet")
    for name in ("density", "quality"):
        (unlabelled / f"{name}.parquet").unlink()
    renormalise(trained, Maker.GE, tmp_path / "out", ALL_NEW, Elsewhere(unlabelled, cache))
    assert changed(fitted, tmp_path / "out") == set()
    card = RunCard.read(tmp_path / "out")
    assert card.renormalised["elsewhere"] == "elsewhere"
    names = ["exam", "breast", "score"]
    assert (
        reference_scores(tmp_path / "out")
        .select(names)
        .equals(reference_scores(fitted).select(names))
    )
    rare = PrevalenceSettings(6, 2)
    assert reference_thresholds(reference_exams(tmp_path / "out"), rare) == reference_thresholds(
        reference_exams(fitted)
    )
    assert reference_scale(reference_exams(tmp_path / "out"), rare).intercept is None, (
        "no probability"
    )
    everyone, _ = reference_images(card)
    assert everyone.table["exam"].equals(Exams(cohort, Cache(cache)).table["exam"])


def test_the_share_and_the_command(trained, fitted, tmp_path, capsys):
    out = tmp_path / "half"
    words = [f"run={trained}", "maker=ge", f"out={out}", "share=0.5"]
    assert main(["renormalise", *words]) == 0
    said = capsys.readouterr().out
    few = RunCard.read(out).renormalised["scored"]
    assert "exams of" in said
    assert f"thresholds rest on {few} exams, of which 3.2 % are {few * 0.032:.1f}; take 313" in said
    first = "model.encoder.backbone.net.bn1.running_mean"
    old, new, half = (weights(run)[first] for run in (trained, fitted, out))
    torch.testing.assert_close(half, (old + new) / 2)
    assert main(["renormalise", *words, "share=1"]) == 0, "a renormalised run is replaced"
    assert changed(fitted, out) == set()
    assert not list(tmp_path.glob(".*"))


def test_a_net_without_batch_normalisation_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"convnext_atto .* no batch normalisation .*norm=keep"):
        renormalise(run, Maker.GE, tmp_path / "out", ALL_NEW, None)
    renormalise(run, Maker.GE, tmp_path / "out", RenormaliseSettings(share=0), None)
    assert changed(run, tmp_path / "out") == set(), "thresholds and scale alone"
    assert "Batch normalisation" not in RunCard.read(tmp_path / "out").note
    assert reference_thresholds(reference_exams(tmp_path / "out"))


def test_exams_of_no_split_are_left_alone(trained, cohort, cache, tmp_path):
    """Such as those of a period that is held out."""
    later = shutil.copytree(cohort, tmp_path / "later")
    unused = pl.when(pl.col("maker") == "ge").then(pl.lit("unused")).otherwise("split")
    exams = pl.read_parquet(cohort / "exams.parquet")
    kind = exams["split"].dtype
    exams.with_columns(unused.cast(kind).alias("split")).write_parquet(later / "exams.parquet")
    with pytest.raises(InputError, match="maker=ge: 0 exams in use"):
        renormalise(trained, Maker.GE, tmp_path / "out", ALL_NEW, Elsewhere(later, cache))


def test_what_cannot_be_is_refused(trained, fitted, cohort, cache, tmp_path, capsys):
    out = tmp_path / "out"

    def refused(words: str, given: Path, maker=Maker.GE, to: Path = out, other=None) -> None:
        with pytest.raises(InputError, match=words):
            renormalise(given, maker, to, ALL_NEW, other)

    refused(r"was fitted to ge already; give the run it was before, before", fitted)
    refused(r"maker=fuji: 0 exams .* 8 are needed; it has 10 of ge", trained, Maker.FUJI)
    refused(r"holds files of no renormalised run", trained, to=trained)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    refused(r"holds bundle\.json of another command", trained, to=bundle)
    refused(r"no run\.json", tmp_path)
    kept = shutil.copytree(cache, tmp_path / "cache")
    [about] = kept.rglob("cache.json")
    recipe = json.loads(about.read_text())
    recipe["recipe"]["height"] += 32
    about.write_text(json.dumps(recipe))
    refused("recipe", trained, other=Elsewhere(cohort, kept))
    assert not out.exists()
    assert main(["renormalise", f"run={trained}", "maker=fuji", f"out={out}"]) == 2
    assert "maker=fuji" in capsys.readouterr().err
    with pytest.raises(InputError, match="holds a run with other .*renormalised"):
        fit(cohort, cache, fitted, DATA, all_tasks(), MODEL, TRAIN)


@pytest.mark.slow
def test_its_bundle_proves_itself(fitted, tmp_path):
    write_bundle(fitted, tmp_path / "bundle", PrevalenceSettings(6, 2))
    about = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert about["renormalised"]["maker"] == "ge"
    assert "unlabelled exams of ge" in about["note"]
    assert about["parity"]["largest_difference"] <= about["parity"]["tolerance"]
