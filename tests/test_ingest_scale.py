"""Memory does not grow with the number of files, and a run that is killed loses little."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_files import dicom

BENCH = Path(__file__).resolve().parents[1] / "scripts" / "bench" / "index_scale.py"

INDEX = """
import json, resource, sys
from pathlib import Path
from mim.ingest import across, index, rules
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.workers.settings import WorkersSettings
if __name__ == "__main__":
    rules.HEADERS = ("errors.py",)  # who edits a rule meanwhile has no rows read anew for it
    index.FILE_ROWS = across.BUCKET = 2_000  # what a tree of 5,000 files fills
    source, out, key, workers = sys.argv[1:]
    settings = IndexSettings(key_file=key)
    write_index(Path(source), Path(out), settings, WorkersSettings(workers=int(workers)))
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def made_tree(source: Path, files: int) -> Path:
    """Links to a few images, four to an exam's folder."""
    (source / "a").mkdir(parents=True)
    for number in range(20):
        (source / "a" / str(number)).write_bytes(dicom(SOPInstanceUID=f"1.2.{number}"))
    for number in range(20, files):
        link = source / f"{number // 1000:03}" / f"{number // 4:05}" / f"{number:06}"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(source / "a" / str(number % 20), link)
    return source


def command(here: Path, source: Path, out: str, workers: int = 1) -> list[str]:
    (here / "index.py").write_text(INDEX)
    (here / "key").write_text("6b" * 32)
    given = (here / "index.py", source, here / out, here / "key", workers)
    return [sys.executable, *map(str, given)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_tree(tmp_path: Path) -> None:
    peaks = []
    for files in (5_000, 20_000):
        source = made_tree(tmp_path / f"source {files}", files)
        run = command(tmp_path, source, f"out {files}")
        done = subprocess.run(run, check=True, capture_output=True, text=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 20, f"MB at 5,000 and 20,000 files: {peaks}"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows_compared() -> None:
    """Of a million rows, which fill two buckets, and of two million."""
    run = [sys.executable, str(BENCH), "--files", "100", "--rows", "1000000", "2000000"]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    small, large = (float(line.split()[-1]) for line in done.stdout.splitlines()[-2:])
    assert large - small < 80, f"MB: {small} and {large}"


@pytest.mark.slow
def test_a_run_with_workers_that_is_killed_goes_on(tmp_path: Path) -> None:
    source = made_tree(tmp_path / "source", 20_000)
    killed = subprocess.Popen(
        command(tmp_path, source, "out", workers=2),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    headers = tmp_path / "out" / "headers"
    while len(list(headers.glob("*.parquet"))) < 4:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for out in ("out", "clean"):
        run = command(tmp_path, source, out, workers=2)
        subprocess.run(run, check=True, capture_output=True)
    about = json.loads((tmp_path / "out" / "index.json").read_text())
    assert 0 < about["taken_over"] < 20_000
    for part in (tmp_path / "clean" / "images").iterdir():
        assert part.read_bytes() == (tmp_path / "out" / "images" / part.name).read_bytes()
    rows = pq.read_table(tmp_path / "out" / "images", columns=["reason"])
    assert rows["reason"].null_count == 20
