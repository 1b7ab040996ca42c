"""What a run's validation exams are like, for ``mim monitor``: scores, shares selected, pictures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from mim.data.datamodule import ExamData
from mim.data.exams import find_rows
from mim.evaluate.bootstrap import Floats
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.settings import PrevalenceSettings
from mim.image.looks import Looks, mean_looks
from mim.monitor.reference import ReferenceExams, fit_reference
from mim.schemas.monitored import MEASURES, SCORE, MonitorReference
from mim.schemas.score_scale import ScoreScale
from mim.train.card import RunCard
from mim.train.run import data_of, validation_exams


def validation_reference(
    run: Path, card: RunCard, scale: ScoreScale, prevalence: PrevalenceSettings | None
) -> MonitorReference | None:
    """Counts and quantiles of the validation exams; None where they are too few.

    Args:
        run: the run's folder.
        card: its card.
        scale: of the same exams; the thresholds by which they are selected.
        prevalence: what the programme sees, where these exams hold more cancers or fewer.
    """
    found = validation_exams(run)
    if found is None:
        return None
    inputs = _inputs(data_of(run, card), found.rows["exam"].to_list())
    exams = ReferenceExams(
        woman=found.woman,
        weight=prevalence_weights(found.outcome, prevalence or PrevalenceSettings()),
        maker=found.maker,
        machine=found.machines().fill_null("").to_numpy().astype(np.str_),
        measures={SCORE: found.score, **inputs},
    )
    return fit_reference(exams, scale)


def _inputs(data: ExamData, names: list[str]) -> dict[str, Floats]:
    """The input measures ``[exam]`` of exams by their pseudonyms; NaN where unknown."""
    everyone = data.everyone
    places = find_rows(pa.chunked_array([pa.array(names)]), everyone.table["exam"])
    images = everyone.image_table
    spacing = images["spacing_mm"].to_numpy(zero_copy_only=False)
    measured = np.full((len(names), len(MEASURES) - 1), np.nan)
    for row, place in enumerate(tqdm(places.tolist(), desc="reference", unit="exam")):
        of_exam = [image for image in everyone.images[place].tolist() if image >= 0 <= place]
        pictures = [data.cache.read(images["image"][image].as_py()) for image in of_exam]
        if (seen := mean_looks(pictures)) is not None:
            measured[row, : len(Looks._fields)] = seen
        known = spacing[of_exam][np.isfinite(spacing[of_exam])]
        if len(known):
            measured[row, -1] = known.mean()
    inputs = [name for name in MEASURES if name != SCORE]
    return {name: measured[:, at] for at, name in enumerate(inputs)}
