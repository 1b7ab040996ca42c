"""A sweep goes through its jobs whatever becomes of one, and goes on where it was stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.cli.main import main
from mim.cli.sweep import is_done, share
from mim.config.sweeps import Job, plan_sweep
from mim.errors import InputError
from mim.schemas.sweep import JobState, State, read_plan, read_state
from mim.train.checkpoints import read_checkpoint

SMALL = [
    "experiment=demo",
    "data.workers=0",
    "model.encoder.name=lcnet_035",
    "model.fusion.width=16",
    "model.fusion.heads=2",
]


def jobs(count: int) -> list[Job]:
    return [Job(f"seed={seed}", {"train.seed": seed}, [], str(seed)) for seed in range(count)]


def array(at: int, low: int, high: int, step: int, count: int) -> dict[str, str]:
    """What SLURM tells a task of a job array."""
    named = {"ID": at, "MIN": low, "MAX": high, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in named.items()}


@given(st.integers(0, 40), st.integers(0, 9), st.integers(1, 5), st.integers(1, 20), st.data())
def test_array_tasks_share_all_jobs_and_none_twice(count, low, step, tasks, data):
    numbers = range(low, low + step * tasks, step)
    # --array=0-5:4 is 0 and 4, whichever of 4 and 5 is said to be the highest.
    high = data.draw(st.integers(numbers[-1], numbers[-1] + step - 1))
    shares = [share(jobs(count), array(n, low, high, step, tasks)) for n in numbers]
    assert sorted(job.settings for part in shares for job in part) == sorted(map(str, range(count)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_an_array_all_jobs_are_this_process_s():
    assert share(jobs(3), {"SLURM_JOB_ID": "7"}) == jobs(3)


def test_an_array_with_gaps_is_refused():
    with pytest.raises(InputError, match="^-m: the job array's numbers have gaps; give a range"):
        share(jobs(3), array(5, 1, 7, 1, 3))


@pytest.mark.parametrize(
    ("state", "run_there", "done"),
    [
        (JobState(State.DONE, settings="0"), True, True),
        (JobState(State.DONE, settings="1"), True, False),
        (JobState(State.DONE, settings="0"), False, False),
        (JobState(State.FAILED, "why", 1.0, "0"), True, False),
        (JobState(settings="0"), True, False),
        (None, True, False),
    ],
)
def test_a_job_is_done_with_a_run_of_its_values_only(state, run_there, done, tmp_path):
    if state:
        state.write(tmp_path)
    if run_there:
        (tmp_path / "run.json").write_text("{}")
    assert is_done(tmp_path, jobs(1)[0]) == done


@pytest.fixture
def words(tmp_path, monkeypatch) -> list[str]:
    """A sweep where torch cannot be loaded: seed 2 is killed for it, and others say so."""
    (tmp_path / "torch.py").write_text(
        "import os, sys\n"
        "if 'train.seed=2' in sys.argv: os.kill(os.getpid(), 9)\n"
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("cohort", "cache"):
        (tmp_path / name).mkdir()
    return [f"{name}={tmp_path / name}" for name in ("cohort", "cache", "out")]


def state_of(out: Path, name: str) -> tuple[State, str | None]:
    state = read_state(out / name)
    return state.state, state.reason


def test_a_job_that_fails_stops_no_other(words, tmp_path, capsys):
    assert main(["train", "-m", *words, "train.seed=2,1"]) == 1
    out = tmp_path / "out"
    assert state_of(out, "seed=2") == (State.FAILED, "killed by SIGKILL; too little memory?")
    missing = "no package 'torch': pip install 'mim[train]'"
    assert state_of(out, "seed=1") == (State.FAILED, missing)
    assert (out / "seed=1" / "log.txt").read_text() == f"mim train: {missing}\n"
    said = capsys.readouterr()
    assert said.out == "0 of 2 runs are done\n"
    assert f"seed=1: {missing}" in said.err
    assert said.err.endswith(f"2 runs failed; the reasons stand in {out}\n")
    plan = read_plan(out)
    assert plan.jobs == {"seed=2": {"train.seed": 2}, "seed=1": {"train.seed": 1}}
    assert plan.overrides == [*words, "train.seed=2,1"]


def test_jobs_that_are_done_are_not_begun_again(words, tmp_path, capsys):
    for job in plan_sweep([*words, "train.seed=1,2"]).jobs:
        run = tmp_path / "out" / job.name
        JobState(State.DONE, None, 1.0, job.settings).write(run)
        (run / "run.json").write_text("{}")
    assert main(["train", "--multirun", *words, "train.seed=1,2", "data.workers=1"]) == 0
    assert capsys.readouterr().out == "2 of 2 runs are done\n"
    # Seeds that come later stand beside those that are done.
    assert main(["train", "-m", *words, "train.seed=choice(1)"]) == 0
    assert list(read_plan(tmp_path / "out").jobs) == ["seed=1", "seed=2"]


def test_a_job_that_another_process_trains_is_left_to_it(words, tmp_path, capsys):
    log = tmp_path / "out" / "seed=1" / "log.txt"
    log.parent.mkdir(parents=True)
    with log.open("ab") as held:
        flock(held, LOCK_EX)
        assert main(["train", "-m", *words, "train.seed=1,2"]) == 1
    assert not (log.parent / "job.json").exists()
    said = capsys.readouterr()
    assert said.out == "0 of 2 runs are done, 1 left to another process\n"
    assert "seed=1: another process trains it" in said.err
    assert state_of(tmp_path / "out", "seed=2")[0] is State.FAILED


def test_a_job_that_another_process_ends_meanwhile_is_not_trained_again(words, tmp_path, capsys):
    _, later = plan_sweep([*words, "train.seed=1,2"]).jobs
    ended, run = tmp_path / "ended", tmp_path / "out" / later.name
    JobState(State.DONE, None, 1.0, later.settings).write(ended)
    (ended / "run.json").write_text("{}")
    (tmp_path / "torch.py").write_text(
        f"import shutil\nshutil.copytree({str(ended)!r}, {str(run)!r}, dirs_exist_ok=True)\n"
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    )
    assert main(["train", "-m", *words, "train.seed=1,2"]) == 1
    assert capsys.readouterr().out == "1 of 2 runs are done\n"
    assert state_of(tmp_path / "out", "seed=2") == (State.DONE, None)
    assert (run / "log.txt").read_bytes() == b""


def test_one_wrong_value_and_no_job_begins(words, tmp_path, capsys):
    assert main(["train", "-m", *words, "train.seed=1,2,-3"]) == 2
    assert capsys.readouterr().err == "mim train: train.seed: expected 0 to 4294967295, got -3\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (["train.epochs=1,2"], "holds a sweep over train.epochs, not over train.seed; choose"),
        (["train.seed=1,2", "train.epochs=2"], "holds a sweep with other train.epochs; choose"),
        (None, "holds run.json of another command; choose another out"),
    ],
)
def test_a_folder_of_something_else_is_refused(before, message, words, tmp_path, capsys):
    if before:
        plan_sweep([*words, *before]).plan.write(tmp_path / "out")
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "run.json").write_text("{}")
    assert main(["train", "-m", *words, "train.seed=1,2"]) == 2
    assert message in capsys.readouterr().err


def test_a_run_does_not_go_into_the_folder_of_a_sweep(words, tmp_path):
    from mim.schemas.folders import require_own

    plan_sweep([*words, "train.seed=1,2"]).plan.write(tmp_path / "out")
    with pytest.raises(InputError, match="holds sweep.json of another command"):
        require_own(tmp_path / "out", "run.json")


def test_other_commands_know_no_sweep(capsys):
    assert main(["index", "-m", "source=.", "out=a,b"]) == 2
    assert capsys.readouterr().err == "mim index: only 'mim train' goes through several values\n"


@pytest.fixture
def real(cohort, cache, tmp_path) -> list[str]:
    """Words of a tiny training."""
    return [f"cohort={cohort}", f"cache={cache}", f"out={tmp_path / 'out'}", *SMALL]


def start(words: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "mim", "train", "-m", *words])


def children(out: Path) -> list[int]:
    """Processes of jobs in this folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes()
        except OSError:
            continue
        if b"mim.cli.job" in words and str(out).encode() in words:
            found.append(int(line.parent.name))
    return found


def wait_until(true, what: str) -> None:
    gone = time.monotonic() + 300
    while not true():
        assert time.monotonic() < gone, what
        time.sleep(0.05)


@pytest.mark.slow
def test_a_job_that_fails_late_stops_no_other(real, tmp_path, capfd):
    words = [*real, "train.epochs=1", "train.metric=nonsense,last"]
    assert main(["train", "-m", *words]) == 1
    out = tmp_path / "out"
    failed = read_state(out / "metric=nonsense")
    assert failed.state is State.FAILED
    assert failed.reason.startswith("train.metric: ")
    assert read_state(out / "metric=last").state is State.DONE
    assert (out / "metric=last" / "scores" / "validation-cancer.parquet").is_file()
    assert "1 of 2 runs are done" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_goes_on_to_the_same_end(how, real, tmp_path):
    out = tmp_path / "out"
    words = [*real, "train.epochs=6", "train.seed=1,2"]
    first, second = out / "seed=1", out / "seed=2"
    process = start(words)
    wait_until((second / "checkpoints" / "last.ckpt").exists, "the second job has no checkpoint")
    os.kill(process.pid, how)
    assert process.wait() == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    wait_until(lambda: not children(out), "a job outlives its sweep")
    assert read_state(first).state is State.DONE
    assert read_state(second).state is State.WAITING
    kept = (first / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    before = read_checkpoint(second / "checkpoints" / "last.ckpt")["epoch"]
    assert before < 5, "stopped too late to show anything"

    assert start(words).wait() == 0
    assert (first / "checkpoints" / "last.ckpt").stat().st_mtime_ns == kept
    assert read_state(second).state is State.DONE

    alone = [word.replace(str(out), str(tmp_path / "alone")) for word in real]
    assert main(["train", *alone, "train.epochs=6", "train.seed=2"]) == 0
    weights = [
        read_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"]
        for run in (second, tmp_path / "alone")
    ]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[1])
    settings = [
        json.loads((run / "run.json").read_text())["settings"]
        for run in (second, tmp_path / "alone")
    ]
    assert settings[0] == settings[1]
