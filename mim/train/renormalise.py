"""A run's model fitted to a maker it has not learnt from, by exams of which nothing need be known.

The statistics of the encoder's batch normalisation are those of the makers it was trained on. Here
they are taken from exams of another maker (``mim.model.norms.fit_statistics``), and nothing else of
the model changes. What comes of it is a run, which is evaluated and exported like any other: a
model for exams of that maker.

Its thresholds and scale are those of these exams, as the fitted model scores them: a share of exams
to select needs no outcome. They must be exams of the programme as they come, then. Those of women
whom the run was trained on are not counted, since it knows them too well.
"""

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from tqdm import tqdm

from mim.data.cache import Cache
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.loader import ExamLoader
from mim.data.sampler import CaseSampler
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.model.exam import ExamScorer
from mim.model.norms import batch_norms, fit_statistics
from mim.schemas.cohort import read_about
from mim.schemas.folders import require_own
from mim.schemas.saved_settings import read_settings
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_json, read_table, write_table
from mim.train.card import RunCard, write_card
from mim.train.checkpoints import BEST, read_checkpoint
from mim.train.reference import FITTED
from mim.train.run import data_of, load_task, score, scoring_device
from mim.train.saliency import write_saliency
from mim.train.scores import score_batches
from mim.train.settings import RenormaliseSettings
from mim.train.start import ENCODER, weights_fingerprint
from mim.train.task import ExamTask
from mim.vocab import SELECTION_RATES, Maker, Split, Task

EXAMS_TOGETHER = 32
"""Exams in a batch at most. Of more images at once, statistics depend less on who came together."""

LEAST_EXAMS = 8
"""Of fewer, statistics tell more of these exams than of the maker."""

ENOUGH_SELECTED = 10
"""Exams above the highest threshold; of ten, the share selected is known to a third of itself."""

SEED = 0
"""Of the order in which exams come, so that a batch is a mixture of them."""

AS_BEFORE = ("attrition.parquet", "inputs.png", "samples.png")
"""Files of a run that do not depend on its normalisation."""


class Elsewhere(NamedTuple):
    """A cohort, and the cache of its images, that the run was not trained on."""

    cohort: Path
    cache: Path


class Unlabelled(NamedTuple):
    """The exams to which a run is fitted."""

    everyone: Exams
    cache: Cache
    dataset: ExamDataset
    note: str
    """What must be said of the cohort they are of."""


def renormalise(
    run: Path, maker: Maker, out: Path, settings: RenormaliseSettings, other: Elsewhere | None
) -> None:
    """Fit a run's batch normalisation to exams of a maker, and write what comes of it as a run.

    Args:
        run: the run's folder.
        maker: whose exams.
        out: the folder of the new run; one that was renormalised before is replaced.
        settings: how much of the old statistics stays.
        other: where the exams are; missing: in the run's own cohort. Exams of the women whom the
            run is tested on are left out, and those of ``Split.UNUSED``.

    Raises:
        InputError: ``run`` is no finished run, was renormalised, or has no batch normalisation to
            fit; there are too few exams; ``out`` holds something else; images are damaged or of
            another recipe.
    """
    _require_free(out)
    task, card = load_task(run)
    _require_norms(run, task, card, settings.share)
    own = data_of(run, card)
    exams = _unlabelled(run, card, own, maker, other)
    about = {
        "maker": str(maker),
        "exams": len(exams.dataset),
        "women": len(exams.everyone.table["woman"].take(exams.dataset.rows).unique()),
        "images": int((exams.everyone.images[exams.dataset.rows] >= 0).sum()),
        "share": settings.share,
        "run": run.resolve().name,
        "weights": weights_fingerprint(task.model.state_dict()),
        "elsewhere": other and other.cohort.resolve().name,
        "cohort": str(other.cohort.resolve()) if other else card.cohort,
        "cache": str(other.cache.resolve()) if other else card.cache,
    }
    encoder = task.model.to(scoring_device(card)).encoder
    if settings.share:
        images = tqdm(_images(exams.dataset, card), desc=f"fit to {maker}", unit="batch")
        fit_statistics(encoder, images, settings.share)
    scores = _scores(task, card, own, exams)
    scored = 0 if scores is None else len(scores["exam"].unique())
    about["scored"] = scored
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        _write(
            unfinished, run, task, replace(card, note=_note(card, about, exams), renormalised=about)
        )
        if scores is not None:
            write_table(scores, unfinished / FITTED)
        _look(unfinished, task, own)
        if out.exists():
            shutil.rmtree(out)
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"fitted to {about['images']} images, {about['exams']} exams of {about['women']} women")
    if scores is not None:
        _say_if_few(scored)


def _say_if_few(exams: int) -> None:
    rate = min(SELECTION_RATES)
    if exams * rate < ENOUGH_SELECTED:
        print(
            f"thresholds rest on {exams} exams, of which {100 * rate:g} % are {exams * rate:.1f}; "
            f"take {math.ceil(ENOUGH_SELECTED / rate)} or more"
        )


def _require_free(out: Path) -> None:
    require_own(out, "run.json")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "run.json").is_file() or read_json(out / "run.json").get("renormalised") is None:
        raise InputError(f"out={out}: holds files of no renormalised run; choose another folder")


def _require_norms(run: Path, task: ExamTask, card: RunCard, share: float) -> None:
    if card.renormalised is not None:
        raise InputError(
            f"{run}: was fitted to {card.renormalised['maker']} already; give the run it was "
            f"before, {card.renormalised['run']}"
        )
    if share and not batch_norms(task.model.encoder):
        encoder = card.settings["model"]["encoder"]
        raise InputError(
            f"{run}: its encoder {encoder['name']} with model.encoder.norm={encoder['norm']} has no "
            "batch normalisation to fit; train an encoder that has, with model.encoder.norm=keep, "
            "or set share=0 for thresholds and scale alone"
        )


def _unlabelled(
    run: Path, card: RunCard, own: ExamData, maker: Maker, other: Elsewhere | None
) -> Unlabelled:
    """Exams of a maker in use, of women whom the run is not tested on, without their priors."""
    if other is None:
        everyone, cache, cohort = own.everyone, own.cache, Path(card.cohort)
    else:
        cache, cohort = Cache(other.cache), other.cohort
        if cache.fingerprint != card.fingerprint:
            raise InputError(
                f"cache={other.cache}: recipe {cache.fingerprint}, but {run} was trained on "
                f"{card.fingerprint}; run 'mim cache' with the run's recipe (in its run.json)"
            )
        everyone = Exams(cohort, cache)
    tested = own.everyone.table.filter(pc.equal(own.everyone.table["split"], Split.TEST.value))
    free = ~pc.is_in(everyone.table["woman"], tested["woman"].unique()).to_numpy()
    # A period that is held out shall stay unseen.
    free &= everyone.table["split"].to_numpy() != Split.UNUSED.value
    rows = np.flatnonzero(free & (everyone.makers == list(Maker).index(maker)))
    if len(rows) < LEAST_EXAMS:
        there = Counter(everyone.table["maker"].filter(pa.array(free)).to_pylist())
        raise InputError(
            f"maker={maker}: {len(rows)} exams in use in {cohort} of women who are not tested, "
            f"{LEAST_EXAMS} are needed; it has "
            + ", ".join(f"{count} of {name}" for name, count in sorted(there.items()))
        )
    dataset = ExamDataset(rows, everyone, cache, times=1, greys=own.greys)
    return Unlabelled(everyone, cache, dataset, str(read_about(cohort)["note"]))


def _images(dataset: ExamDataset, card: RunCard) -> Iterator[Tensor]:
    """uint16 [image, 1, height, width], the views that are there, in batches of mixed exams."""
    data = read_settings(DataSettings, card.settings["data"])
    sampler = CaseSampler(np.zeros(len(dataset), bool), EXAMS_TOGETHER, 0, SEED)
    for batch in ExamLoader(dataset, sampler, data.workers, data.ahead):
        yield batch.images[batch.present].to(scoring_device(card))


def _scores(task: ExamTask, card: RunCard, own: ExamData, exams: Unlabelled) -> pa.Table | None:
    """What the fitted model says of its exams, without women it was trained on; None without cancer."""
    if Task.CANCER not in task.model.tasks.learnt():
        return None
    learnt_from = own.everyone.table["woman"].take(own.training.rows).unique()
    rows = exams.dataset.rows
    new = ~pc.is_in(exams.everyone.table["woman"].take(rows), learnt_from).to_numpy()
    data = read_settings(DataSettings, card.settings["data"])
    dataset = ExamDataset(
        rows[new],
        exams.everyone,
        exams.cache,
        own.times,
        align_priors=data.align_priors,
        greys=own.greys,
    )
    scorer = ExamScorer(task.model)
    scored = score_batches(scorer, own.loader(dataset), "those fitted to")
    return scored.tables([Task.CANCER], exams.everyone, exams.cache.recipe, card.learnt)[
        Task.CANCER
    ]


def _note(card: RunCard, about: dict[str, object], exams: Unlabelled) -> str:
    """What must be said wherever a figure of the new run stands."""
    what = "Batch normalisation was fitted" if about["share"] else "Scores alone were fitted"
    said = (
        f"{what} to {about['exams']} unlabelled exams of {about['maker']}: a model for that maker. "
        f"Thresholds and scale are those of {about['scored']} of these exams."
    )
    notes = dict.fromkeys(note for note in (card.note, exams.note, said) if note)
    return " ".join(notes)


def _write(out: Path, run: Path, task: ExamTask, card: RunCard) -> None:
    """A run's folder, without scores."""
    (out / "checkpoints").mkdir(parents=True)
    old = read_checkpoint(run / "checkpoints" / BEST)
    kept = {name: old[name] for name in ("epoch", "global_step", ENCODER) if name in old}
    weights = {name: value.cpu() for name, value in task.state_dict().items()}
    torch.save(kept | {"state_dict": weights}, out / "checkpoints" / BEST)
    for name in AS_BEFORE:
        if (run / name).is_file():
            shutil.copy(run / name, out / name)
    write_card(out, card)


def _look(run: Path, task: ExamTask, own: ExamData) -> None:
    """What the new run says of its validation exams, and where it looks on them."""
    first, path = next(iter(score(run, Split.VALIDATION).items()))
    table = read_table(path, OF_TASK[first])
    write_saliency(task.model, own, first, table, run / "saliency.png")
