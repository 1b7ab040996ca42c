"""Scores of every exam in a DICOM folder, by a bundle and without PyTorch.

``predictions.parquet`` and ``predictions.json`` hold a row for each exam, scored or with a
reason; ``quality.parquet`` and ``quality.json``, where the bundle has learnt quality, a row for
each image; ``inputs-1.png`` and so on show what the model saw, ``landmarks-1.png`` where it found
landmarks. They name studies and images by their UIDs: they belong to the hospital whose images
they are about.
"""

import secrets
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from mim.deploy.bundle import Bundle, Outputs, load_bundle
from mim.deploy.exams import Assembled, Assembler, Exam, find_exams
from mim.deploy.quality import image_rows, mark_landmarks
from mim.deploy.scored import Row, exam_row, not_fitted_to, repeat_rows
from mim.dicom.rows import PROBLEMS, scan
from mim.image.contact import contact_sheet, exam_tiles
from mim.schemas.folders import require_own
from mim.schemas.scores import PREDICTED_QUALITY, PREDICTIONS
from mim.schemas.table import write_json, write_table
from mim.vocab import VIEW_SLOTS, Reason, Task

EXAMS_SHOWN = 4

LANDMARK_ROWS = 512
"""Height of an image in the pictures of landmarks."""

NO_STUDY = "no Study Instance UID, so it belongs to no exam; overrides can name one"


def predict(bundle: Path, source: Path, out: Path, overrides: Path | None) -> int:
    """Score the exams below ``source``; returns how many exams or files could not be used.

    A folder without any exam counts as one.

    Older exams of a woman in the folder serve as priors, and are scored themselves. Studies that
    repeat one of the same examination are scored with it. A scored exam counts where one of its
    images could not be used, and a file of no exam where somebody should look into it
    (``mim.dicom.rows.PROBLEMS``), or where only its study is not known. Where the bundle was fitted to
    one maker's exams (``mim renormalise``), a scored exam of another counts too.

    Raises:
        InputError: the bundle does not prove itself, or the folder holds no file.
    """
    require_own(out, "predictions.json")
    loaded = load_bundle(bundle)
    files = scan(source, overrides, secrets.token_bytes(32))
    found, of_no_exam = find_exams(files, loaded.priors, loaded.stand_ins)
    assembler = Assembler(
        source, loaded.recipe, loaded.greys, loaded.priors.most, loaded.align_priors
    )
    rows: list[Row] = []
    images: list[Row] = []
    damaged = foreign = 0
    shown: set[str] = set()
    for place, exam in enumerate(tqdm(found, desc="predict", unit="exam"), 1):
        assembled = assembler.assemble(exam)
        outputs = None if assembled.inputs is None else loaded.score(assembled.inputs)
        damaged += outputs is not None and _lost_an_image(exam, assembled)
        foreign += outputs is not None and not_fitted_to(loaded, exam) is not None
        rows += [exam_row(loaded, exam, assembled, outputs), *repeat_rows(exam)]
        if outputs is not None and Task.QUALITY in loaded.tasks:
            images += image_rows(exam, assembled, outputs, loaded.recipe)
        if outputs is not None and place <= EXAMS_SHOWN:
            shown |= _show(loaded, assembled, outputs, out, place)
    _remove_older(out, shown, Task.QUALITY in loaded.tasks)
    left_out = [
        {"path": row["path"], "reason": row["reason"], "detail": row["detail"] or NO_STUDY}
        for row in of_no_exam
    ]
    _write(loaded, PREDICTIONS.from_rows(rows), left_out, out)
    if Task.QUALITY in loaded.tasks:
        quality = PREDICTED_QUALITY.from_rows(images)
        write_table(quality, out / "quality.parquet")
        write_json(out / "quality.json", {"images": quality.to_pylist()})
    lost = sum(row["reason"] in (None, *PROBLEMS) for row in of_no_exam)
    unscored = sum(row.get("reason") not in (None, Reason.REPEATED_EXAM) for row in rows)
    print(
        f"{len(found)} exams, {len(found) - unscored} scored; {len(rows) - len(found)} studies "
        f"that repeat another; {damaged} scored without an image that could not be used; "
        f"{len(of_no_exam)} files of no exam"
        + (
            f"; {foreign} scored that are not of the maker the bundle was fitted to"
            if foreign
            else ""
        )
    )
    return lost + unscored + damaged + foreign or int(not found)


def _lost_an_image(exam: Exam, assembled: Assembled) -> bool:
    """Whether an image was chosen and could not be prepared, or should be looked into."""
    unprepared = len(assembled.left_out) > len(exam.left_out)
    return unprepared or any(reason in PROBLEMS for _, reason, _ in exam.left_out)


def _remove_older(out: Path, shown: set[str], quality: bool) -> None:
    """Remove what an earlier prediction left of exams, or of tasks, that this one does not have."""
    for kind in ("inputs", "landmarks"):
        for number in range(1, EXAMS_SHOWN + 1):
            if (name := f"{kind}-{number}.png") not in shown:
                (out / name).unlink(missing_ok=True)
    if not quality:
        for name in ("quality.parquet", "quality.json"):
            (out / name).unlink(missing_ok=True)


def _write(bundle: Bundle, rows: pa.Table, left_out: list[Row], out: Path) -> None:
    """The exams' rows as a table, and as JSON with what must stand beside them."""
    write_table(rows, out / "predictions.parquet")
    said = ("checksum", "fingerprint", "tasks", "outputs", "axes", "calibration", "note")
    exams = rows.set_column(1, "exam_date", rows["exam_date"].cast(pa.string())).to_pylist()
    write_json(
        out / "predictions.json",
        {
            "model": {key: bundle.about[key] for key in said},
            "thresholds": bundle.about["thresholds"],
            "reference": bundle.scale and bundle.scale.reference,
            "exams": exams,
            "files_left_out": left_out,
        },
    )


def _show(
    bundle: Bundle, assembled: Assembled, outputs: Outputs, out: Path, place: int
) -> set[str]:
    """Pictures of one exam as the model saw it, and of what it found there; returns their names."""
    assert assembled.inputs is not None, "an exam with outputs has inputs"
    of_exam = (assembled.inputs[name][0] for name in ("images", "present", "months"))
    inputs, landmarks = f"inputs-{place}.png", f"landmarks-{place}.png"
    contact_sheet(*exam_tiles(*of_exam), out / inputs, columns=len(VIEW_SLOTS))
    if Task.QUALITY not in bundle.tasks:
        return {inputs}
    marked = mark_landmarks(assembled, outputs)[None, :, None]
    tiles = exam_tiles(marked, assembled.present[None], assembled.inputs["months"][0, :1])
    contact_sheet(*tiles, out / landmarks, len(VIEW_SLOTS), LANDMARK_ROWS)
    return {inputs, landmarks}
