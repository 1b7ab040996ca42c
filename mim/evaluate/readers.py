"""What the programme's readers called of each exam, and how often."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from mim.evaluate.bootstrap import Bools, Floats, Ints
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

    def rate_of(self, weights: Floats) -> float:
        """The same share where each exam counts so much; the rate where all count alike.

        Args:
            weights: ``[exam]``, such as how often the programme sees one like it.
        """
        return float(weights[self.positive].sum() / weights[self.known].sum())


@dataclass(frozen=True)
class Readings:
    """Exams that two different readers have read, one first and the other second.

    Attributes:
        known: ``[exam]``, whether the exam has both readings.
        first: ``[exam]``, the first one's score, 1 to 5, the higher of the breasts'; else 0.
        second: ``[exam]``, the second one's.
    """

    known: Bools
    first: Ints
    second: Ints


def reader_calls(sample: Sample) -> list[Calls]:
    """Calls of either reading, both, consensus and recall, as far as they are known of any exam.

    An exam scores as its higher breast. An exam that only one reader has read has no call of
    either reading, not even where it is positive: such exams would all be positive.
    """
    exams = sample.exams.rows.select("exam", "consensus", "recalled")
    both = sample.readings.group_by("exam").agg(
        either=pl.when(pl.col("reader").n_unique() > 1).then(pl.col("score").max() >= POSITIVE)
    )
    found = exams.join(both, on="exam", how="left", maintain_order="left")
    for number, name in ((1, FIRST), (2, SECOND)):
        its = _reading(sample, number).select("exam", (pl.col("score") >= POSITIVE).alias(name))
        found = found.join(its, on="exam", how="left", maintain_order="left")
    found = found.rename({"either": EITHER, "recalled": RECALL})
    return [_calls(name, found[name]) for name in WHOLE_PROGRAMME if found[name].count()]


def single_readers(sample: Sample) -> Iterator[Calls]:
    """Calls of every reader who has read enough cancers, by name; numbers in their order."""
    exams = sample.exams.rows.select("exam", "cancer").with_row_index("row")
    read = (
        sample.readings.group_by("exam", "reader")
        .agg(positive=pl.col("score").max() >= POSITIVE)
        .join(exams, on="exam")
    )
    cancers = pl.col("cancer").sum().over("reader")
    enough = read.filter(cancers >= LEAST_CANCERS_READ).sort(
        pl.col("reader").str.len_chars(), "reader"
    )
    for [reader], hers in enough.group_by("reader", maintain_order=True):
        known, positive = (np.zeros(len(exams), np.bool_) for _ in range(2))
        known[hers["row"].to_numpy()] = True
        positive[hers.filter("positive")["row"].to_numpy()] = True
        name = str(reader)
        yield Calls(name if name.startswith("reader") else f"reader {name}", known, positive)


def double_readings(sample: Sample) -> Readings:
    """Scores of the exams that two different readers have read."""
    found = sample.exams.rows.select("exam")
    for number, name in ((1, "first"), (2, "second")):
        its = _reading(sample, number).rename({"score": name, "reader": f"{name}_reader"})
        found = found.join(its, on="exam", how="left", maintain_order="left")
    apart = (pl.col("first_reader") != pl.col("second_reader")).fill_null(False)
    scores = [found.select(pl.when(apart).then(name)).to_series() for name in ("first", "second")]
    first, second = (score.fill_null(0).cast(pl.Int64).to_numpy() for score in scores)
    return Readings(found.select(apart).to_series().to_numpy(), first, second)


def _reading(sample: Sample, number: int) -> pl.DataFrame:
    """The first or second reading of each exam: its reader, and the higher breast's score."""
    its = sample.readings.filter(reading=number).group_by("exam")
    return its.agg(pl.col("reader").first(), pl.col("score").max())


def _calls(name: str, called: pl.Series) -> Calls:
    return Calls(name, called.is_not_null().to_numpy(), called.fill_null(False).to_numpy())
