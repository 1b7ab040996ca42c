"""Samples: tables as users give them, joined with outcomes; nothing is lost in silence."""

from datetime import date, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from made_cohort import MadeCohort, exam_row
from made_report import score_table

from mim.errors import InputError
from mim.evaluate.reference import Reference, read_reference
from mim.evaluate.sample import Sample, read_models, require_labels, take_sample
from mim.evaluate.scored import Scored
from mim.evaluate.subgroups import subgroups
from mim.vocab import Split

OUTCOMES = """exam,woman,breast,outcome,maker,age_years,split,invasive,size_mm
e1,w1,L,screen-detected cancer,ge,49,test,true,8
e1,w1,R,negative,ge,49,test,,
e2,w1,L,negative,ge,50,test,,
e2,w1,R,negative,ge,50,test,,
e3,w2,L,interval cancer,siemens,69,test,false,30
e3,w2,R,unknown,siemens,69,test,,
e4,w3,L,negative,siemens,70,validation,,
e4,w3,R,negative,siemens,70,validation,,
"""
BY_BREAST = """exam,breast,score
e1,L,0.9
e1,R,0.2
e2,L,0.1
e3,L,0.4
e3,R,
e4,L,0.3
e4,R,0.6
stranger,L,0.5
"""
BY_EXAM = (
    "exam,score,model\ne1,10,shelf\ne2,3,shelf\ne4,1,shelf\ne1,2,other\ne2,1,other\ne3,1,other\n"
)


def write(folder: Path, **tables: str) -> list[Path]:
    paths = []
    for name, text in tables.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text(text)
    return paths


def sample(
    folder: Path, *models: str, outcomes: str = OUTCOMES, split: Split = Split.TEST
) -> Sample:
    [known] = write(folder, outcomes=outcomes)
    paths = write(folder, **{f"m{place}": text for place, text in enumerate(models)})
    return take_sample(read_reference(known, None), read_models(paths)[0], split)


def test_breasts_and_exams_of_the_split_with_a_score(tmp_path: Path) -> None:
    found = sample(tmp_path, BY_BREAST)
    assert found.models == ["m0"]
    assert found.exams.rows["exam"].to_list() == ["e1", "e2", "e3"]
    assert found.exams.score.tolist() == [0.9, 0.1, 0.4]
    assert found.exams.outcome[0] == "screen-detected cancer"
    assert (found.exams.rows["size_mm"][0], found.exams.rows["invasive"][2]) == (8, False)
    assert found.breasts is not None
    assert (len(found.breasts.score), found.breasts.unscored) == (4, 2)
    assert found.breasts.known.all()
    assert found.notices == ("m0: 1 exams that it scored are not in the outcomes",)


def test_a_score_of_the_exam_is_never_one_of_its_breasts(tmp_path: Path) -> None:
    found = sample(tmp_path, BY_BREAST, BY_EXAM.replace("other", "more"))
    assert found.models == ["m0", "shelf", "more"]
    # e3 has no score of the shelf, so none of the three is measured on it.
    assert found.exams.rows["exam"].to_list() == ["e1", "e2"]
    assert found.exams.scores["shelf"].tolist() == [10, 3]
    assert found.breasts is not None
    assert list(found.breasts.scores) == ["m0"]
    assert len(found.breasts.score) == 3
    assert "1 exams lack a score of one model or another: left out" in found.notices


def test_only_exam_scores_have_no_breasts(tmp_path: Path) -> None:
    assert sample(tmp_path, BY_EXAM).breasts is None


def test_outcomes_of_whole_exams_take_the_higher_breast(tmp_path: Path) -> None:
    outcomes = "exam,woman,cancer\ne1,w1,1\ne2,w1,0\ne3,w2,\n"
    found = sample(tmp_path, BY_BREAST, outcomes=outcomes)
    assert found.breasts is None
    assert found.exams.score.tolist() == [0.9, 0.1, 0.4]
    assert found.exams.outcome.tolist() == ["cancer", "negative", "unknown"]
    assert found.exams.known.tolist() == [True, True, False]
    assert set(found.exams.maker) == {"unknown"}


def test_validation_exams_are_another_sample(tmp_path: Path) -> None:
    found = sample(tmp_path, BY_BREAST, split=Split.VALIDATION)
    assert found.exams.rows["exam"].to_list() == ["e4"]
    assert found.exams.score.tolist() == [0.6]


def test_a_run_s_score_table_is_its_own_reference(tmp_path: Path) -> None:
    table = score_table("test", 3)
    pq.write_table(table, tmp_path / "run.parquet")
    reference = read_reference(tmp_path / "run.parquet", None)
    found = take_sample(reference, read_models([tmp_path / "run.parquet"])[0], Split.TEST)
    assert found.breasts is not None
    known = pl.DataFrame(pl.from_arrow(table)).drop_nulls("score").sort("woman", "exam", "breast")
    assert found.breasts.score.tolist() == known["score"].to_list()
    assert found.breasts.rows["cancer"].to_list() == known["cancer"].to_list()
    assert found.breasts.rows["outcome"].to_list() == known["outcome"].to_list()


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ("exam,woman\ne1,w1\n", r"outcomes.csv: neither column 'outcome' nor 'cancer'"),
        ("exam,cancer\ne1,1\n", r"outcomes.csv: column 'woman' .* is missing"),
        ("exam,woman,cancer\ne1,w1,1\ne1,w1,0\n", r"outcomes.csv: row 3, .*repeats row 2"),
        (
            "exam,woman,breast,cancer\ne1,w1,L,1\ne1,w2,R,0\n",
            r"outcomes.csv: column 'woman' differs within 1 exams",
        ),
        ("exam,woman,breast,cancer\ne1,w1,L,1\ne1,w1,,0\n", r"1 exams have a row without a breast"),
        ("exam,woman,cancer,outcome\ne1,w1,1,negative\n", r"'cancer' contradicts 'outcome'"),
        ("exam,woman,outcome\ne1,w1,benign\n", r"column 'outcome'"),
        ("exam,woman,cancer,split\ne1,w1,1,train\n", r"no exam of the split 'test'"),
        ("exam,woman,cancer\nx,w1,1\n", r"none of the 1 exams has a score of 'm0'"),
    ],
)
def test_outcomes_that_cannot_be_used_are_refused(
    tmp_path: Path, outcomes: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        sample(tmp_path, BY_BREAST, outcomes=outcomes)
    assert "w1" not in str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("exam,breast\ne1,L\n", r"m0.csv: column 'score' .* is missing"),
        ("exam,score\ne1,0.1\ne1,0.2\n", r"m0.csv: row 3, .* repeats row 2"),
        ("exam,breast,score\ne1,L,0.1\ne2,,0.2\n", r"'m0' has rows with and without a breast"),
        ("exam,score,model\ne1,1,site\n", r"a model cannot be called 'site'"),
        ("exam,score\ne1,high\n", r"m0.csv: row 2, column 'score'"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(tmp_path: Path, scores: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample(tmp_path, scores)


def test_a_model_in_two_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model 'shelf' stands in another table too"):
        sample(tmp_path, BY_EXAM, BY_EXAM)


def test_labels_are_needed(tmp_path: Path) -> None:
    found = sample(tmp_path, BY_BREAST, outcomes="exam,woman,outcome\ne1,w1,unknown\n")
    with pytest.raises(InputError, match="of no exam with a score"):
        require_labels(found)


def test_readings_come_from_their_table(tmp_path: Path) -> None:
    known, readings = write(
        tmp_path, outcomes=OUTCOMES, readings="exam,reader,score,reading\ne1,r1,3,1\ne9,r1,1,1\n"
    )
    reference: Reference = read_reference(known, readings)
    paths = write(tmp_path, m0=BY_BREAST)
    found = take_sample(reference, read_models(paths)[0], Split.TEST)
    assert found.readings.select("exam", "score").rows() == [("e1", 3)]


@pytest.mark.parametrize(("days", "counts"), [(731, True), (730, False)])
def test_exams_younger_than_the_interval_count_neither_with_nor_without_a_cancer(
    tmp_path: Path, days: int, counts: bool
) -> None:
    """The registry ends four years after the old exam; the young one's cancer is already known."""
    end = date(2020, 1, 1)
    sick = {"left_outcome": "screen-detected cancer", "left_cancer": True}
    made = MadeCohort(registry_end=end.isoformat())
    for name, before_end in (("old", 1461), ("young", days)):
        followed = {f"{side}_years_followed": before_end / 365.25 for side in ("left", "right")}
        day = end - timedelta(days=before_end)
        made.exams.append(exam_row(name, name, day, split="test", **followed, **sick))
    reference = read_reference(made.write(tmp_path), None)
    rows = {row["exam"]: row for row in reference.breasts.filter(breast="L").to_dicts()}
    assert rows["old"]["cancer"]
    assert (rows["young"]["cancer"], rows["young"]["outcome"]) == (
        (True, "screen-detected cancer") if counts else (None, "censored")
    )
    assert bool(reference.notices) != counts
    if not counts:
        assert reference.notices[0].startswith("1 exams of the cohort, 1 with a cancer")


def test_two_readers_who_were_both_first_leave_it_unknown_who_was(tmp_path: Path) -> None:
    table = "exam,reader,score,reading\ne1,r1,3,1\ne1,r2,1,1\ne2,r1,1,1\ne2,r2,1,2\n"
    known, readings = write(tmp_path, outcomes=OUTCOMES, readings=table)
    reference = read_reference(known, readings)
    assert reference.readings.sort("exam", "reader")["reading"].to_list() == [None, None, 1, 2]
    assert "1 exams have one 'reading' by two readers" in reference.notices[0]


def test_a_run_s_table_is_named_by_its_run_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run a" / "scores"
    folder.mkdir(parents=True)
    (folder / "test-cancer.csv").write_text(BY_BREAST)
    assert read_models([folder / "test-cancer.csv"])[0][0].model == "run a"
    with pytest.raises(InputError, match="no score in it"):
        sample(tmp_path, BY_BREAST, "exam,score\n")
    with pytest.raises(InputError, match="is too long; shorten it"):
        sample(tmp_path, f"exam,score,model\ne1,1,{'x' * 41}\n")


def parts_of(rows: pl.DataFrame) -> dict[tuple[str, str], list[int]]:
    table = Scored("exams", rows, {"a": np.arange(float(len(rows)))}, 0)
    return {
        (part.subgroup, part.level): np.flatnonzero(part.rows).tolist() for part in subgroups(table)
    }


def test_parts_are_what_differs_and_healthy_rows_are_in_every_part_of_cancers(
    tmp_path: Path,
) -> None:
    found = parts_of(sample(tmp_path, BY_BREAST).exams.rows)
    assert found == {
        ("maker", "ge"): [0, 1],
        ("maker", "siemens"): [2],
        ("age", "50 to 54"): [1],
        ("age", "65 to 69"): [2],
        ("age", "to 49"): [0],
        ("cancer type", "in situ"): [1, 2],
        ("cancer type", "invasive"): [0, 1],
        ("cancer size", "above 20 mm"): [1, 2],
        ("cancer size", "to 10 mm"): [0, 1],
    }


def test_periods_are_whole_years_and_cover_all_days() -> None:
    days = pl.date_range(pl.date(2008, 1, 1), pl.date(2018, 12, 31), "1mo", eager=True)
    rows = pl.DataFrame(
        {"woman": range(len(days)), "cancer": False, "outcome": "negative", "maker": "ge"}
    ).with_columns(exam_date=days)
    found = {key: members for key, members in parts_of(rows).items() if key[0] == "period"}
    assert [level for _, level in found] == [
        *("2008 to 2010", "2011 to 2013", "2014 to 2016", "2017 to 2018"),
    ]
    assert sorted(chain(*found.values())) == list(range(len(days)))
