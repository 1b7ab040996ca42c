"""A bundle proves itself, or is refused."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from pydicom import dcmread

from mim.cli.main import main
from mim.deploy.bundle import (
    LISTED,
    TOLERANCE,
    card_checksum,
    file_checksum,
    load_bundle,
    prepared_phantom,
)
from mim.deploy.predict import predict
from mim.errors import InputError
from mim.evaluate import scale as scale_module
from mim.evaluate.settings import PrevalenceSettings
from mim.export import bundle as export_bundle
from mim.export.bundle import write_bundle
from mim.export.onnx import run_torch
from mim.export.outputs import OUTPUTS
from mim.export.reference import monitor_reference
from mim.image.greys import GreyStandard, learn_standard
from mim.image.settings import Harmonise, RecipeSettings
from mim.model.exam import SCORE_NAMES, ExamModel
from mim.model.settings import ModelSettings, TaskSettings
from mim.monitor import reference as watched_module
from mim.schemas.saved_settings import read_settings
from mim.schemas.score_scale import Level, ScoreScale
from mim.schemas.scores import PREDICTIONS, QUALITY_SCORES, SCORES
from mim.schemas.table import read_table
from mim.train.card import RunCard
from mim.train.reference import reference_exams, reference_scale, reference_thresholds
from mim.vocab import SELECTION_RATES, Criterion, Landmark, Outcome


@pytest.fixture
def own(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def rewrite(folder, **changes) -> None:
    """A bundle that was exported so."""
    about = json.loads((folder / "bundle.json").read_text()) | changes
    signed = about | {"checksum": card_checksum(about)}
    (folder / "bundle.json").write_text(json.dumps(signed))


def test_a_card_that_was_changed_is_refused(own):
    card = own / "bundle.json"
    text = card.read_text()
    card.write_text(text.replace("false", "true", 1))
    with pytest.raises(InputError, match=r"bundle\.json: changed since export"):
        load_bundle(own)


def test_a_good_bundle_loads_and_says_what_it_is(bundle):
    loaded = load_bundle(bundle)
    assert list(loaded.thresholds) == list(SELECTION_RATES)
    assert loaded.about["parity"]["largest_difference"] <= TOLERANCE
    assert loaded.about["parity"]["cases"] > 8
    assert "torch" in loaded.about["versions"]
    outputs = loaded.about["outputs"]
    assert "screen-detected" in outputs["breast_score"]["meaning"]
    assert set(outputs) == set(loaded.about["parity"]["of_outputs"])
    assert loaded.about["calibration"].startswith("none")


def test_a_bundle_says_what_its_scores_mean_and_among_whom(bundle, run):
    loaded = load_bundle(bundle)
    scale = loaded.scale
    assert scale.whole.thresholds == list(loaded.thresholds.values())
    scores = read_table(run / "scores" / "validation-cancer.parquet", SCORES)
    exams = len(scores["exam"].unique())
    assert scale.reference["exams"] == scale.whole.exams == exams
    assert scale.reference["women"] == len(scores["woman"].unique())
    assert sum(scale.reference["outcomes"].values()) == exams
    assert "a probability needs" in scale.reason, "the tiny programme has few validation exams"


def strings(said) -> set[str]:
    """Every text in JSON, keys too."""
    if isinstance(said, dict):
        return set(said).union(*map(strings, said.values()))
    if isinstance(said, list):
        return set().union(*map(strings, said))
    return {said} if isinstance(said, str) else set()


def test_the_scale_holds_numbers_and_the_names_of_makers_and_software(
    bundle, run, cohort, monkeypatch
):
    monkeypatch.setattr(scale_module, "LEAST_EXAMS", 1)
    scale = reference_scale(reference_exams(run))
    assert scale.makers
    assert any(scale.software.values())
    exams = pl.read_parquet(cohort / "exams.parquet")
    fields = {f.name for kind in (Level, ScoreScale) for f in dataclasses.fields(kind)}
    counted = {"split", "exams", "women", "outcomes", "makers"}
    counted |= {"screen_detected_per_1000", "interval_per_1000", "validation"}
    made = {*exams["maker"], *exams["machine"].drop_nulls(), *map(str, Outcome)}
    assert strings(dataclasses.asdict(scale)) - {scale.reason} <= fields | counted | made
    text = (bundle / "bundle.json").read_text()
    for column in ("exam", "woman"):
        assert not any(name in text for name in exams[column])


def test_prevalence_is_said_and_used(run, cohort):
    rates = PrevalenceSettings(6, 0)
    plain, weighted = (
        reference_scale(reference_exams(run)),
        reference_scale(reference_exams(run), rates),
    )
    assert plain.reference["screen_detected_per_1000"] is None
    assert weighted.reference["screen_detected_per_1000"] == 6
    assert weighted.whole.scores != plain.whole.scores
    assert weighted.whole.thresholds == [
        t.threshold for t in reference_thresholds(reference_exams(run), rates)
    ]
    with pytest.raises(InputError, match="give both or neither"):
        reference_scale(reference_exams(run), PrevalenceSettings(6, None))


def test_what_the_watch_compares_with_counts_by_the_programmes_prevalence(run, monkeypatch):
    monkeypatch.setattr(watched_module, "LEAST_EXAMS", 1)
    exams, rates = reference_exams(run), PrevalenceSettings(6, 2)
    scale = reference_scale(exams, rates)
    half = dataclasses.replace(
        scale.whole, thresholds=[float(np.median(exams.score))] * len(SELECTION_RATES)
    )
    found = monitor_reference(
        exams, RunCard.read(run), dataclasses.replace(scale, whole=half), rates
    )
    kinds = {"screen-detected cancer": 0.006, "interval cancer": 0.002}
    weight = np.zeros(len(exams.score))
    for kind, share in kinds.items():
        weight[exams.outcome == kind] = share / (exams.outcome == kind).sum()
    others = ~np.isin(exams.outcome, list(kinds))
    weight[others] = (1 - sum(kinds.values())) / others.sum()
    selected = exams.score[:, None] >= np.array(half.thresholds)
    assert found.whole.selected == pytest.approx((weight @ selected).tolist())
    assert found.whole.selected != pytest.approx(selected.mean(axis=0).tolist())


@pytest.mark.slow
def test_export_takes_the_programmes_prevalence(run, tmp_path):
    keys = ["prevalence.screen_detected_per_1000=6", "prevalence.interval_per_1000=0"]
    assert main(["export", f"run={run}", f"out={tmp_path / 'bundle'}", *keys]) == 0
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.scale == reference_scale(reference_exams(run), PrevalenceSettings(6, 0))
    assert loaded.scale.whole.thresholds == list(loaded.thresholds.values())


def test_a_model_without_validation_exams_has_no_scale(own):
    rewrite(own, scale=None, thresholds=[])
    assert load_bundle(own).scale is None


def test_every_output_has_the_shape_that_is_said_of_it(bundle):
    loaded = load_bundle(bundle)
    with np.load(bundle / "golden.npz") as golden:
        outputs = loaded.score({name: golden[name] for name in ("images", "present", "months")})
    exams = {"exam": 2} | {axis: len(names) for axis, names in loaded.about["axes"].items()}
    assert [output.name for output in loaded.session.get_outputs()] == list(outputs)
    for name, output in outputs.items():
        said = loaded.about["outputs"][name]
        assert output.shape == tuple(exams[axis] for axis in said["shape"])
        assert 0 <= np.nanmin(output) <= np.nanmax(output) <= said["highest"]
        assert output.dtype == np.float32


def test_what_nobody_taught_is_no_number(own):
    outputs = json.loads((own / "bundle.json").read_text())["outputs"]
    outputs["breast_percent"]["learnt"] = False
    outputs["landmarks"]["learnt"] |= {"pectoral_lower": False}
    outputs["criteria"]["learnt"] = {name: name == "blurred" for name in Criterion}
    rewrite(own, outputs=outputs)
    loaded = load_bundle(own)
    with np.load(own / "golden.npz") as golden:
        scored = loaded.score({name: golden[name] for name in ("images", "present", "months")})
    assert np.isnan(scored["breast_percent"]).all()
    assert not np.isnan(scored["breast_density"]).any()
    at = list(Landmark).index(Landmark.PECTORAL_LOWER)
    assert np.isnan(scored["landmarks"][..., at, :]).all()
    assert not np.isnan(np.delete(scored["landmarks"], at, axis=-2)).any()
    silent = [place for place, name in enumerate(Criterion) if name != "blurred"]
    assert np.isnan(scored["criteria"][..., silent]).all()
    assert not np.isnan(np.delete(scored["criteria"], silent, axis=-1)).any()


def test_a_criterion_that_all_training_images_fulfil_is_marked_as_not_learnt(bundle, run):
    """The tiny programme has no image whose fold below the breast is hidden."""
    about = json.loads((bundle / "bundle.json").read_text())
    counts = about["training"]["labels"]["quality"]["criteria"]
    learnt = about["outputs"]["criteria"]["learnt"]
    assert learnt == {name: min(answers) > 0 for name, answers in counts.items()}
    assert not all(learnt.values())
    said = read_table(run / "scores" / "validation-quality.parquet", QUALITY_SCORES)
    for name, taught in learnt.items():
        assert (said[name].null_count < len(said)) == taught


def test_weights_and_settings_make_the_same_model_again(bundle):
    """What ``train.start_from`` reads, and what could be built without the run."""
    from safetensors.torch import load_file

    about = json.loads((bundle / "bundle.json").read_text())
    model = read_settings(ModelSettings, about["settings"]["model"])
    tasks = read_settings(TaskSettings, about["settings"]["tasks"])
    again = ExamModel(model, tasks)
    again.load_state_dict(load_file(bundle / "weights.safetensors"))
    with np.load(bundle / "golden.npz") as golden:
        inputs = {name: golden[name] for name in ("images", "present", "months")}
        for name, output in run_torch(again, inputs).items():
            assert output == pytest.approx(golden[name], abs=1e-5)


def test_every_output_that_a_model_can_have_is_described():
    assert set(OUTPUTS) == {name for names in SCORE_NAMES.values() for name in names}


def test_no_path_and_no_image_of_a_woman_leaves_in_a_bundle(bundle, run):
    text = (bundle / "bundle.json").read_text()
    assert str(run.parent) not in text
    model = (bundle / "model.onnx").read_bytes()
    for folder in (run.parent, Path.cwd(), Path.home()):
        assert str(folder).encode() not in model
    with np.load(bundle / "golden.npz") as golden:
        blocks = golden["images"].reshape(-1, 64, 32)[:, :4, :4]
        assert (blocks == blocks[:, :1, :1]).all(), "golden images are blocks, not breasts"


@pytest.mark.parametrize("name", LISTED)
def test_a_changed_or_missing_file_is_refused(own, name):
    content = (own / name).read_bytes()
    (own / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=f"{name}: changed since export"):
        load_bundle(own)
    (own / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        load_bundle(own)


def test_another_recipe_is_refused(own):
    rewrite(own, recipe={"height": 65, "width": 32})
    with pytest.raises(InputError, match="prepares images by"):
        load_bundle(own)


def test_another_standard_of_grey_levels_is_refused(own):
    """The drawn breast proves which one; one that was changed proves itself."""
    learnt = learn_standard(Harmonise.landmarks, [("ge", prepared_phantom_of_half(own))], 1, 1)
    rewrite(own, greys=learnt.to_json())
    with pytest.raises(InputError, match="the phantom is prepared"):
        load_bundle(own)
    rewrite(own, greys=learnt.to_json() | {"kind": "voi"})
    with pytest.raises(InputError, match=r"bundle\.json: greys were changed"):
        load_bundle(own)


def prepared_phantom_of_half(folder):
    """The drawn breast half as bright."""
    recipe = RecipeSettings(**json.loads((folder / "bundle.json").read_text())["recipe"])
    return prepared_phantom(recipe, GreyStandard()) // 2


@pytest.mark.parametrize("number", [3, None])
def test_another_format_is_refused(own, number):
    rewrite(own, format=number)
    with pytest.raises(
        InputError, match=f"format {number}, this mim reads 5; export the run again"
    ):
        load_bundle(own)


def test_a_model_of_another_bundle_is_refused(own):
    model = onnx.load(own / "model.onnx")
    onnx.helper.set_model_props(model, {"fingerprint": "0" * 16})
    onnx.save(model, own / "model.onnx")
    files = json.loads((own / "bundle.json").read_text())["files"]
    rewrite(own, files=files | {"model.onnx": file_checksum(own / "model.onnx")})
    with pytest.raises(InputError, match="belongs to another bundle"):
        load_bundle(own)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("exam_score", "golden case scores .* off in exam_score"),
        ("phantom", "phantom is prepared"),
        ("moved", "phantom is prepared"),
    ],
)
def test_a_golden_case_that_comes_out_otherwise_is_refused(own, part, words):
    with np.load(own / "golden.npz") as golden:
        arrays = dict(golden)
    arrays[part] = arrays[part] + (0.01 if part == "exam_score" else 300)
    if part == "moved":
        load_bundle(own)
        rewrite(own, align_priors=True)
    np.savez_compressed(own / "golden.npz", **arrays)
    files = json.loads((own / "bundle.json").read_text())["files"]
    rewrite(own, files=files | {"golden.npz": file_checksum(own / "golden.npz")})
    with pytest.raises(InputError, match=words):
        load_bundle(own)


def test_export_refuses_a_model_that_onnx_runs_otherwise(run, bundle, tmp_path, monkeypatch):
    """PyTorch's weights are moved by a little after the graph was written."""

    def write_then_move(model, example, path, metadata):
        shutil.copy(bundle / "model.onnx", path)
        with torch.no_grad():
            model.heads["cancer"].of_breast.bias += 0.01

    monkeypatch.setattr(export_bundle, "write_onnx", write_then_move)
    with pytest.raises(InputError, match=r"differ by .* in breast_score, more than 0\.0001"):
        write_bundle(run, tmp_path / "bundle")
    assert not any(tmp_path.iterdir()), "nothing is left behind"


def test_export_leaves_other_folders_alone(run, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="no bundle; choose another folder"):
        write_bundle(run, tmp_path)


WITHOUT_TORCH = """
import sys
from pathlib import Path
from importlib.abc import MetaPathFinder

BANNED = {"torch", "torchvision", "pytorch_lightning", "timm", "pandas", "polars", "sklearn", "onnx"}

class Banned(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ImportError(f"{name} is banned")

sys.meta_path.insert(0, Banned())
from mim.cli.main import main
code = main(sys.argv[1:])
assert not BANNED & set(sys.modules)
sys.exit(code)
"""


def test_predict_runs_without_torch(bundle, programme, tmp_path):
    keys = [f"bundle={bundle}", f"source={programme / 'dicom'}", f"out={tmp_path / 'out'}"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "predict", *keys], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    rows = read_table(tmp_path / "out" / "predictions.parquet", PREDICTIONS).to_pylist()
    assert sum(row["exam_score"] is not None for row in rows) > 10


def test_exams_that_cannot_be_scored_have_a_reason(bundle, programme, tmp_path):
    files = sorted((programme / "dicom").rglob("*.dcm"))
    source = tmp_path / "source"
    exam = files[0].parent
    shutil.copytree(exam, source / "cut")
    for path in (source / "cut").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-300])
    other = next(path.parent for path in files if path.parent.parent != exam.parent)
    shutil.copytree(other, source / "whole")
    (source / "letter.txt").write_text("dear colleague")
    nameless = dcmread(files[0])
    del nameless.StudyInstanceUID
    nameless.save_as(source / "nameless.dcm")
    problems = predict(bundle, source, tmp_path / "out", None)
    rows = read_table(tmp_path / "out" / "predictions.parquet", PREDICTIONS).to_pylist()
    assert len(rows) == 2
    cut, whole = sorted(rows, key=lambda row: row["reason"] is None)
    assert problems == 2
    assert cut["reason"] is not None
    assert all(path.name in cut["detail"] for path in (source / "cut").iterdir())
    assert cut["exam_score"] is None
    assert whole["exam_score"] is not None
    left_out = json.loads((tmp_path / "out" / "predictions.json").read_text())["files_left_out"]
    assert [file["path"] for file in left_out] == ["letter.txt", "nameless.dcm"]
    assert "no Study Instance UID" in left_out[1]["detail"]


def test_nothing_of_an_earlier_prediction_stays(bundle, programme, run, tmp_path):
    out = tmp_path / "out"
    source = shutil.copytree(next((programme / "dicom").rglob("*.dcm")).parent, tmp_path / "source")
    predict(bundle, source, out, None)
    for name in ("inputs-3.png", "landmarks-2.png"):
        shutil.copy(out / "inputs-1.png", out / name)
    (out / "letter-2.png").write_text("somebody's own")
    predict(bundle, source, out, None)
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"inputs-1.png", "landmarks-1.png", "letter-2.png"}
    with pytest.raises(InputError, match=r"holds run\.json of another command"):
        predict(bundle, source, run, None)


def test_a_scored_exam_without_one_of_its_images_is_a_problem(bundle, programme, tmp_path):
    exam = next((programme / "dicom").rglob("*.dcm")).parent
    source = shutil.copytree(exam, tmp_path / "source")
    first = min(source.iterdir())
    first.write_bytes(first.read_bytes()[:-300])
    assert predict(bundle, source, tmp_path / "out", None) == 1


def test_a_folder_without_an_exam_is_a_problem(bundle, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "letter.txt").write_text("dear colleague")
    assert predict(bundle, tmp_path / "source", tmp_path / "out", None) == 1


def test_the_example_of_plain_onnx_runtime_works(bundle):
    page = (Path(__file__).parent.parent / "docs" / "bundle.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(example.splitlines()) <= 15
    ended = subprocess.run(
        [sys.executable, "-c", example], cwd=bundle.parent, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "breast_score" in ended.stdout
