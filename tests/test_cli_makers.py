"""mim evaluate sweep=: which runs are measured, which are missing and why, and what is refused."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from made_sweep import MAKERS, RESAMPLES, MadeSweep

from mim.cli.main import main
from mim.cli.makers_runs import read_sweep, without_places
from mim.errors import InputError
from mim.schemas.sweep import JobState, State
from mim.schemas.table import read_json, write_json

SMALL = (
    *("experiment=leave_maker_out_demo", "data.workers=0", "model.encoder.name=lcnet_035"),
    *("model.fusion.width=16", "model.fusion.heads=2", "train.seed=1"),
)


@pytest.fixture
def sweep(tmp_path: Path) -> MadeSweep:
    """A whole sweep of two methods and two seeds."""
    made = MadeSweep(tmp_path / "my sweep")
    made.whole()
    return made


def evaluate(made: MadeSweep, *words: str) -> int:
    """Exit code of the command."""
    out = made.folder.parent / "report"
    given = [f"sweep='{made.folder}'", f"outcomes='{made.outcomes}'", f"out='{out}'"]
    return main(["evaluate", *given, f"resamples={RESAMPLES}", *words])


def missing(made: MadeSweep) -> dict[tuple[str, str | None, int], str]:
    """Why runs are missing, by method, maker and seed."""
    return {(m.method, m.left_out, m.seed): m.reason for m in read_sweep(made.folder)[1]}


def test_a_whole_sweep_is_measured(sweep: MadeSweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(sweep) == 0
    said = capsys.readouterr().out
    assert "AUC on unseen makers less in-domain: plain: -0." in said
    out = sweep.folder.parent / "report"
    rows = pl.read_csv(out / "makers.csv", infer_schema_length=None)
    assert not len(rows.filter(name="missing_run"))
    lost = rows.filter(pl.col("seed").is_null(), maker="all", name="auc_difference")
    found = dict(lost.select("method", "value").iter_rows())
    # Binormal: from an AUC of 0.856 to one of 0.638.
    assert found["plain"] == pytest.approx(-0.218, abs=0.08)
    assert found["better"] == pytest.approx(0, abs=0.08)
    assert len(pl.read_csv(out / "probes.csv")) == 2 * 5 * 2
    page = (out / "index.html").read_text()
    assert "Runs that are missing" not in page
    for path in out.iterdir():
        assert str(sweep.folder.parent) not in path.read_text(), path.name


def test_thresholds_are_those_of_each_run_s_own_validation_exams(sweep: MadeSweep) -> None:
    assert evaluate(sweep) == 0
    rows = pl.read_csv(sweep.folder.parent / "report" / "makers.csv", infer_schema_length=None)
    scores = sweep.folder / "plain-ge-1" / "scores"
    learnt, tested = (
        pl.read_parquet(scores / f"{split}-cancer.parquet").filter(pl.col("score").is_not_null())
        for split in ("validation", "test")
    )
    assert not (learnt["maker"] == "ge").any()
    # The highest 8.8 % of the validation exams, and no more.
    highest = learnt["score"].sort(descending=True)[: int(0.088 * len(learnt)) + 1].to_list()
    cut = (highest[-2] + highest[-1]) / 2
    found = rows.filter(
        method="plain", maker="ge", seed=1, name="selection_rate_unseen", selection_rate=0.088
    )
    expected = (tested.filter(maker="ge")["score"] >= cut).mean()
    assert found["value"].item() == pytest.approx(expected)


def test_runs_that_failed_wait_or_lack_a_checkpoint_are_missing_and_the_rest_is_measured(
    sweep: MadeSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = sweep.folder / "plain-ge-1"
    why = f"{failed}/log.txt: /secret place/here/data.parquet is damaged"
    JobState(State.FAILED, why).write(failed)
    JobState(State.WAITING).write(sweep.folder / "plain-ge-2")
    (sweep.folder / "better-philips-2" / "checkpoints" / "best.ckpt").unlink()
    shutil.rmtree(sweep.folder / "better-siemens-1")
    found = missing(sweep)
    assert found.keys() == {
        ("plain", "ge", 1),
        ("plain", "ge", 2),
        ("better", "philips", 2),
        ("better", "siemens", 1),
    }
    assert found["plain", "ge", 1].startswith("failed: plain-ge-1/log.txt: ")
    assert found["plain", "ge", 2] == "not trained to its end yet"
    assert found["better", "philips", 2] == "no checkpoint"
    assert evaluate(sweep) == 0
    rows = pl.read_csv(sweep.folder.parent / "report" / "makers.csv", infer_schema_length=None)
    assert len(rows.filter(name="missing_run")) == 4
    whole = rows.filter(pl.col("seed").is_null(), maker="all", name="auc_unseen")
    named = dict(whole.select("method", "makers").iter_rows())
    assert named == {"plain": "siemens, hologic, philips", "better": ", ".join(MAKERS)}
    page = (sweep.folder.parent / "report" / "index.html").read_text()
    assert "Means of plain are over Siemens, Hologic, Philips alone" in page
    assert "4 runs of the sweep missing" in page
    assert str(sweep.folder) not in page


def test_a_run_that_cannot_be_asked_costs_only_itself(
    sweep: MadeSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its scores are older than its checkpoint, which is none.
    run = sweep.folder / "plain-ge-1"
    os.utime(run / "checkpoints" / "best.ckpt", (4e9, 4e9))
    assert evaluate(sweep) == 0
    rows = pl.read_csv(sweep.folder.parent / "report" / "makers.csv", infer_schema_length=None)
    row = rows.filter(name="missing_run").row(0, named=True)
    assert (row["method"], row["maker"], row["seed"]) == ("plain", "ge", 1)
    assert "best.ckpt" in row["reason"]
    assert str(sweep.folder.parent) not in row["reason"]


def test_an_unplanned_run_is_measured_once_it_has_ended(sweep: MadeSweep) -> None:
    run = sweep.run("plain-fuji-1", "plain", "fuji", 1, planned=False)
    assert ("plain", "fuji", 1) in {run.key for run in read_sweep(sweep.folder)[0]}
    (run / "scores" / "validation-cancer.parquet").unlink()
    assert missing(sweep)["plain", "fuji", 1] == "not trained to its end yet"


def test_a_run_that_stands_twice_is_measured_once(sweep: MadeSweep) -> None:
    sweep.run("again", "plain", "ge", 1, planned=False)
    runs, gone = read_sweep(sweep.folder)
    assert len(runs) == 20
    assert [m.reason for m in gone] == ["again is of the same method, maker and seed as plain-ge-1"]


def test_a_run_that_is_being_written_is_none_yet(sweep: MadeSweep) -> None:
    """By ``mim renormalise``, or one that was killed while it wrote."""
    shutil.copytree(sweep.folder / "plain-ge-1", sweep.folder / ".plain-ge-1.7.unfinished")
    assert read_sweep(sweep.folder)[1] == []


def test_renormalised_runs_are_a_method_beside_the_one_they_are_made_of(sweep: MadeSweep) -> None:
    for name, left_out, maker in (("a", "ge", "ge"), ("b", "philips", "ge")):
        about = sweep.fitted_to(maker, 1.0)
        sweep.run(name, "plain", left_out, 1, planned=False, renormalised=about)
    runs, gone = read_sweep(sweep.folder)
    methods = list(dict.fromkeys(run.method for run in runs))
    assert methods == ["plain", "plain, renormalised", "better"]
    [fitted] = [run for run in runs if run.parent]
    assert (fitted.parent, fitted.left_out) == ("plain", "ge")
    assert [m.reason for m in gone] == ["b was fitted to another maker than it left out"]
    assert evaluate(sweep) == 0
    rows = pl.read_csv(sweep.folder.parent / "report" / "makers.csv", infer_schema_length=None)
    inside = rows.filter(pl.col("seed") == 1, maker="ge", name="auc_in_domain")
    found = dict(inside.select("method", "value").iter_rows())
    one = rows.filter(
        pl.col("seed").is_null(), maker="ge", name="auc_in_domain", method="plain, renormalised"
    )
    assert one["value"].item() == found["plain"]


def test_runs_fitted_to_a_maker_are_read_by_the_exams_they_were_fitted_to(sweep: MadeSweep) -> None:
    for share in (1.0, 0.8, 0.0):
        name = f"fitted {share}"
        sweep.run(name, "plain", "ge", 1, planned=False, renormalised=sweep.fitted_to("ge", share))
    assert evaluate(sweep) == 0
    rows = pl.read_csv(sweep.folder.parent / "report" / "makers.csv", infer_schema_length=None)
    methods = rows["method"].unique(maintain_order=True).to_list()
    names = ["own thresholds", "renormalised", "renormalised by 0.8"]
    assert sorted(methods) == ["better", "plain", *(f"plain, {name}" for name in names)]
    fitted, tested = (
        pl.read_parquet(sweep.folder / "fitted 0.0" / "scores" / f"{which}-cancer.parquet")
        for which in ("fitted", "test")
    )
    assert {*fitted["maker"]} == {"ge"}
    scores = fitted.group_by("exam").agg(pl.col("score").max())["score"].drop_nulls()
    highest = scores.sort(descending=True)[: int(0.111 * len(scores)) + 1].to_list()
    cut = (highest[-2] + highest[-1]) / 2
    found = rows.filter(
        pl.col("seed").is_null(),
        method="plain, own thresholds",
        maker="ge",
        name="selection_rate_unseen",
        selection_rate=0.111,
    )
    of_ge = tested.filter(pl.col("score").is_not_null(), maker="ge")
    assert found["value"].item() == pytest.approx((of_ge["score"] >= cut).mean())


def test_methods_are_told_by_their_settings_where_no_plan_names_them(sweep: MadeSweep) -> None:
    (sweep.folder / "sweep.json").unlink()
    runs, _ = read_sweep(sweep.folder)
    methods = {run.method for run in runs}
    assert methods == {"train.weight_decay=0.0", "train.weight_decay=0.05"}


def test_runs_of_several_cohorts_are_refused(sweep: MadeSweep) -> None:
    card = read_json(sweep.folder / "plain-ge-1" / "run.json")
    write_json(sweep.folder / "plain-ge-1" / "run.json", card | {"women": "others"})
    with pytest.raises(
        InputError, match="are of another split, by 'women' in their run.json; give"
    ):
        read_sweep(sweep.folder)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=."], "run: cannot stand together with sweep"),
        (["scores=[outcomes.parquet]"], "scores: cannot stand together with sweep"),
        (["compare=true"], "compare: cannot stand together with sweep"),
        (["split=validation"], "split: a sweep is measured on test exams, not on validation"),
    ],
)
def test_what_cannot_stand_beside_a_sweep_is_refused_at_once(
    words: list[str],
    said: str,
    sweep: MadeSweep,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(sweep.folder.parent)
    assert evaluate(sweep, *words) == 2
    assert said in capsys.readouterr().err
    assert not (sweep.folder.parent / "report").exists()


def test_folders_that_are_no_sweep_over_makers_are_refused_before_any_run_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeSweep(tmp_path / "empty")
    assert evaluate(made) == 2
    assert "no finished run in a folder below it; give the folder of a sweep" in (
        capsys.readouterr().err
    )
    for seed in (1, 2):
        run = made.run(f"seed={seed}", "plain", None, seed)
        (run / "scores" / "test-cancer.parquet").unlink()
    made.plan()
    assert evaluate(made) == 2
    assert "no run of it has left out a maker; train with data.leave_out_maker" in (
        capsys.readouterr().err
    )
    made.run("fuji", "plain", "fuji", 1)
    made.plan()
    assert evaluate(made) == 2
    assert "the makers left out (fuji) are not those of the test exams" in capsys.readouterr().err
    assert main(["evaluate", "sweep=nowhere", f"out={tmp_path / 'out'}"]) == 2
    assert "sweep: no such folder: nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("/data/runs/my run/a: no file", "my run/a: no file"),
        ("/home/me/x.parquet and /home/you/y: damaged", "x.parquet and y: damaged"),
        ("left/right/both, 3 mm/px, 1/2", "left/right/both, 3 mm/px, 1/2"),
        ("'/a/b/c d/e' is gone", "'e' is gone"),
    ],
)
def test_a_path_is_its_last_part(words: str, shown: str) -> None:
    assert without_places(words, [Path("/data/runs"), Path("/a/b/c d"), Path("/")]) == shown


def test_trained_runs_are_scored_and_probed(run: Path, tmp_path: Path) -> None:
    """A run that has learnt next to nothing twice, once as if it had left out a maker."""
    tested = pl.read_parquet(read_json(run / "run.json")["cohort"] + "/exams.parquet")
    maker = tested.filter(split="test")["maker"][0]
    sweep = tmp_path / "sweep"
    for name, left_out in (("all", None), ("one", maker)):
        shutil.copytree(run, sweep / name, ignore=shutil.ignore_patterns("test-*"))
        card = read_json(run / "run.json")
        card["settings"]["data"]["leave_out_maker"] = left_out
        write_json(sweep / name / "run.json", card)
    words = [f"sweep={sweep}", f"out={tmp_path / 'report'}", "resamples=20"]
    assert main(["evaluate", *words]) == 0
    rows = pl.read_csv(tmp_path / "report" / "makers.csv", infer_schema_length=None)
    assert not len(rows.filter(name="missing_run"))
    one = rows.filter(pl.col("maker") == maker, name="auc_unseen")
    other = rows.filter(pl.col("maker") == maker, name="auc_in_domain")
    # The weights are the same, and so is every score.
    assert one["value"].to_list() == other["value"].to_list()
    assert one["exams"].item() > 0
    for name in ("all", "one"):
        assert (sweep / name / "scores" / "test-cancer.parquet").is_file()
        assert read_json(sweep / name / "probe.json")["resamples"] == 20
    before = (sweep / "one" / "scores" / "test-cancer.parquet").stat().st_mtime_ns
    assert main(["evaluate", *words]) == 0
    assert (sweep / "one" / "scores" / "test-cancer.parquet").stat().st_mtime_ns == before
    page = (tmp_path / "report" / "index.html").read_text()
    for name in pl.read_parquet(sweep / "one" / "scores" / "test-cancer.parquet")["exam"]:
        assert name not in page


@pytest.mark.slow
def test_a_trained_sweep_is_measured(cohort: Path, cache: Path, tmp_path: Path) -> None:
    """Two methods, with all makers and without one, from training to the page."""
    tested = pl.read_parquet(cohort / "exams.parquet").filter(split="test")
    maker = tested["maker"][0]
    words = [
        *(f"cohort={cohort}", f"cache={cache}", f"out={tmp_path / 'sweep'}", *SMALL),
        *("method=plain,default", f"data.leave_out_maker=null,{maker}", "train.epochs=1"),
    ]
    assert main(["train", "-m", *words]) == 0
    report = tmp_path / "report"
    given = [f"sweep={tmp_path / 'sweep'}", f"out={report}", "resamples=20"]
    assert main(["evaluate", *given]) == 0
    rows = pl.read_csv(report / "makers.csv", infer_schema_length=None)
    assert not len(rows.filter(name="missing_run"))
    assert rows["method"].unique(maintain_order=True).to_list() == ["plain", "default"]
    assert {*rows["maker"]} == {"all", maker}
    assert len(pl.read_csv(report / "probes.csv")) == 4
