"""The report on the score scale: tenths of the reference population, and the probability it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from mim.evaluate.bootstrap import Floats, alike, share
from mim.evaluate.calibration import CALIBRATION, calibration_figures, cells_of, equal_groups
from mim.evaluate.charts import Calibrated, calibration_svg
from mim.evaluate.figures import ALL, ANY_CANCER, Figure, makers_among, named
from mim.evaluate.prevalence import known_weights, prevalence_weights
from mim.evaluate.proportions import wilson_by_woman
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table, in_words
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.score_scale import HIGHEST, Reading, ScoreScale, log_odds
from mim.vocab import CANCERS, Task

NAMES = ("Expected over observed", "Intercept", "Slope", "Brier score")
GROUPS = 10


@dataclass(frozen=True)
class OnScale:
    """Exams of one model read on its scale.

    Attributes:
        model: its name.
        exams: with its scores alone.
        reading: of them.
        weights: ``[exam]``, how they count by the programme's prevalence.
        known_weights: ``[exam]``, how those of known outcome count, taken for themselves.
    """

    model: str
    exams: Scored
    reading: Reading
    weights: Floats
    known_weights: Floats


def scale_section(
    exams: Scored, scales: Mapping[str, ScoreScale], settings: EvaluateSettings
) -> Section | None:
    """Exam scores 1 to 10 and probabilities of every model that has a scale; None where none has."""
    read = [_read(exams, model, scale, settings) for model, scale in scales.items()]
    if not read:
        return None
    tenths = [figure for one in read for figure in _tenths(one, settings)]
    figures = [figure for one in read for figure in _calibration(one, settings)]
    groups = {one.model: _by_group(one, settings) for one in read if _probability(one) is not None}
    several = len(read) > 1
    reasons = [
        f"{model} gives no probability: {scale.reason}."
        for model, scale in scales.items()
        if scale.reason
    ]
    return Section(
        Task.CANCER,
        "Scale and calibration",
        words=(
            "The exam score is 10 for the highest tenth of the reference exams, 9 for the next, and "
            "so on; each maker's and software's scores are read by their own tenths where their exams "
            "allow. The reference are the validation exams, so that where these exams are like "
            "them, each score is a tenth of these exams too.",
            "The probability is that of a cancer found at the exam or before the next one. "
            "Expected over observed is 1 where probabilities are as high as what came; the slope is 1 "
            "where they lie as far apart as what came, below 1 where they are too extreme.",
            *reasons,
        ),
        headlines=[
            Headline(
                "Expected over observed cancers" + f", {one.model}" * several,
                "exams",
                Cell(_find(figures, one.model, CALIBRATION[0], ALL).estimate, 1.0, 2),
            )
            for one in read
            if one.model in groups
        ],
        figures=[*tenths, *figures, *(f for found in groups.values() for f in found)],
        tables=[
            *(_tenth_table(tenths, one.model, several) for one in read),
            *(_calibration_table(figures, model, several) for model in groups),
        ],
        pictures=[_picture(found, model, several) for model, found in groups.items()],
        anchor="scale",
        summary=[
            f"{one.model}: its probabilities add up to "
            f"{in_words(_find(figures, one.model, CALIBRATION[0], ALL).estimate, 1.0, 2)} times the "
            "cancers that came."
            for one in read
            if one.model in groups
        ],
    )


def _read(exams: Scored, model: str, scale: ScoreScale, settings: EvaluateSettings) -> OnScale:
    mine = exams.only(model)
    reading = scale.read(mine.score, mine.rows["maker"].to_list(), mine.machines().to_list())
    return OnScale(
        model,
        mine,
        reading,
        prevalence_weights(mine.outcome, settings.prevalence),
        known_weights(mine.outcome, mine.known, settings.prevalence),
    )


def _probability(one: OnScale) -> Floats | None:
    """Of exams whose outcome is known; None where the scale gives none."""
    found = one.reading.probability
    return None if found is None else found[one.exams.known]


def _tenths(one: OnScale, settings: EvaluateSettings) -> list[Figure]:
    """Share of exams, share of each kind of cancer and cancers in 1,000 at every exam score."""
    exams, score = one.exams, one.reading.score_10
    of = {ALL: np.ones(len(score), np.bool_)}
    of |= {str(kind): exams.outcome == kind for kind in CANCERS if (exams.outcome == kind).any()}
    cancer = exams.cancer
    cells, first = alike(score, cancer, one.weights, one.known_weights, *of.values())
    tenth, known = score[first], one.known_weights[first]
    weights = [(rows * one.weights)[first] for rows in of.values()]

    def counts(drawn: Floats) -> Floats:
        return np.bincount(tenth, drawn, HIGHEST + 1)[1:].astype(np.float64)

    def statistic(drawn: Floats) -> Floats:
        found = [counts(drawn * of_kind) for of_kind in weights]
        rate = 1000 * share(counts(drawn * known * cancer[first]), counts(drawn * known))
        return np.concatenate([*(share(part, part.sum()) for part in found), rate])

    levels = range(1, HIGHEST + 1)
    wanted = [("scale_share", outcome, rows, k) for outcome, rows in of.items() for k in levels]
    wanted += [("cancers_per_1000", ANY_CANCER, cancer, k) for k in levels]
    found = Measurer(Task.CANCER, "exams", settings.bootstrap()).figures(
        [(name, f"exam score {k}") for name, *_, k in wanted],
        statistic,
        exams.woman,
        [rows & (score == k) for *_, rows, k in wanted],
        ALL,
        cells=cells,
    )
    plain = bool((one.weights == 1).all())
    return [
        replace(
            figure,
            model=one.model,
            outcome=outcome,
            closed=wilson_by_woman((score == k)[rows], exams.woman[rows])
            if plain and name == "scale_share"
            else None,
        )
        for figure, (name, outcome, rows, k) in zip(found, wanted, strict=True)
    ]


def _calibration(one: OnScale, settings: EvaluateSettings) -> list[Figure]:
    """Figures of calibration of all makers and each."""
    probability, exams = _probability(one), one.exams.where(one.exams.known)
    if probability is None:
        return []
    weights = one.known_weights[one.exams.known]
    found = []
    makers = makers_among(exams.maker)
    for maker in (ALL, *(makers if len(makers) > 1 else ())):
        rows = (exams.maker == maker) | (maker == ALL)
        found += calibration_figures(
            probability[rows],
            exams.cancer[rows],
            exams.woman[rows],
            weights[rows],
            maker,
            settings.bootstrap(),
        )
    return [replace(figure, model=one.model) for figure in found]


def _by_group(one: OnScale, settings: EvaluateSettings) -> list[Figure]:
    """Expected and observed share in tenths of the exams by probability, lowest first."""
    probability, exams = _probability(one), one.exams.where(one.exams.known)
    assert probability is not None
    weights = one.known_weights[one.exams.known]
    group = equal_groups(probability, weights, GROUPS)
    there = np.unique(group)
    cells = cells_of(log_odds(probability), exams.cancer, weights, group)
    of_cells, weight = group[cells.first], weights[cells.first]
    columns = [weight, weight * cells.mean(probability), weight * cells.cancer]

    def statistic(drawn: Floats) -> Floats:
        total, *sums = (
            np.bincount(of_cells, drawn * part, GROUPS)[there].astype(float) for part in columns
        )
        return np.concatenate([share(part, total) for part in sums])

    # A mean probability looks for no cancers.
    cases = [None] * len(there) + [exams.cancer & (group == k) for k in there]
    found = Measurer(Task.CANCER, "exams", settings.bootstrap()).figures(
        [(name, f"tenth {k + 1}") for name in ("expected", "observed") for k in there],
        statistic,
        exams.woman,
        cases,
        ALL,
        ANY_CANCER,
        cells.place,
    )
    return [replace(figure, model=one.model) for figure in found]


def _find(figures: Sequence[Figure], model: str, name: str, maker: str) -> Figure:
    [found] = [f for f in figures if (f.model, f.name, f.maker) == (model, name, maker)]
    return found


def _tenth_table(figures: Sequence[Figure], model: str, several: bool) -> Table:
    mine = [f for f in figures if f.model == model]
    kinds = [str(k) for k in dict.fromkeys(f.outcome for f in mine) if k not in (ALL, ANY_CANCER)]
    rows: list[tuple[str | Cell, ...]] = []
    for k in range(HIGHEST, 0, -1):
        at = {(f.name, f.outcome): f.estimate for f in mine if f.of == f"exam score {k}"}
        rows.append(
            (
                str(k),
                Cell(at["scale_share", ALL], 100, 1),
                Cell(at["cancers_per_1000", ANY_CANCER], 1, 1),
                *(Cell(at["scale_share", kind], 100, 1) for kind in kinds),
            )
        )
    return Table(
        f"Exam scores{f' of {model}' if several else ''}: their share of the exams, cancers in 1,000 "
        "exams with that score, and their share of the cancers, with 95 % intervals.",
        ("Score", "Exams, %", "Cancers per 1,000", *(f"{k.capitalize()}, %" for k in kinds)),
        rows,
    )


def _calibration_table(figures: Sequence[Figure], model: str, several: bool) -> Table:
    mine = [f for f in figures if f.model == model]
    makers = dict.fromkeys(f.maker for f in mine)
    digits = (2, 2, 2, 4)
    return Table(
        f"Calibration of the probability{f' of {model}' if several else ''} with 95 % intervals.",
        ("Maker", *NAMES, "Exams", "Cancers"),
        [
            (
                named(maker),
                *(
                    Cell(_find(mine, model, name, maker).estimate, 1.0, places)
                    for name, places in zip(CALIBRATION, digits, strict=True)
                ),
                f"{_find(mine, model, CALIBRATION[0], maker).estimate.n:,}",
                f"{_find(mine, model, CALIBRATION[0], maker).estimate.cases:,}",
            )
            for maker in makers
        ],
    )


def _picture(figures: Sequence[Figure], model: str, several: bool) -> Markup:
    half = len(figures) // 2
    pairs = zip(figures[:half], figures[half:], strict=True)
    points = [
        Calibrated(str(expected.of), expected.estimate, observed.estimate)
        for expected, observed in pairs
        if expected.estimate.value is not None and observed.estimate.value is not None
    ]
    of = f" of {model}" if several else ""
    return calibration_svg(
        points,
        f"probability{of}, mean of each tenth of the exams",
        "share with a cancer",
        f"Observed share with a cancer against the probability{of}, by tenths of the exams.",
    )
