"""The score table of a split: one row for each breast of each exam, each exam once."""

import pyarrow as pa
import torch
from tqdm import tqdm

from mim.data.datamodule import ExamData
from mim.data.dataset import Exam
from mim.model.exam import ExamModel, ExamScorer
from mim.schemas.scores import SCORES
from mim.vocab import BREASTS, Split


def score_table(model: ExamModel, exams: ExamData, split: Split) -> pa.Table:
    """Scores, by the table of ``mim.schemas.scores``, of all exams of a split, on the model's device."""
    scorer = ExamScorer(model).eval()
    device = next(model.parameters()).device
    dataset = exams.dataset(split)
    rows: list[dict[str, object]] = []
    with torch.inference_mode():
        for batch in tqdm(exams.loader(dataset), desc=f"score {split}", unit="batch"):
            inputs = (batch.images, batch.present, batch.months)
            breasts, *_ = scorer(*(part.to(device) for part in inputs))
            seen = batch.present[:, 0].reshape(len(breasts), len(BREASTS), -1).any(-1)
            priors = batch.present[:, 1:].any(-1).sum(-1)
            for place, exam in enumerate(batch.exam.tolist()):
                rows += _rows(
                    dataset.exams[exam],
                    breasts[place].tolist(),
                    seen[place].tolist(),
                    int(priors[place]),
                )
    return SCORES.from_rows(rows)


def _rows(
    exam: Exam, scores: list[float], seen: list[bool], priors: int
) -> list[dict[str, object]]:
    return [
        {
            "woman": exam.woman,
            "exam": exam.exam,
            "breast": breast,
            "score": scores[place] if seen[place] else None,
            "cancer": exam.cancer[place],
            "outcome": exam.outcome[place],
            "maker": exam.maker,
            "split": exam.split,
            "priors": priors,
        }
        for place, breast in enumerate(BREASTS)
    ]
