"""How well the maker can be told from what the model's heads read of an exam.

A model whose features hold the maker may lean on it. A multinomial logistic regression is fitted on
the features of the validation exams and measured on those of the test exams, of every maker,
whichever the run left out: a linear probe (Alain and Bengio 2016, arXiv:1610.01644).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.evaluate.bootstrap import Bools, Estimate, Floats, Ints, bootstrap_by_woman, share
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.settings import BootstrapSettings
from mim.model.exam import ExamModel
from mim.model.seen import has_view
from mim.schemas.saved_settings import read_settings
from mim.schemas.table import read_json, write_json
from mim.train.run import data_of, load_task, scoring_device
from mim.train.start import weights_fingerprint
from mim.vocab import Maker, Split

FILE = "probe.json"

LEAST_EXAMS = 10
"""Exams that a maker needs among those fitted on, and among those measured."""

MAKERS = tuple(maker for maker in Maker if maker is not Maker.UNKNOWN)

PENALTY = 1.0
"""Half of it times the sum of squared weights stands beside the sum of the exams' losses."""

Women = NDArray[np.generic]


@dataclass(frozen=True)
class Probe:
    """How well makers can be told apart.

    Attributes:
        weights: fingerprint of the model's weights.
        resamples: of the bootstrap over women.
        seed: of the bootstrap.
        makers: those told apart.
        left_out: validation exams and test exams of makers that have too few.
        chance: balanced accuracy of features that hold nothing; None without two makers.
        balanced_accuracy: mean over makers of the share of its test exams that are taken for its.
        auc: of each maker against the rest, by the probe's probability of it.
    """

    weights: str
    resamples: int
    seed: int
    makers: tuple[str, ...]
    left_out: dict[str, tuple[int, int]]
    chance: float | None
    balanced_accuracy: Estimate
    auc: dict[str, Estimate]


class Features(NamedTuple):
    """What a probe reads of exams, and what it is to tell."""

    values: Floats
    """[exam, feature]."""
    maker: Ints
    """[exam], place among the makers told apart."""
    women: Women
    """[exam]."""


def probe(run: Path, bootstrap: BootstrapSettings | None = None) -> Probe:
    """Probe a run's best checkpoint, and keep the result in the run folder as ``probe.json``.

    Nothing is done anew where the file is of these weights and this bootstrap.

    Raises:
        InputError: the run has no checkpoint, or its cohort or cache are gone, others, or damaged.
    """
    bootstrap = bootstrap or BootstrapSettings()
    task, card = load_task(run)
    weights = weights_fingerprint(task.model.state_dict())
    asked = weights, bootstrap.resamples, bootstrap.seed
    kept = _kept(run / FILE)
    if kept is not None and (kept.weights, kept.resamples, kept.seed) == asked:
        return kept
    settings = read_settings(DataSettings, card.settings["data"])
    exams = data_of(run, card, replace(settings, leave_out_maker=None))
    makers, left_out = told_apart(_makers(exams, Split.VALIDATION), _makers(exams, Split.TEST))
    balanced, auc = _nothing(), {}
    if len(makers) > 1:
        model = task.model.to(scoring_device(card))
        fitted = exam_features(model, exams, Split.VALIDATION, makers)
        measured = exam_features(model, exams, Split.TEST, makers)
        balanced, *areas = measure(fitted, measured, len(makers), bootstrap)
        auc = dict(zip(makers, areas, strict=True))
    found = Probe(
        *asked,
        makers=makers,
        left_out=left_out,
        chance=1 / len(makers) if len(makers) > 1 else None,
        balanced_accuracy=balanced,
        auc=auc,
    )
    write_json(run / FILE, asdict(found))
    return found


def told_apart(
    fitted: Mapping[str, int], measured: Mapping[str, int]
) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
    """Makers with enough exams fitted on and measured; and, of the others, how many these are."""
    exams = {str(maker): (fitted.get(maker, 0), measured.get(maker, 0)) for maker in MAKERS}
    enough = tuple(maker for maker, counts in exams.items() if min(counts) >= LEAST_EXAMS)
    few = {name: counts for name, counts in exams.items() if name not in enough and any(counts)}
    return enough, few


@torch.inference_mode()
def exam_features(
    model: ExamModel, exams: ExamData, split: Split, makers: tuple[str, ...]
) -> Features:
    """Features of a split's exams of some makers: the mean over the breasts that have a view.

    Args:
        model: on the device where it runs.
        exams: the data.
        split: which exams.
        makers: which makers.
    """
    model.eval()
    device = next(model.parameters()).device
    features, rows = [], []
    for batch in exams.loader(exams.dataset(split)):
        inputs = (part.to(device) for part in (batch.images, batch.present, batch.months))
        said = model(*inputs).features.cpu().double()
        breasts = has_view(batch.present[:, 0]).sum(dim=1, keepdim=True).clamp(min=1)
        features.append((said.sum(dim=1) / breasts).numpy())
        rows.append(batch.exam.numpy())
    row, once = np.unique(np.concatenate(rows), return_index=True)
    place = [makers.index(maker) if maker in makers else -1 for maker in Maker]
    maker = np.array([*place, -1])[exams.everyone.makers[row]]
    women = exams.everyone.table["woman"].to_numpy()[row]
    told = maker >= 0
    return Features(np.concatenate(features)[once][told], maker[told], women[told])


def measure(
    fitted: Features, measured: Features, makers: int, bootstrap: BootstrapSettings
) -> list[Estimate]:
    """Balanced accuracy, then the AUC of each maker against the rest, on the measured exams."""
    mean = fitted.values.mean(axis=0)
    spread = fitted.values.std(axis=0)
    spread[spread == 0] = 1
    weights = fit_logistic((fitted.values - mean) / spread, fitted.maker, makers)
    chances = probabilities((measured.values - mean) / spread, weights)
    maker, right = measured.maker, chances.argmax(axis=1) == measured.maker
    of_maker: list[Bools] = [maker == one for one in range(makers)]
    areas = [auc_statistic(chances[:, one], is_one) for one, is_one in enumerate(of_maker)]

    def figures(weight: Floats) -> Floats:
        sums = [np.bincount(maker, part, minlength=makers) for part in (weight * right, weight)]
        recall = share(*(one.astype(np.float64) for one in sums))
        return np.array([recall.mean(), *(float(area(weight)[0]) for area in areas)])

    return bootstrap_by_woman(
        figures,
        measured.women,
        [None, *of_maker],
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
    )


def fit_logistic(features: Floats, maker: Ints, makers: int) -> Floats:
    """Weights [1 + feature, maker] of a multinomial logistic regression, the intercept first.

    Each maker counts as much as any other, however many exams it has. Weights are held small by
    ``PENALTY``, the intercept is not.

    Args:
        features: [exam, feature], standardised.
        maker: [exam], 0 to ``makers`` - 1, each of them there.
        makers: how many there are.
    """
    inputs = np.column_stack([np.ones(len(features)), features])
    weight = len(maker) / makers / np.bincount(maker, minlength=makers)[maker]
    wanted = np.eye(makers)[maker]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, makers)
        held = weights * (np.arange(len(weights)) > 0)[:, None]
        logits = inputs @ weights
        lost = -weight @ (wanted * log_softmax(logits, axis=1)).sum(axis=1)
        slope = inputs.T @ (weight[:, None] * (softmax(logits, axis=1) - wanted)) + PENALTY * held
        both = lost + PENALTY / 2 * (held**2).sum(), slope.ravel()
        return both[0] / len(maker), both[1] / len(maker)

    start = np.zeros(inputs.shape[1] * makers)
    ends = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-14, "gtol": 1e-8}
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options=ends)
    return np.asarray(found.x, np.float64).reshape(-1, makers)


def probabilities(features: Floats, weights: Floats) -> Floats:
    """[exam, maker] of features [exam, feature] by the weights of ``fit_logistic``."""
    return np.asarray(softmax(features @ weights[1:] + weights[0], axis=1), np.float64)


def _makers(exams: ExamData, split: Split) -> dict[str, int]:
    """Exams of each maker in a split."""
    found = exams.everyone.makers[exams.dataset(split).rows]
    return {str(maker): int((found == place).sum()) for place, maker in enumerate(Maker)}


def _nothing() -> Estimate:
    reason = f"fewer than two makers with {LEAST_EXAMS} exams in validation and in test"
    return Estimate(None, None, None, 0, None, 0, reason)


def _kept(path: Path) -> Probe | None:
    """What a run folder holds of an earlier probe; None where there is none."""
    if not path.is_file():
        return None
    held = read_json(path)
    held["makers"] = tuple(held["makers"])
    held["left_out"] = {name: tuple(counts) for name, counts in held["left_out"].items()}
    held["balanced_accuracy"] = Estimate(**held["balanced_accuracy"])
    held["auc"] = {name: Estimate(**one) for name, one in held["auc"].items()}
    return Probe(**held)
