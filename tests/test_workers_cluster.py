"""A real Dask scheduler with worker processes gives what this machine's processes give."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from test_workers_run import Words, reverse

from mim.data.cache import Cache, write_cache
from mim.data.settings import CacheSettings
from mim.data.shards import ImageJob, ShardJob, write_shard
from mim.errors import InputError
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import read_table
from mim.vocab import Laterality, Reason, View
from mim.workers.run import run
from mim.workers.settings import Executor, WorkersSettings

pytest.importorskip("distributed")

QUIET = {
    "PYTHONPATH": str(Path(__file__).parent),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
}


@contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments, "--no-dashboard"],
        env=os.environ | QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    file = folder / "scheduler.json"
    place = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    with dask("distributed.cli.dask_scheduler", *place):
        while not file.exists() or not file.read_text():
            time.sleep(0.02)
        yield json.loads(file.read_text())["address"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[WorkersSettings]:
    """A scheduler with two workers, each under a nanny that starts it again when it dies."""
    folder = tmp_path_factory.mktemp("dask")
    with (
        scheduler(folder) as address,
        dask(
            *("distributed.cli.dask_worker", address, "--nworkers", "2", "--nthreads", "1"),
            *("--local-directory", str(folder)),
        ),
    ):
        yield WorkersSettings(executor=Executor.dask, scheduler=address)


def slowly(task: Words) -> tuple[int, list[str]]:
    time.sleep(0.05)
    return os.getpid(), reverse(task)


def test_a_worker_killed_in_the_middle_changes_nothing(cluster, tmp_path):
    tasks = [Words(tmp_path, (f"word-{n}", "other")) for n in range(30)]
    alone = {task.words: result for task, result in run(reverse, tasks, WorkersSettings(workers=1))}
    found, workers = {}, set()
    for task, (worker, result) in run(slowly, iter(tasks), cluster):
        found[task.words] = result
        workers.add(worker)
        if len(found) == 8:
            os.kill(worker, signal.SIGKILL)
    assert found == alone
    assert len(workers) > 1


def test_a_cache_made_on_a_cluster_that_loses_a_worker_is_the_same(
    cluster, cohort, cache, tmp_path
):
    killed = threading.Event()

    def kill_one() -> None:
        while not killed.is_set():
            for begun in tmp_path.glob("*/.*.in_hand"):
                # One that was finished meanwhile has no owner.
                if worker := next(iter(lock_owners(begun.parent)), None):
                    os.kill(worker, signal.SIGKILL)
                    killed.set()
                    return
            time.sleep(0.001)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    recipe = RecipeSettings(height=64, width=32)
    assert write_cache(cohort, tmp_path, recipe, CacheSettings(), cluster) == 0
    killer.join(timeout=1)
    assert killed.is_set()
    ours, theirs = Cache(tmp_path).folder, Cache(cache).folder
    names = {path.name for path in ours.iterdir() if path.suffix != ".json"}
    assert names == {path.name for path in theirs.iterdir() if path.suffix != ".json"}
    for name in names - {"contact.png"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def lock_owners(folder: Path) -> Iterator[int]:
    """Processes that have a half-written shard open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = [os.readlink(file) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(name.startswith(f"{folder}/.shard-") for name in names):
            yield int(process.name)


class Deadly(type(Path())):
    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def test_an_image_that_kills_every_worker_gets_a_row_and_the_rest_is_done(
    cluster, programme, tmp_path
):
    good = min((programme / "dicom").rglob("*.dcm"))
    recipe = RecipeSettings(height=64, width=32)
    jobs = [
        ShardJob(
            tmp_path,
            f"shard-{number}",
            [
                ImageJob(name, Deadly("x") if name == "deadly" else good, Laterality.LEFT, View.CC)
                for name in names
            ],
            recipe,
        )
        for number, names in enumerate([("a", "deadly", "b"), ("c",), ("d",)])
    ]
    assert len(list(run(write_shard, jobs, cluster))) == 3
    rows = [row for job in jobs for row in read_table(job.rows, CACHE).to_pylist()]
    reasons = {row["image"]: row["reason"] for row in rows}
    assert reasons == {"a": None, "deadly": Reason.DECODER_DIED, "b": None, "c": None, "d": None}


@pytest.mark.slow
def test_a_task_that_kills_before_its_first_item_is_an_error(cluster, tmp_path):
    with pytest.raises(InputError, match="die before they begin their first item"):
        list(run(reverse, [Words(tmp_path, ("unnamed",))], cluster))


@pytest.mark.slow
def test_an_exception_of_a_task_comes_back(cluster, tmp_path):
    with pytest.raises(ZeroDivisionError, match="raises"):
        list(run(reverse, [Words(tmp_path, ("raises",))], cluster))


def test_ctrl_c_is_answered_at_once(cluster, tmp_path):
    """Also once dask_jobqueue is loaded, which would make a silent success of it."""
    from mim.workers.cluster import slurm_cluster

    slurm_cluster()
    ctrl_c = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    ctrl_c.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in run(slowly, (Words(tmp_path, (str(n),)) for n in range(1000)), cluster):
            pass
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("package", ["mim", "imagecodecs"])
def test_workers_of_another_environment_are_named(cluster, tmp_path, monkeypatch, package):
    import distributed.versions

    asked = distributed.versions._version_cached
    answer = lambda name: "0.0" if name == package else asked(name)  # noqa: E731
    monkeypatch.setattr(distributed.versions, "_version_cached", answer)
    with pytest.raises(InputError, match=rf"scheduler: has {package} \d\S+, this process 0\.0"):
        list(run(reverse, [Words(tmp_path, ("a",))], cluster))


def test_a_worker_that_joins_later_is_checked_too():
    class Client:
        """What distributed's client says while workers come."""

        workers: ClassVar = {}

        def nthreads(self):
            return {name: threads for name, (threads, _) in self.workers.items()}

        def get_versions(self, packages):
            theirs = {name: {"packages": {"mim": has}} for name, (_, has) in self.workers.items()}
            here = {"packages": {"mim": "1.0"}}
            return {"client": here, "scheduler": here, "workers": theirs}

    from mim.workers.cluster import Workers

    workers = Workers(Client())
    assert workers.count() == 0
    Client.workers = {"tcp://a": (1, "1.0")}
    assert workers.count() == 1
    Client.workers |= {"tcp://b": (1, "2.0")}
    with pytest.raises(InputError, match="tcp://b: has mim 2.0, this process 1.0"):
        workers.count()
    Client.workers = {"tcp://c": (8, "1.0")}
    with pytest.raises(InputError, match="tcp://c: runs 8 threads"):
        workers.count()


def test_a_scheduler_that_is_not_there_is_named_in_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr("mim.workers.cluster.CONNECT_SECONDS", 1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        settings = WorkersSettings(executor=Executor.dask, scheduler=address)
        with pytest.raises(InputError, match=f"scheduler={address}: no Dask scheduler"):
            list(run(reverse, [Words(tmp_path, ("a",))], settings))


@pytest.mark.parametrize("address", ["node1", "http://node1:8786"])
def test_an_address_that_is_none_is_named(tmp_path, monkeypatch, address):
    monkeypatch.setattr("mim.workers.cluster.CONNECT_SECONDS", 1)
    settings = WorkersSettings(executor=Executor.dask, scheduler=address)
    with pytest.raises(InputError, match=f"scheduler={address}"):
        list(run(reverse, [Words(tmp_path, ("a",))], settings))


@pytest.mark.slow
def test_workers_of_several_threads_are_refused(tmp_path):
    with (
        scheduler(tmp_path) as address,
        dask("distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "2"),
    ):
        settings = WorkersSettings(executor=Executor.dask, scheduler=address)
        with pytest.raises(InputError, match="runs 2 threads.*--nthreads 1"):
            list(run(reverse, [Words(tmp_path, ("a",))], settings))


@pytest.mark.slow
def test_a_cluster_without_our_modules_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(QUIET, "PYTHONPATH", "")
    with (
        scheduler(tmp_path) as address,
        dask("distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "1"),
    ):
        settings = WorkersSettings(executor=Executor.dask, scheduler=address)
        with pytest.raises(InputError, match="has no module test_workers_run"):
            list(run(reverse, [Words(tmp_path, ("a",))], settings))


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_named(tmp_path):
    with scheduler(tmp_path) as address:
        settings = WorkersSettings(executor=Executor.dask, scheduler=address)
        with dask("distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "1"):
            work = run(slowly, (Words(tmp_path, (str(n),)) for n in range(1000)), settings)
            next(work)
            pid = int(
                subprocess.check_output(["pgrep", "-f", f"dask_scheduler.*{tmp_path}"]).split()[0]
            )
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(InputError, match="scheduler went away"):
                list(work)


def test_without_dask_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "mim.workers.cluster", raising=False)
    settings = WorkersSettings(executor=Executor.dask, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match=r"pip install 'mim\[cluster\]'"):
        list(run(reverse, [Words(tmp_path, ("a",))], settings))
