"""Scores of every exam in a DICOM folder, by a bundle and without PyTorch.

``predictions.parquet`` and ``predictions.json`` hold a row for each exam, scored or with a
reason; ``contact.png`` shows what the model saw. They name studies by their Study Instance UID:
they belong to the hospital whose images they are about.
"""

import secrets
from pathlib import Path

from tqdm import tqdm

from mim.deploy.bundle import Bundle, load_bundle
from mim.deploy.exams import Assembled, Assembler, Exam, find_exams
from mim.dicom.rows import PROBLEMS, scan
from mim.image.contact import contact_sheet, exam_tiles
from mim.schemas.scores import PREDICTIONS
from mim.schemas.table import write_json, write_table
from mim.vocab import VIEW_SLOTS, Reason

EXAMS_SHOWN = 4

NO_STUDY = "no Study Instance UID, so it belongs to no exam; overrides can name one"


def predict(bundle: Path, source: Path, out: Path, overrides: Path | None) -> int:
    """Score the exams below ``source``; returns how many exams or files could not be used.

    Older exams of a woman in the folder serve as priors, and are scored themselves. Studies that
    repeat one of the same examination are scored with it. A file that belongs to no exam counts where somebody should look into it (``mim.dicom.rows.PROBLEMS``), or
    where only its study is not known.

    Raises:
        InputError: the bundle does not prove itself, or the folder holds no file.
    """
    loaded = load_bundle(bundle)
    files = scan(source, overrides, secrets.token_bytes(32))
    found, of_no_exam = find_exams(files, loaded.priors, loaded.stand_ins)
    assembler = Assembler(source, loaded.recipe, loaded.priors.most)
    rows = []
    for place, exam in enumerate(tqdm(found, desc="predict", unit="exam")):
        assembled = assembler.assemble(exam)
        rows += [_row(loaded, exam, assembled), *_repeats(exam)]
        if place < EXAMS_SHOWN:
            _show(assembled, out / f"inputs-{place + 1}.png")
    write_table(PREDICTIONS.from_rows(rows), out / "predictions.parquet")
    write_json(
        out / "predictions.json",
        {
            "model": {key: loaded.about[key] for key in ("fingerprint", "score", "note")},
            "thresholds": loaded.about["thresholds"],
            "exams": rows,
            "files_left_out": [
                {"path": row["path"], "reason": row["reason"], "detail": row["detail"] or NO_STUDY}
                for row in of_no_exam
            ],
        },
    )
    lost = sum(row["reason"] in (None, *PROBLEMS) for row in of_no_exam)
    unscored = sum(row["reason"] not in (None, Reason.REPEATED_EXAM) for row in rows)
    print(
        f"{len(found)} exams, {len(found) - unscored} scored; {len(rows) - len(found)} studies "
        f"that repeat another; {len(of_no_exam)} files of no exam"
    )
    return lost + unscored


def _row(bundle: Bundle, exam: Exam, assembled: Assembled) -> dict[str, object]:
    detail = "; ".join(f"{path}: {why} ({reason})" for path, reason, why in assembled.left_out)
    row = _unscored(exam.study_uid, None, detail or None)
    row |= {"images": assembled.images, "priors": assembled.priors}
    if assembled.inputs is None:
        reasons = {reason for _, reason, _ in assembled.left_out}
        return row | {"reason": reasons.pop() if len(reasons) == 1 else Reason.NO_SCREENING_VIEW}
    breasts, exams = bundle.score(assembled.inputs)
    seen = assembled.inputs["present"][0, 0].reshape(2, -1).any(-1)
    exam_score = float(exams[0])
    return row | {
        "left_score": float(breasts[0, 0]) if seen[0] else None,
        "right_score": float(breasts[0, 1]) if seen[1] else None,
        "exam_score": exam_score,
        "selected_at": [rate for rate, limit in bundle.thresholds.items() if exam_score >= limit],
    }


def _repeats(exam: Exam) -> list[dict[str, object]]:
    detail = f"same examination as study {exam.study_uid}, and scored with it"
    return [_unscored(study, Reason.REPEATED_EXAM, detail) for study in exam.repeats]


def _unscored(study_uid: str, reason: Reason | None, detail: str | None) -> dict[str, object]:
    return {
        "study_uid": study_uid,
        "left_score": None,
        "right_score": None,
        "exam_score": None,
        "selected_at": [],
        "images": 0,
        "priors": 0,
        "reason": reason,
        "detail": detail,
    }


def _show(assembled: Assembled, path: Path) -> None:
    if assembled.inputs is None:
        return
    of_exam = (assembled.inputs[name][0] for name in ("images", "present", "months"))
    contact_sheet(*exam_tiles(*of_exam), path, columns=len(VIEW_SLOTS))
