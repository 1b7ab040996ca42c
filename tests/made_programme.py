"""A screening programme made up for tests: exams with readings, decisions, cancers and scores."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored

Floats = npt.NDArray[np.float64]
Model = Callable[[Floats, np.random.Generator], Floats]
"""Scores ``[exam]`` from how visible each exam's finding is, and chance."""

READERS = ("1", "2", "3")


def noisy(noise: float) -> Model:
    """A model that sees what is there through some noise."""
    return lambda visible, chance: visible + noise * chance.standard_normal(len(visible))


def programme(
    exams: int = 600,
    share: float = 0.2,
    models: Mapping[str, Model] | None = None,
    exams_each: int = 1,
    seed: int = 1,
) -> Sample:
    """Exams read by two of three readers; what either sees is taken to consensus.

    Consensus recalls what is visible enough; of the cancers, those recalled are screen-detected and
    the others interval cancers. The outcome of the last tenth of the exams is unknown.

    Args:
        exams: how many.
        share: of exams with a cancer.
        models: score ``[exam]`` of each.
        exams_each: of each woman.
        seed: of everything.
    """
    chance = np.random.default_rng(seed)
    cancer = chance.random(exams) < share
    visible = 1.5 * cancer + chance.standard_normal(exams)
    seen = visible + 0.8 * chance.standard_normal((2, exams))
    score = np.clip(np.ceil(seen * 1.3), 1, 5).astype(int)
    consensus = (score >= 2).any(axis=0)
    recalled = consensus & (visible > 1)
    outcome = np.where(recalled, "recalled without cancer", "negative").astype(object)
    outcome[cancer] = np.where(recalled[cancer], "screen-detected cancer", "interval cancer")
    unknown = np.arange(exams) >= 0.9 * exams
    outcome[unknown] = "unknown"
    names = [f"e{place:05}" for place in range(exams)]
    rows = pl.DataFrame(
        {
            "exam": names,
            "woman": [f"w{place // exams_each:05}" for place in range(exams)],
            "cancer": pl.Series(
                [None if u else bool(c) for u, c in zip(unknown, cancer, strict=True)],
                dtype=pl.Boolean,
            ),
            "outcome": [str(word) for word in outcome],
            "maker": ["siemens"] * exams,
            "consensus": consensus,
            "recalled": recalled,
        }
    )
    first = chance.integers(3, size=exams)
    readers = np.stack([first, (first + chance.integers(1, 3, size=exams)) % 3])
    readings = pl.concat(
        pl.DataFrame(
            {
                "exam": names,
                "reader": [READERS[reader] for reader in readers[number]],
                "breast": pl.Series([None] * exams, dtype=pl.String),
                "score": pl.Series(score[number], dtype=pl.Int32),
                "reading": pl.Series([number + 1] * exams, dtype=pl.Int32),
            }
        )
        for number in range(2)
    )
    models = models or {"A": noisy(0.5), "B": noisy(1.5)}
    scores = {name: model(visible, chance) for name, model in models.items()}
    return Sample(None, Scored("exams", rows, scores, 0), readings, ())
