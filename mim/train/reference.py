"""The exams by which a run's cancer scores are read: thresholds, a scale, what the watch compares.

They are the validation exams. Of a run whose normalisation was fitted to another maker's exams
afterwards (``mim.train.renormalise``) they are those exams: what its scores are on others, whom it
no longer fits, says nothing of that maker's.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.data.cache import Cache
from mim.data.exams import Exams
from mim.evaluate.operating import Threshold, threshold_at
from mim.evaluate.prevalence import prevalence_weights, where_known
from mim.evaluate.reference import read_reference
from mim.evaluate.sample import ModelScores, scored_by
from mim.evaluate.scale import scale_of
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.schemas.score_scale import ScoreScale
from mim.schemas.scores import SCORES
from mim.schemas.table import read_table
from mim.train.card import RunCard
from mim.train.run import score
from mim.train.scores import score_path
from mim.vocab import SELECTION_RATES, Split, Task

FITTED = Path("scores") / "fitted-cancer.parquet"
"""Where a run keeps the scores of the exams that its normalisation was fitted to."""


def reference_thresholds(
    exams: Scored, prevalence: PrevalenceSettings | None = None
) -> list[Threshold]:
    """Thresholds of the exam's cancer score at ``SELECTION_RATES``, by the reference exams."""
    weights = prevalence_weights(exams.outcome, where_known(exams.known, prevalence))
    return [threshold_at(exams.score, weights, rate) for rate in SELECTION_RATES]


def reference_scale(
    exams: Scored, prevalence: PrevalenceSettings | None = None
) -> ScoreScale | None:
    """The scale of the exam's cancer score, by the reference exams."""
    return scale_of(exams, where_known(exams.known, prevalence))


def reference_exams(run: Path) -> Scored | None:
    """The reference exams with the run's cancer scores and what is known of them; None without any."""
    scores = reference_scores(run)
    if not scores["score"].drop_null():
        return None
    card = RunCard.read(run)
    fitted = card.renormalised
    cohort = Path(card.cohort if fitted is None else fitted["cohort"])
    split = Split.VALIDATION if fitted is None else None
    rows = pl.DataFrame(pl.from_arrow(scores)).select("exam", "breast", "score")
    return scored_by(read_reference(cohort, None), ModelScores("score", rows), split)


def reference_scores(run: Path) -> pa.Table:
    """Cancer scores of the reference exams, as training left them, or scored now."""
    if RunCard.read(run).renormalised is not None:
        return read_table(run / FITTED, SCORES)
    path = score_path(run, Split.VALIDATION, Task.CANCER)
    if not path.is_file():
        path = score(run, Split.VALIDATION)[Task.CANCER]
    return read_table(path, SCORES)


def reference_images(card: RunCard) -> tuple[Exams, Cache]:
    """All exams of the cohort that the reference exams are of, and the cache of their images."""
    place = card.renormalised or {"cohort": card.cohort, "cache": card.cache}
    cache = Cache(Path(place["cache"]))
    return Exams(Path(place["cohort"]), cache), cache
