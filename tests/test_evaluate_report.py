"""The report: one file that needs no network, whose figures are those of metrics.json."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_report import NOTE, PNG, Page, density_table, report, score_table, scored, tables
from sklearn.metrics import roc_auc_score

from mim.errors import InputError
from mim.evaluate.figures import FIGURES
from mim.evaluate.material import Material
from mim.evaluate.report import Summary, write_report
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.tasks import task_metrics
from mim.vocab import Outcome, Task

AREA = ("auc", "any cancer")

Written = tuple[Summary, dict[str, Any], Page]


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "inputs.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, sheet: Path) -> Written:
    out = tmp_path_factory.mktemp("report") / "new"
    summary = report(score_table("test", 1), out, sheet)
    page = Page(summary.page.read_text(encoding="utf-8"))
    return summary, json.loads((out / "metrics.json").read_text(encoding="utf-8")), page


def test_auc_on_the_page_in_the_files_and_in_the_summary_are_scikit_learns(
    written: Written,
) -> None:
    summary, metrics, page = written
    table = score_table("test", 1)
    known = table.filter(pc.and_(table["cancer"].is_valid(), table["score"].is_valid()))
    expected = roc_auc_score(known["cancer"].to_pylist(), known["score"].to_pylist())
    top = summary.headlines[0].cell.estimate
    assert top.value == pytest.approx(expected)
    assert top.n == known.num_rows
    first = metrics["figures"][0]
    assert (first["name"], first["unit"], first["subgroup"]) == ("auc", "breasts", "all")
    assert first["value"] == top.value
    assert f"{expected:.3f}" in page.words


def test_figures_of_metrics_json_stand_in_their_rows_of_the_page(written: Written) -> None:
    _, metrics, page = written
    names = {None: "All makers", "ge": "GE", "siemens": "Siemens", "hologic": "Hologic"}
    looked_for = 0
    for figure in metrics["figures"]:
        value, ends = figure["value"], (figure["low"], figure["high"])
        if (figure["name"], figure["outcome"]) == AREA and figure["level"] in names:
            rows = page.rows_of(f"{names[figure['level']]} ")
            wanted = "{:.3f} {:.3f} to {:.3f}".format(value, *ends)
        elif figure["name"] == "sensitivity" and figure["subgroup"] == "all":
            rows = page.rows_of(f"{figure['selection_rate'] * 100:.1f} %")
            few = {"needs": "few women", "every": "no spread"}
            why = (figure["reason"] or "no interval: ").split()
            known = few.get(why[2] if len(why) > 2 else "") or "{:.1f} to {:.1f}".format(
                *(100 * end for end in ends)
            )
            wanted = f"{value * 100:.1f} {known}"
        else:
            continue
        looked_for += 1
        assert any(wanted in row for row in rows), (wanted, rows)
    assert looked_for == 2 * 4 + 2 * 4 * 3
    assert any("no cases" in row for row in page.rows_of("Philips"))


def test_every_outcome_is_counted_for_breasts_and_exams(written: Written) -> None:
    _, metrics, page = written
    for counts in metrics["counts"].values():
        assert sum(counts[outcome] for outcome in Outcome) == counts["scored"]
    rows = [" ".join(row.split()) for row in page.rows]
    for outcome in Outcome:
        breasts, exams = (metrics["counts"][unit][outcome] for unit in ("breasts", "exams"))
        name = outcome.capitalize() + ", unclear how found" * (outcome == Outcome.CANCER)
        assert f"{name} {breasts} {exams}" in rows


def test_cancers_not_known_how_found_have_a_column_of_their_own(tmp_path: Path) -> None:
    table = score_table("test", 1)
    word = pc.replace_substring(table["outcome"], "interval cancer", "cancer")
    scores = table.set_column(table.column_names.index("outcome"), "outcome", word)
    found = {f.outcome for f in report(scores, tmp_path, None, resamples=20).figures}
    assert found == {"all", "any cancer", "screen-detected cancer", "cancer"}


def test_parquet_holds_the_same_figures_as_json(written: Written) -> None:
    summary, metrics, _ = written
    table = pq.read_table(summary.page.parent / "metrics.parquet")
    assert table.select(list(metrics["figures"][0])).to_pylist() == metrics["figures"]
    assert len(table) == len(summary.figures)


def test_metrics_say_how_they_came_about(written: Written) -> None:
    _, metrics, _ = written
    assert metrics["bootstrap"] == {"unit": "woman", "resamples": 200, "seed": 4}
    assert {"platform", "cores"} <= set(metrics["machine"])
    assert metrics["split"] == "test"
    assert metrics["counts"]["breasts"]["without score"] == 2
    scale = metrics["scales"]["model a"]
    assert scale["selection_rates"] == [0.032, 0.058, 0.088, 0.111]
    assert scale["reference"]["exams"] == 59


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(written: Written) -> None:
    summary, _, page = written
    assert page.open == []
    text = summary.page.read_text(encoding="utf-8")
    for reference in ("http:", "https:", "//", "url(", "@import", "src=http", "<link", "<iframe"):
        assert reference not in re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert {name for _, name, _ in page.attributes} & {"srcset", "onclick"} == set()
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    links = [value for _, name, value in page.attributes if name == "href"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)
    sources = [value for _, name, value in page.attributes if name == "src"]
    assert [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources] == [PNG]


def test_pictures_have_words_and_tables_have_headers(written: Written) -> None:
    _, _, page = written
    assert sum(tag == "img" and name == "alt" for tag, name, _ in page.attributes) == 1
    labels = [v for tag, name, v in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) >= 5
    assert all(labels)
    ids = {value for _, name, value in page.attributes if name == "id"}
    named = [v for tag, name, v in page.attributes if tag == "table" and name == "aria-labelledby"]
    assert len(named) == sum(name == "class" and v == "scroll" for _, name, v in page.attributes)
    assert set(named) <= ids


def test_the_note_stands_near_the_top_and_markup_in_it_is_only_text(written: Written) -> None:
    _, _, page = written
    assert NOTE in page.words
    assert "Model A & B" in page.words
    assert page.words.index(NOTE) < page.words.index("AUC by breast")


def test_attrition_adds_up_and_says_where_it_does_not(written: Written) -> None:
    _, metrics, page = written
    rows = [" ".join(row.split()) for row in page.rows]
    at = rows.index("index images 4,353")
    assert rows[at + 1 : at + 4] == ["spot −30", "unreadable −2", "kept 4,321"]  # noqa: RUF001
    assert rows[at + 4] == "cohort the step before kept 4321 images 4,021"
    breasts, exams = metrics["attrition"][-2:]
    assert breasts["step"] == exams["step"] == "evaluate, test only"
    assert (breasts["total"], exams["total"]) == (120, 60)
    for step in metrics["attrition"]:
        assert step["total"] == step["kept"] + sum(count for _, count in step["left_out"])
    areas = [row for row in metrics["figures"] if (row["name"], row["outcome"]) == AREA]
    assert [breasts["kept"], exams["kept"]] == [row["n"] for row in areas[:2]]


def test_the_same_scores_in_another_order_give_the_same_bytes(tmp_path: Path, sheet: Path) -> None:
    scores = score_table("test", 1)
    report(scores, tmp_path / "a", sheet, resamples=20)
    report(scores.take(list(range(len(scores)))[::-1]), tmp_path / "b", sheet, resamples=20)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {
        *("index.html", "metrics.json", "metrics.csv", "metrics.parquet"),
        *("threshold.csv", "outcomes.csv", "attrition.csv"),
    }
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_class_and_nothing_optional_still_make_a_page(tmp_path: Path) -> None:
    table = score_table("test", 1)
    negatives = table.filter(pc.equal(table["outcome"], "negative"))
    material = Material("Only negatives", "", "test", **scored([negatives], tmp_path))
    summary = write_report(material, tmp_path / "out", EvaluateSettings(resamples=20))
    top = summary.headlines[0].cell.estimate
    assert (top.value, top.reason) == (None, "no cases")
    assert str(summary.headlines[0]) == "AUC by breast: - (no cases)"
    page = Page(summary.page.read_text(encoding="utf-8"))
    assert page.open == []
    assert "no cases" in page.row("All makers")


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path, sheet: Path) -> None:
    density = pa.concat_tables([density_table("test", 1), density_table("train", 2)])
    with pytest.raises(InputError, match=r"'split' holds train where test is measured; keep"):
        report({Task.DENSITY: density}, tmp_path / "out", sheet)
    table = score_table("test", 1)
    unknown = table.filter(pc.equal(table["outcome"], "unknown"))
    with pytest.raises(InputError, match="known of no exam with a score"):
        report(unknown, tmp_path / "out", sheet)
    with pytest.raises(InputError, match=r"nowhere\.png: the contact sheet is missing"):
        report(table, tmp_path / "out", tmp_path / "nowhere.png")
    (tmp_path / "sheet.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(InputError, match=r"no PNG file"):
        report(table, tmp_path / "out", tmp_path / "sheet.png")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report on all tasks."""
    out = tmp_path_factory.mktemp("report")
    summary = report(tables("test", 1), out, None, resamples=40)
    page = Page(summary.page.read_text(encoding="utf-8"))
    return summary, json.loads((out / "metrics.json").read_text(encoding="utf-8")), page


def test_each_task_has_its_section_and_its_figure_at_the_top(everything: Written) -> None:
    summary, metrics, page = everything
    assert [headline.title for headline in summary.headlines] == [
        "AUC by breast",
        "AUC by exam",
        "Expected over observed cancers",
        "C-index of risk",
        "Linear kappa of density",
        "Nipple off by, median mm",
    ]
    assert {"Risk", "Density", "Quality"} <= set(page.words)
    for headline in summary.headlines:
        assert headline.cell.value in page.words
    assert page.open == []
    assert pq.read_table(summary.page.parent / "metrics.parquet").to_pylist() == metrics["figures"]
    keys = [tuple(row[name] for name in FIGURES.key) for row in metrics["figures"]]
    assert len(set(keys)) == len(keys)


def test_the_report_and_the_epochs_figures_are_the_same(everything: Written) -> None:
    _, metrics, _ = everything
    named = {
        "nipple_mm": ("median_mm", "nipple"),
        "expected_over_observed": ("expected_over_observed", "within 4 years"),
    }
    for task, table in tables("test", 1).items():
        for name, value in task_metrics(task, table).items():
            if name in ("pectoral_mm", "criteria_auc"):  # the report gives each by itself
                continue
            figure, of = named.get(name, (name, None))
            [found] = [
                row["value"]
                for row in metrics["figures"]
                if (row["task"], row["name"], row["of"]) == (task, figure, of)
                and row["subgroup"] == "all"
                and row["unit"] != "exams"
                and row["outcome"] in (None, "any cancer")
            ]
            assert found == pytest.approx(value), name


def test_risks_that_are_true_are_calibrated_and_drawn(everything: Written) -> None:
    _, metrics, page = everything
    ratios = [
        row
        for row in metrics["figures"]
        if (row["task"], row["name"], row["subgroup"]) == ("risk", "expected_over_observed", "all")
    ]
    assert [(row["unit"], row["of"]) for row in ratios][3:5] == [
        ("breasts", "within 4 years"),
        ("exams", "within 1 year"),
    ]
    assert all(row["low"] < 1 < row["high"] for row in ratios)
    fifths = [row for row in metrics["figures"] if "fifth" in str(row["of"])]
    assert len(fifths) == 10
    assert sum(row["n"] for row in fifths[::2]) == ratios[0]["n"]
    assert [row["value"] for row in fifths[::2]] == sorted(row["value"] for row in fifths[::2])
    labels = [v for tag, name, v in page.attributes if tag == "svg" and name == "aria-label"]
    assert any("fifths" in label for label in labels)


def test_distances_and_measures_are_those_that_were_planted(everything: Written) -> None:
    _, metrics, _ = everything
    found = {
        (row["name"], row["of"]): row
        for row in metrics["figures"]
        if row["task"] == "quality" and row["subgroup"] == "all"
    }
    # Two normal deviations of 3 mm: the median of their distance is 3 sqrt(2 log 2).
    median = found["median_mm", "nipple"]
    assert median["low"] < 3 * np.sqrt(2 * np.log(2)) < median["high"]
    assert median["n"] == 240
    assert found["median_mm", "pectoral_upper"]["n"] == 120
    share = found["share_within_5_mm", "nipple"]
    assert share["low"] < 1 - np.exp(-25 / 18) < share["high"]
    below = found["bias", "pectoral_below_nipple_mm"]
    assert abs(below["value"]) < 3 * 3 * np.sqrt(2 / 120)
    wide = found["limit_high", "pectoral_below_nipple_mm"]["value"] - below["value"]
    assert wide == pytest.approx(1.96 * 3 * np.sqrt(2), rel=0.2)
    for name in ("grade_share", "known_grade_share"):
        assert sum(found[name, grade]["value"] for grade in "PGMI") == pytest.approx(1)


def test_confusion_counts_every_graded_breast(everything: Written) -> None:
    _, metrics, page = everything
    counts = np.array(metrics["density"]["known by said"])
    assert counts.sum() == 120
    known = density_table("test", 1)["density"].to_pylist()
    assert counts.sum(axis=1).tolist() == [known.count(letter) for letter in "abcd"]
    assert " ".join(map(str, counts[1])) in page.row("b ")


@pytest.mark.parametrize("task", [Task.RISK, Task.DENSITY, Task.QUALITY])
def test_a_task_alone_makes_a_page_with_and_without_anything_known(tmp_path: Path, task) -> None:
    table = tables("test", 1)[task]
    unknown = table.schema.empty_table()
    for row in table.slice(0, 6).to_pylist():
        blank = {n: None for n in row if n.startswith(("known", "years", "percent", "density"))}
        unknown = pa.concat_tables([unknown, pa.Table.from_pylist([row | blank], table.schema)])
    for name, scores in (("known", table), ("unknown", unknown)):
        summary = report({task: scores}, tmp_path / name, None, resamples=10)
        page = Page(summary.page.read_text(encoding="utf-8"))
        assert page.open == []
        assert len(summary.headlines) == 1
        assert ("nothing to measure" in " ".join(page.words)) == (name == "unknown")
    assert summary.headlines[0].cell.value == "-"


def test_what_was_not_taught_is_named_and_has_no_row(tmp_path: Path) -> None:
    found = tables("test", 1)
    silent = {
        Task.DENSITY: [f"probability_{letter}" for letter in "abcd"],
        Task.QUALITY: ["skin_fold", "nipple_visible", "pectoral_upper_x", "pectoral_upper_y"],
    }
    for task, columns in silent.items():
        schema = found[task].schema
        nothing = pa.nulls(len(found[task]))
        for name in columns:
            place = schema.get_field_index(name)
            found[task] = found[task].set_column(
                place, schema.field(name), nothing.cast(schema.field(name).type)
            )
    chosen = {task: found[task] for task in silent}
    summary = report(chosen, tmp_path / "out", None, resamples=10)
    assert summary.headlines[0].title == "Percent density off by, mean points"
    page = Page(summary.page.read_text(encoding="utf-8"))
    words = " ".join(page.words)
    assert "says nothing of: Classes." in words
    assert "says nothing of: Pectoral upper, Nipple on the image or not, Skin fold." in words
    assert "nothing to measure" not in words
