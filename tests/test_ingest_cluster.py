"""An index made on a cluster that loses a worker is that of one process."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_files import dicom

from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.workers.settings import Executor, WorkersSettings

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


def owners(folder: Path) -> Iterator[int]:
    """Processes that say there what they are at."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = [os.readlink(file) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(name.startswith(f"{folder}/.part-") for name in names):
            yield int(process.name)


def test_an_index_made_on_a_cluster_that_loses_a_worker_is_the_same(tmp_path: Path) -> None:
    from test_workers_cluster import dask, scheduler

    source = tmp_path / "source"
    source.mkdir()
    for number in range(3000):
        (source / f"{number:04}").write_bytes(dicom(SOPInstanceUID=f"1.2.{number // 2}"))
    (tmp_path / "key").write_text("6b" * 32)
    settings = IndexSettings(key_file=str(tmp_path / "key"))
    killed = threading.Event()

    def kill_one() -> None:
        while not (worker := next(owners(tmp_path / "out" / "headers"), None)):
            time.sleep(0.01)
        os.kill(worker, signal.SIGKILL)
        killed.set()

    folder = tmp_path / "dask"
    folder.mkdir()
    with (
        scheduler(folder) as address,
        dask(
            *("distributed.cli.dask_worker", address, "--nworkers", "2", "--nthreads", "1"),
            *("--local-directory", str(folder)),
        ),
    ):
        threading.Thread(target=kill_one, daemon=True).start()
        cluster = WorkersSettings(executor=Executor.dask, scheduler=address)
        assert write_index(source, tmp_path / "out", settings, cluster) == 0
        assert killed.is_set()
    write_index(source, tmp_path / "alone", settings, WorkersSettings(workers=1))
    for name in ("images/part-00000.parquet", "findings.parquet", "attrition.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
