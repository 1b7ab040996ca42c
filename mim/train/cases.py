"""Pictures of single exams with what raises their cancer score, for the report's cases."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mim.data.exams import find_rows
from mim.data.sampler import Draw
from mim.errors import InputError
from mim.train.run import data_of, load_task, scoring_device
from mim.train.saliency import TARGETS, drawn_views
from mim.vocab import Split, Task

HEIGHT = 400
"""Rows of a picture; its four views stand side by side."""

GAP = 4
MOST_BYTES = 120_000
QUALITIES = (85, 75, 60, 45, 30)
"""Of JPEG; the first one that keeps a picture within ``MOST_BYTES`` is taken."""

NO_VIEW = 48
"""Grey level where a view is absent."""


def case_pictures(run: Path, exams: Sequence[str]) -> dict[str, bytes]:
    """JPEG pictures of exams by their pseudonym: four views, with the map of their cancer score.

    Views stand in the order of ``mim.vocab.VIEW_SLOTS``. Exams are read and explained one by one,
    with their priors. Those that are not among the run's cohort, have no image or are in no split
    that is scored have no picture.

    Raises:
        InputError: the run has no checkpoint or has not learnt cancer, or its cohort or cache are
            gone, others, or damaged.
    """
    task, card = load_task(run)
    if Task.CANCER not in task.model.tasks.learnt():
        raise InputError(f"{run}: has not learnt cancer; its exams have no such score to explain")
    data = data_of(run, card)
    model = task.model.to(scoring_device(card))
    pictures = {}
    rows = find_rows(pa.chunked_array([list(exams)], pa.string()), data.everyone.table["exam"])
    for exam, row in zip(exams, rows.tolist(), strict=True):
        split = Split(data.everyone.table["split"][row].as_py()) if row >= 0 else Split.UNUSED
        if split is Split.UNUSED:
            continue
        dataset = data.dataset(split)
        for place in np.flatnonzero(dataset.rows == row).tolist():
            [views] = drawn_views(model, dataset[[Draw(place, 0)]], TARGETS[Task.CANCER])
            pictures[exam] = side_by_side(views)
    return pictures


def side_by_side(views: Sequence[NDArray[np.uint8] | None]) -> bytes:
    """Views of one exam, uint8 [height, width, 3] of blue, green and red, as one JPEG.

    Absent ones are dark fields. At least one is there, and all have one size.
    """
    height, width = next(view.shape[:2] for view in views if view is not None)
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    empty = np.full((HEIGHT, size[0], 3), NO_VIEW, np.uint8)
    parts: list[NDArray[np.uint8]] = []
    for view in views:
        small = empty if view is None else cv2.resize(view, size, interpolation=cv2.INTER_AREA)
        parts += [np.asarray(small, np.uint8), np.zeros((HEIGHT, GAP, 3), np.uint8)]
    return _jpeg(np.hstack(parts[:-1]))


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The picture in the best of ``QUALITIES`` that is small enough, or else in the worst."""
    content = b""
    for quality in QUALITIES:
        content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(content) <= MOST_BYTES:
            break
    return content
