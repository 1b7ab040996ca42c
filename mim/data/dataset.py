"""Exams with their priors as tensors."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mim.data.augment import Augment
from mim.data.cache import Cache
from mim.data.sampler import Draw
from mim.schemas.cohort import EXAMS, IMAGES
from mim.schemas.table import read_table
from mim.vocab import (
    VIEW_SLOTS,
    Criterion,
    Density,
    Landmark,
    Laterality,
    Outcome,
    Split,
    View,
)


class Exam(NamedTuple):
    """One exam of the cohort with what is known of it, and its images by slot.

    ``slots`` has one pseudonym, or None, for each of ``vocab.VIEW_SLOTS``; ``cancer`` and
    ``outcome`` are left, right; ``cancer`` is None where unknown.
    """

    exam: str
    woman: str
    maker: str
    split: Split
    slots: tuple[str | None, ...]
    cancer: tuple[bool | None, bool | None]
    outcome: tuple[Outcome, Outcome]
    years_to_cancer: tuple[float | None, float | None]
    years_followed: tuple[float | None, float | None]
    density: Density | None
    priors: tuple[str, ...]
    months_before: tuple[float, ...]


class Labels(NamedTuple):
    """What is known of a batch's exams; NaN, or -1 in ``density``, where it is not.

    ``view`` is the order of ``vocab.VIEW_SLOTS``, ``breast`` left, right, ``landmark`` and
    ``criterion`` the order of the vocabulary.
    """

    cancer: Tensor
    """float32 [exam, breast], 1 cancer, 0 none."""
    years_to_cancer: Tensor
    """float32 [exam, breast], from the exam to the breast's cancer; NaN also where none is known."""
    years_followed: Tensor
    """float32 [exam, breast], from the exam to the end of follow-up."""
    density: Tensor
    """int64 [exam, breast], 0 (a) to 3 (d)."""
    percent: Tensor
    """float32 [exam, breast], percent density, 0 to 100."""
    landmarks: Tensor
    """float32 [exam, view, landmark, 2], column and row as shares of width and height, as the image
    is after augmentation; NaN also where the point does not lie on the image."""
    visible: Tensor
    """float32 [exam, view, landmark], 1 on the image, 0 not."""
    criteria: Tensor
    """float32 [exam, view, criterion], 1 true, 0 not."""


class ExamBatch(NamedTuple):
    """What the model learns from.

    ``time`` is 0 for the exam itself, then its priors, newest first; ``view`` is the order of
    ``vocab.VIEW_SLOTS``; ``breast`` is left, right.
    """

    images: Tensor
    """uint16 [exam, time, view, 1, height, width], 0 black to 65535 white; 0 where absent."""
    present: Tensor
    """bool [exam, time, view], whether there is an image."""
    months: Tensor
    """float32 [exam, time], months before the exam; 0 for the exam itself and where absent."""
    labels: Labels
    """What is known of the exams."""
    exam: Tensor
    """int64 [exam], place in the dataset."""


class Exams:
    """The exams of a cohort whose images are in the cache, by pseudonym.

    Exams none of whose images could be prepared are left out and counted in ``without_image``.
    """

    def __init__(self, cohort: Path, cache: Cache) -> None:
        slots: dict[str, list[str | None]] = {}
        for row in read_table(cohort / "images.parquet", IMAGES).to_pylist():
            slot = VIEW_SLOTS.index((Laterality(row["laterality"]), View(row["view"])))
            views = slots.setdefault(row["exam"], [None] * len(VIEW_SLOTS))
            if row["image"] in cache:
                views[slot] = row["image"]
        rows = read_table(cohort / "exams.parquet", EXAMS).to_pylist()
        exams = [_exam(row, tuple(slots.get(row["exam"], ()))) for row in rows]
        self._exams = {exam.exam: exam for exam in exams if any(exam.slots)}
        self.without_image = len(exams) - len(self._exams)

    def __iter__(self) -> Iterator[Exam]:
        return iter(self._exams.values())

    def get(self, exam: str) -> Exam | None:
        """An exam by its pseudonym; None where none of its images is in the cache."""
        return self._exams.get(exam)


def _labels(exams: Sequence[Exam]) -> Labels:
    count = len(exams)
    nan = float("nan")
    classes = [-1 if exam.density is None else list(Density).index(exam.density) for exam in exams]
    views = (count, len(VIEW_SLOTS))
    return Labels(
        torch.tensor([[nan if c is None else float(c) for c in exam.cancer] for exam in exams]),
        torch.tensor([[nan if y is None else y for y in exam.years_to_cancer] for exam in exams]),
        torch.tensor([[nan if y is None else y for y in exam.years_followed] for exam in exams]),
        torch.tensor(classes)[:, None].expand(-1, 2).clone(),
        torch.full((count, 2), nan),
        torch.full((*views, len(Landmark), 2), nan),
        torch.full((*views, len(Landmark)), nan),
        torch.full((*views, len(Criterion)), nan),
    )


def _exam(row: Mapping[str, Any], slots: tuple[str | None, ...]) -> Exam:
    return Exam(
        exam=row["exam"],
        woman=row["woman"],
        maker=row["maker"],
        split=Split(row["split"]),
        slots=slots,
        cancer=(row["left_cancer"], row["right_cancer"]),
        outcome=(Outcome(row["left_outcome"]), Outcome(row["right_outcome"])),
        years_to_cancer=(row["left_years_to_cancer"], row["right_years_to_cancer"]),
        years_followed=(row["left_years_followed"], row["right_years_followed"]),
        density=None if row["density"] is None else Density(row["density"]),
        priors=tuple(row["priors"]),
        months_before=tuple(row["months_before"]),
    )


class ExamDataset(Dataset[ExamBatch]):
    """Whole batches of exams, decoded into one buffer.

    Args:
        exams: the exams to draw from, in order.
        everyone: the cohort's exams, in which priors are looked up.
        times: length of the time axis: the exam and its most priors.
        augment: change of each image; None leaves images as they are.
        drop_priors: share of draws whose priors are hidden.
    """

    def __init__(
        self,
        exams: Sequence[Exam],
        everyone: Exams,
        cache: Cache,
        times: int,
        augment: Augment | None,
        drop_priors: float = 0.0,
    ) -> None:
        self.exams = list(exams)
        self._everyone = everyone
        self._cache = cache
        self._times = times
        self._augment = augment
        self._drop_priors = drop_priors

    def __len__(self) -> int:
        return len(self.exams)

    def __getitem__(self, draws: list[Draw]) -> ExamBatch:
        shape = (len(draws), self._times, len(VIEW_SLOTS))
        recipe = self._cache.recipe
        images = np.zeros((*shape, 1, recipe.height, recipe.width), np.uint16)
        present = np.zeros(shape, bool)
        months = np.zeros(shape[:2], np.float32)
        for place, draw in enumerate(draws):
            self._fill(
                self.exams[draw.exam], draw.seed, images[place], present[place], months[place]
            )
        exams = [self.exams[draw.exam] for draw in draws]
        return ExamBatch(
            images=torch.from_numpy(images),
            present=torch.from_numpy(present),
            months=torch.from_numpy(months),
            labels=_labels(exams),
            exam=torch.tensor([draw.exam for draw in draws]),
        )

    def _fill(
        self,
        exam: Exam,
        seed: int,
        images: np.ndarray,
        present: np.ndarray,
        months: np.ndarray,
    ) -> None:
        hidden = np.random.default_rng(seed).random() < self._drop_priors
        priors = () if hidden else zip(exam.priors, exam.months_before, strict=True)
        found = [(self._everyone.get(prior), gap) for prior, gap in priors]
        timeline = [(exam, 0.0), *((prior, gap) for prior, gap in found if prior is not None)]
        for time, (at, gap) in enumerate(timeline[: self._times]):
            months[time] = gap
            for view, image in enumerate(at.slots):
                if image is None:
                    continue
                pixels = self._cache.read(image)
                if self._augment is not None:
                    pixels = self._augment(pixels, seed + time * len(VIEW_SLOTS) + view)
                images[time, view, 0] = pixels
                present[time, view] = True
