"""From a run folder to a bundle that a hospital can trust."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from mim.data.settings import DataSettings
from mim.deploy.bundle import (
    FORMAT,
    LISTED,
    TOLERANCE,
    Inputs,
    card_checksum,
    file_checksum,
    golden_inputs,
    load_bundle,
    moved_phantom,
    prepared_phantom,
)
from mim.errors import InputError
from mim.evaluate.settings import PrevalenceSettings
from mim.export.onnx import OPSET, largest_differences, run_torch, write_onnx
from mim.export.outputs import CALIBRATION, OUTPUTS, describe_axes, describe_outputs
from mim.export.reference import monitor_reference
from mim.image.greys import GreyStandard
from mim.image.settings import RecipeSettings
from mim.model.exam import ExamModel
from mim.model.settings import TaskSettings
from mim.schemas.saved_settings import read_settings
from mim.schemas.table import write_json
from mim.train.card import RunCard
from mim.train.reference import reference_exams, reference_scale, reference_thresholds
from mim.train.run import data_of, load_task
from mim.vocab import Split, Task

REAL_EXAMS = 4


def write_bundle(run: Path, out: Path, prevalence: PrevalenceSettings | None = None) -> None:
    """Export a run's best checkpoint, compare it with PyTorch, and load it as a hospital would.

    Args:
        run: the run's folder.
        out: the bundle's.
        prevalence: what the programme sees, where the validation exams hold more cancers or fewer.

    Raises:
        InputError: ``run`` is no finished run, ``out`` holds something else, the validation exams
            cannot stand for the programme, or ONNX Runtime and PyTorch differ by more than
            ``TOLERANCE``.
    """
    _require_free(out)
    task, card = load_task(run)
    seen = _real(run, card)
    read = _readings(run, card, Task.CANCER in task.model.tasks.learnt(), prevalence)
    recipe = RecipeSettings(**card.recipe)
    times = 1 + int(card.priors["most"])
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    unfinished.mkdir(parents=True)
    try:
        model = unfinished / "model.onnx"
        example = golden_inputs(recipe, times=max(2, times), exams=max(2, times) + 1)
        write_onnx(task.model, example, model, {"fingerprint": card.fingerprint, "note": card.note})
        cases = [*_patterns(golden_inputs(recipe, times)), *seen]
        off = _differences(run, card, largest_differences(task.model, model, cases))
        greys = GreyStandard.from_json(card.greys, run / "run.json")
        _write_golden(task.model, recipe, greys, times, unfinished / "golden.npz")
        weights = {name: part.contiguous() for name, part in task.model.state_dict().items()}
        encoder = {"encoder": card.settings["model"]["encoder"]["name"]}
        (unfinished / "weights.safetensors").write_bytes(save(weights, encoder))
        _write_about(card, unfinished, off, len(cases), read)
        load_bundle(unfinished)
        if out.exists():
            shutil.rmtree(out)
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    worst = max(off.values())
    print(f"ONNX and PyTorch differ by at most {worst:.1g} over {len(cases)} cases")


def _differences(run: Path, card: RunCard, largest: dict[str, float]) -> dict[str, float]:
    """Largest difference of each output as a share of its highest value, refused where too large."""
    off = {name: value / OUTPUTS[name].highest for name, value in largest.items()}
    worst = max(off, key=off.__getitem__)
    if off[worst] > TOLERANCE:
        raise InputError(
            f"{run}: ONNX Runtime and PyTorch differ by {off[worst]:.2g} in {worst}, more than "
            f"{TOLERANCE}; the encoder {card.settings['model']['encoder']['name']} does not export "
            "faithfully"
        )
    return off


def _require_free(out: Path) -> None:
    if out.exists() and not (out / "bundle.json").is_file() and any(out.iterdir()):
        raise InputError(f"out={out}: holds files that are no bundle; choose another folder")


def _patterns(full: Inputs) -> Iterator[Inputs]:
    """Cases of every kind of absence, from the golden case with all its images there."""
    exams, times, views = full["present"].shape
    images = np.random.default_rng(7).integers(0, 65536, full["images"].shape, dtype=np.uint16)
    everything = np.ones((exams, times, views), bool)
    yield {**full, "images": images, "present": everything}
    yield full
    for view in range(views):
        single = np.zeros_like(everything)
        single[:, 0, view] = True
        yield {**full, "images": images, "present": single}
    without_priors = everything.copy()
    without_priors[:, 1:] = False
    yield {**full, "images": images, "present": without_priors}
    yield {
        "images": images[:1, :1],
        "present": everything[:1, :1],
        "months": full["months"][:1, :1],
    }


def _real(run: Path, card: RunCard) -> list[Inputs]:
    """Validation exams as training saw them; they stay out of the bundle."""
    data = read_settings(DataSettings, card.settings["data"])
    exams = data_of(run, card, replace(data, batch_size=1, cases_per_batch=0, workers=0))
    return [
        {
            "images": batch.images.numpy(),
            "present": batch.present.numpy(),
            "months": batch.months.numpy(),
        }
        for batch in islice(exams.loader(exams.dataset(Split.VALIDATION)), REAL_EXAMS)
    ]


def _write_golden(
    model: ExamModel, recipe: RecipeSettings, greys: GreyStandard, times: int, path: Path
) -> None:
    inputs = golden_inputs(recipe, times)
    scores = run_torch(model, inputs)
    drawn = {"phantom": prepared_phantom(recipe, greys), "moved": moved_phantom(recipe, greys)}
    np.savez_compressed(path, **drawn, **scores, **inputs)  # type: ignore[arg-type]


def _readings(
    run: Path, card: RunCard, learnt: bool, prevalence: PrevalenceSettings | None
) -> dict[str, Any]:
    """How exam scores are read, and what exams were like; nothing where no scores are learnt."""
    exams = reference_exams(run) if learnt else None
    scale = None if exams is None else reference_scale(exams, prevalence)
    if exams is None or scale is None:
        return {"thresholds": [], "scale": None, "reference": None}
    thresholds = reference_thresholds(exams, prevalence)
    reference = monitor_reference(exams, card, scale, prevalence)
    return {
        "thresholds": list(map(asdict, thresholds)),
        "scale": asdict(scale),
        "reference": reference and asdict(reference),
    }


def _write_about(
    card: RunCard, folder: Path, off: dict[str, float], cases: int, read: dict[str, Any]
) -> None:
    tasks = read_settings(TaskSettings, card.settings["tasks"])
    exporters = {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
    about = card.public() | {
        "format": FORMAT,
        "tasks": tasks.learnt(),
        "align_priors": card.settings["data"]["align_priors"],
        "inputs": {
            "images": "uint16 [exam, time, view, 1, height, width]; 0 where absent",
            "present": "bool [exam, time, view]",
            "months": "float32 [exam, time]; months before the exam, newest prior first",
        },
        "outputs": describe_outputs(tasks, card.learnt),
        "axes": describe_axes(tasks),
        "calibration": CALIBRATION,
        **read,
        "versions": card.versions | exporters | {"opset": str(OPSET)},
        "parity": {
            "largest_difference": max(off.values()),
            "of_outputs": off,
            "cases": cases,
            "tolerance": TOLERANCE,
        },
        "files": {name: file_checksum(folder / name) for name in LISTED},
    }
    # Once through JSON, since that is what will be read.
    said = json.loads(json.dumps(about))
    write_json(folder / "bundle.json", said | {"checksum": card_checksum(said)})
