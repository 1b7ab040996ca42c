"""The maker is told from features that hold it, and from no others."""

import dataclasses
import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mim.data.sampler import Draw
from mim.evaluate.settings import BootstrapSettings
from mim.model.seen import has_view
from mim.train import probe as probing
from mim.train.probe import (
    Features,
    exam_features,
    fit_logistic,
    measure,
    probabilities,
    probe,
    told_apart,
)
from mim.train.run import data_of, load_task
from mim.vocab import Split

BOOTSTRAP = BootstrapSettings(resamples=400)
SHARES = (0.5, 0.3, 0.2)


def drawn(rows: int, strength: float, seed: int) -> Features:
    """Random features of exams of three makers, two exams a woman; the first tell the maker."""
    random = np.random.default_rng(seed)
    maker = random.choice(3, rows, p=SHARES)
    values = random.normal(size=(rows, 12)) * np.linspace(0.1, 5, 12)
    values[:, :3] += strength * np.eye(3)[maker]
    return Features(values, maker, np.arange(rows) // 2)


def test_the_regression_is_that_of_scikit_learn():
    exams = drawn(300, 1.0, 1)
    normal = (exams.values - exams.values.mean(0)) / exams.values.std(0)
    ours = probabilities(normal, fit_logistic(normal, exams.maker, 3))
    theirs = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=10_000)
    theirs.fit(normal, exams.maker)
    np.testing.assert_allclose(ours, theirs.predict_proba(normal), atol=1e-3)


@pytest.mark.parametrize(("makers", "features"), [(2, 3), (4, 60)])
def test_also_of_two_makers_and_of_more_features_than_exams(makers, features):
    random = np.random.default_rng(5)
    maker = np.arange(40) % makers
    normal = random.normal(size=(40, features))
    ours = probabilities(normal, fit_logistic(normal, maker, makers))
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    if makers > 2:
        theirs.fit(normal, maker)
        np.testing.assert_allclose(ours, theirs.predict_proba(normal), atol=1e-3)
    else:
        # Of two, scikit-learn fits one weight where we have two of opposite sign: half the penalty.
        theirs.set_params(C=2.0).fit(normal, maker)
        np.testing.assert_allclose(ours, theirs.predict_proba(normal), atol=1e-3)


def test_features_that_hold_the_maker_tell_it():
    balanced, *areas = measure(drawn(400, 6.0, 1), drawn(400, 6.0, 2), 3, BOOTSTRAP)
    assert balanced.value > 0.98
    assert all(area.value > 0.99 for area in areas)


def test_random_features_tell_by_chance():
    inside = 0
    for seed in range(6):
        balanced, *areas = measure(drawn(300, 0, seed), drawn(300, 0, 90 + seed), 3, BOOTSTRAP)
        inside += balanced.low < 1 / 3 < balanced.high
        assert balanced.value == pytest.approx(1 / 3, abs=0.1)
        assert all(abs(area.value - 0.5) < 0.15 for area in areas)
    assert inside >= 5


def test_figures_are_those_of_scikit_learn():
    fitted, measured = drawn(200, 1.5, 3), drawn(150, 1.5, 4)
    balanced, *areas = measure(fitted, measured, 3, BOOTSTRAP)
    mean, spread = fitted.values.mean(0), fitted.values.std(0)
    theirs = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=10_000)
    theirs.fit((fitted.values - mean) / spread, fitted.maker)
    chances = theirs.predict_proba((measured.values - mean) / spread)
    wanted = balanced_accuracy_score(measured.maker, chances.argmax(1))
    assert balanced.value == pytest.approx(wanted, abs=1e-9)
    assert balanced.low < balanced.value < balanced.high
    assert (balanced.n, balanced.women) == (150, 75)
    for one, area in enumerate(areas):
        assert area.value == pytest.approx(
            roc_auc_score(measured.maker == one, chances[:, one]), abs=1e-6
        )
        assert area.cases == (measured.maker == one).sum()


def test_makers_of_few_exams_are_left_out_and_named():
    makers, left_out = told_apart(
        {"siemens": 40, "ge": 10, "philips": 9, "unknown": 50},
        {"siemens": 30, "ge": 10, "philips": 30, "fuji": 2, "unknown": 50},
    )
    assert makers == ("siemens", "ge")
    assert left_out == {"philips": (9, 30), "fuji": (0, 2)}


@torch.inference_mode()
def test_an_exams_features_are_the_mean_of_its_breasts(run):
    task, card = load_task(run)
    exams = data_of(run, card)
    found = exam_features(task.model, exams, Split.VALIDATION, ("siemens", "ge", "philips"))
    dataset = exams.dataset(Split.VALIDATION)
    assert len(found.values) == len(dataset)
    for place, row in enumerate(dataset.rows):
        batch = dataset[[Draw(place, 0)]]
        features = task.model(batch.images, batch.present, batch.months).features[0]
        there = has_view(batch.present[:, 0])[0]
        np.testing.assert_allclose(found.values[place], features[there].mean(0), atol=1e-4)
        assert found.women[place] == exams.everyone.table["woman"][int(row)].as_py()
    only = exam_features(task.model, exams, Split.VALIDATION, ("philips", "siemens"))
    assert sorted(only.maker) == [0, 1]


def test_a_run_is_probed_once(run, cohort, tmp_path, monkeypatch):
    """Of every maker, also of the one it left out; anew where the weights or the bootstrap are others."""
    copy = shutil.copytree(run, tmp_path / "run")
    found = probe(copy, BOOTSTRAP)
    assert found.chance is None
    assert "fewer than two makers with 10 exams" in found.balanced_accuracy.reason
    counts = pl.read_parquet(cohort / "exams.parquet").group_by("maker", "split").len()
    many = {(maker, split): count for maker, split, count in counts.iter_rows()}
    assert found.left_out == {
        maker: (many.get((maker, "validation"), 0), many.get((maker, "test"), 0))
        for maker in ("siemens", "ge", "philips")
    }
    (copy / "probe.json").unlink()
    card = json.loads((copy / "run.json").read_text())
    card["settings"]["data"]["leave_out_maker"] = "philips"
    (copy / "run.json").write_text(json.dumps(card))
    monkeypatch.setattr(probing, "LEAST_EXAMS", 1)
    found = probe(copy, BOOTSTRAP)
    assert found.makers == ("siemens", "ge", "philips")
    assert found.chance == pytest.approx(1 / 3)
    assert 0 <= found.balanced_accuracy.value <= 1
    assert found.auc.keys() == set(found.makers)
    written = (copy / "probe.json").stat().st_mtime_ns
    assert probe(copy, BOOTSTRAP) == found
    assert (copy / "probe.json").stat().st_mtime_ns == written
    held = json.loads((copy / "probe.json").read_text())
    (copy / "probe.json").write_text(json.dumps(held | {"weights": "of others"}))
    assert probe(copy, BOOTSTRAP).weights == found.weights
    assert dataclasses.asdict(probe(copy, BootstrapSettings(resamples=50)))["resamples"] == 50
