"""Rows of ``mim.schemas.scores.PREDICTIONS``: what a bundle says of each exam."""

from collections.abc import Callable

import numpy as np

from mim.deploy.bundle import Bundle, Outputs
from mim.deploy.exams import Assembled, Exam
from mim.image.looks import mean_looks
from mim.schemas.score_scale import ScoreScale
from mim.vocab import BREASTS, Density, Reason, Task, maker_name

Row = dict[str, object]
Seen = tuple[bool, bool]
"""Whether the left and the right breast have a view."""


def exam_row(bundle: Bundle, exam: Exam, assembled: Assembled, outputs: Outputs | None) -> Row:
    """The row of one exam; columns of tasks that the bundle has not learnt are left out.

    ``outputs`` are of this exam alone; None where it has no image, which the row gives a reason for.
    """
    details = [f"{path}: {why} ({reason})" for path, reason, why in assembled.left_out]
    if outputs is not None:
        details += filter(None, [not_fitted_to(bundle, exam)])
    row: Row = {
        "study_uid": exam.study_uid,
        "exam_date": exam.day,
        "maker": exam.maker,
        "machine": exam.machine,
        **_input_measures(exam, assembled),
        "images": assembled.images,
        "priors": assembled.priors,
        "detail": "; ".join(details) or None,
    }
    if outputs is None:
        reasons = {reason for _, reason, _ in assembled.left_out}
        return row | {"reason": reasons.pop() if len(reasons) == 1 else Reason.NO_SCREENING_VIEW}
    left, right = assembled.present.reshape(len(BREASTS), -1)
    seen = bool(left.any()), bool(right.any())
    for task in bundle.tasks:
        row |= OF_TASK[task](bundle, outputs, seen)
    if bundle.scale is not None and row.get("exam_score") is not None:
        row |= _on_scale(bundle.scale, exam, outputs)
    return row


def not_fitted_to(bundle: Bundle, exam: Exam) -> str | None:
    """That an exam is not of the one maker to whose exams the bundle was fitted, if it is not."""
    fitted = bundle.about.get("renormalised")
    if fitted is None or fitted["maker"] == exam.maker:
        return None
    return f"the bundle was fitted to exams of {maker_name(fitted['maker'])}, and this is none"


def _input_measures(exam: Exam, assembled: Assembled) -> Row:
    """What the exam's images are like, before they are harmonised: means over them."""
    found = mean_looks([image.pixels for image in assembled.prepared.values()])
    spacings = [exam.chosen[slot]["row_spacing_mm"] for slot in assembled.prepared]
    known = [spacing for spacing in spacings if spacing]
    measured = {} if found is None else found._asdict()
    return {**measured, "spacing_mm": float(np.mean(known)) if known else None}


def repeat_rows(exam: Exam) -> list[Row]:
    """A row for each study that repeats one of the exam and is scored with it."""
    return [
        {
            "study_uid": study,
            "exam_date": exam.day,
            "maker": exam.maker,
            "machine": exam.machine,
            "images": 0,
            "priors": 0,
            "reason": Reason.REPEATED_EXAM,
            "detail": f"same examination as study {exam.study_uid}, and scored with it",
        }
        for study in exam.repeats
    ]


def _cancer(bundle: Bundle, outputs: Outputs, seen: Seen) -> Row:
    score = float(outputs["exam_score"][0])
    return {
        **_of_breasts("score", outputs["breast_score"][0].tolist(), seen),
        "exam_score": score,
        "selected_at": [rate for rate, limit in bundle.thresholds.items() if score >= limit]
        if bundle.thresholds
        else None,
    }


def _on_scale(scale: ScoreScale, exam: Exam, outputs: Outputs) -> Row:
    """The exam's score as the reference exams of its maker and software version would read it."""
    score = outputs["exam_score"].astype(np.float64)
    read = scale.read(score, [exam.maker], [exam.machine])
    rates = zip(scale.selection_rates, read.selected[0].tolist(), strict=True)
    return {
        "exam_scale": float(read.scale[0]),
        "exam_score_10": int(read.score_10[0]),
        "exam_probability": None if read.probability is None else float(read.probability[0]),
        "selected_at": [rate for rate, selected in rates if selected],
    }


def _risk(_: Bundle, outputs: Outputs, seen: Seen) -> Row:
    return {
        **_of_breasts("risk", outputs["breast_risk"][0].tolist(), seen),
        "woman_risk": outputs["woman_risk"][0].tolist(),
    }


def _density(_: Bundle, outputs: Outputs, seen: Seen) -> Row:
    """The exam's density is that of the denser breast, as radiologists report it."""
    row: Row = {}
    classes, percent = outputs["breast_density"][0], outputs["breast_percent"][0]
    if not np.isnan(classes).any():
        denser = int(np.argmax(np.where(seen, classes @ np.arange(len(Density)), -1.0)))
        row["density"] = list(Density)[int(np.argmax(classes[denser]))]
        row["density_probabilities"] = classes[denser].tolist()
    if not np.isnan(percent).any():
        row |= _of_breasts("percent", percent.tolist(), seen)
    return row


def _of_breasts(what: str, values: list[object], seen: Seen) -> Row:
    """Columns of left and right; None for a breast without a view."""
    names = (f"left_{what}", f"right_{what}")
    return {
        name: value if there else None
        for name, value, there in zip(names, values, seen, strict=True)
    }


def _quality(_: Bundle, __: Outputs, ___: Seen) -> Row:
    """Nothing of the exam: ``mim.deploy.quality`` has rows for images."""
    return {}


OF_TASK: dict[Task, Callable[[Bundle, Outputs, Seen], Row]] = {
    Task.CANCER: _cancer,
    Task.RISK: _risk,
    Task.DENSITY: _density,
    Task.QUALITY: _quality,
}
