"""A picture of what goes into the model."""

from pathlib import Path

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.image.contact import contact_sheet, exam_tiles
from mim.vocab import VIEW_SLOTS

EXAMS_SHOWN = 6


def write_inputs(exams: ExamData, path: Path) -> None:
    """The first training exams as the model gets them: a row an exam, then its priors."""
    batch: ExamBatch = next(iter(exams.train_dataloader()))
    tiles, titles = [], []
    for exam in range(min(EXAMS_SHOWN, len(batch.exam))):
        of_exam = (batch.images[exam], batch.present[exam], batch.months[exam])
        more_tiles, more_titles = exam_tiles(*(part.numpy() for part in of_exam))
        tiles += more_tiles
        titles += more_titles
    contact_sheet(tiles, titles, path, columns=len(VIEW_SLOTS) * batch.present.shape[1])
