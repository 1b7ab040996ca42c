"""The score tables of a split: what the model says of every exam, beside what is known of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.data.exams import Exams
from mim.data.loader import ExamLoader
from mim.data.sampler import Ranks
from mim.image.settings import RecipeSettings
from mim.model.exam import ExamScorer
from mim.schemas.learnt import Learnt, hide_unlearnt
from mim.schemas.scores import OF_TASK
from mim.train.ranks import gather
from mim.train.tables import Rows, make_table
from mim.vocab import Split, Task


def score_path(run: Path, split: Split, task: Task) -> Path:
    """Where a run keeps the scores of a split."""
    return run / "scores" / f"{split}-{task}.parquet"


def score_tables(
    scorer: ExamScorer, exams: ExamData, split: Split, learnt: Learnt
) -> dict[Task, pa.Table]:
    """Score tables, by ``mim.schemas.scores.OF_TASK``, of all exams of a split.

    Where several processes train together, each scores its share and all get the whole tables.

    Args:
        scorer: on the device where it runs.
        exams: the data.
        split: which exams.
        learnt: which outputs the model has learnt; columns of the others are empty.
    """
    scores = score_batches(scorer, exams.loader(exams.dataset(split)), str(split))
    tasks = scorer.model.tasks.learnt()
    return scores.tables(tasks, exams.everyone, exams.cache.recipe, learnt)


def score_batches(scorer: ExamScorer, batches: ExamLoader, what: str) -> "BatchScores":
    """What the model says of every exam of a loader; ``what`` they are stands at the progress bar."""
    device = next(scorer.parameters()).device
    scores = BatchScores(scorer.names)
    quiet = Ranks.now().rank > 0
    with torch.inference_mode():
        for batch in tqdm(batches, desc=f"score {what}", unit="batch", disable=quiet):
            inputs = (part.to(device) for part in (batch.images, batch.present, batch.months))
            scores.add(batch, scorer.eval()(*inputs))
    return scores


class BatchScores:
    """Collects the scores of batches, and makes tables of them.

    Args:
        names: of the scores, as ``ExamScorer`` gives them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._batches: list[Rows] = []

    def add(self, batch: ExamBatch, scores: Sequence[Tensor]) -> None:
        """Keep the scores of a batch, in the order of the names."""
        facts = {
            "exam": batch.exam,
            "present": batch.present[:, 0],
            "priors": batch.present[:, 1:].any(-1).sum(-1),
        }
        named = facts | dict(zip(self._names, scores, strict=True))
        self._batches.append({name: _to_numpy(part) for name, part in named.items()})

    def tables(
        self, tasks: Sequence[Task], known: Exams, recipe: RecipeSettings, learnt: Learnt
    ) -> dict[Task, pa.Table]:
        """The tables of all exams added in any process, each exam once, in the cohort's order.

        Nothing is kept afterwards. Columns of outputs that are not learnt are empty.
        """
        batches, self._batches = self._batches, []
        if not batches:
            return {task: OF_TASK[task].from_rows([]) for task in tasks}
        rows = gather({name: np.concatenate([b[name] for b in batches]) for name in batches[0]})
        once = np.unique(rows["exam"], return_index=True)[1]
        rows = hide_unlearnt({name: part[once] for name, part in rows.items()}, learnt)
        return {task: make_table(task, rows, known, recipe) for task in tasks}


def _to_numpy(part: Tensor) -> NDArray[Any]:
    part = part.detach().cpu()
    numbers: NDArray[Any] = (part.double() if part.is_floating_point() else part).numpy()
    return numbers
