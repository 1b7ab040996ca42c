"""``mim evaluate`` on a run, on a run beside a product, and on score tables alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from made_programme import noisy
from made_programme import programme as made_sample
from made_report import score_table
from sklearn.metrics import roc_auc_score

from mim.cli.main import main
from mim.cli.report import Given, report
from mim.errors import InputError
from mim.evaluate.sample import Sample
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.scores import SCORES
from mim.schemas.table import write_table
from mim.train.callbacks import track_report
from mim.train.settings import WandbMode

SETTINGS = EvaluateSettings(resamples=40)
LARGEST = 5_000_000
"""Bytes of a page that can still be mailed."""


def said(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return found


def as_tables(sample: Sample, folder: Path) -> tuple[list[Path], Path, Path]:
    """A made-up sample as a user has it: a table of each model, outcomes, readings."""
    paths = []
    for model, scores in sample.exams.scores.items():
        paths.append(folder / f"{model}.csv")
        sample.exams.rows.select("exam").with_columns(score=pl.Series(scores)).write_csv(paths[-1])
    rows = sample.exams.rows.with_columns(pl.lit("test").alias("split"))
    names = ("exam", "woman", "outcome", "cancer", "maker", "consensus", "recalled", "split")
    rows.select(pl.col(name) for name in names if name in rows).write_csv(folder / "outcomes.csv")
    readings = sample.readings.select(pl.col(name) for name in sample.readings.columns)
    readings.write_csv(folder / "readings.csv")
    return paths, folder / "outcomes.csv", folder / "readings.csv"


def test_tables_of_a_user_give_readers_and_models_on_one_page(tmp_path: Path) -> None:
    sample = made_sample(exams=400, models={"ours": noisy(0.8), "shelf": noisy(1.5)})
    scores, outcomes, readings = as_tables(sample, tmp_path)
    words = ",".join(str(path) for path in scores)
    arguments = ["evaluate", f"scores=[{words}]", f"outcomes={outcomes}", f"readings={readings}"]
    assert main([*arguments, f"out={tmp_path / 'out'}", "resamples=40"]) == 0
    found = said(tmp_path / "out")
    assert {row["model"] for row in found["figures"]} >= {"ours", "shelf", "ours less shelf"}
    known = sample.exams.known
    for model, score in sample.exams.scores.items():
        [area] = [
            row["value"]
            for row in found["figures"]
            if (row["name"], row["model"], row["outcome"], row["subgroup"])
            == ("auc", model, "any cancer", "all")
        ]
        assert area == pytest.approx(roc_auc_score(sample.exams.cancer[known], score[known]))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    for place in ("roc", "selection", "comparison", "readers", "threshold", "cases", "card"):
        assert f'id="{place}"' in page
    assert len(page) < LARGEST
    assert str(tmp_path) not in page
    csv = pl.read_csv(tmp_path / "out" / "metrics.csv", infer_schema_length=None)
    assert csv.height == len(found["figures"])


def test_score_tables_need_no_pytorch(tmp_path: Path) -> None:
    write_table(score_table("test", 1).cast(SCORES.arrow()), tmp_path / "a.parquet")
    program = (
        "import sys; from mim.cli.main import main; "
        f"code = main(['evaluate', 'scores=[{tmp_path}/a.parquet]', 'out={tmp_path}/out', "
        "'resamples=5']); sys.exit(code or 7 * ('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_run_beside_the_product_of_its_cohort(run: Path, tmp_path: Path) -> None:
    summary = report(Given(run, compare=True), tmp_path / "out", SETTINGS)
    found = said(tmp_path / "out")
    models = {row["model"] for row in found["figures"] if row["task"] == "cancer"}
    assert {"run", "made-up product", "run less made-up product"} <= models
    assert [h.title for h in summary.headlines][:1] == ["AUC by breast, run"]
    page = summary.page.read_text(encoding="utf-8")
    assert "data:image/jpeg" in page, "pictures of the cases"
    assert len(page) < LARGEST
    table = pq.read_table(run / "scores" / "test-cancer.parquet").to_pandas()
    table = table.dropna(subset=["score", "cancer"])
    [area] = [
        row
        for row in found["figures"]
        if (row["name"], row["unit"], row["model"], row["outcome"], row["subgroup"])
        == ("auc", "breasts", "run", "any cancer", "all")
    ]
    if table["cancer"].nunique() == 2:
        assert area["value"] == pytest.approx(
            roc_auc_score(table["cancer"].astype(bool), table["score"])
        )


def test_what_cannot_be_measured_is_refused_in_a_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", f"out={tmp_path / 'out'}"]) == 2
    assert "run: give a run, or scores=[FILE]" in capsys.readouterr().err
    write_table(score_table("test", 1).cast(SCORES.arrow()), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="compare: .* holds no scores of other models"):
        report(Given(scores=(tmp_path / "a.parquet",), compare=True), tmp_path / "out", SETTINGS)
    assert main(["evaluate", f"out={tmp_path / 'out'}", "prevalence.interval_per_1000=1"]) == 2
    assert "screen_detected_per_1000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_tracker_gets_the_headlines_and_figures_and_no_picture_or_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    write_table(score_table("test", 1).cast(SCORES.arrow()), tmp_path / "a.parquet")
    out = tmp_path / "out"
    summary = report(Given(scores=(tmp_path / "a.parquet",)), out, SETTINGS)
    track_report(out, "a run", WandbMode.off, summary.tracked())
    assert not (out / "wandb").exists()
    track_report(out, "a run", WandbMode.offline, summary.tracked())
    (tracked,) = (out / "wandb").glob("offline-run-*")
    names = {p.name for p in (out / "wandb").rglob("*")}
    assert "metrics.csv" in names
    assert (tracked / "files" / "metrics.csv").read_bytes() == (out / "metrics.csv").read_bytes()
    assert not {name for name in names if name.endswith((".html", ".png", ".jpg", ".jpeg"))}
    content = b"".join(p.read_bytes() for p in (out / "wandb").rglob("*") if p.is_file())
    assert all(headline.title.encode() in content for headline in summary.headlines)
    assert b"data:image" not in content
    for word in (str(tmp_path), str(Path.cwd()), str(Path.home()) + "/"):
        assert word.encode() not in content
