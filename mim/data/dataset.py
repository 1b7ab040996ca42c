"""Exams with their priors as tensors."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mim.data.amplitude import AmplitudeMix, draw_mix
from mim.data.augment import Changes, draw_changes, draw_swap, move_landmarks
from mim.data.augment_cpu import change_image
from mim.data.cache import Cache
from mim.data.exams import ExamLabels, Exams
from mim.data.greys import draw_jitter
from mim.data.sampler import Draw
from mim.data.settings import AugmentSettings, Place
from mim.image.alignment import align_prior
from mim.image.greys import GreyStandard, Jitter, harmonise
from mim.image.landmarks import keep_inside
from mim.vocab import BREASTS, SCREENING_VIEWS, VIEW_SLOTS

Images = NDArray[np.uint16]
Drawn = Changes[NDArray[Any]]

VIEWS_SWAPPED = [*range(len(SCREENING_VIEWS), len(VIEW_SLOTS)), *range(len(SCREENING_VIEWS))]
"""Slots of the other breast's views."""

DROPPING = 1
"""Beside the draw's seed, so that hidden priors do not go with one kind of augmentation."""


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
    """What is known of the exams, of absent views too."""
    changes: Changes[Tensor] | None
    """Augmentation that is still to be done to the images, tensors [exam, time, view, ...]."""
    exam: Tensor
    """int64 [exam], row in ``Exams.table``."""
    maker: Tensor
    """int64 [exam], place in ``vocab.Maker``."""
    weight: Tensor
    """float32 [exam], 1 over how often exams of its kind come in an epoch; see ``Draw``."""
    amplitude: AmplitudeMix | None = None
    """Amplitudes of other exams that are still to be mixed in, after the other changes."""


class ExamDataset:
    """Exams in a fixed order, from which whole batches are made.

    Args:
        rows: the exams to draw from, rows of ``everyone.table``.
        everyone: the cohort's exams, in which priors are looked up.
        cache: their images.
        times: length of the time axis: the exam and its most priors.
        augment: random changes; None leaves exams as they are.
        drop_priors: share of draws whose priors are hidden.
        align_priors: move each prior's image onto the exam's image of the same view.
        greys: the standard onto which grey levels are mapped, before all else.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        everyone: Exams,
        cache: Cache,
        times: int,
        augment: AugmentSettings | None = None,
        drop_priors: float = 0.0,
        align_priors: bool = False,
        greys: GreyStandard | None = None,
    ) -> None:
        self.rows = rows
        self._everyone = everyone
        self._cache = cache
        self._times = times
        self._augment = augment
        self._drop_priors = drop_priors
        self._align_priors = align_priors
        self._greys = greys or GreyStandard()

    def __len__(self) -> int:
        return len(self.rows)

    def shape(self, exams: int) -> tuple[int, ...]:
        """Shape of a batch's images."""
        recipe = self._cache.recipe
        return (exams, self._times, len(VIEW_SLOTS), 1, recipe.height, recipe.width)

    def __getitem__(self, draws: Sequence[Draw]) -> ExamBatch:
        batch, jobs = self.begin(draws, np.empty(self.shape(len(draws)), np.uint16))
        for job in jobs:
            job()
        return batch

    def begin(
        self, draws: Sequence[Draw], images: Images
    ) -> tuple[ExamBatch, list[Callable[[], None]]]:
        """A batch whose images are yet to be read, and the jobs that read them.

        Args:
            draws: exams and seeds.
            images: contiguous uint16 of ``shape(len(draws))``, which the batch's tensor shares.

        Returns:
            The batch, and a job for each view of each exam; they may run in any order and thread,
            and raise ``InputError``, naming the file, where an image is damaged.
        """
        rows = self.rows[[draw.exam for draw in draws]]
        seeds = [draw.seed for draw in draws]
        timeline, months = self._timelines(rows, seeds)
        pictures = np.where(timeline[..., None] >= 0, self._everyone.images[timeline], -1)
        labels = ExamLabels._make(part[rows] for part in self._everyone.labels)
        changes = self._draw(seeds)
        jitters = self._draw_jitters(timeline, seeds)
        if self._augment is not None and changes is not None:
            swapped = np.array([draw_swap(self._augment, seed) for seed in seeds])
            pictures[swapped] = pictures[swapped][:, :, VIEWS_SWAPPED]
            labels = _move(_swap(labels, swapped), changes)
        on_device = self._augment is not None and self._augment.where is Place.device
        here, there = (None, changes) if on_device else (changes, None)
        batch = ExamBatch(
            images=torch.from_numpy(images),
            present=torch.from_numpy(pictures >= 0),
            months=torch.from_numpy(months),
            labels=Labels(*map(torch.from_numpy, labels)),
            changes=there and Changes(*map(torch.from_numpy, there)),
            exam=torch.from_numpy(rows),
            maker=torch.from_numpy(self._everyone.makers[rows]),
            weight=torch.tensor([draw.weight for draw in draws]),
            amplitude=self._mix(seeds, rows),
        )
        jobs: list[Callable[[], None]] = [
            partial(
                self._read,
                pictures[exam, :, view],
                jitters[exam],
                here and Changes(*(part[exam, :, view] for part in here)),
                images[exam, :, view, 0],
            )
            for exam in range(len(draws))
            for view in range(len(VIEW_SLOTS))
        ]
        return batch, jobs

    def _draw(self, seeds: Sequence[int]) -> Drawn | None:
        """Changes [exam, time, view, ...]."""
        if self._augment is None:
            return None
        recipe = self._cache.recipe
        aspect = recipe.height / recipe.width
        drawn = [draw_changes(self._augment, seed, self._times, aspect) for seed in seeds]
        return Changes(*map(np.stack, zip(*drawn, strict=True)))

    def _draw_jitters(
        self, timeline: NDArray[np.int64], seeds: Sequence[int]
    ) -> list[list[Jitter | None]]:
        """Steps towards other makers [exam][time]."""
        if self._augment is None:
            return [[None] * self._times] * len(seeds)
        makers = np.where(timeline >= 0, self._everyone.makers[timeline], -1)
        each = zip(seeds, makers, strict=True)
        return [draw_jitter(self._augment, self._greys, seed, hers) for seed, hers in each]

    def _mix(self, seeds: Sequence[int], rows: NDArray[np.int64]) -> AmplitudeMix | None:
        if self._augment is None:
            return None
        return draw_mix(self._augment, seeds, rows, self._everyone.makers[rows], self._times)

    def _timelines(
        self, rows: NDArray[np.int64], seeds: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows of each exam and its priors [exam, time], -1 where there is none; and months."""
        timeline = np.full((len(rows), self._times), -1)
        timeline[:, 0] = rows
        months = np.zeros(timeline.shape, np.float32)
        drawn = [np.random.default_rng([seed, DROPPING]).random() for seed in seeds]
        shown = np.array(drawn) >= self._drop_priors
        most = min(self._times - 1, self._everyone.priors.shape[1])
        timeline[shown, 1 : 1 + most] = self._everyone.priors[rows[shown], :most]
        months[shown, 1 : 1 + most] = self._everyone.months[rows[shown], :most]
        return timeline, months

    def _read(
        self,
        pictures: NDArray[np.int64],
        jitters: Sequence[Jitter | None],
        changes: Drawn | None,
        out: Images,
    ) -> None:
        """One view of an exam and its priors, [time, height, width]."""
        current: Images | None = None
        for time, picture in enumerate(pictures.tolist()):
            if picture < 0:
                out[time] = 0
                continue
            place = out[time]
            pixels = place if changes is None else np.empty_like(place)
            self._cache.read(self._everyone.image_table["image"][picture].as_py(), pixels)
            pixels = harmonise(pixels, self._greys, jitters[time])
            if self._align_priors and current is not None:
                pixels = align_prior(pixels, current)
            if time == 0:
                current = pixels
            if changes is not None:
                change_image(pixels, Changes(*(part[time] for part in changes)), place)
            elif pixels is not place:
                place[...] = pixels


def _swap(labels: ExamLabels, swapped: NDArray[np.bool_]) -> ExamLabels:
    """Left and right change places where told."""
    for part in labels:
        order = [1, 0] if part.shape[1] == len(BREASTS) else VIEWS_SWAPPED
        part[swapped] = part[swapped][:, order]
    return labels


def _move(labels: ExamLabels, changes: Drawn) -> ExamLabels:
    """Landmarks move with the exam's own images."""
    points = move_landmarks(labels.landmarks, changes.move[:, 0])
    landmarks, visible = keep_inside(points, labels.visible)
    return labels._replace(landmarks=landmarks, visible=visible)
