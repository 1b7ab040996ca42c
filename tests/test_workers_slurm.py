"""Jobs of a real SLURM; scripts/slurm/single_node.sh makes one to try with."""

import os
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_workers_run import Words, reverse

from mim.data.cache import Cache, write_cache
from mim.data.settings import CacheSettings
from mim.errors import InputError
from mim.image.settings import RecipeSettings
from mim.schemas.sweep import State, read_plan, read_state
from mim.workers.run import run
from mim.workers.settings import Executor, SlurmSettings, WorkersSettings

pytestmark = pytest.mark.slow

ONE_JOB = WorkersSettings(
    executor=Executor.dask, slurm=SlurmSettings(jobs=1, cores=2, memory_gb=2, hours=0.1)
)


@pytest.fixture(scope="module")
def slurm() -> None:
    try:
        found = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        pytest.skip("no SLURM here")
    if found.returncode or not found.stdout.strip():
        pytest.skip("SLURM does not answer")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(slurm, tmp_path, monkeypatch):
    """Jobs start here and leave their logs, and find the tests' modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def jobs() -> list[str]:
    queue = ["squeue", "--noheader", "--format=%i", "--name=mim", f"--user={os.getuid()}"]
    return subprocess.check_output(queue, text=True).split()


def slowly(task: Words) -> list[str]:
    time.sleep(0.2)
    return reverse(task)


def test_jobs_do_the_work_and_leave_the_queue(tmp_path):
    tasks = [Words(tmp_path, (f"word-{n}",)) for n in range(20)]
    tasks.append(Words(tmp_path, ("before", "deadly", "after")))
    found = {task.words: result for task, result in run(reverse, tasks, ONE_JOB)}
    assert len(found) == 21
    assert found[("before", "deadly", "after")] == ["erofeb", "(deadly)", "retfa"]
    gone = time.monotonic() + 20
    while jobs():
        assert time.monotonic() < gone, "jobs are left in the queue"
        time.sleep(0.5)


def test_jobs_that_end_before_the_work_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("mim.workers.cluster.SILENCE_SECONDS", 1)
    monkeypatch.setattr("mim.workers.cluster.ASK_SECONDS", 1)
    work = run(slowly, (Words(tmp_path, (f"word-{n}",)) for n in range(1000)), ONE_JOB)
    next(work)
    subprocess.run(["scancel", *jobs()], check=True)
    with pytest.raises(InputError, match="all jobs of SLURM have ended; what is done is kept"):
        list(work)


def test_a_job_that_slurm_refuses_is_named_at_once(tmp_path):
    settings = replace(ONE_JOB, slurm=replace(ONE_JOB.slurm, partition="nowhere"))
    with pytest.raises(InputError, match="SLURM refuses the job: .*partition"):
        list(run(reverse, [Words(tmp_path, ("a",))], settings))


def test_a_cache_made_by_jobs_is_the_same(cohort, cache, tmp_path):
    recipe = RecipeSettings(height=64, width=32)
    assert write_cache(cohort, tmp_path / "out", recipe, CacheSettings(), ONE_JOB) == 0
    ours, theirs = Cache(tmp_path / "out").folder, Cache(cache).folder
    for path in theirs.iterdir():
        assert (ours / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_tasks_of_an_array_share_a_sweep(cohort, cache, tmp_path):
    words = [f"cohort={cohort}", f"cache={cache}", "out=sweep", "experiment=demo"]
    words += ["train.epochs=1", "data.workers=0", "train.seed=1,2,3"]
    words += ["model.encoder.name=lcnet_035", "model.fusion.width=16", "model.fusion.heads=2"]
    command = shlex.join([sys.executable, "-m", "mim", "train", "-m", *words])
    batch = ["sbatch", "--array=4-6:2", "--mem=2G", "--output=task-%a.txt", "--wait"]
    subprocess.run([*batch, "--wrap", command], check=True)
    assert "2 of 2 runs are done" in (tmp_path / "task-4.txt").read_text()
    assert "1 of 1 runs are done" in (tmp_path / "task-6.txt").read_text()
    sweep = tmp_path / "sweep"
    assert list(read_plan(sweep).jobs) == ["seed=1", "seed=2", "seed=3"]
    assert {read_state(sweep / f"seed={seed}").state for seed in (1, 2, 3)} == {State.DONE}
