"""The report on quality: landmarks in mm, criteria, measures and grades."""

import numpy as np
import pyarrow as pa

from mim.evaluate.agreement import Weighting, kappa
from mim.evaluate.bootstrap import Floats, Statistic
from mim.evaluate.figures import ALL, Figure, find, makers_among, named
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.quality import GRADES, Positioned, measures, positioned
from mim.evaluate.sections import Cell, Headline, Measurer, Section, Table, unsaid
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import Criterion, Landmark, Task

NEAR_MM = (5.0, 10.0)
NEAR = {mm: f"share_within_{mm:.0f}_mm" for mm in NEAR_MM}
LIMITS = ("bias", "limit_low", "limit_high")
GRADE_NAMES = dict(zip(GRADES, ("Perfect", "Good", "Moderate", "Inadequate"), strict=True))


def quality_section(table: pa.Table, settings: BootstrapSettings) -> Section:
    """Measure a table of ``mim.schemas.scores.QUALITY_SCORES``, all of one split."""
    found = positioned(table)
    measurer = Measurer(Task.QUALITY, "images", settings)
    figures = [
        *_landmarks(found, measurer),
        *_criteria(found, measurer),
        *_measures(found, measurer),
        *_grades(found, measurer),
    ]
    nipple = find(figures, "median_mm", of=Landmark.NIPPLE)
    return Section(
        Task.QUALITY,
        "Quality",
        words=(
            "Grades follow from landmarks and criteria by the rules of mim.positioning "
            "(docs/positioning.md); nothing learns them. Limits of agreement are the bias and "
            "1.96 standard deviations to each side of it (Bland and Altman 1986).",
            *unsaid(_said(found)),
        ),
        headlines=[Headline("Nipple off by, median mm", "images", Cell(nipple, 1.0, 1))],
        figures=figures,
        tables=[table for make in TABLES if (table := make(figures)).rows],
    )


def _said(found: Positioned) -> dict[str, Floats]:
    """Columns by their names in words."""
    said = {_words(name): found.points[:, at, 0] for at, name in enumerate(Landmark)}
    said |= {
        f"{_words(n)} on the image or not": found.visible[:, at] for at, n in enumerate(Landmark)
    }
    return said | {_words(name): found.criteria[:, at] for at, name in enumerate(Criterion)}


def _landmarks(found: Positioned, measurer: Measurer) -> list[Figure]:
    """Median distance, and shares within 5 and 10 mm, of all makers; the former of each as well."""
    made = []
    off = found.off_mm()
    for maker in (ALL, *makers_among(found.maker)):
        for place, name in enumerate(Landmark):
            known = ~np.isnan(off[:, place]) & ((found.maker == maker) | (maker == ALL))
            distance = off[known, place]
            names = [("median_mm", name.value)]
            if maker == ALL:
                names += [(near, name.value) for near in NEAR.values()]
            statistic = _distances(distance, NEAR_MM if maker == ALL else ())
            made += measurer.figures(names, statistic, found.woman[known], None, maker)
    return made


def _distances(distance: Floats, near: tuple[float, ...]) -> Statistic:
    """The median, and the share up to each of some distances."""
    order = np.argsort(distance, kind="stable")
    ranked = distance[order]

    def statistic(weights: Floats) -> Floats:
        up_to = np.cumsum(weights[order])
        if not len(up_to) or not up_to[-1]:
            return np.full(1 + len(near), np.nan)
        middle = [np.searchsorted(up_to, up_to[-1] / 2, side=side) for side in ("left", "right")]
        ends = np.searchsorted(ranked, near, side="right")
        return np.append(ranked[middle].mean(), np.append(0, up_to)[ends] / up_to[-1])

    return statistic


def _criteria(found: Positioned, measurer: Measurer) -> list[Figure]:
    made = []
    for place, name in enumerate(Criterion):
        truth, said = found.known_criteria[:, place], found.criteria[:, place]
        known = ~np.isnan(truth + said)
        true = truth[known] == 1
        statistic = auc_statistic(said[known], true)
        made += measurer.figures([("auc", name.value)], statistic, found.woman[known], [true], ALL)
    return made


def _measures(found: Positioned, measurer: Measurer) -> list[Figure]:
    """Bias and limits of agreement of the measures, where the known landmarks give the truth."""
    made = []
    said, truth = measures(found)
    for name in said:
        off = said[name] - truth[name]
        known = ~np.isnan(off)
        names = [(figure, name) for figure in LIMITS]
        made += measurer.figures(names, _agreement(off[known]), found.woman[known], None, ALL)
    return made


def _agreement(off: Floats) -> Statistic:
    """Mean difference, and 1.96 standard deviations below and above it."""

    def statistic(weights: Floats) -> Floats:
        total = weights.sum()
        if total < 2:
            return np.full(len(LIMITS), np.nan)
        bias = weights @ off / total
        spread = 1.96 * np.sqrt(weights @ (off - bias) ** 2 / (total - 1))
        return np.array([bias, bias - spread, bias + spread])

    return statistic


def _grades(found: Positioned, measurer: Measurer) -> list[Figure]:
    both = found.where((found.grade >= 0) & (found.known_grade >= 0))
    agreed = kappa(both.grade, both.known_grade, len(GRADES), Weighting.QUADRATIC)
    made = measurer.figures([("grade_kappa", None)], agreed, both.woman, None, ALL)
    for name, grade in (("grade_share", found.grade), ("known_grade_share", found.known_grade)):
        graded = grade >= 0
        cases = [grade[graded] == place for place in range(len(GRADES))]
        names = [(name, letter) for letter in GRADES]
        made += measurer.figures(names, _shares(cases), found.woman[graded], None, ALL)
    return made


def _shares(cases: list[np.ndarray[tuple[int], np.dtype[np.bool_]]]) -> Statistic:
    def statistic(weights: Floats) -> Floats:
        total = weights.sum()
        return np.array([weights @ rows / total if total else np.nan for rows in cases])

    return statistic


def _words(name: str) -> str:
    """A name of the vocabulary or of a measure in running text, with its unit behind it."""
    for end, unit in (("_mm", ", mm"), ("_degrees", ", degrees")):
        if name.endswith(end):
            name = name.removesuffix(end) + unit
    return name.replace("_", " ").capitalize()


def _landmark_table(figures: list[Figure]) -> Table:
    names = [("median_mm", 1.0), *((near, 100.0) for near in NEAR.values())]
    return Table(
        "Distance of landmarks from the known ones, with 95 % interval.",
        ("Landmark", "Median, mm", "Within 5 mm, %", "Within 10 mm, %", "Images"),
        [
            (
                _words(of),
                *(Cell(find(figures, name, of=of), scale, 1) for name, scale in names),
                f"{find(figures, 'median_mm', of=of).n:,}",
            )
            for of in Landmark
            if find(figures, "median_mm", of=of).n
        ],
    )


def _maker_table(figures: list[Figure]) -> Table:
    makers = dict.fromkeys(f.maker for f in figures if f.name == "median_mm" and f.estimate.n)
    known = [of for of in Landmark if find(figures, "median_mm", of=of).n]
    return Table(
        "Median distance in mm by maker.",
        ("Maker", *(_words(of) for of in known)),
        [
            (
                named(maker),
                *(Cell(find(figures, "median_mm", maker=maker, of=of), 1.0, 1) for of in known),
            )
            for maker in makers
        ],
    )


def _criterion_table(figures: list[Figure]) -> Table:
    found = [(of, find(figures, "auc", of=of)) for of in Criterion]
    return Table(
        "AUC of each criterion, with 95 % interval.",
        ("Criterion", "AUC", "Images", "of them true"),
        [
            (_words(of), Cell(area), f"{area.n:,}", f"{area.cases:,}")
            for of, area in found
            if area.n
        ],
    )


def _measure_table(figures: list[Figure]) -> Table:
    names = [str(figure.of) for figure in figures if figure.name == "bias" and figure.estimate.n]
    return Table(
        "Measures from the model's landmarks less those from the known ones, with 95 % interval.",
        ("Measure", "Bias", "Lower limit", "Upper limit", "Images"),
        [
            (
                _words(of),
                *(Cell(find(figures, name, of=of), 1.0, 1) for name in LIMITS),
                f"{find(figures, 'bias', of=of).n:,}",
            )
            for of in names
        ],
    )


def _grade_table(figures: list[Figure]) -> Table:
    agreed = find(figures, "grade_kappa")
    rows: list[tuple[str | Cell, ...]] = [
        (
            words,
            Cell(find(figures, "grade_share", of=letter), 100.0, 1),
            Cell(find(figures, "known_grade_share", of=letter), 100.0, 1),
        )
        for letter, words in GRADE_NAMES.items()
    ]
    return Table(
        "Grades in % of the images, by the rules and by readers; quadratic kappa of the two on the "
        f"{agreed.n:,} images that have both.",
        ("Grade", "By the rules", "By readers"),
        [*rows, ("Kappa", Cell(agreed), "")],
    )


TABLES = (_landmark_table, _maker_table, _criterion_table, _measure_table, _grade_table)
