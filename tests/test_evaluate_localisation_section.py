"""What the report says of a model's marks: planted ones, and those of the tiny run."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from test_evaluate_localisation import Study, planted, table

from mim.errors import InputError
from mim.evaluate.figures import FIGURES
from mim.evaluate.localisation_section import UNWEIGHED, localisation_section, read_localisation
from mim.evaluate.reference import read_reference
from mim.evaluate.sample import ModelScores, take_sample
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Cell, Section
from mim.evaluate.settings import BootstrapSettings
from mim.schemas.cohort import IMAGES, LESIONS
from mim.schemas.marks import MARKS
from mim.schemas.scores import SCORES
from mim.schemas.table import read_table, write_table
from mim.train.marks import exams_to_mark, marks_of_run
from mim.train.run import score
from mim.vocab import Split, Task

QUICK = BootstrapSettings(resamples=50)


def section(study: Study, weighed: bool = False) -> Section | None:
    rows = pl.DataFrame(study.breasts)
    breasts = Scored("breasts", rows.drop("score"), {"ours": rows["score"].to_numpy()}, 0)
    tables = ((study.images, IMAGES), (study.lesions, LESIONS), (study.marks, MARKS))
    return localisation_section(breasts, *(table(s, r) for r, s in tables), "ours", QUICK, weighed)


def written(rows: list[tuple[str | Cell, ...]]) -> list[list[str]]:
    return [[c.value if isinstance(c, Cell) else c for c in row] for row in rows]


def test_tables_say_what_was_counted_by_hand() -> None:
    """Two cancers with boxes, one of them located; 3 boxes, 2 of them marked; 11 images."""
    found = section(planted())
    assert found is not None
    located, froc, area = found.tables
    assert located.rows[0][0] == "All exams"
    assert [row[1] for row in written(located.rows)] == ["50.0", "-", "-", "-", "-"]
    # Wilson's interval of 1 of 2.
    assert located.rows[0][2] == located.rows[0][4] == "9.5 to 90.5"
    assert written(froc.rows)[0] == ["0.125", "100.0", "66.7"]
    assert written(area.rows)[0][1] == "1.000"
    assert not found.headlines
    assert found.facts == {
        "localisation": {
            "cancers with a box": 2,
            "boxes": 3,
            "images": 11,
            "breasts free of cancer": 4,
            "false marks": 3,
        }
    }
    assert found.summary[0].startswith("ours looks first at the place of 50")
    [picture] = found.pictures
    assert "false marks per image" in picture
    assert picture.count('<path fill="none"') == 2
    words = " ".join(found.words)
    assert "no detector" in words
    assert "nothing of cancers in women" in words
    rows = pl.DataFrame(pl.from_arrow(FIGURES.from_rows([f.row() for f in found.figures])))
    assert not rows.select(FIGURES.key).is_duplicated().any()


def test_beside_weighed_tables_the_section_says_that_it_does_not_weigh() -> None:
    plain, weighed = section(planted()), section(planted(), weighed=True)
    assert plain is not None
    assert weighed is not None
    assert [*{*weighed.words} - {*plain.words}] == [UNWEIGHED]
    assert [figure.estimate for figure in plain.figures] == [f.estimate for f in weighed.figures]


def test_nothing_is_said_without_boxes_or_marks_and_strangers_are_refused() -> None:
    study = planted()
    study.lesions = [row for row in study.lesions if not row["malignant"]]
    assert section(study) is None
    study = planted()
    study.marks = []
    assert section(study) is None
    study.mark("stranger", 1, 1, 1)
    with pytest.raises(InputError, match="name images by the cohort's pseudonyms"):
        section(study)


def test_a_run_is_measured_by_its_own_marks(run, cohort, tmp_path) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    found = read_localisation(cohort)
    assert found is not None
    images, lesions = found
    split = Split.TRAIN
    rows = pl.DataFrame(pl.from_arrow(read_table(score(run, split)[Task.CANCER], SCORES)))
    models = [ModelScores("ours", rows.select("exam", "breast", "score"))]
    breasts = take_sample(read_reference(cohort, None), models, split).breasts
    assert breasts is not None
    looked_at = images.filter(pl.col("exam").is_in(exams_to_mark(run, split)))
    marks = pl.DataFrame(pl.from_arrow(marks_of_run(run, split)))
    told = localisation_section(breasts, looked_at, lesions, marks, "ours", QUICK)
    assert told is not None
    counts = told.facts["localisation"]
    boxes = lesions.filter("malignant").join(breasts.rows, on="exam", how="semi")
    sick = breasts.rows.filter("cancer").rename({"breast": "laterality"})
    assert counts["boxes"] == boxes.join(sick, on=["exam", "laterality"], how="semi").height > 0
    write_table(IMAGES.from_rows([]), tmp_path / "images.parquet")
    assert read_localisation(tmp_path) is None
