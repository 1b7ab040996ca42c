"""The report: one file that needs no network, whose figures are those of metrics.json."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from mim.errors import InputError
from mim.evaluate.figures import FIGURES
from mim.evaluate.operating import selection_thresholds
from mim.evaluate.report import Summary, write_report
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.tasks import task_metrics
from mim.schemas.cohort import ATTRITION
from mim.schemas.scores import DENSITY_SCORES, QUALITY_SCORES, RISK_SCORES, SCORES
from mim.vocab import Criterion, Landmark, Outcome, Task

NOTE = "Made-up data: shows that the mechanism works <never> clinical performance."
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
VOID = {"meta", "br", "img"}


def score_table(split: str, seed: int, women: int = 60) -> pa.Table:
    generator = np.random.default_rng(seed)
    rows = []
    for woman in range(women):
        maker = ("siemens", "ge", "hologic")[woman % 3] if woman else "philips"
        for side in "LR":
            kind = generator.choice(
                ["negative", "screen-detected cancer", "interval cancer", "unknown"],
                p=[0.6, 0.2, 0.1, 0.1],
            )
            sick = kind.endswith("cancer")
            rows.append(
                {
                    "woman": f"w{woman}",
                    "exam": f"{split} {woman}",
                    "breast": side,
                    "score": None if woman == 7 else float(generator.beta(3 if sick else 1.5, 3)),
                    "cancer": None if kind == "unknown" else bool(sick),
                    "outcome": str(kind),
                    "maker": maker,
                    "split": split,
                    "priors": 0,
                }
            )
    return SCORES.from_rows(rows)


def risk_table(split: str, seed: int, women: int = 60) -> pa.Table:
    """Risks that are true of times to cancer."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        hazard = float(np.exp(generator.normal(-2, 0.8)))
        cancer, followed = generator.exponential(1 / hazard), generator.uniform(0, 6)
        rows.append(
            {name: row[name] for name in ("woman", "exam", "breast", "maker", "split", "priors")}
            | {
                "risk": list(1 - np.exp(-hazard * np.arange(1, 5))) if row["score"] else None,
                "years_to_cancer": cancer if cancer < followed else None,
                "years_followed": followed,
            }
        )
    return RISK_SCORES.from_rows(rows)


def density_table(split: str, seed: int, women: int = 60) -> pa.Table:
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        scale = generator.normal(1.5, 1)
        chances = np.exp(-((np.arange(4) - scale - generator.normal(0, 0.6)) ** 2))
        chances /= chances.sum()
        rows.append(
            {name: row[name] for name in ("woman", "exam", "breast", "maker", "split")}
            | {f"probability_{letter}": p for letter, p in zip("abcd", chances, strict=True)}
            | {
                "score": float(chances @ np.arange(4)) / 3,
                "density": "abcd"[int(np.clip(round(scale), 0, 3))],
                "percent": 30 + 8 * scale,
                "percent_known": 30 + 8 * scale + generator.normal(0, 4),
            }
        )
    return DENSITY_SCORES.from_rows(rows)


def quality_table(split: str, seed: int, women: int = 60) -> pa.Table:
    """Landmarks about 3 mm off in each direction; graded by the rules, as readers are."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        for view in ("CC", "MLO"):
            truth = {"nipple": [300, 420]} | (
                {"pectoral_upper": [180, 0], "pectoral_lower": [0, 450]} if view == "MLO" else {}
            )
            found = {
                name: np.array(truth.get(name, [np.nan, np.nan])) + generator.normal(0, 10, 2)
                for name in Landmark
            }
            known = {name: bool(generator.random() < 0.6) for name in Criterion}
            rows.append(
                {name: row[name] for name in ("woman", "exam", "breast", "maker", "split")}
                | {"image": f"{row['exam']} {row['breast']} {view}", "view": view}
                | {"spacing_mm": 0.3}
                | {
                    f"{name}_{axis}": at
                    for name in truth
                    for axis, at in zip("xy", found[name], strict=True)
                }
                | {
                    f"known_{name}_{axis}": at
                    for name in truth
                    for axis, at in zip("xy", truth[name], strict=True)
                }
                | {f"{name}_visible": float(name in truth) for name in Landmark}
                | {f"known_{name}_visible": name in truth for name in Landmark}
                | {
                    name: float(generator.beta(4, 2) if yes else generator.beta(2, 4))
                    for name, yes in known.items()
                }
                | {f"known_{name}": yes for name, yes in known.items()}
                | {
                    "grade": "PGMI"[generator.integers(4)],
                    "known_grade": "PGMI"[generator.integers(4)],
                }
            )
    return QUALITY_SCORES.from_rows(rows)


def tables(split: str, seed: int) -> dict[Task, pa.Table]:
    """Score tables of all tasks."""
    return {
        Task.CANCER: score_table(split, seed),
        Task.RISK: risk_table(split, seed),
        Task.DENSITY: density_table(split, seed),
        Task.QUALITY: quality_table(split, seed),
    }


def attrition_table() -> pa.Table:
    rows = [
        ("index", "images", "kept", 4321),
        ("index", "images", "spot", 30),
        ("index", "images", "unreadable", 2),
        ("cohort", "images", "kept", 4000),
        ("cohort", "images", "repeated view", 21),
    ]
    names = ("step", "unit", "reason", "count")
    return ATTRITION.from_rows([dict(zip(names, row, strict=True)) for row in rows])


class Page(HTMLParser):
    """Reads a page; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.rows and "tr" in self.open:
            self.rows[-1] += f" {data.strip()}"

    def row(self, start: str) -> str:
        return next(" ".join(row.split()) for row in self.rows if row.strip().startswith(start))


Written = tuple[Summary, dict[str, Any], Page]


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "inputs.png"
    path.write_bytes(PNG)
    return path


def report(
    scores: pa.Table | dict[Task, pa.Table], out: Path, sheet: Path | None, resamples: int = 200
) -> Summary:
    return write_report(
        scores if isinstance(scores, dict) else {Task.CANCER: scores},
        out,
        EvaluateSettings(resamples=resamples, seed=4),
        title="Model A & B",
        note=NOTE,
        attrition=attrition_table(),
        contact_sheet=sheet,
        thresholds=selection_thresholds(score_table("validation", 2)),
    )


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


def test_every_figure_of_metrics_json_stands_in_its_row_of_the_page(written: Written) -> None:
    _, metrics, page = written
    names = {"all": "All makers", "ge": "GE", "siemens": "Siemens", "hologic": "Hologic"}
    for figure in metrics["figures"]:
        if figure["name"] == "auc" and (figure["level"] or "all") in names:
            row = page.row(names[figure["level"] or "all"])
            assert f"{figure['value']:.3f} {figure['low']:.3f} to {figure['high']:.3f}" in row
        elif figure["name"] == "sensitivity" and figure["rule"] == "share of these exams":
            row = page.row(f"{figure['selection_rate'] * 100:.1f} %")
            end = figure["reason"] or f"{figure['low'] * 100:.1f} to {figure['high'] * 100:.1f}"
            assert f"{figure['value'] * 100:.1f} {end}" in row
    assert "no cases" in page.row("Philips")


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
    assert len(table) == len(summary.figures) == 2 * 5 + 2 * 4 * 4


def test_metrics_say_how_they_came_about(written: Written) -> None:
    _, metrics, _ = written
    assert metrics["bootstrap"] == {"unit": "woman", "resamples": 200, "seed": 4}
    assert {"platform", "cores"} <= set(metrics["machine"])
    assert metrics["split"] == "test"
    assert metrics["counts"]["breasts"]["without score"] == 2
    assert [t["selection_rate"] for t in metrics["thresholds"]] == [0.032, 0.058, 0.088, 0.111]


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(written: Written) -> None:
    summary, _, page = written
    assert page.open == []
    text = summary.page.read_text(encoding="utf-8")
    for reference in ("http:", "https:", "//", "url(", "@import", "<script", "<link", "<iframe"):
        assert reference not in re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert {name for _, name, _ in page.attributes} & {"href", "srcset", "onclick"} == set()
    sources = [value for _, name, value in page.attributes if name == "src"]
    assert [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources] == [PNG]


def test_pictures_have_words_and_tables_have_headers(written: Written) -> None:
    _, _, page = written
    assert sum(tag == "img" and name == "alt" for tag, name, _ in page.attributes) == 1
    labels = [v for tag, name, v in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) == 2
    assert all(labels)
    ids = {value for _, name, value in page.attributes if name == "id"}
    named = [v for tag, name, v in page.attributes if tag == "table" and name == "aria-labelledby"]
    assert len(named) == 6
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
    last = metrics["attrition"][-1]
    assert last["step"] == "evaluate, test only"
    assert last["total"] == 120
    for step in metrics["attrition"]:
        assert step["total"] == step["kept"] + sum(count for _, count in step["left_out"])
    assert last["kept"] == metrics["figures"][0]["n"]


def test_the_same_scores_in_another_order_give_the_same_bytes(tmp_path: Path, sheet: Path) -> None:
    scores = score_table("test", 1)
    report(scores, tmp_path / "a", sheet, resamples=20)
    report(scores.take(list(range(len(scores)))[::-1]), tmp_path / "b", sheet, resamples=20)
    for name in ("index.html", "metrics.json", "metrics.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_one_class_and_nothing_optional_still_make_a_page(tmp_path: Path) -> None:
    table = score_table("test", 1)
    summary = write_report(
        {Task.CANCER: table.filter(pc.equal(table["outcome"], "negative"))},
        tmp_path,
        EvaluateSettings(resamples=20),
        title="Only negatives",
        note="",
        attrition=None,
        contact_sheet=None,
        thresholds=[],
    )
    top = summary.headlines[0].cell.estimate
    assert (top.value, top.reason) == (None, "no cases")
    assert str(summary.headlines[0]) == "AUC by breast: - (no cases)"
    page = Page(summary.page.read_text(encoding="utf-8"))
    assert page.open == []
    assert "no cases" in page.row("All makers")


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path, sheet: Path) -> None:
    mixed = pa.concat_tables([score_table("test", 1), score_table("train", 2)])
    with pytest.raises(InputError, match=r"'split' mixes test and train; keep"):
        report(mixed, tmp_path / "out", sheet)
    table = score_table("test", 1)
    unknown = table.filter(pc.equal(table["outcome"], "unknown"))
    with pytest.raises(InputError, match="'cancer' is known for no breast"):
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
            ]
            assert found == pytest.approx(value), name


def test_risks_that_are_true_are_calibrated_and_drawn(everything: Written) -> None:
    _, metrics, page = everything
    ratios = [row for row in metrics["figures"] if row["name"] == "expected_over_observed"]
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
