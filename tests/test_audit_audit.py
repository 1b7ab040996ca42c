"""The audit as a whole: made-up programme, files, the page, privacy, copies in a cache."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from made_cohort import audited, made_cohort

from mim.audit.audit import audit_cohort
from mim.audit.facts import maker_pairs, prior_gaps
from mim.audit.leakage import RELATIONS, related
from mim.audit.meanings import MEANINGS
from mim.audit.settings import AuditSettings
from mim.cli import commands
from mim.config.commands import AuditCommand, CohortCommand
from mim.data.cache import Cache
from mim.errors import InputError
from mim.schemas.cohort import EXAMS
from mim.schemas.table import read_table

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_a_made_up_programme_has_no_problem(cohort: Path, tmp_path: Path, capsys) -> None:
    assert audit_cohort(cohort, None, tmp_path, AuditSettings()) == 0
    assert "audit: no problems" in capsys.readouterr().out
    facts = json.loads((tmp_path / "audit.json").read_text())
    exams = read_table(cohort / "exams.parquet", EXAMS).to_pylist()
    assert facts["totals"]["exams"] == len(exams)
    assert sum(facts["gaps"].values()) == sum(len(exam["priors"]) for exam in exams)
    said = facts["note"]
    assert said in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_only_pseudonyms_leave(cohort: Path, programme: Path, tmp_path: Path) -> None:
    """Nor does the place of index or cohort."""
    audit_cohort(cohort, None, tmp_path, AuditSettings())
    names = set()
    for path in (programme / "registry").glob("*.csv"):
        table = pl.read_csv(path, infer_schema=False)
        names |= {n for column in table.columns if column.endswith("_id") for n in table[column]}
    assert len(names) > 20
    written = "".join(path.read_text(errors="replace") for path in tmp_path.iterdir())
    assert not [name for name in names if name and len(name) > 3 and name in written]
    assert str(cohort.parent) not in written


def test_a_page_of_a_cohort_without_anything_is_a_page(tmp_path: Path) -> None:
    made = made_cohort(0)
    problems, findings = audited(made, tmp_path)
    assert problems == 3
    assert {row["check"] for row in findings} == {"split without cancers or without others"}
    assert "No exam has a prior." in (tmp_path / "audit" / "index.html").read_text()


def test_no_cohort_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cohort\.json: no such file"):
        audit_cohort(tmp_path, None, tmp_path / "out", AuditSettings())


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [
        (("e1", "w1", "train"), ("e2", "w2", "test"), "in two splits"),
        (("e1", "w1", "train"), ("e2", "w2", "train"), "of two women"),
        (("e1", "w1", "train"), ("e2", "w2", "unused"), "of two women"),
        (("e1", "w1", "train"), ("e2", "w1", "train"), "in two exams"),
        (("e1", "w1", "train"), ("e1", "w1", "train"), "in one exam"),
    ],
)
def test_two_images_relate_as_their_exams_women_and_splits_do(
    one: tuple[str, ...], other: tuple[str, ...], relation: str
) -> None:
    columns = ("exam", "woman", "split", "other_exam", "other_woman", "other_split")
    pair = pl.DataFrame([(*one, *other)], schema=columns, orient="row")
    assert related(pair)["relation"].to_list() == [relation]
    assert relation in RELATIONS


@pytest.mark.parametrize(
    ("split", "views", "check"),
    [("test", 1, "equal pixels in two splits"), ("train", 2, "equal pixels in one exam")],
)
def test_a_copy_in_the_cache_is_found_named_and_shown(
    split: str, views: int, check: str, cohort: Path, cache: Path, tmp_path: Path
) -> None:
    """An image's row in the cache is replaced by that of an image of a training woman."""
    copied = tmp_path / "cache"
    shutil.copytree(Cache(cache).folder, copied)
    exams = pl.read_parquet(cohort / "exams.parquet").select("exam", "split")
    images = pl.read_parquet(cohort / "images.parquet").join(exams, on="exam").sort("exam", "image")
    learnt = images.filter(split="train")["image"][0]
    other = images.filter(split=split)["image"][views - 1]
    rows = pl.read_parquet(copied / "images.parquet")
    copy = rows.filter(image=learnt).with_columns(image=pl.lit(other))
    rows = pl.concat([rows.filter(pl.col("image") != other), copy])
    rows.write_parquet(copied / "images.parquet")

    audit_cohort(cohort, copied, tmp_path / "audit", AuditSettings())
    findings = json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]
    [found] = [finding for finding in findings if finding["check"] == check]
    assert set(found["examples"][0].split()) == {learnt, other}
    page = (tmp_path / "audit" / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2


def test_gaps_and_changes_of_maker_are_counted() -> None:
    exams = pl.DataFrame(
        {
            "maker": ["ge", "ge", "siemens"],
            "months_before": [[24.0, 47.9], [], [300.0]],
            "prior_makers": [["ge", "siemens"], [], ["ge"]],
        }
    )
    gaps = prior_gaps(exams)
    assert {start: n for start, n in gaps.items() if n} == {24: 1, 45: 1, 120: 1}
    assert maker_pairs(exams) == {
        "siemens": {"siemens": 0, "ge": 1},
        "ge": {"siemens": 1, "ge": 1},
    }


def test_the_cohort_command_ends_with_an_audit(
    index: Path, programme: Path, tmp_path: Path
) -> None:
    command = CohortCommand(
        index=str(index), registry=str(programme / "registry"), out=str(tmp_path)
    )
    command.splits.test = command.splits.validation = 0.25
    assert commands.cohort(command) == 0
    assert (tmp_path / "audit" / "index.html").is_file()


def test_problems_make_the_audit_command_fail(tmp_path: Path, capsys) -> None:
    made = made_cohort()
    made.exam("w0b")["split"] = "test"
    folder = made.write(tmp_path / "cohort")
    assert commands.audit(AuditCommand(cohort=str(folder))) == 1
    assert f"1 problems found; the reasons stand in {folder / 'audit'}" in capsys.readouterr().err


def test_every_check_stands_in_the_docs() -> None:
    text = (DOCS / "audit.md").read_text(encoding="utf-8")
    missing = [check for check in MEANINGS if f"`{check}`" not in text]
    assert not missing


def test_a_cache_of_another_cohort_is_no_comparison(cache: Path, tmp_path: Path) -> None:
    images = len(made_cohort().images)
    folder = made_cohort().write(tmp_path / "made")
    with pytest.raises(InputError, match=f"lacks {images} of the cohort's {images} images"):
        audit_cohort(folder, cache, tmp_path / "audit", AuditSettings())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def with_words(path: Path) -> None:
    pl.read_parquet(path).with_columns(left_outcome=pl.lit("cured")).write_parquet(path)


def with_text_for_days(path: Path) -> None:
    pl.read_parquet(path).with_columns(pl.col("exam_date").cast(pl.String)).write_parquet(path)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("exams.parquet", cut, "no Parquet, or cut short"),
        ("images.parquet", cut, "no Parquet, or cut short"),
        ("attrition.parquet", cut, "no Parquet, or cut short"),
        ("exams.parquet", with_words, "'left_outcome' has 48 values that are none of"),
        ("exams.parquet", with_text_for_days, "'exam_date' is String, expected Date"),
        ("cohort.json", lambda path: path.write_text("[]"), "no JSON object"),
        (
            "cohort.json",
            lambda path: path.write_text('{"index": "", "note": ""}'),
            "'settings' is missing",
        ),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, name: str, damage: Callable[[Path], object], words: str
) -> None:
    folder = made_cohort().write(tmp_path / "made")
    damage(folder / name)
    with pytest.raises(InputError, match=f"{name}: .*{words}"):
        audit_cohort(folder, None, tmp_path / "audit", AuditSettings())
