"""Every step on a small made-up programme, ending with one exam scored by the bundle alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from mim.cli import commands
from mim.config.commands import (
    AuditCommand,
    CacheCommand,
    CohortCommand,
    Command,
    EvaluateCommand,
    ExportCommand,
    IndexCommand,
    PredictCommand,
    SynthCommand,
    TrainCommand,
)
from mim.config.compose import experiment_settings
from mim.errors import InputError
from mim.image.settings import RecipeSettings
from mim.ingest.settings import IndexSettings
from mim.schemas.cohort import EXAMS
from mim.schemas.images import IMAGES
from mim.schemas.scores import PREDICTIONS
from mim.schemas.table import read_table
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import Split

FOLDERS = (
    "programme",
    "index",
    "cohort",
    "cache",
    "audit",
    "run",
    "report",
    "bundle",
    "prediction",
)
EXAM = "exam"
DICOM, REGISTRY, KEY = "programme/dicom", "programme/registry", "programme/pseudonym.key"
MARK = "demo.json"


class Step(NamedTuple):
    """One command of the demo."""

    what: str
    """Said before it starts."""
    function: Callable[[Any], int]
    """Function of the command."""
    command: Command
    """Its values."""


def run_demo(out: Path, programme: ProgrammeSettings, recipe: RecipeSettings) -> int:
    """Run all steps in ``out``, one folder each, and say where to look.

    Returns:
        0 when the exam at the end has a score, else 1.

    Raises:
        InputError: ``out`` holds something other than an earlier demo.
    """
    start = perf_counter()
    steps = _steps(out, programme, recipe)
    _clear(out, {"programme": asdict(programme), "recipe": asdict(recipe)})
    for number, step in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {step.what}", flush=True)
        begun = perf_counter()
        step.function(step.command)
        print(f"      {perf_counter() - begun:.1f} s, in {step.command.out}", flush=True)
    scored = _show(out)
    print(f"Done in {perf_counter() - start:.0f} s.")
    return 0 if scored else 1


def _steps(out: Path, programme: ProgrammeSettings, recipe: RecipeSettings) -> list[Step]:
    data, tasks, model, train = experiment_settings("demo")
    made, index, cohort, cache, audit, run, report, bundle, prediction = (
        str(out / name) for name in FOLDERS
    )
    synth = SynthCommand(**asdict(programme), out=made)
    registry = str(out / REGISTRY)
    key = IndexSettings(key_file=str(out / KEY))

    def predict_one(command: PredictCommand) -> int:
        _copy_exam(out, chosen_exam(out))
        return commands.predict(command)

    return [
        Step("write a made-up screening programme", commands.synth, synth),
        Step(
            "index its DICOM files",
            commands.index,
            IndexCommand(source=str(out / DICOM), out=index, index=key),
        ),
        Step(
            "join images and registry",
            commands.cohort,
            CohortCommand(index=index, registry=registry, out=cohort),
        ),
        Step(
            "prepare the images",
            commands.cache,
            CacheCommand(cohort=cohort, out=cache, recipe=recipe, workers=programme.workers),
        ),
        Step(
            "look for leaks and shortcuts",
            commands.audit,
            AuditCommand(cohort=cohort, cache=cache, out=audit),
        ),
        Step(
            "train",
            commands.train,
            TrainCommand(
                cohort, cache, run, "demo", data=data, tasks=tasks, model=model, train=train
            ),
        ),
        Step(
            "score the test women",
            commands.evaluate,
            EvaluateCommand(run=run, out=report, compare=True),
        ),
        Step("export, compare with PyTorch", commands.export, ExportCommand(run, bundle)),
        Step(
            "score one exam with the bundle alone",
            predict_one,
            PredictCommand(bundle, str(out / EXAM), prediction),
        ),
    ]


def telling_exam(exams: list[dict[str, Any]]) -> dict[str, Any]:
    """A test exam to show: one with a cancer and with priors, as far as there is one."""
    tests = [exam for exam in exams if exam["split"] == Split.TEST]
    if not tests:
        raise InputError("demo: no exam of the cohort is in the test split; take more women")
    return max(
        tests,
        key=lambda exam: (
            bool(exam["left_cancer"] or exam["right_cancer"]),
            bool(exam["priors"]),
            exam["exam"],
        ),
    )


def _clear(out: Path, settings: dict[str, object]) -> None:
    """Take away an earlier demo, and nothing that is not one."""
    mark = out / MARK
    if out.is_dir() and any(out.iterdir()) and not mark.is_file():
        raise InputError(f"out: {out} holds something other than a demo; name another folder")
    for name in (*FOLDERS, EXAM):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(settings, indent=1) + "\n")


def chosen_exam(out: Path) -> dict[str, Any]:
    """The exam to show, from the demo's cohort."""
    return telling_exam(read_table(out / "cohort" / "exams.parquet", EXAMS).to_pylist())


def _indexed(out: Path, exams: set[str]) -> list[dict[str, Any]]:
    rows = read_table(out / "index" / "images", IMAGES).to_pylist()
    return [row for row in rows if row["exam"] in exams]


def _copy_exam(out: Path, exam: dict[str, Any]) -> None:
    """Copy every DICOM file of an exam and its priors, used or not, to a folder of its own."""
    for image in _indexed(out, {exam["exam"], *exam["priors"]}):
        copy = out / EXAM / image["path"]
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / DICOM / image["path"], copy)


def _show(out: Path) -> bool:
    """Say where to look; whether the exam has a score."""
    studies = {image["study_uid"] for image in _indexed(out, {chosen_exam(out)["exam"]})}
    rows = read_table(out / "prediction" / "predictions.parquet", PREDICTIONS).to_pylist()
    exam = next(row for row in rows if row["study_uid"] in studies)
    print(f"\nAudit:      {out / 'audit' / 'index.html'}")
    print(f"Report:     {out / 'report' / 'index.html'}")
    print(f"Bundle:     {out / 'bundle'}")
    print(f"Prediction: {out / 'prediction'}, from the DICOM files in {out / EXAM}")
    if exam["exam_score"] is None:
        print(f"            no score: {exam['reason']}")
        return False
    sides = (("left", exam["left_score"]), ("right", exam["right_score"]))
    shown = [f"{side} breast {score:.3f}" for side, score in sides if score is not None]
    print(f"            {', '.join(shown)}")
    return True
