"""The sample of exams on which models are measured: their scores joined with what is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mim.errors import InputError
from mim.evaluate.reference import Reference, read_checked
from mim.evaluate.scored import Scored, breasts, exams
from mim.schemas.reference import GIVEN_SCORES, REFERENCE
from mim.vocab import Split

LONGEST_NAME = 40
"""Letters of a model's name that pictures and tables have room for."""


@dataclass(frozen=True)
class ModelScores:
    """What one model says.

    Attributes:
        model: its name.
        rows: exam, breast (missing: the whole exam) and score.
    """

    model: str
    rows: pl.DataFrame

    @property
    def by_breast(self) -> bool:
        """Whether it scores breasts, not only exams."""
        return bool(self.rows["breast"].count())


@dataclass(frozen=True)
class Sample:
    """Exams of one split that every model has scored, and their breasts.

    Attributes:
        breasts: with the scores of the models that score breasts; missing where none does, or
            where outcomes are known of whole exams only.
        exams: with the scores of all models.
        readings: of these exams.
        notices: what the reader of a report must know of the join.
    """

    breasts: Scored | None
    exams: Scored
    readings: pl.DataFrame
    notices: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order in which they were given."""
        return list(self.exams.scores)


def read_models(paths: Sequence[Path]) -> tuple[list[ModelScores], list[str]]:
    """Read score tables, one or several models in each; and notices on them.

    Raises:
        InputError: a table breaks its schema, or two tables hold one model.
    """
    found: dict[str, ModelScores] = {}
    notices: list[str] = []
    for path in paths:
        rows, more = read_checked(path, GIVEN_SCORES, REFERENCE)
        notices += more
        if rows.is_empty():
            raise InputError(f"{path}: no score in it; add the scores, one a row")
        name = pl.col("model").fill_null(_name_of(path))
        rows = rows.with_columns(name, pl.col("score").fill_nan(None))
        if count := len(rows.filter(pl.col("score").is_infinite())):
            raise InputError(
                f"{path}: column 'score' is infinite in {count} rows; leave them empty"
            )
        for [name], scores in rows.group_by("model", maintain_order=True):
            if len(str(name)) > LONGEST_NAME:
                raise InputError(f"{path}: the name of model '{name}' is too long; shorten it")
            if name in REFERENCE.arrow().names:
                raise InputError(f"{path}: a model cannot be called '{name}'; name it otherwise")
            if name in found:
                raise InputError(
                    f"{path}: model '{name}' stands in another table too; name one of them "
                    "otherwise in a column 'model'"
                )
            found[str(name)] = _model(path, str(name), scores.drop("model"))
    return list(found.values()), notices


def _name_of(path: Path) -> str:
    """A table's model where no column names it: the run whose scores it holds, or the file."""
    return path.resolve().parent.parent.name if path.parent.name == "scores" else path.stem


def _model(path: Path, name: str, rows: pl.DataFrame) -> ModelScores:
    if 0 < rows["breast"].null_count() < len(rows):
        raise InputError(
            f"{path}: model '{name}' has rows with and without a breast; give one of the two"
        )
    return ModelScores(name, rows)


def take_sample(reference: Reference, models: Sequence[ModelScores], split: Split) -> Sample:
    """Join models' scores with the reference, on the exams of a split that all of them scored.

    Raises:
        InputError: no such exam has a score of every model.
    """
    rows = _of_split(reference.breasts, split)
    notices = [_strangers(model, reference.breasts) for model in models]
    if lost := _unread(reference):
        notices.append(f"readings of {lost:,} exams that are not in the outcomes: not used")
    if lost := _without_split(reference.breasts):
        notices.append(f"{lost:,} exams are in no split, though others are: left out")
    for model in models:
        rows = _with_scores(rows, model)
    names = [model.model for model in models]
    by_exam = exams(rows, names)
    if not by_exam.score.size:
        _refuse(models, split, rows["exam"].n_unique())
    if by_exam.unscored and len(models) > 1:
        notices.append(f"{by_exam.unscored} exams lack a score of one model or another: left out")
    scored = [model.model for model in models if model.by_breast]
    whole = bool(rows["breast"].null_count())
    kept = by_exam.rows.select("exam")
    by_breast = breasts(rows, names) if scored and not whole else None
    return Sample(
        by_breast and replace(by_breast, scores={name: by_breast.scores[name] for name in scored}),
        by_exam,
        reference.readings.join(kept, on="exam", how="semi"),
        tuple(notice for notice in notices if notice),
    )


def _of_split(rows: pl.DataFrame, split: Split | None) -> pl.DataFrame:
    """Rows of a split, or of all; where no split is known all are test exams."""
    if split is None:
        pass
    elif rows["split"].count():
        rows = rows.filter(split=str(split))
    elif split is not Split.TEST:
        rows = rows.clear()
    return rows.sort("woman", "exam", "breast")


def _unread(reference: Reference) -> int:
    apart = reference.readings.join(reference.breasts, on="exam", how="anti")
    return apart["exam"].n_unique()


def _without_split(rows: pl.DataFrame) -> int:
    if not rows["split"].count():
        return 0
    return rows.filter(pl.col("split").is_null())["exam"].n_unique()


def _with_scores(rows: pl.DataFrame, model: ModelScores) -> pl.DataFrame:
    """The rows with a column of the model's scores; a score of the exam is that of both breasts."""
    scores = model.rows.rename({"score": model.model})
    if model.by_breast and rows["breast"].count():
        on = ["exam", "breast"]
    else:
        on = ["exam"]
        scores = scores.group_by("exam").agg(pl.col(model.model).max())
    return rows.join(scores.select(*on, model.model), on=on, how="left", maintain_order="left")


def _strangers(model: ModelScores, known: pl.DataFrame) -> str:
    apart = model.rows.select("exam").unique().join(known, on="exam", how="anti").height
    return f"{model.model}: {apart} exams that it scored are not in the outcomes" if apart else ""


def _refuse(models: Sequence[ModelScores], split: Split, exams: int) -> None:
    if not exams:
        raise InputError(
            f"outcomes: no exam of the split '{split}'; give another split, or no column 'split'"
        )
    empty = [model.model for model in models if not model.rows["score"].count()]
    names = ", ".join(f"'{name}'" for name in empty or [model.model for model in models])
    raise InputError(
        f"scores: none of the {exams} exams has a score of {names}; name exams as the outcomes do "
        "(in a cohort: by their pseudonyms)"
    )


def scored_by(reference: Reference, model: ModelScores, split: Split | None) -> Scored | None:
    """The exams of a split, or of all, that a model has scored; None where there are none."""
    rows = _with_scores(_of_split(reference.breasts, split), model)
    found = exams(rows, [model.model])
    return found if found.score.size else None


def require_labels(sample: Sample) -> None:
    """Raise InputError where not one scored exam is known to have a cancer or none."""
    if not sample.exams.known.any():
        raise InputError(
            "scores: it is known of no exam with a score whether it has a cancer; give outcomes, or "
            "a longer follow-up"
        )
