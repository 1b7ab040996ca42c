"""What a run's reference exams are like, for ``mim monitor``: scores, shares selected, pictures."""

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from mim.data.cache import Cache
from mim.data.exams import Exams, find_rows
from mim.evaluate.bootstrap import Floats
from mim.evaluate.prevalence import prevalence_weights, where_known
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.image.looks import Looks, mean_looks
from mim.monitor.reference import ReferenceExams, fit_reference
from mim.schemas.monitored import MEASURES, SCORE, MonitorReference
from mim.schemas.score_scale import ScoreScale
from mim.train.card import RunCard
from mim.train.reference import reference_images


def monitor_reference(
    found: Scored, card: RunCard, scale: ScoreScale, prevalence: PrevalenceSettings | None
) -> MonitorReference | None:
    """Counts and quantiles of the reference exams; None where they are too few.

    Args:
        found: the run's reference exams.
        card: its card.
        scale: of the same exams; the thresholds by which they are selected.
        prevalence: what the programme sees, where these exams hold more cancers or fewer.
    """
    inputs = _inputs(*reference_images(card), found.rows["exam"].to_list())
    exams = ReferenceExams(
        woman=found.woman,
        weight=prevalence_weights(found.outcome, where_known(found.known, prevalence)),
        maker=found.maker,
        machine=found.machines().fill_null("").to_numpy().astype(np.str_),
        measures={SCORE: found.score, **inputs},
    )
    return fit_reference(exams, scale)


def _inputs(everyone: Exams, cache: Cache, names: list[str]) -> dict[str, Floats]:
    """The input measures ``[exam]`` of exams by their pseudonyms; NaN where unknown."""
    places = find_rows(pa.chunked_array([pa.array(names)]), everyone.table["exam"])
    images = everyone.image_table
    spacing = images["spacing_mm"].to_numpy(zero_copy_only=False)
    measured = np.full((len(names), len(MEASURES) - 1), np.nan)
    for row, place in enumerate(tqdm(places.tolist(), desc="reference", unit="exam")):
        of_exam = [image for image in everyone.images[place].tolist() if image >= 0 <= place]
        pictures = [cache.read(images["image"][image].as_py()) for image in of_exam]
        if (seen := mean_looks(pictures)) is not None:
            measured[row, : len(Looks._fields)] = seen
        known = spacing[of_exam][np.isfinite(spacing[of_exam])]
        if len(known):
            measured[row, -1] = known.mean()
    inputs = [name for name in MEASURES if name != SCORE]
    return {name: measured[:, at] for at, name in enumerate(inputs)}
