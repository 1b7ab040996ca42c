"""Processes of other machines, through Dask: the only importer of dask, distributed, dask_jobqueue.

The scheduler, the workers and this process need one environment (Python, packages and mim) and
see the same folders by the same paths.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from mim.errors import InputError
from mim.workers.settings import SlurmSettings, WorkersSettings
from mim.workers.task import Attempt, Task, work_on

NOT_INSTALLED = "executor=dask: {} is not installed; pip install 'mim[cluster]'"

try:
    import dask
    from distributed import Client, Future, KilledWorker, Security
    from distributed.client import VersionsDict
    from distributed.deploy.cluster import Cluster
except ImportError as missing:
    raise InputError(NOT_INSTALLED.format(missing.name)) from missing

T = TypeVar("T", bound=Task)
R = TypeVar("R")

CONNECT_SECONDS = 5
"""A scheduler that does not answer within this time is not there."""

SAME = (
    *("python", "dask", "distributed", "cloudpickle"),
    *("mim", "numpy", "opencv-python-headless", "imagecodecs", "pydicom", "pyarrow"),
)
"""Packages that must be the same everywhere: what is sent is pickled, and pixels are to be equal."""

SILENCE_SECONDS = 60
"""After this time without a result somebody looks whether there are workers at all."""

ASK_SECONDS = 10
"""How often SLURM is asked for its jobs while there are no workers."""

DEATHS = 1
"""A task comes back from Dask as killed only after several workers died with it in hand."""

NAMELESS_DEATHS = 4
"""A task may come back without having begun, because it waited behind one that killed."""

GONE = "the Dask scheduler went away; what is done is kept, so run the command again"


def on_cluster(
    function: Callable[[T], R], tasks: Iterable[T], settings: WorkersSettings
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; two for each worker are under way at a time.

    Dask gives the tasks of a lost worker to others, up to ``allowed-failures`` of the scheduler.
    """
    with _client(settings) as client:
        waiting = iter(tasks)
        workers = Workers(client)
        finished: SimpleQueue[Future[R]] = SimpleQueue()
        under_way: dict[object, Attempt[T]] = {}

        def start(attempt: Attempt[T]) -> None:
            future = client.submit(work_on, function, attempt.task, pure=False)
            under_way[future.key] = attempt
            future.add_done_callback(finished.put)  # type: ignore[no-untyped-call]

        workers.wait()
        while True:
            room = max(1, 2 * workers.count())
            while len(under_way) < room and (task := next(waiting, None)) is not None:
                start(Attempt(task))
            if not under_way:
                return
            future = _next(finished, workers)
            attempt = under_way.pop(future.key)
            try:
                result = _result(future)
            except KilledWorker:
                attempt.died(enough=DEATHS, nameless=NAMELESS_DEATHS)
                start(attempt)
            else:
                yield attempt.given, result


def _next(finished: "SimpleQueue[Future[R]]", workers: "Workers") -> "Future[R]":
    while True:
        try:
            return finished.get(timeout=SILENCE_SECONDS)
        except Empty:
            workers.wait()


def _result(future: "Future[R]") -> R:
    try:
        return future.result()
    except (ModuleNotFoundError, RuntimeError) as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        raise InputError(
            f"the Dask cluster has no module {missing.name}; start scheduler and workers in the "
            "environment of this process"
        ) from error
    except CancelledError as error:
        raise InputError(GONE) from error


@contextmanager
def _client(settings: WorkersSettings) -> Iterator[Client]:
    with ExitStack() as opened:
        if settings.scheduler is None:
            opened.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 1}))
            cluster = opened.enter_context(_slurm(settings.slurm))
            client = opened.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        else:
            client = opened.enter_context(_connect(settings.scheduler))
        yield client


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"scheduler={address}: no Dask scheduler answers there ({error}); "
            "start one with 'dask scheduler' and give the address that it prints"
        ) from error


@contextmanager
def _slurm(settings: SlurmSettings) -> Iterator[Cluster]:
    """A scheduler in this process, and jobs whose processes work for it.

    The connections are encrypted and closed to others: whoever speaks to a scheduler may run code.
    """
    try:
        security = Security.temporary()  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise InputError(f"slurm.jobs: {error.name} is not installed; pip install it") from error
    minutes = round(settings.hours * 60)
    with slurm_cluster()(
        queue=settings.partition,
        account=settings.account,
        cores=settings.cores,
        processes=settings.cores,
        memory=f"{settings.memory_gb}GiB",
        walltime=f"{minutes // 60:02d}:{minutes % 60:02d}:00",
        protocol="tls",
        security=security,
        # Jobs start in the working directory, so it is on a disk that they see.
        shared_temp_directory=os.getcwd(),
        scheduler_options={"dashboard": False},
        job_name="mim",
    ) as cluster:
        _require_slurm(cluster.job_script())
        cluster.scale(jobs=settings.jobs)
        yield cluster


def slurm_cluster() -> Callable[..., Any]:
    """Dask-jobqueue's SLURMCluster, without what importing it does to Ctrl-C.

    The package answers SIGINT with a silent exit that looks like success.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster  # type: ignore[attr-defined]  # noqa: PLC0415
    except ImportError as error:
        raise InputError(NOT_INSTALLED.format(error.name)) from error
    signal.signal(signal.SIGINT, before)
    made: Callable[..., Any] = SLURMCluster
    return made


def _require_slurm(script: str) -> None:
    try:
        tried = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise InputError("slurm.jobs: there is no sbatch on this machine") from error
    if tried.returncode:
        raise InputError(f"slurm.jobs: SLURM refuses the job: {' '.join(tried.stderr.split())}")


class Workers:
    """The workers of a cluster, which come and go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: set[str] = set()
        self._check_packages()

    def count(self) -> int:
        """How many there are. Those not seen before are checked.

        Raises:
            InputError: one is of another environment or has several threads.
        """
        try:
            threads = self._client.nthreads()  # type: ignore[no-untyped-call]
        except OSError as error:  # distributed's CommClosedError is one
            raise InputError(GONE) from error
        if threads.keys() - self._known:
            self._known.update(threads)
            self._check_packages()
            self._check_threads(threads)
        return len(threads)

    def wait(self) -> None:
        """Return once there is one.

        Raises:
            InputError: all jobs of SLURM have ended.
        """
        if not self.count():
            print("the Dask scheduler has no workers; waiting for some", file=sys.stderr)
        asked = time.monotonic()
        while not self.count():
            time.sleep(0.2)
            if time.monotonic() - asked > ASK_SECONDS:
                asked = time.monotonic()
                self._require_jobs()

    def _require_jobs(self) -> None:
        cluster = self._client.cluster
        jobs = [] if cluster is None else [job.job_id for job in cluster.workers.values()]
        if jobs:
            queue = ["squeue", "--noheader", f"--jobs={','.join(jobs)}"]
            left = subprocess.run(queue, capture_output=True, text=True, check=False).stdout
            if not left.strip():
                raise InputError(
                    "all jobs of SLURM have ended; what is done is kept, so run the command "
                    "again, with more slurm.hours or slurm.memory_gb if that ended them"
                )

    def _check_packages(self) -> None:
        found = cast("VersionsDict", self._client.get_versions(packages=SAME))
        ours = found["client"]["packages"]
        for who, theirs in {"scheduler": found["scheduler"], **found["workers"]}.items():
            for name in SAME:
                if theirs["packages"].get(name) != ours.get(name):
                    raise InputError(
                        f"{who}: has {name} {theirs['packages'].get(name)}, this process "
                        f"{ours.get(name)}; start it in the environment of this process"
                    )

    def _check_threads(self, threads: Mapping[str, int]) -> None:
        for worker, number in threads.items():
            if number != 1:
                raise InputError(
                    f"{worker}: runs {number} threads, so that one death would cost many images; "
                    "start it with 'dask worker ADDRESS --nthreads 1 --nworkers CORES'"
                )
