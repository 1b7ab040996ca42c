"""The hospital gets what training gives: from DICOM by the bundle, from the cache by the task."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mim.cohort.settings import PriorSettings, StandInSettings
from mim.data.datamodule import ExamData
from mim.data.sampler import Draw
from mim.data.settings import AugmentSettings, DataSettings
from mim.deploy.bundle import card_checksum, load_bundle
from mim.deploy.exams import Assembler, find_exams
from mim.deploy.predict import predict
from mim.dicom.rows import scan
from mim.evaluate import scale as scale_module
from mim.evaluate.reference import read_reference
from mim.evaluate.sample import ModelScores, scored_by
from mim.evaluate.scale import scale_of
from mim.evaluate.settings import PrevalenceSettings
from mim.image.greys import GreyStandard
from mim.image.settings import Harmonise
from mim.model.settings import TaskSettings
from mim.schemas.scores import PREDICTED_QUALITY, PREDICTIONS, SCORES
from mim.schemas.table import read_table
from mim.train.run import score
from mim.vocab import SELECTION_RATES, Criterion, Density, Landmark, Split, Task

SIDES = {"L": "left", "R": "right"}


class Hospital:
    """What ``mim predict`` wrote of the programme: exams by study, images by SOP instance."""

    def __init__(self, bundle: Path, programme: Path, index: Path, out: Path) -> None:
        predict(bundle, programme / "dicom", out, None)
        self.out = out
        self.tasks = load_bundle(bundle).tasks
        rows = read_table(out / "predictions.parquet", PREDICTIONS).to_pylist()
        as_text = json.loads(json.dumps(rows, default=str))
        assert json.loads((out / "predictions.json").read_text())["exams"] == as_text
        names = pl.read_parquet(index / "images").drop_nulls("exam")
        studies = dict(names.select("study_uid", "exam").rows())
        self.exams = {studies[row["study_uid"]]: row for row in rows}
        self.spacing_mm = dict(names.select("image", "row_spacing_mm").rows())
        self.images = {}
        if Task.QUALITY in self.tasks:
            images = read_table(out / "quality.parquet", PREDICTED_QUALITY).to_pylist()
            assert json.loads((out / "quality.json").read_text())["images"] == images
            of_file = dict(names.select("sop_uid", "image").rows())
            self.images = {of_file[row["sop_uid"]]: row for row in images}


def compare(hospital: Hospital, run: Path) -> None:
    """Every score of every split, as the task's score tables have it, is the hospital's."""
    tables = [score(run, split) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
    assert set(tables[0]) == set(hospital.tasks)
    for task in hospital.tasks:
        rows = [row for paths in tables for row in pq.read_table(paths[task]).to_pylist()]
        assert len(rows) > 30
        for row in rows:
            COMPARE[task](hospital, row)


def same(ours: float | list[float] | None, theirs: float | list[float] | None, whole=1.0) -> None:
    assert (ours is None) == (theirs is None)
    if theirs is not None:
        assert ours == pytest.approx(theirs, abs=1e-4 * whole)


def cancer(hospital: Hospital, row: dict) -> None:
    exam = hospital.exams[row["exam"]]
    same(exam[f"{SIDES[row['breast']]}_score"], row["score"])
    assert exam["priors"] == row["priors"]
    assert exam["exam_score"] == max(exam[f"{side}_score"] or 0 for side in SIDES.values())


def risk(hospital: Hospital, row: dict) -> None:
    exam = hospital.exams[row["exam"]]
    same(exam[f"{SIDES[row['breast']]}_risk"], row["risk"])
    breasts = [np.array(exam[f"{side}_risk"] or 0) for side in SIDES.values()]
    same(exam["woman_risk"], list(np.minimum(breasts[0] + breasts[1], 1)))


def density(hospital: Hospital, row: dict) -> None:
    exam = hospital.exams[row["exam"]]
    same(exam[f"{SIDES[row['breast']]}_percent"], row["percent"], whole=100)
    if row["score"] is not None:
        expected = np.array(exam["density_probabilities"]) @ np.linspace(0, 1, len(Density))
        assert expected >= row["score"] - 1e-4, "no breast is denser than the exam"


def quality(hospital: Hospital, row: dict) -> None:
    image = hospital.images[row["image"]]
    for name in (*Criterion, "nipple_visible"):
        same(image[name], row[name])
    for name in ("posterior_nipple_line_mm", "pectoral_length_mm", "pectoral_angle_degrees"):
        same(image[name], row[name], whole=300)
    assert [image["grade"], image["grade_reasons"]] == [row["grade"], row["grade_reasons"]]
    if row["view"] == "MLO":
        stored, prepared = (
            np.array([[of[f"{name}_{axis}"] for axis in "xy"] for name in Landmark])
            for of in (image, row)
        )
        apart = [np.linalg.norm(places[0] - places[1:], axis=1) for places in (stored, prepared)]
        in_mm = apart[0] * hospital.spacing_mm[row["image"]], apart[1] * row["spacing_mm"]
        assert in_mm[0] == pytest.approx(in_mm[1], rel=0.04), (
            "the input's size is rounded to its pixels"
        )


COMPARE = {Task.CANCER: cancer, Task.RISK: risk, Task.DENSITY: density, Task.QUALITY: quality}


@pytest.fixture(scope="module")
def hospital(bundle, programme, index, tmp_path_factory) -> Hospital:
    return Hospital(bundle, programme, index, tmp_path_factory.mktemp("predicted"))


def test_every_exam_of_the_cohort_scores_alike(hospital, run):
    compare(hospital, run)
    assert (hospital.out / "inputs-1.png").exists()
    rows = [row for row in hospital.exams.values() if row["images"]]
    assert sum(row["priors"] > 0 for row in rows) > 5
    assert any(row["images"] < 4 for row in rows), "the programme has exams with missing views"


def test_hospital_and_report_read_scores_alike(
    bundle, run, cohort, programme, index, tmp_path, monkeypatch
):
    """By a scale with makers and software versions, fitted on all exams of the tiny programme."""
    monkeypatch.setattr(scale_module, "LEAST_EXAMS", 3)
    monkeypatch.setattr(scale_module, "LEAST_CANCERS", 3)
    tables = [read_table(score(run, split)[Task.CANCER], SCORES) for split in list(Split)[:3]]
    rows = pl.DataFrame(pl.from_arrow(pa.concat_tables(tables)))
    model = ModelScores("score", rows.select("exam", "breast", "score"))
    reference = read_reference(cohort, None)
    everyone = reference.breasts.with_columns(split=pl.lit("validation"))
    exams = scored_by(replace(reference, breasts=everyone), model, Split.VALIDATION)
    scale = scale_of(exams, PrevalenceSettings())
    # The tiny net has learnt next to nothing: its probabilities may fall.
    scale = replace(scale, intercept=-1.0, slope=2.0, reason=None)
    own = shutil.copytree(bundle, tmp_path / "bundle")
    about = json.loads((own / "bundle.json").read_text())
    about = json.loads(json.dumps(about | {"scale": asdict(scale)}))
    (own / "bundle.json").write_text(json.dumps(about | {"checksum": card_checksum(about)}))
    hospital = Hospital(own, programme, index, tmp_path / "predicted")
    known = pl.read_parquet(cohort / "exams.parquet").to_dicts()
    exams = [exam for exam in known if hospital.exams[exam["exam"]]["exam_score"] is not None]
    assert len(exams) > 15
    said = [hospital.exams[exam["exam"]] for exam in exams]
    read = scale.read(
        np.array([row["exam_score"] for row in said]),
        [exam["maker"] for exam in exams],
        [exam["machine"] for exam in exams],
    )
    assert [row["exam_scale"] for row in said] == read.scale.tolist()
    assert [row["exam_score_10"] for row in said] == read.score_10.tolist()
    assert [row["exam_probability"] for row in said] == read.probability.tolist()
    for row, selected in zip(said, read.selected, strict=True):
        assert row["selected_at"] == np.array(SELECTION_RATES)[selected].tolist()
    levels = [scale.level(exam["maker"], exam["machine"]) for exam in exams]
    assert len({id(level) for level in levels}) > 2
    assert any(
        level in machines.values() for machines in scale.software.values() for level in levels
    )


@pytest.mark.parametrize(
    ("kind", "align"),
    [(Harmonise.landmarks, True), (Harmonise.histogram, False), (Harmonise.tissue, False)],
    ids=["landmarks, priors moved", "histogram", "tissue"],
)
def test_hospital_and_training_harmonise_alike(kind, align, cohort, cache, programme, index):
    """Inputs of every exam, from DICOM and from the cache, to the last pixel."""
    settings = DataSettings(
        harmonise=kind, align_priors=align, augment=AugmentSettings(probability=0)
    )
    exams = ExamData(cohort, cache, settings, TaskSettings(), seed=1)
    studies = pl.read_parquet(index / "images").drop_nulls("exam").select("exam", "study_uid")
    of_study = dict(studies.select("study_uid", "exam").rows())
    priors = PriorSettings(**exams.priors)
    files = scan(programme / "dicom", None, b"0" * 32)
    found, _ = find_exams(files, priors, StandInSettings(**exams.stand_ins))
    hospital = {of_study[exam.study_uid]: exam for exam in found}
    recipe, greys = exams.cache.recipe, GreyStandard.from_json(exams.greys.to_json(), cohort)
    assembler = Assembler(programme / "dicom", recipe, greys, priors.most, align)
    names = exams.everyone.table["exam"].to_pylist()
    with_priors = 0
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        dataset = exams.dataset(split)
        for place, row in enumerate(dataset.rows.tolist()):
            batch = dataset[[Draw(place, 0)]]
            assembled = assembler.assemble(hospital[names[row]])
            for part in ("images", "present", "months"):
                ours, theirs = getattr(batch, part).numpy(), assembled.inputs[part]
                np.testing.assert_array_equal(ours, theirs[:, : exams.times])
            with_priors += assembled.priors > 0
    assert with_priors > 5


def test_scores_differ_between_exams(hospital):
    scores = [row["exam_score"] for row in hospital.exams.values() if row["exam_score"] is not None]
    assert np.ptp(scores) > 1e-3, "parity of constants would prove nothing"


def fitted(cohort: Path, cache: Path, out: Path, align: bool, learnt: tuple[Task, ...]) -> Path:
    """Where priors are moved, grey levels are harmonised too."""
    from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings
    from mim.train.run import fit
    from mim.train.settings import Accelerator, TrainSettings, WandbMode

    tasks = TaskSettings()
    for task in Task:
        getattr(tasks, task.value).learn = task in learnt
    fit(
        cohort,
        cache,
        out,
        DataSettings(
            batch_size=4,
            workers=0,
            align_priors=align,
            harmonise=Harmonise.landmarks if align else Harmonise.voi,
            augment=AugmentSettings(probability=0.5, maker_jitter=0.5)
            if align
            else AugmentSettings(probability=0),
        ),
        tasks,
        ModelSettings(EncoderSettings("convnext_atto"), fusion=FusionSettings(width=16, layers=1)),
        TrainSettings(epochs=1, accelerator=Accelerator.cpu, wandb=WandbMode.off),
    )
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("align", "learnt"),
    [(True, tuple(Task)), *((False, (task,)) for task in (Task.RISK, Task.DENSITY, Task.QUALITY))],
    ids=["all with priors moved", "risk", "density", "quality"],
)
def test_bundles_of_any_tasks_score_alike(cohort, cache, programme, index, tmp_path, align, learnt):
    from mim.export.bundle import write_bundle

    run = fitted(cohort, cache, tmp_path / "run", align, learnt)
    write_bundle(run, tmp_path / "bundle")
    hospital = Hospital(tmp_path / "bundle", programme, index, tmp_path / "predicted")
    assert hospital.tasks == learnt
    compare(hospital, run)
    assert (hospital.out / "landmarks-1.png").exists() == (Task.QUALITY in learnt)
    about = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert about["align_priors"] == align
    assert about["greys"]["kind"] == ("landmarks" if align else "voi")
    assert bool(about["thresholds"]) == (Task.CANCER in learnt)
    if align:
        about["align_priors"] = False
        (tmp_path / "bundle" / "bundle.json").write_text(
            json.dumps(about | {"checksum": card_checksum(about)})
        )
        still = Hospital(tmp_path / "bundle", programme, index, tmp_path / "still")
        moved = [
            abs(row["exam_score"] - still.exams[exam]["exam_score"])
            for exam, row in hospital.exams.items()
            if row["priors"]
        ]
        assert max(moved) > 1e-4, "where priors are moved, scores are other ones"
