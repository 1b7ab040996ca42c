"""Exams of a DICOM folder as the model's input."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.cohort.priors import find_priors
from mim.cohort.settings import PriorSettings, StandInSettings
from mim.deploy.bundle import Inputs
from mim.dicom.pixels import PixelError
from mim.dicom.screening import Slot, choose_screening_images
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.vocab import VIEW_SLOTS, Laterality, Reason, View

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """One study of the folder: its images by slot, and its woman's other studies."""

    study_uid: str
    rows: list[Row]
    others: list["Study"] = field(default_factory=list)

    @property
    def day(self) -> date | None:
        """Study Date (0008,0020), the earliest that a row gives."""
        return min((row["study_date"] for row in self.rows if row["study_date"]), default=None)


@dataclass
class Assembled:
    """A study ready to score: inputs of one exam, and what was left out of it.

    ``inputs`` is None where no image of the study could be used.
    """

    inputs: Inputs | None
    images: int
    priors: int
    left_out: list[tuple[str, Reason, str]]


def studies(rows: Iterable[Row]) -> tuple[list[Study], list[Row]]:
    """Studies by Study Instance UID, each with the other studies of its Patient ID.

    Beside them the rows that belong to no study: files that are no DICOM, or cannot be read.
    """
    by_study: dict[str, list[Row]] = defaultdict(list)
    of_none: list[Row] = []
    for row in rows:
        if uid := row.get("study_uid"):
            by_study[uid].append(row)
        else:
            of_none.append(row)
    found = [Study(uid, of_study) for uid, of_study in sorted(by_study.items())]
    by_woman: dict[str, list[Study]] = defaultdict(list)
    for study in found:
        for woman in {row["patient_id"] for row in study.rows if row["patient_id"]}:
            by_woman[woman].append(study)
    for of_woman in by_woman.values():
        for study in of_woman:
            study.others.extend(other for other in of_woman if other is not study)
    return found, of_none


class Assembler:
    """Prepares studies for one recipe; images are kept a while, as one exam's are another's prior."""

    def __init__(
        self,
        source: Path,
        recipe: RecipeSettings,
        priors: PriorSettings,
        stand_ins: StandInSettings,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._priors = priors
        self._accept = stand_ins.reasons()
        self._prepare = lru_cache(maxsize=64)(self._prepare_file)

    def assemble(self, study: Study) -> Assembled:
        """One study and its priors as the model's input, with a reason for each image left out."""
        earlier = {other.study_uid: other for other in study.others}
        dated = [(uid, other.day) for uid, other in earlier.items() if self._chosen(other)[0]]
        priors = find_priors(study.day, dated, self._priors)
        timeline = [(study, 0.0), *((earlier[uid], months) for uid, months in priors)]
        shape = (1, 1 + self._priors.most, len(VIEW_SLOTS))
        images = np.zeros((*shape, 1, self._recipe.height, self._recipe.width), np.uint16)
        present, months = np.zeros(shape, bool), np.zeros(shape[:2], np.float32)
        left_out: list[tuple[str, Reason, str]] = []
        for time, (at, gap) in enumerate(timeline):
            months[0, time] = gap
            lost = self._fill(at, images[0, time], present[0, time])
            left_out += lost if time == 0 else []
        return Assembled(
            inputs={"images": images, "present": present, "months": months}
            if present[0, 0].any()
            else None,
            images=int(present[0, 0].sum()),
            priors=int(present[0, 1:].any(-1).sum()),
            left_out=left_out,
        )

    def _fill(
        self, study: Study, images: NDArray[np.uint16], present: NDArray[np.bool_]
    ) -> list[tuple[str, Reason, str]]:
        chosen, others = self._chosen(study)
        left_out = [(str(row["path"]), reason, detail) for row, reason, detail in others]
        for slot, row in chosen.items():
            try:
                pixels = self._prepare(row["path"], *slot)
            except PixelError as error:
                left_out.append((str(row["path"]), error.reason, error.detail))
                continue
            images[VIEW_SLOTS.index(slot), 0] = pixels
            present[VIEW_SLOTS.index(slot)] = True
        return left_out

    def _chosen(self, study: Study) -> tuple[dict[Slot, Row], list[tuple[Row, Reason, str]]]:
        return choose_screening_images(study.rows, self._accept)

    def _prepare_file(self, path: str, laterality: Laterality, view: View) -> NDArray[np.uint16]:
        return prepare(self._source / path, laterality, view, self._recipe).pixels
