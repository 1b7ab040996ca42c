"""The report on where a model looks: whether its marks lie on the cancers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from markupsafe import Markup

from mim.evaluate.charts import Axis, Line, lines_svg
from mim.evaluate.figures import Figure
from mim.evaluate.localisation import (
    FALSE_MARKS,
    Located,
    Scores,
    froc_curve,
    localisation_figures,
    locate,
)
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Cell, Section, Table, in_words
from mim.evaluate.settings import BootstrapSettings
from mim.schemas.cohort import IMAGES, LESIONS
from mim.schemas.table import read_table
from mim.vocab import SELECTION_RATES, Task

ANCHOR = "localisation"
UNWEIGHED = (
    "Here exams count once each, not by the programme's prevalence as in other tables: the shares "
    "selected are shares of these exams. Where these hold more cancers than the programme's, a "
    "smaller part of the cancers is selected than there."
)


def read_localisation(cohort: Path) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Images and lesions of a cohort's folder, by ``IMAGES`` and ``LESIONS``; None without lesions.

    Raises:
        InputError: a table is damaged or of another version.
    """
    path = cohort / "lesions.parquet"
    if not path.is_file():
        return None
    images, lesions = read_table(cohort / "images.parquet", IMAGES), read_table(path, LESIONS)
    return pl.DataFrame(pl.from_arrow(images)), pl.DataFrame(pl.from_arrow(lesions))


def localisation_section(
    breasts: Scored,
    images: pl.DataFrame,
    lesions: pl.DataFrame,
    marks: pl.DataFrame,
    model: str,
    settings: BootstrapSettings,
    weighed: bool = False,
) -> Section | None:
    """Compare a model's marks with the boxes of cancers, counted by breast.

    Args:
        breasts: all breasts of the exams measured, by whose scores exams are selected.
        images: those on which marks were looked for, by ``IMAGES``: exams with a box, and others.
        lesions: by ``LESIONS``.
        marks: the model's, by ``mim.schemas.marks.MARKS``.
        model: one of ``breasts.scores``.
        settings: of the bootstrap.
        weighed: whether other tables count exams by a programme's prevalence.

    Returns:
        None where no cancer of these breasts has a box, or the model has no mark at all.

    Raises:
        InputError: no mark lies on an image of these exams.
    """
    if marks.is_empty():
        return None
    rows = breasts.rows.select("woman", "exam", "breast", "cancer")
    rows = rows.with_columns(score=pl.Series(breasts.scores[model]))
    found = locate(rows, images, lesions, marks)
    if not found.boxed.any():
        return None
    figures = localisation_figures(found, model, settings)
    located = _one(figures, "located")
    return Section(
        Task.CANCER,
        "Where the model looks",
        words=_words(found, weighed),
        headlines=(),
        figures=figures,
        tables=[_located_table(figures, model), _froc_table(figures), _area_table(figures)],
        pictures=[_froc(found)],
        facts={"localisation": _counts(found)},
        anchor=ANCHOR,
        summary=[
            f"{model} looks first at the place of {in_words(located.estimate, 100, 0)} % of "
            f"{int(found.boxed.sum()):,} cancers with a known place, by a map that is no detector."
        ],
    )


def _words(found: Located, weighed: bool) -> list[str]:
    count = _counts(found)
    return [
        f"{count['cancers with a box']:,} breasts with a cancer have a box round it on an image: "
        f"{count['boxes']:,} boxes. A cancer is located if the highest mark on its breast lies in a "
        "box. An exam is selected by its score among all exams, with a box or without.",
        "A model's marks are the highest places of its map of what raises the breast's score, up to "
        "three on an image. Such a map is no detector: nobody taught it places, it is coarse, and it "
        "also shows what merely goes with cancer. A model may find a cancer and mark another place.",
        *([UNWEIGHED] if weighed else []),
        "A false mark lies in no box, on an image of a breast known to be free of cancer or on one "
        f"with a box: {count['images']:,} images count. Breasts with a cancer count among them more "
        "often than in a programme.",
        "Lesions of the made-up programme are bright and stand out. There, a model that finds their "
        "places shows that the mechanism works, and nothing of cancers in women.",
    ]


def _counts(found: Located) -> dict[str, int]:
    return {
        "cancers with a box": int(found.boxed.sum()),
        "boxes": len(found.boxes.row),
        "images": int(found.images.sum()),
        "breasts free of cancer": int(found.free.sum()),
        "false marks": len(found.false_marks.row),
    }


def _one(figures: Sequence[Figure], name: str, **wanted: object) -> Figure:
    [found] = [
        figure
        for figure in figures
        if figure.name == name
        and all(getattr(figure, key) == value for key, value in wanted.items())
    ]
    return found


def _located_table(figures: Sequence[Figure], model: str) -> Table:
    """Shares of all cancers and of those selected."""
    located = _one(figures, "located")
    rows: list[tuple[str | Cell, ...]] = [("All exams", *_shown(located), *_shown(located))]
    for rate in SELECTION_RATES:
        among, both = (
            _one(figures, name, selection_rate=rate)
            for name in ("located_among_selected", "selected_and_located")
        )
        rows.append((f"{100 * rate:.1f} %", *_shown(among), *_shown(both)))
    return Table(
        f"Cancers located by {model} among those selected, and selected and located among all "
        "cancers, in %, at shares of these exams, with 95 % interval by bootstrap over women and by "
        "Wilson's formula, clustered by woman.",
        ("Selected", "Located of selected", "Wilson", "Selected and located", "Wilson"),
        rows,
    )


def _shown(figure: Figure) -> tuple[Cell, str]:
    closed = figure.closed
    by_formula = f"{100 * closed.low:.1f} to {100 * closed.high:.1f}" if closed else "-"
    return Cell(figure.estimate, 100, 1), by_formula


def _froc_table(figures: Sequence[Figure]) -> Table:
    """Sensitivity at numbers of false marks."""
    rows: list[tuple[str | Cell, ...]] = []
    for number in FALSE_MARKS:
        of = f"{number:g} false marks per image"
        cells = [
            Cell(_one(figures, name, of=of).estimate, 100, 1)
            for name in ("froc_sensitivity", "froc_box_sensitivity")
        ]
        rows.append((f"{number:g}", *cells))
    return Table(
        "Cancers, and boxes, with a mark in their place among the highest marks of all exams, in %, "
        "with 95 % interval.",
        ("False marks per image, at most", "Cancers", "Boxes"),
        rows,
    )


def _area_table(figures: Sequence[Figure]) -> Table:
    area = _one(figures, "afroc_auc")
    return Table(
        "The chance that a cancer's highest mark in its place scores higher than the highest mark on "
        "a breast free of cancer, with 95 % interval; a cancer without such a mark loses.",
        ("Figure", "Area"),
        [("Alternative free-response curve", Cell(area.estimate))],
    )


def _froc(found: Located) -> Markup:
    kinds: list[tuple[str, Scores]] = [("cancers", found.cancers), ("boxes", found.boxes)]
    lines = []
    for series, (name, targets) in enumerate(kinds):
        false, marked = froc_curve(targets, found)
        shown = int(np.searchsorted(false, FALSE_MARKS[-1], side="right"))
        lines.append(Line(name, false[:shown], marked[:shown], series, steps=True))
    return lines_svg(
        lines,
        Axis("false marks per image", 0, FALSE_MARKS[-1]),
        Axis("share with a mark in its place", 0, 1, percent=True),
        "Free-response curves of cancers and of boxes; the table gives their values.",
    )
