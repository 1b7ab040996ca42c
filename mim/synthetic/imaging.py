"""One exam's images: which are taken, what they show, and the truth about them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.synthetic import texture
from mim.synthetic.anatomy import Position
from mim.synthetic.faults import Fault
from mim.synthetic.processing import device_in_use
from mim.synthetic.render import Exposure, Scene, expose, for_presentation, for_processing
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.truth import write_mask
from mim.synthetic.women import (
    Exam,
    Extra,
    Stream,
    Woman,
    draw_position,
    lesions_on,
)
from mim.synthetic.write import SPOT_MAGNIFICATION, Shot, Study, derive_uid, write_image
from mim.vocab import (
    BREASTS,
    SCREENING_VIEWS,
    VIEW_SLOTS,
    Laterality,
    Quality,
    View,
    ViewModifier,
)

Pixels = NDArray[np.uint16]
Slot = tuple[Laterality, View]

TAKEN = tuple(
    (side, view) for view in (View.CC, View.MLO) for side in (Laterality.RIGHT, Laterality.LEFT)
)
"""Order in which the four views are taken."""
COMMON_SHARE = 0.5
"""Correlation of a view's largest structures with those that all views of a woman share."""
CHANGE_SHARE = 0.25
"""Share of the larger structures, over 5 mm, that is new at each exam."""
CUT_OFF_MM = 10.0
"""Of the breast next to the chest wall, more than this not shown is a cut-off breast."""
LETTER_MM = 9.0
"""Height of burned-in letters."""


@dataclass(frozen=True)
class Shutter:
    """One press of the button: slot, position, and how its file is written."""

    slot: Slot
    position: Position
    grade: Quality
    fault: Fault | None = None
    take: int = 1
    view: View | None = None
    hides_laterality: bool = False
    hides_view: bool = False


class Camera:
    """Takes and writes the images of one woman's exams below ``folder`` and ``masks``."""

    def __init__(
        self, woman: Woman, settings: ProgrammeSettings, folder: Path, masks: Path
    ) -> None:
        self._woman = woman
        self._settings = settings
        self._folder = folder
        self._masks = masks
        self._key = [settings.seed, woman.number]
        self._white = lru_cache(maxsize=4)(self._draw_white)
        self._ducts = lru_cache(maxsize=4)(self._draw_ducts)

    def photograph(self, exam: Exam) -> list[dict[str, object]]:
        """Write the images of one exam; the truth of its screening views, a row for each."""
        study = self._study(exam)
        (self._folder / exam.exam_id).mkdir()
        odd = self._odd_slot(exam)
        rows, number = [], 0
        for shutter in self._shutters(exam, odd):
            number += 1
            exposure = self._expose(exam, shutter)
            shot = self._shot(study, exam, shutter, number)
            pixels = self._stored(study, shot, exposure)
            write_image(self._path(exam, number), study, shot, pixels)
            if shutter.view is None:
                rows.append(self._truth(study, exam, shutter, shot, exposure))
            if exam.extra is Extra.FOR_PROCESSING:
                number += 1
                self._write_twin(study, exam, shutter, number, exposure)
            if exam.extra is Extra.SPOT and shutter.slot == odd:
                number += 1
                self._write_spot(study, exam, shutter, number, pixels)
        return rows

    def _study(self, exam: Exam) -> Study:
        minute = np.random.default_rng([*self._key, Stream.EXAM, exam.round, 1]).integers(480, 900)
        return Study(
            self._woman.woman_id,
            exam.exam_id,
            study_uid(self._settings, self._woman.number, exam),
            exam.day,
            int(minute),
            exam.age,
            exam.site.name,
            device_in_use(exam.device, exam.day, self._settings),
            self._settings.shrink,
        )

    def _odd_slot(self, exam: Exam) -> Slot:
        rng = np.random.default_rng([*self._key, Stream.EXAM, exam.round, 2])
        return VIEW_SLOTS[int(rng.integers(len(VIEW_SLOTS)))]

    def _shutters(self, exam: Exam, odd: Slot) -> Iterator[Shutter]:
        rng = np.random.default_rng([*self._key, Stream.REPEAT, exam.round])
        for slot in TAKEN:
            position = exam.positions[slot]
            here = slot == odd
            if here and exam.extra is Extra.MISSING_VIEW:
                continue
            if here and exam.extra is Extra.REPEATED:
                _, other = draw_position(rng)
                failed = replace(other, lost_mm=22.0)
                yield Shutter(slot, failed, Quality.INADEQUATE, take=2)
            yield Shutter(
                slot,
                position,
                exam.grades[slot],
                exam.faults[slot],
                hides_laterality=here and exam.extra is Extra.NO_LATERALITY,
                hides_view=here and exam.extra is Extra.VIEW_IN_DESCRIPTION,
            )
        if exam.extra is Extra.EXAGGERATED:
            aside = Position(rotation_deg=9.0, lost_mm=3.0, shift_mm=38.0)
            slot = (odd[0], View.CC)
            yield Shutter(slot, aside, exam.grades[slot], take=3, view=View.XCCL)

    def _expose(self, exam: Exam, shutter: Shutter) -> Exposure:
        side, view = shutter.slot
        names = [BREASTS.index(side), SCREENING_VIEWS.index(view)]
        scene = Scene(
            exam.breasts[side],
            view,
            shutter.position,
            lesions_on(self._woman, side, exam.day),
            [*self._key, Stream.QUANTA, *names, exam.round, shutter.take],
            shutter.fault,
        )
        rows = texture.grid_rows(exam.device.pitch_mm * self._settings.shrink)
        change = texture.white_spectrum(
            [*self._key, Stream.CHANGE, *names, exam.round], 4 * texture.COARSEST
        )
        white = texture.share_structure(self._white(side, view, rows), change, CHANGE_SHARE)
        ducts = self._ducts(side, view, rows)
        return expose(scene, white, ducts, exam.device, self._settings.shrink)

    def _draw_white(self, side: Laterality, view: View, rows: int) -> texture.Spectrum:
        names = [BREASTS.index(side), SCREENING_VIEWS.index(view)]
        white = texture.white_spectrum([*self._key, Stream.TEXTURE, *names], rows)
        common = texture.white_spectrum([*self._key, Stream.COMMON], texture.COARSEST)
        return texture.share_structure(white, common, COMMON_SHARE)

    def _draw_ducts(self, side: Laterality, view: View, rows: int) -> texture.Field:
        names = [BREASTS.index(side), SCREENING_VIEWS.index(view)]
        # The nipple's distance is the woman's own: it does not change between exams.
        nipple_mm = self._woman.exams[0].breasts[side].depth_mm
        return texture.ducts([*self._key, Stream.DUCTS, *names], nipple_mm, rows)

    def _shot(self, study: Study, exam: Exam, shutter: Shutter, number: int) -> Shot:
        side = shutter.slot[0]
        return Shot(
            number,
            derive_uid(study.study_uid, "image", number),
            derive_uid(study.study_uid, "series", number),
            side,
            shutter.view or shutter.slot[1],
            exam.breasts[side].thickness_mm,
            exam.device.mirrors_right and side is Laterality.RIGHT,
            hides_laterality=shutter.hides_laterality,
            hides_view=shutter.hides_view,
        )

    def _stored(self, study: Study, shot: Shot, exposure: Exposure) -> Pixels:
        pixels = _turned(for_presentation(exposure, study.device, _shape(study)), shot)
        if study.device.burns_letters:
            _burn_letters(pixels, study, shot)
        return pixels

    def _path(self, exam: Exam, number: int) -> Path:
        return self._folder / exam.exam_id / f"{number}.dcm"

    def _write_twin(
        self, study: Study, exam: Exam, shutter: Shutter, number: int, exposure: Exposure
    ) -> None:
        shot = replace(self._shot(study, exam, shutter, number), processing=True)
        pixels = _turned(for_processing(exposure, _shape(study)), shot)
        write_image(self._path(exam, number), study, shot, pixels)

    def _write_spot(
        self, study: Study, exam: Exam, shutter: Shutter, number: int, pixels: Pixels
    ) -> None:
        modifiers = (ViewModifier.SPOT, ViewModifier.MAGNIFIED)
        shot = replace(self._shot(study, exam, shutter, number), modifiers=modifiers)
        write_image(self._path(exam, number), study, shot, _magnified(pixels, shot))

    def _truth(
        self, study: Study, exam: Exam, shutter: Shutter, shot: Shot, exposure: Exposure
    ) -> dict[str, object]:
        shape = _shape(study)
        pitch = study.device.pitch_mm * study.shrink
        mask = np.zeros(shape, np.uint8)
        box = exposure.box
        mask[box.row : box.row + box.rows, box.column : box.column + box.columns] = exposure.mask
        lesions = lesions_on(self._woman, shot.laterality, exam.day)
        shown = [n for n in range(1, len(lesions) + 1) if (exposure.mask == n).any()]
        order = np.zeros(len(lesions) + 1, np.uint8)
        order[shown] = np.arange(1, len(shown) + 1)
        mask = np.ascontiguousarray(_turned(order[mask], shot))
        if shown:
            write_mask(self._masks / f"{shot.sop_uid}.png", mask)
        flipped = shape[1] * pitch if _chest_on_right(shot) else None
        in_profile = exposure.projection.nipple_in_profile
        nipple = _stored_point(exposure.projection.nipple, flipped)
        line = exposure.projection.pectoral_line()
        ends = (
            (_stored_point(line[:2], flipped), _stored_point(line[2:], flipped)) if line else None
        )
        chosen = [lesions[n - 1] for n in shown]
        return {
            "sop_uid": shot.sop_uid,
            "study_uid": study.study_uid,
            "patient_id": study.woman_id,
            "exam_id": study.exam_id,
            "path": f"{study.woman_id}/{study.exam_id}/{shot.number}.dcm",
            "laterality": str(shot.laterality),
            "view": str(shot.view),
            "maker": str(study.device.maker),
            "retaken": shutter.take == 2,
            "spacing_mm": pitch,
            "glandular": exposure.glandular,
            **_points("nipple", nipple if in_profile else None, pitch),
            **_points("pectoral_upper", ends[0] if ends else None, pitch),
            **_points("pectoral_lower", ends[1] if ends else None, pitch),
            "grade": str(shutter.grade),
            **_criteria(exam, shutter),
            "pectoral_to_nipple": line[3] >= exposure.projection.nipple[1] if line else None,
            "lesion_kinds": [str(lesion.kind) for lesion, _ in chosen],
            "lesion_malignant": [lesion.malignant for lesion, _ in chosen],
            "lesion_sizes_mm": [round(size, 2) for _, size in chosen],
            "lesion_boxes": [_box(mask == n) for n in range(1, len(shown) + 1)],
        }


def study_uid(settings: ProgrammeSettings, number: int, exam: Exam) -> str:
    """Study Instance UID of an exam; settings that change its pixels change the UID."""
    changing: list[object] = [
        settings.seed,
        settings.shrink,
        settings.rounds,
        settings.cancer_share,
    ]
    changing += [settings.lookalike_share] if settings.lookalike_share else []
    changing += ["software update"] if settings.software_update else []
    changing += [f"maker gap {float(settings.maker_gap)}"] if settings.maker_gap != 1 else []
    return derive_uid("mim", *changing, number, exam.round)


def _shape(study: Study) -> tuple[int, int]:
    return study.device.rows // study.shrink, study.device.columns // study.shrink


def _chest_on_right(shot: Shot) -> bool:
    return (shot.laterality is Laterality.RIGHT) != shot.mirrored


def _turned(pixels: NDArray[Any], shot: Shot) -> NDArray[Any]:
    return pixels[:, ::-1].copy() if _chest_on_right(shot) else pixels


def _burn_letters(pixels: Pixels, study: Study, shot: Shot) -> None:
    """Letters as of lead, on the side away from the chest wall."""
    pitch = study.device.pitch_mm * study.shrink
    text = f"{shot.laterality}{shot.view}"
    font, stroke = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.0 / pitch))
    scale = cv2.getFontScaleFromHeight(font, max(5, round(LETTER_MM / pitch)), stroke)
    (width, height), _ = cv2.getTextSize(text, font, scale, stroke)
    stencil = np.zeros((height + 4 * stroke, width + 2 * stroke), np.uint8)
    cv2.putText(stencil, text, (stroke, height + stroke), font, scale, 255, stroke)
    away = round(8 / pitch)
    left = away if _chest_on_right(shot) else pixels.shape[1] - stencil.shape[1] - away
    part = pixels[away : away + stencil.shape[0], left : left + stencil.shape[1]]
    part[stencil > 127] = (1 << study.device.bits_stored) - 1


def _magnified(pixels: Pixels, shot: Shot) -> Pixels:
    """The middle of the breast, as large as the whole field."""
    rows, columns = (round(n / SPOT_MAGNIFICATION) for n in pixels.shape)
    top = round(pixels.shape[0] * 0.5 - rows / 2)
    left = pixels.shape[1] - columns if _chest_on_right(shot) else 0
    part = pixels[top : top + rows, left : left + columns]
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint16)


def _stored_point(point: tuple[float, ...], width_mm: float | None) -> tuple[float, float]:
    x, y = point
    return (x if width_mm is None else width_mm - x), y


def _points(name: str, point: tuple[float, float] | None, pitch: float) -> dict[str, object]:
    if point is None:
        return {f"{name}_visible": False}
    x, y = point
    return {
        f"{name}_x": x / pitch - 0.5,
        f"{name}_y": y / pitch - 0.5,
        f"{name}_x_mm": x,
        f"{name}_y_mm": y,
        f"{name}_visible": True,
    }


def _criteria(exam: Exam, shutter: Shutter) -> dict[str, object]:
    """What is true of an image by how it was taken. The fold below the breast is not drawn."""
    side, view = shutter.slot
    other = exam.positions[next(breast for breast in BREASTS if breast is not side), view]
    own = shutter.position
    return {
        "nipple_in_profile": shutter.fault is not Fault.NIPPLE_TURNED,
        "cut_off": own.lost_mm > CUT_OFF_MM,
        "skin_fold": shutter.fault is Fault.SKIN_FOLD,
        "blurred": shutter.fault is Fault.BLURRED,
        "symmetric": abs(own.rotation_deg - other.rotation_deg) < 5
        and abs(own.lost_mm - other.lost_mm) < 6
        and (view is View.CC or abs(own.pectoral_end_mm - other.pectoral_end_mm) < 15),
    }


def _box(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
