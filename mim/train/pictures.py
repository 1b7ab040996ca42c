"""A picture of what goes into the model."""

from itertools import islice
from pathlib import Path

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.image.contact import contact_sheet
from mim.vocab import VIEW_SLOTS

EXAMS_SHOWN = 6


def write_inputs(exams: ExamData, path: Path) -> None:
    """The first training exams as the model gets them: a row an exam, then its priors."""
    batch: ExamBatch = next(iter(islice(exams.train_dataloader(), 1)))
    images, titles = [], []
    for exam in range(min(EXAMS_SHOWN, len(batch.exam))):
        for time in range(batch.present.shape[1]):
            for view, (side, projection) in enumerate(VIEW_SLOTS):
                there = bool(batch.present[exam, time, view])
                months = float(batch.months[exam, time])
                when = f" -{months:.0f} mo" if time else ""
                titles.append(f"{side} {projection}{when}" if there else "absent")
                images.append(batch.images[exam, time, view, 0].numpy() if there else None)
    contact_sheet(images, titles, path, columns=len(VIEW_SLOTS) * batch.present.shape[1])
