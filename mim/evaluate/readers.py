"""What the programme's readers called of each exam, and how often."""

from dataclasses import dataclass

import polars as pl

from mim.evaluate.bootstrap import Bools
from mim.evaluate.sample import Sample

POSITIVE = 2
"""Least reading score that takes an exam to the consensus meeting (Larsen 2022)."""

FIRST, SECOND = "first reading", "second reading"
EITHER, CONSENSUS, RECALL = "either reading", "consensus", "recall"
WHOLE_PROGRAMME = (FIRST, SECOND, EITHER, CONSENSUS, RECALL)
"""Calls that nearly every exam has, whoever reads it."""

LEAST_CANCERS_READ = 20
"""Cancers that a reader must have read to be measured by herself: of fewer nothing can be said."""


@dataclass(frozen=True)
class Calls:
    """One reader's, or the programme's, word on the exams of a sample.

    Attributes:
        name: who calls.
        known: ``[exam]``, whether the exam has that call.
        positive: ``[exam]``, whether it is positive; False where there is none.
    """

    name: str
    known: Bools
    positive: Bools

    @property
    def rate(self) -> float:
        """Share of the exams with that call which are called positive."""
        return float(self.positive.sum() / self.known.sum())


def reader_calls(sample: Sample) -> list[Calls]:
    """Calls of either reading, both, consensus and recall, as far as they are known of any exam."""
    exams = sample.exams.rows.select("exam", "consensus", "recalled")
    read = sample.readings.group_by("exam", "reading").agg(pl.col("score").max() >= POSITIVE)
    both = sample.readings.group_by("exam").agg(
        either=pl.when(pl.col("reader").n_unique() > 1).then(pl.col("score").max() >= POSITIVE)
    )
    found = exams.join(both, on="exam", how="left", maintain_order="left")
    for number, name in ((1, FIRST), (2, SECOND)):
        its = read.filter(reading=number).select("exam", pl.col("score").alias(name))
        found = found.join(its, on="exam", how="left", maintain_order="left")
    found = found.rename({"either": EITHER, "recalled": RECALL})
    return [_calls(name, found[name]) for name in WHOLE_PROGRAMME if found[name].count()]


def single_readers(sample: Sample) -> list[Calls]:
    """Calls of every reader who has read enough cancers, by name."""
    cancers = sample.exams.rows.filter(pl.col("cancer"))["exam"]
    exams = sample.exams.rows.select("exam")
    scores = sample.readings.group_by("exam", "reader").agg(pl.col("score").max() >= POSITIVE)
    found = []
    for [reader], hers in scores.sort("reader").group_by("reader", maintain_order=True):
        if hers["exam"].is_in(cancers.implode()).sum() >= LEAST_CANCERS_READ:
            called = exams.join(hers, on="exam", how="left", maintain_order="left")["score"]
            found.append(_calls(str(reader), called))
    return found


def _calls(name: str, called: pl.Series) -> Calls:
    return Calls(name, called.is_not_null().to_numpy(), called.fill_null(False).to_numpy())
