"""Whether a model marks the place of the cancer, not only the exam.

A mark is a point on a stored image with a score. It is **in its place** where it lies in the box of a
malignant lesion, or no farther from it than a tolerance. Cancers are counted by breast: those with a
box on one of their images. A cancer is **located** if the highest mark on the breast's images is in
its place; where several are highest, all of them. So a cancer on which nothing is marked is not
located, and neither is one whose highest mark lies on a view without a box.

**Free response** (Bunch 1977, Proc SPIE 127; Chakraborty 2013, doi 10.1016/j.acra.2013.03.001):
marks are taken from the highest score downwards, those with equal scores together. The sensitivity
is the share of cancers, or of boxes, with a mark in their place among them, against the false marks
per image. A false mark is not in its place, on an image of a breast known to be free of cancer or on
one with a malignant box. Other images count for neither: on a cancer's view without a box nobody
knows where the cancer is. That curve has no end on the right, hence no area. The area of the
alternative curve has one: the chance that a cancer's highest mark in its place scores higher than
the highest mark on a breast free of cancer.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats, Ints, Statistic, bootstrap_by_woman, share
from mim.evaluate.figures import ALL, ANY_CANCER, OWN_RATE, ClosedForm, Figure
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.operating import groups_within, highest_share
from mim.evaluate.proportions import wilson_by_woman
from mim.evaluate.settings import BootstrapSettings
from mim.evaluate.survival import together
from mim.vocab import SELECTION_RATES, Task

FALSE_MARKS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""False marks per image at which the sensitivity is given."""

UNMARKED = -np.inf
"""Score of a place on which nothing is marked."""


class Scores(NamedTuple):
    """Scores, and the breast that each belongs to, as its row."""

    row: Ints
    score: Floats


@dataclass(frozen=True)
class Located:
    """Breasts of the exams that a model scored, and where it marked them.

    Rows are breasts, sorted by woman, exam and side.

    Attributes:
        woman: ``[row]``, a number for each woman.
        exam: ``[row]``, a number for each exam.
        score: ``[row]``, of the exam: the higher of its breasts'.
        boxed: ``[row]``, whether it has a cancer, and a malignant box on one of its images.
        free: ``[row]``, whether it is known to be free of cancer, marks were looked for on its
            images, and none of them has a malignant box (of a cancer that a later exam found).
        located: ``[row]``, whether it is boxed and its highest mark is in its place.
        highest: ``[row]``, score of the highest mark on its images.
        in_place: ``[row]``, score of the highest mark in its place.
        images: ``[row]``, its images on which a mark can be false.
        boxes: of each malignant box of a boxed breast, the score of the highest mark in its place.
        false_marks: scores of the marks out of place on those images.
    """

    woman: Ints
    exam: Ints
    score: Floats
    boxed: Bools
    free: Bools
    located: Bools
    highest: Floats
    in_place: Floats
    images: Floats
    boxes: Scores
    false_marks: Scores

    @property
    def first(self) -> Ints:
        """``[exam]``, the row of each exam's first breast."""
        return np.flatnonzero(np.diff(self.exam, prepend=-1) != 0)

    @property
    def cancers(self) -> Scores:
        """Of each boxed breast, the score of the highest mark in its place."""
        rows = np.flatnonzero(self.boxed)
        return Scores(rows, self.in_place[rows])


def locate(
    breasts: pl.DataFrame,
    images: pl.DataFrame,
    lesions: pl.DataFrame,
    marks: pl.DataFrame,
    tolerance_mm: float = 0.0,
) -> Located:
    """Compare a model's marks with the boxes of malignant lesions.

    Args:
        breasts: a row for each breast of the exams: woman, exam, breast, cancer (missing: unknown),
            score (of the breast or the exam; exams without one are left out).
        images: on which marks were looked for, of these exams and perhaps others: image, exam,
            laterality, spacing_mm. Exams without any count for selection alone.
        lesions: image, x, y, width, height and malignant, as in ``mim.schemas.cohort.LESIONS``.
        marks: one model's, by ``mim.schemas.marks.MARKS``.
        tolerance_mm: how far from a box a mark may lie; where the spacing of the image's pixels is
            unknown, not at all.

    Raises:
        InputError: no mark lies on an image of these exams.
    """
    rows = _rows(breasts)
    shown = _images(rows, images)
    boxes = lesions.filter("malignant").select("image", "x", "y", "width", "height")
    boxes = boxes.join(shown, on="image").with_row_index("box")
    found = marks.select("image", "x", "y", "score").join(shown, on="image").with_row_index("mark")
    if found.is_empty():
        raise InputError(
            "marks: none lies on an image of these exams; name images by the cohort's pseudonyms"
        )
    pairs = _in_place(found, boxes, tolerance_mm)
    found = found.with_columns(in_place=pl.col("mark").is_in(pairs["mark"].implode()))
    with_box = boxes.select("image").unique().with_columns(with_box=True)
    shown = shown.join(with_box, on="image", how="left")
    countable = shown.filter(~pl.col("cancer") | pl.col("with_box"))
    false = found.filter(~pl.col("in_place")).join(countable, on="image", how="semi")
    ill = rows["cancer"].fill_null(False).to_numpy()
    healthy = (~rows["cancer"]).fill_null(False).to_numpy()
    has_box, has_image = (
        _per_row(rows, part, pl.lit(True), False).astype(np.bool_) for part in (boxes, shown)
    )
    best = _per_row(rows, found, pl.col("score").max(), UNMARKED)
    top = found.filter(pl.col("score") == pl.col("score").max().over("row"))
    all_in_place = _per_row(rows, top, pl.col("in_place").all(), False).astype(np.bool_)
    of_boxes = boxes.filter("cancer").join(
        pairs.group_by("box").agg(pl.col("score").max()),
        on="box",
        how="left",
        maintain_order="left",
    )
    return Located(
        woman=rows["woman"].rank("dense").cast(pl.Int64).to_numpy(),
        exam=rows["exam"].rle_id().cast(pl.Int64).to_numpy(),
        score=rows["score"].to_numpy(),
        boxed=ill & has_box,
        free=healthy & ~has_box & has_image,
        located=ill & has_box & all_in_place,
        highest=best,
        in_place=_per_row(rows, found.filter("in_place"), pl.col("score").max(), UNMARKED),
        images=_per_row(rows, countable, pl.len(), 0),
        boxes=_scores(of_boxes.with_columns(pl.col("score").fill_null(UNMARKED))),
        false_marks=_scores(false),
    )


def _rows(breasts: pl.DataFrame) -> pl.DataFrame:
    """Breasts whose exam has a score, each with that of its exam and its number."""
    rows = breasts.select("woman", "exam", "breast", "cancer", "score")
    rows = rows.with_columns(pl.col("score").max().over("exam").cast(pl.Float64))
    kept = rows.filter(pl.col("score").is_not_null() & pl.col("breast").is_not_null())
    return kept.sort("woman", "exam", "breast").with_row_index("row")


def _images(rows: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """``image``, ``spacing_mm``, ``row`` and ``cancer`` of the images of these breasts."""
    shown = images.select("image", "exam", pl.col("laterality").alias("breast"), "spacing_mm")
    found = shown.join(rows.select("row", "exam", "breast", "cancer"), on=["exam", "breast"])
    return found.select("image", "spacing_mm", "row", "cancer")


def _in_place(marks: pl.DataFrame, boxes: pl.DataFrame, tolerance_mm: float) -> pl.DataFrame:
    """``mark``, ``box`` and ``score`` of the pairs in which the mark is in the box's place."""
    sizes = boxes.select("box", "image", left="x", top="y", width="width", height="height")
    both = marks.join(sizes, on="image")
    beyond = [
        pl.max_horizontal(pl.col(start) - pl.col(axis), pl.col(axis) - pl.col(start) - size, 0.0)
        for axis, start, size in (("x", "left", pl.col("width")), ("y", "top", pl.col("height")))
    ]
    off = (beyond[0] ** 2 + beyond[1] ** 2).sqrt()
    near = (off * pl.col("spacing_mm") <= tolerance_mm).fill_null(False)
    return both.filter((off == 0) | near).select("mark", "box", "score")


def _per_row(rows: pl.DataFrame, found: pl.DataFrame, value: pl.Expr, other: float) -> Floats:
    """``value`` of what is found of each breast ``[row]``; ``other`` where nothing is."""
    values = found.group_by("row").agg(value=value.cast(pl.Float64))
    joined = rows.select("row").join(values, on="row", how="left", maintain_order="left")
    return joined["value"].fill_null(float(other)).to_numpy()


def _scores(found: pl.DataFrame) -> Scores:
    row = found["row"].cast(pl.Int64).to_numpy()
    return Scores(row, found["score"].cast(pl.Float64).to_numpy())


def location_statistic(found: Located) -> Statistic:
    """Shares of cancers, counted by breast, from weights ``[row]``.

    The share located; then for each rate of ``SELECTION_RATES``, exams being taken from the highest
    score downwards, the share of the selected cancers that is located, and the share of all cancers
    that is selected and located. NaN where there is no such cancer.
    """
    exams = found.first
    exams = exams[np.argsort(-found.score[exams], kind="stable")]
    values = np.unique(-found.score)
    last_of_tie = np.searchsorted(-found.score[exams], values, side="right") - 1
    rows = np.flatnonzero(found.boxed)
    group, located = np.searchsorted(values, -found.score[rows]), found.located[rows]

    def statistic(weights: Floats) -> Floats:
        cancers, right = weights[rows], weights[rows] * located
        figures = [share(right.sum(), cancers.sum())]
        taken = np.cumsum(weights[exams])[last_of_tie]
        for rate in SELECTION_RATES:
            selected = group < groups_within(taken, rate)
            figures.append(share(right[selected].sum(), cancers[selected].sum()))
            figures.append(share(right[selected].sum(), cancers.sum()))
        return np.array(figures)

    return statistic


def froc_statistic(targets: Scores, found: Located) -> Statistic:
    """Share of targets marked at each number of ``FALSE_MARKS`` per image, from weights ``[row]``.

    Never at more false marks than that. Where a model marks less, it is the share of all its marks.

    Args:
        targets: what is looked for: ``found.cancers`` or ``found.boxes``.
        found: the false marks and the images.
    """
    # More marks are worth taking only as far as the next mark in its place.
    cuts = np.unique(-targets.score[targets.score > UNMARKED])
    marked, false = (
        _upto(scores, cuts, len(found.woman)) for scores in (targets, found.false_marks)
    )

    def statistic(weights: Floats) -> Floats:
        images, wanted = weights @ found.images, weights[targets.row].sum()
        if not images or not wanted:
            return np.full(len(FALSE_MARKS), np.nan)
        per_image = np.cumsum(false @ weights) / images
        shares = np.append(0.0, np.cumsum(marked @ weights)) / wanted
        groups = np.searchsorted(per_image, np.multiply(FALSE_MARKS, 1 + 1e-12), side="right")
        return np.asarray(shares[groups], np.float64)

    return statistic


def _upto(scores: Scores, cuts: Floats, rows: int) -> csr_array:
    """``[cut, row]``, scores that are the first time among those taken at a (negated) cut."""
    cut = np.searchsorted(cuts, -scores.score)
    kept = cut < len(cuts)
    places = (cut[kept], scores.row[kept])
    return csr_array((np.ones(kept.sum()), places), shape=(len(cuts), rows))


def froc_curve(targets: Scores, found: Located) -> tuple[Floats, Floats]:
    """False marks per image and share of targets marked ``[point]``, from (0, 0) on.

    A point for every score of a mark that counts, from the highest one downwards.

    Args:
        targets: what is looked for: ``found.cancers`` or ``found.boxes``; at least one.
        found: the false marks and the images; at least one image.
    """
    scores = np.unique(np.concatenate([targets.score, found.false_marks.score]))[::-1]
    scores = scores[scores > UNMARKED]
    false = np.searchsorted(np.sort(-found.false_marks.score), -scores, side="right")
    marked = np.searchsorted(np.sort(-targets.score), -scores, side="right")
    return (
        np.append(0.0, false / found.images.sum()),
        np.append(0.0, marked / len(targets.score)),
    )


def localisation_figures(
    found: Located, model: str | None, settings: BootstrapSettings
) -> list[Figure]:
    """Every figure of one model's marks, with intervals by woman.

    ``located``, ``located_among_selected`` and ``selected_and_located`` at each selection rate of
    these exams, ``froc_sensitivity`` and ``froc_box_sensitivity`` at each of ``FALSE_MARKS``, and
    ``afroc_auc``. Shares of cancers that are located have a closed form too, Wilson's.
    """
    per_image = [f"{number:g} false marks per image" for number in FALSE_MARKS]
    names: list[tuple[str, float | None, str | None]] = [
        ("located", None, None),
        *(
            (name, rate, None)
            for rate in SELECTION_RATES
            for name in ("located_among_selected", "selected_and_located")
        ),
        *(("froc_sensitivity", None, of) for of in per_image),
        *(("froc_box_sensitivity", None, of) for of in per_image),
        ("afroc_auc", None, None),
    ]
    statistics = (
        location_statistic(found),
        froc_statistic(found.cancers, found),
        froc_statistic(found.boxes, found),
        afroc_statistic(found),
    )

    estimates = bootstrap_by_woman(
        together(*statistics), found.woman, [found.boxed] * len(names), **asdict(settings)
    )
    closed = _closed(found)
    return [
        Figure(
            *(Task.CANCER, name, "breasts", ALL, None, estimate, of),
            outcome=ANY_CANCER,
            rule=None if rate is None else OWN_RATE,
            selection_rate=rate,
            model=model,
            closed=closed.get((name, rate)),
        )
        for (name, rate, of), estimate in zip(names, estimates, strict=True)
    ]


def _closed(found: Located) -> dict[tuple[str, float | None], ClosedForm | None]:
    """Wilson's intervals of the shares of cancers located, by name and selection rate."""
    woman, located = found.woman[found.boxed], found.located[found.boxed]
    forms: dict[tuple[str, float | None], ClosedForm | None] = {}
    forms["located", None] = wilson_by_woman(located, woman)
    for rate in SELECTION_RATES:
        exams = found.score[found.first]
        cut = exams[highest_share(exams, rate)].min(initial=np.inf)
        selected = found.score[found.boxed] >= cut
        among = wilson_by_woman(located[selected], woman[selected])
        forms["located_among_selected", rate] = among
        forms["selected_and_located", rate] = wilson_by_woman(located & selected, woman)
    return forms


def afroc_statistic(found: Located) -> Statistic:
    """Area of the alternative free-response curve, from weights ``[row]``: 0 to 1, ties one half."""
    used = np.flatnonzero(found.boxed | found.free)
    score = np.where(found.boxed, found.in_place, found.highest)[used]
    area = auc_statistic(score, found.boxed[used])
    return lambda weights: area(weights[used])
