"""Pictures of what goes into the model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mim.data.augment_cpu import augmented_versions
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.data.sampler import Draw
from mim.data.settings import AugmentSettings
from mim.image.contact import augmented_sheet, contact_sheet, exam_tiles
from mim.vocab import VIEW_SLOTS, Split

EXAMS_SHOWN = 6
"""In ``write_inputs``."""

EXAMS_CHANGED = 2
VERSIONS = 6
"""In ``write_samples``: exams, and changed versions of each of their images."""


def write_inputs(exams: ExamData, path: Path) -> None:
    """The first training batch as the loader gives it: a row an exam, beside it its priors.

    Exams with most priors come first, for they show most.
    """
    batch: ExamBatch = next(iter(exams.train_dataloader()))
    priors = batch.present[:, 1:].any(dim=2).sum(dim=1)
    tiles, titles = [], []
    for exam in priors.argsort(descending=True, stable=True)[:EXAMS_SHOWN].tolist():
        of_exam = (batch.images[exam], batch.present[exam], batch.months[exam])
        more_tiles, more_titles = exam_tiles(*(part.numpy() for part in of_exam))
        tiles += more_tiles
        titles += more_titles
    contact_sheet(tiles, titles, path, columns=len(VIEW_SLOTS) * batch.present.shape[1])


def write_samples(exams: ExamData, settings: AugmentSettings, seed: int, path: Path) -> None:
    """Images of the first training exams, each in a row with versions that training may see."""
    dataset = exams.dataset(Split.TRAIN)
    shown = [Draw(place, 0) for place in range(min(EXAMS_CHANGED, len(dataset)))]
    batch = dataset[shown]
    rows: list[tuple[NDArray[np.uint16], NDArray[np.float32]]] = []
    titles = []
    for exam, view in batch.present[:, 0].nonzero().tolist():
        image = batch.images[exam, 0, view, 0].numpy()
        landmarks = batch.labels.landmarks[exam, view].numpy()
        rows.append(augmented_versions(image, landmarks, settings, seed + len(rows), VERSIONS))
        titles.append(" ".join(VIEW_SLOTS[view]))
    augmented_sheet(rows, titles, path)
