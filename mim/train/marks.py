"""Where a run's model sees cancer: the highest places of its maps, as marks on the stored images.

A breast is explained by the map of its own log-odds, ``mim.train.saliency.grad_cam``. A map is no
detector: it was never taught a place, and it is as coarse as the encoder's last feature maps.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.data.exams import find_rows
from mim.data.sampler import Draw
from mim.errors import InputError
from mim.image.landmarks import shares_to_stored
from mim.image.recipe import Prepared
from mim.model.exam import ExamModel, Outputs
from mim.schemas.cohort import LESIONS
from mim.schemas.marks import MARKS
from mim.schemas.scores import SCORES
from mim.schemas.table import read_table, write_table
from mim.train.card import RunCard
from mim.train.checkpoints import BEST
from mim.train.run import data_of, load_task, score, scoring_device
from mim.train.saliency import Target, grad_cam
from mim.train.scores import score_path
from mim.vocab import BREASTS, SCREENING_VIEWS, Split, Task

MOST_MARKS = 3
"""Marks on one image, at most."""

APART = 0.05
"""Share of the input's height around a mark in which the map is nowhere higher: about 10 mm."""

MOST_HEALTHY = 500
"""Exams without cancer on which false marks are counted: enough for their number per image to a few
per cent, and few enough to explain one by one."""

Heat = NDArray[np.float32]
Spots = NDArray[np.float64]


def marks_of_run(run: Path, split: Split, exams: Sequence[str] | None = None) -> pa.Table:
    """Marks of a run's best checkpoint on the images of some exams, by ``mim.schemas.marks.MARKS``.

    A mark is a local maximum of the map of its breast's cancer score, on the breast; its score is
    the breast's score times the map, whose highest value on the breast's views is 1. So a breast's
    highest mark has the breast's score. Where nothing speaks for cancer the map is 0, without marks.

    The marks of ``exams_to_mark`` are kept as ``scores/<split>-marks.parquet`` and made again when
    the checkpoint or the cohort is newer.

    Args:
        run: the run's folder.
        split: part of the cohort.
        exams: pseudonyms of exams of that split, which are then kept nowhere; missing: those of
            ``exams_to_mark``. Those without an image in the cache have no marks.

    Raises:
        InputError: the run has no checkpoint or has not learnt cancer, or its cohort or cache are
            gone, others, or damaged.
    """
    path = run / "scores" / f"{split}-marks.parquet"
    card = RunCard.read(run)
    if exams is None and _is_newer(path, *_sources(run, card)):
        return read_table(path, MARKS)
    wanted = exams_to_mark(run, split) if exams is None else exams
    _require_cancer(run, card)
    task, card = load_task(run)
    marker = _Marker(run, card, task.model, split)
    rows = [row for place in marker.places(wanted) for row in marker.marks(place)]
    marks = MARKS.from_rows(rows)
    if exams is None:
        write_table(marks, path)
    return marks


def exams_to_mark(run: Path, split: Split) -> list[str]:
    """Exams of a split that say where a run's model looks; none where no cancer has a box.

    All with the box of a malignant lesion, and of those known to be free of cancer in both breasts
    the first ``MOST_HEALTHY`` by a hash of their pseudonyms.

    Raises:
        InputError: as for ``marks_of_run``.
    """
    card = RunCard.read(run)
    _require_cancer(run, card)
    lesions = Path(card.cohort) / "lesions.parquet"
    if not lesions.is_file():
        return []
    boxes = pl.DataFrame(pl.from_arrow(read_table(lesions, LESIONS)))
    malignant = boxes.filter("malignant")["exam"].unique()
    exams = _scores(run, split).group_by("exam").agg(pl.col("cancer").any(ignore_nulls=False))
    boxed = exams.filter(pl.col("exam").is_in(malignant.implode()))
    if boxed.is_empty():
        return []
    healthy = exams.filter(~pl.col("cancer")).join(boxed, on="exam", how="anti")["exam"]
    return [*sorted(boxed["exam"]), *sorted(healthy, key=_hash)[:MOST_HEALTHY]]


def highest_spots(heat: Heat) -> Spots:
    """The highest local maxima of a map [row, column], at most ``MOST_MARKS``: [spot, 3].

    Column, row and height of each, the highest first; of a flat top its middle. Heights are above 0.
    """
    reach = max(1, round(APART * heat.shape[0]))
    around = ndimage.maximum_filter(heat, 2 * reach + 1, mode="constant")
    tops, count = ndimage.label((heat == around) & (heat > 0), np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    if not count:
        return np.empty((0, 3))
    middles = np.array(ndimage.center_of_mass(tops > 0, tops, numbers))
    heights = np.array(ndimage.maximum(heat, tops, numbers), np.float64)
    spots = np.column_stack([middles[:, ::-1], heights])
    return np.asarray(spots[np.argsort(-heights, kind="stable")[:MOST_MARKS]])


class _Marker:
    """A run's model and its data, of which one exam at a time is explained."""

    def __init__(self, run: Path, card: RunCard, model: ExamModel, split: Split) -> None:
        self._name = run.resolve().name
        self._model = model.to(scoring_device(card))
        self._data: ExamData = data_of(run, card)
        self._dataset = self._data.dataset(split)
        self._split = split
        everyone = self._data.everyone
        self._made = self._data.cache.made(everyone.image_table["image"])
        scores = _scores(run, split).drop_nulls("score")
        self._scores = {row[:2]: row[2] for row in scores.select("exam", "breast", "score").rows()}

    def places(self, exams: Sequence[str]) -> Iterator[int]:
        """Places of exams in the dataset, under a bar."""
        names = self._data.everyone.table["exam"]
        rows = find_rows(pa.chunked_array([list(exams)], pa.string()), names)
        places = np.flatnonzero(np.isin(self._dataset.rows, rows))
        yield from tqdm(places.tolist(), desc=f"mark {self._split}", unit="exam")

    def marks(self, place: int) -> Iterator[dict[str, object]]:
        """Rows of ``MARKS`` of one exam, read with its priors."""
        batch = self._dataset[[Draw(place, 0)]]
        row = int(batch.exam[0])
        everyone = self._data.everyone
        exam = everyone.table["exam"][row].as_py()
        for breast, side in enumerate(BREASTS):
            score = self._scores.get((exam, str(side)))
            if score is None:
                continue
            for view, heat in self._heats(batch, breast).items():
                picture = int(everyone.images[row, view])
                image = everyone.image_table["image"][picture].as_py()
                for x, y, height in self._on_stored(picture, highest_spots(heat)).tolist():
                    at = {"image": image, "x": x, "y": y}
                    yield at | {"score": score * height, "model": self._name}

    def _heats(self, batch: ExamBatch, breast: int) -> dict[int, Heat]:
        """Maps of a breast's log-odds [row, column] by slot of its views that are there, at most 1.

        Only on the breast: beside it the model's input is empty, and what the map shows there has
        spilt from coarser maps.
        """
        maps = grad_cam(self._model, batch, _log_odds_of(breast))[0].numpy()
        first = breast * len(SCREENING_VIEWS)
        views = [
            view for view in range(first, first + len(SCREENING_VIEWS)) if batch.present[0, 0, view]
        ]
        images = batch.images[0, 0, :, 0].numpy()
        heats = {view: np.where(images[view] > 0, maps[view], 0) for view in views}
        highest = max((heat.max() for heat in heats.values()), default=0) or 1
        return {view: np.asarray(heat / highest, np.float32) for view, heat in heats.items()}

    def _on_stored(self, picture: int, spots: Spots) -> Spots:
        """Spots of the model's input [spot, 3] as columns and rows of the stored image."""
        recipe = self._data.cache.recipe
        [made] = self._made.slice(picture, 1).to_pylist()
        prepared = Prepared(
            pixels=np.empty((0, 0), np.uint16),
            box=(made["top"], made["bottom"], made["left"], made["right"]),
            scale=made["scale"],
            mirrored=made["mirrored"],
            upside_down=made["upside_down"],
            voi_rule="",
        )
        shares = (spots[:, :2] + 0.5) / [recipe.width, recipe.height]
        return np.column_stack([shares_to_stored(shares, prepared, recipe), spots[:, 2]])


def _log_odds_of(breast: int) -> Target:
    def of_breast(said: Outputs, _present: Tensor) -> Tensor:
        assert said.cancer is not None
        return said.cancer.breast[:, breast]

    return of_breast


def _scores(run: Path, split: Split) -> pl.DataFrame:
    """The run's scores of a split, as its checkpoint gives them."""
    path = score_path(run, split, Task.CANCER)
    if not _is_newer(path, *_sources(run, RunCard.read(run))):
        path = score(run, split)[Task.CANCER]
    return pl.DataFrame(pl.from_arrow(read_table(path, SCORES)))


def _sources(run: Path, card: RunCard) -> tuple[Path, Path]:
    """What scores and marks are made of: the run's weights and its cohort."""
    return run / "checkpoints" / BEST, Path(card.cohort) / "cohort.json"


def _is_newer(path: Path, *others: Path) -> bool:
    """Whether a file is there and was written after others, as far as they are there."""
    there = [other.stat().st_mtime_ns for other in others if other.is_file()]
    return path.is_file() and path.stat().st_mtime_ns > max(there, default=0)


def _require_cancer(run: Path, card: RunCard) -> None:
    if not card.settings["tasks"]["cancer"]["learn"]:
        raise InputError(f"{run}: has not learnt cancer; it sees none anywhere")


def _hash(exam: str) -> bytes:
    return blake2b(exam.encode(), digest_size=8).digest()
