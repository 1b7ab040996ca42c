"""Exams of a DICOM folder as the model's input."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.cohort.priors import first_of_repeats, pair_priors
from mim.cohort.settings import PriorSettings, StandInSettings
from mim.deploy.bundle import Inputs
from mim.dicom.pixels import PixelError
from mim.dicom.screening import Slot, choose_screening_images
from mim.image.alignment import align_prior
from mim.image.greys import GreyStandard, harmonise
from mim.image.recipe import Prepared, prepare
from mim.image.settings import RecipeSettings
from mim.vocab import VIEW_SLOTS, Laterality, Reason, View

Row = Mapping[str, Any]
LeftOut = list[tuple[str, Reason, str]]


@dataclass
class Exam:
    """One exam of the folder: the image of each view, what was left out, and its priors.

    ``study_uid`` is the Study Instance UID of its first study; ``repeats`` are those of the same
    examination done again, or sent as several studies. ``priors`` come newest first, each with
    its months before the exam. ``day`` is its Study Date (0008,0020); None where no image has one.
    """

    study_uid: str
    day: date | None = None
    repeats: list[str] = field(default_factory=list)
    chosen: dict[Slot, Row] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=list)
    priors: list[tuple["Exam", float]] = field(default_factory=list)

    @property
    def maker(self) -> str | None:
        """The maker of most of its images, of equals the first by name; None without an image."""
        return _most(str(row["maker"]) for row in self.chosen.values())

    @property
    def machine(self) -> str | None:
        """Model and software version of most of its images, as a cohort has them."""
        parts = ((row["model"], row["software_version"]) for row in self.chosen.values())
        names = (" ".join(filter(None, both)) for both in parts)
        return _most(name for name in names if name)


@dataclass
class Assembled:
    """An exam ready to score: inputs of the model, its own prepared images, and what was left out.

    Grey levels are harmonised in ``inputs``, and in ``prepared`` as the recipe's other steps leave
    them.
    ``inputs`` is None where no image of the exam could be used; ``present`` is bool [view];
    ``priors`` counts those with an image.
    """

    inputs: Inputs | None
    prepared: dict[Slot, Prepared]
    present: NDArray[np.bool_]
    priors: int
    left_out: LeftOut

    @property
    def images(self) -> int:
        """How many images of the exam itself the model is given."""
        return len(self.prepared)


def find_exams(
    rows: Iterable[Row], priors: PriorSettings, stand_ins: StandInSettings
) -> tuple[list[Exam], list[Row]]:
    """Exams, by Study Instance UID, and the rows that belong to no study.

    The latter are files that are no DICOM, or cannot be read. Studies of one Patient ID are one
    exam, or priors of each other, by ``mim.cohort.priors``; a study without a Patient ID, or with
    several, stands alone. An exam without an image of a screening view is nobody's prior.
    """
    of_study: dict[str, list[Row]] = defaultdict(list)
    of_none: list[Row] = []
    for row in rows:
        if uid := row.get("study_uid"):
            of_study[uid].append(row)
        else:
            of_none.append(row)
    uids = sorted(of_study)
    women = _women([of_study[uid] for uid in uids])
    days = np.array([_day(of_study[uid]) for uid in uids], "datetime64[D]")
    first = first_of_repeats(women, days, priors.same_exam_days)
    after = np.where(np.isnat(days), 0, (days - days[first]).astype(np.int64))
    exams = {int(study): Exam(uids[study], days[study].item()) for study in np.unique(first)}
    images: dict[int, list[Row]] = defaultdict(list)
    for study, (uid, begun) in enumerate(zip(uids, first.tolist(), strict=True)):
        images[begun] += [{**row, "days_after": int(after[study])} for row in of_study[uid]]
        if study != begun:
            exams[begun].repeats.append(uid)
    for begun, exam in exams.items():
        exam.chosen, others = choose_screening_images(images[begun], stand_ins.reasons())
        exam.left_out = [(str(row["path"]), reason, detail) for row, reason, detail in others]
    seen = [begun for begun, exam in exams.items() if exam.chosen]
    _pair([exams[begun] for begun in seen], women[seen], days[seen], priors)
    return list(exams.values()), of_none


def _pair(
    exams: Sequence[Exam],
    women: NDArray[np.int64],
    days: NDArray[np.datetime64],
    settings: PriorSettings,
) -> None:
    found, months = pair_priors(women, days, settings)
    for exam, hers, gaps in zip(exams, found.tolist(), months.tolist(), strict=True):
        pairs = zip(hers, gaps, strict=True)
        exam.priors.extend((exams[prior], gap) for prior, gap in pairs if prior >= 0)


def _women(studies: Sequence[list[Row]]) -> NDArray[np.int64]:
    """A number for each study's woman; one of its own where its Patient ID is none or several."""
    numbers: dict[object, int] = {}
    women: list[int] = []
    for study in studies:
        names = {row["patient_id"] for row in study if row["patient_id"]}
        name = names.pop() if len(names) == 1 else len(women)
        women.append(numbers.setdefault(name, len(numbers)))
    return np.array(women, np.int64)


def _most(names: Iterable[str]) -> str | None:
    """The most frequent name, of equals the first."""
    counts = Counter(sorted(names)).most_common(1)
    return counts[0][0] if counts else None


def _day(study: list[Row]) -> date | None:
    """Study Date (0008,0020), the earliest that a row gives."""
    return min((row["study_date"] for row in study if row["study_date"]), default=None)


class Assembler:
    """Prepares exams as a bundle wants them.

    Images are kept a while, since one exam's are another's prior.
    """

    def __init__(
        self,
        source: Path,
        recipe: RecipeSettings,
        greys: GreyStandard,
        most_priors: int,
        align: bool,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._greys = greys
        self._times = 1 + most_priors
        self._align = align
        self._prepare = lru_cache(maxsize=64)(self._prepare_file)

    def assemble(self, exam: Exam) -> Assembled:
        """One exam and its priors as the model's input, with a reason for each image left out.

        A prior none of whose images can be used takes no place, as in training.
        """
        shape = (1, self._times, len(VIEW_SLOTS))
        images = np.zeros((*shape, 1, self._recipe.height, self._recipe.width), np.uint16)
        present, months = np.zeros(shape, bool), np.zeros(shape[:2], np.float32)
        own, left_out = self._images(exam)
        priors = [(self._images(prior)[0], gap) for prior, gap in exam.priors]
        timeline = [(own, 0.0), *((images, gap) for images, gap in priors if images)]
        for time, (prepared, gap) in enumerate(timeline):
            months[0, time] = gap
            for slot, image in prepared.items():
                view = VIEW_SLOTS.index(slot)
                pixels = harmonise(image.pixels, self._greys)
                if self._align and time and slot in own:
                    pixels = align_prior(pixels, images[0, 0, view, 0])
                images[0, time, view, 0] = pixels
                present[0, time, view] = True
        inputs = {"images": images, "present": present, "months": months}
        return Assembled(
            inputs=inputs if own else None,
            prepared=own,
            present=present[0, 0],
            priors=int(present[0, 1:].any(-1).sum()),
            left_out=[*exam.left_out, *left_out],
        )

    def _images(self, exam: Exam) -> tuple[dict[Slot, Prepared], LeftOut]:
        """An exam's images by slot, and those that could not be prepared."""
        prepared, left_out = {}, []
        for slot, row in exam.chosen.items():
            try:
                prepared[slot] = self._prepare(row["path"], *slot)
            except PixelError as error:
                left_out.append((str(row["path"]), error.reason, error.detail))
        return prepared, left_out

    def _prepare_file(self, path: str, laterality: Laterality, view: View) -> Prepared:
        return prepare(self._source / path, laterality, view, self._recipe)
